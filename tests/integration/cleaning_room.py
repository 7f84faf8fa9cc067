"""A server and a Nano on one of the tests' SSH servers, with the work of several laptops on them, for the tests of cleaning."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import colours
from ssh_machines import ProgramsWithProbe, config_for
from ssh_servers import SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.events import Event
from ai_nano.core.ports import StepContext
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.room import own_projects
from ai_nano.core.room.config import Config, NanoConfig, ServerConfig
from ai_nano.lab import Lab
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.ssh_machine import SshMachine
from ai_nano.steps.deploy import DeployOptions, DeployStep
from ai_nano.steps.upload import UploadOptions, UploadStep


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


def configs(server: SshServer, folder: str, student: str) -> Config:
    """Both machines are the one server, each with a ROOT of its own."""
    fields = vars(config_for(server, ""))
    return Config(ServerConfig(**{**fields, "name": "DL", "root": f"{folder}/server"}),
                  (NanoConfig(**{**fields, "name": "nano1", "root": f"{folder}/nano"}, engine="onnxruntime", leds="file"),),
                  student=student)


class Laptop:
    """One laptop: its student's name, its own data folder, its workspace of colours. Two may be called the same."""

    def __init__(self, server: SshServer, folder: str, student: str, project: str, home: Path) -> None:
        home.mkdir(parents=True)
        self.lab = Lab(configs(server, folder, student), Nobody(), home)
        self.lab.data_folder = home / "data"
        for config, role in ((self.lab.config.server, "gpu_server"), (self.lab.config.nanos[0], "jetson_nano")):
            machine = SshMachine(config, ProgramsWithProbe(role), HostKeys(home / "known_hosts"), Nobody())
            machine.student, machine.patience_s = student, 3.0
            machine.warm_up = lambda: None  # type: ignore[method-assign]  # its thread would outlive a test
            self.lab._machines[config.name] = machine
        self.workspace = Workspace.create(home / project, ["red", "green", "blue"], project)
        self.events: list[Event] = []

    def close(self) -> None:
        self.lab.close()

    def context(self) -> StepContext:
        return StepContext(self.lab, self.events.append, CancelToken())

    def split(self, names: Sequence[str]) -> None:
        for part in ("train", "val", "test"):
            for colour in self.workspace.classes:
                place = self.workspace.path / part / colour
                place.mkdir(parents=True, exist_ok=True)
                for name in names:
                    (place / f"{name}-{part}.jpg").write_bytes(colours.jpeg(colour) + name.encode())
        self.workspace.write_labels()

    def do(self, step: Any, options: Any) -> Receipt:
        with self.workspace.writing():
            receipt: Receipt = step.run(self.workspace, options, self.context())
            self.workspace.note(receipt)
        return receipt

    def upload(self) -> str:
        return str(self.do(UploadStep(), UploadOptions()).facts["model"])

    def deploy(self, model: str, force: bool = False) -> None:
        """A model as if it had been exported here."""
        folder = self.workspace.model_folder(model)
        if not folder.exists():
            colours.make_model(folder, list(self.workspace.classes))
            bundle = json.loads((folder / "bundle.json").read_text())
            (folder / "bundle.json").write_text(json.dumps({**bundle, "model": model}))
        self.workspace.note(Receipt("export", "done", "x", facts={"model": model}))
        self.do(DeployStep(), DeployOptions(force=force))

    @property
    def ids(self) -> frozenset[str]:
        return own_projects.known(self.lab.data_folder)
