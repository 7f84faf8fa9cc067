"""What a job of Slurm runs on its node: the supervisor of one run, whose folder lies on the shared file system.

    python PROGRAMS/shared/slurm_job.py RUNDIR
"""

import os
import sys
from pathlib import Path
from typing import List

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from shared import console, supervisor  # noqa: E402
from shared.json_files import write_whole  # noqa: E402
from shared.runs import RunFolder  # noqa: E402


def main(argv: List[str]) -> int:
    """The program's exit code, for Slurm's accounting."""
    folder = RunFolder(Path(argv[0]))
    note = dict(folder.job(), job=os.environ.get("SLURM_JOB_ID"), node=os.environ.get("SLURMD_NODENAME"))
    write_whole(folder.job_file, note)
    if folder.exit() is not None:
        return 0  # its submission counts as refused, and who said so may not have seen the number
    code = supervisor.supervise(folder, PROGRAMS)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
