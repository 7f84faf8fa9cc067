"""The bench: what runs on each Nano is seen there, whoever started it, and boards are switched, blinked and tidied from it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import colours
import pytest
from furnished import furnished_window
from PyQt5.QtCore import QSize
from rooms import lit_pins, opening, window
from user import User
from watchdog import Watchdog

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import ContactLost, Detached, MachineError
from ai_nano.core.nano import bench
from ai_nano.core.ports import JobEnd
from ai_nano.demo.classroom import Classroom
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.pages.bench import BenchPage
from ai_nano.gui.widgets.nano_tile import NanoTile
from ai_nano.gui.widgets.tile_grid import GAP, LOWEST_PICTURE, arrange
from ai_nano.lab import build_lab

pytestmark = pytest.mark.timeout(120)

RUN = {"id": "20261121-101500-infer-3fa9", "program": "jetson_nano/classify.py", "student": "ada@lab", "state": "running",
       "age_s": 60.0, "params": {"model_dir": "/home/nano/ai_nano/models/ada-cards-001", "pins": [12, 16]}}
PREDICTION = {"type": "prediction", "frame": 1, "t": 1.0, "class": "cat", "class_index": 0, "confidence": 0.9,
              "probabilities": {"cat": 0.9, "cup": 0.1}, "lit": [12], "ms": {}}
HOT = {"type": "health", "temperatures": {"GPU": 84.0}, "throttled": None, "power_mode": None, "memory": {}}
MODEL = {"model": "ada-cards-001", "path": "/m/ada-cards-001", "classes": ["cat", "cup"], "size": 4_700_000, "exported": True,
         "modified": 5, "runs": [], "autostart": False}

Shown = tuple[MainWindow, Mapping[str, Any], User]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """At step 8, in a room of three Nanos; the third is not there."""
    monkeypatch.setattr(bench, "ASK_S", 0.1)
    monkeypatch.setattr(bench, "SILENT_S", 60.0)
    with furnished_window(tmp_path) as (made, lab), User() as user:
        nanos = lab.with_nanos(tmp_path, "nano1", "nano2", "nano3")
        nanos["nano3"].jobs = away  # type: ignore[method-assign]
        made.show_page("infer")
        yield made, nanos, user


def away() -> list[Mapping[str, Any]]:
    raise MachineError("machine.unreachable", machine="nano3", host="10.0.0.3")


def tile(made: MainWindow, name: str = "nano1") -> NanoTile:
    assert isinstance(made.page, BenchPage)
    return next(one for one in made.page.findChildren(NanoTile) if one.name == name)


def until(user: User, condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}; it reads {user.reads()}"
        user.wait(0.02)


def test_each_nano_has_a_tile(shown: Shown) -> None:
    made, nanos, user = shown
    nanos["nano1"].running, nanos["nano1"].events[str(RUN["id"])] = [RUN], [PREDICTION, HOT]
    user.click("All Nanos")
    user.wait_for("The bench")
    user.wait_for("cat 90.0 %")
    user.wait_for("ada@lab, for 1 min")
    user.wait_for("ada-cards-001")
    user.wait_for("hot 84 °C")
    user.wait_for("Nobody uses it.")
    user.wait_for("nano3 (10.0.0.3) cannot be reached.")
    assert tile(made).leds.lit == [12] and user.sees("not there") and user.sees("connected")
    made.main_menu.choose_language("fr")
    user.wait_for("Personne ne l'utilise.")
    user.wait_for(re.compile("^ada@lab, depuis 1 min"))
    made.main_menu.choose_language("en")
    nanos["nano1"].running = []
    until(user, lambda: tile(made).leds.lit == [] and not user.sees("cat 90.0 %"), "its end")


def test_leaving_the_page_ends_the_watching_alone(shown: Shown) -> None:
    _, nanos, user = shown
    nanos["nano1"].running = [RUN]
    user.click("All Nanos")
    user.wait_for("It is starting.")
    user.click("Back")
    user.wait_for("8 · Inference on the Nano")
    until(user, lambda: not [one for one in threading.enumerate() if one.name.startswith("bench")], "the end of the watching")
    assert nanos["nano1"].cancelled == [] and nanos["nano1"].commands == []


def test_a_room_without_nanos(shown: Shown) -> None:
    made, _, user = shown
    made.session.lab.config = replace(made.session.config, nanos=())  # type: ignore[union-attr]
    made.show_page("bench")
    user.wait_for("No Nano is named yet: Menu, Machines of the room.")


def do(user: User, entry: str | re.Pattern[str], nano: str = "nano1") -> None:
    user.click("More", inside=nano)
    user.click(entry)


def test_shutting_down_says_who_uses_it_and_asks_twice(shown: Shown) -> None:
    _, nanos, user = shown
    nano = nanos["nano1"]
    nano.running = [RUN]
    nano.board_answers["power"] = MachineError("power.in_use", machine="nano1", who="ada@lab", program="p")
    user.click("All Nanos")
    user.wait_for("It is starting.")
    do(user, "Shut down…")
    user.wait_for(re.compile("^ada@lab is using nano1 now."))
    user.click("No, leave it")
    assert not any(words[0] == "power" for words in nano.asked)
    do(user, "Shut down…")
    user.wait_for(re.compile("^ada@lab is using nano1 now."))
    user.click("Shut it down")
    user.wait_for(re.compile("^ada@lab is still using nano1"))
    assert ("power", "shutdown") in nano.asked
    nano.board_answers["power"] = {"done": True}
    user.click("Do it all the same")
    user.wait_for("nano1 is shutting down. Unplug it once its light is off.")
    assert ("power", "shutdown", "--force") in nano.asked


def test_a_board_that_may_not_be_rebooted_says_so_in_the_page(shown: Shown) -> None:
    _, nanos, user = shown
    nano = nanos["nano2"]
    nano.board_answers["power"] = MachineError("power.not_permitted", machine="nano2", login="n", line="L", error="e")
    user.click("All Nanos")
    user.wait_for("nano3 (10.0.0.3) cannot be reached.")
    do(user, "Reboot…", "nano2")
    user.wait_for(re.compile("^No laptop uses nano2 now."))
    user.click("Reboot it")
    user.wait_for("n may not shut nano2 down or reboot it.")
    assert not any("--force" in words for words in nano.asked)


def test_a_run_is_ended_by_whoever_asks_and_says_whose_it_is(shown: Shown) -> None:
    _, nanos, user = shown
    nanos["nano1"].running = [RUN]
    user.click("All Nanos")
    user.wait_for("It is starting.")
    do(user, "End “Inference” of ada@lab…")
    user.wait_for(re.compile("^“Inference” of ada@lab has been running on nano1 for 1 min"))
    user.click("End it")
    user.wait_for(f"{RUN['id']} has ended.")
    assert nanos["nano1"].cancelled == [RUN["id"]]


def test_a_nano_blinks(shown: Shown) -> None:
    _, nanos, user = shown
    nano = nanos["nano1"]
    nano.board_answers["models"] = {"now": 1.0, "models": [MODEL]}
    nano.ends["jetson_nano/blink.py"] = JobEnd("done", {"lit": [{"pin": 12, "class": "cat"}]})
    nano.hold = threading.Event()
    user.click("All Nanos")
    user.wait_for("nano3 (10.0.0.3) cannot be reached.")
    do(user, "Find it: blink its LEDs")
    user.wait_for(re.compile("^nano1 lights one LED after the other"))
    nano.hold.set()
    user.wait_for("These are the classes of ada-cards-001 on nano1.")
    nano.running = [RUN]
    do(user, "Find it: blink its LEDs")
    user.wait_for("The LEDs on nano1 are in use.")


def test_the_window_is_closed_while_a_nano_blinks(shown: Shown) -> None:
    made, nanos, user = shown
    nano = nanos["nano1"]
    nano.board_answers["models"] = {"now": 1.0, "models": [MODEL]}
    nano.hold = threading.Event()
    user.click("All Nanos")
    user.wait_for("nano3 (10.0.0.3) cannot be reached.")
    do(user, "Find it: blink its LEDs")
    until(user, lambda: nano.started, "the blinking")
    began = time.monotonic()
    made.leave()
    until(user, lambda: made.has_left, "the end")
    assert time.monotonic() - began < 5


def test_models_are_deleted_and_start_at_boot(shown: Shown) -> None:
    _, nanos, user = shown
    nano = nanos["nano1"]
    other = {**MODEL, "model": "bob-002", "path": "/m/bob-002", "runs": [{**RUN, "started": 40.0, "student": "bob"}]}
    nano.board_answers["models"] = {"now": 100.0, "models": [MODEL, other]}
    nano.board_answers["delete"] = MachineError("models.runs", machine="nano1", model="bob-002", who="bob")
    (nano.root / "models" / "ada-cards-001").mkdir(parents=True)
    user.click("All Nanos")
    user.wait_for("nano3 (10.0.0.3) cannot be reached.")
    do(user, "Models and start at boot…")
    user.wait_for("running, started by bob 1 min 0 s ago")
    user.wait_for("nano1 starts nothing at boot.")
    user.click("Delete…", nth=2)
    user.wait_for("Delete the model bob-002 on nano1?")
    user.click("Delete it")
    user.wait_for("bob-002 stays: bob is using it.")
    assert ("delete", "bob-002") in nano.asked
    nano.board_answers["autostart"] = {"model": "ada-cards-001", "way": "cron", "student": "ada@lab", "state": "running",
                                       "error": None, "notes": ["autostart.no_cron"]}
    nano.board_answers["models"] = {"now": 100.0, "autostart_state": "running", "models": [{**MODEL, "autostart": True}, other]}
    user.click("Start at boot", nth=1)
    user.wait_for("nano1 starts ada-cards-001 at boot, by a line of crontab: it is classifying now.")
    user.wait_for("cron is not running on nano1. Type there once: sudo systemctl enable --now cron")
    nano.board_answers["autostart"] = {"model": None, "removed": True}
    user.click("Start nothing at boot")
    user.wait_for("nano1 starts nothing at boot any more, and nothing of it is left there.")
    user.click("Close")
    user.wait_until_gone("Models on nano1")


@pytest.mark.parametrize(("count", "room", "columns"), [
    (1, (740, 430), 1), (2, (740, 430), 2), (3, (740, 430), 3), (4, (1000, 520), 2), (6, (740, 430), 3), (6, (1000, 520), 3),
    (12, (740, 430), 3), (2, (200, 430), 1)])
def test_tiles_are_as_large_as_they_fit(count: int, room: tuple[int, int], columns: int) -> None:
    found, size = arrange(count, QSize(*room), 118, 20)
    rows = -(-count // found)
    assert found == columns and size.height() >= LOWEST_PICTURE + 118
    assert found * size.width() + (found - 1) * GAP <= room[0]
    if count <= 6 and room[0] > 200:
        assert rows * size.height() + (rows - 1) * GAP <= room[1]


# ---- a real run ------------------------------------------------------------------------------------------------------


class OtherLaptop:
    """Another student of the room, who classifies with a camera that shows green; `vanish` is a laptop that breaks down."""

    def __init__(self, classroom: Classroom, folder: Path, camera: Any) -> None:
        root = classroom.folder / "nano1" / "ai_nano"
        model = colours.make_model(root / "models" / "colours-001")
        self.events: list[Mapping[str, Any]] = []
        self._lab = build_lab(replace(classroom.config, student="ada@lab"), None, folder)  # type: ignore[arg-type]
        self._token = CancelToken()
        params = {"model_dir": str(model), "camera": camera.uri, "flip": None, "engine": "onnxruntime", "leds": "file",
                  "pins": [12, 16, 18], "leds_file": None, "threshold": 0.6, "frames": None, "seconds": None}
        self._job = self._lab.nano("nano1").start("infer", "jetson_nano/classify.py", params, lease_s=2.0)
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        try:
            self._job.follow(self.events.append, lambda text: None, self._token)
        except (Detached, ContactLost):
            pass

    def vanish(self) -> None:
        self._token.detach()
        self._thread.join(20)

    def close(self) -> None:
        self.vanish()
        self._job.cancel()
        self._lab.close()


@pytest.fixture
def camera() -> Iterator[Any]:
    made = colours.MjpegCamera()
    over = threading.Event()

    def show() -> None:
        while not over.wait(1 / 30):
            made.show_latest(colours.jpeg("green"))

    thread = threading.Thread(target=show)
    thread.start()
    yield made
    over.set()
    thread.join()
    made.close()


def test_another_laptops_run_is_watched_and_not_kept_alive(tmp_path: Path, camera: Any) -> None:
    with Classroom(tmp_path / "classroom") as classroom:
        other = OtherLaptop(classroom, tmp_path / "other", camera)
        try:
            told = opening(tmp_path, config_file=classroom.config_file)
            dog = Watchdog()
            with window(told) as made, dog, User(watchdog=dog) as user:
                user.wait_for("1 · Project", 20)
                made.show_page("bench")
                user.wait_for(re.compile("^green [0-9.]+ %"), 30)
                user.wait_for(re.compile("^ada@lab, for .* s$"))
                user.wait_for("colours-001")
                until(user, lambda: tile(made).sight.picture is not None and tile(made).leds.lit == [16], "picture and LED")
                until(user, lambda: user.sees(re.compile("^[0-9]+/s$")), "the rate")
                assert lit_pins(classroom.folder) == [16]
                made.show_page("infer")
                count = len(other.events)
                until(user, lambda: len(other.events) > count + 30, "more results")
                made.show_page("bench")
                user.wait_for(re.compile("^green [0-9.]+ %"), 20)
                other.vanish()
                user.wait_for("Nobody uses it.", 20)
                assert lit_pins(classroom.folder) == []
                # Shutting down is only written down in the embedded classroom.
                do(user, "Shut down…")
                user.click("Shut it down")
                user.wait_for(re.compile("^nano1 is part of the embedded classroom: nothing was switched off"), 20)
            report = dog.stop()
            assert report.longest_s < 0.4 or all(stall.cpu_s < 0.2 for stall in report.stalls), str(report)
        finally:
            other.close()
