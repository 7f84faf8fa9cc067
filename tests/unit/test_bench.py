"""What is known of each Nano while a bench is watched; that watching ends nothing and says nothing, test_onlooker tells."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest
from fakes import FakeMachine

from ai_nano.cameras.images import ImageFiles
from ai_nano.core import asking
from ai_nano.core.errors import ConfigError, HostKeyError, MachineError, WorkFailed
from ai_nano.core.nano import bench
from ai_nano.core.nano.bench import Doing, NanoWatch, Sight
from ai_nano.core.ports import Picture

RUN = {"id": "r-1", "program": "jetson_nano/classify.py", "student": "ada@lab", "state": "running", "age_s": 60.0,
       "params": {"model_dir": "/home/nano/ai_nano/models/ada-cards-001", "pins": [12, 16]}}
BLINK = {**RUN, "id": "r-2", "program": "jetson_nano/blink.py", "student": "bob", "params": {}}
AT_BOOT = {"model": "boot-001", "way": "cron", "student": "ada", "state": "yielding", "error": None, "notes": []}
HEALTH = {"type": "health", "temperatures": {"CPU": 41.5}, "throttled": [], "power_mode": None, "memory": {}}
JPEG = cv2.imencode(".jpg", numpy.full((90, 160, 3), 200, numpy.uint8))[1].tobytes()


def prediction(frame: int, t: float) -> dict[str, Any]:
    return {"type": "prediction", "frame": frame, "t": t, "class": "cat", "class_index": 0, "confidence": 0.9,
            "probabilities": {"cat": 0.9, "cup": 0.1}, "lit": [12], "ms": {}}


def camera(word: str) -> dict[str, Any]:
    return {"type": "log", "code": f"infer.camera_{word}", "params": {"camera": "csi://0"}}


class Watched:
    """A NanoWatch in its thread, of a machine that is a double."""

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine
        self.opened: Callable[[], FakeMachine] = lambda: machine
        self.watch = NanoWatch("nano1", lambda: self.opened(), ImageFiles())
        self.thread = threading.Thread(target=self.watch.run)

    def until(self, condition: Callable[[Sight], Any]) -> Sight:
        if not self.thread.is_alive():
            self.thread.start()
        deadline = time.monotonic() + 30
        while not condition(sight := self.watch.sight()):
            assert time.monotonic() < deadline, f"in vain: {sight}"
            time.sleep(0.005)
        return sight

    def becomes(self, doing: Doing) -> Sight:
        return self.until(lambda sight: sight.doing is doing)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(bench, "ASK_S", 0.02)
    monkeypatch.setattr(asking, "ABSENT_S", 0.02)
    machine = FakeMachine("nano1", tmp_path)
    machine.board_answers["autostart"] = {"model": None}
    made = Watched(machine)
    yield made
    made.watch.stop()
    made.thread.join(30)
    assert not made.thread.is_alive()


def test_what_somebody_else_runs_is_seen(watched: Watched) -> None:
    nano = watched.machine
    nano.running = [{**RUN, "id": "r-0", "state": "done"}, RUN]
    nano.events["r-1"] = [prediction(number, 1000 + number / 20) for number in range(40)] + [HEALTH]
    nano.pictures = [Picture(b"no picture", 1, 1.0, 160, 90), Picture(JPEG, 2, 2.0, 160, 90)]
    assert watched.watch.sight() == Sight("nano1")
    sight = watched.until(lambda sight: sight.picture is not None and sight.health is not None)
    assert (sight.doing, sight.model, sight.pins) == (Doing.LIVE, "ada-cards-001", (12, 16))
    assert [(use.who, use.program) for use in sight.uses] == [("ada@lab", "jetson_nano/classify.py")]
    assert sight.prediction is not None and (sight.prediction.frame, sight.prediction.lit) == (39, (12,))
    assert sight.rate == pytest.approx(20, abs=1) and sight.health is not None and sight.health.hottest == ("CPU", 41.5)
    assert 60 < watched.until(lambda later: later.uses[0].age_s > sight.uses[0].age_s).uses[0].age_s < 100
    assert nano.looked_on == ["r-1"] and nano.commands == [] and nano.cancelled == [] and nano.started == []


def test_leaving_ends_the_looking_alone(watched: Watched) -> None:
    watched.machine.running = [RUN]
    watched.machine.events["r-1"] = [prediction(1, 1.0)]
    watched.becomes(Doing.LIVE)
    watched.watch.stop()
    watched.thread.join(30)
    assert not watched.thread.is_alive() and [one for one in threading.enumerate() if one.name.startswith("bench")] == []
    assert watched.machine.cancelled == [] and watched.machine.commands == []


def test_stopped_before_it_was_begun(watched: Watched) -> None:
    watched.watch.stop()
    watched.watch.run()
    assert watched.watch.sight().doing is Doing.ASKING
    watched.thread.start()


def test_one_run_after_the_other(watched: Watched) -> None:
    nano = watched.machine
    nano.board_answers["autostart"] = AT_BOOT
    assert watched.becomes(Doing.FREE).at_boot.model == "boot-001"  # type: ignore[union-attr]
    nano.running = [BLINK]
    sight = watched.becomes(Doing.OTHER)
    assert sight.uses[0].who == "bob" and sight.model is None and nano.looked_on == []
    nano.running = [RUN]
    watched.becomes(Doing.STARTING)
    nano.events["r-3"] = [prediction(1, 1.0)]
    nano.running = [{**RUN, "id": "r-3", "params": {}}]
    assert watched.becomes(Doing.LIVE).model is None
    nano.running = []
    watched.becomes(Doing.FREE)
    assert nano.looked_on == ["r-1", "r-3"]


def test_who_has_the_turn_is_looked_at(watched: Watched) -> None:
    watched.machine.running = [{**RUN, "id": "r-1", "waiting": True}, {**RUN, "id": "r-2", "student": "bob", "waiting": False}]
    sight = watched.becomes(Doing.STARTING)
    assert [use.who for use in sight.uses] == ["bob", "ada@lab"] and watched.machine.looked_on == ["r-2"]


def test_its_end_is_noticed_at_once(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ASK_S", 60.0)
    nano = watched.machine
    nano.running, nano.hold = [RUN], threading.Event()
    watched.becomes(Doing.STARTING)
    nano.running = []
    nano.hold.set()
    watched.becomes(Doing.FREE)


def test_a_lost_camera_and_a_silent_program(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SILENT_S", 0.05)
    nano = watched.machine
    nano.events = {"lost": [prediction(1, 1.0), camera("lost"), HEALTH],
                   "silent": [camera("lost"), camera("back"), prediction(1, 1.0)]}
    nano.running = [{**RUN, "id": "lost"}]
    sight = watched.becomes(Doing.NO_CAMERA)
    assert sight.prediction is None and sight.picture is None and sight.health is not None
    nano.running = [{**RUN, "id": "silent"}]
    assert watched.becomes(Doing.SILENT).prediction is None


def test_a_nano_that_is_away_comes_back(watched: Watched) -> None:
    error = MachineError("machine.unreachable", machine="nano1", host="h")

    def away() -> FakeMachine:
        raise error

    watched.opened = away
    assert watched.becomes(Doing.ABSENT).error is error
    watched.opened = lambda: watched.machine
    watched.becomes(Doing.FREE)


@pytest.mark.parametrize("error", [
    MachineError("machine.auth", machine="nano1", login="n"), ConfigError("config.no_nano", file=None),
    HostKeyError("machine.host_key_changed", machine="nano1", fingerprint="f")], ids=["login", "config", "key"])
def test_one_that_refuses_is_asked_again_only_when_somebody_wants_it(watched: Watched, error: Exception) -> None:
    asked: list[int] = []

    def refuse() -> FakeMachine:
        asked.append(1)
        raise error

    watched.opened = refuse
    watched.becomes(Doing.ABSENT)
    time.sleep(0.2)
    assert asked == [1]
    watched.watch.look_again()
    watched.until(lambda sight: len(asked) == 2)
    watched.opened = lambda: watched.machine
    watched.watch.look_again()
    watched.becomes(Doing.FREE)


def test_looking_on_that_broke_is_begun_anew_and_what_is_not_understood_is_not(watched: Watched) -> None:
    nano = watched.machine
    nano.running = [RUN]
    nano.ends["r-1"] = MachineError("machine.lost", machine="nano1")
    watched.until(lambda sight: len(nano.looked_on) > 3)
    nano.ends["r-1"] = WorkFailed("wire.version", machine="nano1", version=9, ours=1)
    sight = watched.until(lambda sight: isinstance(sight.error, WorkFailed))
    assert sight.doing is Doing.SILENT
    count = len(nano.looked_on)
    time.sleep(0.1)
    assert len(nano.looked_on) == count


def test_events_without_sense_are_passed_over(watched: Watched) -> None:
    nano = watched.machine
    nano.running = [RUN]
    nano.events["r-1"] = [{"type": "prediction", "frame": "x"}, {"type": "new"}, prediction(3, 3.0)]
    assert watched.becomes(Doing.LIVE).prediction.frame == 3  # type: ignore[union-attr]


def test_a_clock_that_is_set_makes_no_rate(watched: Watched) -> None:
    """A Nano has no battery clock: once it is online its time jumps."""
    nano = watched.machine
    nano.running = [RUN]
    nano.events["r-1"] = [prediction(1, 10.0), prediction(2, 11.5), prediction(3, 1e9), prediction(4, 5.0)]
    sight = watched.until(lambda sight: sight.prediction is not None and sight.prediction.frame == 4)
    assert sight.rate is None
