"""Runs a program of the GPU server as a process of its own, as its supervisor does, and notes when it said what."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REMOTE = Path(__file__).resolve().parents[2] / "remote"
LOOK_S = 0.01

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Said:
    """An event and when it was there, in seconds since the program was started."""

    at: float
    event: dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """`wall` is all of it in seconds, with starting Python; `output` what it printed."""

    wall: float
    code: int
    said: list[Said]
    output: str

    def of(self, kind: str) -> list[Said]:
        return [one for one in self.said if one.event["type"] == kind]

    @property
    def result(self) -> dict[str, Any]:
        """Raises Failed for a program that had none."""
        if self.code != 0:
            raise Failed(self)
        return self.of("result")[-1].event


class Failed(RuntimeError):
    """`code` is the program's own error code."""

    def __init__(self, ended: Ended) -> None:
        errors = ended.of("error")
        self.code = str(errors[-1].event["code"]) if errors else f"exit {ended.code}"
        super().__init__(f"{self.code} {errors[-1].event['params'] if errors else ''}\n{ended.output[-2000:]}")


def run(root: Path, program: str, **params: Any) -> Ended:
    """`gpu_server/<program>.py` to its end, with ROOT `root`."""
    folder = root / ".ai_nano" / "runs" / f"{next(_numbers):04d}-{program}"
    folder.mkdir(parents=True)
    name = f"gpu_server/{program}.py"
    spec = {"v": 1, "id": folder.name, "program": name, "params": params, "lease_s": None, "root": str(root)}
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    events = folder / "events.jsonl"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
                   "PYTHONPATH": str(REMOTE)}
    said: list[Said] = []
    with (folder / "output.log").open("wb") as output:
        began = time.monotonic()
        with subprocess.Popen([sys.executable, str(REMOTE / name), "--run", str(folder)], cwd=folder, env=environment,
                              stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT) as process:
            try:
                heard = _heard(events, began)
                while process.poll() is None:
                    said += next(heard)
                    time.sleep(LOOK_S)
            except BaseException:
                process.kill()
                raise
        wall = time.monotonic() - began
    said += next(heard)
    return Ended(wall, process.returncode, said, (folder / "output.log").read_text(errors="replace"))


def _heard(events: Path, began: float) -> Iterator[list[Said]]:
    """What has come since the last time, again and again."""
    offset = 0
    while True:
        data = b""
        if events.exists():
            with events.open("rb") as stream:
                stream.seek(offset)
                data = stream.read()
        whole = data[:data.rfind(b"\n") + 1]
        offset += len(whole)
        now = time.monotonic() - began
        yield [Said(now, json.loads(line)) for line in whole.splitlines()]
