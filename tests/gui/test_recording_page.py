"""Step 2 by pointer and keys: what is held down is recorded, from the frame after the press to the one before letting go."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy
import pytest
import student
from PyQt5.QtCore import QPoint
from PyQt5.QtWidgets import QWidget
from rooms import opening, window
from studio import Studio, studio, wait_for
from user import User
from watchdog import Watchdog

from ai_nano.core.errors import CameraError
from ai_nano.core.project.workspace import Workspace
from ai_nano.gui.card_column import CARDS_AT_ONCE
from ai_nano.gui.main_window import MainWindow

FPS = 10
# How soon is for `python -m tests.bench.press` to say: this machine may be busy.
SOON_S = 1.5



def wait_for_picture(user: User, room: Studio) -> None:
    wait_for(user, lambda: len(room.frames) > 5)
    user.press("1")  # and the window has the keys


def hold_key(user: User, key: str, seconds: float) -> tuple[float, float]:
    """Unix times of its going down and coming up."""

    def script() -> tuple[float, float]:
        down = time.time()
        user._hands.hold_key(key)
        try:
            time.sleep(seconds)
        finally:
            up = time.time()
            user._hands.let_key_go(key)
        return down, up

    return user.apart(script)


def due(frames: list[float], first: float, last: float) -> list[float]:
    """Of the camera's frames those that a recording at 10 a second is to have, the first and the last included."""
    found: list[float] = []
    for t in frames:
        if first - 0.001 <= t <= last + 0.001 and (not found or t - found[0] >= len(found) / FPS - 1 / 60):
            found.append(t)
    return found


def check_none_lost(times: list[float], frames: list[float]) -> None:
    """Between two saved frames there is none that was due; `frames` are those that the camera gave."""
    for one, following in zip(times, times[1:], strict=False):
        lost = [t - one for t in frames if one + 1.5 / FPS < t < following - 0.001]
        assert not lost, f"{following - one:.3f} s between two images, and frames {lost}"
    assert len(times) <= round((times[-1] - times[0]) * FPS) + 1
    # Where the computer let the camera have its time, to the frame.
    if max(later - earlier for earlier, later in zip(frames, frames[1:], strict=False)) < 1.5 / 30:
        assert len(times) == len(due(frames, times[0], times[-1]))


def check_take(room: Studio, class_name: str, down: float, up: float) -> None:
    times = room.times(class_name)
    assert times, "nothing was recorded"
    assert len(room.takes(class_name)) == 1, "it stopped and started again"
    assert 0 <= times[0] - down < SOON_S, f"it began after {times[0] - down:.3f} s"
    assert abs(times[-1] - up) < SOON_S, f"the last frame is {times[-1] - up:.3f} s after the end"
    check_none_lost(times, [t for t in room.frames if times[0] - 0.001 <= t <= times[-1] + 0.001])


def test_space_held_for_five_seconds(tmp_path: Path) -> None:
    """The key repeats itself meanwhile; files written are the frames due by the camera's own clock."""
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        down, up = hold_key(user, "space", 5.0)
        room.wait_until_idle(user)
        check_take(room, "mug", down, up)
        assert len(room.times("mug")) == room.workspace.count("mug") > 10
        user.wait_for(f"{room.workspace.count('mug')} of 200")
        assert room.workspace.count("box") == 0


def test_the_button_held_with_the_mouse(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        down = time.time()
        user.hold("Hold to record", 1.0, inside="box")
        up = time.time()
        room.wait_until_idle(user)
        times = room.times("box")
        assert len(room.takes("box")) == 1 and down < times[0] and times[-1] < up + SOON_S
        assert room.workspace.count("mug") == 0
        # Space goes on with the class that was recorded last.
        hold_key(user, "space", 0.5)
        room.wait_until_idle(user)
        assert len(room.takes("box")) == 2 and room.workspace.count("mug") == 0


def test_a_tap_is_a_picture_and_a_second_one_is_not_lost(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)

        def taps() -> None:
            for _ in range(3):
                user._hands.hold_key("space")
                time.sleep(0.04)
                user._hands.let_key_go("space")
                time.sleep(0.12)

        user.apart(taps)
        room.wait_until_idle(user)
        wait_for(user, lambda: not room.window.session.running_steps)
        assert len(room.takes("mug")) == 3


def test_digits_choose_and_a_name_may_have_them(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        user.press("2")
        hold_key(user, "space", 0.4)
        room.wait_until_idle(user)
        assert room.workspace.count("box") > 0 and room.workspace.count("mug") == 0
        before = room.workspace.count("box")
        user.click("Add a class")
        user.wait(0.2)
        user.type("cup 3")
        user.press("Return")
        user.wait_for(re.compile("^0 of 200$"))
        wait_for(user, lambda: "cup 3" in room.workspace.classes)
        assert room.workspace.count("box") == before and room.workspace.classes[-1] == "cup 3"
        # The new one is the one that space records.
        user.wait(0.2)
        hold_key(user, "space", 0.4)
        room.wait_until_idle(user)
        assert room.workspace.count("cup 3") > 0


def test_a_window_that_loses_the_keys_stops_recording(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        other = QWidget()
        other.setGeometry(40, 850, 200, 80)
        other.show()
        number = int(other.winId())

        def script() -> float:
            user._hands.hold_key("space")
            time.sleep(0.6)
            user._hands.focus(number)
            left = time.time()
            time.sleep(2 * SOON_S)
            user._hands.let_key_go("space")
            return left

        left = user.apart(script)
        room.wait_until_idle(user)
        other.close()
        assert room.times("mug")[-1] < left + SOON_S


def test_start_and_stop_for_those_who_cannot_hold(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        user.click("Start", inside="box")
        user.wait_for("Recording “box”. Push Stop when there are enough images.")
        wait_for(user, lambda: room.workspace.count("box") >= 5)
        user.click("Stop", inside="box")
        user.wait_until_gone(re.compile("^Recording"))
        assert len(room.takes("box")) == 1
        # Another class takes over where one is still recorded; space ends what a click began.
        user.click("Start", inside="mug")
        user.wait_for(re.compile("^Recording “mug”"))
        user.click("Start", inside="nothing")
        user.wait_for(re.compile("^Recording “nothing”"))
        user.press("space")
        room.wait_until_idle(user)
        assert all(len(room.takes(name)) == 1 for name in ("mug", "box", "nothing"))


def test_a_burst_counts_down_and_ends_by_itself(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        user.click("Settings…")
        user.fill("Images in a burst", "7")
        user.fill("Countdown of a burst, seconds", "2")
        user.fill("Images wanted for each class", "14")
        user.press("Escape")
        user.wait_for("0 of 14")
        user.click("Burst of 7 images")
        user.wait_for("2")
        assert room.workspace.count("mug") == 0
        user.wait_for("Recording a burst of “mug”.")
        room.wait_until_idle(user)
        assert room.workspace.count("mug") == 7
        user.wait_for("7 of 14")
        user.click("Burst of 7 images")
        user.press("Escape")
        user.wait(2.5)
        assert room.workspace.count("mug") == 7, "Escape ends the countdown"
        kept = json.loads((room.workspace.path / "ai_nano.json").read_text())["settings"]["recording"]
        assert kept == {"fps": 10, "countdown_s": 2, "count": 7, "target": 14}


def test_three_are_thrown_away_and_come_back(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        fill(room.workspace, "mug", 6)
        room.page._cards.look()
        wait_for_picture(user, room)
        user.wait_for("6 of 200")
        before = [(path.name, path.read_bytes()) for path in room.workspace.image_paths("mug")]
        notes = room.workspace.takes()
        strip = next(iter(room.page._cards)).thumbnails
        spot = strip.mapToGlobal(QPoint(10, 20))
        user.apart(lambda: user._hands.move(spot.x(), spot.y()))
        for left in (5, 4, 3):
            user.click("×", nth=1)
            user.wait_for(f"{left} of 200")
        assert [path.name for path in room.workspace.image_paths("mug")] == [name for name, _ in before[:3]]
        user.click("Undo")
        user.wait_for("4 of 200")
        user.press("ctrl+z", "ctrl+z")
        user.wait_for("6 of 200")
        assert [(path.name, path.read_bytes()) for path in room.workspace.image_paths("mug")] == before
        assert room.workspace.takes() == notes
        user.press("ctrl+z")
        user.wait_for("There is nothing to undo.")


def test_the_last_take_is_thrown_away(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        for _ in range(2):
            hold_key(user, "space", 0.5)
            room.wait_until_idle(user)
        first, last = sorted(room.takes("mug"))
        user.click("···", inside="mug")
        user.click("Delete the last recording")
        user.wait_for(re.compile("^Deleted from “mug”"))
        assert room.takes("mug") == {first}
        user.click("Undo")
        user.wait_for(re.compile("^Back in “mug”"))
        assert room.takes("mug") == {first, last}


def test_a_class_is_renamed_in_place(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        fill(room.workspace, "mug", 4)
        wait_for_picture(user, room)
        user.click("mug")
        user.press("ctrl+a")
        user.type("cup")
        user.press("Return")
        wait_for(user, lambda: room.workspace.classes == ["cup", "box", "nothing"])
        user.wait_for("4 of 200")
        assert room.workspace.count("cup") == 4 and not room.workspace.image_folder("mug").exists()
        # A name that is taken is refused beside the field, and the old one stays.
        user.click("cup")
        user.press("ctrl+a")
        user.type("box")
        user.press("Return")
        user.wait_for(re.compile("box.*twice|box.*same|box.*already"))
        assert room.workspace.classes == ["cup", "box", "nothing"]


def fill(workspace: Workspace, name: str, count: int) -> None:
    """Images of one take, with their notes."""
    workspace.takes_file.parent.mkdir(exist_ok=True)
    for number in range(count):
        picture = numpy.full((90, 160, 3), 40 + 20 * number, numpy.uint8)
        file = f"20261121T100000000-{number + 1:05d}.jpg"
        cv2.imwrite(str(workspace.image_folder(name) / file), picture)
        workspace.note_image({"file": file, "class": name, "take": "20261121T100000000", "t": 1000.0 + number / 10,
                              "camera": "webcam:0", "width": 160, "height": 90})


def test_the_cards_follow_the_project(tmp_path: Path) -> None:
    """Classes that were removed, reordered or added elsewhere, by step 1 or a command."""
    with studio(tmp_path) as room, User() as user:
        fill(room.workspace, "nothing", 3)
        wait_for_picture(user, room)
        for names in (["nothing", "mug"], ["nothing", "cup", "mug", "box"]):
            other = Workspace.open(room.workspace.path)
            with other.writing():
                other.classes[:] = names
            room.window.session.refresh()
            wait_for(user, lambda names=names: [card.class_name for card in room.page._cards] == names)
            user.wait_for("3 of 200")
        user.press("2")
        hold_key(user, "space", 0.4)
        room.wait_until_idle(user)
        assert room.workspace.count("cup") > 0


def test_a_camera_that_is_lost_ends_the_recording_and_is_said(tmp_path: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)

        def script() -> None:
            user._hands.hold_key("space")
            while room.workspace.count("mug") < 4 and time.monotonic() < deadline:
                time.sleep(0.05)
            room.unplugged = True
            time.sleep(0.8)
            user._hands.let_key_go("space")

        deadline = time.monotonic() + 30
        user.apart(script)
        user.wait_for(re.compile("counted:camera"), 30)
        room.wait_until_idle(user)
        before = room.workspace.count("mug")
        assert before > 3 and len(room.takes("mug")) == 1
        room.unplugged = False
        seen = len(room.frames)
        wait_for(user, lambda: len(room.frames) > seen + 5)
        hold_key(user, "space", 0.4)
        room.wait_until_idle(user)
        assert room.workspace.count("mug") > before and len(room.takes("mug")) == 2


def test_twenty_classes_are_there_at_once(tmp_path: Path) -> None:
    """The first cards can be used while the others are made; the window's thread is never kept for long."""
    names = [f"class {number}" for number in range(1, 21)]
    with studio(tmp_path, names) as room, User() as user:
        assert 0 < len(list(room.page._cards)) <= 2 * CARDS_AT_ONCE
        with Watchdog() as watchdog:
            wait_for(user, lambda: len(list(room.page._cards)) == 20)
            wait_for_picture(user, room)
            assert [card.class_name for card in room.page._cards] == names
            user.press("9")
            hold_key(user, "space", 0.4)
            room.wait_until_idle(user)
        assert room.workspace.count("class 9") > 0
        # What the thread computed, not how long it had to wait for a processor.
        assert not [stall for stall in watchdog.report().stalls if stall.cpu_s > 0.2], watchdog.report()


@contextmanager
def counted(shown: MainWindow) -> Iterator[list[float]]:
    """The times of the frames that the laptop's camera gives to the window."""
    lab = shown.session.lab
    assert lab is not None
    camera, frames = lab.open_camera(shown.session.camera), list[float]()

    def count() -> None:
        with suppress(CameraError):
            while True:
                frames.append(camera.read().t)

    thread = threading.Thread(target=count, name="counts frames")
    thread.start()
    try:
        yield frames
    finally:
        camera.close()
        thread.join()


# ---- in the embedded classroom -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_space_held_before_the_stages_camera(tmp_path: Path) -> None:
    """A camera that is a stream from another process, whose frames another tap of it counts."""
    folder = tmp_path / "project"
    folder.mkdir()
    with window(opening(tmp_path, demo=folder)) as shown, User() as user:
        student.make_project(user)
        user.wait_for("2 · Record images")
        user.fill("Name of this class", "kitten", nth=1)
        user.press("Return")
        user.click("cat", inside="Stage")
        user.wait(2.0)
        with counted(shown) as frames:
            down, up = hold_key(user, "space", 5.0)
            user.wait_for(re.compile(r"laptop kitten: \d+ images saved"), 30)
        workspace = Workspace.open(folder)
        times = [image.t for image in workspace.images("kitten")]
        assert len({image.take for image in workspace.images("kitten")}) == 1
        assert 0 <= times[0] - down < SOON_S and abs(times[-1] - up) < SOON_S
        check_none_lost(times, [t for t in frames if times[0] - 0.001 <= t <= times[-1] + 0.001])


# ---- dragged from another program --------------------------------------------------------------------------------------


@contextmanager
def drag_source(left: int, top: int, *paths: Path) -> Iterator[None]:
    """Another process with a window, from whose middle the paths are dragged."""
    script = Path(__file__).with_name("drag_source.py")
    with subprocess.Popen([sys.executable, str(script), str(left), str(top), *map(str, paths)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert process.stdout.readline().strip() == "ready"
            time.sleep(0.3)
            yield
        finally:
            process.stdin.close()
            process.wait(10)


def drag(user: User, start: QPoint, end: QPoint) -> Callable[[], None]:
    def script() -> None:
        hands = user._hands
        hands.move(start.x(), start.y())
        hands.press()
        hands.move(start.x() + 15, start.y() - 5)
        time.sleep(0.3)
        hands.move(end.x(), end.y())
        time.sleep(0.2)
        hands.move(end.x() + 6, end.y() + 3)
        time.sleep(0.3)
        hands.release()

    return script


@pytest.fixture
def folder_of_pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "holiday"
    folder.mkdir()
    for number in range(5):
        cv2.imwrite(str(folder / f"{number}.png"), numpy.full((60, 80, 3), 40 * number, numpy.uint8))
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_a_folder_is_dropped_on_a_card(tmp_path: Path, folder_of_pictures: Path) -> None:
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        card = room.page._cards.of_class("box")
        assert card is not None
        spot = card.mapToGlobal(card.rect().center())
        with drag_source(40, 860, folder_of_pictures):
            user.apart(drag(user, QPoint(140, 900), spot))
            user.wait_for("5 of 200", 15)
        assert room.workspace.count("box") == 5 and room.workspace.count("mug") == 0


def test_folders_by_class_are_dropped_on_the_page(tmp_path: Path, folder_of_pictures: Path) -> None:
    by_class = tmp_path / "set"
    for name in ("mug", "nothing"):
        (by_class / name).mkdir(parents=True)
        for number in range(3):
            shade = 30 * number + (100 if name == "mug" else 0)
            cv2.imwrite(str(by_class / name / f"{number}.png"), numpy.full((60, 80, 3), shade, numpy.uint8))
    with studio(tmp_path) as room, User() as user:
        wait_for_picture(user, room)
        spot = room.page.preview.mapToGlobal(room.page.preview.rect().center())
        with drag_source(40, 860, by_class):
            user.apart(drag(user, QPoint(140, 900), spot))
            wait_for(user, lambda: room.workspace.count("mug") == 3 and room.workspace.count("nothing") == 3)
