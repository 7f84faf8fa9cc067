"""A machine behind a real sshd is prepared: wheels travel, a laptop that goes away leaves it going on, the next one follows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from link import Link
from ssh_machines import Nobody
from ssh_servers import SshServer
from tiny_wheels import make_wheel

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Detached
from ai_nano.core.events import Event, Log, State
from ai_nano.core.room.config import Config, ServerConfig
from ai_nano.lab import Lab
from ai_nano.steps.provision import Outcome, ProvisionOptions, provision

LINES = ("alpha>=1.0", "beta==2.0")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "alpha", "1.5", ("beta",))
    make_wheel(folder, "beta", "2.0", (), "import time; time.sleep(3)")
    return folder


@pytest.fixture
def link(ssh_server: SshServer) -> Iterator[Link]:
    with Link(ssh_server.host, ssh_server.port) as opened:
        yield opened


@pytest.fixture
def lab(ssh_server: SshServer, link: Link, remote_folder: str, tmp_path: Path) -> Iterator[Lab]:
    server = ServerConfig("DL", link.host, ssh_server.user, None, link.port, ssh_server.key_file,
                          host_key=ssh_server.host_key, root=f"{remote_folder}/ai nano")
    made = Lab(Config(server, (), student="ada@lab1"), Nobody(), tmp_path)
    yield made
    made.close()


def prepare(lab: Lab, wheels: Path, tmp_path: Path, told: list[Event], cancel: CancelToken | None = None) -> Outcome:
    options = ProvisionOptions(("DL",), wheels=wheels, requirements=LINES)
    return provision(lab.config, lab.bare, tmp_path / "cache", options, told.append, cancel or CancelToken())


def until(so: Callable[[], object], laptop: threading.Thread, outcomes: list[Outcome]) -> None:
    while not so():
        assert laptop.is_alive(), outcomes
        laptop.join(0.05)


def codes(told: list[Event]) -> list[str]:
    return [event.code for event in told if isinstance(event, Log)]


@pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)
def test_a_laptop_that_goes_away_and_one_that_comes_back(lab: Lab, ssh_server: SshServer, remote_folder: str, wheels: Path,
                                                         tmp_path: Path) -> None:
    root = ssh_server.home / remote_folder / "ai nano"
    # What a system's upgrade leaves: an environment whose interpreter has gone, and one that starts and fails.
    (root / "venv" / "bin").mkdir(parents=True)
    (root / "venv" / "bin" / "python").write_text("#!/bin/sh\necho broken; exit 1\n")
    (root / "venv" / "bin" / "python").chmod(0o755)
    cancel, told = CancelToken(), list[Event]()
    outcomes: list[Outcome] = []
    laptop = threading.Thread(target=lambda: outcomes.append(prepare(lab, wheels, tmp_path, told, cancel)))
    laptop.start()
    until(lambda: "provision.brought" in codes(told), laptop, outcomes)
    until(lambda: list((root / ".ai_nano").glob("venvs/*")), laptop, outcomes)
    cancel.detach()
    laptop.join(30)
    assert isinstance(outcomes[0].problem, Detached)

    told.clear()
    outcome = prepare(lab, wheels, tmp_path, told)
    assert outcome.problem is None, outcome.problem
    assert "provision.taken_up" in codes(told) and outcome.prepared[0].packages == {"alpha": "1.5", "beta": "2.0"}
    assert outcome.prepared[0].done == () and (root / "venv" / "ai_nano.json").is_file()
    assert not list((root / "models").iterdir())
    assert lab.server.store("free")["python"], "the programs run in the new environment"


@pytest.mark.parametrize("ssh_server", ["openssh-key"], indirect=True)
def test_a_link_that_is_cut_while_packages_are_installed(lab: Lab, link: Link, ssh_server: SshServer, remote_folder: str,
                                                         wheels: Path, tmp_path: Path) -> None:
    """The machine goes on alone, and the laptop follows it again: nobody has to begin anew."""
    root = ssh_server.home / remote_folder / "ai nano"
    told, outcomes = list[Event](), list[Outcome]()
    laptop = threading.Thread(target=lambda: outcomes.append(prepare(lab, wheels, tmp_path, told)))
    laptop.start()
    until(lambda: list((root / ".ai_nano").glob("venvs/*")), laptop, outcomes)
    link.down()
    until(lambda: any(isinstance(event, State) and event.code == "status.contact_lost" for event in told), laptop, outcomes)
    link.up()
    laptop.join(60)
    assert not laptop.is_alive()
    assert outcomes[0].problem is None, outcomes[0].problem
    assert outcomes[0].prepared[0].packages == {"alpha": "1.5", "beta": "2.0"}
    assert len(list((root / ".ai_nano").glob("venvs/*"))) == 1, "it was not begun anew"
