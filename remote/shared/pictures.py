"""Live pictures of a run: what the program that makes them and the relay to the laptop agree on.

They meet at an abstract Unix socket (Linux): no file on the SD card, and nothing left behind, not even after KILL.
"""

import hashlib
import os
import socket
import struct
from pathlib import Path
from typing import Any, Dict, List, Optional

from shared.wire import VERSION, encode

LENGTHS = struct.Struct(">II")
CREDIT = b"\n"
# A viewer that asks for more before it has any does not get more: pictures, and full frames.
CREDITS = 8
KEEPS = 8
# What a viewer may send before the end of a line.
LINE_BYTES = 4096
_CREDENTIALS = struct.Struct("3i")


def address(folder: Path) -> bytes:
    """Where a run's pictures are to be had. Hashed, because a socket's address has 108 bytes and a path may have more."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(str(folder)))).hexdigest()
    return b"\0ai_nano-pictures-" + digest[:32].encode("ascii")


def trusted(connection: socket.socket) -> bool:
    """Whether the other end is this user or root: an abstract socket has no owner and no mode that could say so."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1] in (0, os.geteuid())


def pack(type: str, jpeg: bytes = b"", **fields: Any) -> bytes:
    """One block: the lengths of both parts (32 bits each, big-endian), the JSON, the JPEG."""
    message: Dict[str, Any] = {"v": VERSION, "type": type}
    message.update(fields)
    header = encode(message)
    return LENGTHS.pack(len(header), len(jpeg)) + header + jpeg


def take(buffer: bytearray) -> Optional[bytes]:
    """Removes the first block from `buffer`; None while it is not there whole."""
    if len(buffer) < LENGTHS.size:
        return None
    size = LENGTHS.size + sum(LENGTHS.unpack(bytes(buffer[:LENGTHS.size])))
    if len(buffer) < size:
        return None
    block = bytes(buffer[:size])
    del buffer[:size]
    return block


class Lines:
    """Whole lines out of what a viewer sends, without their ends; one of more than LINE_BYTES is passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False

    def feed(self, data: bytes) -> List[bytes]:
        lines = (self._rest + data).split(CREDIT)
        self._rest = lines.pop()
        if lines and self._too_long:
            self._too_long = False
            del lines[0]  # the end of it
        if len(self._rest) > LINE_BYTES:
            self._too_long, self._rest = True, b""
        return [line for line in lines if len(line) <= LINE_BYTES]
