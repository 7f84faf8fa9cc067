"""Classifies from boot on without a laptop: starts classify.py, LEDs only, and starts it again when it has ended.

    python ROOT/.ai_nano/autostart/programs/jetson_nano/autostart.py --root ROOT

A service of systemd or a line of crontab starts it (at_boot.py). Whatever a laptop runs on this board goes first: the camera
and the LEDs are left to it until it has ended. The classification's events go to memory and not to the SD card, which
would take 500 MB a day; the log has what is neither a prediction nor a health event.
"""

import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Dict, List, NoReturn, Optional

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from jetson_nano.autostart_files import Files  # noqa: E402
from shared import console  # noqa: E402
from shared.runs import Runs  # noqa: E402
from shared.wire import VERSION, decode, encode  # noqa: E402

CLASSIFY = "jetson_nano/classify.py"
POLL_S = 0.1
# The folder of runs is read when it has changed, and now and then in any case: its time may be too coarse.
LOOK_S = 2.0
GRACE_S = 10.0
# Between two attempts; a run that lasted for the longer one starts the count anew.
SHORTEST_S, LONGEST_S = 2.0, 60.0
EVENTS_BYTES = 256 * 1024
# Lines of the classification's own output that are kept in a minute.
LINES_A_MINUTE = 100
LONGEST_LINE = 1000
PR_SET_PDEATHSIG = 1
# Events that tell of one moment only.
PASSING = ("prediction", "health", "progress", "building")


class Others:
    """Whether a run that a laptop has started is going on here."""

    def __init__(self, root: Path) -> None:
        self._runs = Runs(root)
        self._seen: Optional[int] = None
        self._looked = 0.0
        self._running = False

    def running(self) -> bool:
        try:
            changed: Optional[int] = os.stat(str(self._runs.path)).st_mtime_ns
        except OSError:
            changed = None
        now = time.monotonic()
        if self._running or changed != self._seen or now - self._looked > LOOK_S:
            self._seen, self._looked = changed, now
            self._running = any(run["state"] == "running" for run in self._runs.listing())
        return self._running


class Classification:
    """classify.py as a child, with a run's folder in memory. It gets TERM when this process is gone, however it went."""

    def __init__(self, files: Files, wanted: Dict[str, Any]) -> None:
        self._files = files
        self._model = str(wanted["model"])
        self._offset = 0
        self._partial = b""
        self._last_line = ""
        self.error: Optional[Dict[str, Any]] = None
        files.sweep()
        self._path = files.place()
        try:
            spec = {"v": VERSION, "id": "autostart", "program": CLASSIFY, "params": wanted["params"],
                    "lease_s": None, "student": wanted.get("student"), "root": str(files.root), "started": time.time(),
                    "programs": str(PROGRAMS)}
            (self._path / "spec.json").write_bytes(encode(spec))
            self._process = self._start()
        except BaseException:
            shutil.rmtree(str(self._path), ignore_errors=True)
            raise
        self._reader = threading.Thread(target=self._read_output, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        files.note("running", self._model, child=self._process.pid)

    def _start(self) -> "subprocess.Popen[bytes]":
        libc, parent = ctypes.CDLL(None), os.getpid()

        def tie() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        program = str(PROGRAMS / CLASSIFY)
        environment = dict(os.environ, PYTHONPATH=str(PROGRAMS), PYTHONDONTWRITEBYTECODE="1")
        return subprocess.Popen([sys.executable, program, "--run", str(self._path)], cwd=str(self._path), env=environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                start_new_session=True, preexec_fn=tie)

    def ended(self) -> bool:
        """Reads what it has said meanwhile."""
        ended = self._process.poll() is not None
        self._read_events(ended)
        return ended

    def close(self) -> None:
        """Ends it, its LEDs dark; KILL only after a grace period."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    os.killpg(self._process.pid, signal.SIGKILL)
                    self._process.wait()
            elif self._process.returncode != 0:
                self._reader.join(1.0)
                self._read_events(True)
                # One that died said nothing as an event.
                self.error = self.error or {"code": "program.crashed", "params": {
                    "program": CLASSIFY, "error": self._last_line or f"exit {self._process.returncode}"}}
            self._read_events(True)
            self._reader.join(1.0)
        finally:
            shutil.rmtree(str(self._path), ignore_errors=True)

    def _read_events(self, final: bool) -> None:
        """Passes on what lasts; the file is emptied once it is large, so that it takes no memory."""
        path = str(self._path / "events.jsonl")
        try:
            with open(path, "rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
            self._offset += len(data)
            if self._offset > EVENTS_BYTES and not final:
                os.truncate(path, 0)
                self._offset = 0
        except FileNotFoundError:
            return
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            event = decode(line)
            if event is not None and event.get("type") not in PASSING:
                if event.get("type") == "error":
                    self.error = {"code": event.get("code"), "params": event.get("params")}
                self._files.append(event=event)

    def _read_output(self, stream: IO[bytes]) -> None:
        minute, left = 0, 0
        for line in iter(lambda: stream.readline(LONGEST_LINE), b""):
            text = line.decode("utf-8", "replace").rstrip()
            self._last_line = text or self._last_line
            now = int(time.monotonic() / 60)
            if now != minute:
                minute, left = now, LINES_A_MINUTE
            if left > 0:
                left -= 1
                self._files.append(output=text)
        stream.close()


class Keeper:
    """Keeps one classification going for as long as the folder of the autostart says so."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._others = Others(files.root)
        self._pause_s = SHORTEST_S

    def go(self) -> None:
        while True:
            wanted = self._files.wanted()
            if wanted is None:
                return
            if self._others.running():
                self._files.note("yielding", wanted["model"])
                while self._others.running() and self._files.wanted() is not None:
                    time.sleep(POLL_S)
                continue
            began = time.monotonic()
            error = self._classify(wanted)
            if self._others.running() or self._files.wanted() != wanted:
                continue
            self._pause_s = SHORTEST_S if time.monotonic() - began > LONGEST_S else self._pause_s
            self._files.append(again_in_s=self._pause_s)
            self._files.note("waiting", wanted["model"], error)
            self._sleep(wanted)
            self._pause_s = min(self._pause_s * 2, LONGEST_S)

    def _classify(self, wanted: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """Returns when it has ended, or has to; its error, where it had one."""
        child = Classification(self._files, wanted)
        try:
            while not child.ended() and not self._others.running() and self._files.wanted() == wanted:
                time.sleep(POLL_S)
        finally:
            child.close()
        return child.error

    def _sleep(self, wanted: Dict[str, Any]) -> None:
        until = time.monotonic() + self._pause_s
        while time.monotonic() < until and not self._others.running() and self._files.wanted() == wanted:
            time.sleep(POLL_S)


def _stop(number: int, frame: Any) -> NoReturn:
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0)


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Classify from boot on, without a laptop.")
    parser.add_argument("--root", required=True, help="the machine's folder, absolute or relative to the login's home")
    return parser


def main(argv: List[str]) -> int:
    files = Files(console.absolute_root(get_parser().parse_args(argv).root))
    if files.wanted() is None:
        return 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    with files.alone() as alone:
        if alone:
            Keeper(files).go()
    return 0


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
