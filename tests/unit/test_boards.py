"""What the laptop makes of a board's answers, and which of its refusals are whose."""

import dataclasses
from pathlib import Path

import pytest
from fakes import FakeLab

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import BadInput, MachineError, WorkFailed
from ai_nano.core.events import ignore
from ai_nano.core.nano import boards
from ai_nano.core.ports import JobEnd, StepContext
from ai_nano.steps.autostart import start_at_boot
from ai_nano.steps.blink import blink

MODEL = {"model": "m-001", "path": "/home/nano/ai_nano/models/m-001", "classes": ["cat", "dog"], "size": 10, "exported": True,
         "modified": 5, "runs": [], "autostart": False}
RUN = {"id": "r-1", "program": "jetson_nano/classify.py", "student": "ada", "started": 900.0}


@pytest.fixture
def lab(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


def test_a_model_says_who_runs_it_and_since_when(lab: FakeLab) -> None:
    nano = lab.nano(None)
    nano.board_answers["models"] = {"now": 1000.0, "models": [{**MODEL, "runs": [RUN, {**RUN, "student": None}]}]}
    [model] = boards.models(nano)
    assert [(use.who, use.age_s) for use in model.uses] == [("ada", 100.0), ("r-1", 100.0)]
    assert model.autostart is None
    nano.board_answers["models"] = {"now": 1.0, "autostart_state": "running", "models": [
        {**MODEL, "autostart": True}, {**MODEL, "model": "m-002", "path": "/m-002"}]}
    assert [one.autostart for one in boards.models(nano)] == ["running", None]
    assert model.to_json()["running"][0] == {"run": "r-1", "student": "ada", "program": RUN["program"], "age_s": 100.0}


@pytest.mark.parametrize("change", [{"runs": 3}, {"runs": ["x"]}, {"runs": [{}]}, {"autostart": "yes"}, {"path": "no/root"}])
def test_an_answer_without_sense_is_an_error(lab: FakeLab, change: dict[str, object]) -> None:
    lab.nano(None).board_answers["models"] = {"now": 1000.0, "models": [{**MODEL, **change}]}
    with pytest.raises(MachineError) as caught:
        boards.models(lab.nano(None))
    assert caught.value.code == "machine.nonsense"


@pytest.mark.parametrize(("code", "kind"), [("power.in_use", MachineError), ("power.not_permitted", MachineError),
                                            ("power.failed", WorkFailed)])
def test_what_the_board_refuses_is_told_apart_from_what_failed(lab: FakeLab, code: str, kind: type[Exception]) -> None:
    said = WorkFailed(code, machine="nano1", who="ada", program="p", line="L", login="n", error="e")
    lab.nano(None).board_answers["power"] = said
    with pytest.raises(kind) as caught:
        boards.power(lab.nano(None), "shutdown")
    assert caught.type is kind and "{" not in str(caught.value)


def test_a_board_that_is_gone_before_it_answers_went_down(lab: FakeLab) -> None:
    nano = lab.nano(None)
    nano.board_answers["power"] = MachineError("machine.no_answer", machine="nano1", status=143)
    assert not boards.power(nano, "reboot", force=True).answered
    nano.asked.clear()
    nano.board_answers["power"] = MachineError("machine.lost", machine="nano1")
    assert boards.power(nano, "reboot", force=True) == boards.Switched("reboot", done=True, answered=False)
    assert nano.asked == [("power", "reboot", "--force")]
    for error in (MachineError("machine.unreachable", machine="nano1"),
                  MachineError("machine.no_answer", machine="nano1", status=1)):
        nano.board_answers["power"] = error
        with pytest.raises(MachineError):
            boards.power(nano, "reboot")
    with pytest.raises(BadInput):
        boards.power(nano, "halt")


def test_an_autostart_with_its_last_error(lab: FakeLab) -> None:
    nano = lab.nano(None)
    answer = {"model": "m-001", "way": "cron", "student": None, "state": "waiting", "since": 1.0,
              "error": {"code": "infer.camera_missing", "params": {"camera": "csi://0"}}, "notes": ["autostart.no_cron", "x.y"]}
    nano.board_answers["autostart"] = answer
    found = boards.autostart_status(nano)
    assert (found.model, found.way, found.state, found.notes) == ("m-001", "cron", "waiting", ("autostart.no_cron",))
    assert found.error is not None and found.error.code == "infer.camera_missing"
    nano.board_answers["autostart"] = {**answer, "state": "dancing"}
    with pytest.raises(MachineError):
        boards.autostart_status(nano)


@pytest.mark.parametrize("model", ["../x", "", "a b"])
def test_a_name_that_is_none_never_reaches_the_board(lab: FakeLab, model: str) -> None:
    context = StepContext(lab, ignore, CancelToken())
    for work in (lambda: boards.delete(lab.nano(None), model), lambda: start_at_boot(lab, None, model),
                 lambda: blink(None, model, context)):
        with pytest.raises(BadInput):
            work()
    assert lab.nano(None).asked == []


def test_blink_takes_the_newest_model_and_waits_for_nobody(lab: FakeLab) -> None:
    nano = lab.nano(None)
    nano.board_answers["models"] = {"now": 1.0, "models": [
        {**MODEL, "modified": 5}, {**MODEL, "model": "m-002", "modified": 9, "classes": ["a", "b", "c", "d"]},
        {**MODEL, "model": "m-003", "modified": 99, "classes": []}]}
    nano.ends["jetson_nano/blink.py"] = JobEnd("done", {"lit": [{"pin": 12, "class": "a"}, {"pin": 16, "class": None}]})
    context = StepContext(lab, ignore, CancelToken())
    done = blink(None, None, context)
    assert (done.model, done.lit, done.without_pin) == ("m-002", ((12, "a"), (16, None)), ("d",))
    lab.nano_settings = dataclasses.replace(lab.nano_settings, leds="none")
    lab.config = dataclasses.replace(lab.config, nanos=(lab.nano_settings,))
    with pytest.raises(BadInput):
        blink(None, None, context)
    lab.config = dataclasses.replace(lab.config, nanos=(dataclasses.replace(lab.nano_settings, leds="gpio"),))
    nano.running = [{"id": "r-1", "program": "x", "state": "running", "student": "ada", "age_s": 1.0}]
    with pytest.raises(MachineError) as caught:
        blink(None, None, context)
    assert caught.value.code == "blink.in_use" and "ada" in caught.value.why and len(nano.started) == 1
