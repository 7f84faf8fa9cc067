"""Pictures made elsewhere as the JPEG files of a workspace: upright, 8 bits, three colours, at most MOST_SIDE long.

Pillow decodes, since it knows what OpenCV gets wrong or not at all (doc/design/importing.md); OpenCV scales and encodes as it
does for recorded frames. A JPEG that is so already keeps its coded picture.
"""

import importlib.util
import io
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ai_nano.cameras import exif, jpeg_parts
from ai_nano.core.importing.pictures import Brought, Glimpse, LeftOut

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# Recorded frames have 1280; what a network sees has 224.
MOST_SIDE = 1920
# A JPEG is decoded at an eighth to a half of its size, the others whole.
MOST_PIXELS_JPEG, MOST_PIXELS = 120_000_000, 64_000_000
# Pictures beyond this are decoded one at a time, however many threads there are.
_MANY_PIXELS = 16_000_000
# Withheld from the decoder at a JPEG's end, and appended to it: see `_decoded`.
_LAST_BYTES = 16

_RAW = {".arw", ".cr2", ".cr3", ".crw", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srw"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_KINDS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP",
          b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF"}
_OTHERS = {b"%PDF": "PDF", b"8BPS": "Photoshop", b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL",
           b"\0\0\0\x0cjP  ": "JPEG 2000", b"<svg": "SVG", b"FUJIFILMCCD-RAW": "RAW", b"IIRO": "RAW", b"IIU\0": "RAW"}
_ARCHIVES = (b"PK\3\4", b"PK\5\6", b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_VIDEOS = (b"\0\0\1\xba", b"\0\0\1\xb3", b"\x1aE\xdf\xa3", b"FLV\1", b"\x30\x26\xb2\x75")
_PILLOW = {"PNG": "PNG", "GIF": "GIF", "BMP": "BMP", "WebP": "WEBP", "TIFF": "TIFF", "HEIC": "HEIF", "AVIF": "AVIF"}
_BITS_PER_SAMPLE = 258

_large = threading.Lock()


def kind(head: bytes, name: str = "") -> str:
    """What a file is by its first bytes, whatever its name says. LeftOut for what cannot be taken in, by name."""
    if not head:
        raise LeftOut("empty")
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at:at + 4] for at in range(16, min(len(head), int.from_bytes(head[:4], "big")), 4))}
        if head[8:12] in _AVIF or (head[8:12] in (b"mif1", b"msf1") and brands & _AVIF):
            return "AVIF"
        if head[8:12] in _HEIC:
            return "HEIC"
        raise LeftOut("other", kind="RAW") if head[8:11] == b"crx" else LeftOut("video")
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return "WebP"
        raise LeftOut("video" if head[8:12] == b"AVI " else "none")
    found = next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), None)
    if found == "TIFF" and (head[8:10] == b"CR" or PurePath(name).suffix.lower() in _RAW):
        raise LeftOut("other", kind="RAW")  # what is in it as a TIFF is a preview of the size of a stamp
    if found is not None:
        return found
    if head.startswith(_ARCHIVES):
        raise LeftOut("archive")
    if head.startswith(_VIDEOS):
        raise LeftOut("video")
    other = next((kind for magic, kind in _OTHERS.items() if head.startswith(magic)), None)
    if other is None and b"<svg" in head[:1024]:
        other = "SVG"
    raise LeftOut("other", kind=other) if other else LeftOut("none")


def glimpse(head: bytes, name: str, whole: Callable[[], bytes]) -> Glimpse:
    """By the first bytes, and by the `whole` file only where these say nothing. LeftOut for what is no picture at all."""
    found = kind(head, name)
    if found == "JPEG":
        return jpeg_parts.glimpse(head)
    size = _stated_size(found, head)
    if size is not None or found not in ("TIFF", "HEIC", "AVIF"):
        return Glimpse(size)
    try:
        with _open(whole(), found) as image:
            return Glimpse(image.size, _taken(image))
    except LeftOut:
        raise
    except Exception:  # see take_in
        return Glimpse()


def take_in(data: bytes, name: str, encode: Callable[[Any], bytes], cv2: Any) -> Brought:
    """The whole file as it is kept; `encode` makes JPEG of uint8 (height, width, 3) BGR. Raises nothing but LeftOut."""
    found = kind(data[:1024], name)
    try:
        return _taken_in(data, found, encode, cv2)
    except LeftOut:
        raise
    except MemoryError:
        raise LeftOut("memory") from None
    except Exception as error:
        # What a decoder raises for a file that somebody else has made is not written down anywhere: OSError, SyntaxError,
        # struct.error, KeyError and others have been seen.
        raise LeftOut("cut" if "truncated" in str(error).lower() else "damaged") from error


def _taken_in(data: bytes, found: str, encode: Callable[[Any], bytes], cv2: Any) -> Brought:
    if found == "JPEG":
        parts = jpeg_parts.take_apart(data)
        if parts.precision != 8:
            raise LeftOut("depth")
        _check_size(parts.width, parts.height, MOST_PIXELS_JPEG)
        if _may_stay(parts):
            _decoded(parts, (max(1, parts.width // 8), max(1, parts.height // 8)))
            return Brought(parts.plain, parts.width, parts.height)
        with _in_turn(parts.width, parts.height):
            longest = max(parts.width, parts.height)
            size = max(1, parts.width * MOST_SIDE // longest), max(1, parts.height * MOST_SIDE // longest)
            array, changes = _array(_decoded(parts, size if longest > MOST_SIDE else None), "JPEG")
            return _finished(array, parts.orientation, changes + ["scaled"] * (longest > MOST_SIDE), encode, cv2)
    stated = _stated_size(found, data[:1024])
    if stated is not None:  # before a decoder makes room for it
        _check_size(*stated, MOST_PIXELS)
    with _open(data, found) as image:
        _check_size(*image.size, MOST_PIXELS)
        with _in_turn(*image.size):
            array, changes = _array(image, found)
            return _finished(array, 1, changes, encode, cv2)


def _check_size(width: int, height: int, most: int) -> None:
    if not width or not height:
        raise LeftOut("damaged")
    if width * height > most:
        raise LeftOut("huge", most=most // 1_000_000)


def _in_turn(width: int, height: int) -> AbstractContextManager[object]:
    return _large if width * height > _MANY_PIXELS else nullcontext()


# ---- JPEG ------------------------------------------------------------------------------------------------------------


def _may_stay(parts: jpeg_parts.Parts) -> bool:
    """Whether every program on the way to the Nano shows these very bytes upright and in the right colours."""
    return ((parts.frame in jpeg_parts.SEQUENTIAL or parts.frame == jpeg_parts.PROGRESSIVE) and parts.components in (1, 3)
            and parts.orientation == 1 and max(parts.width, parts.height) <= MOST_SIDE)


class _Fed(io.BytesIO):
    """A file of which the bytes from `border` on are only given when all before them have been asked for."""

    def __init__(self, data: bytes, border: int) -> None:
        super().__init__(data)
        self.border = border

    def read(self, size: int | None = -1, /) -> bytes:
        left = self.border - self.tell()
        return super().read(left if left > 0 and (size is None or size < 0 or size > left) else size)


def _decoded(parts: jpeg_parts.Parts, size: tuple[int, int] | None) -> "Picture":
    """The picture, at the smallest of libjpeg's sizes that is not below `size`; LeftOut where the coded data are not as long
    as the picture.

    libjpeg decodes damaged data as far as it can and fills the rest with grey; its warning reaches nobody. So the decoder
    gets all but the last bytes first, with which it must not be done yet, and then, instead of the end marker, a few bytes
    more than there were, of which it must not use any: without the marker it then says that it lacks something. What the
    decoder reads ahead is fewer than _LAST_BYTES. (Of several scans only the decoder's own errors are known.)
    """
    data, border = parts.plain, 0
    if parts.scan is not None:
        start, end = parts.scan
        data = data[:end] + bytes(_LAST_BYTES)
        border = max(start, end - _LAST_BYTES)
    fed = _Fed(data, border)
    image: Picture = _open_stream(fed, "JPEG")
    if size is not None:
        image.draft(None, size)
    image.load()
    if border and fed.tell() <= border:
        raise LeftOut("damaged")
    if image.mode == "CMYK" and not parts.adobe:  # Pillow takes all for Adobe's
        from PIL import ImageChops

        image = ImageChops.invert(image)
    return image


# ---- any -------------------------------------------------------------------------------------------------------------


def _open(data: bytes, found: str) -> "Picture":
    return _open_stream(io.BytesIO(data), found)


def _open_stream(stream: io.BytesIO, found: str) -> "Picture":
    """The picture, its pixels not decoded yet, by the one decoder that its first bytes ask for."""
    from PIL import Image

    # Sizes are checked here, by kind; Pillow's own limit would print a warning on a student's terminal.
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module=r"PIL\.|pillow_heif")
    if found == "HEIC":
        _register_heif()
    if found == "AVIF" and importlib.util.find_spec("PIL._avif") is None:
        raise LeftOut("avif")
    return Image.open(stream, formats=(_PILLOW.get(found, found),))


def _register_heif() -> None:
    from PIL import Image

    if "HEIF" not in Image.OPEN:
        try:
            import pillow_heif
        except ImportError:
            raise LeftOut("heic") from None
        pillow_heif.register_heif_opener(thumbnails=False)


def _stated_size(found: str, head: bytes) -> tuple[int, int] | None:
    """Width and height by the file's first bytes, of the kinds that have them there."""
    def number(at: int, length: int, order: str = "little") -> int:
        return int.from_bytes(head[at:at + length], "big" if order == "big" else "little")

    if len(head) < 30:
        return None
    if found == "PNG" and head[12:16] == b"IHDR":
        return number(16, 4, "big"), number(20, 4, "big")
    if found == "GIF":
        return number(6, 2), number(8, 2)
    if found == "WebP":
        if head[12:16] == b"VP8X":
            return number(24, 3) + 1, number(27, 3) + 1
        if head[12:16] == b"VP8L":
            return (number(21, 4) & 0x3FFF) + 1, (number(21, 4) >> 14 & 0x3FFF) + 1
        return number(26, 2) & 0x3FFF, number(28, 2) & 0x3FFF
    return None


def _taken(image: "Picture") -> float | None:
    said = image.getexif().get_ifd(exif.EXIF_DIRECTORY)
    return exif.taken(said.get(exif.TAKEN), said.get(exif.OFFSET), said.get(exif.FRACTION))


def _array(image: "Picture", found: str) -> tuple[Any, list[str]]:
    """Decoded, of what is not JPEG upright: uint8 (height, width, 3) RGB, and what had to be changed for that."""
    import numpy
    from PIL import ImageOps

    changes = ["first_only"] if found != "JPEG" and _has_more(image) else []
    image.load()
    if found != "JPEG":
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in ("F", "LAB", "I") or image.mode.startswith("I;"):
        return _from_deep(image, found), changes
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        # By itself the colour of what cannot be seen would come out, which is anything.
        clear = image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")
        alpha = clear.getchannel("A")
        if alpha.getextrema() != (255, 255):
            from PIL import Image

            changes.append("on_white")
            image = Image.new("RGB", clear.size, "white")
            image.paste(clear.convert("RGB"), mask=alpha)
        else:
            image = clear
    return numpy.asarray(image if image.mode == "RGB" else image.convert("RGB")), changes


def _has_more(image: "Picture") -> bool:
    return bool(getattr(image, "is_animated", False))


def _from_deep(image: "Picture", found: str) -> Any:
    """Grey of 16 bits by its upper 8, as every viewer shows it; Pillow's own conversion made white of most of it for years.
    LeftOut for numbers of which nobody says which is white."""
    import numpy

    bits = image.tag_v2.get(_BITS_PER_SAMPLE) if found == "TIFF" and hasattr(image, "tag_v2") else (16,)
    if image.mode in ("F", "LAB") or bits not in ((12,), (16,), 12, 16):
        raise LeftOut("depth")
    values = numpy.asarray(image).astype(numpy.int32) >> (4 if bits in ((12,), 12) else 8)
    grey = values.clip(0, 255).astype(numpy.uint8)
    return numpy.repeat(grey[:, :, None], 3, axis=2)


def _finished(array: Any, orientation: int, changes: list[str], encode: Callable[[Any], bytes], cv2: Any) -> Brought:
    """Scaled, turned upright by EXIF's orientation, and encoded. `array`: uint8 (height, width, 3) RGB."""
    import numpy

    longest = max(array.shape[:2])
    if longest > MOST_SIDE:
        height, width = (max(1, round(side * MOST_SIDE / longest)) for side in array.shape[:2])
        array = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
        changes = [*dict.fromkeys([*changes, "scaled"])]
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    jpeg = encode(numpy.ascontiguousarray(array[:, :, ::-1]))
    return Brought(jpeg, array.shape[1], array.shape[0], tuple(changes))
