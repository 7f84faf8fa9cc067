"""The two facts of EXIF that importing needs: which way up a photograph is, and when it was taken.

EXIF is a small TIFF: a directory of 12-byte entries (tag, type, count, value or its place), some of which point to further
directories. What is broken in it counts as not said.
"""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

ORIENTATION, EXIF_DIRECTORY, TAKEN, OFFSET, FRACTION = 0x0112, 0x8769, 0x9003, 0x9011, 0x9291
PREFIX = b"Exif\0\0"
_MOST_ENTRIES = 500
_SHORT, _LONG, _ASCII = 3, 4, 2
# A camera whose clock was never set says 1970 or 1980; a time out of this range is none.
_EARLIEST, _LATEST = 1990, 2100


@dataclass(frozen=True)
class Exif:
    """`orientation` 1 to 8 as EXIF counts, 1 upright; `taken` unix time."""

    orientation: int = 1
    taken: float | None = None


def read(data: bytes) -> Exif:
    """`data`: the TIFF, without EXIF's own prefix. Never raises."""
    try:
        order = {b"II": "<", b"MM": ">"}[data[:2]]
        top = _directory(data, order, struct.unpack_from(order + "L", data, 4)[0])
        orientation = top.get(ORIENTATION, 1)
        place = top.get(EXIF_DIRECTORY)
        below = _directory(data, order, place) if isinstance(place, int) else {}
    except (KeyError, struct.error):
        return Exif()
    upright = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return Exif(upright, taken(below.get(TAKEN), below.get(OFFSET), below.get(FRACTION)))


def taken(when: object, offset: object = None, fraction: object = None) -> float | None:
    """Unix time of `2026:03:31 12:00:05`, with the offset `+02:00` where it is said, else in this computer's time zone."""
    try:
        words = _text(when)
        moment = datetime.strptime(words[:19], "%Y:%m:%d %H:%M:%S")
        if not _EARLIEST <= moment.year < _LATEST:
            return None
        zone = _zone(_text(offset))
        seconds = (moment if zone is None else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    digits = _text(fraction)[:6]
    return seconds + (int(digits) / 10 ** len(digits) if digits.isascii() and digits.isdigit() else 0.0)


def _zone(offset: str) -> timezone | None:
    """Of `+02:00`; None where nothing (or nonsense) is said."""
    if len(offset) != 6 or offset[0] not in "+-" or not (offset[1:3] + offset[4:]).isdigit():
        return None
    minutes = 60 * int(offset[1:3]) + int(offset[4:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)) if minutes < 24 * 60 else None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.strip("\0 ") if isinstance(value, str) else ""


def _directory(data: bytes, order: str, place: int) -> dict[int, int | str]:
    """Its numbers and texts by tag. struct.error where it leads out of the data."""
    found: dict[int, int | str] = {}
    count = min(_MOST_ENTRIES, struct.unpack_from(order + "H", data, place)[0])
    for number in range(count):
        at = place + 2 + 12 * number
        tag, kind, length = struct.unpack_from(order + "HHL", data, at)
        if kind == _SHORT:
            found[tag] = struct.unpack_from(order + "H", data, at + 8)[0]
        elif kind == _LONG:
            found[tag] = struct.unpack_from(order + "L", data, at + 8)[0]
        elif kind == _ASCII and length <= 64:
            start = at + 8 if length <= 4 else struct.unpack_from(order + "L", data, at + 8)[0]
            found[tag] = data[start:start + length].decode("latin-1")
    return found
