"""Several students share a Nano: its programs take turns in the order in which they came, and wait for nobody who died."""

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boards import Board, board_with
from classification import CLASSIFY, Nano
from colours import MjpegCamera, make_clip
from machine import Follower, Machine, Message, of, wait_for
from test_wire import check

# A turn that never comes would be waited for without end.
pytestmark = pytest.mark.timeout(120)

BLINK, BUILD = "jetson_nano/blink.py", "jetson_nano/build_engine.py"
# One that ends only when it is told to.
LONG = {"leds": "file", "pins": [12], "leds_file": None, "classes": [], "seconds": 60, "rounds": 1}
# The kernel ends the lock with the process; a waiting program looks five times a second.
NEXT_S = 2.0


@pytest.fixture(params=["3.6", "newer"])
def both(tmp_path: Path, nano_python: str, request: pytest.FixtureRequest) -> Iterator[Nano]:
    """Under the Nano's Python and under the Python of the tests: JetPack 5 and 6 have newer ones than 3.6."""
    home = tmp_path / "home"
    home.mkdir()
    machine = Machine(home, nano_python if request.param == "3.6" else sys.executable)
    yield Nano(machine)
    machine.close()


def start(nano: Nano, id: str, program: str = BLINK, student: str = "", lease_s: float | None = None,
          **params: Any) -> Follower:
    """A run of that student, else of one who has no other, from the laptop `lab1`."""
    usual = LONG if program == BLINK else {}
    spec = json.loads(nano.machine.spec(id, program, lease_s, **{**usual, **params}))
    spec.update(student=student or f"student of {id}", laptop="lab1")
    nano.machine.call("runner.py", "start", stdin=json.dumps(spec).encode())
    return nano.machine.follow(id)


def turn(follower: Follower, state: str) -> Message:
    """The next event `turn`, which has that state."""
    event = follower.read_event("turn")
    check(f"event.turn.{event['state']}", event)
    assert event["state"] == state, event
    return event


def behind(follower: Follower, *runs: str) -> Message:
    """The next `waiting` that has these before it; earlier ones may still be told."""
    while True:
        event = turn(follower, "waiting")
        if [one["run"] for one in event["ahead"]] == list(runs):
            assert event["position"] == len(runs)
            return event


def tickets(nano: Nano) -> list[str]:
    return sorted(path.name for path in (nano.machine.root / ".ai_nano" / "turns").glob("*.json"))


def waiting(nano: Nano) -> dict[str, bool]:
    return {run["id"]: run["waiting"] for run in nano.machine.call("runner.py", "list")["runs"]}


def end(nano: Nano, *ids: str) -> None:
    for id in ids:
        nano.machine.cancel(id)


def test_one_after_the_other_also_when_one_is_killed(both: Nano, tmp_path: Path) -> None:
    nano = both
    start(nano, "a", student="bob@lab3").read_event("blink")
    second = start(nano, "b", student="ada@lab1")
    told = behind(second, "a")
    assert told["wait_s"] is None
    assert told["ahead"] == [{"run": "a", "program": BLINK, "student": "bob@lab3", "laptop": "lab1", "own": False,
                              "for_s": told["ahead"][0]["for_s"], "left_s": None}]
    assert 0 <= told["ahead"][0]["for_s"] < 30
    third = start(nano, "c", student="ada@lab1")
    told = behind(third, "a", "b")
    assert [one["own"] for one in told["ahead"]] == [False, True]
    queue = Board(nano, tmp_path).ask("models")["queue"]
    assert [(one["run"], one["student"]) for one in queue] == [("a", "bob@lab3"), ("b", "ada@lab1"), ("c", "ada@lab1")]
    assert waiting(nano) == {"a": False, "b": True, "c": True}
    os.kill(nano.machine.process_id("a"), signal.SIGKILL)
    killed = time.monotonic()
    while second.read_event("turn")["state"] == "waiting":
        pass
    second.read_event("blink")
    assert time.monotonic() - killed < NEXT_S
    behind(third, "b")
    assert waiting(nano) == {"a": False, "b": False, "c": True}
    second.send(type="stop")
    while third.read_event("turn")["state"] == "waiting":
        pass
    third.read_event("blink")
    end(nano, "c")
    assert tickets(nano) == [] and nano.lit() == []


@pytest.mark.parametrize("way", ["stop", "TERM", "KILL", "lease"])
def test_who_gives_up_while_waiting_is_out_of_the_queue(nano: Nano, way: str) -> None:
    start(nano, "a").read_event("blink")
    second = start(nano, "b", lease_s=0.6 if way == "lease" else None)
    behind(second, "a")
    third = start(nano, "c")
    if way != "lease":  # it may be gone already
        behind(third, "a", "b")
    if way == "stop":
        second.send(type="stop")
    elif way == "TERM":
        assert nano.machine.cancel("b")["state"] == "cancelled"
    elif way == "KILL":
        os.kill(nano.machine.process_id("b"), signal.SIGKILL)
    behind(third, "a")
    if way in ("stop", "lease"):
        events = [message["event"] for message in second.read_all() if message["type"] == "event"]
        check("blink.result", events[-1])
        assert (events[-1]["stopped"], events[-1]["rounds"], events[-1]["lit"]) == (True, 0, [])
        assert [event["code"] for event in of(events, "log")] == (["infer.lease_lost"] if way == "lease" else [])
    assert nano.lit() == [12] and len(tickets(nano)) == 2
    end(nano, "a", "c")


def test_a_classification_that_waits_is_small(nano: Nano, tmp_path: Path) -> None:
    """It neither loads a library of pictures or networks, nor opens LEDs or the camera."""
    start(nano, "a").read_event("blink")
    second = start(nano, "b", CLASSIFY, **nano.params(tmp_path / "no camera", pins=[16]))
    behind(second, "a")
    pid = nano.machine.process_id("b")
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert not [name for name in ("cv2", "onnxruntime", "numpy") if name in maps]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert children == "" and int(status["VmRSS"].split()[0]) < 40 * 1024
    assert [pin for pin, _ in nano.switched()] == [12, 12]  # dark when it was opened, then lit
    end(nano, "b", "a")
    assert nano.lit() == []


def test_what_is_wrong_with_a_model_is_said_before_waiting(nano: Nano, tmp_path: Path) -> None:
    start(nano, "a").read_event("blink")
    for id, change, code in (("b", {"model_dir": str(tmp_path)}, "infer.model_missing"),
                             ("c", {"turn_s": "long"}, "infer.bad_params")):
        start(nano, id, CLASSIFY, **nano.params(tmp_path, **change))
        [event] = nano.machine.events(id)
        assert event["code"] == code
    end(nano, "a")


def test_a_turn_is_limited_only_while_others_wait(both: Nano, camera: MjpegCamera) -> None:
    nano = both
    first = start(nano, "a", CLASSIFY, "bob@lab3", **nano.params(camera.uri, turn_s=1))
    camera.show("red")
    first.read_event("prediction")
    time.sleep(1.5)
    camera.show("blue")
    assert first.read_event("prediction")["lit"] == [18], "longer than its turn, since nobody waits"
    second = start(nano, "b", student="ada@lab1")
    told = turn(first, "ending")
    assert told["waiting"] == 1 and told["who"] == "ada@lab1" and 0 < told["left_s"] <= 1
    told = behind(second, "a")
    assert 0 <= told["wait_s"] == told["ahead"][0]["left_s"] <= 1 < told["ahead"][0]["for_s"]
    assert first.read_event("log")["params"] == {"minutes": 0, "who": "ada@lab1"}
    result = first.read_event("result")
    assert result["turn_over"] is True and result["frames"] == 2 and result["seconds"] < 30
    while second.read_event("turn")["state"] == "waiting":
        pass
    second.read_event("blink")
    assert nano.lit() == [12]
    end(nano, "b")


def test_who_no_longer_has_to_hurry_is_told(nano: Nano, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", ["red"] * 50 * 60)
    first = start(nano, "a", CLASSIFY, **nano.params(clip.as_uri(), turn_s=30))
    first.read_event("prediction")
    second = start(nano, "b")
    assert 20 < turn(first, "ending")["left_s"] <= 30
    start(nano, "c")
    assert turn(first, "ending")["waiting"] == 2
    second.send(type="stop")
    end(nano, "c")
    while (told := first.read_event("turn"))["state"] == "ending":
        pass
    check("event.turn.yours", told)
    assert (told["state"], told["limit_s"]) == ("yours", 30) and first.read_event("prediction")["class"] == "red"
    first.send(type="stop")
    assert "turn_over" not in first.read_event("result")


def test_tickets_that_a_lost_power_left_are_nobodys(nano: Nano) -> None:
    """Whatever process has the ids of then now: nobody holds the locks. What is torn, but held, counts."""
    folder = nano.machine.root / ".ai_nano" / "turns"
    folder.mkdir(parents=True)
    (folder / "000003-old.json").write_text(json.dumps({"v": 1, "number": 3, "run": "old", "program": BLINK, "student": "eve",
                                                        "laptop": None, "asked": 1.0, "since": 2.0, "turn_s": None}))
    (folder / "000004-torn.json").write_bytes(b'{"v": 1, "num')
    first = start(nano, "a")
    assert first.read()["event"]["type"] == "blink" and tickets(nano) == ["000005-a.json"]
    first.send(type="stop")
    first.read_event("result")
    (folder / "000007-odd.json").write_bytes(b"")
    with (folder / "000007-odd.json").open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = start(nano, "b")
        told = behind(second, "odd")
        assert (told["ahead"][0]["student"], told["wait_s"]) == (None, None)
    while second.read_event("turn")["state"] == "waiting":
        pass
    second.read_event("blink")
    assert tickets(nano) == ["000008-b.json"]
    end(nano, "b")


def test_a_build_waits_for_the_memory(nano: Nano) -> None:
    start(nano, "a").read_event("blink")
    second = start(nano, "b", BUILD, model_dir=str(nano.model))
    behind(second, "a")
    end(nano, "a")
    events = [message["event"] for message in second.read_all() if message["type"] == "event"]
    assert events[-1]["code"] == "infer.engine_missing", "its turn came, and this machine has no jetson-inference"


def test_what_wants_no_turn_waits_for_none(nano: Nano, camera: MjpegCamera, tmp_path: Path) -> None:
    """A laptop's own camera is nobody else's business; what began at boot gives way to all."""
    start(nano, "a").read_event("blink")
    start(nano, "b", queue=False, pins=[16]).read_event("blink")
    assert nano.lit() == [12, 16] and len(tickets(nano)) == 1
    end(nano, "a", "b")
    with board_with(nano, tmp_path, "user_bus", "lingering") as board:
        board.autostart(camera.uri)
        camera.show("red")
        wait_for(lambda: nano.lit() == [12], "the classification that began at boot")
        assert board.ask("models")["queue"] == []
        start(nano, "c", pins=[16]).read_event("blink")
        assert nano.lit() == [16] and tickets(nano) == ["000001-c.json"]
        end(nano, "c")
