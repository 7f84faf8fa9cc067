"""Sends what a run writes, as it comes, and takes the laptop's lease and commands from standard input."""

import codecs
import os
import re
import select
import time
from pathlib import Path
from typing import Any, Dict, Optional

from shared import ended_by
from shared.bounds import read_piece
from shared.console import say
from shared.runs import RunFolder
from shared.waiting import Waiting
from shared.wire import Appender, decode, encode

# How often is looked: after a silence seldom, for a whole class follows runs that say nothing while they wait.
POLL_S, POLL_MOST_S = 0.05, 0.25
ALIVE_S = 1.0
LOG_BYTES = 64 * 1024
EVENTS_BYTES = 256 * 1024
# The longest line that is taken for an event.
EVENT_BYTES = 4 * 1024 * 1024
# What one turn sends at most, so that a flood of events never keeps the lease from being read.
EVENTS_A_TURN = 500
COMMAND_BYTES = 64 * 1024
STDIN = 0
# Where to begin in a file, as it is asked for: so many bytes from its beginning, at its end of now, or so many before that.
BEGINNING = re.compile(r"(?:(\d{1,18})|end(?:-(\d{1,18}))?)\Z")


def beginning(words: str) -> str:
    """The words, if they say where to begin; else ValueError, as argparse wants it."""
    if not BEGINNING.match(words):
        raise ValueError(words)
    return words


def offset(words: str, path: Path) -> int:
    """In bytes; 0 in a file that is not there yet. A line that it cuts in two is passed over, like a torn one."""
    match = BEGINNING.match(words)
    assert match is not None
    if match.group(1) is not None:
        return int(match.group(1))
    try:
        size = os.stat(str(path)).st_size
    except FileNotFoundError:
        return 0
    return max(0, size - int(match.group(2) or 0))


class Tail:
    """Sends what is in a file from a byte offset on; what has been given back to the disk is told as `skipped`."""

    what = ""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        self._offset = offset

    def send(self, final: bool) -> bool:
        """Whether anything was there to send; `final`: nobody writes to the file any more."""
        try:
            descriptor = os.open(str(self._path), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return self._send(descriptor, final)
        finally:
            os.close(descriptor)

    def _send(self, descriptor: int, final: bool) -> bool:
        raise NotImplementedError

    def _read(self, descriptor: int, size: int) -> bytes:
        """The bytes at the offset, which has been moved past a hole if need be."""
        piece = read_piece(descriptor, self._offset, size)
        while piece.skipped:
            self._skip(piece.skipped)
            piece = read_piece(descriptor, self._offset, size)
        return piece.data

    def _skip(self, count: int) -> None:
        self._offset += count
        say("skipped", what=self.what, bytes=count, end=self._offset)


class EventTail(Tail):
    """The whole lines of events.jsonl; a last line without its newline is held back, for ever if need be."""

    what = "events"

    def _send(self, descriptor: int, final: bool) -> bool:
        before = self._offset
        data = self._read(descriptor, EVENTS_BYTES)
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) == EVENTS_BYTES:
            data = self._read(descriptor, EVENT_BYTES)
            whole = data.rfind(b"\n") + 1
            if not whole and len(data) == EVENT_BYTES:
                self._skip(len(data))  # no program of ours writes such a line
        for line in data[:whole].split(b"\n")[:-1][:EVENTS_A_TURN]:
            self._offset += len(line) + 1
            event = decode(line)
            if event is not None:
                say("event", end=self._offset, event=event)
        return self._offset > before


class LogTail(Tail):
    """output.log: whole lines, at most 64 kB a message, other bytes than UTF-8 replaced; at the end also a last line without
    its newline."""

    what = "log"

    def _send(self, descriptor: int, final: bool) -> bool:
        before = self._offset
        chunk = self._read(descriptor, LOG_BYTES)
        whole = chunk[:chunk.rfind(b"\n") + 1]
        if not whole and len(chunk) < LOG_BYTES and not final:
            return self._offset > before
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(whole or chunk, final and not whole and len(chunk) < LOG_BYTES)
        held_back = len(decoder.getstate()[0])  # a character that the 64 kB cut in two
        length = len(whole or chunk) - held_back
        if length > 0:
            self._offset += length
            say("log", end=self._offset, text=text)
        return self._offset > before


class Inbox:
    """What the laptop sends while it follows."""

    def __init__(self, folder: RunFolder) -> None:
        self._lease = folder.lease
        self._commands = Appender(folder.commands)
        self._pending = b""

    def read(self, timeout_s: float) -> bool:
        """Waits for input at most so long and carries it out; False at the end of standard input."""
        if not select.select([STDIN], [], [], timeout_s)[0]:
            return True
        data = os.read(STDIN, COMMAND_BYTES)
        lines = (self._pending + data).split(b"\n")
        self._pending = lines.pop()[:COMMAND_BYTES]
        for line in lines:
            message = decode(line)
            if message is None:
                continue
            if message.get("type") == "lease":
                self._renew()
            else:
                self._commands.append(encode(message))
        return bool(data)

    def _renew(self) -> None:
        """Counts up in place: the file's block exists since the start, so a full disk does not end the lease."""
        descriptor = os.open(str(self._lease), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            counted = os.read(descriptor, 32)
            os.pwrite(descriptor, str(int(counted or b"0") + 1).encode("ascii"), 0)
        finally:
            os.close(descriptor)


def pause_s(silent_s: float) -> float:
    """Until the next look: what comes is late by a tenth of the silence before it at most."""
    return min(POLL_MOST_S, max(POLL_S, silent_s / 10))


def follow(folder: RunFolder, events_offset: int, log_offset: int) -> None:
    """Returns when the run has ended and all was sent, or, while it runs, at the end of standard input.

    Raises BrokenPipeError when nobody reads standard output any more.
    """
    tails = (EventTail(folder.events, events_offset), LogTail(folder.output, log_offset))
    inbox, waiting = Inbox(folder), Waiting(folder)
    looked = last_said = moved = time.monotonic()
    ended = _end(folder)
    listening = True
    while True:
        sent = [tail.send(final=ended is not None) for tail in tails]
        now = time.monotonic()
        queue = waiting.news(now) if ended is None else None
        if queue is not None:
            say("queue", **queue)
        if any(sent) or queue is not None:
            last_said = moved = now
        elif ended is not None:
            say("end", **ended)
            return
        elif now - last_said >= ALIVE_S:
            say("alive")
            last_said = now
        listening = listening and inbox.read(0 if any(sent) else pause_s(now - moved))
        if not listening and ended is None:
            return
        if ended is None and (folder.exit() is not None or now - looked >= ALIVE_S):
            ended, looked = _end(folder), now


def _end(folder: RunFolder) -> Optional[Dict[str, Any]]:
    """How the run ended; None while it runs."""
    state = folder.state()
    if state == "running":
        return None
    return {"state": state, "exit": folder.exit(), "why": folder.why(), "ended_by": ended_by.told(folder, state)}
