"""The composition root: the one place where config, machines, cameras and steps meet."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from ai_nano.cameras.images import ImageFiles
from ai_nano.cameras.shared import SharedCameras
from ai_nano.core.cancel import CancelToken
from ai_nano.core.doctor import laptop, mends
from ai_nano.core.doctor.findings import LAPTOP, Tell
from ai_nano.core.errors import BadInput
from ai_nano.core.events import Listener
from ai_nano.core.lanes import Lanes
from ai_nano.core.ports import Camera, CameraOptions, Machine, MachineFacts, MachineReport, MachineState, Questions
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.room import config as configuration
from ai_nano.core.room import known_hosts, own_projects
from ai_nano.core.room.config import Config, MachineConfig, NanoConfig, ServerConfig
from ai_nano.core.workflow import BatchStep, Workflow
from ai_nano.machines.keyring_store import KeyringStore
from ai_nano.machines.reach import LookAround
from ai_nano.steps.deploy import DeployStep
from ai_nano.steps.export import ExportStep
from ai_nano.steps.import_images import ImportStep
from ai_nano.steps.infer import InferStep, TryStep
from ai_nano.steps.nano_test import NanoTestStep
from ai_nano.steps.provision import Outcome, ProvisionOptions, provision
from ai_nano.steps.record import RecordStep
from ai_nano.steps.split import SplitStep
from ai_nano.steps.train import TrainStep
from ai_nano.steps.upload import UploadStep

if TYPE_CHECKING:
    from ai_nano.machines.connection import Connection
    from ai_nano.machines.hostkeys import HostKeys
    from ai_nano.machines.ssh_machine import SshMachine


PATIENCE_S = 20.0
SYSTEM_PYTHON = "python3"


def user_folder() -> Path:
    """Where forms write config.json, and where known_hosts lies."""
    return Path(platformdirs.user_config_dir("ai_nano", appauthor=False))


class Lab:
    """The room. Machines are made when first used and connect when first asked something."""

    def __init__(self, config: Config, ask: Questions, folder: Path, keyring: KeyringStore | None = None,
                 patience_s: float | None = PATIENCE_S) -> None:
        self.config = config
        self._patience_s = patience_s
        self.images = ImageFiles()
        self._ask = ask
        self._folder = folder
        # What this program keeps for the person: receipts, and which projects are theirs.
        self.data_folder = Path(platformdirs.user_data_dir("ai_nano", appauthor=False))
        self._keyring = keyring or KeyringStore()
        self._cameras: SharedCameras | None = None
        self._making = threading.Lock()
        # A jump host stands before the machines behind it, so that closing goes from the front to the back.
        self._machines: dict[str, SshMachine] = {}
        self._jumps: dict[tuple[str, str], Connection] = {}
        self._around = LookAround(config.jump)

    @property
    def server_config(self) -> ServerConfig:
        return self.config.server

    def nano_config(self, name: str | None) -> NanoConfig:
        return self.config.nano(name)

    @property
    def server(self) -> Machine:
        return self._machine(self.server_config, "gpu_server")

    def nano(self, name: str | None) -> Machine:
        return self._machine(self.nano_config(name), "jetson_nano")

    def bare(self, name: str) -> Machine:
        """A machine whose programs run under the Python of its system: the environment that `provision` mends may be broken."""
        with self._making:
            config = next(one for one in self.config.machines if one.name == name)
            role = "gpu_server" if isinstance(config, ServerConfig) else "jetson_nano"
            return self._made(replace(config, python=SYSTEM_PYTHON), role, f"{name} bare")

    def machine_reports(self) -> list[MachineReport]:
        """The server and the Nanos that are filled in, in order, as far as it is known: asks nobody, waits for nothing."""
        reports = []
        for config in self.config.machines:
            made = self._machines.get(config.name)
            reports.append(self._around.report(config.name, made.report if made else None, made.changed_at if made else 0.0))
        return reports

    def look_around(self, cancel: CancelToken | None = None) -> None:
        """Ask all machines that are not connected, side by side, whether they are there; `machine_reports` then tells it.

        Takes seconds: for a worker thread, and not more often than each half minute (see machines/reach.py).
        """
        with self._making:
            states = {name: machine.state for name, machine in self._machines.items()}
            states |= {jump.machine.name: jump.state for jump in self._jumps.values()}
        busy = (MachineState.CONNECTED, MachineState.CONNECTING)
        asked = [config for config in self.config.machines if states.get(config.name) not in busy]
        connected = [name for name, state in states.items() if state is MachineState.CONNECTED]
        self._around.look(asked, cancel or CancelToken(), connected)

    def examine(self, name: str, tell: Tell, deep: bool = False) -> None:
        """What is wrong with a machine of the room, or with this computer (LAPTOP): findings with mends, as they come."""
        if name == LAPTOP:
            _examine_laptop(self.config, self._folder, tell)
            return
        from ai_nano.machines.examination import examine

        config = next(one for one in self.config.machines if one.name == name)
        machine = self._machine(config, "gpu_server" if isinstance(config, ServerConfig) else "jetson_nano")
        examine(machine, config, _with_mends(tell, self.config, config, self._folder), deep)

    def here(self) -> Machine:
        from ai_nano.machines.local_machine import LocalMachine

        machine = LocalMachine(Path(platformdirs.user_cache_dir("ai_nano", appauthor=False)) / "here")
        machine.student = self.config.student
        return machine

    def note_project(self, ident: str, name: str) -> None:
        own_projects.note(self.data_folder, ident, name)

    @property
    def own_projects(self) -> frozenset[str]:
        """The ids of what this person has sent to machines from here."""
        return own_projects.known(self.data_folder)

    def open_camera(self, uri: str, options: CameraOptions | None = None) -> Camera:
        """The camera, shared with whoever has it open already."""
        if self._cameras is None:
            from ai_nano.cameras import open_camera

            self._cameras = SharedCameras(lambda uri, asked: open_camera(uri, self._open_nano, asked))
        return self._cameras.open(uri, options)

    def _open_nano(self, uri: str, name: str) -> Camera:
        from ai_nano.cameras.nano import NanoCamera

        known = [nano.name for nano in self.config.filled_nanos]
        if name not in known:
            raise BadInput("camera.nano_unknown", uri=uri, known=known or "–")
        return NanoCamera(uri, self.nano(name), self.nano_config(name))

    def close(self) -> None:
        """Waits for cameras that are closing, never for a machine or for a person who is being asked something."""
        if self._cameras is not None:
            self._cameras.close()
        with self._making:
            opened: list[Connection | SshMachine] = [*self._jumps.values(), *self._machines.values()]
        for one in opened:
            one.close()

    def _machine(self, config: ServerConfig | NanoConfig, role: str) -> "SshMachine":
        with self._making:
            return self._made(config, role)

    def _made(self, config: MachineConfig, role: str, key: str | None = None) -> "SshMachine":
        """`_making` is held."""
        # paramiko costs 0.16 s to import: not before a machine is needed.
        from ai_nano.machines.programs import Programs
        from ai_nano.machines.ssh_machine import SshMachine

        key = key or config.name
        if key not in self._machines:
            jump = self._jump(config)
            machine = SshMachine(config, Programs(role), self._host_keys(), self._ask, self._keyring, jump)
            machine.student, machine.patience_s = self.config.student, self._patience_s
            self._machines[key] = machine
        return self._machines[key]

    def _jump(self, config: MachineConfig) -> "Connection | None":
        """The connection to its jump host, which is the one of that machine, if it is one of the room's."""
        from ai_nano.machines.connection import Connection

        jump = self.config.jump(config)
        if jump is None:
            return None
        if isinstance(jump, (ServerConfig, NanoConfig)):
            return self._made(jump, "gpu_server" if isinstance(jump, ServerConfig) else "jetson_nano").connection
        known = (jump.name, jump.login)
        if known not in self._jumps:
            self._jumps[known] = Connection(jump, self._host_keys(), self._ask, self._keyring)
        return self._jumps[known]

    def _host_keys(self) -> "HostKeys":
        from ai_nano.machines.hostkeys import HostKeys

        return HostKeys(self._folder / known_hosts.FILE_NAME)


def _with_mends(tell: Tell, room: Config, machine: MachineConfig | None, folder: Path) -> Tell:
    return lambda finding: tell(finding.with_mends(mends.mends(finding, room, machine, folder)))


def _examine_laptop(room: Config, folder: Path, tell: Tell) -> None:
    from ai_nano.cameras import devices
    from ai_nano.cameras.listing import list_cameras

    cameras = [(devices.device_path(one.uri) or one.uri, one.name) for one in list_cameras()]
    holders = {path: devices.holder(path) for path, _ in cameras}
    laptop.examine(room, folder, cameras, holders, _with_mends(tell, room, None, folder))


def test_machine(config: ServerConfig | NanoConfig, role: str, ask: Questions, folder: Path | None = None,
                 room: Config | None = None) -> MachineFacts:
    """Connect with exactly these values, saved or not, run a program there, and close: a form's test button.

    `role` is gpu_server or jetson_nano; `folder` the user's config folder, `room` where a jump host is looked up. Raises the
    project's errors. A host key is remembered only when `ask` trusts it.
    """
    lab = Lab(room or configuration.nowhere(), ask, folder or user_folder())
    try:
        return lab._machine(config, role).facts()
    finally:
        lab.close()


def prepare_machines(config: Config, options: ProvisionOptions, ask: Questions, emit: Listener, cancel: CancelToken,
                     folder: Path | None = None) -> Outcome:
    """`ai-nano provision` with exactly this configuration, saved or not, over connections of its own."""
    lab = Lab(config, ask, folder or user_folder())
    try:
        return provision(config, lab.bare, wheels_folder(), options, emit, cancel)
    finally:
        lab.close()


def build_lab(config: Config, ask: Questions, folder: Path | None = None, keyring: KeyringStore | None = None,
              patience_s: float | None = PATIENCE_S) -> Lab:
    """The room that the config describes; `folder` is the user's config folder (known_hosts), `keyring` None the system's.

    `patience_s`: how long a machine may be out of reach while work there is followed; None: as long as it takes.
    """
    return Lab(config, ask, folder or user_folder(), keyring, patience_s)


def steps() -> dict[str, BatchStep]:
    """All steps that can be started, by name."""
    made: list[BatchStep] = [RecordStep(), ImportStep(), SplitStep(), UploadStep(), TrainStep(), ExportStep(), DeployStep(),
                             InferStep(), TryStep(), NanoTestStep()]
    return {step.name: step for step in made}


def wheels_folder() -> Path:
    """Where wheels for machines without a registry are kept on this computer."""
    return Path(platformdirs.user_cache_dir("ai_nano", appauthor=False)) / "wheels"


def build_workflow(workspace: Workspace, lab: Lab, lanes: Lanes) -> Workflow:
    return Workflow(workspace, lab, steps(), lanes)
