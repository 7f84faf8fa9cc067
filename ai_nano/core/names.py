"""Names: of classes (any script), and of models (ASCII, safe in every path and shell)."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from ai_nano.core.errors import BadInput

LONGEST_CLASS_NAME = 60
# What a transfer takes (doc/design/transfers.md): less than 60 characters only in scripts of four bytes each.
LONGEST_FOLDER_BYTES = 200
# Of classes that another program named, and of any name on a disk.
LONGEST_LABEL = 255
LONGEST_FILE_NAME = 255
_APOSTROPHES = "'’"
# Under these names Windows has no folders; a workspace may go from one laptop to another.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{kind}{number}" for kind in ("com", "lpt") for number in range(10))}


def class_name(raw: str) -> str:
    """The name in its kept form (NFC, no space around it). Raises BadInput with the reason."""
    name = unicodedata.normalize("NFC", raw).strip()
    if not name:
        raise BadInput("class_name.empty")
    if len(name) > LONGEST_CLASS_NAME or len(name.encode("utf-8", "replace")) > LONGEST_FOLDER_BYTES:
        raise BadInput("class_name.long", name=name[:20] + "…", length=len(name), longest=LONGEST_CLASS_NAME)
    if name.startswith("."):
        raise BadInput("class_name.hidden", name=name)
    if "/" in name or "\\" in name:
        raise BadInput("class_name.path", name=name)
    for character in name:
        kind = unicodedata.category(character)
        if not (kind[0] in "LM" or kind == "Nd" or character in " _-" or character in _APOSTROPHES):
            raise BadInput("class_name.character", name=name, character=character)
    if name.startswith("-"):
        raise BadInput("class_name.character", name=name, character="-")
    if name.casefold() in _DEVICES:
        raise BadInput("class_name.device", name=name)
    if is_synset_line(name):
        raise BadInput("class_name.synset", name=name)
    return name


def is_device(name: str) -> bool:
    """Whether Windows takes a file of that name, with any suffix, for a device."""
    return name.partition(".")[0].strip().casefold() in _DEVICES


def is_one_folder(name: str) -> bool:
    """The least that a name must be, for classes that another program named."""
    return name not in ("", ".", "..") and not any(character in name for character in "/\\\0")


def folder_names(raw: Sequence[object]) -> list[str]:
    """Classes as a file or a folder tells them, whoever wrote it: each can be one folder. Raises BadInput."""
    found = [str(name) for name in raw]
    for place, name in enumerate(found):
        if not is_one_folder(name):
            raise BadInput("class_name.path", name=name)
        if name in found[:place]:
            raise BadInput("class_name.equal", name=name, other=name)
    return found


def is_synset_line(name: str) -> bool:
    """jetson-inference takes a label that begins with `n` and has a space at byte 9 for a WordNet id and a name."""
    encoded = name.encode("utf-8")
    return len(encoded) > 9 and encoded[:1] == b"n" and encoded[9:10] == b" "


def class_names(raw: Sequence[str]) -> list[str]:
    """All names of a project, in order. Raises BadInput when one is bad, two are equal, or there are fewer than two."""
    names = different_names(raw)
    if len(names) < 2:
        raise BadInput("class_name.one", count=len(names))
    return names


def different_names(raw: Sequence[str]) -> list[str]:
    """As many names as there are yet, in order. Raises BadInput when one is bad or two are equal."""
    names = [class_name(one) for one in raw]
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.casefold(), name)
        if twin is not name:
            raise BadInput("class_name.equal", name=name, other=twin)
    return names


def folded(name: str) -> str:
    """Equal for names that the file system of some computer takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def slug(text: str, fallback: str) -> str:
    """An ASCII word of `[a-z0-9-]`, at most 24 characters; `fallback` where nothing is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:24].strip("-")
    return word or fallback


def model_stem(student: str, project: str) -> str:
    """A model's name without its number, for example `ada-lab3-animals`; the machine that keeps the models numbers them."""
    return f"{slug(student, 'student')}-{slug(project, 'project')}"


def highest_number(stem: str, models: Iterable[str]) -> int:
    """Of the models of that stem, 0 without one."""
    found = (re.fullmatch(re.escape(stem) + r"-([0-9]{1,9})", model) for model in models)
    return max((int(match.group(1)) for match in found if match), default=0)


def is_model_name(name: str) -> bool:
    """True for one path component that both sides of the wire accept (MODEL in remote/shared/store.py)."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name) is not None
