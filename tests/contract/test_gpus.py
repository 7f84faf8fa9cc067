"""The queue for the GPUs of one server: what follows from its tickets, and that its length costs those in it little."""

import functools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nano_programs  # noqa: F401
import processes
import pytest
from machine import Machine, wait_for
from test_wire import check

from shared import gpus
from shared.gpus import Slots, free_slot, listed, starts_in
from shared.tickets import Place, Queue, Ticket
from shared.wire import Failure

DIRECT = {"scheduler": "direct", "gpus": None, "queue": None, "slurm": {}, "project": "animals"}
SPEC = {"program": "gpu_server/train.py", "params": {"recipe": "quick", "arch": "lite"}, "student": "ada", "laptop": "lab1",
        "schedule": DIRECT}


def trains(number: int, slot: int) -> Ticket:
    return Ticket(number, f"r{number}", since=1.0, device=str(slot))


@pytest.mark.parametrize(("tickets", "number", "slots", "expected"), [
    ([], 1, 1, 0),
    ([trains(1, 0)], 2, 1, None),
    ([trains(1, 0)], 2, 2, 1),
    ([trains(1, 1), Ticket(2, "r2")], 3, 2, None),
    ([trains(1, 1), Ticket(2, "r2")], 2, 2, 0),
    ([trains(1, 2), Ticket(2, "r2"), Ticket(3, "r3")], 3, 3, 1),
    # Of an instructor who has made fewer of them while three trained.
    ([trains(1, 0), trains(2, 1), trains(3, 2)], 4, 2, None),
])
def test_the_first_who_waits_gets_the_first_free_gpu(tickets: list[Ticket], number: int, slots: int,
                                                     expected: int | None) -> None:
    assert free_slot([*tickets, *([Ticket(number, "own")] if all(one.number != number for one in tickets) else [])], number,
                     Slots(slots, [])) == expected


def test_of_different_numbers_the_largest_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told to wait until the others have all ended, and no laptop makes others share a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    turns = [gpus.Turn(tmp_path, f"r{number}", {**SPEC, "schedule": {**DIRECT, "gpus": told}})
             for number, told in enumerate((4, 1, None))]
    try:
        looks = [iter([False]) for _ in turns]
        began = [turn.wait(lambda: None, functools.partial(next, once, True)) for turn, once in zip(turns, looks, strict=True)]
        assert (began, [turn.device for turn in turns]) == ([True, True, False], ["5", "7", None])
    finally:
        for turn in turns:
            turn.leave(well=False)


@pytest.mark.parametrize(("training", "waiting", "slots", "expected"), [
    ([30.0], [], 1, 30.0), ([30.0], [60.0, 60.0], 1, 150.0), ([30.0, 10.0], [60.0], 2, 30.0), ([30.0], [], 2, 0.0),
    ([None], [], 1, None), ([30.0], [None], 1, None), ([], [], 1, 0.0)])
def test_the_estimate(training: list[float | None], waiting: list[float | None], slots: int, expected: float | None) -> None:
    assert starts_in(training, waiting, slots) == expected


def test_what_nvidia_smi_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is cut into MIG devices is these."""
    text = ("GPU 0: NVIDIA H200 (UUID: GPU-7af3a8a1-0001)\nGPU 1: NVIDIA A100-SXM4 (UUID: GPU-7af3a8a1-0002)\n"
            "  MIG 1g.5gb     Device  0: (UUID: MIG-1b2c-1)\n  MIG 1g.5gb     Device  1: (UUID: MIG-1b2c-2)\n")
    assert listed(text) == ["GPU-7af3a8a1-0001", "MIG-1b2c-1", "MIG-1b2c-2"]
    assert listed("No devices were found\n") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert gpus.find_slots({}).devices == ["2", "3"] and gpus.find_slots({}).number == 2
    assert [gpus.find_slots({"gpus": 4}).name(slot) for slot in range(4)] == ["2", "3", "2", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.find_slots({}) == Slots(1, []) and gpus.find_slots({}).name(0) is None


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    """300 who wait."""
    queue = Queue(tmp_path / ".ai_nano" / "gpus")
    made = [queue.join(f"r{number}", SPEC, None, 60.0) for number in range(300)]
    yield made
    for place in made:
        place.leave()


def test_a_look_from_far_back_reads_few_tickets(places: list[Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: after the first look only those in front are opened again, however many there are."""
    opened: list[str] = []
    real = os.open

    def counted(path: Any, *words: Any) -> int:
        if str(path).endswith(".json"):
            opened.append(str(path))
        return real(path, *words)

    watch = gpus.Watch(tmp_path, "r299", SPEC)
    first = watch.look()
    assert first is not None and (first["place"], first["of"], first["start_s"]) == (300, 300, 299 * 60.0)
    assert len(first["ahead"]) == gpus.MOST_TOLD
    monkeypatch.setattr(os, "open", counted)
    watch.look()
    assert len(opened) <= 4, opened
    with places[0].queue.locked():
        places[0].note_begun("0")
    told = watch.look()
    assert told is not None and told["place"] == 299 and [one["trains"] for one in told["ahead"]][:2] == [True, False]


def test_the_dead_are_removed_in_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was switched off leaves a queue of 300: the next one looks at each once."""
    folder = tmp_path / ".ai_nano" / "gpus"
    folder.mkdir(parents=True)
    for number in range(300):
        (folder / f"{number:06d}-r{number}.json").write_bytes(b"{}")
    looked = []
    real = Queue._read
    monkeypatch.setattr(Queue, "_read", lambda *words: (looked.append(words), real(*words))[1])
    turn = gpus.Turn(tmp_path, "own", SPEC)
    try:
        assert turn.wait(lambda: pytest.fail("it waited"), lambda: False)
        assert len(looked) == 301 and sorted(one.name for one in folder.glob("*.json")) == ["000300-own.json"]
    finally:
        turn.leave(well=True)
    assert gpus.expected_s(folder, SPEC) is not None and gpus.expected_s(folder, {**SPEC, "params": {"recipe": "fine"}}) is None


def test_how_long_a_training_still_needs(tmp_path: Path) -> None:
    """By its own last word, less the time since; else by those before it, as long as it is not longer than they."""
    events = tmp_path / "a" / "events.jsonl"
    ticket = Ticket(1, "a", since=100.0, device="0", expected_s=60.0)
    assert [gpus.left_s(ticket, tmp_path, now) for now in (110.0, 170.0)] == [50.0, None]
    events.parent.mkdir()
    events.write_text('{"v":1,"type":"progress","eta_s":30.0}\n{"v":1,"type":"metric"}\n{"v":1,"ty')
    os.utime(events, (time.time() - 10, time.time() - 10))
    assert gpus.left_s(ticket, tmp_path, 110.0) == pytest.approx(20.0, abs=2.0)
    events.write_text('{"v":1,"type":"progress","eta_s":30.0}\n{"v":1,"type":"progress","eta_s":null}\n')
    assert gpus.left_s(ticket, tmp_path, 110.0) == 50.0


def test_two_roots_share_one_queue(tmp_path: Path) -> None:
    """`queue` of config.json: the other's ticket is seen, and a dead one of a folder that is not ours does not hold us up."""
    shared = {**SPEC, "schedule": {**DIRECT, "queue": str(tmp_path / "q")}}
    (tmp_path / "q").mkdir()
    turn = gpus.Turn(tmp_path / "one", "a", shared)
    try:
        assert turn.wait(lambda: None, lambda: False)
        assert gpus.somebody_trains(tmp_path / "two", shared) and not gpus.somebody_trains(tmp_path / "two", SPEC)
    finally:
        turn.leave(well=False)
    assert not gpus.somebody_trains(tmp_path / "two", shared)


@pytest.fixture
def closed() -> Iterator[None]:
    """A login whose files are its own."""
    umask = os.umask(0o077)
    yield
    os.umask(umask)


def test_what_a_closed_login_leaves_in_a_folder_of_all_is_for_all(tmp_path: Path, closed: None) -> None:
    """And in its own folder for nobody else."""
    for name, mode, expected in (("all", 0o1777, {"lock": 0o666, "000001-a.json": 0o644}),
                                 ("group", 0o2770, {"lock": 0o660, "000001-a.json": 0o640}),
                                 ("own", 0o755, {"lock": 0o600, "000001-a.json": 0o600})):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
        turn = gpus.Turn(tmp_path, "a", {**SPEC, "schedule": {**DIRECT, "queue": str(tmp_path / name)}})
        assert turn.wait(lambda: None, lambda: False)
        assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / name).iterdir()} == expected
        turn.leave(well=True)
        times = [path for path in (tmp_path / name).iterdir() if path.name != "lock"]
        assert [(path.name, path.stat().st_mode & 0o777) for path in times] == [
            (f"took-{os.geteuid()}.json", expected["000001-a.json"])]


def test_a_ticket_that_may_not_be_read_is_one_that_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(tmp_path)
    place = queue.join("a", SPEC)
    real = os.open

    def refuses(path: Any, *words: Any) -> int:
        if str(path).endswith("-a.json"):
            raise PermissionError(path)
        return real(path, *words)

    monkeypatch.setattr(os, "open", refuses)
    assert queue.tickets() == queue.look(0, {}) == [Ticket(1, "a")]
    place.leave()


def test_each_login_remembers_for_all(tmp_path: Path) -> None:
    """Another login's times count, and are no hindrance to remembering one's own."""
    kind = gpus.kind(SPEC)
    (tmp_path / "took-4711.json").write_text(json.dumps({"took": {kind: [30.0, 40.0]}}))
    (tmp_path / f"took-{os.geteuid()}.json.part").write_text("of one that was killed")
    turn = gpus.Turn(tmp_path, "a", {**SPEC, "schedule": {**DIRECT, "queue": str(tmp_path)}})
    assert turn.wait(lambda: None, lambda: False)
    turn.leave(well=True)
    assert gpus.expected_s(tmp_path, SPEC) == 30.0
    assert sorted(path.name for path in tmp_path.glob("took*")) == sorted(["took-4711.json", f"took-{os.geteuid()}.json"])


def test_a_gpu_that_a_full_disk_kept_from_being_noted_is_noted_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "NOTE_S", 0.02)
    real, full = os.pwrite, [True]
    two = {**SPEC, "schedule": {**DIRECT, "gpus": 2}}
    first, second = (gpus.Turn(tmp_path, run, two) for run in "ab")
    try:
        assert first.wait(lambda: None, lambda: False)
        # Half a ticket is as good as none.
        monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:20] if full else data, at))
        assert second.wait(lambda: None, lambda: False)
        second.program_began()
        first.leave(well=False)
        full.clear()

        def noted() -> list[str | None]:
            return [ticket.device for ticket in Queue(tmp_path / ".ai_nano" / "gpus").tickets() or []]

        wait_for(lambda: noted() == ["1"], "the second GPU's being noted")
    finally:
        second.leave(well=False)


def test_who_looks_seldom_is_far_back() -> None:
    assert gpus.pause_s(1) == gpus.LOOK_S and gpus.pause_s(1000) == gpus.LOOK_FAR_S


# In place of PyTorch: says that it was loaded, and by whom; for as long as `hold` is there it does not come to an end.
PRELOAD = """
import os, time

def load():
    with open({home!r} + "/loaded", "a") as told:
        told.write("%d\\n" % os.getpid())
    while os.path.exists({home!r} + "/hold"):
        time.sleep(0.02)
"""


@pytest.fixture
def machine(machine: Machine) -> Machine:
    (machine.programs / "gpu_server" / "preload.py").write_text(PRELOAD.format(home=str(machine.home)))
    return machine


def who_loaded(machine: Machine) -> list[int]:
    loaded = machine.home / "loaded"
    return [int(pid) for pid in loaded.read_text().split()] if loaded.exists() else []


def noted(machine: Machine, run: str, name: str = "pid") -> int | None:
    return json.loads((machine.run_path(run) / "pid.json").read_text())[name]  # type: ignore[no-any-return]


def test_the_next_one_alone_has_the_libraries_loaded_and_begins_with_them(machine: Machine) -> None:
    machine.start("a", schedule=DIRECT, do="obey")
    for run in ("b", "c"):
        machine.start(run, schedule=DIRECT, do="obey")
    wait_for(lambda: who_loaded(machine), "the libraries of b")
    time.sleep(4 * gpus.LOOK_S)
    loaded = who_loaded(machine)
    assert len(loaded) == 1
    assert machine.cancel("a")["gone"]
    assert wait_for(lambda: noted(machine, "b"), "b") == loaded[0]
    wait_for(lambda: len(who_loaded(machine)) == 2, "the libraries of c")
    assert all(machine.cancel(run)["gone"] for run in ("c", "b"))
    assert all(not processes.command(pid) for pid in who_loaded(machine))


def test_who_loads_libraries_can_be_cancelled_and_goes_with_its_supervisor(machine: Machine) -> None:
    (machine.home / "hold").touch()
    for run in ("a", "b", "c"):
        machine.start(run, schedule=DIRECT, do="obey")
    wait_for(lambda: who_loaded(machine), "b's loading")
    assert machine.cancel("b") == {"v": 1, "type": "cancelled", "id": "b", "gone": True, "state": "cancelled"}
    wait_for(lambda: len(who_loaded(machine)) == 2, "c's loading")
    os.kill(noted(machine, "c", "supervisor") or 0, signal.SIGKILL)
    wait_for(lambda: all(not processes.command(pid) for pid in who_loaded(machine)), "the end of both")
    assert machine.cancel("a")["gone"] and machine.start("d", schedule=DIRECT, do="finish")["pid"] is not None
    assert machine.follow_all("d")[-1]["state"] == "done"


@pytest.mark.parametrize("way", ["too long", "died"])
def test_libraries_that_do_not_load_do_not_hold_up_the_training(machine: Machine, way: str) -> None:
    program = machine.programs / "shared" / "ahead.py"
    if way == "too long":
        program.write_text(program.read_text().replace("\nLOADING_S = 60.0\n", "\nLOADING_S = 0.1\n"))
    (machine.home / "hold").touch()
    for run in ("a", "b"):
        machine.start(run, schedule=DIRECT, do="obey")
    loading = wait_for(lambda: who_loaded(machine), "the libraries of b")[0]
    if way == "died":
        os.kill(loading, signal.SIGKILL)
    assert machine.cancel("a")["gone"]
    assert wait_for(lambda: noted(machine, "b"), "b") != loading
    assert machine.cancel("b")["gone"] and not processes.command(loading)


def test_a_training_waits_for_its_turn(machine: Machine) -> None:
    """Through the runner; the lock outlives a supervisor that was killed, as long as the program lives."""
    assert machine.start("a", schedule=DIRECT, do="obey")["pid"] is not None
    assert machine.start("b", schedule=DIRECT, do="finish")["pid"] is None
    follower = machine.follow("b")
    try:
        told = next(message for message in iter(follower.read_any, None) if message["type"] == "queue")
        check("runner.queue", told)
        assert (told["place"], told["of"], told["ahead"][0]["run"]) == (1, 1, "a")
        runs = machine.call("runner.py", "list")
        waits = next(run for run in runs["runs"] if run["id"] == "b")
        assert waits["waiting"] and waits["queue"]["place"] == 1
        check("runner.queue", {"v": 1, "type": "queue", **waits["queue"]})
        check("runner.list", {**runs, "runs": [{**run, "queue": None} for run in runs["runs"]]})
        pids = json.loads((machine.run_path("a") / "pid.json").read_text())
        os.kill(pids["supervisor"], signal.SIGKILL)
        time.sleep(4 * gpus.LOOK_S)
        assert not (machine.run_path("b") / "events.jsonl").exists(), "a's program lives, and has the GPU"
        os.kill(pids["pid"], signal.SIGKILL)
        assert follower.read_all()[-1]["state"] == "done"
    finally:
        follower.close()


def test_the_program_is_told_its_gpu(machine: Machine) -> None:
    machine.environment["CUDA_VISIBLE_DEVICES"] = "5,7"
    machine.start("a", schedule=DIRECT, do="obey")
    machine.start("b", schedule=DIRECT, do="obey")
    devices = [_environment(machine.process_id(run))["CUDA_VISIBLE_DEVICES"] for run in ("a", "b")]
    assert devices == ["5", "7"]
    assert all(machine.cancel(run)["gone"] for run in ("a", "b"))


def _environment(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_a_queue_of_config_json_that_cannot_be_made_has_a_word_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spec = {**SPEC, "schedule": {**DIRECT, "queue": str(tmp_path / "file" / "q")}}
    assert not gpus.somebody_trains(tmp_path, spec)
    with pytest.raises(Failure) as caught:
        gpus.Turn(tmp_path, "own", spec)
    assert caught.value.code == "queue.unusable" and caught.value.params["folder"] == spec["schedule"]["queue"]
