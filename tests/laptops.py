"""Simulated laptops: a folder and a home of its own for each, from which `ai-nano` runs as a process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from ai_nano.demo.stage_scene import Scene

REPOSITORY = Path(__file__).resolve().parents[1]
COMMAND_S = 150.0
PARTS = ("train", "val", "test")
# Makes the name of a computer for one command alone; the words are the name and the command.
_AS_HOST = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"')


class Broken(AssertionError):
    """Something that must hold does not."""


def can_name_hosts() -> bool:
    """Whether a command can be run under another host name, for which root is needed."""
    try:
        return subprocess.run([*_AS_HOST, "lab-1", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@dataclass
class Try:
    """One command that ran, and what came of it."""

    words: tuple[str, ...]
    code: int
    lines: list[dict[str, Any]]
    errors: str
    ended_at: float  # by time.monotonic()

    @property
    def error(self) -> str:
        """The code of its error; empty when it said none."""
        return str(self.told.get("code", ""))

    @property
    def told(self) -> dict[str, Any]:
        """Its error, as its last line tells it; empty without one."""
        error = self.lines[-1].get("error") if self.lines else None
        return error if isinstance(error, dict) else {}


class Laptop:
    """A folder and a home of its own, from which `ai-nano` runs as a process.

    `login` and `host` are those of the computer that it plays (a host needs `can_name_hosts`). `keeps`: what each command
    says, and its log file, lie in the folder `said` under the command's name; else the next command writes over it.
    """

    def __init__(self, folder: Path, workspace: str = "w", login: str = "", host: str = "", patience_s: float = COMMAND_S,
                 keeps: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.workspace = folder / workspace
        self.patience_s = patience_s
        self.tries: list[Try] = []
        self.said = folder / "said"
        self._keeps = keeps
        self._begun = 0
        self._start = [*_AS_HOST, host] if host else []
        self._environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "settings"),
                             "XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "data"),
                             "XDG_STATE_HOME": str(folder / "state"), "AI_NANO_LANGUAGE": "en", "TMPDIR": str(folder),
                             "PYTHONPATH": str(REPOSITORY)}
        self._environment.pop("SSH_AUTH_SOCK", None)
        if login:
            self._environment.update(LOGNAME=login, USER=login)

    def start(self, *words: str) -> Running:
        return Running(self, words)

    def run(self, *words: str) -> Try:
        return self.start(*words).wait()

    def command(self, words: Sequence[str]) -> tuple[list[str], Path, Path]:
        """What is started, and the files for what it says and for its errors."""
        line = [*self._start, sys.executable, "-m", "ai_nano", "--json", "--yes"]
        if not self._keeps:
            return [*line, *words], self.folder / "out.txt", self.folder / "errors.txt"
        self._begun += 1
        self.said.mkdir(exist_ok=True)
        name = self.said / f"{self._begun:02d}-{words[0]}"
        return ([*line, "--log-file", f"{name}.log", *words], name.with_suffix(".out"), name.with_suffix(".errors"))

    @property
    def environment(self) -> dict[str, str]:
        return self._environment


class Running:
    """A command on its way. Its words go to files: nobody has to read while it runs. To be waited for, always."""

    def __init__(self, laptop: Laptop, words: tuple[str, ...]) -> None:
        self._laptop, self.words = laptop, words
        self._read, self._half, self._ended_at = 0, b"", 0.0
        self._began_work: float | None = None
        self.lines = 0
        self.last: dict[str, Any] = {}
        self.seen = ""  # what whoever waits for a moment saw of its work
        line, self._out, self._errors = laptop.command(words)
        with self._out.open("wb") as out, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(line, cwd=laptop.folder, env=laptop.environment, stdin=subprocess.DEVNULL,
                                             stdout=out, stderr=errors, start_new_session=True)
        self._watcher = threading.Thread(target=self._watch, name="laptop-watch", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        """Knows to the millisecond when the command ended."""
        self._process.wait()
        self._ended_at = time.monotonic()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def look(self) -> list[dict[str, Any]]:
        """What it has said since, in whole lines; `lines` in all, of which `last` is the last."""
        with self._out.open("rb") as stream:
            stream.seek(self._read)
            block = stream.read()
        self._read += len(block)
        *lines, self._half = (self._half + block).split(b"\n")
        new = [json.loads(line) for line in lines]
        if new:
            self.lines += len(new)
            self.last = new[-1]
            self._began_work = self._began_work or time.monotonic()
        return new

    @property
    def work_s(self) -> float:
        """For how long it has been at work, from its first line; 0 before."""
        return time.monotonic() - self._began_work if self._began_work else 0.0

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self) -> Try:
        """Its outcome; Broken when it hangs, says what is no JSON, or shows a traceback."""
        try:
            code = self._process.wait(self._laptop.patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._watcher.join()
            raise Broken(f"{' '.join(self.words)} hangs: {self._out.read_text()[-1500:]}") from None
        self._watcher.join()
        said, errors = self._out.read_bytes(), self._errors.read_text(errors="replace")
        if code < 0:  # killed: its last line may be half
            said = said[:said.rfind(b"\n") + 1]
        tried = Try(self.words, code, [json.loads(line) for line in said.splitlines()], errors,
                    self._ended_at)
        self._laptop.tries.append(tried)
        if "Traceback" in errors or b"Traceback" in said:
            raise Broken(f"{' '.join(self.words)} shows a traceback: {errors[-1500:]}")
        if tried.error == "program.unexpected":
            raise Broken(f"{' '.join(self.words)}: {tried.lines[-1]['error']['hint']}")
        return tried


# ---- what they send and hold -------------------------------------------------------------------------------------------


def pictures(folder: Path, card: str, phase: str, count: int, seed: int = 7, width: int = 320) -> None:
    """Rendered frames of one card, several takes; three quarters as high as they are wide."""
    folder.mkdir(parents=True)
    size = (width, width * 3 // 4)
    for number in range(count):
        frame = Scene(seed, phase, number // 4, card).frame(5 * (number % 4))
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def must(tried: Try) -> Try:
    if tried.code:
        raise Broken(f"{' '.join(tried.words)} ends with {tried.code}: {tried.lines[-1:]} {tried.errors[-500:]}")
    return tried


def names(tried: Try) -> list[str]:
    return [str(model["model"]) for model in must(tried).lines[-1]["models"]]


def receipt(laptop: Laptop, step: str) -> dict[str, Any]:
    document = json.loads((laptop.workspace / "ai_nano.json").read_text(encoding="utf-8"))
    facts: dict[str, Any] = document["receipts"][step]["facts"]
    return facts


def dataset(folder: Path) -> dict[str, str]:
    found = {f"{part}/{name}": digest for part in PARTS for name, digest in hashes(folder / part).items()}
    labels = folder / "labels.txt"
    return {**found, "labels.txt": sha256(labels)}


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below, hidden ones too."""
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "-"
