"""Pictures as cameras, phones and other programs leave them, made anew for each test."""

import io
from typing import Any

import numpy
from PIL import Image

TAKEN = "2026:03:31 12:00:05"


def scene(width: int = 320, height: int = 240, seed: int = 0) -> Any:
    """uint8 (height, width, 3) RGB: a slope of colours with a mark in each corner, and a little noise; no two sides alike."""
    rows, columns = numpy.mgrid[0:height, 0:width]
    image = numpy.stack([255 * columns / width, 255 * rows / height, numpy.full(rows.shape, 90.0)], axis=2)
    quarter = max(1, height // 4), max(1, width // 4)
    image[:quarter[0], :quarter[1]] = (250, 20, 20)
    image[:quarter[0], -quarter[1]:] = (20, 240, 20)
    image[-quarter[0]:, :quarter[1]] = (20, 20, 250)
    image += numpy.random.default_rng(seed).normal(0, 6, (height, width, 1))
    return image.clip(0, 255).astype(numpy.uint8)


def picture(width: int = 320, height: int = 240, seed: int = 0) -> Image.Image:
    return Image.fromarray(scene(width, height, seed))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(width: int = 320, height: int = 240, seed: int = 0, **options: Any) -> bytes:
    return encoded(picture(width, height, seed), "JPEG", **{"quality": 90, **options})


def exif(orientation: int = 1, taken: str | None = TAKEN, offset: str | None = None, place: bool = True) -> Image.Exif:
    """As a phone writes it, with the place (GPS) where the photograph was taken."""
    said = Image.Exif()
    said[0x010F] = "Maker of phones"
    said[0x0112] = orientation
    if taken is not None:
        said.get_ifd(0x8769)[0x9003] = taken
    if offset is not None:
        said.get_ifd(0x8769)[0x9011] = offset
    if place:
        said.get_ifd(0x8825).update({1: "N", 2: (47.0, 22.0, 11.0), 3: "E", 4: (8.0, 32.0, 22.0)})
    return said


def cmyk_jpeg(inverted: bool) -> bytes:
    """`inverted` as Adobe's programs store it, and say so; else as the standard has it."""
    data = encoded(picture().convert("CMYK"), "JPEG", quality=95)
    if inverted:
        return data
    # Pillow writes Adobe's form. Turned around, and without Adobe's mark, it is the other one.
    upside = Image.fromarray(255 - numpy.asarray(picture().convert("CMYK")), "CMYK")
    data = encoded(upside, "JPEG", quality=95)
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2:at + 4], "big"):]


def deep_png(bits_used: int = 16) -> tuple[bytes, Any]:
    """A grey PNG of 16 bits, and what it is in 8."""
    grey = scene()[:, :, 0].astype(numpy.uint16)
    deep = (grey * 257).astype(numpy.uint16)
    return encoded(Image.frombytes("I;16", (deep.shape[1], deep.shape[0]), deep.astype("<u2").tobytes()), "PNG"), grey


def shown(data: bytes) -> Any:
    """What is in a JPEG, by OpenCV as the programs of all machines read it: int16 (height, width, 3) RGB."""
    import cv2

    image = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image[:, :, ::-1].astype(numpy.int16)


def apart(data: bytes, wanted: Any) -> float:
    """Mean difference of the JPEG from what it should show, in steps of 255; infinite where the sizes differ."""
    found = shown(data)
    return float(numpy.abs(found - wanted.astype(numpy.int16)).mean()) if found.shape == wanted.shape else float("inf")
