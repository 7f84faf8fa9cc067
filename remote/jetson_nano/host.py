"""The way from a program in a container to the process on the host that started it (in_container.py).

They meet at an abstract Unix socket, which they share because the container has the host's network. Each message is one packet
of JSON; open files travel beside it (SCM_RIGHTS). The kernel ends the connection when either side dies, whatever it died of.
doc/design/container.md has the messages.
"""

import array
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import IO, Any, Dict, List, NamedTuple, Optional, Tuple

from shared.pictures import trusted

# In the environment of every program in a container: the socket's name.
NAME = "AI_NANO_HOST"
# What the board is called: the device tree cannot be seen from inside.
BOARD = "AI_NANO_BOARD"
LONGEST = 65536
FILES = 4
ANSWER_S = 30.0
_INTEGER = array.array("i").itemsize

Message = Dict[str, Any]


def inside() -> bool:
    """Whether this program runs in a container that in_container.py started."""
    return NAME in os.environ


def name_of(folder: Path) -> str:
    """The socket's name for a run's folder."""
    return "ai_nano-host-" + hashlib.sha256(os.fsencode(os.path.realpath(str(folder)))).hexdigest()[:32]


def listen(name: str) -> socket.socket:
    """Raises OSError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(b"\0" + name.encode("ascii"))
        listener.listen(FILES)
    except OSError:
        listener.close()
        raise
    return listener


def connect(name: str) -> socket.socket:
    """Raises OSError: the host's process is gone, or another user's is there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(b"\0" + name.encode("ascii"))
        if not trusted(connection):
            raise PermissionError(name)
    except OSError:
        connection.close()
        raise
    return connection


def send(connection: socket.socket, message: Message, files: Tuple[int, ...] = ()) -> None:
    """Raises OSError."""
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    connection.sendmsg([json.dumps(message).encode("utf-8")], beside)


def receive(connection: socket.socket) -> Tuple[Optional[Message], List[int]]:
    """The next message with the files that came along; None at the end. Raises OSError, ValueError."""
    data, beside, _flags, _address = connection.recvmsg(LONGEST, socket.CMSG_SPACE(FILES * _INTEGER))
    files = array.array("i")
    for level, kind, content in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(content[:len(content) - len(content) % _INTEGER])
    for each in files:
        os.set_inheritable(each, False)
    return (json.loads(data.decode("utf-8")) if data else None), list(files)


class FarProcess(NamedTuple):
    """A process on the host, as far as it can be had from here: its pipes. It ends when they do, and the host reaps it."""

    stdin: IO[bytes]
    stdout: IO[bytes]

    def wait(self, timeout: Optional[float] = None) -> int:
        return 0

    def kill(self) -> None:
        pass


def start_guard(params: Message) -> FarProcess:
    """led_guard.py on the host: pins belong to it, and Jetson.GPIO is not in the image. Raises OSError, ValueError."""
    connection = connect(os.environ[NAME])
    try:
        connection.settimeout(ANSWER_S)
        send(connection, {"type": "guard", "params": params})
        _answer, files = receive(connection)
        if len(files) != 2:
            raise ConnectionError("no guard")
        return FarProcess(os.fdopen(files[0], "wb", 0), os.fdopen(files[1], "rb", 0))
    finally:
        connection.close()
