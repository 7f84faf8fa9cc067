"""The embedded classroom's processes: a GPU server, a Nano and the stage, all on 127.0.0.1, and the config that names them."""

import json
import os
import secrets
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from ai_nano import resources
from ai_nano.core.errors import WorkFailed
from ai_nano.core.files import write_atomically
from ai_nano.core.room.config import DEFAULT_PINS, Config, load

LOGIN = "student"
READY_TIMEOUT_S = 30.0
END_TIMEOUT_S = 5.0


def nano_python() -> str:
    """CPython 3.6, as a Nano with JetPack 4.6 has it, where the set-up found one; this interpreter elsewhere."""
    chosen = os.environ.get("AI_NANO_NANO_PYTHON")
    if chosen:
        return chosen
    prepared = resources.remote_folder().parent / ".venv-nano" / "bin" / "python"
    return str(prepared) if prepared.exists() else sys.executable


class Process:
    """A part of the classroom: says that it is ready in one line, ends when its standard input does."""

    def __init__(self, module: str, words: Sequence[str], log: Path) -> None:
        package_parent = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(part for part in (package_parent, os.environ.get("PYTHONPATH")) if part)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env={**os.environ, "PYTHONPATH": path}, start_new_session=True)
        assert self._process.stdout is not None
        timer = threading.Timer(READY_TIMEOUT_S, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
            timer.join()
        try:
            self.ready: Mapping[str, Any] = json.loads(line)
        except ValueError:
            self.stop()
            raise WorkFailed("demo.not_started", part=module.rpartition(".")[2],
                             details=log.read_text(errors="replace").splitlines()[-10:]) from None

    def stop(self) -> None:
        """Returns when it has ended; of a process that has ended already, at once."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Stage:
    """Tells the stage's process what to hold before which camera."""

    def __init__(self, port: int, record: Path) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self.record = record

    def camera(self, name: str) -> str:
        """The URI of `laptop` or `nano`."""
        return f"{self._base}/{name}.mjpg"

    def show(self, camera: str, card: str | None, phase: str, take: int) -> float:
        """Hold up a card (None: the empty stage); returns the unix time from which the frames show it."""
        return float(self._command({"camera": camera, "show": card, "phase": phase, "take": take})["t"])

    def plug(self, camera: str, plugged: bool) -> None:
        self._command({"camera": camera, "plugged": plugged})

    def _command(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        request = urllib.request.Request(f"{self._base}/command", json.dumps(command).encode(),
                                         {"Content-Type": "application/json"})
        try:
            # No proxy of the environment may stand between two processes of one machine.
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as reply:
                answer: Mapping[str, Any] = json.load(reply)
                return answer
        except (urllib.error.URLError, OSError) as error:
            raise WorkFailed("demo.stage", reason=str(error)) from error


class Classroom:
    """Start with `with`; on leaving, every process has ended. `sftp=False` makes the machines refuse SFTP."""

    def __init__(self, folder: Path, seed: int = 0, sftp: bool = True) -> None:
        self.folder = folder
        self._seed = seed
        self._sftp = sftp
        self._stack = ExitStack()
        self._machines: dict[str, Process] = {}
        self._logins: dict[str, tuple[int, str]] = {}
        self.stage: Stage
        self.config: Config

    @property
    def leds_file(self) -> Path:
        return self.folder / "nano1" / "ai_nano" / "leds.jsonl"

    @property
    def config_file(self) -> Path:
        return self.folder / "config.json"

    def __enter__(self) -> "Classroom":
        with self._stack:
            self.folder.mkdir(parents=True, exist_ok=True)
            record = self.folder / "stage.jsonl"
            words = ["--record", str(record), "--seed", str(self._seed)]
            self.stage = Stage(self._start("ai_nano.demo.stage", words, "stage").ready["port"], record)
            server = self._ssh_server("gpu_server")
            nano = self._ssh_server("nano1")
            document = {
                "DL_server": {"name": "DL", **server, "python": sys.executable, "scheduler": "direct"},
                "jetson_nano": [{"name": "nano1", **nano, "python": nano_python(), "camera": self.stage.camera("nano"),
                                 "engine": "onnxruntime", "leds": "file", "pins": list(DEFAULT_PINS)}],
                "camera": self.stage.camera("laptop"),
                "student": "demo",
            }
            write_atomically(self.config_file, json.dumps(document, indent=1).encode(), mode=0o600)
            self.config = load(self.config_file)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def stop_machine(self, name: str) -> None:
        """The server `gpu_server` or `nano1` is gone from the network; what it started detached goes on."""
        self._machines.pop(name).stop()

    def start_machine(self, name: str) -> None:
        """It is back, where it was and as it was."""
        self._run_server(name, *self._logins[name])

    def _start(self, module: str, words: Sequence[str], name: str) -> Process:
        process = Process(module, words, self.folder / f"{name}.log")
        self._stack.callback(process.stop)
        return process

    def _ssh_server(self, name: str) -> dict[str, Any]:
        """The config's entries for a new loopback server with a home, a host key and a login of its own."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        password = secrets.token_urlsafe(18)
        ready = self._run_server(name, 0, password)
        self._logins[name] = (ready["port"], password)
        return {"ip": "127.0.0.1", "port": ready["port"], "login": LOGIN, "pwd": password, "host_key": ready["host_key"]}

    def _run_server(self, name: str, port: int, password: str) -> Mapping[str, Any]:
        home = self.folder / name
        secret = self.folder / f".{name}.password"
        write_atomically(secret, password.encode(), mode=0o600)
        words = ["--home", str(home), "--host-key", str(self.folder / f".{name}.host_key"), "--user", LOGIN,
                 "--password-file", str(secret), "--port", str(port), *([] if self._sftp else ["--no-sftp"])]
        try:
            self._machines[name] = self._start("ai_nano.demo.ssh_server", words, name)
        finally:
            secret.unlink()
        return self._machines[name].ready
