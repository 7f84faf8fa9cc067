"""The perceptual hashes of a workspace's images, kept so that each file is decoded once."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ai_nano.core.cancel import CancelToken
from ai_nano.core.ports import Images
from ai_nano.core.project.image_notes import ImageNotes, identity
from ai_nano.core.project.workspace import ImageFile, Workspace

# Counted up with each change of the hash (imagehash's dhash of 64 bits): what older versions kept is then made anew.
VERSION = 1
_AT_ONCE = 64


class ImageHashes:
    """`.ai_nano/cache/hashes.jsonl`: the hash as 16 hex digits, null for a file that does not decode."""

    def __init__(self, workspace: Workspace, images: Images) -> None:
        self._workspace = workspace
        self._images = images

    def of(self, files: Sequence[ImageFile], progress: Callable[[int, int], None], cancel: CancelToken) -> dict[str, int]:
        """The hashes by image key, of those that decode. `progress` is told how many of the new ones are done. Cancelled."""
        notes: ImageNotes[int | None] = ImageNotes(self._workspace, "hashes", VERSION, _write, _read)
        here = {image.key: found for image in files if (found := identity(image.path)) is not None}
        new = [image for image in files if image.key in here and here[image.key] not in notes]
        try:
            with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="hash") as pool:
                for start in range(0, len(new), _AT_ONCE):
                    cancel.check()
                    some = new[start:start + _AT_ONCE]
                    for image, value in zip(some, pool.map(self._images.image_hash, [one.path for one in some]), strict=True):
                        notes[here[image.key]] = value
                    progress(min(start + _AT_ONCE, len(new)), len(new))
        finally:
            notes.save()
        notes.forget_all_but(set(here.values()))
        return {key: value for key, image in here.items() if (value := notes[image]) is not None}


def _write(value: int | None) -> str | None:
    return None if value is None else f"{value:016x}"


def _read(found: str | None) -> int | None:
    return None if found is None else int(found, 16)
