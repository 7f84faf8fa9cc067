"""Which class an imported picture belongs to, and which pictures are frames of one take.

A split keeps takes together, because frames of a burst are nearly the same picture (doc/design/importing.md).
"""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ai_nano.core import natural
from ai_nano.core.importing.pictures import Glimpse

T = TypeVar("T")

# Photographs that are farther apart were not taken in one go.
GAP_S = 30.0
# Frames taken out of a video are numbered, though not every frame is there.
GAP_NUMBERS = 100
_PARTS = ("train", "training", "val", "valid", "validation", "test", "testing", "images")
_NUMBER = re.compile("[0-9]+")


# ---- classes ---------------------------------------------------------------------------------------------------------


def same_class(name: str) -> str:
    """Two names of one class are equal in this form."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def class_folders(folders: Sequence[tuple[str, ...]], top: str, known: Callable[[str], bool]) -> list[str | None]:
    """For each picture below `top`, by the folders between them, the name of the one that stands for its class, or None.

    That is the outermost, or below it where all lie in one folder that holds folders (as in most zips), or in folders called
    train, val and test. Where pictures lie directly in `top`, it is `top`, if that is a class (`known`) or there is no other.
    """
    level = 0
    while level < max(map(len, folders), default=0):
        heads = {one[level] for one in folders if len(one) > level}
        deeper = sum(len(one) > level + 1 for one in folders)
        wrapped = len(heads) == 1 and 2 * deeper > len(folders)
        parts = all(head.casefold() in _PARTS for head in heads) and 2 * deeper > len(folders)
        if any(map(known, heads)) or not (wrapped or parts):
            break
        level += 1
    own = top if known(top) or not any(folders) else None
    return [one[level] if len(one) > level else own if level == 0 else None for one in folders]


# ---- takes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Looked(Generic[T]):
    """A picture that is to be imported. `place`: pictures of another class, folder or zip are of another take."""

    what: T
    name: str
    place: Hashable
    glimpse: Glimpse


@dataclass(frozen=True)
class Planned(Generic[T]):
    """`run` counts the takes of an import; `single`: a picture that is no frame of a burst, the only one of its run."""

    what: T
    run: int
    single: bool


def arrange(pictures: Iterable[Looked[T]]) -> list[Planned[T]]:
    """In the order in which they are imported: by place as they come, in it by time, then by name."""
    places: dict[Hashable, list[Looked[T]]] = {}
    for picture in pictures:
        places.setdefault(picture.place, []).append(picture)
    planned: list[Planned[T]] = []
    run = 0
    for members in places.values():
        for burst in _bursts(sorted(members, key=_order)):
            planned += [Planned(picture.what, run, len(burst) == 1) for picture in burst]
            run += 1
    return planned


def _order(picture: Looked[T]) -> tuple[bool, float, natural.Key]:
    taken = picture.glimpse.taken
    return taken is None, taken or 0.0, natural.key(picture.name)


def _bursts(ordered: Sequence[Looked[T]]) -> Iterator[list[Looked[T]]]:
    burst: list[Looked[T]] = []
    for picture in ordered:
        if burst and not _follows(burst[-1], picture):
            yield burst
            burst = []
        burst.append(picture)
    if burst:
        yield burst


def _follows(earlier: Looked[T], later: Looked[T]) -> bool:
    """Whether the later one may be the next frame of the same burst. When in doubt it is: a take too long costs a little
    of the test, one torn apart makes the test lie."""
    before, after = earlier.glimpse, later.glimpse
    if before.taken is not None and after.taken is not None:
        return after.taken - before.taken <= GAP_S
    if before.taken is not None or after.taken is not None:
        return False
    return before.size == after.size and _numbered(earlier.name, later.name)


def _numbered(earlier: str, later: str) -> bool:
    """`frame 9.png` and `frame 12.png`: one number differs, by little."""
    if _NUMBER.split(earlier) != _NUMBER.split(later):
        return False
    pairs = zip(_NUMBER.findall(earlier), _NUMBER.findall(later), strict=True)
    different = [pair for pair in pairs if pair[0].lstrip("0") != pair[1].lstrip("0")]
    return len(different) == 1 and max(map(len, different[0])) <= 18 \
        and abs(int(different[0][0]) - int(different[0][1])) <= GAP_NUMBERS
