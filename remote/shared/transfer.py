"""Takes a parcel of files for one model, and gives files back: one conversation over standard input and output.

    python PROGRAMS/shared/transfer.py --root ROOT receive
    python PROGRAMS/shared/transfer.py --root ROOT send MODEL FILE [--offset N]

doc/design/transfers.md says what goes in and out.
"""

import argparse
import os
import select
import sys
import tarfile
import time
from pathlib import Path
from typing import List, Tuple

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from shared import console, versions  # noqa: E402
from shared.files import sha256  # noqa: E402
from shared.incoming import SHA256, Entry, Incoming, Parcel, allowed  # noqa: E402
from shared.models import Models  # noqa: E402
from shared.wire import Failure, decode  # noqa: E402

STDIN, STDOUT = 0, 1
BLOCK = 1 << 18
LONGEST_LINE = 1 << 26
# What is lost at most of a file that is cut short, beside what is on its way.
PIECE = 1 << 16
# Nobody is there any more: a laptop whose network is slow still sends something.
SILENCE_S = 60.0
REPORT_S = 0.2
ALIVE_S = 1.0
# An archive's headers and padding.
PER_FILE, PER_ARCHIVE = 4096, 1 << 20


class Gone(Exception):
    """The laptop went away; what arrived stays for its next try."""


class Input:
    """Standard input, of which no more is read than was announced; says while it waits that this side is alive."""

    def __init__(self) -> None:
        self._buffer = b""
        self._left = LONGEST_LINE
        self._said = time.monotonic()
        self._news = False
        self.bytes = 0
        self.files = 0

    def line(self) -> bytes:
        """Raises Failure transfer.bad_parcel, Gone."""
        pieces: List[bytes] = []
        while True:
            block = self._receive()
            head, newline, rest = block.partition(b"\n")
            pieces.append(head)
            if newline:
                self._buffer = rest
                return b"".join(pieces)

    def announce(self, size: int) -> None:
        self._left = size - len(self._buffer)

    def read(self, size: int) -> bytes:
        """For tarfile: at most `size` bytes, at least one."""
        if not self._buffer:
            self._buffer = self._receive()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive(self) -> bytes:
        deadline = time.monotonic() + SILENCE_S
        while not select.select([STDIN], [], [], REPORT_S)[0]:
            self.tick()
            if time.monotonic() > deadline:
                raise Gone()
        data = os.read(STDIN, BLOCK)
        if not data:
            raise Gone()
        self._left -= len(data)
        if self._left < 0:
            raise Failure("transfer.unexpected", name="")
        self.tick()
        return data

    def count(self, size: int) -> None:
        self.bytes += size
        self._news = True

    def tick(self) -> None:
        """Says how much has come, or that this side is alive, where it is time to."""
        silent = time.monotonic() - self._said
        if silent >= (REPORT_S if self._news else ALIVE_S):
            self._said = time.monotonic()
            if self._news:
                self._news = False
                console.say("received", files=self.files, bytes=self.bytes)
            else:
                console.say("alive")


def receive(root: Path) -> None:
    source = Input()
    parcel = Parcel(decode(source.line()) or {})
    Models(root).heal()
    incoming = Incoming(root, parcel, source.tick)
    with incoming.taken():
        if incoming.there_already():
            incoming.leave()
            console.say("missing", model=incoming.model, files=[], linked=0)
            incoming.told = True
            _tell_result(incoming.model, incoming.target, parcel, [])
            return
        missing = incoming.missing()
        console.say("missing", model=incoming.model, files=[[entry.number, offset] for entry, offset in missing],
                    linked=incoming.linked)
        incoming.told = True
        differing = _unpack(source, incoming, missing) if missing else []
        path = None if differing else incoming.appear()
        _tell_result(incoming.model, path, parcel, differing)


def _tell_result(model: str, path: "os.PathLike[str] | None", parcel: Parcel, differing: List[int]) -> None:
    console.say("result", model=model, path=None if path is None else str(path), files=len(parcel.entries), differs=differing)


def _unpack(source: Input, incoming: Incoming, missing: List[Tuple[Entry, int]]) -> List[int]:
    """The indices of what arrived damaged. Names in the archive never become paths. Failure transfer.unexpected, Gone."""
    source.announce(sum(entry.size - offset + PER_FILE for entry, offset in missing) + PER_ARCHIVE)
    differing = []
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=BLOCK) as archive:  # type: ignore[call-overload]
            for entry, offset in missing:
                member = archive.next()
                if member is None:
                    raise Failure("transfer.unexpected", name="")
                number, _, digest = member.name.partition(".")
                right = member.isreg() and number == str(entry.number) and member.size == entry.size - offset
                if not right or not SHA256.match(digest):
                    raise Failure("transfer.unexpected", name=member.name[:200])
                content = archive.extractfile(member)
                assert content is not None, "it is a regular file"
                with incoming.part(entry, offset) as write:
                    block = content.read(PIECE)
                    while block:
                        write(block)
                        source.count(len(block))
                        block = content.read(PIECE)
                if incoming.finish(entry, digest):
                    source.files += 1
                else:
                    differing.append(entry.number)
            if archive.next() is not None:
                raise Failure("transfer.unexpected", name="")
    except tarfile.TarError:
        raise Failure("transfer.unexpected", name="") from None
    return differing


def send(root: Path, model: str, name: str, offset: int) -> None:
    if not allowed(name):
        raise Failure("transfer.bad_path", path=name)
    path = Models(root).existing(model) / name
    digest = sha256(path)
    if digest is None or path.is_symlink() or offset < 0:
        raise Failure("transfer.missing", model=model, file=name)
    with open(str(path), "rb") as stream:
        console.say("file", size=os.fstat(stream.fileno()).st_size, sha256=digest)
        stream.seek(offset)
        for block in iter(lambda: stream.read(BLOCK), b""):
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Files of ai_nano's models, to and from this machine.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    verbs = parser.add_subparsers(dest="verb")
    verbs.required = True
    verbs.add_parser("receive", help="take the parcel that comes on standard input")
    sending = verbs.add_parser("send", help="write a file of a model to standard output")
    sending.add_argument("model")
    sending.add_argument("file")
    sending.add_argument("--offset", type=int, default=0, help="where to begin, in bytes")
    return parser


def carry_out(options: argparse.Namespace, root: Path) -> None:
    if options.verb == "send":
        send(root, options.model, options.file, options.offset)
        return
    try:
        receive(root)
    except Gone:
        pass


def main(argv: List[str]) -> int:
    versions.touch(PROGRAMS)
    options = get_parser().parse_args(argv)
    root = console.absolute_root(options.root)
    return console.answer("shared/transfer.py", root, lambda: carry_out(options, root))


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
