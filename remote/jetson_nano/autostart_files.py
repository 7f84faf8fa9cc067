"""What lies in ROOT/.ai_nano/autostart: what is to be classified at boot, how it goes, and a log that stays small."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

from jetson_nano import host
from shared import processes
from shared.json_files import read, write_whole
from shared.wire import VERSION, encode

# Of the log, and as much again of what was before.
LOG_BYTES = 256 * 1024
# For the classification that began at boot to put its LEDs out and let go of the camera.
ROOM_S = 15.0
POLL_S = 0.05
MEMORY = "/dev/shm"


class Files:
    """The folder is there exactly as long as the autostart is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".ai_nano" / "autostart"
        self.programs = self.folder / "programs"
        self.log = self.folder / "autostart.log"
        self.older_log = self.folder / "autostart.log.1"
        self._wanted = self.folder / "autostart.json"
        self._state = self.folder / "state.json"
        mark = hashlib.sha256(os.fsencode(str(root))).hexdigest()[:8]
        self._prefix = f"ai_nano-autostart-{os.getuid()}-{mark}-"

    def wanted(self) -> Optional[Dict[str, Any]]:
        """{model, params, student, way}; None when nothing is to be started at boot."""
        message = read(self._wanted)
        return message if message is not None and isinstance(message.get("params"), dict) else None

    def want(self, model: str, params: Dict[str, Any], student: Optional[str], way: str) -> None:
        os.makedirs(str(self.folder), exist_ok=True)
        wanted = {"v": VERSION, "model": model, "params": params, "student": student, "way": way}
        write_whole(self._wanted, wanted, durable=True, private=True)

    def unwant(self) -> None:
        """The process of the autostart ends by that alone."""
        if self._wanted.exists():
            self._wanted.unlink()

    def state(self) -> Dict[str, Any]:
        """{state, since, error, model, child} as the autostart's process noted it; `state` is `ended` where none is alive."""
        noted = read(self._state) or {}
        if not processes.alive(noted.get("pid"), noted.get("start_time"), noted.get("boot_id")):
            noted.update(state="ended", child=None)
        return noted

    def note(self, state: str, model: str, error: Optional[Dict[str, Any]] = None, child: Optional[int] = None) -> None:
        """`child` is the process id of the classification. A disk that is full keeps nobody from classifying."""
        own, program = processes.look(os.getpid()), None if child is None else processes.look(child)
        assert own is not None
        noted = None if program is None else {"pid": program.pid, "start_time": program.start_time}
        try:
            write_whole(self._state, {"v": VERSION, "state": state, "since": time.time(), "model": model, "error": error,
                                      "child": noted, "pid": own.pid, "start_time": own.start_time,
                                      "boot_id": processes.boot_id()})
        except OSError:
            pass

    def classifying(self) -> bool:
        """Whether a classification that began at boot, and is not this process, may hold the camera and the LEDs."""
        noted = read(self._state) or {}
        child = noted.get("child") or {}
        pid = child.get("pid")
        return pid != os.getpid() and processes.alive(pid, child.get("start_time"), noted.get("boot_id"))

    def append(self, **line: Any) -> None:
        """One line of the log, which never has more than twice LOG_BYTES. What the system refuses is passed over."""
        try:
            if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
                os.replace(str(self.log), str(self.older_log))
            with open(str(self.log), "ab") as stream:
                stream.write(encode(dict(line, t=round(time.time(), 3))))
        except OSError:
            pass

    def place(self) -> Path:
        """A new folder in memory, for what is no work for an SD card."""
        return Path(tempfile.mkdtemp(prefix=self._prefix, dir=_memory()))

    def sweep(self) -> None:
        """Removes what a process that was killed has left in memory. For the only one that may make such folders."""
        for name in os.listdir(_memory()):
            if name.startswith(self._prefix):
                shutil.rmtree(os.path.join(_memory(), name), ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether no other process is the autostart of this ROOT, for as long as the block lasts."""
        descriptor = os.open(str(self.folder / "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)


def _memory() -> str:
    return MEMORY if os.access(MEMORY, os.W_OK) else tempfile.gettempdir()


def make_room(root: Path) -> None:
    """Waits until the classification that began at boot has ended for the run that calls this.

    Not in a container, which has process ids of its own: its process on the host has waited, or is that classification itself.
    """
    if host.inside():
        return
    files, until = Files(root), time.monotonic() + ROOM_S
    while files.classifying() and time.monotonic() < until:
        time.sleep(POLL_S)
