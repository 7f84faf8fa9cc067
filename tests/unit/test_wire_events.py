"""The laptop's reading of the one golden file that both sides of the wire are pinned to."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.core.events import Best, Building, Health, Log, Metric, Prediction, Progress
from ai_nano.core.ports import JobEnd
from ai_nano.core.room.training_queue import Queued
from ai_nano.core.room.turns import Turn
from ai_nano.machines.job import Job

LINES = [json.loads(line) for line in (Path(__file__).parents[1] / "data" / "wire_v1.jsonl").read_text("utf-8").splitlines()]
KINDS = {"progress": Progress, "log": Log, "metric": Metric, "best": Best, "prediction": Prediction,
         "health": Health, "building": Building, "turn": Turn}


def examples(prefix: str, without: str = "-") -> list[Any]:
    found = [pytest.param(one["example"], id=one["line"]) for one in LINES
             if one["line"].startswith(prefix) and not one["line"].startswith(without)]
    assert found, f"the golden file has no {prefix} lines"
    return found


@pytest.mark.parametrize("example", examples("event."))
def test_events_of_programs_become_ours(example: dict[str, Any]) -> None:
    event = wire.to_event(example, "train", "DL")
    expected = KINDS.get(example["type"])
    assert event is None if expected is None else isinstance(event, expected)
    if event is not None:
        told = event.to_json()
        same = set(told) & set(example) - {"params"}
        # A total that nobody knows is null on the wire and 0 for a listener.
        assert {key: told[key] for key in same} == {key: example[key] if key != "total" else example[key] or 0 for key in same}
        assert len(same) > 2


@pytest.mark.parametrize("example", examples("runner.", without="runner.spec"))
def test_a_followed_job_understands_every_line(example: dict[str, Any]) -> None:
    class Nowhere:
        name = "DL"
        patience_s = 0.0

    job = Job(Nowhere(), "id")  # type: ignore[arg-type]
    events: list[Any] = []
    texts: list[str] = []
    if example["type"] == "error":
        with pytest.raises(WorkFailed):
            job._take(example, events.append, texts.append)
        return
    end = job._take(example, events.append, texts.append)
    match example["type"]:
        case "end":
            assert isinstance(end, JobEnd) and (end.state, end.exit, end.why) == (
                example["state"], example["exit"], example["why"])
            by = example["ended_by"]
            assert (end.ended_by is None) == (by is None)
            if by is not None and end.ended_by is not None:
                assert (end.ended_by.who, end.ended_by.reason) == (by["who"], by["reason"] or "")
                assert end.ended_by.instructor == (by["role"] == "instructor")
        case "event":
            assert events == [example["event"]] and job._events_at == example["end"] and end is None
        case "log":
            assert texts == [example["text"]] and job._log_at == example["end"] and end is None
        case "skipped":
            assert [event["code"] for event in events] == ["job.skipped.log"] and job._log_at == example["end"] and end is None
        case "queue":
            event = wire.to_event(events[0], "train", "DL")
            assert isinstance(event, Queued) and end is None
            told = event.to_json()
            assert {key: told[key] for key in example} == {**example, "ahead": list(example["ahead"])}
        case _:
            assert end is None


class Greeting:
    """A machine whose login says hello, loses contact once, and takes cancelling only then."""

    name = "DL"
    patience_s = 5.0

    def __init__(self, lines: list[bytes], cancels: list[bool | MachineError]) -> None:
        self.lines = lines
        self.cancels = cancels

    def runner(self, *words: str) -> Any:
        return self

    def runner_result(self, *words: str) -> dict[str, Any]:
        answer = self.cancels.pop(0)
        if isinstance(answer, MachineError):
            raise answer
        return {"gone": answer}

    def readline(self, timeout: float) -> bytes | None:
        return self.lines.pop(0) if self.lines else b""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


END = b'{"v": 1, "type": "end", "state": "cancelled", "exit": null}\n'


def test_a_logins_greeting_is_passed_over() -> None:
    job = Job(Greeting([b"Welcome to the GPU server\n", b"\n", END], []), "id")  # type: ignore[arg-type]
    assert job.follow(lambda event: None, lambda text: None, CancelToken()).state == "cancelled"


def test_cancelling_while_contact_is_lost_is_asked_again() -> None:
    machine = Greeting([END], [MachineError("machine.lost", machine="DL"), True])
    cancel = CancelToken()
    cancel.cancel()
    assert Job(machine, "id").follow(lambda event: None, lambda text: None, cancel).state == "cancelled"  # type: ignore[arg-type]
    assert machine.cancels == []


def test_another_version_is_refused() -> None:
    with pytest.raises(WorkFailed) as caught:
        wire.to_event({"v": 2, "type": "log", "code": "x"}, "train", "DL")
    assert caught.value.code == "wire.version"


def test_a_newer_peers_kinds_and_keys_are_passed_over() -> None:
    assert wire.to_event({"v": 1, "type": "weather"}, "train", "DL") is None
    assert wire.to_event({"v": 1, "type": "log", "code": "train.end", "mood": "good"}, "train", "DL") is not None


TRACEBACK = ("Traceback (most recent call last):", '  File "/srv/programs/shared/wire.py", line 220, in guard',
             "    function(run)", "    ^^^^^^^^^^^^^", "OSError: [Errno 28] No space left on device")
CHAINED = (*TRACEBACK, "", "During handling of the above exception, another exception occurred:", "", *TRACEBACK)


@pytest.mark.parametrize(("lines", "shown"), [
    (("loading", *TRACEBACK), ["loading"]), (("loading", *CHAINED, "ended"), ["loading", "ended"]), (CHAINED, []),
    (TRACEBACK[1:], []), ((*TRACEBACK[3:4], *TRACEBACK[1:], "ended"), ["ended"]), ((), []),
    (("a", "", "  b"), ["a", "", "  b"])])
def test_no_traceback_reaches_a_student(caplog: pytest.LogCaptureFixture, lines: tuple[str, ...], shown: list[str]) -> None:
    caplog.set_level(logging.INFO)
    end = JobEnd("failed", error=("program.disk_full", {"program": "gpu_server/train.py"}), exit={"code": 1}, last_lines=lines)
    error = wire.job_error(end, "train", "DL", "run-1")
    assert (error.code, error.details) == ("program.disk_full", shown) and all(line in caplog.text for line in lines)
