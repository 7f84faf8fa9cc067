"""Thumbnails on the disk: made once, made anew where they are no good, and never more than there is room for."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy
import pytest

from ai_nano.cameras.images import ImageFiles
from ai_nano.core.project import thumbnail_cache
from ai_nano.core.project.thumbnail_cache import ThumbnailCache
from ai_nano.core.project.workspace import Workspace

SMALL = b"\xff\xd8\xff small \xff\xd9"


class Maker:
    """Gives `result` and notes what it was asked for."""

    def __init__(self, result: bytes | None = SMALL) -> None:
        self.result = result
        self.asked: list[Path] = []

    def __call__(self, path: Path, width: int) -> bytes | None:
        self.asked.append(path)
        return self.result


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "lab", ["cat", "cup"])


@pytest.fixture
def image(workspace: Workspace) -> Path:
    path = workspace.image_folder("cat") / "1.jpg"
    path.write_bytes(b"an image")
    return path


def test_a_thumbnail_is_made_once_for_each_width(workspace: Workspace, image: Path) -> None:
    make = Maker()
    for _ in range(2):  # as two starts of the program
        cache = ThumbnailCache(workspace)
        assert [cache.get(image, width, make) for width in (152, 152, 300)] == 3 * [SMALL]
    assert make.asked == [image, image]
    assert all(path.suffix == ".jpg" for path in cache.folder.iterdir()), "nothing half written is left"
    assert cache.folder == workspace.path / ".ai_nano" / "cache" / "thumbnails"


def test_a_changed_image_has_a_new_one(workspace: Workspace, image: Path) -> None:
    make, cache = Maker(), ThumbnailCache(workspace)
    cache.get(image, 152, make)
    os.utime(image, ns=(1, 1))
    cache.get(image, 152, make)
    image.write_bytes(b"a longer image")
    os.utime(image, ns=(1, 1))
    cache.get(image, 152, make)
    assert len(make.asked) == 3


def test_a_workspace_that_was_moved_keeps_them(workspace: Workspace, image: Path, tmp_path: Path) -> None:
    make = Maker()
    ThumbnailCache(workspace).get(image, 152, make)
    workspace.path.rename(tmp_path / "elsewhere")
    moved = Workspace.open(tmp_path / "elsewhere")
    assert ThumbnailCache(moved).get(moved.image_folder("cat") / "1.jpg", 152, make) == SMALL and len(make.asked) == 1


@pytest.mark.parametrize("spoil", [
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(bytes(len(SMALL))),
    lambda file: file.write_bytes(SMALL[:-3]),
    lambda file: file.write_bytes(SMALL + bytes(8)),
])
def test_what_a_crash_left_is_made_anew(workspace: Workspace, image: Path, spoil: Callable[[Path], object]) -> None:
    make, cache = Maker(), ThumbnailCache(workspace)
    cache.get(image, 152, make)
    (file,) = cache.folder.iterdir()
    spoil(file)
    assert cache.get(image, 152, make) == SMALL and len(make.asked) == 2
    assert file.read_bytes() == SMALL
    assert cache.get(image, 152, make, anew=True) == SMALL and len(make.asked) == 3


def test_it_works_where_nothing_can_be_kept(workspace: Workspace, image: Path) -> None:
    make = Maker()
    (workspace.hidden / "cache").write_text("a file where the folder would be")
    cache = ThumbnailCache(workspace)
    assert cache.get(image, 152, make) == cache.get(image, 152, make) == SMALL and len(make.asked) == 2


def test_of_what_is_no_image_or_not_there_is_none(workspace: Workspace, image: Path) -> None:
    make, cache = Maker(None), ThumbnailCache(workspace)
    assert cache.get(image, 152, make) is None and make.asked == [image]
    assert cache.get(image.with_name("2.jpg"), 152, make) is None and make.asked == [image]
    assert not cache.folder.exists()


def test_there_are_never_many_more_than_the_bound(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnail_cache, "LOOK_EVERY", 10)
    make, cache = Maker(), ThumbnailCache(workspace, most=50)
    for number in range(200):
        path = workspace.image_folder("cat") / f"{number:03d}.jpg"
        path.write_bytes(b"an image")
        cache.get(path, 152, make)
        assert len(list(cache.folder.iterdir())) <= 60
    asked = len(make.asked)
    cache.get(path, 152, make)
    assert len(make.asked) == asked, "the newest stay"


# ---- making them -------------------------------------------------------------------------------------------------------


def photograph(width: int, height: int) -> numpy.ndarray:
    """Left half blue, right half red, the upper quarter green."""
    image = numpy.zeros((height, width, 3), numpy.uint8)
    image[:, :width // 2, 0] = image[:, width // 2:, 2] = 200
    image[:height // 4] = (0, 200, 0)
    return image


def write(path: Path, image: numpy.ndarray, *options: int) -> Path:
    assert cv2.imwrite(str(path), image, list(options))
    return path


def made(path: Path, width: int = 152) -> numpy.ndarray:
    jpeg = ImageFiles().thumbnail(path, width)
    assert jpeg is not None
    return cv2.imdecode(numpy.frombuffer(jpeg, numpy.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("size", [(1280, 720), (1216, 684), (1215, 683), (640, 480), (304, 171), (160, 120), (100, 60), (3, 2)])
def test_a_jpeg_that_is_decoded_small_looks_the_same(tmp_path: Path, size: tuple[int, int]) -> None:
    image = photograph(*size)
    small = made(write(tmp_path / "a.jpg", image))
    height = small.shape[0]
    assert small.shape == (height, 152, 3) and abs(height - size[1] * 152 / size[0]) <= 1
    whole = cv2.resize(image, (152, height), interpolation=cv2.INTER_AREA)
    if size[0] > 100:
        assert numpy.abs(small.astype(int) - whole).mean() < 6


@pytest.mark.parametrize("name, options", [("a.png", ()), ("a.bmp", ()), ("a.webp", ()),
                                           ("a.jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))])
def test_other_files_are_decoded_whole(tmp_path: Path, name: str, options: tuple[int, ...]) -> None:
    assert made(write(tmp_path / name, photograph(640, 360), *options)).shape == (86, 152, 3)


def test_an_upright_photograph_stands_upright(tmp_path: Path) -> None:
    """EXIF says that the file's left edge is the picture's lower one (6), as telephones do."""
    path = write(tmp_path / "a.jpg", photograph(1280, 720))
    tiff = b"II*\0\x08\0\0\0" + b"\1\0" + b"\x12\1\3\0\1\0\0\0\6\0\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    small = made(path)
    assert small.shape == (270, 152, 3)
    assert small[200, 10].argmax() == 2 and small[30, 10].argmax() == 0 and small[150, 140].argmax() == 1


def test_a_very_tall_image_is_bounded(tmp_path: Path) -> None:
    assert made(write(tmp_path / "a.png", photograph(10, 2000))).shape == (304, 2, 3)


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\3" + bytes(40)])
def test_what_is_no_image_has_no_thumbnail(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    assert ImageFiles().thumbnail(tmp_path / "a.jpg", 152) is None
    assert ImageFiles().thumbnail(tmp_path / "none.jpg", 152) is None
