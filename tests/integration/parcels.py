"""Parcels for real servers, and machines that take them by either peer."""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from link import Link
from ssh_machines import config_for, connect
from ssh_servers import SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled
from ai_nano.core.ports import Delivery, Parcel, Sent, Upload
from ai_nano.core.room.config import ServerConfig
from ai_nano.machines.ssh_machine import SshMachine

PEERS = ("tar", "sftp")
STEM = "ada-lab-animals"
OWNER = "0123456789abcdef"
# The double and the real thing, for what a login's kind does not change and takes its time.
BOTH = pytest.mark.parametrize("ssh_server", ["embedded", "openssh-key"], indirect=True)


def server_config(server: SshServer, root: str, transfer: str) -> ServerConfig:
    config = config_for(server, root)
    return ServerConfig(**{name: getattr(config, name) for name in config.__dataclass_fields__}, transfer=transfer)


@pytest.fixture(params=PEERS)
def machine(request: pytest.FixtureRequest, ssh_server: SshServer, remote_folder: str, tmp_path: Path) -> Iterator[SshMachine]:
    made = connect(server_config(ssh_server, f"{remote_folder}/ai nano", request.param), tmp_path)
    yield made
    made.close()


@pytest.fixture
def link(ssh_server: SshServer) -> Iterator[Link]:
    """Slow enough that something can happen on the way."""
    with Link(ssh_server.host, ssh_server.port, rate_bits_s=40e6) as made:
        yield made


@pytest.fixture
def far(machine: SshMachine, link: Link, tmp_path: Path) -> Iterator[SshMachine]:
    """The same machine behind the link."""
    made = connect(replace(machine._config, host=link.host, port=link.port), tmp_path / "far")
    yield made
    made.close()


def write(path: Path, size: int, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(f"{path.name} {seed}").randbytes(size))
    os.utime(path, (1_700_000_000 + seed, 1_700_000_000 + seed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A split data set with names that a shell or a careless program would trip over."""
    made = tmp_path / "split"
    for name, size in (("train/été/a b.jpg", 300_000), ("train/x/'q'.jpg", 10), ("test/x/empty.jpg", 0),
                       ("val/x/$(touch oops) \"; ls.jpg", 70_000), ("test/été/-rf.jpg", 33_000), ("labels.txt", 7)):
        write(made / name, size)
    return made


def parcel(folder: Path, **more: Any) -> Parcel:
    files = tuple(Upload(path, PurePosixPath(path.relative_to(folder))) for path in sorted(folder.rglob("*")) if path.is_file())
    return Parcel(files, **{"owner": OWNER, "stem": STEM, **more})


def send(machine: SshMachine, what: Parcel, cancel: CancelToken | None = None) -> Delivery:
    return machine.upload(what, lambda sent: None, cancel or CancelToken())


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def give(root: Path) -> None:
    """What the tests made there belongs to the login."""
    owner = root.parent.stat()
    for path in (root, *root.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def break_off(machine: SshMachine, folder: Path, done: Callable[[Sent], bool]) -> str:
    """Cancels a transfer on its way; the name that it had."""
    cancel = CancelToken()
    names: list[str] = []
    with pytest.raises(Cancelled):
        machine.upload(parcel(folder, on_name=names.append), lambda sent: cancel.cancel() if done(sent) else None, cancel)
    return names[0]
