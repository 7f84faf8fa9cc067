"""ahead.py: a run that begins in a waiting process is like every other; where nobody waits it begins the ordinary way."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from machine import DEADLINE_S, REMOTE, Machine, hang_up, of, wait_for

# The same tests, with runs that begin in a waiting process: `machine` below is another one.
from test_runner import (  # noqa: F401
    test_a_crash_is_an_error_event_and_its_traceback_is_in_the_log,
    test_a_job_is_started_and_followed_to_its_end,
    test_a_missing_program_ends_with_127,
    test_an_expected_failure_is_an_error_event,
    test_list_tells_what_was_started,
    test_standard_streams_close_at_once,
    test_the_program_has_a_clean_environment_of_its_own,
)
from test_runner_ends import (  # noqa: F401
    test_a_program_that_was_stopped_tidies_up_when_it_is_cancelled,
    test_a_run_without_a_last_word_has_failed,
    test_a_supervisor_that_is_told_to_stop_stops_the_program,
    test_cancel_during_start,
    test_cancel_kills_what_refuses_and_its_children,
    test_cancel_lets_the_program_tidy_up,
    test_children_do_not_outlive_their_program,
)
from test_runner_follow import (  # noqa: F401
    test_commands_reach_the_program,
    test_output_that_is_no_utf8_is_replaced,
)

sys.path.insert(0, str(REMOTE))
from shared import ahead  # noqa: E402
from shared.runs import RunFolder  # noqa: E402
from shared.wire import Failure  # noqa: E402

# Loads for as long as the file `hold` is there; says that it has begun to.
PRELOAD = """
import os, time

def load():
    open({home!r} + "/began", "w").close()
    while os.path.exists({home!r} + "/hold"):
        time.sleep(0.02)
"""


def begin(machine: Machine) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(machine.command("ahead.py"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            env=machine.environment, cwd="/")


def state(waiting: "subprocess.Popen[bytes]") -> str:
    """What it says of itself, once it does."""
    assert waiting.stdout is not None
    return str(json.loads(waiting.stdout.readline())["state"])


@pytest.fixture
def machine(machine: Machine) -> Iterator[Machine]:
    """With a process that waits, which has loaded what a preload.py names."""
    shutil.rmtree(machine.programs / "gpu_server")
    (machine.programs / "probe" / "preload.py").write_text(PRELOAD.format(home=str(machine.home)))
    process = begin(machine)
    assert state(process) == "ready"
    yield machine
    assert hang_up(process) in (0, -signal.SIGKILL)


def waiting(machine: Machine) -> int:
    return next(pid for pid in processes.children(os.getpid()) if "ahead.py" in processes.command(pid))


def began_ahead(machine: Machine, id: str) -> bool:
    """A copy has the command of what it is a copy of."""
    return "ahead.py" in processes.command(machine.process_id(id))


def test_runs_begin_in_the_waiting_process(machine: Machine) -> None:
    for id in ("a", "b"):
        machine.start(id, do="wait")
        assert began_ahead(machine, id)
        assert machine.cancel(id)["state"] == "cancelled"


def test_a_run_outlives_what_it_began_in(machine: Machine) -> None:
    machine.start("a", do="wait")
    os.kill(waiting(machine), signal.SIGKILL)
    machine.start("b", do="wait")
    assert machine.state("a") == "running" and began_ahead(machine, "a") and not began_ahead(machine, "b")
    for id in ("a", "b"):
        assert machine.cancel(id) == {"v": 1, "type": "cancelled", "id": id, "gone": True, "state": "cancelled"}


def test_a_second_one_leaves_the_first_alone(machine: Machine) -> None:
    second = begin(machine)
    assert state(second) == "there" and hang_up(second) == 0
    machine.start("a", do="wait")
    assert began_ahead(machine, "a")
    machine.cancel("a")


def test_a_run_waits_for_one_that_is_still_loading(machine: Machine) -> None:
    os.kill(waiting(machine), signal.SIGKILL)
    loading = begin_to_load(machine)
    start = subprocess.Popen(machine.command("runner.py", "start"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             env=machine.environment, cwd="/")
    assert start.stdin is not None and start.stdout is not None
    start.stdin.write(machine.spec("a", do="wait"))
    start.stdin.close()
    wait_for(lambda: machine.run_path("a").exists(), "the run's folder")
    (machine.home / "hold").unlink()
    assert json.loads(start.stdout.readline())["type"] == "started" and start.wait(DEADLINE_S) == 0
    start.stdout.close()
    assert began_ahead(machine, "a") and machine.cancel("a")["state"] == "cancelled"
    assert state(loading) == "ready" and hang_up(loading) == 0


def begin_to_load(machine: Machine) -> "subprocess.Popen[bytes]":
    (machine.home / "began").unlink()
    (machine.home / "hold").touch()
    loading = begin(machine)
    wait_for(lambda: (machine.home / "began").exists(), "the beginning")
    return loading


def test_the_end_of_its_input_ends_it_while_it_is_loading(machine: Machine) -> None:
    os.kill(waiting(machine), signal.SIGKILL)
    assert hang_up(begin_to_load(machine)) == -signal.SIGIO


def test_the_end_of_its_input_before_it_loads_ends_it(machine: Machine) -> None:
    os.kill(waiting(machine), signal.SIGKILL)
    (machine.home / "hold").touch()
    assert hang_up(begin(machine)) in (0, -signal.SIGIO)


def test_what_cannot_be_loaded_is_the_programs_matter(machine: Machine) -> None:
    os.kill(waiting(machine), signal.SIGKILL)
    (machine.programs / "probe" / "preload.py").write_text("def load():\n    import no_such_library\n")
    other = subprocess.Popen(machine.command("ahead.py"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=machine.environment, cwd="/")
    assert state(other) == "ready"
    machine.start("a", do="finish")
    assert of(machine.events("a"), "result") and hang_up(other) == 0


def test_it_ends_when_nobody_wants_it(machine: Machine) -> None:
    os.kill(waiting(machine), signal.SIGKILL)
    code = ("import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from shared import ahead\n"
            "ahead.IDLE_S = 0.2; ahead.wait(Path(sys.argv[1]))")
    process = subprocess.Popen([machine.python, "-B", "-c", code, str(machine.programs)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=machine.environment, cwd="/")
    assert state(process) == "ready" and process.wait(DEADLINE_S) == 0
    hang_up(process)


def listening(folder: Path) -> socket.socket:
    """Somebody at the address of these programs, who does not speak yet."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(ahead.address(folder))
    listener.listen()
    return listener


def test_nothing_is_started_where_nobody_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the ordinary way is free: a run must never begin twice."""
    monkeypatch.setattr(ahead, "LOADED_S", 0.1)
    run = RunFolder(tmp_path / "run")
    assert not ahead.launch(run, tmp_path)
    with listening(tmp_path) as listener:
        assert not ahead.launch(run, tmp_path)
        visitor, _ = listener.accept()
        with visitor:
            assert visitor.recv(100) == b""  # it has gone without asking for anything


def test_a_run_that_was_taken_and_never_began_is_said_so(tmp_path: Path) -> None:
    def take() -> None:
        visitor, _ = listener.accept()
        with visitor:
            visitor.sendall(b'{"v": 1, "type": "ready"}\n')
            visitor.recv(1000)

    with listening(tmp_path) as listener:
        thread = threading.Thread(target=take)
        thread.start()
        with pytest.raises(Failure) as caught:
            ahead.launch(RunFolder(tmp_path / "run"), tmp_path)
        thread.join()
    assert caught.value.code == "run.not_started"
