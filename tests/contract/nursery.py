"""A Python that has loaded the libraries of the GPU server's programs; each program begins in a copy of it.

    python nursery.py REMOTE

As on a server whose libraries were loaded ahead (shared/ahead.py), for the same reason: importing PyTorch takes seconds, and
hundreds of tests start such a program. Reads a JSON line {program, run, output, environment} and answers with the exit code of
`PROGRAM --run RUN`, one after the other; ends with its standard input.
"""

import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

REMOTE = Path(sys.argv[1])
sys.path.insert(0, str(REMOTE))

from gpu_server import preload  # noqa: E402


def become(program: Path, run: str, output: str, environment: dict[str, str]) -> NoReturn:
    """The program, as if Python had been started for it."""
    try:
        os.chdir(run)
        written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, written), (2, written)):
            os.dup2(source, stream)
        os.closerange(3, 1024)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [str(program), "--run", run]
        sys.path[:0] = [str(program.parent), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
        runpy.run_path(str(program), run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    preload.load()
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            become(REMOTE / asked["program"], asked["run"], asked["output"], asked["environment"])
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
