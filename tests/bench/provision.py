"""A bare environment without a registry, for real: how long until the programs' packages are there.

    python -m tests.bench.provision [--lines N]

The laptop downloads the real wheels (PyTorch among them) into a folder that is kept, sends them over an sshd on 127.0.0.1 and
has them installed; then it asks once more. N: only the first so many lines of requirements.txt.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "integration")]

from ssh_machines import Nobody  # noqa: E402
from ssh_servers import Account, start_server  # noqa: E402

from ai_nano import resources  # noqa: E402
from ai_nano.core.cancel import CancelToken  # noqa: E402
from ai_nano.core.events import Event, Log, Progress  # noqa: E402
from ai_nano.core.figures import amount, duration  # noqa: E402
from ai_nano.core.room.config import Config, ServerConfig  # noqa: E402
from ai_nano.lab import Lab, wheels_folder  # noqa: E402
from ai_nano.steps import provision as step  # noqa: E402


class Phases:
    """When each thing began, from what is told."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.at: dict[str, float] = {}
        self.sent = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Log) and event.code:
            self.at.setdefault(event.code, time.monotonic() - self._began)
            print(f"  {time.monotonic() - self._began:6.1f} s  {event.text}", flush=True)
        elif isinstance(event, Progress) and event.unit == "bytes":
            self.sent = event.total


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds of preparing a bare account without a registry.")
    parser.add_argument("--lines", type=int)
    lines = step.requirements(resources.remote_folder() / "gpu_server" / "requirements.txt")[:parser.parse_args().lines]
    folder = Path(tempfile.mkdtemp(prefix="ai_nano-provision-"))
    try:
        (folder / "sshd").mkdir()
        with start_server("openssh-key", folder / "sshd", True, _nobody) as sshd:
            server = ServerConfig("DL", sshd.host, sshd.user, None, sshd.port, sshd.key_file, host_key=sshd.host_key,
                                  root=str(folder / "root"))
            for _ in range(2):
                lab, phases, began = Lab(Config(server, ()), Nobody(), folder), Phases(), time.monotonic()
                try:
                    options = step.ProvisionOptions(("DL",), registry=False, requirements=tuple(lines))
                    outcome = step.provision(lab.config, lab.bare, wheels_folder(), options, phases, CancelToken())
                finally:
                    lab.close()
                if outcome.problem is not None:
                    raise outcome.problem
                (prepared,) = outcome.prepared
                print(f"{duration(time.monotonic() - began)} in all, {amount(phases.sent, 'bytes')} sent: "
                      f"{', '.join(f'{name} {version}' for name, version in prepared.packages.items())}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _nobody() -> Account:
    raise AssertionError("only the password kind needs a user")


if __name__ == "__main__":
    main()
