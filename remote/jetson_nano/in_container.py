"""Runs a program of the Nano in jetson-inference's Docker container, where config.json says that it is installed so.

    def main(argv):
        return carry_out(Run(...), work)        in place of guard(Run(...), work)

The process that the runner (or the autostart) started stays on the host and is the run: it starts the container, which runs the
very same program, holds its LEDs for it, and ends it. Whatever ends this process ends the container: the kernel closes the
connection between them, and what the container runs (container_main.py) lives no longer than that. doc/design/container.md has
the reasons.
"""

import os
import resource
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

from jetson_nano import docker_command, host
from jetson_nano.autostart_files import make_room
from jetson_nano.docker_command import Mount
from jetson_nano.guarded_leds import END_S, guard_process
from jetson_nano.sources import local_path
from shared import processes
from shared.pictures import trusted
from shared.wire import Failure, Run, guard

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
MAIN = "jetson_nano/container_main.py"
# Files that the programs read where they are, and what jetson-inference's own docker/run.sh has.
HOST_FILES = ("/etc/nv_tegra_release", "/etc/nvpmodel.conf", "/var/lib/nvpmodel/status")
ARGUS = "/tmp/argus_socket"  # of the CSI camera's daemon
BOARD_COPY = "/tmp/nv_jetson_model"
DEVICE_TREE = Path("/proc/device-tree/model")
LOOK_S = 1.0
# After the start of the container, for Python to begin in it.
FIRST_WORD_S = 30.0
# For the program to darken its LEDs and end; `cancel` kills this process after 5 s.
STOP_S = 4.0


def carry_out(run: Run, work: Callable[[Run], None]) -> int:
    """What `guard` does, and returns; in the container that the parameters name, else in this process."""
    if run.params.get("container") is None or host.inside():
        return guard(run, work)
    hosting = Hosting(run)
    code = guard(run, hosting.go)
    if hosting.ended_by is not None:
        _end_likewise(hosting.ended_by)
    return code


def _end_likewise(number: int) -> None:
    """Who waits for this process reads from how it ended what became of the program: KILL is lack of memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class Hosting:
    """One container, from before its start until it has ended. `ended_by`: the signal that its program ended by."""

    def __init__(self, run: Run) -> None:
        self.ended_by: Optional[int] = None
        self._run = run
        self._folder = os.path.realpath(str(run.path))
        self._socket = host.name_of(run.path)
        self._name = f"ai_nano-{run.path.name}-{self._socket[-8:]}"
        self._main: Optional[socket.socket] = None
        self._code: Optional[int] = None
        self._connections: List[socket.socket] = []
        self._guards: List["subprocess.Popen[bytes]"] = []

    def go(self, run: Run) -> None:
        """Raises Failure (doc/design/wire.md), SystemExit with the program's exit code where that is not 0."""
        wanted = run.params["container"]
        if not isinstance(wanted, str):
            raise Failure("infer.bad_params", key="container")
        make_room(run.root)
        image = docker_command.find_image(wanted)
        _sweep()
        run.log("container.starting", image=image)
        with host.listen(self._socket) as listener:
            try:
                docker_command.start(self._name, image, _own_label(), self._mounts(), self._environment(), self._folder,
                                     ["python3", str(PROGRAMS / MAIN), run.spec["program"], self._folder])
                self._wait_for_main(listener, image)
                self._serve(listener, None)
            except BaseException:
                self._stop(listener)
                raise
            finally:
                self._close()
        if self._code is None:
            self.ended_by = signal.SIGKILL  # the container was removed, or Docker ended
        elif self._code < 0:
            self.ended_by = -self._code
        elif self._code:
            raise SystemExit(self._code)

    # ---- what the container has ---------------------------------------------------------------------------------------

    def _mounts(self) -> List[Mount]:
        """All under the host's paths: they stand in spec.json, in the parameters and in the model's files."""
        board = Path(self._folder) / "nv_jetson_model"
        board.write_bytes(_board())
        mounts: List[Mount] = []
        model, camera = self._run.params.get("model_dir"), self._run.params.get("camera")
        stored = local_path(camera) if isinstance(camera, str) else None
        wanted: List[Tuple[str, bool]] = [(str(self._run.root), True), (str(self._run.path), True), (str(PROGRAMS), False)]
        wanted += [(model, True)] if isinstance(model, str) else []
        wanted += [(str(stored.absolute()), False)] if stored is not None else []
        wanted += [(file, False) for file in HOST_FILES] + [(ARGUS, True)]
        for path, writable in wanted:
            source = os.path.realpath(path)
            if os.path.exists(source):
                for target in dict.fromkeys([os.path.normpath(path), source]):
                    if not any(_below(target, each.target) and (each.writable or not writable) for each in mounts):
                        mounts.append(Mount(source, target, writable))
        return mounts + [Mount(str(board), BOARD_COPY)]

    def _environment(self) -> List[Tuple[str, str]]:
        """HOME is a folder that stays: GStreamer and CUDA keep there what else they would look up at each start."""
        home = self._run.root / ".ai_nano" / "container"
        os.makedirs(str(home), exist_ok=True)
        return [(host.NAME, self._socket), (host.BOARD, _board().rstrip(b"\0").decode("utf-8", "replace")),
                ("HOME", os.path.realpath(str(home))), ("LC_ALL", "C.UTF-8"), ("PYTHONUNBUFFERED", "1"),
                ("PYTHONDONTWRITEBYTECODE", "1"), ("PYTHONIOENCODING", "utf-8")]

    # ---- while it runs ------------------------------------------------------------------------------------------------

    def _wait_for_main(self, listener: socket.socket, image: str) -> None:
        until = time.monotonic() + FIRST_WORD_S
        while self._main is None:
            self._turn(listener, LOOK_S)
            begun = self._main is not None or bool(self._connections)
            if self._main is None and (time.monotonic() > until or not (begun or docker_command.running(self._name))):
                raise Failure("container.failed", image=image, error=f"python3 {MAIN}: no answer")

    def _serve(self, listener: socket.socket, until: Optional[float]) -> None:
        """Until the container's command has ended, or that time has come."""
        while self._main is not None and (until is None or time.monotonic() < until):
            self._turn(listener, LOOK_S if until is None else max(0.0, until - time.monotonic()))

    def _turn(self, listener: socket.socket, seconds: float) -> None:
        for each in select.select([listener] + self._connections, [], [], seconds)[0]:
            if each is listener:
                connection = listener.accept()[0]
                if trusted(connection):
                    self._connections.append(connection)
                else:
                    connection.close()
            else:
                self._hear(each)

    def _hear(self, connection: socket.socket) -> None:
        try:
            message, files = host.receive(connection)
            for each in files:
                os.close(each)
            if message is not None:
                self._answer(connection, message)
                return
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._connections.remove(connection)
        connection.close()
        if connection is self._main:
            self._main = None

    def _answer(self, connection: socket.socket, message: Dict[str, Any]) -> None:
        """Raises OSError, KeyError, TypeError."""
        if message["type"] == "main":
            self._main = connection
            host.send(connection, {"ok": True}, (1, 2))
        elif message["type"] == "ended":
            self._code = int(message["code"])
        elif message["type"] == "guard":
            process = guard_process(message["params"])
            self._guards.append(process)
            assert process.stdin is not None and process.stdout is not None
            with process.stdin, process.stdout:  # from here on the program alone has the other ends
                host.send(connection, {"ok": True}, (process.stdin.fileno(), process.stdout.fileno()))

    # ---- its end ------------------------------------------------------------------------------------------------------

    def _stop(self, listener: socket.socket) -> None:
        """The program is told to end, LEDs dark; what is left of the container then is removed."""
        if self._main is not None:
            try:
                host.send(self._main, {"type": "stop"})
                self._serve(listener, time.monotonic() + STOP_S)
            except OSError:
                pass
        if self._code is None:
            docker_command.remove(self._name)

    def _close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._guards:
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _board() -> bytes:
    try:
        return DEVICE_TREE.read_bytes()
    except OSError:
        return b""


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _own_label() -> str:
    own = processes.look(os.getpid())
    assert own is not None
    return f"{own.pid}.{own.start_time}.{processes.boot_id()}"


def _sweep() -> None:
    """A container whose starter was killed before Docker had started it does nothing, and would stay for ever."""
    for name, label in docker_command.never_started():
        pid, _, rest = label.partition(".")
        start_time, _, boot = rest.partition(".")
        if pid.isdigit() and start_time.isdigit() and not processes.alive(int(pid), int(start_time), boot):
            docker_command.remove(name)
