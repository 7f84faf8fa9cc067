"""Turns on a shared Nano, as the laptop reads, says and configures them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeLab
from room import Room

from ai_nano.cli import console as module
from ai_nano.cli.console import JsonConsole, TextConsole
from ai_nano.core import texts
from ai_nano.core.answers import Nonsense
from ai_nano.core.errors import ConfigError
from ai_nano.core.events import Log
from ai_nano.core.nano import boards
from ai_nano.core.ports import JobEnd
from ai_nano.core.room import config, turns
from ai_nano.core.room.config_file import NANO, document, machine_form
from ai_nano.core.room.turns import Turn
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.infer import InferOptions, TryOptions

CLASSIFY = "jetson_nano/classify.py"
BOB = {"run": "r-1", "program": CLASSIFY, "student": "bob@lab3", "laptop": "lab3", "for_s": 125.0, "left_s": 175.0,
       "own": False}
CHLOE = {**BOB, "run": "r-2", "student": "chloe", "laptop": "lab5", "for_s": 8.0, "left_s": 300.0}


def waiting(*ahead: dict[str, Any], wait_s: float | None = None) -> dict[str, Any]:
    return {"v": 1, "type": "turn", "state": "waiting", "position": len(ahead), "ahead": list(ahead), "wait_s": wait_s}


def ending(left_s: float, count: int) -> dict[str, Any]:
    return {"v": 1, "type": "turn", "state": "ending", "left_s": left_s, "waiting": count, "who": "bob@lab3"}


def read(raw: dict[str, Any]) -> Turn:
    return turns.read(raw, "infer", "nano1")


@pytest.mark.parametrize(("raw", "words"), [
    (waiting(BOB, wait_s=175.0), "Waiting: bob@lab3 has had nano1 for 2 min 5 s (classification). "
                                 "You are next, in 2 min 55 s at the latest."),
    (waiting({**BOB, "program": "jetson_nano/build_engine.py", "left_s": None}),
     "Waiting: bob@lab3 has had nano1 for 2 min 5 s (preparing a model). You are next."),
    (waiting(BOB, CHLOE, wait_s=475.0), "Waiting: bob@lab3 has had nano1 for 2 min 5 s (classification). "
                                        "You are number 2 in the queue; your turn comes in 7 min 55 s at the latest."),
    (waiting({**BOB, "student": None, "program": "jetson_nano/new.py"}, CHLOE),
     "Waiting: r-1 (lab3) has had nano1 for 2 min 5 s (jetson_nano/new.py). You are number 2 in the queue."),
    (waiting({**BOB, "student": "ada", "own": True}, wait_s=1.0),
     "Waiting: you yourself (ada (lab3)) have had nano1 for 2 min 5 s (classification). You are next, in 1 s at the latest. "
     "You can end your other run with: ai-nano jobs --cancel r-1"),
    (waiting(BOB, {**CHLOE, "own": True}),
     "Waiting: bob@lab3 has had nano1 for 2 min 5 s (classification). You yourself (chloe (lab5)) are in the queue already. "
     "You are number 2 in the queue. You can end your other run with: ai-nano jobs --cancel r-2"),
    ({"v": 1, "state": "yours", "limit_s": 300}, "It is your turn on nano1."),
    (ending(60.0, 1), "Your turn on nano1 ends in 1 min 0 s: bob@lab3 is waiting."),
    (ending(42.2, 3), "Your turn on nano1 ends in 42 s: 3 others are waiting.")])
def test_what_a_person_reads(raw: dict[str, Any], words: str) -> None:
    assert read(raw).text == words


def test_and_in_french() -> None:
    texts.set_language("fr")
    assert read(waiting(BOB, wait_s=175.0)).text == (
        "En attente : bob@lab3 a nano1 depuis 2 min 5 s (classification). C'est à toi ensuite, dans 2 min 55 s au plus tard.")
    texts.set_language(None)


@pytest.mark.parametrize("raw", [
    {"state": "dancing"}, waiting({**BOB, "run": "../x"}), waiting({**BOB, "run": "-rf"}), waiting({**BOB, "for_s": -1}),
    waiting({**BOB, "student": 5}), waiting("x"), {**waiting(), "ahead": None}, ending(-1.0, 1), ending(1.0, 0),  # type: ignore[arg-type]
    {"state": "yours", "limit_s": "long"}])
def test_what_makes_no_sense_is_no_event(raw: dict[str, Any]) -> None:
    with pytest.raises(Nonsense):
        read(raw)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_a_terminal_says_when_the_queue_changes_and_now_and_then(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    console = TextConsole(quiet=False)
    for second in range(70):
        clock.now = 100.0 + second
        console.emit(read(waiting(BOB, CHLOE) if second < 65 else waiting(CHLOE)))
    console.emit(read({"v": 1, "state": "yours", "limit_s": 300}))
    lines = capsys.readouterr().out.splitlines()
    assert ["bob" in line for line in lines] == [True, True, True, False, False]
    assert lines[-1] == "It is your turn on nano1." and "You are next." in lines[-2]


def test_programs_get_every_one(capsys: pytest.CaptureFixture[str]) -> None:
    JsonConsole().emit(read(waiting(BOB, wait_s=175.0)))
    assert json.loads(capsys.readouterr().out) == {**waiting(BOB, wait_s=175.0), "step": "infer", "machine": "nano1"}


# ---- steps -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def deployed(exported: Room) -> Room:
    exported.do("deploy", DeployOptions())
    return exported


@pytest.mark.parametrize(("minutes", "seconds"), [(5.0, 300.0), (0.5, 30.0), (0.0, None)])
def test_the_rooms_limit_goes_with_the_run(
        deployed: Room, minutes: float, seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = deployed.lab
    monkeypatch.setattr(lab, "config", replace(lab.config, nanos=(replace(lab.nano_settings, turn=minutes),)))
    deployed.do("infer", InferOptions(frames=1))
    assert lab.nano(None).started[-1][1]["turn_s"] == seconds


def test_to_try_a_model_here_takes_no_turn(deployed: Room) -> None:
    deployed.do("try", TryOptions(frames=1))
    assert deployed.lab.nano(None).started[-1][1]["queue"] is False


def test_a_turn_that_was_over_is_in_the_receipt(deployed: Room) -> None:
    nano = deployed.lab.nano(None)
    nano.events[CLASSIFY] = [waiting(BOB), {"v": 1, "type": "turn", "state": "yours", "limit_s": 300}, ending(60.0, 1),
                             {"v": 1, "type": "log", "code": "infer.turn_over", "params": {"minutes": 5, "who": "bob@lab3"}}]
    nano.ends[CLASSIFY] = JobEnd("done", {"frames": 0, "turn_over": True})
    assert deployed.do("infer", InferOptions())["turn_over"] is True
    assert [event.state for event in deployed.events if isinstance(event, Turn)] == ["waiting", "yours", "ending"]
    [over] = [event for event in deployed.events if isinstance(event, Log) and event.code == "infer.turn_over"]
    assert over.text == "Your turn of 5 min is over, bob@lab3 is next. Start again to queue up."
    nano.events[CLASSIFY] = []
    assert "turn_over" not in deployed.do("infer", InferOptions(frames=1))


# ---- the board's answer and the config -------------------------------------------------------------------------------


def test_who_uses_a_nano_now(tmp_path: Path) -> None:
    nano = FakeLab(tmp_path).nano(None)
    queue = [{key: value for key, value in one.items() if key != "own"} for one in (BOB, CHLOE)]
    nano.board_answers["models"] = {"now": 1.0, "models": [], "queue": queue}
    models, found = boards.models_and_queue(nano)
    assert models == [] and [place.words(position == 0) for position, place in enumerate(found)] == [
        "bob@lab3: classification for 2 min 5 s, 2 min 55 s left at most", "chloe (lab5): waiting for 8 s"]
    nano.board_answers["models"] = {"now": 1.0, "models": []}
    assert boards.models_and_queue(nano) == ([], ())


def with_turn(value: str) -> str:
    return '{"DL_server": {"ip": "gpu", "login": "n"}, "jetson_nano": [{"ip": "a", "login": "n"' + value + "}]}"


@pytest.mark.parametrize(("value", "minutes"), [("", 5.0), (', "turn": 10', 10.0), (', "turn": 0.5', 0.5), (', "turn": 0', 0.0),
                                                (', "turn": null', 0.0)])
def test_the_length_of_a_turn_is_the_rooms(value: str, minutes: float) -> None:
    read = config.read(with_turn(value))
    assert read.nanos[0].turn == minutes
    assert config.read(json.dumps(document(read))).nanos[0].turn == minutes
    assert ("turn" in document(read)["jetson_nano"][0]) == (minutes != 5.0)


def test_the_form_takes_minutes() -> None:
    values = {"name": "nano1", "ip": "a", "login": "n", "turn": "2.5"}
    assert machine_form(values, NANO).turn == 2.5  # type: ignore[union-attr]
    assert machine_form({**values, "turn": " "}, NANO).turn == 5.0  # type: ignore[union-attr]
    with pytest.raises(ConfigError) as caught:
        machine_form({**values, "turn": "long"}, NANO)
    assert caught.value.params["key"] == "jetson_nano[1].turn"


@pytest.mark.parametrize("value", ["-1", "2000", '"5"', "true", "[5]"])
def test_a_length_that_is_none_is_named(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.read(with_turn(f', "turn": {value}'))
    assert (caught.value.code, caught.value.params["key"]) == ("config.type", "jetson_nano[1].turn")
