"""What a container runs: one program of ours, for as long as the host's process lives (in_container.py).

    python3 PROGRAMS/jetson_nano/container_main.py PROGRAM RUNDIR

A process of its own, because a thread of the program could not end it: some releases of jetson-inference keep Python's lock
for minutes. The program writes into the host's output.log itself: by way of Docker its last lines would come too late for it to
find there why its engine was refused, and Docker would keep a second copy of them on the SD card. It is process 1 of the
container: when it ends, the kernel ends whatever else is in there.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List, NoReturn

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
sys.dont_write_bytecode = True
sys.path[0] = str(PROGRAMS)

from jetson_nano import host  # noqa: E402

LOOK_S = 0.05
# After TERM; LEDs are dark by then also where the program hangs, since its guard hears nothing for 2 s.
GRACE_S = 2.0
# The host's process is asked to end it and gives it longer: it can remove the container.
ASKED_GRACE_S = 3.5


def run(connection: socket.socket, program: str, folder: str) -> int:
    """The program's exit code, negative for the signal that ended it."""
    host.send(connection, {"type": "main"})
    _answer, files = host.receive(connection)
    if len(files) != 2:
        return 1  # the host's process has gone
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(PROGRAMS)] + ([inherited] if inherited else []))
    child = subprocess.Popen([sys.executable, str(PROGRAMS / program), "--run", folder], stdin=subprocess.DEVNULL,
                             stdout=files[0], stderr=files[1], start_new_session=True, env=dict(os.environ, PYTHONPATH=path))
    for each in files:
        os.close(each)
    try:
        _watch(connection, child)
        return child.wait()
    finally:
        _end(child, GRACE_S)


def _watch(connection: socket.socket, child: "subprocess.Popen[bytes]") -> None:
    """Until the program has ended, or has to: the host's process says so, or is gone."""
    while child.poll() is None:
        if select.select([connection], [], [], LOOK_S)[0]:
            try:
                message, _files = host.receive(connection)
            except (OSError, ValueError):
                message = None
            _end(child, GRACE_S if message is None else ASKED_GRACE_S)


def _end(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """With what it started in its group."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGTERM)
        until = time.monotonic() + grace_s
        while child.poll() is None and time.monotonic() < until:
            time.sleep(LOOK_S)
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except OSError:
        pass  # nobody is left
    child.wait()


def _stop(number: int, frame: Any) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main(argv: List[str]) -> int:
    signal.signal(signal.SIGTERM, _stop)  # `docker stop`
    connection = host.connect(os.environ[host.NAME])
    code = run(connection, argv[0], argv[1])
    try:
        host.send(connection, {"type": "ended", "code": code})
    except OSError:
        pass  # nobody is there to hear it
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
