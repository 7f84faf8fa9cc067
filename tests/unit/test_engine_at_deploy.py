"""Step 7 with TensorRT: the engine is built before the step is done, by doubles of Nanos."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeMachine
from room import Room

from ai_nano.core.errors import AiNanoError, Cancelled, ContactLost, WorkFailed
from ai_nano.core.events import Building, Event, Log, Progress, State
from ai_nano.core.ports import JobEnd
from ai_nano.core.running import Status
from ai_nano.steps import engine
from ai_nano.steps.deploy import DeployOptions

BUILT = JobEnd("done", {"model": "m", "engine": "model.onnx.engine", "reused": False, "seconds": 131.5})
TICK: list[dict[str, Any]] = [
    {"type": "progress", "what": "engine.build", "done": 41, "total": 125, "unit": "s", "eta_s": 84.0},
    {"type": "building", "seconds": 41.0, "available_mb": 310, "swap_free_mb": 2900, "line": "[TRT] Tactic: 1002"}]
OUT_OF_MEMORY = JobEnd("failed", error=("engine.out_of_memory", {"model": "m", "memory_mb": 3956, "swap_mb": 0}))


@pytest.fixture
def nanos(exported: Room, monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeMachine]:
    """Three Nanos: nano1 and nano2 with TensorRT, nano3 without."""
    lab, first = exported.lab, exported.lab.nano(None)
    machines = {"nano1": first, **{name: FakeMachine(name, first.root.parent / name) for name in ("nano2", "nano3")}}
    settings = tuple(replace(lab.nano_settings, name=name, engine="onnxruntime" if name == "nano3" else "tensorrt")
                     for name in machines)
    monkeypatch.setattr(lab, "config", replace(lab.config, nanos=settings))
    monkeypatch.setattr(lab, "nano", lambda name: machines[name or "nano1"])
    for machine in machines.values():
        machine.ends[engine.PROGRAM] = BUILT
    return machines


def started(machine: FakeMachine) -> list[str]:
    return [program for program, _ in machine.started]


def test_the_engine_is_built_of_what_was_delivered(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    model = exported.workspace.receipts["export"].facts["model"]
    facts = exported.do("deploy", DeployOptions(("nano1", "nano3")))
    assert nanos["nano1"].started == [(engine.PROGRAM, {"model_dir": str(nanos["nano1"].root / "models" / model)})]
    assert facts["engines"] == {"nano1": {"reused": False, "seconds": 131.5, "file": "model.onnx.engine"}}
    assert facts["nanos"] == ["nano1", "nano3"] and not nanos["nano3"].started


def test_a_builder_in_a_container_is_told_its_image(
        exported: Room, nanos: dict[str, FakeMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *others = exported.lab.config.nanos
    monkeypatch.setattr(exported.lab, "config", replace(
        exported.lab.config, nanos=(replace(first, container="auto"), second, *others)))
    exported.do("deploy", DeployOptions(("nano1", "nano2")))
    assert [machine.started[0][1].get("container") for machine in (nanos["nano1"], nanos["nano2"])] == ["auto", None]


def test_without_tensorrt_nothing_is_built(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    facts = exported.do("deploy", DeployOptions(("nano3",)))
    assert not nanos["nano3"].started and "engines" not in facts
    codes = [event.code for event in exported.events if isinstance(event, Log)]
    assert codes[-2:] == ["deploy.verified", "deploy.end"]


def test_the_receipt_keeps_the_engines_of_the_other_nanos(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    exported.do("deploy", DeployOptions(("nano1",)))
    nanos["nano2"].ends[engine.PROGRAM] = JobEnd("done", {"reused": True, "seconds": 4.2, "engine": "e"})
    engines = exported.do("deploy", DeployOptions(("nano2",)))["engines"]
    assert {name: one["reused"] for name, one in engines.items()} == {"nano1": False, "nano2": True}


def test_the_estimate_is_told_with_the_builders_line(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    nanos["nano1"].events[engine.PROGRAM] = TICK
    exported.do("deploy", DeployOptions())
    told = [event for event in exported.events if isinstance(event, Building)]
    assert told == [Building("nano1", 41.0, 310, 2900, "[TRT] Tactic: 1002", 125)]
    assert told[0].text == ("nano1: TensorRT has been building for 41 s of about 2 min 5 s  ·  "
                            "310 MB of memory free, 2900 MB of swap")
    assert [event.eta_s for event in exported.events if isinstance(event, Progress) and event.what == "engine.build"] == [84.0]


@pytest.mark.parametrize(("seconds", "estimate", "words"), [
    (41, None, "TensorRT has been building for 41 s"),
    (140, 125.0, "TensorRT has been building for 2 min 20 s, longer than the usual 2 min 5 s")])
def test_what_is_said_without_an_estimate_and_past_it(seconds: float, estimate: float | None, words: str) -> None:
    assert Building("nano1", seconds, None, None, "", estimate).text == f"nano1: {words}"


def test_a_build_that_fails_keeps_its_words_and_the_step_is_not_done(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    nanos["nano1"].ends[engine.PROGRAM] = OUT_OF_MEMORY
    with pytest.raises(WorkFailed) as caught:
        exported.do("deploy", DeployOptions())
    assert caught.value.code == "engine.out_of_memory" and "3956 MB" in caught.value.why
    assert exported.statuses()["deploy"] is Status.FAILED and exported.workspace.done("deploy") is None
    nanos["nano1"].ends[engine.PROGRAM] = BUILT
    exported.do("deploy", DeployOptions())
    assert exported.statuses()["deploy"] is Status.DONE


def test_one_of_two_builds_fails(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    nanos["nano2"].ends[engine.PROGRAM] = OUT_OF_MEMORY
    with pytest.raises(AiNanoError) as caught:
        exported.do("deploy", DeployOptions(("nano1", "nano2")))
    error = caught.value
    assert error.code == "deploy.some_engines" and error.what == "The model is on nano2, but cannot run there yet."
    assert "memory was not enough" in error.why and "nano1" in error.why and "swap" in error.hint
    receipt = exported.workspace.done("deploy")
    assert receipt is not None and receipt.facts["nanos"] == ["nano1"] and list(receipt.facts["engines"]) == ["nano1"]


def test_a_builder_that_was_left_alone_is_waited_for(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    """Contact was lost; it may work on. A second one beside it would not fit into the memory."""
    nano = nanos["nano1"]
    nano.ends[engine.PROGRAM] = ContactLost("job.lost", machine="nano1", run="run-1")
    with pytest.raises(ContactLost):
        exported.do("deploy", DeployOptions())
    assert exported.statuses()["deploy"] is Status.LOST
    nano.ends[engine.PROGRAM] = BUILT
    folder = nano.started[0][1]["model_dir"]
    nano.running = [
        {"id": "other", "state": "running", "program": engine.PROGRAM, "params": {"model_dir": "/elsewhere"}},
        {"id": "ended", "state": "failed", "program": engine.PROGRAM, "params": {"model_dir": folder}},
        {"id": "left", "state": "running", "program": engine.PROGRAM, "params": {"model_dir": folder}}]
    attached: list[tuple[str, int]] = []
    attach = nano.attach

    def note(run: str) -> Any:
        attached.append((run, len(nano.started)))
        return attach(run)

    nano.attach = note  # type: ignore[method-assign]
    nano.ends["attached"] = OUT_OF_MEMORY  # what became of it is the next one's to find out
    exported.do("deploy", DeployOptions())
    assert attached == [("left", 1)] and started(nano) == [engine.PROGRAM] * 2


def test_cancelled_while_it_builds(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    nanos["nano1"].hold = threading.Event()
    nanos["nano1"].events[engine.PROGRAM] = TICK
    building = threading.Event()
    running = exported.workflow.start("deploy", DeployOptions(), lambda event: building.set() if isinstance(event, Building)
                                      else None)
    assert building.wait(20)
    running.cancel()
    with pytest.raises(Cancelled):
        running.result(20)
    assert exported.statuses()["deploy"] is Status.CANCELLED


def test_the_bar_shows_the_slowest_build_once_all_is_sent(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    """No build's bar while another Nano still receives; of two builds that of which nobody knows how long it takes."""
    first, second = nanos["nano1"], nanos["nano2"]
    first.events[engine.PROGRAM] = TICK
    second.events[engine.PROGRAM] = [{**TICK[0], "total": None, "eta_s": None}]
    first.hold = second.hold = threading.Event()
    upload, first_builds, both_build = second.upload, threading.Event(), threading.Event()

    def late(*words: Any) -> Any:
        assert first_builds.wait(20)
        return upload(*words)

    second.upload = late  # type: ignore[method-assign]
    bars: list[Progress] = []

    def listen(event: Event) -> None:
        if isinstance(event, Building):
            first_builds.set()
        elif isinstance(event, Progress) and event.what == "engine.build":
            bars.append(event)
            both_build.set()

    running = exported.workflow.start("deploy", DeployOptions(("nano1", "nano2")), listen)
    assert both_build.wait(20)
    first.hold.set()
    running.result(20)
    assert [bar.total for bar in bars] == [0]


def test_a_lost_nano_that_builds_is_said_to_go_on(exported: Room, nanos: dict[str, FakeMachine]) -> None:
    def follow(on_event: Any, on_log: Any, cancel: Any, on_contact: Any) -> JobEnd:
        on_contact(False)
        on_contact(True)
        return BUILT

    class Losing:
        id = "run-1"

    Losing.follow = staticmethod(follow)  # type: ignore[attr-defined]
    nanos["nano1"].start = lambda *_, **__: Losing()  # type: ignore[method-assign, assignment]
    exported.do("deploy", DeployOptions())
    told = [(event.status, event.code) for event in exported.events if isinstance(event, State) and "contact" in event.code]
    assert told == [("lost", "status.contact_lost"), ("running", "status.contact_back")]


def test_a_nano_that_got_tensorrt_later_is_deployed_to_again(
        exported: Room, nanos: dict[str, FakeMachine], monkeypatch: pytest.MonkeyPatch) -> None:
    exported.do("deploy", DeployOptions(("nano3",)))
    assert exported.statuses()["deploy"] is Status.DONE
    lab = exported.lab
    monkeypatch.setattr(lab, "config", replace(lab.config, nanos=tuple(replace(one, engine="tensorrt")
                                                                      for one in lab.config.nanos)))
    status = exported.workflow.step_status("deploy")
    assert (status.status, status.params) == (Status.STALE, {"machines": ["nano3"]}) and "TensorRT" in status.event().why
    assert exported.statuses()["infer"] is Status.READY
    exported.do("deploy", DeployOptions(("nano3",)))
    assert exported.statuses()["deploy"] is Status.DONE
