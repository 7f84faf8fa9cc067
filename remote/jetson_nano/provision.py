"""Prepares a Nano as far as that needs no rights of root, and says what does.

A Nano with jetson-inference needs nothing installed: JetPack brings it, and it is left as it is. Only one that classifies on
its processor (engine `onnxruntime`) gets an environment of its own.
"""

import os
import sys
from pathlib import Path

if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(Path(os.path.abspath(__file__)).parent.parent)

from jetson_nano import provision_needs  # noqa: E402
from shared.provisioning import Outcome, Provisioning  # noqa: E402
from shared.wire import Run, guard  # noqa: E402


def provision(run: Run) -> None:
    """Raises the Failures of shared/provisioning.py."""
    work = Provisioning(run)
    work.folders()
    work.lock()
    outcome = work.environment() if run.params.get("requirements") else Outcome(None, work.done, None, {})
    work.result(outcome, provision_needs.needs(run.params.get("board") or {}))


if __name__ == "__main__":
    sys.exit(guard(Run(sys.argv[sys.argv.index("--run") + 1]), provision))
