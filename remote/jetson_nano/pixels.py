"""What a source's frames are made of, for those who want pictures of them: arrays of their own, or memory of the GPU."""

from typing import Any

from jetson_nano.jpeg import fit


class Pixels:
    """Turns frames of one form into uint8 BGR arrays (H, W, 3). `picture` and `copy` are for the loop that reads frames."""

    def picture(self, image: Any, width: int) -> Any:
        """An array that later frames leave as it is, of a frame of which `width` pixels are all that will be shown.

        The array may be wider. It may change with the next call.
        """
        raise NotImplementedError

    def copy(self, image: Any, spare: Any) -> Any:
        """The frame in its own form and full size, which later frames leave as it is.

        `spare` is an older copy that may be written over, or None.
        """
        raise NotImplementedError

    def array(self, copy: Any) -> Any:
        """Such a copy as array; in any thread."""
        raise NotImplementedError


class Arrays(Pixels):
    """Frames are uint8 BGR arrays already, and each has its own memory: nothing is copied."""

    def picture(self, image: Any, width: int) -> Any:
        return image

    def copy(self, image: Any, spare: Any) -> Any:
        return image

    def array(self, copy: Any) -> Any:
        return copy


class CudaImages(Pixels):
    """Frames of jetson-utils: the camera's memory is used again, and slow to read for the Nano's processor.

    Raises what jetson-utils raises; AttributeError where it was built without NumPy.
    """

    def __init__(self, utils: Any) -> None:
        self._utils = utils
        self._small: Any = None

    def picture(self, image: Any, width: int) -> Any:
        """Shrunk on the GPU into memory of our own."""
        self._small = self._resized(image, self._small, *fit(image.width, image.height, width))
        return self.array(self._small)

    def copy(self, image: Any, spare: Any) -> Any:
        return self._resized(image, spare, image.width, image.height)

    def array(self, copy: Any) -> Any:
        return self._utils.cudaToNumpy(copy)[:, :, ::-1]

    def _resized(self, image: Any, spare: Any, width: int, height: int) -> Any:
        if spare is None or (spare.width, spare.height) != (width, height):
            spare = self._utils.cudaAllocMapped(width=width, height=height, format=image.format)
        self._utils.cudaResize(image, spare)
        self._utils.cudaDeviceSynchronize()  # cudaResize only queues the work
        return spare
