"""The room of a soak: one account behind one real sshd, several Nanos, and perhaps Slurm. All end with it."""

import contextlib
import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from slurm_room import SlurmRoom, running_slurm
from ssh_servers import make_key

from ai_nano.demo.classroom import nano_python
from tests.faults.machines import Embedded, Machine, OpenSsh, end_all, processes_of

# Of sshd's own defaults, so that a class meets what a server that nobody has tuned does to it.
MAX_STARTUPS = "10:30:100"
SCHEDULERS = ("direct", "slurm")


class LoggingSshd(OpenSsh):
    """sshd with its default of MaxStartups, and a log of who logged in and who was sent away."""

    max_startups = MAX_STARTUPS
    more_lines: tuple[str, ...] = ()

    def _command(self, host_key: Path) -> list[str]:
        words = super()._command(host_key)
        config = self.folder / "sshd_config"
        # The first of two lines counts, but for MaxStartups the last.
        lines = ("LogLevel VERBOSE", *self.more_lines, config.read_text(), f"MaxStartups {self.max_startups}\n")
        config.write_text("\n".join(lines))
        return words

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def counts(self) -> dict[str, int]:
        """`logins`, and `refused` for MaxStartups."""
        said = self.log.read_text(errors="replace")
        return {"logins": len(re.findall(r"^Accepted (?:publickey|password) ", said, re.MULTILINE)),
                "refused": len(re.findall(r"^drop connection .* past MaxStartups", said, re.MULTILINE))}


@dataclass(frozen=True)
class Owner:
    """Who sits at a laptop, and what the project is called there."""

    number: int
    login: str
    host: str
    project: str

    @property
    def student(self) -> str:
        return f"{self.login}@{self.host}"

    def __str__(self) -> str:
        return f"laptop {self.number:02d} ({self.student}, {self.project})"


PROJECTS = ("animals", "lab", "mon projet", "kitchen", "日本")


def owners(count: int) -> list[Owner]:
    """A class as it is: a few names of projects for all, one login that two have on different computers, and two computers
    that were cloned and on which nobody changed anything."""
    made = [Owner(number, f"student{number:02d}", f"lab-{number:02d}", PROJECTS[number % len(PROJECTS)])
            for number in range(count)]
    if count > 1:
        made[1] = Owner(1, made[0].login, "lab-01", made[0].project)
    if count > 2:
        made[2] = Owner(2, made[0].login, made[0].host, made[0].project)
    return made


class Room:
    """Use with `with`: on leaving nothing of it is running, and its folder is gone unless `keeps` is set."""

    def __init__(self, scheduler: str, nanos: int, name_hosts: bool, max_startups: str = MAX_STARTUPS) -> None:
        self.scheduler = scheduler
        self.folder = Path(tempfile.mkdtemp(prefix="ai_nano-soak-"))
        self._name_hosts = name_hosts
        self._key = self.folder / "key"
        authorized = self.folder / "authorized_keys"
        authorized.write_text(make_key(self._key) + "\n")
        self.server = LoggingSshd("DL", self.folder / "DL", sys.executable, authorized)
        self.server.max_startups = max_startups
        self.nanos: list[Machine] = [Embedded(f"nano{number}", self.folder / f"nano{number}", nano_python(), authorized)
                                     for number in range(1, nanos + 1)]
        self._slurm: SlurmRoom | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Room":
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.callback(lambda: end_all(processes_of(self.folder)))
            if self.scheduler == "slurm":
                self._slurm = stack.enter_context(running_slurm())
                self.server.more_lines = (self._slurm.sshd_line,)
            for machine in (self.server, *self.nanos):
                machine.start()
                stack.callback(machine.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def slurm_processes(self) -> set[int]:
        return {process.pid for process in self._slurm.processes} if self._slurm is not None else set()

    def nano_of(self, owner: Owner) -> Machine:
        return self.nanos[owner.number % len(self.nanos)]

    def write_config(self, owner: Owner, folder: Path) -> None:
        """Every host key is pinned in it: nobody is asked anything."""
        document: dict[str, Any] = {
            "DL_server": {"name": "DL", **self._entry(self.server), "scheduler": self.scheduler},
            "jetson_nano": [{"name": nano.name, **self._entry(nano), "engine": "onnxruntime", "leds": "file"}
                            for nano in self.nanos]}
        if not self._name_hosts:
            document["student"] = owner.student
        config = folder / "config.json"
        config.write_text(json.dumps(document))
        config.chmod(0o600)

    def _entry(self, machine: Machine) -> dict[str, Any]:
        return {"ip": "127.0.0.1", "port": machine.port, "login": machine.user, "key_file": str(self._key),
                "host_key": machine.host_key, "root": str(machine.root), "python": machine.python}
