"""Makes a bare account fit for the programs, as far as that needs no rights of root, and can be repeated at any time.

The machine's part of `ai-nano provision` (doc/design/provision.md); gpu_server/provision.py and jetson_nano/provision.py
start it. It asks first what there is, and does what is missing: a second run finds that nothing is.
"""

import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from shared import provision_packages as packages
from shared import provision_pip as pips
from shared import provision_python as pythons
from shared.files import take_lock
from shared.provision_packages import Plan, Requirement
from shared.provision_python import Interpreter
from shared.provision_venv import Environments
from shared.wire import FULL, Failure, Run

STEPS = ("folders", "look", "packages", "environment", "proof", "rest")
LOCK_LOOK_S = 0.5
# PyTorch for the processor alone takes more; asked before gigabytes are downloaded for nothing.
LEAST_FOR_TORCH = 1 << 30
# Into which nobody but the login writes: programs are run from there.
FOLDERS = ("", "models", ".ai_nano")
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Wishes(NamedTuple):
    """The run's parameters (doc/design/wire.md). `wheels`: a folder of wheels that the laptop sent; `registry`: whether the
    machine's own pip may be asked; `dry`: only look."""

    requirements: List[Requirement]
    oldest: Tuple[int, int]
    python: Optional[str]
    wheels: Optional[Path]
    registry: bool
    dry: bool


class Outcome(NamedTuple):
    """`wants`: what the laptop has to bring before it can go on, None where it is done. `done`: codes of what was done, or
    with `dry` would be."""

    python: Optional[Interpreter]
    done: List[Dict[str, Any]]
    wants: Optional[Dict[str, Any]]
    versions: Dict[str, str]


def read_wishes(params: Dict[str, Any]) -> Wishes:
    """Raises Failure provision.bad_line {line}."""
    oldest = params.get("oldest") or [3, 6]
    wheels = params.get("wheels")
    return Wishes(packages.read(list(params.get("requirements") or [])), (int(oldest[0]), int(oldest[1])),
                  params.get("python"), Path(wheels) if wheels else None, bool(params.get("registry", True)),
                  bool(params.get("dry_run")))


class Provisioning:
    """One run. Holds the lock from `lock` on until its process ends."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._wishes = read_wishes(run.params)
        self._root = run.root
        self._place = run.root / ".ai_nano" / "provision"
        self._environments = Environments(run.root)
        self.done: List[Dict[str, Any]] = []
        self._base: Optional[str] = None
        self._inherits = False

    def step(self, name: str) -> None:
        self._run.progress(f"provision.step.{name}", STEPS.index(name), len(STEPS), "steps")

    def did(self, code: str, **params: Any) -> None:
        """Told at once, and once more in the result."""
        self.done.append({"code": code, "params": params})
        self._run.log(f"provision.would.{code}" if self._wishes.dry else f"provision.did.{code}", **params)

    # ---- folders -----------------------------------------------------------------------------------------------------

    def lock(self) -> None:
        """Waits while another laptop prepares this account; then its work is found done."""
        if self._wishes.dry:
            return
        os.makedirs(str(self._place), exist_ok=True)
        os.chmod(str(self._place), 0o700)
        told = False
        while take_lock(self._place / "lock") is None:
            if not told:
                told = True
                self._run.log("provision.waits")
            time.sleep(LOCK_LOOK_S)

    def folders(self) -> None:
        """Raises Failure provision.not_ours {folder}."""
        self.step("folders")
        made = []
        for name in FOLDERS:
            folder = self._root / name
            if not folder.is_dir():
                made.append(str(folder))
                if not self._wishes.dry:
                    os.makedirs(str(folder), mode=0o755)
            else:
                self._close(folder)
        if made:
            self.did("folders", folders=made)

    def _close(self, folder: Path) -> None:
        status = os.stat(str(folder))
        if status.st_uid != os.geteuid() or not os.access(str(folder), os.W_OK | os.X_OK):
            raise Failure("provision.not_ours", folder=str(folder))
        if status.st_mode & WRITABLE_BY_OTHERS:
            self.did("closed", folder=str(folder))
            if not self._wishes.dry:
                os.chmod(str(folder), stat.S_IMODE(status.st_mode) & ~WRITABLE_BY_OTHERS)

    # ---- the environment ---------------------------------------------------------------------------------------------

    def environment(self) -> Outcome:
        """Raises Failure provision.no_python {oldest}, provision.no_venv, provision.does_not_load, and pip's."""
        try:
            return self._environment()
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise Failure("provision.disk_full", path=str(self._root)) from error

    def _environment(self) -> Outcome:
        self.step("look")
        current = self._environments.current()
        if current is not None and current.version[:2] < self._wishes.oldest:
            current = None
        if current is None:
            return self._new()
        before = self._environments.marker()
        noted = before.get("packages") if before is not None else None
        plan = packages.plan(self._wishes.requirements, current, noted if isinstance(noted, dict) else None)
        if not plan.groups and before is not None:
            return self._outcome(current)
        if not plan.groups:
            # Made by hand, or by a run that was ended before its last step.
            if not self._wishes.dry:
                self._prove(current)
                self._environments.note(current, self._lines(), None)
            return self._outcome(current)
        if self._wishes.dry:
            self.did("mended", packages=plan.names)
            return self._outcome(current)
        wants = self._wants(current, plan)
        if wants is not None:
            return self._outcome(current, wants)
        self._environments.unnote()
        return self._install(current, plan, "mended")

    def _new(self) -> Outcome:
        base, inherits = self._choose()
        self._base, self._inherits = base.command, inherits
        inside = _inside(base, inherits)
        wanted = packages.plan(self._wishes.requirements, inside)
        if self._wishes.dry:
            self.did("environment", python=base.short, path=str(self._environments.link))
            self.did("installed", packages=wanted.names)
            return self._outcome(None)
        wants = self._wants(inside, wanted)
        if wants is not None:
            return self._outcome(None, wants)
        self.step("environment")
        made = self._environments.make(base, inherits)
        try:
            outcome = self._install(made, packages.plan(self._wishes.requirements, made), "installed")
        except BaseException:
            self._environments.sweep()  # a full disk has room again
            raise
        self._environments.show(made)
        self.did("environment", python=made.short, path=str(self._environments.link))
        self._environments.sweep()
        return outcome

    def _choose(self) -> Tuple[Interpreter, bool]:
        """The interpreter to build on, and whether its packages are used: those of one that has a torch that works."""
        found = pythons.candidates(self._wishes.python, self._wishes.oldest)
        if not found:
            raise Failure("provision.no_python", oldest=".".join(str(part) for part in self._wishes.oldest))
        if any(each.name == packages.TORCH for each in self._wishes.requirements):
            for each in found:
                torch = each.packages.get(packages.TORCH)
                if torch is None or packages.release(torch.version) < packages.OLDEST_TORCH:
                    continue
                problem = pythons.imports(each.command, packages.TORCH, "torch.ones(2).sum().item()")
                if problem is None:
                    self._run.log("provision.torch_kept", version=torch.version, python=each.command)
                    return each, True
                self._run.log("provision.torch_broken", level="warning", version=torch.version, python=each.command,
                              error=problem)
        for each in found:
            if packages.PINNED_FROM <= each.version[:2] <= packages.PINNED_TO:
                return each, False
        return found[0], False

    # ---- packages ----------------------------------------------------------------------------------------------------

    def _wants(self, python: Interpreter, plan: Plan) -> Optional[Dict[str, Any]]:
        """What has to come from the laptop first: pip, or the packages' wheels where no registry is reached."""
        self.step("packages")
        sent, has_pip, wheel = self._wishes.wheels, pips.has_pip(python), pips.wheel_of_pip(python, self._wishes.wheels)
        if packages.TORCH in plan.names and shutil.disk_usage(str(self._run.root)).free < LEAST_FOR_TORCH:
            raise Failure("provision.disk_full", path=str(self._run.root))
        needs_pip = not has_pip and wheel is None
        needs_wheels = sent is None and not self._wishes.registry
        if not needs_pip and not needs_wheels and sent is None:
            words = [python.command, "-m", "pip"] if has_pip else [python.command, os.path.join(str(wheel), "pip")]
            self._run.log("provision.asks_registry")
            if not pips.Pip(self._run, self._place).has_registry(words):
                self._run.log("provision.no_registry")
                needs_wheels = True
        if not needs_pip and not needs_wheels:
            return None
        return {"pip": needs_pip, "wheels": needs_wheels,
                "groups": [{"lines": group.lines, "deps": group.deps} for group in plan.groups],
                "constraints": [line.partition("+")[0] for line in plan.constraints],
                "python": python.short, "abi": python.tag + python.abi, "machine": python.machine, "glibc": list(python.glibc)}

    def _install(self, python: Interpreter, plan: Plan, word: str) -> Outcome:
        pip = pips.Pip(self._run, self._place)
        if not pips.has_pip(python):
            wheel = pips.wheel_of_pip(python, self._wishes.wheels)
            if wheel is None:
                raise Failure("provision.no_venv", package=f"python{python.short}-venv", python=python.command)
            pips.bootstrap(python, wheel)
        pip.renew_itself(python, self._wishes.wheels)
        for package in plan.remains:
            # pip would take it for installed, and could not remove it.
            shutil.rmtree(package.path, ignore_errors=True)
        # Only what the laptop sent, where it sent something: a registry that hangs would hold each package up.
        for group in plan.groups:
            pip.install(python, group, plan.constraints, self._wishes.wheels)
        seen = pythons.look(python.command)
        if seen is None:
            raise Failure("provision.does_not_load", module="python", error=python.command)
        self._prove(seen)
        # A new one is noted before it is shown: whoever finds `venv` finds it whole.
        self._environments.note(seen, self._lines(), self._base)
        if plan.names:
            self.did(word, packages=plan.names)
        return self._outcome(seen)

    def _prove(self, python: Interpreter) -> None:
        """Every module really loads. Raises Failure provision.does_not_load {module, error}."""
        self.step("proof")
        lacking = packages.plan(self._wishes.requirements, python).names
        if lacking:
            raise Failure("provision.does_not_load", module=", ".join(lacking), error="pip")
        for each in [one for one in self._wishes.requirements if one.holds(python)]:
            if each.name == packages.TORCHVISION:
                # Where its compiled part does not fit torch it loads only by gpu_server/libraries.py.
                problem = None if pythons.present([each.module], python.command) else each.module
            else:
                problem = pythons.imports(python.command, each.module)
            if problem is not None:
                raise Failure("provision.does_not_load", module=each.module, error=problem)

    def _lines(self) -> List[str]:
        return [each.line for each in self._wishes.requirements]

    def _outcome(self, python: Optional[Interpreter], wants: Optional[Dict[str, Any]] = None) -> Outcome:
        versions = {}
        for each in self._wishes.requirements:
            found = packages.there(each, python) if python is not None else None
            if found is not None:
                versions[each.name] = found.version
        return Outcome(python, self.done, wants, versions)

    def result(self, outcome: Outcome, needs: List[Dict[str, Any]]) -> None:
        """The run's last word; `needs`: what only root can do, as {code, params}."""
        self._run.progress("provision.step.rest", len(STEPS), len(STEPS), "steps")
        python = outcome.python
        self._run.result(done=self.done, needs=needs, wants=outcome.wants, dry_run=self._wishes.dry,
                         python=None if python is None else ".".join(str(part) for part in python.version),
                         environment=None if python is None else str(self._environments.link), packages=outcome.versions)


def _inside(base: Interpreter, inherits: bool) -> Interpreter:
    """As a new environment on it will see the world: nothing is its own."""
    return base._replace(purelib="\0", platlib="\0", packages=base.packages if inherits else {})
