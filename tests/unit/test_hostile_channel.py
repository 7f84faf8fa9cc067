"""Streams from another machine: lines and pieces of bounded length, in bounded time, without more work than bytes."""

import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import paramiko
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_nano.core.errors import MachineError
from ai_nano.machines import channel
from ai_nano.machines.channel import LocalChannel, SshChannel, first_line


class Blocks(channel._Stream):
    """Plays blocks; None is a wait that was in vain."""

    def __init__(self, *blocks: bytes | None) -> None:
        super().__init__("DL")
        self.blocks = deque(blocks)

    def _receive(self, seconds: float) -> bytes | None:
        return self.blocks.popleft() if self.blocks else b""


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"x", b"\n")), max_size=20), st.data())
def test_no_byte_is_lost_or_doubled(blocks: list[bytes], data: st.DataObject) -> None:
    stream, sent, got = Blocks(*(block or None for block in blocks)), b"".join(blocks), b""
    for _ in range(200):
        size = data.draw(st.integers(0, 40))
        piece = stream.readline(1.0) if size == 0 else stream.read(size, 1.0)
        if piece is not None:
            if size == 0 and piece:
                assert b"\n" not in piece[:-1] and (piece.endswith(b"\n") or got + piece == sent)
            got += piece
            if got == sent and not stream.blocks:
                break
    assert got == sent


def test_a_line_without_an_end() -> None:
    stream = Blocks(*[b"x" * 65536] * 100)
    with pytest.raises(MachineError) as caught:
        stream.readline(5.0)
    assert caught.value.code == "machine.nonsense" and len(stream._buffer) <= channel.LONGEST_LINE + 65536
    with pytest.raises(MachineError):
        Blocks(b"x" * 5000 + b"\n").readline(1.0, 4000)
    assert Blocks(b"x" * 3000 + b"\n").readline(1.0, 4000) == b"x" * 3000 + b"\n"


def test_a_long_line_costs_no_more_than_its_bytes() -> None:
    """Searching and copying the whole of it anew with each block took minutes."""
    stream = Blocks(*[b"x" * 16] * 200_000, b"\n")
    began = time.monotonic()
    line = stream.readline(60.0)
    assert line is not None and len(line) == 3_200_001 and time.monotonic() - began < 5


def test_many_short_lines_in_one_block() -> None:
    stream = Blocks(b"{}\n" * 500_000)
    began = time.monotonic()
    while stream.readline(1.0):
        pass
    assert time.monotonic() - began < 5


def test_bytes_that_drip_do_not_put_the_deadline_off() -> None:
    class Drip(Blocks):
        def _receive(self, seconds: float) -> bytes | None:
            time.sleep(0.02)
            return b"x"

    for wait in (lambda stream: stream.readline(0.2), lambda stream: stream.read(10_000, 0.2),
                 lambda stream: first_line(stream, "DL", 0.2)):
        began = time.monotonic()
        assert wait(Drip()) is None and time.monotonic() - began < 1


def test_what_a_login_says_first_is_bounded() -> None:
    assert first_line(Blocks(b"Welcome\n\n{}\n"), "DL", 1.0) == b"{}\n"
    assert first_line(Blocks(b"Welcome\n"), "DL", 1.0) == b""
    with pytest.raises(MachineError) as caught:
        first_line(Blocks(*[b"Welcome\n" * 1000] * 100), "DL", 5.0)
    assert caught.value.code == "machine.nonsense"


def test_an_exec_that_is_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "CHANNEL_TIMEOUT_S", 0.3)

    class Mute:
        def __init__(self) -> None:
            self.closed = threading.Event()
            self.in_buffer = self.in_stderr_buffer = None

        def exec_command(self, line: str) -> None:
            assert self.closed.wait(10)
            raise paramiko.SSHException("Channel closed.")

        def close(self) -> None:
            self.closed.set()

    class Transport:
        def open_session(self, timeout: float) -> Any:
            return Mute()

    with pytest.raises(MachineError) as caught:
        SshChannel.start(Transport(), "true", "DL")  # type: ignore[arg-type]
    assert caught.value.code == "machine.silent"


def test_a_pipe_keeps_no_more_than_its_bound() -> None:
    pipe = channel._Pipe()
    for _ in range(400):
        pipe.feed(b"x" * 65536)
    assert len(pipe) <= channel.MOST_BUFFERED and pipe.overflowed


@pytest.mark.parametrize(("program", "status"), [
    ("import sys; print('{}'); sys.stderr.write('e' * 3_000_000); print('x' * 3_000_000); sys.exit(3)", 3),
    ("import time; print('{}', flush=True); time.sleep(60)", -1),
])
def test_a_program_of_this_computer(program: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says more than anybody reads, and one that does not end."""
    monkeypatch.setattr(channel, "FINISH_S", 5.0 if status == 3 else 0.5)
    running = LocalChannel([sys.executable, "-c", program], str(tmp_path))
    began = time.monotonic()
    assert first_line(running, "laptop", 10.0) == b"{}\n"
    ended, errors = running.finish()
    assert (ended, len(errors)) == (status, 65536 if status == 3 else 0) and time.monotonic() - began < 10
