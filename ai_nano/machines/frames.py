"""Watching a run: its live pictures over a channel of their own, one for each that this side has room for.

doc/design/wire.md has the form. Two pictures are asked for at the start, then one for each that was dealt with: one is
on its way while another is shown, and a slow viewer or a slow link gets fewer pictures instead of late ones. How large
they are to be follows the link (core/nano/adapting.py). Full frames are asked for on the same channel.
"""

import json
import logging
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ai_nano.core import answers
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, HostKeyError, MachineError
from ai_nano.core.nano.adapting import Adapting
from ai_nano.core.ports import Picture
from ai_nano.core.watching import Kept, Watching
from ai_nano.core.wire import check_version
from ai_nano.machines.channel import SLOWEST_BYTES_A_S, Channel, first_line
from ai_nano.machines.credits import Credits

CREDIT = b"\n"
AHEAD = 2
RETRY_S = 1.0
POLL_S = 0.2
# The relay says something every second.
SILENCE_S = 10.0
LENGTHS = struct.Struct(">II")
# No block is larger; what claims to be is something else than a block. A full frame has at most LARGEST_SIDE squared pixels.
MAXIMUM_BYTES = 12 << 20
MAXIMUM_HEADER_BYTES = 16 << 10
LARGEST_SIDE = 4096

log = logging.getLogger(__name__)


class Runner(Protocol):
    name: str

    def runner(self, *words: str) -> Channel:
        """Start `runner.py ...` there. MachineError when the machine cannot be reached."""


def watch(runner: Runner, run_id: str, on_picture: Callable[[Picture], None], cancel: CancelToken,
          watching: Watching | None = None, adaptive: bool = True) -> None:
    """Returns when the run has ended, when cancelled, and where watching cannot work; a lost machine is tried again."""
    viewer = _Viewer(on_picture, watching, Adapting() if adaptive else None)
    try:
        while not cancel.cancelled:
            try:
                _watch_once(runner, run_id, viewer, cancel)
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
    finally:
        if watching is not None:
            watching.end()


def _watch_once(runner: Runner, run_id: str, viewer: "_Viewer", cancel: CancelToken) -> None:
    """One connection's worth. MachineError when it broke; WorkFailed when there is no such run."""
    channel = runner.runner("frames", run_id)
    try:
        blocks = _Blocks(channel, runner.name, cancel)
        if not blocks.begin():
            return
        viewer.begin(channel)
        while (block := blocks.next(viewer.ask)) is not None:
            header, jpeg = block
            with answers.reading(runner.name):
                ended = viewer.take(header, jpeg)
            if ended:
                return
    finally:
        channel.close()


class _Viewer:
    """This side of the talk, through any number of connections."""

    def __init__(self, on_picture: Callable[[Picture], None], watching: Watching | None, adapting: Adapting | None) -> None:
        self._on_picture = on_picture
        self._watching = watching
        self._adapting = adapting
        self._channel: Channel | None = None
        self._credits = Credits()

    def begin(self, channel: Channel) -> None:
        self._channel, self._credits = channel, Credits()
        if self._watching is not None:
            self._watching.ask_again()
        if self._adapting is not None:
            self._adapting.lost()
            self._wish()
        for _ in range(AHEAD):
            self._credits.give(measured=False)  # the program may be there only in minutes
        self._write(CREDIT * AHEAD)

    def ask(self) -> None:
        """For the frames that somebody wants to be kept."""
        for frame in self._watching.to_ask() if self._watching is not None else ():
            self._say({"type": "keep", "frame": frame})
            self._credits.disturb()  # a full frame goes before the pictures

    def take(self, header: Mapping[str, Any], jpeg: bytes) -> bool:
        """One block; True when it is the last. Raises Nonsense."""
        match header.get("type"):
            case "picture":
                self._take_picture(header, jpeg)
            case "kept" if self._watching is not None:
                self._credits.disturb()
                self._watching.answer(_kept(header, jpeg))
            case "end":
                return True
        return False

    def _take_picture(self, header: Mapping[str, Any], jpeg: bytes) -> None:
        picture = Picture(jpeg, answers.count(header, "frame"), answers.number(header, "t"),
                          answers.count(header, "width", 1, LARGEST_SIDE), answers.count(header, "height", 1, LARGEST_SIDE))
        late_s = self._credits.taken(answers.optional(answers.number, header, "waited"))
        if self._adapting is not None and late_s is not None and self._adapting.came(late_s, time.monotonic()):
            self._wish()
        self._on_picture(picture)
        self.ask()
        self._credits.give()
        self._write(CREDIT)

    def _wish(self) -> None:
        assert self._adapting is not None
        want = self._adapting.want
        self._say({"type": "want", "width": want.width, "quality": want.quality, "fps": want.fps})

    def _say(self, message: Mapping[str, Any]) -> None:
        self._write(json.dumps({"v": 1, **message}).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        assert self._channel is not None
        self._channel.write(data)


def _kept(header: Mapping[str, Any], jpeg: bytes) -> Kept:
    """Raises Nonsense."""
    frame, width, height = answers.count(header, "frame"), _side(header, "width"), _side(header, "height")
    if not (width and height and jpeg):
        return Kept(frame, None)
    return Kept(frame, jpeg, answers.number(header, "t"), width, height)


def _side(header: Mapping[str, Any], key: str) -> int:
    return answers.count(header, key, 0, LARGEST_SIDE)


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

    def next(self, idle: Callable[[], None]) -> tuple[Mapping[str, Any], bytes] | None:
        """`idle` is called while there is none, a few times a second."""
        lengths = self._read(LENGTHS.size, idle)
        if lengths is None:
            return None
        header_bytes, jpeg_bytes = LENGTHS.unpack(lengths)
        if header_bytes > MAXIMUM_HEADER_BYTES or jpeg_bytes > MAXIMUM_BYTES:
            raise MachineError("machine.nonsense", machine=self._machine)
        header, jpeg = self._read(header_bytes), self._read(jpeg_bytes)
        return None if header is None or jpeg is None else (self._decode(header), jpeg)

    def _read(self, size: int, idle: Callable[[], None] = lambda: None) -> bytes | None:
        data = self._wait(lambda: self._channel.read(size, POLL_S), idle, SILENCE_S + size / SLOWEST_BYTES_A_S)
        if data is not None and len(data) < size:
            raise self._lost()
        return data

    def _wait(self, attempt: Callable[[], bytes | None], idle: Callable[[], None] = lambda: None,
              patience_s: float = SILENCE_S) -> bytes | None:
        since = time.monotonic()
        while not self._cancel.cancelled:
            idle()
            data = attempt()
            if data is not None:
                return data
            if time.monotonic() - since > patience_s:
                raise self._lost()
        return None

    def _decode(self, line: bytes) -> Mapping[str, Any]:
        with answers.reading(self._machine):
            message = answers.decode(line)
        check_version(message, self._machine)
        return message

    def _lost(self) -> MachineError:
        return MachineError("machine.lost", machine=self._machine)
