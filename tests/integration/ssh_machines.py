"""Machines of the program on the tests' servers, and what their jobs say."""

import shutil
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ssh_servers import SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.ports import JobEnd
from ai_nano.core.room.config import MachineConfig, Secret
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import SshMachine

PROBE = Path(__file__).parents[1] / "contract" / "probe_program.py"


class ProgramsWithProbe(Programs):
    """The real programs and one that does what a test wants; without the one that loads PyTorch ahead, for seconds of a
    processor that a probe has no use for."""

    @cached_property
    def files(self) -> dict[PurePosixPath, Path]:
        files = {**super().files, PurePosixPath("gpu_server/probe.py"): PROBE}
        files.pop(PurePosixPath("gpu_server/preload.py"), None)  # a Nano has none
        return files


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


def python_of(server: SshServer) -> str:
    """An interpreter that the login may run: another user cannot enter the home in which a virtual environment may lie."""
    if server.kind != "openssh-password":
        return sys.executable
    found = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
    assert found is not None
    return found


def config_for(server: SshServer, root: str) -> MachineConfig:
    password = Secret(server.password) if server.password and server.kind != "openssh-key" else None
    return MachineConfig("DL", server.host, server.user, password, server.port, None if password else server.key_file,
                         host_key=server.host_key, root=root, python=python_of(server))


def connect(config: MachineConfig, folder: Path) -> SshMachine:
    machine = SshMachine(config, ProgramsWithProbe("gpu_server"), HostKeys(folder / "known_hosts"), Nobody())
    machine.patience_s = 3.0
    return machine


def probe(machine: SshMachine, **params: Any) -> Any:
    return machine.start("probe", "gpu_server/probe.py", params, lease_s=params.pop("lease_s", None))


class Heard:
    """What a followed job said."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.text = ""

    def follow(self, job: Any, cancel: CancelToken | None = None) -> JobEnd:
        end: JobEnd = job.follow(self.events.append, self._log, cancel or CancelToken())
        return end

    def _log(self, text: str) -> None:
        self.text += text

    def wait_for(self, code: str) -> None:
        deadline = time.monotonic() + 30
        while not any(event.get("code") == code for event in self.events):
            assert time.monotonic() < deadline, f"never heard {code}"
            time.sleep(0.02)
