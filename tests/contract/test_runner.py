"""runner.py: detached jobs that are started and listed over one SSH command each."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import nano_programs  # noqa: F401
import pytest
from machine import DEADLINE_S, Machine, Message, boot_id, make_run, of, process_start, read_lines

from shared.runs import Runs


def test_a_job_is_started_and_followed_to_its_end(machine: Machine) -> None:
    started = machine.start("a", do="finish")
    assert started["type"] == "started" and started["id"] == "a" and isinstance(started["pid"], int)
    messages = machine.follow_all("a")
    events = [message["event"] for message in of(messages, "event")]
    assert [event["done"] for event in of(events, "progress")] == [1, 2, 3]
    assert of(events, "log")[0] == {"v": 1, "type": "log", "level": "info", "code": "probe.said",
                                    "params": {"text": "café"}}
    assert events[-1] == {"v": 1, "type": "result", "ok": True}
    assert "".join(message["text"] for message in of(messages, "log")) == "café, as printed\n"
    assert messages[-1]["state"] == "done"
    assert messages[-1]["exit"]["code"] == 0 and messages[-1]["exit"]["cancelled"] is False


def test_the_program_has_a_clean_environment_of_its_own(machine: Machine) -> None:
    reader, writer = os.pipe()  # a file of the SSH session that a job must not keep open
    try:
        done = subprocess.run(machine.command("runner.py", "start"), input=machine.spec("a", do="describe"),
                              pass_fds=[writer], env=machine.environment, capture_output=True, check=True)
    finally:
        os.close(writer)
    assert os.read(reader, 1) == b""  # nobody holds its other end any more
    os.close(reader)
    pid = json.loads(done.stdout)["pid"]
    seen = machine.events("a")[-1]
    assert seen["group"] == seen["session"] == seen["pid"] == pid
    assert seen["cwd"] == str(machine.run_path("a")) and seen["root"] == str(machine.root)
    assert seen["environment"] == {
        "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": str(machine.programs), **({"PYTHONUTF8": "1"} if "PYTHONUTF8" in seen["environment"] else {})}
    assert seen["open_files"] == sorted(["/dev/null"] + [str(machine.run_path("a") / "output.log")] * 2)
    assert seen["blocked"] == []


def test_a_camera_s_password_is_for_its_login_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first byte on."""
    seen: dict[str, int] = {}
    monkeypatch.setattr(os, "fsync", lambda number: seen.update(written=os.fstat(number).st_mode & 0o777))
    folder = Runs(machine.root).create({"id": "a", "params": {"camera": "rtsp://ada:secret@camera/1"}})
    assert seen == {"written": 0o600} and os.stat(folder.path / "spec.json").st_mode & 0o777 == 0o600


def test_an_expected_failure_is_an_error_event(machine: Machine) -> None:
    machine.start("a", do="fail")
    messages = machine.follow_all("a")
    assert of(messages, "event")[-1]["event"] == {
        "v": 1, "type": "error", "code": "probe.failed", "params": {"folder": "été"}}
    assert of(messages, "log") == []
    assert messages[-1]["state"] == "failed" and messages[-1]["exit"]["code"] == 1


@pytest.mark.parametrize("deed", ["crash", "not_a_number"])
def test_a_crash_is_an_error_event_and_its_traceback_is_in_the_log(machine: Machine, deed: str) -> None:
    machine.start("a", do=deed)
    messages = machine.follow_all("a")
    error = of(messages, "event")[-1]["event"]
    assert error["code"] == "program.crashed" and error["params"]["program"] == "probe/probe.py"
    assert "Error" in error["params"]["error"]
    assert "Traceback" in "".join(message["text"] for message in of(messages, "log"))
    assert messages[-1]["exit"]["code"] == 1


def test_a_missing_program_ends_with_127(machine: Machine) -> None:
    started = machine.start("a", program="probe/nowhere.py")
    assert started["pid"] is None
    messages = machine.follow_all("a")
    assert of(messages, "event")[-1]["event"] == {
        "v": 1, "type": "error", "code": "program.missing", "params": {"program": "probe/nowhere.py"}}
    assert messages[-1]["state"] == "failed" and messages[-1]["exit"]["code"] == 127


@pytest.mark.parametrize("id", ["", ".hidden", "../outside", "a/b", "a b", "-a", "é", "a\n", "x" * 101])
def test_a_bad_run_id_is_refused(machine: Machine, id: str) -> None:
    error = machine.call("runner.py", "start", stdin=machine.spec(id, do="finish"), code=1)
    assert (error["type"], error["code"], error["params"]) == ("error", "run.bad_id", {"id": id})
    assert machine.call("runner.py", "list")["runs"] == []


@pytest.mark.parametrize(("change", "key"), [
    ({"v": 2}, "v"), ({"id": 7}, "id"), ({"program": "../outside.py"}, "program"), ({"program": "/bin/sh"}, "program"),
    ({"params": []}, "params"), ({"lease_s": -1}, "lease_s"), ({"lease_s": True}, "lease_s"), ({"student": 7}, "student")])
def test_a_bad_spec_is_refused(machine: Machine, change: Message, key: str) -> None:
    spec = {**json.loads(machine.spec("a", do="finish")), **change}
    error = machine.call("runner.py", "start", stdin=json.dumps(spec).encode(), code=1)
    assert (error["code"], error["params"]) == ("run.bad_spec", {"key": key})


def test_a_spec_that_is_no_json_is_refused(machine: Machine) -> None:
    assert machine.call("runner.py", "start", stdin=b"{", code=1)["code"] == "run.bad_spec"


def test_an_id_is_used_once(machine: Machine) -> None:
    machine.start("a", do="finish")
    machine.follow_all("a")
    before = (machine.run_path("a") / "spec.json").read_bytes()
    error = machine.call("runner.py", "start", stdin=machine.spec("a", do="fail"), code=1)
    assert (error["code"], error["params"]) == ("run.exists", {"id": "a"})
    assert (machine.run_path("a") / "spec.json").read_bytes() == before
    assert os.listdir(machine.run_path("a").parent) == ["a"]


def test_an_unknown_run_is_an_error(machine: Machine) -> None:
    for words in (["follow", "nowhere"], ["cancel", "nowhere"]):
        error = machine.call("runner.py", *words, code=1)
        assert (error["code"], error["params"]) == ("run.missing", {"id": "nowhere"})


def test_standard_streams_close_at_once(machine: Machine) -> None:
    """Else an SSH channel would stay open until the job ends."""
    start = subprocess.Popen(machine.command("runner.py", "start"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=machine.environment)
    out, err = start.communicate(machine.spec("a", do="wait"), timeout=DEADLINE_S)  # returns at end of file
    assert json.loads(out)["type"] == "started" and err == b""
    assert machine.state("a") == "running"
    machine.cancel("a")


def ended(path: Path, age_s: float, **spec: Any) -> None:
    """Writes down that the run ended well, so long ago."""
    (path / "exit.json").write_text('{"v":1,"code":0,"signal":null,"cancelled":false,"duration_s":1}')
    (path / "spec.json").write_text(json.dumps({**json.loads((path / "spec.json").read_text()), **spec}))
    os.utime(path, (time.time() - age_s,) * 2)


def test_a_closed_lid_finds_its_end_though_a_room_has_started_much_since(machine: Machine) -> None:
    """What ended today is kept, but for runs with a lease, which nobody takes up."""
    for number in range(30):
        ended(make_run(machine, f"r{number:02}", 1, 0, boot_id(), started=100.0 + number), age_s=3600,
              lease_s=5.0 if number % 2 else None)
    machine.start("new", do="finish")
    machine.follow_all("new")
    kept = [run["id"] for run in machine.call("runner.py", "list")["runs"]]
    assert kept == [*(f"r{number:02}" for number in range(0, 10, 2)), *(f"r{number:02}" for number in range(10, 30)), "new"]


def test_old_runs_are_removed_and_running_ones_are_not(machine: Machine) -> None:
    make_run(machine, "running", os.getpid(), process_start(os.getpid()), boot_id(), started=0.5)
    for number in range(23):
        ended(make_run(machine, f"r{number}", 1, 0, boot_id(), started=100.0 + number), age_s=25 * 3600)
    machine.start("new", do="finish")
    machine.follow_all("new")
    kept = [run["id"] for run in machine.call("runner.py", "list")["runs"]]
    assert kept == ["running", *(f"r{number}" for number in range(3, 23)), "new"]
    assert sorted(os.listdir(machine.root / ".ai_nano" / "runs")) == sorted(kept)


def test_what_a_killed_start_left_goes_and_a_start_that_is_at_work_stays(machine: Machine) -> None:
    """Another laptop's start has made its folder and nothing in it yet."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    hours = {f".starting-{dead.pid}-left": 2, f".starting-{dead.pid}-ahead": -2, f".starting-{dead.pid}-young": 0,
             f".starting-{os.getpid()}-slow": 2}
    for name, old in hours.items():
        machine.run_path(name).mkdir(parents=True)
        os.utime(machine.run_path(name), (time.time() - old * 3600,) * 2)
    machine.start("new", do="finish")
    machine.follow_all("new")
    runs = machine.root / ".ai_nano" / "runs"
    assert sorted(os.listdir(runs)) == sorted([f".starting-{dead.pid}-young", f".starting-{os.getpid()}-slow", "new"])


def test_list_tells_what_was_started(machine: Machine) -> None:
    spec = {**json.loads(machine.spec("a", do="finish")), "student": "ada@lab"}
    machine.call("runner.py", "start", stdin=json.dumps(spec).encode())
    machine.follow_all("a")
    told = machine.call("runner.py", "list")
    run = told["runs"][0]
    assert run["student"] == "ada@lab" and run["why"] is None and 0 <= told["now"] - run["started"] < DEADLINE_S
    assert (run["id"], run["program"], run["state"], run["params"]) == ("a", "probe/probe.py", "done", {"do": "finish"})
    assert isinstance(run["started"], float)


def test_files_of_a_run(machine: Machine) -> None:
    machine.start("a", do="finish")
    machine.follow_all("a")
    path = machine.run_path("a")
    names = {"spec.json", "pid.json", "events.jsonl", "output.log", "lease", "exit.json"}
    assert set(os.listdir(path)) == names
    assert read_lines(path / "exit.json")[0].keys() == {"v", "code", "signal", "cancelled", "duration_s"}
    assert read_lines(path / "spec.json")[0]["root"] == str(machine.root)
