"""Perceptual hashes: 64 bits that stay nearly the same while a picture does."""

from typing import Any

from ai_nano.cameras.jpeg import size as jpeg_size
from ai_nano.cameras.opencv import load_cv2

# What a JPEG is decoded to is at least so wide: the hash needs 9 x 8 pixels, and its averages some for each of them.
WIDE_ENOUGH = 144


def of_image(image: Any) -> int:
    """The hash of a picture, uint8 (height, width, 3) BGR or (height, width) grey: whether brightness rises or falls from
    each of 9 x 8 fields to its right neighbour (dhash)."""
    import imagehash
    from PIL import Image

    cv2 = load_cv2()
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    bits = imagehash.dhash(Image.fromarray(grey)).hash.flatten()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def of_file(data: bytes) -> int | None:
    """The hash of an image file's content; None for what does not decode. A large JPEG is decoded at a part of its size."""
    import numpy

    cv2 = load_cv2()
    said = jpeg_size(data)
    reductions = ((8, cv2.IMREAD_REDUCED_GRAYSCALE_8), (4, cv2.IMREAD_REDUCED_GRAYSCALE_4), (2, cv2.IMREAD_REDUCED_GRAYSCALE_2))
    how = next((flag for factor, flag in reductions if said is not None and said[0] >= factor * WIDE_ENOUGH),
               cv2.IMREAD_GRAYSCALE)
    try:
        grey = cv2.imdecode(numpy.frombuffer(data, numpy.uint8), how) if data else None
    except cv2.error:  # a size that OpenCV refuses
        return None
    return None if grey is None else of_image(grey)
