"""What a machine says of its runs for the room's page, under the Nano's Python: little is read, and nobody is disturbed."""

import json
import os
import time
from typing import Any

from machine import Machine, Message, make_run


def room(machine: Machine) -> dict[str, Message]:
    return {run["id"]: run for run in machine.call("runner.py", "room")["runs"]}


def test_how_far_a_run_is_and_what_failed(machine: Machine) -> None:
    machine.start("works", do="wait")
    machine.start("fails", do="fail")
    assert machine.follow_all("fails")[-1]["state"] == "failed"
    machine.start("done", do="finish")
    assert machine.follow_all("done")[-1]["state"] == "done"
    machine.start("own", do="wait")
    machine.cancel("own")
    events = machine.run_path("works") / "events.jsonl"
    with events.open("ab") as stream:
        for epoch in range(3000):  # far more than is read
            event = {"v": 1, "type": "metric", "epoch": epoch, "epochs": 3000, "val_accuracy": 0.5}
            stream.write(json.dumps(event).encode() + b"\n")
        stream.write(b'{"v": 1, "type": "progress", "what": "x.y", "done": 7, "total": 9, "unit": "u", "eta_s": 1.5}\n{"torn')
    before = sorted((path.name, path.stat().st_mtime_ns) for path in machine.run_path("works").iterdir())
    told = room(machine)
    assert set(told) == {"works", "fails"}, "what was done, or ended by its own student, is nobody's trouble"
    assert told["works"]["metric"] == {"epoch": 2999, "epochs": 3000, "val_accuracy": 0.5}
    assert told["works"]["progress"] == {"what": "x.y", "done": 7, "total": 9, "unit": "u", "eta_s": 1.5}
    assert told["fails"]["error"] == {"code": "probe.failed", "params": {"folder": "été"}}
    assert told["fails"]["exit"]["code"] == 1 and 0 <= told["fails"]["ended_s"] < 60
    assert sorted((path.name, path.stat().st_mtime_ns) for path in machine.run_path("works").iterdir()) == before
    machine.cancel("works")


def test_what_failed_yesterday_is_history(machine: Machine) -> None:
    machine.start("fails", do="fail")
    machine.follow_all("fails")
    path = machine.run_path("fails")
    for age_s, there in ((23 * 3600, True), (25 * 3600, False)):
        os.utime(str(path), (time.time() - age_s, time.time() - age_s))
        assert bool(room(machine)) is there


def test_who_ended_it_is_told_to_all_who_ask(machine: Machine) -> None:
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    machine.call("runner.py", "cancel", "a", "--by=-eve é", "--role=instructor", f"--reason={'long ' * 200}")
    end = follower.read_all()[-1]
    by: dict[str, Any] = end["ended_by"]
    assert (end["state"], by["who"], by["role"], len(by["reason"])) == ("cancelled", "-eve é", "instructor", 300)
    assert 0 <= by["ago_s"] < 60 and room(machine)["a"]["ended_by"]["who"] == "-eve é"
    machine.call("runner.py", "cancel", "a", "--by=somebody", "--reason=too late")
    assert machine.follow_all("a")[-1]["ended_by"]["who"] == "-eve é", "what has ended stays as it was ended"


def test_a_run_that_ends_well_in_spite_of_it_was_ended_by_nobody(machine: Machine) -> None:
    machine.start("a", do="finish")
    machine.follow_all("a")
    (machine.run_path("a") / "ended_by.json").write_text('{"v": 1, "who": "eve", "t": 1}')
    assert machine.follow_all("a")[-1]["ended_by"] is None
    for damaged in ("{", "[]", '{"who": "eve", "t": "x"}'):
        machine.start(f"b{len(damaged)}", do="wait")
        machine.cancel(f"b{len(damaged)}")
        (machine.run_path(f"b{len(damaged)}") / "ended_by.json").write_text(damaged)
        assert machine.follow_all(f"b{len(damaged)}")[-1]["ended_by"] is None


def test_a_run_without_a_last_word(machine: Machine) -> None:
    make_run(machine, "gone", 1, 1, "another boot", started=time.time() - 60)
    told = room(machine)["gone"]
    assert (told["state"], told["why"], told["exit"], told["error"]) == ("failed", "rebooted", None, None)
