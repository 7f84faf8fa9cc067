"""A machine for the contract tests: a login with LANG=C, ROOT, and the programs of remote/ as real processes."""

import atexit
import contextlib
import functools
import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
REMOTE = REPOSITORY / "remote"
# Generous: what they bound has ended long before, unless it hangs.
DEADLINE_S = 60.0

Message = dict[str, Any]


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def read_lines(path: Path) -> list[Message]:
    """The JSON lines of a file; none where it does not exist."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of(messages: list[Message], type: str) -> list[Message]:
    """The messages or events of one type."""
    return [message for message in messages if message["type"] == type]


def process_start(pid: int) -> int:
    """In clock ticks since boot: field 22 of /proc/<pid>/stat."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def hang_up(process: "subprocess.Popen[bytes]") -> int:
    """Ends standard input, as a laptop that goes away does; the exit code."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    if not process.stdout.closed:  # what it is still writing must not wait for room
        giving_up = threading.Timer(DEADLINE_S, process.kill)
        giving_up.start()
        process.stdout.read()
        giving_up.cancel()
        giving_up.join()
    code = process.wait(DEADLINE_S)
    process.stdout.close()
    return code


class Follower:
    """A running `follow`; what it prints is read line by line."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"v": 1, **message}).encode() + b"\n")
        self.process.stdin.flush()

    def read(self) -> Message:
        """The next message that is not `alive`."""
        while True:
            message = self.read_any()
            if message["type"] != "alive":
                return message

    def read_any(self) -> Message:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "follow has ended"
        message: Message = json.loads(line)
        return message

    def read_event(self, type: str, code: str | None = None) -> Message:
        """The next event of that type (and code); what comes before is passed over."""
        while True:
            message = self.read()
            assert message["type"] != "end", f"ended before {type} {code}: {message}"
            event: Message = message.get("event", {})
            if event.get("type") == type and code in (None, event.get("code")):
                return event

    def read_all(self) -> list[Message]:
        """Everything up to and with `end`."""
        messages = [self.read()]
        while messages[-1]["type"] != "end":
            messages.append(self.read())
        return messages

    def close(self) -> int:
        return hang_up(self.process)


class Watcher:
    """A running `frames`; asks for pictures and reads what comes."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def begin(self, pictures: int = 2) -> Message:
        """The first line, after room for so many pictures has been told."""
        self.ask(pictures)
        assert self.process.stdout is not None
        message: Message = json.loads(self.process.stdout.readline())
        return message

    def ask(self, pictures: int = 1) -> None:
        self.send(b"\n" * pictures)

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read_any(self) -> tuple[Message, bytes]:
        """The next block: its JSON and its JPEG."""
        header, jpeg = (self._read(size) for size in struct.unpack(">II", self._read(8)))
        return json.loads(header), jpeg

    def _read(self, size: int) -> bytes:
        assert self.process.stdout is not None
        data = b""
        while len(data) < size:
            more = self.process.stdout.read(size - len(data))
            assert more, "frames has ended"
            data += more
        return data

    def read_any_within(self, seconds: float) -> tuple[Message, bytes] | tuple[None, bytes]:
        """The next block if one begins in that time."""
        assert self.process.stdout is not None
        return self.read_any() if select.select([self.process.stdout], [], [], seconds)[0] else (None, b"")

    def read(self) -> tuple[Message, bytes]:
        """The next block that is not `alive`."""
        while True:
            header, jpeg = self.read_any()
            if header["type"] != "alive":
                return header, jpeg

    def close(self) -> int:
        return hang_up(self.process)


@functools.cache
def compiled(python: str) -> Path:
    """The programs with a probe, compiled by that Python, as on a machine on which the laptop has unpacked them."""
    folder = Path(tempfile.mkdtemp(prefix="ai_nano-programs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    programs = folder / "programs"
    shutil.copytree(REMOTE, programs, ignore=shutil.ignore_patterns("__pycache__"))
    (programs / "probe").mkdir()
    shutil.copy2(Path(__file__).with_name("probe_program.py"), programs / "probe" / "probe.py")
    # Not all is for this Python.
    subprocess.run([python, "-m", "compileall", "-q", str(programs)], check=False, stdout=subprocess.DEVNULL)
    return programs


class Machine:
    """A machine with a login of its own, ROOT in it, and the programs where the laptop would have put them."""

    def __init__(self, home: Path, python: str) -> None:
        self.home = home
        self.python = python
        self.root = home / "ai nano é"
        self.programs = home / "programs ü" / "0123abcd"
        shutil.copytree(compiled(python), self.programs)
        self._compiled = self._compiled_files()
        # The token by which tests/conftest.py finds what outlives its test.
        kept = {name: os.environ[name] for name in ("PATH", "AI_NANO_TEST")}
        self.environment = {"HOME": str(home), "LANG": "C", **kept}
        self._followers: list[Follower | Watcher] = []

    def command(self, program: str, *words: str) -> list[str]:
        return [self.python, str(self.programs / "shared" / program), "--root", self.root.name, *words]

    def call(self, program: str, *words: str, stdin: bytes = b"", code: int = 0) -> Message:
        """The one line that a program prints; its exit code is asserted."""
        done = subprocess.run(self.command(program, *words), input=stdin, capture_output=True, env=self.environment,
                              cwd="/", timeout=DEADLINE_S, check=False)
        assert done.stderr == b"", done.stderr.decode()
        assert done.returncode == code, done.stdout
        lines = done.stdout.decode("utf-8").splitlines()
        assert len(lines) == 1
        message: Message = json.loads(lines[0])
        return message

    def store(self, *words: str, code: int = 0) -> Message:
        return self.call("store.py", *words, code=code)

    def spec(self, id: str, program: str = "probe/probe.py", lease_s: float | None = None, schedule: Message | None = None,
             **params: Any) -> bytes:
        message = {"v": 1, "id": id, "program": program, "params": params, "lease_s": lease_s, "student": None,
                   "schedule": schedule}
        return json.dumps(message).encode()

    def start(self, id: str, program: str = "probe/probe.py", lease_s: float | None = None, schedule: Message | None = None,
              **params: Any) -> Message:
        return self.call("runner.py", "start", stdin=self.spec(id, program, lease_s, schedule, **params))

    def follow(self, id: str, *words: str) -> Follower:
        process = subprocess.Popen(self.command("runner.py", "follow", id, *words), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=self.environment, cwd="/")
        follower = Follower(process)
        self._followers.append(follower)
        return follower

    def watch(self, id: str) -> Watcher:
        process = subprocess.Popen(self.command("runner.py", "frames", id), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.environment, cwd="/", bufsize=0)
        watcher = Watcher(process)
        self._followers.append(watcher)
        return watcher

    def follow_all(self, id: str, *words: str) -> list[Message]:
        follower = self.follow(id, *words)
        messages = follower.read_all()
        assert follower.close() == 0
        return messages

    def events(self, id: str) -> list[Message]:
        """The events of a run, once it has ended."""
        return [message["event"] for message in self.follow_all(id) if message["type"] == "event"]

    def cancel(self, id: str, grace: float = 30) -> Message:
        return self.call("runner.py", "cancel", id, "--grace", str(grace))

    def state(self, id: str) -> str:
        states = {run["id"]: run["state"] for run in self.call("runner.py", "list")["runs"]}
        return str(states[id])

    def process_id(self, id: str) -> int:
        return int(json.loads((self.run_path(id) / "pid.json").read_text())["pid"])

    def run_path(self, id: str) -> Path:
        return self.root / ".ai_nano" / "runs" / id

    def close(self) -> None:
        for follower in self._followers:
            follower.close()
        assert self._compiled_files() <= self._compiled, "the programs folder is immutable"

    def _compiled_files(self) -> set[Path]:
        return {path.relative_to(self.programs) for path in self.programs.rglob("*.pyc")}


def make_run(machine: Machine, id: str, pid: int, start_time: int, boot: str, started: float = 1.0) -> Path:
    """A run's folder whose program is that process."""
    path = machine.run_path(id)
    path.mkdir(parents=True)
    spec = {"v": 1, "id": id, "program": "probe/probe.py", "params": {}, "lease_s": None, "root": str(machine.root),
            "started": started}
    note = {"v": 1, "pid": pid, "pgid": pid, "start_time": start_time, "supervisor": 0, "supervisor_start_time": 0,
            "boot_id": boot}
    (path / "spec.json").write_text(json.dumps(spec))
    (path / "pid.json").write_text(json.dumps(note))
    return path
