"""The process that outlives the SSH connection: starts one program, waits for it and writes down how it ended."""

import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Tuple

from shared import gpus, processes
from shared.bounds import Bounds
from shared.runs import RunFolder
from shared.wire import VERSION, Appender, Failure, encode

if TYPE_CHECKING:
    from shared import ahead

EXIT_TOO_MUCH_OUTPUT = 125
EXIT_NOT_STARTED = 126
EXIT_MISSING = 127
# The exit of a run is worth some patience: a disk may be full for a moment only.
EXIT_ATTEMPTS = 30
# How soon who loads libraries hears that it shall not go on.
STOP_S = 0.25
# TERM, a program of ours that ended on TERM, and KILL.
ENDED_BY_OTHERS = (-signal.SIGTERM, 128 + signal.SIGTERM, -signal.SIGKILL)


class Started:
    """A program's process, a child of this one."""

    pid = 0

    def wait(self) -> int:
        """Its exit code, negative for the signal that ended it. May be asked for again."""
        raise NotImplementedError


# Starts the program at that path for a run, with that environment and its output into that open file, in a session of its own;
# the last are open files that it keeps.
Spawn = Callable[[Path, RunFolder, Dict[str, str], int, Tuple[int, ...]], Started]


class _Popen(Started):
    def __init__(self, path: Path, folder: RunFolder, environment: Dict[str, str], output: int, kept: Tuple[int, ...]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(path), "--run", str(folder.path)], cwd=str(folder.path), env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            pass_fds=kept)
        self.pid = self._process.pid

    def wait(self) -> int:
        return self._process.wait()


def launch(folder: RunFolder, programs: Path, spawn: Spawn = _Popen) -> None:
    """Starts the supervisor and returns once it has noted the program's process, or why there is none.

    Raises Failure run.not_started when the supervisor itself died before that.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _detach(writer)
            _supervise(folder, programs, writer, spawn)
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    noted = os.read(reader, 1)
    os.close(reader)
    if not noted:
        raise Failure("run.not_started", id=folder.id)


def _detach(kept: int) -> None:
    """Leaves the SSH session: its own session, no parent that waits, no stream or file of the caller's but `kept`."""
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # the descriptor that listed the folder


def supervise(folder: RunFolder, programs: Path) -> int:
    """As a job of a cluster, which has detached it already. The program's exit code."""
    return _supervise(folder, programs, -1, _Popen, by_cluster=True)


class Told:
    """The signals that the supervisor gets. Who stops it (a shutdown) means the program, also one that is about to begin. The
    program inherits no handler, unlike SIG_IGN."""

    def __init__(self) -> None:
        self.to_end = False
        self._program: Optional[int] = None

    def hear(self, number: int, frame: Any) -> None:
        if number == signal.SIGTERM:
            self.to_end = True
            self._pass_on()

    def begins(self, program: int) -> None:
        self._program = program
        if self.to_end:
            self._pass_on()

    def ended(self) -> None:
        self._program = None

    def _pass_on(self) -> None:
        if self._program is not None:
            _signal_group(self._program, signal.SIGTERM)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass  # it has ended just now


def _supervise(folder: RunFolder, programs: Path, noted: int, spawn: Spawn, by_cluster: bool = False) -> int:
    told = Told()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, told.hear)
    began = time.monotonic()
    code = EXIT_NOT_STARTED
    turn: Optional[gpus.Turn] = None
    waiting = _Waiting(programs, spawn)
    try:
        folder.note_process(None)
        turn = None if by_cluster else _join(folder)
        if turn is None or waiting.wait(turn, folder, told, noted):
            began = time.monotonic()
            code = _run(folder, programs, told, noted, waiting.spawn, turn)
        elif told.to_end:
            code = -signal.SIGTERM
    except Failure as failure:
        code = EXIT_MISSING if failure.code == "program.missing" else EXIT_NOT_STARTED
        _tell(folder.events, encode({"v": VERSION, "type": "error", "code": failure.code, "params": failure.params}))
    except Exception:
        _tell(folder.output, traceback.format_exc().encode("utf-8", "replace"))
    finally:
        # What its cluster ends (time, memory, a more important job) is for the cluster to tell, and may begin again.
        if not (by_cluster and code in ENDED_BY_OTHERS and not folder.asked_to_cancel()):
            _write_exit(folder, code, time.monotonic() - began)
        if turn is not None:
            turn.leave(well=code == 0)
        _release(noted)
    return code


def _join(folder: RunFolder) -> Optional[gpus.Turn]:
    """The run's place among the trainings; None for a run that needs no GPU. Raises Failure program.not_started,
    queue.unusable."""
    spec = folder.spec() or {}
    if not isinstance(spec.get("schedule"), dict):
        return None
    try:
        return gpus.Turn(folder.root, folder.id, spec)
    except OSError as error:
        raise Failure("program.not_started", program=spec.get("program"), error=str(error)) from error


class _Waiting:
    """For a GPU. For who is the next a copy of this process loads the libraries meanwhile, which takes seconds for which no GPU
    should idle; the copy then becomes the program."""

    def __init__(self, programs: Path, spawn: Spawn) -> None:
        self._programs = programs
        self._spawn = spawn
        self._loading: Optional["ahead.Loading"] = None

    def wait(self, turn: gpus.Turn, folder: RunFolder, told: Told, noted: int) -> bool:
        """Whether the run's turn has come; else it was cancelled, or told to end."""

        def waits() -> None:
            try:
                folder.waiting.write_bytes(b"")
            except OSError:
                pass  # a full disk: it waits all the same
            _release(noted)

        def stopped() -> bool:
            return told.to_end or folder.asked_to_cancel()

        came = turn.wait(waits, stopped, lambda: self._load(stopped))
        if not came and self._loading is not None:
            self._loading.end()
        try:
            folder.waiting.unlink()
        except OSError:
            pass
        return came

    def _load(self, stopped: Callable[[], bool]) -> None:
        from shared import ahead  # which needs this module

        if self._spawn is not _Popen:
            return  # they are loaded
        try:
            self._loading = ahead.Loading(self._programs)
        except OSError:
            return  # no memory for it now
        self._loading.wait_ready(stopped)

    def spawn(self, path: Path, folder: RunFolder, environment: Dict[str, str], output: int, kept: Tuple[int, ...]) -> Started:
        if self._loading is not None:
            try:
                return self._loading.begin(path, folder, environment, output, kept)
            except OSError:
                pass  # it hangs or has died
        return self._spawn(path, folder, environment, output, kept)


def _run(folder: RunFolder, programs: Path, told: Told, noted: int, spawn: Spawn, turn: Optional[gpus.Turn]) -> int:
    """The program's exit code, negative for the signal that ended it."""
    program = _start(folder, programs, spawn, turn)
    if program is None:
        return EXIT_NOT_STARTED
    started = processes.look(program.pid)
    assert started is not None  # at worst a zombie: nobody but this process can reap it
    told.begins(program.pid)
    bounds = Bounds(folder)
    try:
        folder.note_process(program.pid)
        _release(noted)
        bounds.start()
        if turn is not None:
            turn.program_began()
        returned = program.wait()
        told.ended()
        bounds.stop()
        return EXIT_TOO_MUCH_OUTPUT if bounds.ended_it else returned
    finally:
        told.ended()
        # What the program started does not outlive it, nor the program a supervisor that cannot note it down.
        if processes.group_members(program.pid, started.start_time):
            _signal_group(program.pid, signal.SIGKILL)
        program.wait()


def _release(noted: int) -> None:
    """Tells the waiting `start` that pid.json or exit.json is there."""
    try:
        os.write(noted, b"1")
    except OSError:
        pass  # it has been told before and has gone


def _tell(path: Path, line: bytes) -> None:
    try:
        Appender(path).append(line)
    except OSError:
        pass  # a full disk: exit.json, whose space is reserved, must still be written


def _start(folder: RunFolder, programs: Path, spawn: Spawn, turn: Optional[gpus.Turn]) -> Optional[Started]:
    """The running program; None when cancelled before. Raises Failure program.missing, program.not_started."""
    spec = folder.spec()
    assert spec is not None
    name = str(spec["program"])
    path = programs / name
    if not path.is_file():
        raise Failure("program.missing", program=name)
    if folder.asked_to_cancel():
        return None
    environment, kept = _environment(programs), () if turn is None else (turn.descriptor,)
    if turn is not None and turn.device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = turn.device
    with open(str(folder.output), "ab") as output:
        try:
            return spawn(path, folder, environment, output.fileno(), kept)
        except OSError as error:
            raise Failure("program.not_started", program=name, error=error.strerror or str(error)) from error


def _environment(programs: Path) -> Dict[str, str]:
    """The login's environment, with output at once, no bytecode in the immutable programs folder, and UTF-8."""
    environment = dict(os.environ)
    inherited = environment.get("PYTHONPATH")
    environment.update({
        "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": str(programs) + (os.pathsep + inherited if inherited else "")})
    return environment


def _write_exit(folder: RunFolder, returned: int, duration_s: float) -> None:
    code, number = (returned, None) if returned >= 0 else (None, -returned)
    for _attempt in range(EXIT_ATTEMPTS):
        try:
            folder.write_exit(code, number, folder.asked_to_cancel() and returned != 0, duration_s)
            return
        except OSError:
            time.sleep(1)
