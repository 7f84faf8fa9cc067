"""Image files through OpenCV."""

from pathlib import Path
from typing import Any

from ai_nano.cameras import preview
from ai_nano.cameras.jpeg import size as jpeg_size
from ai_nano.cameras.opencv import load_cv2
from ai_nano.core.ports import Bitmap

JPEG_QUALITY = 92
# Of a picture from a Nano, which sends at most 640 in width.
MOST_PIXELS = 4_000_000


class ImageFiles:
    """The steps' `Images` port."""

    def __init__(self) -> None:
        self._cv2: Any = None

    @property
    def cv2(self) -> Any:
        if self._cv2 is None:
            self._cv2 = load_cv2()
        return self._cv2

    def encode_jpeg(self, image: Any) -> bytes:
        """`image`: uint8 (height, width, 3) BGR."""
        return self._encode(image, JPEG_QUALITY)

    def as_jpeg(self, path: Path) -> tuple[bytes, int, int] | None:
        """JPEG files as they are, others encoded anew; None when the file does not decode."""
        image = self._read(path)
        if image is None:
            return None
        data = path.read_bytes()
        if not data.startswith(b"\xff\xd8\xff"):
            data = self.encode_jpeg(image)
        return data, image.shape[1], image.shape[0]

    def thumbnail(self, path: Path, width: int) -> bytes | None:
        image = self._read(path)
        if image is None:
            return None
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        return self._encode(self.cv2.resize(image, (width, height), interpolation=self.cv2.INTER_AREA), 80)

    def bitmap(self, jpeg: bytes, width: int, height: int) -> Bitmap | None:
        """The JPEG comes from another machine: one that is none, or of more than MOST_PIXELS, is not decoded."""
        said = jpeg_size(jpeg)
        if said is None or not 0 < said[0] * said[1] <= MOST_PIXELS:
            return None
        image = self._decode(jpeg)
        return None if image is None else preview.bitmap(image, width, height)

    def _encode(self, image: Any, quality: int) -> bytes:
        ok, data = self.cv2.imencode(".jpg", image, [self.cv2.IMWRITE_JPEG_QUALITY, quality])
        if not ok:
            raise ValueError("OpenCV could not encode the image")
        return bytes(data.tobytes())

    def _read(self, path: Path) -> Any:
        """As `_decode`. Through bytes, since imread takes no non-ASCII path on Windows."""
        try:
            return self._decode(path.read_bytes())
        except OSError:
            return None

    def _decode(self, data: bytes) -> Any:
        """uint8 (height, width, 3) BGR, or None for what is no image."""
        import numpy

        try:
            return self.cv2.imdecode(numpy.frombuffer(data, dtype=numpy.uint8), self.cv2.IMREAD_COLOR) if data else None
        except self.cv2.error:  # a size that OpenCV refuses
            return None
