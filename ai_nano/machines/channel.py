"""A running command's three streams, over SSH or as a local process.

What runs there may be broken or lie: every wait ends, and no more is kept than the bounds below.
"""

import contextlib
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Protocol

import paramiko
from paramiko.buffered_pipe import BufferedPipe

from ai_nano.core.errors import MachineError

_BLOCK = 65536
# A line of any answer; whoever expects longer ones says so.
LONGEST_LINE = 4 << 20
# What a login may say before the first line of a program's.
GREETING_BYTES = 64 << 10
# paramiko takes what it is sent, whatever room it has told of (2 MiB a channel).
MOST_BUFFERED = 8 << 20
CHANNEL_TIMEOUT_S = 15.0
# From the last word of an answer to the exit status.
FINISH_S = 10.0
# Until a block that was written has gone: so long, and as long as it takes at this rate.
WRITE_S = 15.0
SLOWEST_BYTES_A_S = 10_000.0


class Channel(Protocol):
    def write(self, data: bytes) -> None:
        """MachineError when it cannot be sent in a bounded time."""

    def close_stdin(self) -> None: ...

    def readline(self, timeout: float, longest: int = LONGEST_LINE) -> bytes | None:
        """A line with its newline, b"" at the end of the stream, None when none came in time.

        MachineError for a line longer than `longest`.
        """

    def read(self, size: int, timeout: float) -> bytes | None:
        """Exactly `size` bytes, fewer only at the end of the stream, None when they did not all come in time.

        What came of them stays there for the next call.
        """

    def finish(self) -> tuple[int, str]:
        """Wait for the end, FINISH_S at most: exit status (-1 when none came) and the last of standard error."""

    def close(self) -> None: ...


def first_line(channel: Channel, machine: str, timeout: float) -> bytes | None:
    """The first line that begins with `{`: what a login says before it is passed over, within bounds.

    b"" at the end of the stream, None when none came in time. MachineError for a greeting without an end.
    """
    deadline, greeting = time.monotonic() + timeout, 0
    while True:
        line = channel.readline(max(0.001, deadline - time.monotonic()))
        if not line or line.startswith(b"{"):
            return line
        greeting += len(line)
        if greeting > GREETING_BYTES:
            raise MachineError("machine.nonsense", machine=machine)
        if time.monotonic() > deadline:
            return None


class _Stream:
    """Lines and pieces out of blocks. `_receive(seconds)` gives a block, b"" at the end, None when none came in time."""

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._buffer = bytearray()

    def _receive(self, seconds: float) -> bytes | None:
        raise NotImplementedError

    def readline(self, timeout: float, longest: int = LONGEST_LINE) -> bytes | None:
        deadline, searched, late = time.monotonic() + timeout, 0, False
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > longest:
                raise self._nonsense()
            if late:
                return None
            block = self._receive(max(0.001, deadline - time.monotonic()))
            if block is None:
                return None
            if not block:
                return self._take(len(self._buffer))
            self._buffer += block
            late = time.monotonic() > deadline  # bytes that drip do not put the deadline off
        if end > longest:
            raise self._nonsense()
        return self._take(end + 1)

    def read(self, size: int, timeout: float) -> bytes | None:
        deadline, late = time.monotonic() + timeout, False
        while len(self._buffer) < size:
            if late:
                return None
            block = self._receive(max(0.001, deadline - time.monotonic()))
            if block is None:
                return None
            if not block:
                break
            self._buffer += block
            late = time.monotonic() > deadline
        return self._take(size)

    def _take(self, size: int) -> bytes:
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def _nonsense(self) -> MachineError:
        return MachineError("machine.nonsense", machine=self._machine)


class _Pipe(BufferedPipe):
    """Between paramiko's thread and ours; what comes beyond the bound is dropped, and the reader told."""

    overflowed = False

    def feed(self, data: bytes | str) -> None:
        if len(self) + len(data) > MOST_BUFFERED:
            self.overflowed = True
        else:
            super().feed(data)


class SshChannel(_Stream):
    """A command on the other machine; see `start`."""

    def __init__(self, channel: paramiko.Channel, machine: str) -> None:
        super().__init__(machine)
        self._channel = channel
        self._stderr = b""

    @classmethod
    def start(cls, transport: paramiko.Transport, line: str, machine: str) -> "SshChannel":
        """Run `line` there. MachineError `machine.lost`, `machine.silent`."""
        began = time.monotonic()
        try:
            channel = transport.open_session(timeout=CHANNEL_TIMEOUT_S)
            channel.in_buffer, channel.in_stderr_buffer = _Pipe(), _Pipe()
            # paramiko waits for the answer to an exec without end; closing the channel ends that.
            giving_up = threading.Timer(CHANNEL_TIMEOUT_S, _quietly, (channel.close,))
            giving_up.daemon = True
            giving_up.start()
            try:
                channel.exec_command(line)
            finally:
                giving_up.cancel()
        except (paramiko.SSHException, EOFError, OSError) as error:
            late = time.monotonic() - began >= CHANNEL_TIMEOUT_S
            raise MachineError("machine.silent" if late else "machine.lost", machine=machine) from error
        return cls(channel, machine)

    def write(self, data: bytes) -> None:
        try:
            for begin in range(0, len(data), _BLOCK):
                block = data[begin:begin + _BLOCK]
                deadline = time.monotonic() + WRITE_S + len(block) / SLOWEST_BYTES_A_S
                while block:
                    self._channel.settimeout(max(0.001, deadline - time.monotonic()))
                    sent = self._channel.send(block)
                    if sent == 0:
                        raise EOFError("closed")
                    block = block[sent:]
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise MachineError("machine.lost", machine=self._machine) from error

    def write_some(self, data: bytes | memoryview, timeout: float) -> int:
        """How many bytes were taken; 0 when the other side took none in time."""
        self._channel.settimeout(timeout)
        try:
            taken: int = self._channel.send(data)  # type: ignore[arg-type]
        except TimeoutError:
            return 0
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise MachineError("machine.lost", machine=self._machine) from error
        if taken == 0:
            raise MachineError("machine.lost", machine=self._machine)
        return taken

    def close_stdin(self) -> None:
        try:
            self._channel.shutdown_write()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise MachineError("machine.lost", machine=self._machine) from error

    def _receive(self, seconds: float) -> bytes | None:
        try:
            self._drain_stderr()
            self._channel.settimeout(seconds)
            block = self._channel.recv(_BLOCK)
        except TimeoutError:
            block = None
        except (paramiko.SSHException, OSError, EOFError) as error:  # it tells the machine that there is room again
            raise MachineError("machine.lost", machine=self._machine) from error
        pipes = self._channel.in_buffer, self._channel.in_stderr_buffer
        if any(isinstance(pipe, _Pipe) and pipe.overflowed for pipe in pipes):
            raise self._nonsense()
        return block

    def _drain_stderr(self) -> None:
        # Not "until nothing is left": a flood may come as fast as it is read.
        for _ in range(MOST_BUFFERED // _BLOCK):
            if not self._channel.recv_stderr_ready():
                return
            self._stderr = (self._stderr + self._channel.recv_stderr(_BLOCK))[-_BLOCK:]

    def finish(self) -> tuple[int, str]:
        """What the program still prints is read and dropped: it must not wait for room."""
        deadline = time.monotonic() + FINISH_S
        while not self._channel.exit_status_ready() and time.monotonic() < deadline:
            if self._receive(0.05) == b"":
                self._channel.status_event.wait(max(0.0, deadline - time.monotonic()))
                break
        status = self._channel.recv_exit_status() if self._channel.exit_status_ready() else -1
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._drain_stderr()
        self.close()
        return status, self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        _quietly(self._channel.close)


def _quietly(close: Callable[[], object]) -> None:
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        close()


class LocalChannel(_Stream):
    """A command of this computer."""

    def __init__(self, command: list[str], cwd: str) -> None:
        super().__init__("laptop")
        self._process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, bufsize=0)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._stdout, self._errors = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._open = [self._stdout, self._errors]
        self._stderr = b""

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except OSError as error:
            raise MachineError("machine.lost", machine="laptop") from error

    def close_stdin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _receive(self, seconds: float) -> bytes | None:
        deadline = time.monotonic() + seconds
        while self._stdout in self._open:
            ready = select.select(self._open, [], [], max(0.0, deadline - time.monotonic()))[0]
            if not ready:
                return None
            if self._errors in ready:
                self._read_errors()
            if self._stdout in ready:
                block = os.read(self._stdout, _BLOCK)
                if not block:
                    self._open.remove(self._stdout)
                return block
        return b""

    def _read_errors(self) -> None:
        block = os.read(self._errors, _BLOCK)
        self._stderr = (self._stderr + block)[-_BLOCK:]
        if not block:
            self._open.remove(self._errors)

    def finish(self) -> tuple[int, str]:
        deadline = time.monotonic() + FINISH_S
        while time.monotonic() < deadline and self._receive(deadline - time.monotonic()):
            pass
        while self._errors in self._open and select.select([self._errors], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self._read_errors()
        try:
            status = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            status = -1
        self.close()
        return status, self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
