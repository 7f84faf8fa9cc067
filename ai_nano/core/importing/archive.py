"""A zip of pictures that somebody else has made. Nothing of it is unpacked to a disk: members are read one by one, bounded.

So names that lead out of the archive could do no harm; they are refused all the same, since no honest program writes them.
"""

import contextlib
import stat
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from ai_nano.core import natural, zip_table
from ai_nano.core.answers import shown
from ai_nano.core.importing.find import HEAD_BYTES, LARGEST_FILE, ZIP, meant, passed_over
from ai_nano.core.importing.pictures import LeftOut

MOST_MEMBERS = 200_000
# Photographs hardly shrink in a zip; drawings without compression of their own shrink to a hundredth.
MOST_GROWTH = 200
GROWS_FREELY = 256 << 20
_UTF8 = 0x800
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Member:
    """One file of an archive, as a Source; `reason`: why it is left out without being looked at."""

    archive: "Archive"
    info: zipfile.ZipInfo
    path: str
    name: str
    folders: tuple[str, ...]
    sure: bool = True
    reason: LeftOut | None = None

    @property
    def shown(self) -> str:
        return f"{shown(str(self.archive.path))}: {shown(self.path)}"

    @property
    def uri(self) -> str:
        return f"{self.archive.path.absolute().as_uri()}#{quote(self.path, errors='replace')}"

    def look(self) -> tuple[bytes, float]:
        return self.archive.read(self.info, HEAD_BYTES), self._time()

    def read(self) -> bytes:
        if self.info.file_size > LARGEST_FILE:
            raise LeftOut("large", most=LARGEST_FILE >> 20)
        return self.archive.read(self.info, self.info.file_size)

    def _time(self) -> float:
        """A zip keeps the local time, to two seconds."""
        try:
            return time.mktime((*self.info.date_time, 0, 0, -1))
        except (ValueError, OverflowError):
            return self.archive.changed


class Archive:
    """An open zip. Members may be read in any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        """LeftOut for what is no zip, or unpacks to more than it can honestly hold."""
        self.path = path
        try:
            self.changed = path.stat().st_mtime
            if zip_table.size(path) > zip_table.LARGEST:
                raise LeftOut("bomb")
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise LeftOut("unreadable", reason=error.strerror or str(error)) from error
        except zip_table.BROKEN as error:
            raise LeftOut("no_zip") from error
        self._reading = threading.Lock()
        infos = self._zip.infolist()
        length = path.stat().st_size
        packed, unpacked = sum(one.compress_size for one in infos), sum(one.file_size for one in infos)
        # Members that share their bytes are how a small file becomes petabytes.
        if len(infos) > MOST_MEMBERS or packed > length or unpacked > GROWS_FREELY + MOST_GROWTH * length:
            self._zip.close()
            raise LeftOut("bomb")

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._zip.close()

    def members(self) -> Iterator[Member]:
        """In natural order, without folders and without what a system has put there for itself."""
        named = [(_name(info), info) for info in self._zip.infolist()]
        for path, info in sorted(named, key=lambda one: [natural.key(part) for part in one[0].split("/")]):
            parts = tuple(part for part in path.split("/") if part not in ("", "."))
            if not parts or path.endswith("/") or any(passed_over(part) for part in parts if part != ".."):
                continue
            sure = meant(parts[-1])
            if sure is not False or parts[-1].lower().endswith(ZIP):
                yield Member(self, info, path, parts[-1], parts[:-1], sure is True, _refusal(path, parts, info))

    def read(self, info: zipfile.ZipInfo, most: int) -> bytes:
        """The first `most` bytes. LeftOut."""
        try:
            with self._reading, self._zip.open(info) as stream:
                return stream.read(most)
        except OSError as error:
            raise LeftOut("unreadable", reason=error.strerror or str(error)) from error
        except (*zip_table.BROKEN, AssertionError, KeyError) as error:
            raise LeftOut("damaged") from error


def _name(info: zipfile.ZipInfo) -> str:
    """With `/` between folders, whatever wrote it. Of names that are not marked as UTF-8 most are so all the same, since
    macOS leaves the mark out; the others are MS-DOS's."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _refusal(path: str, parts: tuple[str, ...], info: zipfile.ZipInfo) -> LeftOut | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if ".." in parts or path.startswith("/") or parts[0][1:2] == ":" or "\0" in path:
        return LeftOut("escapes")
    if kind not in (0, stat.S_IFREG):
        return LeftOut("link" if kind == stat.S_IFLNK else "special")
    if info.flag_bits & _ENCRYPTED:
        return LeftOut("encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return LeftOut("packed")
    return LeftOut("archive") if parts[-1].lower().endswith(ZIP) else None
