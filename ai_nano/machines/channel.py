"""A running command's three streams, over SSH or as a local process."""

import os
import select
import subprocess
import time
from typing import Protocol

import paramiko

from ai_nano.core.errors import MachineError

_BLOCK = 65536


class Channel(Protocol):
    def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def readline(self, timeout: float) -> bytes | None:
        """A line with its newline, b"" at the end of the stream, None when none came in time."""

    def read(self, size: int, timeout: float) -> bytes | None:
        """Exactly `size` bytes, fewer only at the end of the stream, None when they did not all come in time.

        What came of them stays there for the next call.
        """

    def finish(self) -> tuple[int, str]:
        """Wait for the end: exit status (-1 when the connection broke) and standard error."""

    def close(self) -> None: ...


class _Stream:
    """Lines and pieces out of blocks. `_receive(seconds)` gives a block, b"" at the end, None when none came in time."""

    def __init__(self) -> None:
        self._buffer = b""

    def _receive(self, seconds: float) -> bytes | None:
        raise NotImplementedError

    def readline(self, timeout: float) -> bytes | None:
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            block = self._receive(max(0.001, deadline - time.monotonic()))
            if block is None:
                return None
            if not block:
                rest, self._buffer = self._buffer, b""
                return rest
            self._buffer += block
        line, newline, self._buffer = self._buffer.partition(b"\n")
        return line + newline

    def read(self, size: int, timeout: float) -> bytes | None:
        deadline = time.monotonic() + timeout
        while len(self._buffer) < size:
            block = self._receive(max(0.001, deadline - time.monotonic()))
            if block is None:
                return None
            if not block:
                break
            self._buffer += block
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        return piece


class SshChannel(_Stream):
    def __init__(self, channel: paramiko.Channel, machine: str) -> None:
        super().__init__()
        self._channel = channel
        self._machine = machine
        self._stderr = b""

    def write(self, data: bytes) -> None:
        try:
            self._channel.sendall(data)
        except (OSError, EOFError) as error:
            raise MachineError("machine.lost", machine=self._machine) from error

    def write_some(self, data: bytes | memoryview, timeout: float) -> int:
        """How many bytes were taken; 0 when the other side took none in time."""
        self._channel.settimeout(timeout)
        try:
            taken: int = self._channel.send(data)  # type: ignore[arg-type]
        except TimeoutError:
            return 0
        except (OSError, EOFError) as error:
            raise MachineError("machine.lost", machine=self._machine) from error
        if taken == 0:
            raise MachineError("machine.lost", machine=self._machine)
        return taken

    def close_stdin(self) -> None:
        self._channel.shutdown_write()

    def _receive(self, seconds: float) -> bytes | None:
        self._drain_stderr()
        self._channel.settimeout(seconds)
        try:
            return self._channel.recv(_BLOCK)
        except TimeoutError:
            return None

    def _drain_stderr(self) -> None:
        while self._channel.recv_stderr_ready():
            self._stderr = (self._stderr + self._channel.recv_stderr(_BLOCK))[-_BLOCK:]

    def finish(self) -> tuple[int, str]:
        status = self._channel.recv_exit_status()
        self._drain_stderr()
        self._channel.close()
        return status, self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        self._channel.close()


class LocalChannel(_Stream):
    def __init__(self, command: list[str], cwd: str) -> None:
        super().__init__()
        self._process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, bufsize=0)

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
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        return os.read(descriptor, _BLOCK) if select.select([descriptor], [], [], seconds)[0] else None

    def finish(self) -> tuple[int, str]:
        assert self._process.stderr is not None
        stderr = self._process.stderr.read().decode("utf-8", "replace")
        status = self._process.wait()
        self._close_pipes()
        return status, stderr

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
