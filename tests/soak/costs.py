"""What one laptop costs the server, and what follows from it for a class, a school and a town.

    python -m tests.soak.costs [--images 60] [--width 640] [--laptops 30 300 3000]

One laptop goes through a whole lesson against one real sshd, behind a link that counts its bytes. The processor's time is
the server's alone: of sshd, its sessions and what they started, also of what outlives them (this process adopts it). Then
the sums: what of it a number of laptops needs, in which the trainings stand in one queue per GPU. The sums leave out what
does not add up: who waits does not work, and half of a class is always elsewhere.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "integration")]
from laptops import Broken, must, receipt  # noqa: E402
from processes import children, command  # noqa: E402

from ai_nano.core.room.config import MachineConfig, NanoConfig  # noqa: E402
from ai_nano.machines.connection import Connection  # noqa: E402
from ai_nano.machines.hostkeys import HostKeys  # noqa: E402
from tests.soak.lesson import Lesson  # noqa: E402
from tests.soak.memory import pss  # noqa: E402
from tests.soak.room import Room, owners  # noqa: E402

LOGINS = 20
SETTLED_S, FOLLOWED_S, WAIT_S = 4.0, 10.0, 120.0
PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Step:
    """One command of the laptop, and what it cost the server. `sent`: bytes from the laptop; `server_s`: of a processor."""

    name: str
    seconds: float
    server_s: float
    sent: int
    received: int
    logins: int


@dataclass
class Held:
    """Most memory, in bytes: of one connection that follows a run (sshd's processes, and our program that tells), of what
    waits with the libraries loaded, of the training."""

    connection: int = 0
    follower: int = 0
    ahead: int = 0
    work: int = 0


class Server:
    """The processor's time that the server's side has taken until now; knows what was started by it and has lost its parent."""

    def __init__(self, listener: int) -> None:
        self.listener = listener
        self._adopted = 0.0
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def spent(self) -> float:
        """Call when nothing of a command is running."""
        with suppress(ChildProcessError):
            while (ended := os.wait4(-1, os.WNOHANG))[0]:
                self._adopted += ended[2].ru_utime + ended[2].ru_stime
        return self._adopted + _spent(self.listener, waited=True)

    def below(self) -> list[int]:
        """sshd's sessions and what they started."""
        found, pending = [], [self.listener]
        while pending:
            below = children(pending.pop())
            found += below
            pending += below
        return found


def _spent(pid: int, waited: bool = False) -> float:
    """Of a process, with those that it started and waited for; 0 when it has gone."""
    try:
        fields = Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return sum(int(one) for one in fields[11:15 if waited else 13]) / TICKS


class Costs:
    """One lesson, step by step."""

    def __init__(self, room: Room, lesson: Lesson, server: Server) -> None:
        self._room, self._lesson, self._server = room, lesson, server
        self.held = Held()
        self.steps: list[Step] = []
        self.bytes_there = self.files_there = 0
        self.training_s = self.loading_s = 0.0
        self.follower_s = 0.0

    def carry_out(self) -> None:
        for name in ("new", "import", "split", "upload", "train", "export", "deploy", "models"):
            self.steps.append(self._step(name))

    def _step(self, name: str) -> Step:
        link, server = self._room.server.link, self._server
        before, logins, spent = link.traffic, self._room.server.counts()["logins"], server.spent()
        began = time.monotonic()
        words = ("models",) if name == "models" else self._lesson.words(name)
        running = self._lesson.laptop.start(*words)
        while running.runs:
            self._look()
            time.sleep(0.1)
        tried = running.wait()
        seconds = time.monotonic() - began
        if tried.code:
            raise Broken(f"{name} ends with {tried.code}: {tried.lines[-1:]}")
        while server.below():
            time.sleep(0.1)
        after = link.traffic
        return Step(name, seconds, server.spent() - spent, after.up - before.up, after.down - before.down,
                    self._room.server.counts()["logins"] - logins)

    def _look(self) -> None:
        sshd, held = 0, self.held
        for pid in self._server.below():
            line = command(pid)
            if line.startswith("sshd"):
                sshd += pss(pid)
            elif " follow " in line:
                held.follower = max(held.follower, pss(pid))
            elif "ahead.py" in line:
                held.ahead = max(held.ahead, pss(pid))
        held.connection = max(held.connection, sshd)
        root = str(self._room.server.root)
        work = sum(pss(pid) for pid in children(os.getpid()) for pid in (pid, *children(pid)) if root in command(pid))
        held.work = max(held.work, work)

    def look_at_training(self) -> None:
        """For how long it had its turn, and how much of that went by before its libraries and its network were there."""
        root = self._room.server.root
        (run,) = (root / ".ai_nano" / "runs").glob("*-train-*")
        self.training_s = (run / "exit.json").stat().st_mtime - (run / "pid.json").stat().st_mtime
        report = root / "models" / str(receipt(self._lesson.laptop, "train")["model"]) / "report.json"
        self.loading_s = float(json.loads(report.read_text(encoding="utf-8"))["seconds"]["start"])

    def two_who_wait(self, other: Lesson) -> None:
        """Two laptops follow: the one's training has been stopped by us, the other's waits for it. What the server needs for
        that, by second and laptop."""
        for name in ("new", "import", "split", "upload"):
            must(other.laptop.run(*other.words(name)))
        runs = self._room.server.root / ".ai_nano" / "runs"
        before, commands = set(runs.iterdir()), [self._lesson.laptop.start(*self._lesson.words("train"))]
        try:
            (run,) = _wait_for(lambda: set(runs.glob("*-train-*")) - before)
            training = _wait_for(lambda: json.loads((run / "pid.json").read_text())["pgid"])
            os.killpg(training, signal.SIGSTOP)
            commands.append(other.laptop.start(*other.words("train")))
            _wait_for(lambda: list(runs.glob("*-train-*/waiting")))
            time.sleep(SETTLED_S)
            spent = {pid: _run_s(pid) for pid in self._server.below()}
            time.sleep(FOLLOWED_S)
            self.follower_s = sum(_run_s(pid) - since for pid, since in spent.items()) / FOLLOWED_S / 2
            os.killpg(training, signal.SIGCONT)
        finally:
            for running in commands:
                running.wait()

    def login_s(self) -> tuple[float, float]:
        """Of one login: the server's processor, and how long the laptop waited."""
        config = json.loads((self._lesson.laptop.folder / "config.json").read_text())["DL_server"]
        machine = MachineConfig("DL", config["ip"], config["login"], port=config["port"], key_file=Path(config["key_file"]),
                                host_key=config["host_key"])
        spent, began = self._server.spent(), time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(LOGINS):
                connection = Connection(machine, HostKeys(Path(folder) / "known_hosts"), _Nobody())
                connection.transport()
                connection.close()
        took = time.monotonic() - began
        while self._server.below():
            time.sleep(0.1)
        return (self._server.spent() - spent) / LOGINS, took / LOGINS

    def disk(self) -> tuple[int, int]:
        """Bytes and files on the server that are this student's: the model's folder and the runs."""
        root = self._room.server.root
        folders = (root / "models" / str(receipt(self._lesson.laptop, "train")["model"]), root / ".ai_nano" / "runs")
        found = {status.st_ino: status.st_blocks * 512 for folder in folders
                 for status in (path.lstat() for path in (folder, *folder.rglob("*")))}
        return sum(found.values()), len(found)


def _wait_for(there: Callable[[], Any]) -> Any:
    """What it gives once that is anything. Raises Broken."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with suppress(OSError, ValueError):
            if found := there():
                return found
        time.sleep(0.02)
    raise Broken("it never came")


def _run_s(pid: int) -> float:
    """Of its main thread, on a processor; finer than ticks."""
    return int(Path("/proc", str(pid), "schedstat").read_bytes().split()[0]) / 1e9


class _Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


# ---- one laptop, and many ----------------------------------------------------------------------------------------------


def measure(images: int, width: int) -> tuple[Costs, tuple[float, float]]:
    """Raises Broken."""
    with Room("direct", 1, False) as room, room.server.link as link:
        lesson = Lesson(owners(1)[0], room, room.folder / "laptop-00", images, width, hosts=False)
        file = room.folder / "laptop-00" / "config.json"
        document = json.loads(file.read_text())
        document["DL_server"]["port"] = link.port
        file.write_text(json.dumps(document))
        (listener,) = room.server.own_processes
        costs = Costs(room, lesson, Server(listener))
        login = costs.login_s()
        costs.carry_out()
        costs.bytes_there, costs.files_there = costs.disk()
        costs.look_at_training()
        costs.two_who_wait(Lesson(owners(2)[1], room, room.folder / "laptop-01", 8, width, hosts=False))
        return costs, login


def one_laptop(costs: Costs, login: tuple[float, float]) -> list[tuple[str, str]]:
    rows = [(f"`{step.name}`", f"{step.seconds:.1f} s; server {step.server_s:.2f} s of a processor; {_size(step.sent)} sent, "
             f"{_size(step.received)} received; {step.logins} login{'s' * (step.logins != 1)}")
            for step in costs.steps if step.logins or step.server_s > 0.05]
    held = costs.held
    return [
        ("a login", f"server {1000 * login[0]:.0f} ms of a processor, {1000 * login[1]:.0f} ms for the laptop"), *rows,
        ("who waits for his training, by the second", f"server {1000 * costs.follower_s:.1f} ms of a processor"),
        ("memory there of who follows", f"{_size(held.connection)} sshd, {_size(held.follower)} our program"),
        ("a training has the GPU for", f"{costs.training_s:.1f} s, of which it loads for {costs.loading_s:.1f} s"),
        ("memory of a training", _size(held.work)),
        ("memory of what waits with the libraries loaded", _size(held.ahead)),
        ("kept on the server's disk", f"{_size(costs.bytes_there)} in {costs.files_there} files and folders")]


def many(costs: Costs, login: tuple[float, float], laptops: Sequence[int], nanos: int) -> list[tuple[str, ...]]:
    """Rows of what so many laptops need, one server with one GPU among them, and `nanos` laptops to a Nano."""
    by_name = {step.name: step for step in costs.steps}
    held, upload, export = costs.held, by_name["upload"], by_name["export"]
    processor_s = sum(step.server_s for step in costs.steps)
    turn_min = NanoConfig("nano1", "", "").turn
    return [
        ("all press Upload at once: on a link of 1 Gbit/s", *(_duration(n * upload.sent * 8 / 1e9) for n in laptops)),
        ("the same on Wi-Fi with 100 Mbit/s", *(_duration(n * upload.sent * 8 / 1e8) for n in laptops)),
        ("all log in at once: time of one processor", *(_duration(n * login[0]) for n in laptops)),
        ("the last training begins after, one GPU", *(_duration((n - 1) * costs.training_s) for n in laptops)),
        ("GPUs for a wait of 5 min at most", *(str(max(1, -int(-(n * costs.training_s) // 300))) for n in laptops)),
        ("exports: time of one processor", *(_duration(n * export.server_s) for n in laptops)),
        ("all of a lesson: time of one processor", *(_duration(n * processor_s) for n in laptops)),
        ("all wait for their trainings: processors busy", *(f"{n * costs.follower_s:.2g}" for n in laptops)),
        ("all wait for their trainings: memory", *(_size(n * (held.connection + held.follower)) for n in laptops)),
        ("kept on the disk by one lesson", *(_size(n * costs.bytes_there) for n in laptops)),
        ("files and folders of it", *(f"{n * costs.files_there:,}" for n in laptops)),
        (f"a Nano for {nanos} laptops: the last one waits at most",
         *(_duration(60 * turn_min * (min(n, nanos) - 1)) for n in laptops)),
        ("Nanos for that", *(str(-(-n // nanos)) for n in laptops))]


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def _duration(seconds: float) -> str:
    return (f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 120 else
            f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h")


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.costs", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60, help="of each of the three classes")
    parser.add_argument("--width", type=int, default=640, help="of the images, in pixels")
    parser.add_argument("--laptops", type=int, nargs="+", default=[30, 300, 3000])
    parser.add_argument("--laptops-to-a-nano", type=int, default=3)
    return parser


def main(argv: list[str] | None = None) -> int:
    options = get_parser().parse_args(argv)
    costs, login = measure(options.images, options.width)
    print(f"| one laptop, {3 * options.images} images of {options.width} pixels | |\n|---|---|")
    print("\n".join(f"| {name} | {value} |" for name, value in one_laptop(costs, login)))
    print(f"\n| laptops | {' | '.join(f'{n:,}' for n in options.laptops)} |\n|{'---|' * (len(options.laptops) + 1)}")
    print("\n".join(f"| {' | '.join(row)} |" for row in many(costs, login, options.laptops, options.laptops_to_a_nano)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
