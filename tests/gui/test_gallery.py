"""The gallery of a class: what is loaded, when and by whom; and what a person does in it by wheel, keys and pointer."""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy
import pytest
from furnished import DoubleLab, window_on
from hands import DOWN, UP, Hands
from PyQt5.QtCore import QPoint
from PyQt5.QtGui import QImage
from user import User

from ai_nano.cameras.images import ImageFiles
from ai_nano.core.errors import WorkFailed
from ai_nano.core.project.class_pictures import newest_first
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.running import Running
from ai_nano.gui import thumbnails as thumbnails_module
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.pages.gallery import GalleryView
from ai_nano.gui.thumbnails import KEPT, Thumbnails

pytestmark = pytest.mark.timeout(120)

MORNING, NOON = "20261121T081500000", "20261121T113000000"
MANY = 2000


class WatchedImages(ImageFiles):
    """Notes which thumbnails are made, and in which threads."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Path] = []
        self.threads: set[int] = set()
        self.go_on = threading.Event()
        self.go_on.set()

    def thumbnail(self, path: Path, width: int) -> bytes | None:
        self.go_on.wait(20)
        self.made.append(path)
        self.threads.add(threading.get_ident())
        return super().thumbnail(path, width)


@dataclass
class Removal:
    id: str
    keys: tuple[str, ...]


class FolderBin:
    """Does with files what core/image_bin does; `error` is raised instead."""

    def __init__(self) -> None:
        self.error: WorkFailed | None = None
        self._removals: dict[str, Removal] = {}

    def remove(self, workspace: Workspace, keys: Sequence[str]) -> Removal:
        if self.error is not None:
            raise self.error
        removal = Removal(uuid.uuid4().hex, tuple(keys))
        for key in keys:
            place = workspace.hidden / "bin" / removal.id / key
            place.parent.mkdir(parents=True, exist_ok=True)
            (workspace.path / "images" / key).rename(place)
        self._removals[removal.id] = removal
        return removal

    def restore(self, workspace: Workspace, removal_id: str) -> Sequence[str]:
        removal = self._removals.pop(removal_id)
        for key in removal.keys:
            (workspace.hidden / "bin" / removal.id / key).rename(workspace.path / "images" / key)
        return removal.keys


@dataclass
class Shown:
    window: MainWindow
    workspace: Workspace
    view: GalleryView
    images: WatchedImages
    bin: FolderBin
    user: User

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(500):
            if condition():
                return
            self.user.wait(0.02)
        raise AssertionError("it did not come")

    def open(self, name: str) -> None:
        self.window.pages.addWidget(self.view)
        self.view.show_class(name)
        self.window.pages.setCurrentWidget(self.view)
        self.until(lambda: len(self.view.gallery.paths) == self.workspace.count(name))
        self.settle()

    def settle(self) -> None:
        """Until every image in view has its thumbnail."""
        self.until(lambda: not self.missing() and not self.view.gallery._asking.isActive())

    def missing(self) -> list[Path]:
        gallery = self.view.gallery
        assert gallery._thumbnails is not None
        return [gallery.paths[row] for row in gallery.rows_in_view() if gallery._thumbnails.image(gallery.paths[row]) is None]

    def click(self, row: int, times: int = 1) -> None:
        gallery = self.view.gallery
        spot = gallery.viewport().mapToGlobal(gallery.visualRect(gallery.model().index(row, 0)).center() + QPoint(0, 10))

        def act() -> None:
            hands = Hands()
            hands.move(spot.x(), spot.y())
            for _ in range(times):
                hands.click()
            hands.close()

        self.user.apart(act)
        self.user.wait(0.1)

    def wheel(self, notches: int, button: int = DOWN) -> None:
        view = self.view.gallery.viewport()
        spot = view.mapToGlobal(view.rect().center())

        def act() -> None:
            hands = Hands()
            for _ in range(notches):
                hands.turn_wheel(spot.x(), spot.y(), button)
            hands.close()

        self.user.apart(act)
        self.user.wait(0.1)

    def keys(self, name: str) -> list[str]:
        return [one.key for one in newest_first(self.workspace, name)]


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """Two classes: "cat" of two recordings of 6 and 4 images, "cup" without any."""
    workspace = Workspace.create(tmp_path / "project", ["cat", "cup"])
    put(workspace, "cat", MORNING, 6)
    put(workspace, "cat", NOON, 4)
    lab = DoubleLab(tmp_path / "room")
    lab.images = images = WatchedImages()
    with window_on(workspace, lab, tmp_path) as window, User() as user:
        image_bin = FolderBin()
        yield Shown(window, workspace, GalleryView(window.session, image_bin=image_bin), images, image_bin, user)


def put(workspace: Workspace, class_name: str, take: str, count: int) -> None:
    """Images of a recording; one picture under many names."""
    picture = numpy.full((180, 320, 3), (60, 160, 90), numpy.uint8)
    cv2.circle(picture, (160, 90), 50, (240, 240, 240), -1)
    first = workspace.image_folder(class_name) / f"{take}-00001.jpg"
    cv2.imwrite(str(first), picture)
    for number in range(1, count + 1):
        path = workspace.image_folder(class_name) / f"{take}-{number:05d}.jpg"
        if number > 1:
            os.link(first, path)
        workspace.note_image({"file": path.name, "class": class_name, "take": take, "t": 1000.0 + number, "camera": "webcam:0",
                              "width": 320, "height": 180})


# ---- what is loaded ----------------------------------------------------------------------------------------------------


def test_only_what_is_seen_and_a_screen_is_asked_for(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    put(shown.workspace, "cup", NOON, MANY)
    asked: list[int] = []
    decoding: set[int] = set()
    want, decoded = Thumbnails.want, thumbnails_module.decoded

    def watched_want(self: Thumbnails, asker: object, paths: Sequence[Path], *more: object, **named: object) -> None:
        asked.append(len(paths))
        want(self, asker, paths, *more, **named)  # type: ignore[arg-type]

    def watched_decoding(jpeg: bytes | None) -> QImage:
        decoding.add(threading.get_ident())
        return decoded(jpeg)

    monkeypatch.setattr(Thumbnails, "want", watched_want)
    monkeypatch.setattr(thumbnails_module, "decoded", watched_decoding)
    shown.open("cup")
    gallery = shown.view.gallery
    screen = len(gallery.rows_in_view())
    assert 12 <= screen <= 80
    shown.user.wait(0.2)
    # A screen, and the next; a line more where the view was laid out before its scroll bar was there.
    assert screen <= len(shown.images.made) <= 2 * screen + 8

    # Far down and up again, while nothing is ready: what is asked for never grows, what has gone from view is not made.
    shown.images.go_on.clear()
    before, bound = len(shown.images.made), 2 * (screen + 8)
    shown.wheel(60)
    shown.wheel(25, UP)
    assert gallery.verticalScrollBar().value() > 2000 and max(asked) <= bound
    shown.images.go_on.set()
    shown.settle()
    shown.user.wait(0.2)
    assert len(shown.images.made) - before <= bound + thumbnails_module.THREADS
    assert len(shown.images.made) == len(set(shown.images.made)), "none is made twice"
    assert decoding and threading.get_ident() not in shown.images.threads | decoding


def test_the_second_time_they_come_from_the_disk(shown: Shown) -> None:
    shown.open("cat")
    assert len(shown.images.made) == 10
    thumbnails, arrived = Thumbnails(shown.window.session), {}
    thumbnails.want("test", shown.view.gallery.paths, arrived.update)
    shown.until(lambda: len(arrived) == 10)
    assert len(shown.images.made) == 10 and all(image.width() == 152 for image in arrived.values())


def test_memory_is_bounded_and_what_is_dropped_comes_again(shown: Shown) -> None:
    put(shown.workspace, "cup", NOON, KEPT + 100)
    paths = shown.workspace.image_paths("cup")
    thumbnails, arrived = Thumbnails(shown.window.session), {}
    thumbnails.want("test", paths, arrived.update)
    shown.until(lambda: len(arrived) == len(paths))
    assert sum(thumbnails.image(path) is not None for path in paths) == KEPT and thumbnails.image(paths[0]) is None
    arrived.clear()
    thumbnails.want("test", paths[:3], arrived.update)
    shown.until(lambda: len(arrived) == 3)


def test_a_file_that_is_no_image_is_shown_as_such_and_asked_for_once(shown: Shown) -> None:
    (shown.workspace.image_folder("cat") / f"{NOON}-00009.jpg").write_bytes(b"\xff\xd8\xff no image \xff\xd9")
    shown.open("cat")
    shown.view.gallery.viewport().update()
    shown.user.wait(0.2)
    broken = [path for path in shown.images.made if path.name == f"{NOON}-00009.jpg"]
    assert len(broken) == 1 and len(shown.images.made) == 11


def test_the_newest_for_a_card_come_in_order_and_once_more_if_asked_meanwhile(shown: Shown) -> None:
    thumbnails, answers = Thumbnails(shown.window.session), []
    paths = shown.workspace.image_paths("cat")
    listed: list[int] = []

    def list_paths() -> list[Path]:
        listed.append(1)
        return paths

    def done(total: int, images: Sequence[QImage]) -> None:
        answers.append((total, len(images), [image is thumbnails.image(paths[-1]) for image in images[:1]]))

    for _ in range(5):
        thumbnails.newest("cat", list_paths, 4, shown.images, done)
    shown.until(lambda: len(answers) == 2)
    shown.user.wait(0.1)
    assert answers == 2 * [(10, 4, [True])] and len(listed) == 2
    assert sorted(shown.images.made) == paths[-4:]
    thumbnails.newest("none", lambda: [], 4, shown.images, done)
    shown.until(lambda: len(answers) == 3)
    assert threading.get_ident() not in shown.images.threads


def test_the_threads_that_make_them_give_way(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """To camera, recorder and window, whatever the priority of the whole program is."""
    if not sys.platform.startswith("linux"):
        pytest.skip("threads have no priorities of their own")
    found: list[tuple[int, int]] = []
    lower = thumbnails_module.lower_priority

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def watched() -> None:
        before = priority()
        lower()
        found.append((before, priority()))

    monkeypatch.setattr(thumbnails_module, "lower_priority", watched)
    mine = priority()
    shown.open("cat")
    assert found and all(after > before or before == 19 for before, after in found)
    assert priority() == mine


# ---- by hand -----------------------------------------------------------------------------------------------------------


def test_newest_first_with_a_line_for_each_recording(shown: Shown) -> None:
    shown.open("cat")
    gallery, user = shown.view.gallery, shown.user
    assert [path.name for path in gallery.paths] == [Path(key).name for key in shown.keys("cat")]
    assert gallery.paths[0].name == f"{NOON}-00004.jpg" and gallery.paths[-1].name == f"{MORNING}-00001.jpg"
    marks = [(row, text.split(" · ")[1]) for row, path in enumerate(gallery.paths) if (text := gallery.marks.get(path))]
    assert marks == [(0, "4"), (4, "6")]
    assert user.sees("cat") and user.sees("10 images") and not user.sees("Undo")
    shown.view.show_class("cup")
    user.wait_for("There is no image of this class yet.")


def test_keys_choose_delete_and_undo(shown: Shown) -> None:
    shown.open("cat")
    user, gallery, before = shown.user, shown.view.gallery, shown.keys("cat")
    user.press("shift+Right", "shift+Right")
    user.wait_for("10 images, 3 chosen")
    user.press("Delete")
    user.wait_for("Deleted: 3")
    assert shown.keys("cat") == before[3:]
    shown.until(lambda: len(gallery.paths) == 7)
    # The arrows go on where the deleted ones were.
    user.press("Right")
    assert [path.name for path in gallery.selected()] == [Path(before[4]).name]
    user.press("ctrl+a")
    user.wait_for("7 images, 7 chosen")
    user.press("Delete")
    user.wait_for("There is no image of this class yet.")
    user.press("ctrl+z")
    user.wait_for("Brought back: 7")
    user.click("Undo")
    user.wait_for("Brought back: 3")
    user.wait_until_gone("Undo")
    assert shown.keys("cat") == before
    assert len(shown.images.made) == 10, "what came back was in memory"


def test_one_recording_is_deleted(shown: Shown) -> None:
    shown.open("cat")
    before = shown.keys("cat")
    assert not shown.view.removeTake.isEnabled()
    shown.click(1)
    shown.user.click("Delete this recording (4)")
    shown.user.wait_for("Deleted: 4")
    assert shown.keys("cat") == before[4:]
    shown.user.press("ctrl+a")
    shown.user.wait_for("Delete this recording (6)")
    shown.user.click("Undo")
    shown.user.wait_for("Brought back: 4")
    shown.until(lambda: len(shown.view.gallery.paths) == 10)
    shown.user.press("ctrl+a")
    # Of two recordings at once it is not said which.
    shown.until(lambda: not shown.view.removeTake.isEnabled())
    assert shown.user.sees("Delete this recording")


def test_an_image_is_shown_large_and_its_neighbours(shown: Shown) -> None:
    shown.open("cat")
    user, before = shown.user, shown.keys("cat")
    shown.click(3, times=2)
    user.wait_for("4 of 10")
    assert any("webcam:0 · 320 × 180 · recording of" in text for text in user.reads())
    user.press("Right")
    user.wait_for("5 of 10")
    user.press("Left", "Left")
    user.wait_for("3 of 10")
    shown.until(lambda: shown.view.zoom._canvas._image is not None and shown.view.zoom._canvas._image.width() == 1280)
    user.press("Delete")
    user.wait_for("Deleted: 1")
    assert shown.keys("cat") == [*before[:2], *before[3:]]
    user.wait_for("3 of 9")
    user.click("‹")
    user.wait_for("2 of 9")
    user.press("Return")
    user.wait_until_gone("2 of 9")
    assert shown.view.gallery.selected() == [shown.view.gallery.paths[1]]
    user.press("Return")
    user.wait_for("2 of 9")
    user.press("escape")
    closed: list[bool] = []
    shown.view.closed.connect(lambda: closed.append(True))
    user.press("escape")
    assert closed == [True]


def test_the_last_one_deleted_leads_back_to_the_empty_grid(shown: Shown) -> None:
    put(shown.workspace, "cup", NOON, 1)
    shown.open("cup")
    shown.click(0, times=2)
    shown.user.wait_for("1 of 1")
    shown.user.press("Delete")
    shown.user.wait_for("There is no image of this class yet.")
    shown.user.click("Undo")
    shown.user.wait_until_gone("There is no image of this class yet.")
    assert len(shown.view.gallery.paths) == 1


def test_images_go_to_the_class_that_they_show(shown: Shown) -> None:
    shown.open("cat")
    user, before = shown.user, shown.keys("cat")
    told: list[str] = []
    shown.view.images_changed.connect(told.append)
    shown.click(0)
    user.press("shift+Right")
    user.click("Is really…")
    user.click("cup")
    user.wait_for("Now in “cup”: 2")
    assert shown.keys("cat") == before[2:] and {one.take for one in newest_first(shown.workspace, "cup")} == {NOON}
    user.press("ctrl+z")
    user.wait_for("Brought back: 2")
    assert shown.keys("cat") == before and told == ["cat", "cat"]


def test_what_cannot_be_deleted_is_said_and_stays(shown: Shown) -> None:
    shown.open("cat")
    shown.bin.error = WorkFailed("workspace.disk_full", folder=shown.workspace.path)
    shown.click(0)
    shown.user.press("Delete")
    shown.user.wait_for(shown.bin.error.what)
    assert len(shown.keys("cat")) == 10 and not shown.user.sees("Undo") and shown.view.remove.isEnabled()


def test_nothing_is_deleted_while_a_split_reads_the_images(shown: Shown) -> None:
    shown.open("cat")
    workflow = shown.window.session.workflow
    assert workflow is not None
    workflow._running["split"] = Running("split")
    try:
        shown.click(0)
        shown.user.press("Delete")
        shown.until(lambda: shown.view.problem.isVisible())
        assert len(shown.keys("cat")) == 10
    finally:
        workflow._running.pop("split")


def test_new_images_are_listed_and_the_view_stays_where_it_is(shown: Shown) -> None:
    put(shown.workspace, "cup", MORNING, 200)
    shown.open("cup")
    shown.wheel(10)
    gallery = shown.view.gallery
    place = gallery.verticalScrollBar().value()
    assert place > 0
    gallery.choose(gallery.paths[40:43])
    put(shown.workspace, "cup", NOON, 3)
    shown.window.session.refresh()
    shown.until(lambda: len(gallery.paths) == 203)
    assert gallery.verticalScrollBar().value() == place
    assert gallery.selected() == gallery.paths[43:46]


def test_another_project_closes_it(shown: Shown) -> None:
    shown.open("cat")
    closed: list[bool] = []
    shown.view.closed.connect(lambda: closed.append(True))
    shown.window.session.leave_workspace()
    assert closed
