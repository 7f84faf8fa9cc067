"""Machines with jobs, over a link that can be cut."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from link import Link
from ssh_machines import connect
from ssh_servers import SshServer

from ai_nano.machines.ssh_machine import SshMachine

BOTH = ["embedded", "openssh-key"]
NUMBERS = 300

both = pytest.mark.parametrize("ssh_server", BOTH, indirect=True)


@pytest.fixture
def link(ssh_server: SshServer) -> Iterator[Link]:
    with Link(ssh_server.host, ssh_server.port) as made:
        yield made


@pytest.fixture
def far(machine: SshMachine, link: Link, tmp_path: Path) -> Iterator[SshMachine]:
    """The same machine, over a link that can be cut. It keeps trying, as in the window."""
    made = connect(replace(machine._config, port=link.port), tmp_path)
    made.patience_s = None
    yield made
    made.close()
    # paramiko leaves the alarm clock of a handshake that was cut ticking, for the ten seconds that it has.
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer):
            timer.cancel()


def wait_until(true: Callable[[], Any], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
