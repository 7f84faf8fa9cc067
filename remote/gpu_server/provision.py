"""Prepares the GPU server's account: folders, the environment ROOT/venv with the packages, and a look at the weights.

Runs under the system's Python, before there is any of the packages. doc/design/provision.md says why it is done so.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, List, Optional

if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(Path(os.path.abspath(__file__)).parent.parent)

from shared.provision_python import IMPORT_S, environment  # noqa: E402
from shared.provisioning import Provisioning  # noqa: E402
from shared.wire import Failure, Run, guard  # noqa: E402

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
_CHECK = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from shared.wire import Failure
from gpu_server import weights
try:
    weights.read(Path(sys.argv[2]))
    print("\\nai_nano: null")
except Failure as failure:
    print("\\nai_nano: " + json.dumps([failure.code, failure.params]))
"""


def provision(run: Run) -> None:
    """Raises the Failures of shared/provisioning.py, `train.no_weights` {arch, path} and `train.weights` {file, reason}."""
    work = Provisioning(run)
    work.folders()
    work.lock()
    outcome = work.environment()
    given = run.params.get("weights")
    if given is not None:
        check_weights(str(given), outcome.python.command if outcome.python is not None and outcome.wants is None else None)
    work.result(outcome, [])


def check_weights(given: str, python: Optional[str]) -> None:
    """The file that config.json names is there, and with an interpreter that has the packages: can be read."""
    path = os.path.expanduser(given)
    if not os.path.isfile(path):
        raise Failure("train.no_weights", arch=Path(path).name, path=given)
    if python is None:
        return
    words: List[str] = [python, "-c", _CHECK, str(PROGRAMS), path]
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                              env=environment(), timeout=IMPORT_S)
        said: Any = json.loads(done.stdout.decode("utf-8", "replace").rpartition("\nai_nano: ")[2])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise Failure("train.weights", file=Path(path).name, reason="?") from None
    if said is not None:
        raise Failure(said[0], **said[1])


if __name__ == "__main__":
    sys.exit(guard(Run(sys.argv[sys.argv.index("--run") + 1]), provision))
