"""Sends a run's live pictures to the laptop, one for each that the laptop asks for (doc/design/wire.md)."""

import os
import select
import socket
import sys
import time
from typing import List, Optional

from shared.console import say
from shared.pictures import CREDIT, CREDITS, KEEPS, Lines, address, pack, take, trusted
from shared.runs import RunFolder
from shared.wire import decode

ALIVE_S = 1.0
LOOK_S = 0.2
CONNECT_S = 1.0
BLOCK = 65536
STDIN = 0


class Asked:
    """What the laptop said before the program was there: of wishes the newest counts, of other lines and of room the first."""

    def __init__(self) -> None:
        self._wish: List[bytes] = []
        self._others: List[bytes] = []
        self._credits = 0

    def hear(self, lines: List[bytes]) -> None:
        for line in lines:
            if not line:
                self._credits = min(CREDITS, self._credits + 1)
            elif (decode(line) or {}).get("type") == "want":
                self._wish = [line]
            elif len(self._others) < KEEPS:
                self._others.append(line)

    def said(self) -> bytes:
        """All of it, the wish first: it is for the first picture already."""
        return b"".join(line + CREDIT for line in self._wish + self._others + [b""] * self._credits)


class Relay:
    """Between a running program and the laptop. Blocks are passed on whole, so that `end` never stands in a JPEG."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._address = address(folder.path)
        self._program: Optional[socket.socket] = None
        self._hung_up = False  # the program ends, or will send no more pictures
        self._lines = Lines()
        self._asked = Asked()
        self._received = bytearray()
        self._said = time.monotonic()

    def go(self) -> None:
        """Returns when the run has ended or at the end of standard input. Raises BrokenPipeError."""
        say("pictures", id=self._folder.id)
        try:
            while True:
                if self._program is None:
                    if self._folder.state() != "running":
                        self._send(pack("end"))
                        return
                    self._connect()
                if not self._turn():
                    return
                if time.monotonic() - self._said >= ALIVE_S:
                    self._send(pack("alive"))
        finally:
            self._hang_up()

    def _connect(self) -> None:
        """The program is there only once its engine has been loaded, which may take minutes."""
        if self._hung_up:
            return
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_S)
        try:
            connection.connect(self._address)
            if trusted(connection):
                connection.sendall(self._asked.said())
                self._program, self._asked = connection, Asked()
        except OSError:
            pass
        if self._program is None:
            connection.close()

    def _turn(self) -> bool:
        """Waits for either side and serves it; False at the end of standard input."""
        sources = [STDIN] if self._program is None else [STDIN, self._program.fileno()]
        ready = select.select(sources, [], [], LOOK_S if self._program is None else ALIVE_S)[0]
        if STDIN in ready:
            data = os.read(STDIN, BLOCK)
            if not data:
                return False
            self._ask(data)
        if self._program is not None and self._program.fileno() in ready:
            self._forward()
        return True

    def _ask(self, data: bytes) -> None:
        lines = self._lines.feed(data)
        if self._program is None:
            self._asked.hear(lines)
            return
        try:
            self._program.sendall(b"".join(line + CREDIT for line in lines))
        except OSError:
            self._hang_up()

    def _forward(self) -> None:
        assert self._program is not None
        try:
            data = self._program.recv(BLOCK)
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        self._received += data
        block = take(self._received)
        while block is not None:
            self._send(block)
            block = take(self._received)

    def _hang_up(self) -> None:
        if self._program is not None:
            self._program.close()
            self._program, self._hung_up = None, True

    def _send(self, block: bytes) -> None:
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        self._said = time.monotonic()
