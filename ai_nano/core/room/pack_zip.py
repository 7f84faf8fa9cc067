"""The zip of a room pack, read as something that a stranger made: known names, plain files, so many bytes, never extracted."""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from ai_nano.core import names, zip_table
from ai_nano.core.answers import shown
from ai_nano.core.errors import BadInput
from ai_nano.core.files import is_image_name
from ai_nano.core.room import config as configuration
from ai_nano.core.room import known_hosts

LIMIT = 1_000_000  # bytes of a text
MANIFEST, CONFIG, KNOWN_HOSTS = "room.json", configuration.FILE_NAME, known_hosts.FILE_NAME
TEXTS = (MANIFEST, CONFIG, KNOWN_HOSTS)
IMAGES = "images/"
MOST_IMAGES = 5000
LARGEST_IMAGE = 32_000_000
# A pack goes by mail or from a web page, to thirty at a time.
LARGEST = 500_000_000
# Of the table of contents, which zipfile reads whole: some 10,000 files, so that it is counted how many there are too many.
LARGEST_TABLE = 2 << 20


@dataclass(frozen=True)
class Picture:
    """An image of the starter project, in the class that its folder is named after."""

    class_name: str
    name: str
    info: zipfile.ZipInfo = field(compare=False, repr=False)


class PackZip:
    """An open room pack, whose every member is known to be one that may be there. BadInput for any other file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            size = file.stat().st_size
            if size > LARGEST:
                raise self._too_big(file.name, LARGEST)
            if zip_table.size(file) > LARGEST_TABLE:
                raise BadInput("room_pack.too_many", file=file, most=MOST_IMAGES)
            self._zip = zipfile.ZipFile(file)
        except OSError as error:
            raise BadInput("room_pack.missing", file=file, reason=error.strerror or str(error)) from error
        except zip_table.BROKEN as error:
            raise BadInput("room_pack.not_a_pack", file=file) from error
        try:
            self._texts, self.pictures = self._members()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> "PackZip":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._zip.close()

    def text(self, name: str) -> bytes | None:
        """None where there is no such member."""
        info = self._texts.get(name)
        return None if info is None else self._content(info, LIMIT)

    def picture(self, picture: Picture) -> bytes:
        return self._content(picture.info, LARGEST_IMAGE)

    def _members(self) -> tuple[dict[str, zipfile.ZipInfo], tuple[Picture, ...]]:
        texts: dict[str, zipfile.ZipInfo] = {}
        pictures: list[Picture] = []
        seen: set[str] = set()
        for info in self._zip.infolist():
            # As it stands in the file: zipfile's own `filename` ends at the first NUL.
            name = info.orig_filename
            same, kind = names.folded(name), stat.S_IFMT(info.external_attr >> 16)
            picture = self._picture(name, info)
            if same in seen or kind not in (0, stat.S_IFREG) or (name not in TEXTS and picture is None):
                raise BadInput("room_pack.member", file=self.file, member=ascii(name[:60]), known=TEXTS)
            seen.add(same)
            if picture is None:
                texts[name] = info
            else:
                pictures.append(picture)
        if MANIFEST not in texts or CONFIG not in texts:
            raise BadInput("room_pack.not_a_pack", file=self.file)
        if len(pictures) > MOST_IMAGES:
            raise BadInput("room_pack.too_many", file=self.file, most=MOST_IMAGES)
        if sum(one.info.file_size for one in pictures) > LARGEST:
            raise self._too_big(IMAGES, LARGEST)
        return texts, tuple(pictures)

    def _picture(self, name: str, info: zipfile.ZipInfo) -> Picture | None:
        """Of exactly the form `images/<class>/<file>`; None for any other."""
        parts = name.split("/")
        if len(parts) != 3 or f"{parts[0]}/" != IMAGES or not is_picture_name(parts[2]):
            return None
        try:
            if names.class_name(parts[1]) != parts[1]:
                return None
        except BadInput:
            return None
        return Picture(parts[1], parts[2], info)

    def _content(self, info: zipfile.ZipInfo, limit: int) -> bytes:
        """At most so many bytes, whatever size the file's own table tells."""
        if info.file_size > limit:
            raise self._too_big(info.orig_filename, limit)
        with self._reading(info):
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(info.compress_type)
            with self._zip.open(info) as stream:
                data = stream.read(limit + 1)
        if len(data) > limit:
            raise self._too_big(info.orig_filename, limit)
        return data

    @contextmanager
    def _reading(self, info: zipfile.ZipInfo) -> Iterator[None]:
        try:
            yield
        except (OSError, *zip_table.BROKEN) as error:  # OSError: also of a place that no file has
            raise BadInput("room_pack.damaged", file=self.file, member=info.orig_filename) from error

    def _too_big(self, member: str, limit: int) -> BadInput:
        return BadInput("room_pack.too_big", file=self.file, member=shown(member, 60), limit=limit)


def is_picture_name(name: str) -> bool:
    """A plain file name of an image, which every computer may have on its disk."""
    path = Path(name)
    return (names.is_one_folder(name) and shown(name) == name and is_image_name(path) and not name.startswith("-")
            and not set(name) & set('<>:"|?*') and len(name.encode("utf-8", "replace")) <= names.LONGEST_FOLDER_BYTES
            and not names.is_device(name))
