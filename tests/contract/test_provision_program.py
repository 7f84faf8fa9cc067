"""gpu_server/provision.py and jetson_nano/provision.py on a login with an interpreter and nothing else.

The packages are wheels of a few bytes under the names of the real ones; pip, environments, lock and runner are real.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import Machine, Message, of, wait_for
from test_wire import check
from tiny_wheels import make_wheel, own_python, put, site_of

LINES = ["torch==2.13.0", "torchvision==0.28.0", "numpy>=1.24", "onnx>=1.16"]
TORCH = "class _One:\n    def sum(self): return self\n    def item(self): return 1\ndef ones(n): return _One()"
UNREACHABLE = "http://ada:geheim@127.0.0.1:9/simple?token=geheim2"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name, version in (("torch", "2.13.0"), ("numpy", "2.1.0"), ("onnx", "1.20.0"), ("pillow", "11.0"), ("sympy", "1.13")):
        # As numpy's real one: what another package wants of it must not change the one that is there.
        needs = ("sympy>=1.0",) if name == "torch" else ("numpy>=1.26",) if name == "onnx" else ()
        make_wheel(folder, name, version, needs, TORCH if name == "torch" else "")
    make_wheel(folder, "torchvision", "0.28.0", ("torch==2.13.0", "pillow"))
    make_wheel(folder, "torchvision", "0.18.1", ("torch==2.3.1", "pillow"))
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix of an interpreter with nothing but the standard library."""
    prefix = tmp_path_factory.mktemp("python") / "prefix"
    own_python(prefix)
    return prefix


class Account(Machine):
    """A login that finds just this interpreter first; `wheels` have been sent there."""

    def __init__(self, home: Path, prefix: Path) -> None:
        super().__init__(home, str(prefix / "bin" / "python3"))
        # Compiling pip takes more time than all the rest.
        self.environment.update(PATH=f"{prefix / 'bin'}:/usr/bin:/bin", PIP_NO_COMPILE="1")
        self.number = 0

    def begin(self, lines: list[str], **params: Any) -> str:
        self.number += 1
        given = {"requirements": lines, "oldest": [3, 8], "python": None, "wheels": None, "registry": False, "dry_run": False,
                 "weights": None, **params}
        self.start(f"p{self.number}", "gpu_server/provision.py", **given)
        return f"p{self.number}"

    def provision(self, lines: list[str], **params: Any) -> Message:
        run = self.begin(lines, **{key: str(value) if isinstance(value, Path) else value for key, value in params.items()})
        self.said = self.events(run)
        result = of(self.said, "result")
        assert result, self.said + [self.output(run)]
        return result[0]

    def fail(self, lines: list[str], **params: Any) -> Message:
        run = self.begin(lines, **{key: str(value) if isinstance(value, Path) else value for key, value in params.items()})
        self.said = self.events(run)
        assert self.state(run) == "failed"
        return of(self.said, "error")[0]

    def output(self, run: str) -> Message:
        return {"type": "output", "text": (self.run_path(run) / "output.log").read_text()}

    def imported(self, name: str) -> str:
        words = [str(self.root / "venv" / "bin" / "python"), "-c", f"import {name}; print({name}.__file__, {name}.__version__)"]
        return subprocess.run(words, capture_output=True, text=True, check=True, env=self.environment, cwd="/").stdout

    @property
    def site(self) -> Path:
        return next((self.root / "venv" / "lib").glob("python*/site-packages"))

    def codes(self) -> list[str]:
        return [event["code"] for event in self.said if event["type"] == "log"]


@pytest.fixture
def account(tmp_path: Path, python: Path) -> Iterator[Account]:
    (tmp_path / "home").mkdir()
    made = Account(tmp_path / "home", python)
    yield made
    made.close()


def test_a_bare_account_gets_an_environment_that_can_be_mended(account: Account, wheels: Path, tmp_path: Path) -> None:
    result = account.provision(LINES, wheels=wheels)
    check("provision.result", result)
    assert {"torch": "2.13.0", "torchvision": "0.28.0", "numpy": "2.1.0", "onnx": "1.20.0"} == result["packages"]
    assert {one["code"] for one in result["done"]} >= {"installed", "environment"} and result["wants"] is None
    assert str(account.root / "venv") in account.imported("torch")
    assert (account.root / "venv").is_symlink() and json.loads((account.root / "venv" / "ai_nano.json").read_text())["packages"]
    progress = of(account.said, "progress")
    assert [one for one in progress if one["what"] == "provision.installing" and one["done"] == one["total"]]
    steps = [one["done"] for one in progress if one["what"].startswith("provision.step.")]
    assert steps == sorted(steps) and steps[-1] == 6

    before = snapshot(account.root / "venv")
    again = account.provision(LINES)
    assert again["done"] == [] and again["wants"] is None and snapshot(account.root / "venv") == before

    # What was lost or damaged is mended, a wrong version too, and nothing else is touched.
    untouched = {name: (account.site / name / "__init__.py").stat().st_ino for name in ("torch", "numpy", "torchvision")}
    shutil.rmtree(account.site / "onnx")  # the module, not the note that it is installed
    for path in account.site.glob("sympy*"):  # what another package needs
        shutil.rmtree(path)
    result = account.provision(LINES, wheels=wheels)
    assert [(one["code"], one["params"]) for one in result["done"]] == [("mended", {"packages": ["onnx", "sympy"]})]
    assert "1.20.0" in account.imported("onnx") and "1.13" in account.imported("sympy")
    newer = [*LINES[:3], "onnx>=1.21"]
    make_wheel(tmp_path / "newer", "onnx", "1.21.0", ("numpy",))
    assert account.provision(newer, wheels=tmp_path / "newer")["packages"]["onnx"] == "1.21.0"
    assert untouched == {name: (account.site / name / "__init__.py").stat().st_ino for name in untouched}
    assert account.provision(newer)["done"] == []


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.resolve().rglob("*")) if path.is_file()}


def test_what_only_looks_changes_nothing(account: Account, wheels: Path) -> None:
    result = account.provision(LINES, wheels=wheels, dry_run=True)
    assert [one["code"] for one in result["done"]] == ["folders", "environment", "installed"] and result["dry_run"]
    assert not (account.root / "venv").exists() and not (account.root / "models").exists()


def test_without_a_registry_it_says_for_what_it_needs_wheels(account: Account) -> None:
    wants = account.provision(LINES)["wants"]
    check("provision.result", account.provision(LINES))
    assert wants["wheels"] and wants["groups"] == [{"lines": LINES, "deps": True}]
    assert wants["abi"].startswith("cp3") and wants["python"].startswith("3.") and wants["machine"] == os.uname().machine


def test_a_registry_that_is_not_reached_is_given_up_soon_and_its_password_stays_secret(account: Account) -> None:
    account.environment["PIP_INDEX_URL"] = UNREACHABLE
    result = account.provision(LINES, registry=True)
    assert result["wants"]["wheels"] and "provision.no_registry" in account.codes()
    log = account.root / ".ai_nano" / "provision" / "pip.log"
    told = log.read_text() + account.output("p1")["text"]
    assert "127.0.0.1" in told and "geheim" not in told
    assert log.stat().st_mode & 0o777 == 0o600


def test_an_interpreter_that_lacks_parts_of_it(tmp_path: Path, wheels: Path) -> None:
    """As Debian has it without python3-venv, or less: it asks for pip's own wheel, and needs nothing else."""
    own_python(tmp_path / "prefix", "ensurepip", "venv")
    (tmp_path / "home").mkdir()
    account = Account(tmp_path / "home", tmp_path / "prefix")
    debians = "from shared import provision_pip; from pathlib import Path; provision_pip.SYSTEM_WHEELS = Path('/nowhere')\n"
    program = account.programs / "gpu_server" / "provision.py"
    program.write_text(program.read_text().replace("if __name__", f"{debians}\nif __name__"))
    assert account.provision(["numpy>=1.24"])["wants"]["pip"]
    sent = tmp_path / "sent"
    shutil.copytree(wheels, sent)
    import ensurepip

    shutil.copy(next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")), sent)
    result = account.provision(["numpy>=1.24"], wheels=sent)
    assert result["wants"] is None and str(account.root / "venv") in account.imported("numpy")
    account.close()


def test_a_torch_that_works_is_used_as_it_is(tmp_path: Path, wheels: Path) -> None:
    own_python(tmp_path / "prefix")
    site = site_of(tmp_path / "prefix")
    put(make_wheel(tmp_path / "w", "torch", "2.3.1+nv24.4", code=TORCH), site)
    put(make_wheel(tmp_path / "w", "numpy", "1.24.4"), site)
    before = snapshot(site)
    (tmp_path / "home").mkdir()
    account = Account(tmp_path / "home", tmp_path / "prefix")
    wants = account.provision(LINES)["wants"]
    assert wants["groups"] == [{"lines": ["pillow", "onnx>=1.16"], "deps": True},
                               {"lines": ["torchvision==0.18.*"], "deps": False}]
    assert set(wants["constraints"]) == {"torch==2.3.1", "numpy==1.24.4"}
    # The onnx of `wheels` wants a newer numpy: pip may not give it one.
    assert account.fail(LINES, wheels=wheels)["code"] in ("provision.pip", "provision.no_wheel")
    assert not (account.root / "venv").exists()
    sent = tmp_path / "sent"
    shutil.copytree(wheels, sent)
    (sent / "onnx-1.20.0-py3-none-any.whl").unlink()
    make_wheel(sent, "onnx", "1.17.0", ("numpy>=1.20",))
    result = account.provision(LINES, wheels=sent)
    assert result["packages"] == {"torch": "2.3.1+nv24.4", "numpy": "1.24.4", "onnx": "1.17.0", "torchvision": "0.18.1"}
    assert str(site) in account.imported("torch") and str(site) in account.imported("numpy")
    assert {path: time for path, time in snapshot(site).items() if "__pycache__" not in path} == {
        path: time for path, time in before.items() if "__pycache__" not in path}
    assert account.provision(LINES)["done"] == []
    account.close()


def test_a_torch_that_does_not_load_is_not_used(tmp_path: Path, wheels: Path) -> None:
    own_python(tmp_path / "prefix")
    put(make_wheel(tmp_path / "w", "torch", "2.3.1", code="raise ImportError('libcudart.so.12')"), site_of(tmp_path / "prefix"))
    (tmp_path / "home").mkdir()
    account = Account(tmp_path / "home", tmp_path / "prefix")
    assert account.provision(LINES[:1], wheels=wheels)["packages"]["torch"] == "2.13.0"
    assert "provision.torch_broken" in account.codes() and str(account.root) in account.imported("torch")
    account.close()


def test_what_was_killed_leaves_nothing_half_and_is_taken_up(account: Account, wheels: Path, tmp_path: Path) -> None:
    """While a new environment is filled, and while one is mended."""
    lines = ["numpy>=1.24", "onnx>=1.16"]
    kill(account, account.begin(lines, wheels=str(wheels)), lambda events: "provision.installing" in events)
    assert not (account.root / "venv").exists()
    assert account.provision(lines, wheels=wheels)["packages"]["onnx"] == "1.20.0"
    assert len(list((account.root / ".ai_nano" / "venvs").iterdir())) == 1
    for path in account.site.glob("onnx*"):
        shutil.rmtree(path)
    mark = account.root / "venv" / "ai_nano.json"
    kill(account, account.begin(lines, wheels=str(wheels)), lambda events: not mark.exists())
    account.provision(lines, wheels=wheels)
    assert "1.20.0" in account.imported("onnx") and mark.exists()


def kill(account: Account, run: str, moment: Callable[[str], bool]) -> None:
    events = account.run_path(run) / "events.jsonl"
    wait_for(lambda: events.exists() and moment(events.read_text()), "the moment")
    os.killpg(account.process_id(run), signal.SIGKILL)
    wait_for(lambda: account.state(run) == "failed", "its end")


def test_two_at_once_wait_for_each_other(account: Account, wheels: Path) -> None:
    runs = [account.begin(["numpy>=1.24"], wheels=str(wheels)) for _ in range(2)]
    told = [account.events(run) for run in runs]
    results = [of(events, "result")[0] for events in told]
    assert sorted(bool(result["done"]) for result in results) == [False, True]
    assert [event for events in told for event in events if event.get("code") == "provision.waits"]


def test_an_environment_made_by_hand_is_used_and_mended(account: Account, wheels: Path) -> None:
    words = [account.python, "-m", "venv", "--without-pip", str(account.root / "venv")]
    subprocess.run(words, check=True, env=account.environment)
    own = (account.root / "venv" / "pyvenv.cfg").stat().st_ino
    account.provision(["onnx>=1.16"], wheels=wheels)
    assert (account.root / "venv" / "pyvenv.cfg").stat().st_ino == own and not (account.root / "venv").is_symlink()
    assert str(account.root / "venv") in account.imported("onnx")


def test_what_does_not_load_is_not_shown(account: Account, wheels: Path, tmp_path: Path) -> None:
    make_wheel(tmp_path / "bad", "onnx", "1.16.0", code="raise ImportError('libstdc++.so.6: no such file')")
    error = account.fail(["onnx>=1.16"], wheels=tmp_path / "bad")
    assert error["code"] == "provision.does_not_load" and "libstdc++" in error["params"]["error"]
    assert not (account.root / "venv").exists()


def test_a_package_that_is_not_there_is_named(account: Account, wheels: Path) -> None:
    error = account.fail(["nowhere>=1.0"], wheels=wheels)
    assert (error["code"], error["params"]) == ("provision.no_wheel", {"package": "nowhere>=1.0"})


@pytest.mark.root
def test_a_full_disk_is_named_and_taken_up(tmp_path: Path, python: Path, wheels: Path) -> None:
    (tmp_path / "home").mkdir()
    account = Account(tmp_path / "home", python)
    account.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=755", "ai_nano_test", str(account.root)], check=True)
    try:
        lines = ["onnx>=1.16"]
        assert account.fail(lines, wheels=wheels)["code"] == "provision.disk_full"
        # Said before the laptop downloads what then has no room.
        assert account.fail(["torch>=99"], registry=False)["code"] == "provision.disk_full"
        assert not (account.root / "venv").exists()
        subprocess.run(["mount", "-o", "remount,size=80m", str(account.root)], check=True)
        assert account.provision(lines, wheels=wheels)["packages"]["onnx"] == "1.20.0"
    finally:
        account.close()
        for _attempt in range(50):
            if subprocess.run(["umount", str(account.root)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)


def test_folders_are_closed_to_others(account: Account) -> None:
    (account.root / "models").mkdir(parents=True, mode=0o777)
    (account.root / "models").chmod(0o777)
    account.provision([], registry=False)
    assert (account.root / "models").stat().st_mode & 0o777 == 0o755


def test_weights_that_are_not_there_are_named(account: Account) -> None:
    error = account.fail([], weights="~/nowhere/resnet18.pth")
    assert error["code"] == "train.no_weights" and error["params"]["path"] == "~/nowhere/resnet18.pth"


def test_a_nano_says_what_needs_root(machine: Machine, tmp_path: Path) -> None:
    """Under Python 3.6, as a login that is not root: this one has no group, rule or permission."""
    program = machine.programs / "jetson_nano" / "provision.py"
    small = "MemTotal:        4058888 kB\n"
    (tmp_path / "meminfo").write_text(small)
    (tmp_path / "swaps").write_text("Filename Type Size Used Priority\n/dev/zram0 partition 2029440 0 5\n")
    changes = (f"provision_needs.MEMINFO = Path({str(tmp_path / 'meminfo')!r}); provision_needs.RULES = ()\n"
               f"provision_needs.SWAPS = Path({str(tmp_path / 'swaps')!r}); provision_needs.SYSTEMD = Path('/')\n"
               "import types; provision_needs.os = types.SimpleNamespace(**vars(os))\n"
               "provision_needs.os.geteuid, provision_needs.os.getgroups = lambda: 1000, lambda: []\n"
               "provision_needs.system.login = lambda: 'nano'\n")
    program.write_text(program.read_text().replace("if __name__", f"{changes}\nif __name__"))
    (tmp_path / "bin").mkdir()
    for name, code in (("sudo", 1), ("systemctl", 0)):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    machine.environment["PATH"] = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    params = {"requirements": [], "oldest": [3, 6], "python": None, "wheels": None, "registry": False, "dry_run": False,
              "board": {"leds": "gpio", "container": False}}
    machine.start("n", "jetson_nano/provision.py", **params)
    told = machine.events("n")
    assert of(told, "result"), told
    result = of(told, "result")[0]
    check("provision.result", result)
    needs = {one["code"]: one["params"] for one in result["needs"]}
    assert set(needs) == {"groups", "udev", "swap", "power", "linger"}
    assert needs["swap"] == {"have_mb": 0} and needs["udev"] == {"brought": False}
    assert set(needs["groups"]["groups"]) == {"video", "gpio"}
    machine.environment["AI_NANO_EMBEDDED"] = "1"
    machine.start("m", "jetson_nano/provision.py", **params)
    assert of(machine.events("m"), "result")[0]["needs"] == []
