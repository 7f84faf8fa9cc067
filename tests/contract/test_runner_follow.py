"""runner.py follow: what a job says comes once, whole and in order; what is said to it reaches it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from machine import DEADLINE_S, Machine, boot_id, make_run, of, process_start, wait_for


@pytest.fixture
def borrowed(machine: Machine) -> Path:
    """The folder of a run that counts as running, because the test itself is its process."""
    return make_run(machine, "borrowed", os.getpid(), process_start(os.getpid()), boot_id())


def test_offsets_are_bytes_and_continue_where_the_last_follow_stopped(machine: Machine) -> None:
    machine.start("a", do="finish")
    messages = machine.follow_all("a")
    events, log = of(messages, "event"), of(messages, "log")
    assert events[-1]["end"] == (machine.run_path("a") / "events.jsonl").stat().st_size
    assert log[-1]["end"] == len("café, as printed\n".encode())
    rest = machine.follow_all("a", "--events", str(events[1]["end"]), "--log", str(log[-1]["end"]))
    assert [message["event"] for message in of(rest, "event")] == [message["event"] for message in events[2:]]
    assert of(rest, "log") == []


def test_who_looks_on_begins_near_the_end(machine: Machine) -> None:
    machine.start("a", do="finish", events=50)
    everything = of(machine.follow_all("a"), "event")
    size = everything[-1]["end"]
    before = size - everything[-4]["end"]  # the last three events
    for words, count in ((f"end-{before}", 3), (f"end-{before - 1}", 2), ("end", 0), ("end-9999999", len(everything))):
        messages = machine.follow_all("a", "--events", words, "--log", "end")
        assert of(messages, "event") == everything[len(everything) - count:], words
        assert of(messages, "log") == [] and messages[-1]["state"] == "done"


def test_the_end_of_now_is_where_new_events_come(machine: Machine, borrowed: Path) -> None:
    line = b'{"v":1,"type":"log","level":"info","code":"probe.new","params":{}}\n'
    follower = machine.follow("borrowed", "--events", "end", "--log", "end-10")
    assert follower.read_any()["type"] == "alive", "there is no file yet"
    (borrowed / "events.jsonl").write_bytes(line)
    assert follower.read()["event"]["code"] == "probe.new"
    assert follower.close() == 0


def looks(pid: int) -> int:
    """How often a process has begun to wait for something."""
    status = Path("/proc", str(pid), "status").read_text()
    return int(status.partition("voluntary_ctxt_switches:")[2].split()[0])


def test_a_run_that_says_nothing_is_looked_at_seldom(machine: Machine, borrowed: Path) -> None:
    """A class follows runs that wait: 20 looks a second of each would cost a processor. What comes is heard all the same."""
    follower = machine.follow("borrowed")
    for _ in range(4):
        assert follower.read_any()["type"] == "alive"
    before = looks(follower.process.pid)
    assert follower.read_any()["type"] == follower.read_any()["type"] == "alive"
    assert looks(follower.process.pid) - before < 25
    (borrowed / "output.log").write_text("here\n")
    assert follower.read()["text"] == "here\n" and follower.close() == 0


@pytest.mark.parametrize("words", ["start", "end-", "9" * 19])
def test_other_words_say_nothing(machine: Machine, words: str) -> None:
    done = subprocess.run(machine.command("runner.py", "follow", "a", "--events", words), capture_output=True, cwd="/",
                          env=machine.environment, timeout=DEADLINE_S, check=False)
    assert done.returncode == 2 and b"--events" in done.stderr


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
