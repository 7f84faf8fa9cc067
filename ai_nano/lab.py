"""The composition root: the one place where config, machines, cameras and steps meet."""

from pathlib import Path

import platformdirs

from ai_nano.cameras.images import ImageFiles
from ai_nano.cameras.shared import SharedCameras
from ai_nano.core.config import Config, NanoConfig, ServerConfig
from ai_nano.core.errors import ConfigError
from ai_nano.core.lanes import Lanes
from ai_nano.core.ports import Camera, Machine, Questions
from ai_nano.core.workflow import BatchStep, Workflow
from ai_nano.core.workspace import Workspace
from ai_nano.steps.deploy import DeployStep
from ai_nano.steps.export import ExportStep
from ai_nano.steps.infer import InferStep, TryStep
from ai_nano.steps.record import ImportStep, RecordStep
from ai_nano.steps.split import SplitStep
from ai_nano.steps.train import TrainStep
from ai_nano.steps.upload import UploadStep


def user_folder() -> Path:
    """Where forms write config.json, and where known_hosts lies."""
    return Path(platformdirs.user_config_dir("ai_nano", appauthor=False))


class Lab:
    """The room. Machines are made when first used and connect when first asked something."""

    def __init__(self, config: Config, ask: Questions, folder: Path) -> None:
        self.config = config
        self.images = ImageFiles()
        self._ask = ask
        self._folder = folder
        self._machines: dict[str, Machine] = {}
        self._cameras: SharedCameras | None = None

    @property
    def server_config(self) -> ServerConfig:
        server = self.config.server
        if server.scheduler == "slurm" or server.transfer == "tar":
            what = "scheduler: slurm" if server.scheduler == "slurm" else "transfer: tar"
            raise ConfigError("config.not_yet", what=what)
        return server

    def nano_config(self, name: str | None) -> NanoConfig:
        nano = self.config.nano(name)
        if nano.container:
            raise ConfigError("config.not_yet", what="container")
        return nano

    @property
    def server(self) -> Machine:
        return self._machine(self.server_config, "gpu_server")

    def nano(self, name: str | None) -> Machine:
        return self._machine(self.nano_config(name), "jetson_nano")

    def here(self) -> Machine:
        from ai_nano.machines.local_machine import LocalMachine

        return LocalMachine(Path(platformdirs.user_cache_dir("ai_nano", appauthor=False)) / "here")

    def open_camera(self, uri: str) -> Camera:
        """The camera, shared with whoever has it open already."""
        if self._cameras is None:
            from ai_nano.cameras import open_camera

            self._cameras = SharedCameras(open_camera)
        return self._cameras.open(uri)

    def close(self) -> None:
        if self._cameras is not None:
            self._cameras.close()
        for machine in self._machines.values():
            machine.close()

    def _machine(self, config: ServerConfig | NanoConfig, role: str) -> Machine:
        if config.name not in self._machines:
            # paramiko costs 0.16 s to import: not before a machine is needed.
            from ai_nano.machines.hostkeys import HostKeys
            from ai_nano.machines.programs import Programs
            from ai_nano.machines.ssh_machine import SshMachine

            host_keys = HostKeys(self._folder / "known_hosts")
            self._machines[config.name] = SshMachine(config, Programs(role), host_keys, self._ask)
        return self._machines[config.name]


def build_lab(config: Config, ask: Questions, folder: Path | None = None) -> Lab:
    """The room that the config describes; `folder` is the user's config folder (known_hosts)."""
    return Lab(config, ask, folder or user_folder())


def steps() -> dict[str, BatchStep]:
    """All steps that can be started, by name."""
    made: list[BatchStep] = [RecordStep(), ImportStep(), SplitStep(), UploadStep(), TrainStep(), ExportStep(), DeployStep(),
                             InferStep(), TryStep()]
    return {step.name: step for step in made}


def build_workflow(workspace: Workspace, lab: Lab, lanes: Lanes) -> Workflow:
    return Workflow(workspace, lab, steps(), lanes)
