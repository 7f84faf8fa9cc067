"""runner.py: detached jobs that are started, followed, cancelled and listed over one SSH command each."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from machine import DEADLINE_S, Machine, Message, boot_id, of, process_start, read_lines, wait_for


def make_run(machine: Machine, id: str, pid: int, start_time: int, boot: str, started: float = 1.0) -> Path:
    """A run's folder whose program is that process."""
    path = machine.run_path(id)
    path.mkdir(parents=True)
    spec = {"v": 1, "id": id, "program": "probe/probe.py", "params": {}, "lease_s": None, "root": str(machine.root),
            "started": started}
    note = {"v": 1, "pid": pid, "pgid": pid, "start_time": start_time, "supervisor": 0, "supervisor_start_time": 0,
            "boot_id": boot}
    (path / "spec.json").write_text(json.dumps(spec))
    (path / "pid.json").write_text(json.dumps(note))
    return path


@pytest.fixture
def borrowed(machine: Machine) -> Path:
    """The folder of a run that counts as running, because the test itself is its process."""
    return make_run(machine, "borrowed", os.getpid(), process_start(os.getpid()), boot_id())


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


def test_offsets_are_bytes_and_continue_where_the_last_follow_stopped(machine: Machine) -> None:
    machine.start("a", do="finish")
    messages = machine.follow_all("a")
    events, log = of(messages, "event"), of(messages, "log")
    assert events[-1]["end"] == (machine.run_path("a") / "events.jsonl").stat().st_size
    assert log[-1]["end"] == len("café, as printed\n".encode())
    rest = machine.follow_all("a", "--events", str(events[1]["end"]), "--log", str(log[-1]["end"]))
    assert [message["event"] for message in of(rest, "event")] == [message["event"] for message in events[2:]]
    assert of(rest, "log") == []


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


def test_cancel_lets_the_program_tidy_up(machine: Machine) -> None:
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    assert machine.state("a") == "running"
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}
    messages = follower.read_all()
    assert [message["event"]["code"] for message in of(messages, "event")] == ["probe.tidied"]
    assert messages[-1]["state"] == "cancelled"
    assert messages[-1]["exit"]["cancelled"] is True and messages[-1]["exit"]["code"] == 143
    assert machine.state("a") == "cancelled"


def test_cancel_kills_what_refuses_and_its_children(machine: Machine) -> None:
    machine.start("a", do="refuse")
    machine.follow("a").read_event("log", "probe.waiting")
    assert machine.cancel("a", grace=0.2) == {"v": 1, "type": "cancelled", "id": "a", "gone": True,
                                              "state": "cancelled"}
    assert machine.follow_all("a")[-1]["exit"]["signal"] == signal.SIGKILL


def test_children_do_not_outlive_their_program(machine: Machine) -> None:
    machine.start("a", do="leave_child")
    child = machine.events("a")[-1]["child"]
    wait_for(lambda: not Path(f"/proc/{child}").exists() or ") Z" in Path(f"/proc/{child}/stat").read_text(),
             "the child's end")


def test_cancelling_again_changes_nothing(machine: Machine) -> None:
    machine.start("a", do="wait")
    machine.follow("a").read_event("log", "probe.waiting")
    assert machine.cancel("a") == machine.cancel("a")


def test_cancelling_what_has_ended_changes_nothing(machine: Machine) -> None:
    machine.start("a", do="finish")
    machine.follow_all("a")
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "done"}
    assert machine.state("a") == "done"


@pytest.mark.parametrize("attempt", range(3))
def test_cancel_during_start(machine: Machine, attempt: int) -> None:
    """As soon as a run's folder is there it can be cancelled, however far its start has come."""
    start = subprocess.Popen(machine.command("runner.py", "start"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             env=machine.environment)
    outcome: list[Any] = []
    worker = threading.Thread(target=lambda: outcome.append(start.communicate(machine.spec("a", do="wait"))))
    worker.start()
    wait_for(lambda: machine.run_path("a").exists(), "the run's folder")
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}
    worker.join(DEADLINE_S)
    assert json.loads(outcome[0][0])["type"] == "started"
    assert machine.state("a") == "cancelled"


def test_a_job_survives_its_session(machine: Machine) -> None:
    """As when the SSH connection breaks: everything in the session that started the job is killed."""
    shell = subprocess.Popen(
        ["/bin/sh", "-c", '"$@" && sleep 600', "sh", *machine.command("runner.py", "start")], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env=machine.environment, start_new_session=True)
    assert shell.stdin is not None and shell.stdout is not None
    shell.stdin.write(machine.spec("a", do="obey"))
    shell.stdin.close()
    assert json.loads(shell.stdout.readline())["type"] == "started"
    os.killpg(shell.pid, signal.SIGHUP)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait(DEADLINE_S)
    shell.stdout.close()
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    follower.send(type="stop")
    assert follower.read_all()[-1]["state"] == "done"


def test_standard_streams_close_at_once(machine: Machine) -> None:
    """Else an SSH channel would stay open until the job ends."""
    start = subprocess.Popen(machine.command("runner.py", "start"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=machine.environment)
    out, err = start.communicate(machine.spec("a", do="wait"), timeout=DEADLINE_S)  # returns at end of file
    assert json.loads(out)["type"] == "started" and err == b""
    assert machine.state("a") == "running"
    machine.cancel("a")


def test_a_run_without_a_last_word_has_failed(machine: Machine) -> None:
    """As after a reboot or the kernel's out-of-memory killer."""
    machine.start("a", do="wait")
    machine.follow("a").read_event("log", "probe.waiting")
    note = json.loads((machine.run_path("a") / "pid.json").read_text())
    os.kill(note["supervisor"], signal.SIGKILL)
    assert machine.state("a") == "running"  # the program itself still is
    os.kill(note["pid"], signal.SIGKILL)
    wait_for(lambda: machine.state("a") == "failed", "the end")
    end = machine.follow_all("a")[-1]
    assert (end["state"], end["exit"], end["why"]) == ("failed", None, "vanished")
    assert machine.call("runner.py", "list")["runs"][0]["why"] == "vanished"


def test_cancel_has_the_last_word_where_the_supervisor_is_dead(machine: Machine) -> None:
    machine.start("a", do="wait")
    machine.follow("a").read_event("log", "probe.waiting")
    os.kill(json.loads((machine.run_path("a") / "pid.json").read_text())["supervisor"], signal.SIGKILL)
    assert machine.cancel("a") == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}


def test_a_supervisor_that_is_told_to_stop_stops_the_program(machine: Machine) -> None:
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    os.kill(json.loads((machine.run_path("a") / "pid.json").read_text())["supervisor"], signal.SIGTERM)
    assert follower.read_all()[-1]["exit"]["code"] == 143


def test_a_program_that_was_stopped_tidies_up_when_it_is_cancelled(machine: Machine) -> None:
    """TERM alone would wait until somebody lets it go on."""
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    os.kill(machine.process_id("a"), signal.SIGSTOP)
    assert machine.cancel("a", grace=20)["state"] == "cancelled"
    assert [message["event"]["code"] for message in of(follower.read_all(), "event")] == ["probe.tidied"]


def test_a_group_whose_leader_and_supervisor_are_dead_is_ended(machine: Machine) -> None:
    machine.start("a", do="leave_group")
    child = machine.follow("a").read_event("log", "probe.waiting")["params"]["child"]
    os.kill(json.loads((machine.run_path("a") / "pid.json").read_text())["supervisor"], signal.SIGKILL)
    os.kill(machine.process_id("a"), signal.SIGKILL)
    wait_for(lambda: machine.state("a") == "failed", "the leader's end")
    assert _lives(child)
    assert machine.cancel("a", grace=0.2) == {"v": 1, "type": "cancelled", "id": "a", "gone": True, "state": "cancelled"}
    assert not _lives(child)


def test_a_group_whose_leader_is_a_zombie_is_ended(machine: Machine) -> None:
    """Its parent, here the test, has not asked for its exit code; the group still has a living member."""
    code = ("import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
            "print(child.pid, flush=True)")
    leader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    make_run(machine, "a", leader.pid, process_start(leader.pid), boot_id())
    child = int(leader.stdout.readline())
    wait_for(lambda: ") Z" in Path(f"/proc/{leader.pid}/stat").read_text(), "the zombie")
    assert _lives(child) and machine.state("a") == "failed"
    assert machine.cancel("a", grace=5)["gone"] is True
    assert not _lives(child)
    leader.wait(DEADLINE_S)
    leader.stdout.close()


def _lives(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("later", "boot", "state"), [
    (0, None, "running"), (1, None, "failed"), (0, "00000000-0000-0000-0000-000000000000", "failed")])
def test_a_reused_process_id_is_not_the_program(machine: Machine, later: int, boot: str | None, state: str) -> None:
    innocent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    try:
        make_run(machine, "a", innocent.pid, process_start(innocent.pid) + later, boot or boot_id())
        assert machine.state("a") == state
        if state == "failed":
            assert machine.cancel("a", grace=0.1)["state"] == "failed"
        assert innocent.poll() is None
    finally:
        innocent.communicate(b"\n", timeout=DEADLINE_S)
    assert innocent.returncode == 0


def test_a_zombie_is_dead(machine: Machine) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    make_run(machine, "a", zombie.pid, process_start(zombie.pid), boot_id())
    assert machine.state("a") == "running"
    assert zombie.stdin is not None
    zombie.stdin.write(b"\n")
    zombie.stdin.close()
    wait_for(lambda: ") Z" in Path(f"/proc/{zombie.pid}/stat").read_text(), "the zombie")
    assert machine.state("a") == "failed"
    zombie.wait(DEADLINE_S)


def test_a_line_is_held_back_until_its_newline_comes(machine: Machine, borrowed: Path) -> None:
    line = json.dumps({"v": 1, "type": "log", "level": "info", "code": "probe.late", "params": {"x": "é"}},
                      ensure_ascii=False).encode() + b"\n"
    cut = line.index("é".encode()) + 1  # within a character
    follower = machine.follow("borrowed")
    with open(borrowed / "events.jsonl", "ab", buffering=0) as events, open(borrowed / "output.log", "ab", 0) as log:
        events.write(line[:cut])
        log.write(b"no newline yet")
        assert follower.read_any()["type"] == "alive"
        assert follower.read_any()["type"] == "alive"
        events.write(line[cut:])
        message = follower.read()
        assert message["event"]["params"] == {"x": "é"} and message["end"] == len(line)
        log.write(b", but now\n")
        assert follower.read()["text"] == "no newline yet, but now\n"
    assert follower.close() == 0


def test_torn_and_foreign_lines_are_passed_over(machine: Machine) -> None:
    machine.start("a", do="finish", events=0)
    machine.follow_all("a")
    whole = (machine.run_path("a") / "events.jsonl").read_bytes()
    torn = b'{"v":1,"type":"pro\n{"v":9,"type":"log"}\n[1]\n\xff\n' + whole + b'{"v":1,"type":"resu'
    (machine.run_path("a") / "events.jsonl").write_bytes(torn)
    messages = machine.follow_all("a")
    assert [message["event"]["type"] for message in of(messages, "event")] == ["log", "result"]
    assert of(messages, "event")[-1]["end"] == len(torn) - len(b'{"v":1,"type":"resu')


def test_output_that_is_no_utf8_is_replaced(machine: Machine) -> None:
    machine.start("a", do="print", hex=[b"bad \xff byte\nlast, unfinished \xc3".hex()])
    log = of(machine.follow_all("a"), "log")
    assert "".join(message["text"] for message in log) == "bad \ufffd byte\nlast, unfinished \ufffd"
    assert log[-1]["end"] == len(b"bad \xff byte\nlast, unfinished \xc3")


def test_long_output_comes_in_pieces_of_whole_characters(machine: Machine) -> None:
    text = "x" + "é" * 100_000
    machine.start("a", do="print", hex=[text.encode().hex()])
    log = of(machine.follow_all("a"), "log")
    assert "".join(message["text"] for message in log) == text
    assert len(log) == 4 and all(len(message["text"].encode()) <= 64 * 1024 for message in log)


def test_many_events_come_once_and_in_order(machine: Machine) -> None:
    machine.start("a", do="finish", events=3000)
    assert [event["done"] for event in of(machine.events("a"), "progress")] == list(range(1, 3001))


def test_commands_reach_the_program(machine: Machine) -> None:
    machine.start("a", do="obey")
    follower = machine.follow("a")
    follower.send(type="set", threshold=0.7, name="é")
    assert follower.read_event("log", "probe.command")["params"]["command"]["name"] == "é"
    follower.send(type="stop")
    assert follower.read_all()[-1]["state"] == "done"


def test_the_lease_counts_and_is_no_command(machine: Machine, borrowed: Path) -> None:
    follower = machine.follow("borrowed")
    for _ in range(12):
        follower.send(type="lease")
    wait_for(lambda: (borrowed / "lease").exists() and (borrowed / "lease").read_bytes() == b"12", "twelve leases")
    assert follower.close() == 0
    again = machine.follow("borrowed")
    again.send(type="lease")
    wait_for(lambda: (borrowed / "lease").read_bytes() == b"13", "another lease")
    assert again.close() == 0
    assert not (borrowed / "commands.jsonl").exists()


def test_a_program_ends_when_nobody_renews_its_lease(machine: Machine) -> None:
    machine.start("a", lease_s=0.3, do="obey")
    assert machine.events("a")[-1]["code"] == "probe.lease_lost"


def test_end_of_input_ends_follow_and_never_the_job(machine: Machine) -> None:
    machine.start("a", do="wait")
    follower = machine.follow("a")
    follower.read_event("log", "probe.waiting")
    assert follower.close() == 0
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
