"""Watching a run: its live pictures over a channel of their own, one for each that this side has room for.

doc/design/wire.md has the form. Two pictures are asked for at the start, then one for each that was dealt with: one is
on its way while another is shown, and a slow viewer or a slow link gets fewer pictures instead of late ones.
"""

import logging
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ai_nano.core import answers
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, HostKeyError, MachineError
from ai_nano.core.ports import Picture
from ai_nano.core.wire import check_version
from ai_nano.machines.channel import Channel, first_line

CREDIT = b"\n"
AHEAD = 2
RETRY_S = 1.0
POLL_S = 0.2
# The relay says something every second.
SILENCE_S = 10.0
LENGTHS = struct.Struct(">II")
# No block is larger; what claims to be is something else than a block. A picture has at most 640 x 640 pixels.
MAXIMUM_BYTES = 4 << 20
MAXIMUM_HEADER_BYTES = 16 << 10
LARGEST_SIDE = 4096

log = logging.getLogger(__name__)


class Runner(Protocol):
    name: str

    def runner(self, *words: str) -> Channel:
        """Start `runner.py ...` there. MachineError when the machine cannot be reached."""


def watch(runner: Runner, run_id: str, on_picture: Callable[[Picture], None], cancel: CancelToken) -> None:
    """Returns when the run has ended, when cancelled, and where watching cannot work; a lost machine is tried again."""
    while not cancel.cancelled:
        try:
            _watch_once(runner, run_id, on_picture, cancel)
            return
        except HostKeyError as error:
            log.info("not watching %s on %s: %s", run_id, runner.name, error.code)
            return
        except MachineError as error:
            log.info("lost %s while watching %s: %s", runner.name, run_id, error.code)
            cancel.wait(RETRY_S)
        except AiNanoError as error:
            log.info("not watching %s on %s: %s", run_id, runner.name, error.code)
            return


def _watch_once(runner: Runner, run_id: str, on_picture: Callable[[Picture], None], cancel: CancelToken) -> None:
    """One connection's worth. MachineError when it broke; WorkFailed when there is no such run."""
    channel = runner.runner("frames", run_id)
    try:
        blocks = _Blocks(channel, runner.name, cancel)
        if not blocks.begin():
            return
        channel.write(CREDIT * AHEAD)
        while (block := blocks.next()) is not None:
            header, jpeg = block
            match header.get("type"):
                case "picture":
                    with answers.reading(runner.name):
                        picture = _picture(header, jpeg)
                    on_picture(picture)
                    channel.write(CREDIT)
                case "end":
                    return
    finally:
        channel.close()


def _picture(header: Mapping[str, Any], jpeg: bytes) -> Picture:
    """Raises Nonsense."""
    return Picture(jpeg, answers.count(header, "frame"), answers.number(header, "t"),
                   answers.count(header, "width", 1, LARGEST_SIDE), answers.count(header, "height", 1, LARGEST_SIDE))


class _Blocks:
    """What the relay sends. Each read gives None once cancelled; MachineError when the connection broke."""

    def __init__(self, channel: Channel, machine: str, cancel: CancelToken) -> None:
        self._channel = channel
        self._machine = machine
        self._cancel = cancel

    def begin(self) -> bool:
        """Read the line before the first block; a login's own greeting before it is passed over. False once cancelled."""
        # Short slices, so that a cancelled viewer does not wait for a greeting's end.
        line = self._wait(lambda: first_line(self._channel, self._machine, POLL_S))
        if line is None:
            return False
        if not line.endswith(b"\n"):
            raise self._lost()
        message = self._decode(line)
        if message.get("type") == "error":
            with answers.reading(self._machine):
                raise answers.error(message, self._machine)
        return True

    def next(self) -> tuple[Mapping[str, Any], bytes] | None:
        lengths = self._read(LENGTHS.size)
        if lengths is None:
            return None
        header_bytes, jpeg_bytes = LENGTHS.unpack(lengths)
        if header_bytes > MAXIMUM_HEADER_BYTES or jpeg_bytes > MAXIMUM_BYTES:
            raise MachineError("machine.nonsense", machine=self._machine)
        header, jpeg = self._read(header_bytes), self._read(jpeg_bytes)
        return None if header is None or jpeg is None else (self._decode(header), jpeg)

    def _read(self, size: int) -> bytes | None:
        data = self._wait(lambda: self._channel.read(size, POLL_S))
        if data is not None and len(data) < size:
            raise self._lost()
        return data

    def _wait(self, attempt: Callable[[], bytes | None]) -> bytes | None:
        since = time.monotonic()
        while not self._cancel.cancelled:
            data = attempt()
            if data is not None:
                return data
            if time.monotonic() - since > SILENCE_S:
                raise self._lost()
        return None

    def _decode(self, line: bytes) -> Mapping[str, Any]:
        with answers.reading(self._machine):
            message = answers.decode(line)
        check_version(message, self._machine)
        return message

    def _lost(self) -> MachineError:
        return MachineError("machine.lost", machine=self._machine)
