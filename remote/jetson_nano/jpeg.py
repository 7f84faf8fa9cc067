"""Pictures of frames as JPEG, through OpenCV, or Pillow where there is none (jetson-inference itself needs neither)."""

from typing import Any, Tuple


def fit(width: int, height: int, most: int) -> Tuple[int, int]:
    """The size of a picture that is at most `most` wide."""
    return (most, max(1, round(height * most / width))) if width > most else (width, height)


def encode_jpeg(image: Any, width: int, quality: int) -> Tuple[bytes, int, int]:
    """A uint8 BGR array (H, W, 3) as JPEG no wider than `width`, with the JPEG's width and height. Raises ImportError."""
    import numpy

    width, height = fit(image.shape[1], image.shape[0], width)
    try:
        import cv2
    except ImportError:
        rgb = numpy.ascontiguousarray(image[:, :, ::-1])
        return _encode_with_pillow(rgb, width, height, quality), width, height
    pixels = numpy.ascontiguousarray(image)
    if width < pixels.shape[1]:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    encoded, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ValueError("OpenCV did not encode the picture")
    return data.tobytes(), width, height


def _encode_with_pillow(rgb: Any, width: int, height: int, quality: int) -> bytes:
    import io

    from PIL import Image

    picture = Image.fromarray(rgb)
    if picture.size != (width, height):
        picture = picture.resize((width, height))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
