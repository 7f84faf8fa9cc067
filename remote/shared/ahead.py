"""A Python that has loaded the libraries of this machine's programs, and waits: a run that begins in it begins at once.

    python PROGRAMS/shared/ahead.py --root ROOT

Importing PyTorch takes seconds. The laptop starts this while images travel; `runner.py start` then has the run's program
begin in a copy of this process (fork), under a supervisor of its own like every other, and starts it the ordinary way
where nobody waits. It loads what `<role>/preload.py` beside it names, serves the runs of its own folder of programs,
interpreter and user, holds no GPU, and ends with its standard input, which is the laptop's connection, or when nobody has
wanted it for a while. It prints `{"type":"ahead","state":"ready"|"there"}`: there is another one already.
"""

import argparse
import array
import fcntl
import gc
import hashlib
import importlib
import io
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from shared import console, supervisor  # noqa: E402
from shared.pictures import trusted  # noqa: E402
from shared.runs import RunFolder  # noqa: E402
from shared.wire import Failure, decode, encode  # noqa: E402

# Memory on a shared server is not held for a laptop that was closed over lunch.
IDLE_S = 300.0
# For one that is still loading; it began earlier than a program that would begin now.
LOADED_S = 20.0
STARTED_S = 30.0
# Who is the next for a GPU begins without what has not loaded by then: a GPU is free, and somebody waits behind.
LOADING_S = 60.0
LINE_BYTES = 64 * 1024
STDIN = 0


def address(programs: Path) -> bytes:
    """Where the waiting process of these programs, this interpreter and this user is to be found."""
    words = "\0".join((os.path.realpath(str(programs)), sys.executable, str(os.geteuid())))
    return b"\0ai_nano-ahead-" + hashlib.sha256(os.fsencode(words)).hexdigest()[:32].encode("ascii")


# ---- who starts a run ----------------------------------------------------------------------------------------------------


def launch(folder: RunFolder, programs: Path) -> bool:
    """Has a waiting process start the run; False, with nothing started, where there is none.

    Raises Failure run.not_started as supervisor.launch does.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(LOADED_S)
        try:
            connection.connect(address(programs))
            if not trusted(connection) or _line(connection) is None:
                return False
        except OSError:
            return False
        # From here on the run may have begun: nobody else may start it.
        connection.settimeout(STARTED_S)
        try:
            connection.sendall(encode({"run": str(folder.path)}))
            answer = _line(connection)
        except OSError:
            answer = None
        if answer is None or answer.get("type") != "started":
            raise Failure("run.not_started", id=folder.id)
        return True
    finally:
        connection.close()


def _line(connection: socket.socket) -> Optional[Dict[str, Any]]:
    """One message; None at the end of the stream. Raises OSError when it does not come in time."""
    data = b""
    while not data.endswith(b"\n") and len(data) < LINE_BYTES:
        block = connection.recv(LINE_BYTES)
        if not block:
            return None
        data += block
    return decode(data)


# ---- who waits ------------------------------------------------------------------------------------------------------------


def wait(programs: Path) -> None:
    """Returns at the end of standard input, after IDLE_S without a run, or where another one waits already."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address(programs))
    except OSError:
        console.say("ahead", state="there")
        return
    listener.listen(8)
    _die_with(STDIN, True)
    load(programs)
    _die_with(STDIN, False)
    console.say("ahead", state="ready")
    used = time.monotonic()
    while time.monotonic() - used < IDLE_S:
        ready = select.select([STDIN, listener.fileno()], [], [], 1.0)[0]
        if STDIN in ready and not os.read(STDIN, LINE_BYTES):
            return
        if listener.fileno() in ready:
            _serve(listener, programs)
            used = time.monotonic()
        _reap()


def _die_with(stream: int, wanted: bool) -> None:
    """While libraries are loaded nobody looks at that stream: its end is then a signal (SIGIO), whose default is to die."""
    fcntl.fcntl(stream, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(stream, fcntl.F_GETFL)
    fcntl.fcntl(stream, fcntl.F_SETFL, flags | os.O_ASYNC if wanted else flags & ~os.O_ASYNC)
    if wanted and select.select([stream], [], [], 0)[0]:
        os._exit(0)  # it was over before


def load(programs: Path) -> None:
    """What a role's preload.py cannot load is for the program to say, in words."""
    for path in sorted(programs.glob("*/preload.py")):
        try:
            importlib.import_module(path.parent.name + ".preload").load()
        except Exception:
            traceback.print_exc()
    gc.collect()
    freeze = getattr(gc, "freeze", None)  # since Python 3.7: what will not be collected stays shared with the copies
    if freeze is not None:
        freeze()


def _serve(listener: socket.socket, programs: Path) -> None:
    """One visitor, in a copy of this process."""
    connection, _ = listener.accept()
    if os.fork() == 0:
        try:
            listener.close()
            connection.settimeout(STARTED_S)
            if trusted(connection):
                _start(connection, programs)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(0)
    connection.close()


def _start(connection: socket.socket, programs: Path) -> None:
    connection.sendall(encode({"type": "ready"}))
    asked = _line(connection)
    if asked is None:
        return  # it was only looked whether somebody is here, or the run has been started otherwise
    try:
        supervisor.launch(RunFolder(Path(str(asked["run"]))), programs, Fork)
        connection.sendall(encode({"type": "started"}))
    except Failure:
        connection.sendall(encode({"type": "error"}))


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Copy(supervisor.Started):
    """A program in a copy of this process."""

    _code: Optional[int] = None

    def wait(self) -> int:
        if self._code is None:
            status = os.waitpid(self.pid, 0)[1]
            self._code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self._code


class Fork(Copy):
    """The program in a copy of this process, as nearly as possible as if Python had been started for it."""

    def __init__(self, path: Path, folder: RunFolder, environment: Dict[str, str], output: int, kept: Tuple[int, ...]) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _leave_session()
            os.close(reader)
            os.close(writer)  # says that the session is its own
            os._exit(_run(path, folder, environment, output, kept))
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)


class Loading(Copy):
    """A copy of this process that loads the libraries while this one can still be told to end, and then becomes the program.
    It ends with this one, however that does, and holds no file of it meanwhile: no ticket either."""

    def __init__(self, programs: Path) -> None:
        """Raises OSError."""
        self._until = time.monotonic() + LOADING_S
        self._connection, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _leave_session()
                os.closerange(3, theirs.fileno())
                os.closerange(theirs.fileno() + 1, 65536)
                _die_with(theirs.fileno(), True)
                load(programs)
                _die_with(theirs.fileno(), False)
                theirs.sendall(b"1")
                _become(theirs)
            finally:
                os._exit(1)
        theirs.close()

    def wait_ready(self, stopped: Callable[[], bool]) -> None:
        """Until it has loaded, has ended or takes too long, or the run is `stopped`."""
        while not stopped() and time.monotonic() < self._until:
            if select.select([self._connection], [], [], supervisor.STOP_S)[0]:
                return

    def begin(self, path: Path, folder: RunFolder, environment: Dict[str, str], output: int,
              kept: Tuple[int, ...]) -> supervisor.Started:
        """As the program. Raises OSError, and has ended, where it has not loaded."""
        try:
            if not select.select([self._connection], [], [], 0)[0] or not self._connection.recv(1):
                raise OSError("it has not loaded")
            files = array.array("i", (output,) + kept)
            self._connection.sendmsg([b"1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files.tobytes())])
            self._connection.sendall(json.dumps([str(path), str(folder.path), environment]).encode("ascii"))
        except OSError:
            self.end()
            raise
        self._connection.close()
        return self

    def end(self) -> None:
        """It is not needed."""
        self._connection.close()
        os.kill(self.pid, signal.SIGKILL)  # nobody has asked for its exit code: the id is still its own


def _become(connection: socket.socket) -> None:
    """The program that is asked for; returns where the process that may ask has gone."""
    files = array.array("i")
    told, extra = connection.recvmsg(1, socket.CMSG_SPACE(2 * files.itemsize))[:2]
    if not told:
        return
    files.frombytes(extra[0][2])
    words = b""
    for block in iter(lambda: connection.recv(LINE_BYTES), b""):
        words += block
    path, folder, environment = json.loads(words.decode("ascii"))
    os._exit(_run(Path(path), RunFolder(Path(folder)), environment, files[0], tuple(files[1:])))


def _leave_session() -> None:
    """What is sent to the copy is not for the supervisor's handlers, which have nothing to forward there."""
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(path: Path, folder: RunFolder, environment: Dict[str, str], output: int, kept: Tuple[int, ...]) -> int:
    """The program's exit code."""
    import runpy  # not needed by runner.py, which reads this module at each command

    try:
        os.chdir(str(folder.path))
        null = os.open(os.devnull, os.O_RDONLY)
        for stream, source in ((0, null), (1, output), (2, output)):
            os.dup2(source, stream)
        first = 3
        for descriptor in sorted(one for one in kept if one >= first):
            os.closerange(first, descriptor)
            os.set_inheritable(descriptor, True)
            first = descriptor + 1
        os.closerange(first, 65536)
        sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))
        sys.stdout = _unbuffered(1, "strict")
        sys.stderr = _unbuffered(2, "backslashreplace")
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [str(path), "--run", str(folder.path)]
        sys.path.insert(0, str(path.parent))
        runpy.run_path(str(path), run_name="__main__")
        return 0
    except SystemExit as end:
        return _code(end)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            pass  # a full disk


def _unbuffered(descriptor: int, errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(open(descriptor, "wb", 0, closefd=False), encoding="utf-8", errors=errors, write_through=True)


def _code(end: SystemExit) -> int:
    """As Python itself takes it: no code is 0, a text is printed and 1."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Waits with the libraries of ai_nano's programs loaded.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    return parser


def main(argv: List[str]) -> int:
    root = console.absolute_root(get_parser().parse_args(argv).root)
    return console.answer("shared/ahead.py", root, lambda: wait(PROGRAMS))


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
