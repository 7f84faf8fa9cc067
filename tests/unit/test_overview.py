"""What the instructor reads of a room, made of what its machines say; and who is ended, in which order, by whom."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeLab, FakeMachine

from ai_nano.cli import overview
from ai_nano.cli.console import make_console
from ai_nano.core import asking, texts
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import EndedByOther, MachineError, WorkFailed
from ai_nano.core.overview import room, sight, stepping_in, watch
from ai_nano.core.overview.sight import Sight
from ai_nano.core.overview.watch import RoomWatch
from ai_nano.core.room import ended
from ai_nano.core.room.ended import By

GOLDEN = Path(__file__).parents[1] / "data" / "wire_v1.jsonl"
EXAMPLE: dict[str, Any] = next(
    json.loads(line)["example"] for line in GOLDEN.read_text("utf-8").splitlines() if '"runner.room"' in line)
ADA, WAITS, FAILED, VANISHED, ENDED, QUEUED = EXAMPLE["runs"]


def works(*runs: dict[str, Any], machine: str = "DL") -> list[sight.Work]:
    return sight.read(machine, {**EXAMPLE, "runs": list(runs)})


def away() -> Any:
    raise MachineError("machine.unreachable", machine="DL", host="10.0.0.1")


def test_how_far_and_what_place() -> None:
    [ada, waits, queued] = works(ADA, WAITS, QUEUED)
    assert ada.place_of_work == "GPU 0" and replace(ada, node="gpu7").place_of_work == "gpu7" and not waits.place_of_work
    assert (ada.who, ada.model, ada.step) == ("ada@lab1", "ada-animals-001", "Train")
    assert ada.far == "epoch 18 of 40  ·  45 %  ·  1 min 4 s left" and ada.older(30).far.endswith("34 s left")
    assert waits.who == waits.run and waits.place == "number 2 in the queue, in 7 min 11 s at the latest"
    assert (queued.waiting, queued.position, queued.wait_s, queued.model) == (True, 2, 431.0, "bob-animals-001")
    assert replace(queued, wait_s=None).place == "number 2 in the queue"


def test_why_something_failed() -> None:
    [failed, vanished, by_other] = works(FAILED, VANISHED, ENDED)
    assert failed.why == 'ada-animals-001 has no pictures of "cat" to learn from.'
    assert "disappeared" in vanished.why
    assert by_other.why.startswith("ended by the instructor (eve@desk) at ")


def test_a_room() -> None:
    seen = room.make([Sight("DL", True, tuple(works(ADA, QUEUED, FAILED))), Sight("nano1", False, tuple(works(WAITS))),
                      Sight("nano2", False, ()), Sight("nano3", False), Sight("nano4", False, None, MachineError(
                          "machine.unreachable", machine="nano4", host="10.0.0.4"))])
    assert [work.run for work in seen.working] == [ADA["id"]] and [work.run for work in seen.waiting] == [QUEUED["id"]]
    assert [work.run for work in seen.failed] == [FAILED["id"]] and not seen.asked
    first, second, third, fourth = seen.nanos
    assert first.holder is None and first.waiting.startswith("1 waiting, next 2026")
    assert (second.use, third.use) == ("Nobody uses it.", "Being asked…") and "nano4" in fourth.use
    assert [nano.state for nano in seen.nanos] == ["connected", "connected", "connecting", "absent"]
    assert json.loads(json.dumps(seen.to_json()))["nanos"][3]["error"]["code"] == "machine.unreachable"
    said = "\n".join(overview.lines(seen))
    for words in ("epoch 18 of 40", "number 2 in the queue", "nano4", "no pictures of"):
        assert words in said


def test_the_queue_is_in_the_order_of_its_places() -> None:
    rows = [{**QUEUED, "id": f"r-{place}", "queue": {**QUEUED["queue"], "place": place}} for place in (3, 1, 2)]
    unknown = {**QUEUED, "id": "r-9", "queue": None}
    waiting = room.make([Sight("DL", True, tuple(works(unknown, *rows)))]).waiting
    assert [work.run for work in waiting] == ["r-1", "r-2", "r-3", "r-9"]


def test_a_day_in_which_everything_fails_is_bounded() -> None:
    rows = [{**FAILED, "id": f"r-{number}", "ended_s": float(number)} for number in range(500)]
    failed = room.make([Sight("DL", True, tuple(works(*rows)))]).failed
    assert len(failed) == room.MOST_FAILED and failed[0].run == "r-0"


@pytest.mark.parametrize("change", [
    {"progress": 7}, {"progress": {"done": "x"}}, {"metric": {"epoch": -1}}, {"ended_by": {"who": 3}}, {"ended_by": []},
    {"queue": {"place": "first"}}, {"queue": []}, {"laptop": {}}, {"exit": "no"}, {"error": {"code": "No Code"}},
    {"ended_s": "long"}, {"ended_by": {"who": "x", "ago_s": "y"}}, {"node": 7}])
def test_what_makes_no_sense_is_left_out_alone(change: dict[str, Any]) -> None:
    base = QUEUED if "queue" in change else ENDED if change.keys() & {"ended_by", "exit", "error"} else ADA
    assert [work.run for work in works({**base, **change}, WAITS)] == [WAITS["id"]]


def test_names_steer_no_terminal() -> None:
    [work] = works({**ADA, "student": "\x1b[2Jada", "laptop": "l\nab"})
    assert work.who == "ada (l\ufffdab)"
    by = ended.read({"ended_by": {"who": "\x1b]0;x\x07eve", "role": "instructor", "reason": "a\u202eb", "ago_s": 1}})
    assert by is not None and (by.who, by.reason) == ("eve", "a\ufffdb")
    with pytest.raises(MachineError):
        sight.read("DL", {"now": "now", "runs": []})


# ---- watching --------------------------------------------------------------------------------------------------------


def test_a_dead_machine_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ASK_S", 0.02)
    monkeypatch.setattr(asking, "ABSENT_S", 0.02)
    lab, gone = FakeLab(tmp_path), threading.Event()

    def hangs() -> Any:
        gone.wait(20)
        return away()

    lab.server.room = hangs  # type: ignore[method-assign]
    looked = RoomWatch(lab)
    threads = [threading.Thread(target=one.run) for one in looked.watches]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while looked.sights()[1].works is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert looked.sights()[0].works is None and looked.sights()[0].error is None
    gone.set()
    while looked.sights()[0].error is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    looked.stop()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads) and lab.server.cancelled == []


# ---- stepping in -----------------------------------------------------------------------------------------------------


def nano(tmp_path: Path) -> FakeMachine:
    machine = FakeMachine("nano1", tmp_path)
    held = {**ADA, "id": "held", "program": "jetson_nano/classify.py"}
    machine.works = [held, {**WAITS, "id": "next"}, {**WAITS, "id": "last"}, {**FAILED, "id": "failed"}]
    return machine


def test_taking_over_ends_the_one_or_all_who_wait_first(tmp_path: Path) -> None:
    by = By("eve@desk", instructor=True)
    one, all_of_them = nano(tmp_path), nano(tmp_path)
    assert [work.run for work in stepping_in.take_over(one, False, by)] == one.cancelled == ["held"]
    stepping_in.take_over(all_of_them, True, by)
    assert all_of_them.cancelled == ["next", "last", "held"] and set(all_of_them.ended_by) == {by}


def test_what_is_not_known_to_be_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = nano(tmp_path)
    monkeypatch.setattr("fakes.FakeJob.cancel", lambda self, by=None: False)
    with pytest.raises(WorkFailed) as caught:
        stepping_in.take_over(machine, False, By("eve"))
    assert caught.value.code == "job.not_cancelled"


def test_ones_own_end_names_nobody() -> None:
    assert ended.whose("ada@lab", "ada@lab") is None
    assert ended.whose("eve", "ada@lab", True) == By("eve", True)
    assert By("-x", True, " why\n ").words() == ["--by=-x", "--role=instructor", "--reason=why"]
    assert len(By("x" * 500, False, "y" * 900).words()[1]) < 320


def test_the_words_to_the_student_in_both_languages() -> None:
    at = time.mktime((2026, 11, 22, 10, 42, 0, 0, 0, -1))
    error = ended.EndedBy("eve@desk", True, "The lesson is over.", at).error("nano1", "r-1")
    assert isinstance(error, EndedByOther) and error.exit_code == 130
    assert error.what == "Your instructor (eve@desk) ended this at 10:42."
    assert error.why.startswith("“The lesson is over.” It ran")
    other = ended.EndedBy("bob@lab3", False, "", at).error("nano1", "r-1")
    assert other.what.startswith("bob@lab3 ended this at 10:42") and "“" not in other.why
    texts.set_language("fr")
    try:
        assert error.what == "Ton enseignant (eve@desk) a arrêté ceci à 10:42."
    finally:
        texts.set_language(None)


# ---- on the terminal -------------------------------------------------------------------------------------------------


def test_watching_goes_on_until_it_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    lab, cancel, drawn = FakeLab(tmp_path), CancelToken(), overview._draw
    lab.server.works = [ADA]
    seen: list[room.Room] = []

    def draw(told: room.Room, console: Any, as_json: bool) -> None:
        drawn(told, console, as_json)
        seen.append(told)
        if len(seen) == 2:
            cancel.cancel()

    monkeypatch.setattr(overview, "_draw", draw)
    monkeypatch.setattr(overview, "EVERY_S", 0.01)
    monkeypatch.setattr(overview, "wait", lambda look: look(cancel))
    assert overview._watch(lab, make_console(True, False), True) == 0  # type: ignore[arg-type]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["working"][0]["student"] for line in lines] == ["ada@lab1", "ada@lab1"] and all(one.asked for one in seen)
