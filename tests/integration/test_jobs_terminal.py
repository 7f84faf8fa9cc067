"""Jobs from a terminal: `ai-nano jobs` as a process, that is killed, and finds again what goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import far_jobs
import pytest
from far_jobs import NUMBERS, both, wait_until
from link import Link
from ssh_machines import probe
from ssh_servers import SshServer

from ai_nano.machines.ssh_machine import SshMachine

link = far_jobs.link


class Terminal:
    """`ai-nano` processes in a room with one server and one Nano, both of them the test's sshd."""

    def __init__(self, server: SshServer, machine: SshMachine, folder: Path) -> None:
        self.folder = folder
        config = machine._config
        login: dict[str, Any] = {"ip": config.host, "port": config.port, "login": config.login, "host_key": server.host_key,
                                 "root": config.root, "python": config.python}
        login |= {"pwd": str(config.password)} if config.password else {"key_file": str(config.key_file)}
        self._document = {"DL_server": {"name": "DL", **login}, "jetson_nano": [{"name": "nano1", **login, "port": 1}],
                          "student": "ada@lab"}
        self.environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "settings"),
                            "XDG_CACHE_HOME": str(folder / "cache"), "AI_NANO_LANGUAGE": "en"}
        self.write()

    def write(self, **server: Any) -> None:
        document = {**self._document, "DL_server": {**self._document["DL_server"], **server}}
        file = self.folder / "config.json"
        file.write_text(json.dumps(document))
        file.chmod(0o600)

    @contextmanager
    def start(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """With less patience than a person's."""
        # Ctrl-C is heard also where whoever runs the tests has been started deaf to it (in the background of a shell).
        code = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
                "from ai_nano import __main__, lab\nlab.build_lab.__defaults__ = (None, 2.0)\n"
                "raise SystemExit(__main__.main())")
        with subprocess.Popen([sys.executable, "-c", code, *words], cwd=self.folder, env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            yield process

    def run(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        with self.start("--json", *words) as process:
            out, errors = process.communicate(timeout=60)
        assert process.returncode == code and "Traceback" not in errors, out + errors
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def terminal(ssh_server: SshServer, machine: SshMachine, tmp_path: Path) -> Terminal:
    folder = tmp_path / "laptop"
    folder.mkdir()
    return Terminal(ssh_server, machine, folder)


def done_numbers(lines: list[dict[str, Any]]) -> list[int]:
    return [line["done"] for line in lines if line["type"] == "progress"]


@both
def test_a_follower_that_is_killed_and_another_that_takes_up(terminal: Terminal, machine: SshMachine) -> None:
    run = probe(machine, do="count", numbers=NUMBERS, pause_s=0.01)
    first: list[dict[str, Any]] = []
    with terminal.start("--json", "jobs", "--follow", run.id) as process:
        assert process.stdout is not None
        for line in process.stdout:
            first.append(json.loads(line))
            if len(done_numbers(first)) == 100:
                process.kill()
                break
    assert done_numbers(first) == list(range(100)) and first[-1]["type"] != "result"
    second = terminal.run("jobs", "--follow", run.id)
    assert done_numbers(second) == list(range(NUMBERS))
    assert second[-1]["result"]["ok"] is True and second[-1]["machine"] == "DL"


@both
def test_what_a_vanished_laptop_left_is_listed_and_ended(
        terminal: Terminal, machine: SshMachine, ssh_server: SshServer) -> None:
    machine.student = "bob@lab"
    run = probe(machine, do="wait")
    machine.student = None
    gone = probe(machine, do="wait")
    for pid in _pids(ssh_server.home / machine._config.root, gone.id):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: machine.jobs()[-1]["state"] == "failed", "the end")
    lines = terminal.run("jobs")
    told = {job["id"]: job for job in lines[-1]["jobs"]}
    assert (told[run.id]["machine"], told[run.id]["student"], told[run.id]["state"]) == ("DL", "bob@lab", "running")
    assert 0 <= told[run.id]["age_s"] < 60 and told[run.id]["step"] == "gpu_server/probe.py"
    assert (told[gone.id]["state"], told[gone.id]["why"]) == ("failed", "vanished")
    assert [one["machine"] for one in lines[-1]["unreachable"]] == ["nano1"]
    assert [line["code"] for line in lines if line["type"] == "log"] == ["jobs.unreachable"]
    with terminal.start("jobs") as process:
        out, _ = process.communicate(timeout=60)
    assert "s ago by bob@lab" in out and "failed: killed, nothing known" in out
    assert terminal.run("jobs", "--cancel", run.id)[-1]["cancelled"] == run.id
    assert {job["id"]: job["state"] for job in machine.jobs()}[run.id] == "cancelled"


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_a_run_that_is_nowhere_to_be_found(terminal: Terminal, machine: SshMachine) -> None:
    machine.store("models")
    error = terminal.run("jobs", "--cancel", "20260101-000000-train-0000", code=3)[-1]["error"]
    assert error["code"] == "jobs.out_of_reach" and "nano1" in error["why"]


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_the_cli_ends_with_5_when_contact_stays_lost(terminal: Terminal, machine: SshMachine, link: Link,
                                                    tmp_path: Path) -> None:
    terminal.write(port=link.port)
    run = probe(machine, do="wait")
    with terminal.start("--json", "jobs", "--follow", run.id) as process:
        wait_until(lambda: link.traffic.down > 5000, "the connection")
        time.sleep(0.5)
        link.down()
        out, _ = process.communicate(timeout=60)
    lines = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 5 and lines[-1]["error"]["code"] == "job.lost"
    assert "lost" in [line["status"] for line in lines if line["type"] == "state"]
    assert machine.attach(run.id).cancel()


def _pids(root: Path, run_id: str) -> list[int]:
    note = json.loads((root / ".ai_nano" / "runs" / run_id / "pid.json").read_text())
    return [note["supervisor"], note["pid"]]


@both
def test_who_looks_on_and_leaves_ends_nothing(terminal: Terminal, machine: SshMachine) -> None:
    run = probe(machine, do="wait")
    with terminal.start("--json", "jobs", "--follow", run.id) as process:
        assert process.stdout is not None
        while "probe.waiting" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and json.loads(out.splitlines()[-1])["running"] is True
    assert machine.jobs()[-1]["state"] == "running"
    assert run.cancel()
