"""Sends what a run writes, as it comes, and takes the laptop's lease and commands from standard input."""

import codecs
import os
import select
import time
from typing import Any, Dict, Optional

from shared.console import say
from shared.runs import RunFolder
from shared.wire import Appender, decode, encode

POLL_S = 0.05
ALIVE_S = 1.0
LOG_BYTES = 64 * 1024
# What one turn sends at most, so that a flood of events never keeps the lease from being read.
EVENTS_A_TURN = 500
COMMAND_BYTES = 64 * 1024
STDIN = 0


class EventTail:
    """Sends the whole lines of events.jsonl from a byte offset on."""

    def __init__(self, folder: RunFolder, offset: int) -> None:
        self._path = folder.events
        self._offset = offset

    def send(self, final: bool) -> bool:
        """Whether anything was there to send; a last line without its newline is held back, for ever if need be."""
        sent = False
        try:
            stream = open(str(self._path), "rb")
        except FileNotFoundError:
            return False
        with stream:
            stream.seek(self._offset)
            for _ in range(EVENTS_A_TURN):
                line = stream.readline()
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                sent = True
                event = decode(line)
                if event is not None:
                    say("event", end=self._offset, event=event)
        return sent


class LogTail:
    """Sends output.log from a byte offset on: whole lines, at most 64 kB a message, other bytes than UTF-8 replaced."""

    def __init__(self, folder: RunFolder, offset: int) -> None:
        self._path = folder.output
        self._offset = offset

    def send(self, final: bool) -> bool:
        """Whether anything was there to send; with `final` also a last line without its newline."""
        try:
            with open(str(self._path), "rb") as stream:
                stream.seek(self._offset)
                chunk = stream.read(LOG_BYTES)
        except FileNotFoundError:
            return False
        whole = chunk[:chunk.rfind(b"\n") + 1]
        if not whole and len(chunk) < LOG_BYTES and not final:
            return False
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(whole or chunk, final and not whole and len(chunk) < LOG_BYTES)
        held_back = len(decoder.getstate()[0])  # a character that the 64 kB cut in two
        length = len(whole or chunk) - held_back
        if length == 0:
            return False
        self._offset += length
        say("log", end=self._offset, text=text)
        return True


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


def follow(folder: RunFolder, events_offset: int, log_offset: int) -> None:
    """Returns when the run has ended and all was sent, or, while it runs, at the end of standard input.

    Raises BrokenPipeError when nobody reads standard output any more.
    """
    tails = (EventTail(folder, events_offset), LogTail(folder, log_offset))
    inbox = Inbox(folder)
    looked = last_said = time.monotonic()
    ended = _end(folder)
    listening = True
    while True:
        sent = [tail.send(final=ended is not None) for tail in tails]
        now = time.monotonic()
        if any(sent):
            last_said = now
        elif ended is not None:
            say("end", state=ended["state"], exit=ended["exit"])
            return
        elif now - last_said >= ALIVE_S:
            say("alive")
            last_said = now
        listening = listening and inbox.read(0 if any(sent) else POLL_S)
        if not listening and ended is None:
            return
        if ended is None and (folder.exit() is not None or now - looked >= ALIVE_S):
            ended, looked = _end(folder), now


def _end(folder: RunFolder) -> Optional[Dict[str, Any]]:
    """How the run ended; None while it runs."""
    state = folder.state()
    return None if state == "running" else {"state": state, "exit": folder.exit()}
