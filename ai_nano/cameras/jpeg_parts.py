"""A JPEG taken apart without decoding it: what it says of itself, and the same picture without what it says of its maker.

Kept is what a decoder needs. EXIF (with the place where a photograph was taken), XMP, previews, comments, colour profiles
and whatever follows the picture stay behind; the coded picture itself is not touched, byte by byte.
"""

import re
from dataclasses import dataclass

from ai_nano.cameras import exif
from ai_nano.core.importing.pictures import Glimpse, LeftOut

_SOI, _EOI, _SOS, _DRI, _COM, _APP0, _APP1, _APP14 = 0xD8, 0xD9, 0xDA, 0xDD, 0xFE, 0xE0, 0xE1, 0xEE
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
SEQUENTIAL, PROGRESSIVE = (0xC0, 0xC1), 0xC2
_ALONE = (0x01, *range(0xD0, 0xD8))
# Inside of a scan 0xff stands before 0 (a byte of the picture), before a restart, or at the scan's end. (With a single byte
# at its beginning, the pattern is searched for by memchr.)
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
# A progressive picture has about ten; a file may ask for any number, and for the work that it takes.
_MOST_SCANS = 100
_JFIF = b"JFIF\0"


@dataclass(frozen=True)
class Parts:
    """`frame` is the kind of its coding (the SOF marker). `plain`: the picture alone. `scan`: start and end in `plain` of
    the coded data, where one scan has all of it, else None. `adobe`: it bears Adobe's mark, and then four colours are stored
    inverted."""

    plain: bytes
    frame: int
    precision: int
    components: int
    width: int
    height: int
    orientation: int
    adobe: bool
    scan: tuple[int, int] | None


def glimpse(head: bytes) -> Glimpse:
    """Of a JPEG's first bytes; what lies behind them is not known. Never raises."""
    size: tuple[int, int] | None = None
    said = exif.Exif()
    position = 2
    while size is None:
        position = head.find(b"\xff", position)
        while position >= 0 and head[position:position + 2] == b"\xff\xff":
            position += 1
        if position < 0 or position + 4 > len(head):
            break
        kind = head[position + 1]
        if kind in (0, _SOI, *_ALONE):
            position += 2
            continue
        if kind in (_SOS, _EOI):
            break
        length = int.from_bytes(head[position + 2:position + 4], "big")
        payload = head[position + 4:position + 2 + length]
        if kind == _APP1 and payload.startswith(exif.PREFIX):
            said = exif.read(payload[len(exif.PREFIX):])
        if kind in _FRAMES and len(payload) >= 5:
            size = int.from_bytes(payload[3:5], "big"), int.from_bytes(payload[1:3], "big")
        position += 2 + max(2, length)
    return Glimpse(size, said.taken)


def take_apart(data: bytes) -> Parts:
    """Raises LeftOut `cut` for a file that ends too early, `damaged` for one that is none of the JPEG standard's."""
    if data[:2] != b"\xff\xd8":
        raise LeftOut("damaged")
    return _Reader(data).parts()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._kept = [b"\xff\xd8"]
        self._said: exif.Exif | None = None
        self._frame: tuple[int, int, int, int, int] | None = None
        self._scans: list[tuple[int, int, int]] = []
        self._restarts = False
        self._adobe = False

    def parts(self) -> Parts:
        at = 2
        while True:
            kind, at = self._marker(at)
            if kind == _EOI:
                break
            if kind in _ALONE:
                continue
            at = self._segment(kind, at)
        if self._frame is None or not self._scans:
            raise LeftOut("damaged")
        self._kept.append(b"\xff\xd9")
        kind, precision, components, width, height = self._frame
        first = self._scans[0]
        one = len(self._scans) == 1 and kind in SEQUENTIAL and first[2] == components
        if first[2] == components and kind in SEQUENTIAL and not one:
            raise LeftOut("damaged")  # a marker inside of the coded picture that no encoder has put there
        said = self._said or exif.Exif()
        return Parts(b"".join(self._kept), kind, precision, components, width, height, said.orientation,
                     self._adobe, first[:2] if one else None)

    def _marker(self, at: int) -> tuple[int, int]:
        """The next marker and what follows it; stray bytes before it are passed over, as decoders do."""
        at = self._data.find(b"\xff", at)
        while at >= 0 and self._data[at:at + 2] in (b"\xff\xff", b"\xff\0"):
            at = self._data.find(b"\xff", at + 1)
        if at < 0 or at + 2 > len(self._data):
            raise LeftOut("cut")
        return self._data[at + 1], at + 2

    def _segment(self, kind: int, at: int) -> int:
        """Keep it or not; returns where it ends, with the scan that it may begin."""
        data = self._data
        length = int.from_bytes(data[at:at + 2], "big")
        end = at + length
        if kind == _SOI or length < 2:
            raise LeftOut("damaged" if at + 2 <= len(data) else "cut")
        if end > len(data):
            raise LeftOut("cut")
        payload = data[at + 2:end]
        if kind in _FRAMES:
            self._read_frame(kind, payload)
        if kind == _DRI:
            self._restarts = any(payload[:2])
        self._adobe |= kind == _APP14 and payload.startswith(b"Adobe")
        if kind == _APP0 and payload.startswith(_JFIF) and len(payload) >= 14:
            # Version and resolution, without the preview that may follow.
            self._kept.append(b"\xff\xe0\0\x10" + payload[:12] + b"\0\0")
        elif kind == _APP1 and payload.startswith(exif.PREFIX) and self._said is None:
            self._said = exif.read(payload[len(exif.PREFIX):])
        elif kind == _APP14 or (kind != _COM and not 0xE0 <= kind <= 0xEF):
            self._kept.append(b"\xff" + bytes([kind]) + data[at:end])
        return self._read_scan(payload, end) if kind == _SOS else end

    def _read_frame(self, kind: int, payload: bytes) -> None:
        if self._frame is not None or len(payload) < 6:
            raise LeftOut("damaged")
        height, width = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
        if not height or not width:
            raise LeftOut("damaged")
        self._frame = kind, payload[0], payload[5], width, height

    def _read_scan(self, payload: bytes, at: int) -> int:
        found = _SCAN_END.search(self._data, at)
        if found is None:
            raise LeftOut("cut")
        if self._frame is None or not payload or len(self._scans) == _MOST_SCANS:
            raise LeftOut("damaged")
        end = found.start()
        while end > at and self._data[end - 1] == 0xFF:  # a marker may stand behind any number of them
            end -= 1
        if self._restarts:
            order = b"".join(_RESTART.findall(self._data, at, end))
            if any(0xD0 + number % 8 != one for number, one in enumerate(order)):
                raise LeftOut("damaged")
        start = sum(map(len, self._kept))
        self._kept.append(self._data[at:end])
        self._scans.append((start, start + end - at, payload[0]))
        return end
