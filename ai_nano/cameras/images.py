"""Image files through OpenCV."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ai_nano.cameras import import_decode, looks, preview
from ai_nano.cameras.jpeg import size as jpeg_size
from ai_nano.cameras.opencv import load_cv2
from ai_nano.core.importing.pictures import Brought, Glimpse
from ai_nano.core.look import Look
from ai_nano.core.ports import Bitmap

JPEG_QUALITY = 92
# Of a picture from a Nano, which sends at most 640 in width.
MOST_PIXELS = 4_000_000
# Of a thumbnail: so many times its width.
MOST_TALL = 2
EXIF_WITHIN = 4096


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

    def glimpse(self, head: bytes, name: str, whole: Callable[[], bytes]) -> Glimpse:
        return import_decode.glimpse(head, name, whole)

    def take_in(self, data: bytes, name: str) -> Brought:
        return import_decode.take_in(data, name, self.encode_jpeg, self.cv2)

    def thumbnail(self, path: Path, width: int) -> bytes | None:
        image = self._read_small(path, width)
        if image is None:
            return None
        scale = min(width / image.shape[1], MOST_TALL * width / image.shape[0])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        return self._encode(self.cv2.resize(image, size, interpolation=self.cv2.INTER_AREA), 80)

    def look(self, path: Path) -> Look | None:
        """JPEG files are decoded at a half or a quarter where that is large enough: half the time."""
        import numpy

        try:
            data = path.read_bytes()
        except OSError:
            return None
        longer = max(jpeg_size(data) or (0, 0))
        how = (self.cv2.IMREAD_REDUCED_COLOR_4 if longer >= 4 * looks.LENGTH else
               self.cv2.IMREAD_REDUCED_COLOR_2 if longer >= 2 * looks.LENGTH else self.cv2.IMREAD_COLOR)
        try:
            image = self.cv2.imdecode(numpy.frombuffer(data, dtype=numpy.uint8), how) if data else None
        except self.cv2.error:  # a size that OpenCV refuses
            return None
        return None if image is None else looks.measure(image)

    def bitmap(self, jpeg: bytes, width: int, height: int) -> Bitmap | None:
        """The JPEG comes from another machine: one that is none, or of more than MOST_PIXELS, is not decoded."""
        said = jpeg_size(jpeg)
        if said is None or not 0 < said[0] * said[1] <= MOST_PIXELS:
            return None
        image = self._decode(jpeg)
        return None if image is None else preview.bitmap(image, width, height)

    def image_hash(self, path: Path) -> int | None:
        from ai_nano.cameras import hashes

        try:
            return hashes.of_file(path.read_bytes())
        except OSError:
            return None

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

    def _read_small(self, path: Path, width: int) -> Any:
        """As `_read`, at least so wide, where the JPEG can be made smaller while it is decoded: a fraction of the work."""
        import numpy

        try:
            data = path.read_bytes()
            said = jpeg_size(data)
            if said is None:
                return self._decode(data)
            # A photograph that was taken upright may lie on its side in the file; only EXIF tells.
            least = min(said) if b"Exif\0" in data[:EXIF_WITHIN] else said[0]
            factor = next((factor for factor in (8, 4, 2) if least // factor >= width), 1)
            flag = self.cv2.IMREAD_COLOR if factor == 1 else getattr(self.cv2, f"IMREAD_REDUCED_COLOR_{factor}")
            return self.cv2.imdecode(numpy.frombuffer(data, dtype=numpy.uint8), flag)
        except (OSError, self.cv2.error):
            return None

    def _decode(self, data: bytes) -> Any:
        """uint8 (height, width, 3) BGR, or None for what is no image."""
        import numpy

        try:
            return self.cv2.imdecode(numpy.frombuffer(data, dtype=numpy.uint8), self.cv2.IMREAD_COLOR) if data else None
        except self.cv2.error:  # a size that OpenCV refuses
            return None
