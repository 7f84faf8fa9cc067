"""The kinds of fault. Each strikes while a command is at work, and is mended before the command is run again."""

import os
import random
import time
from dataclasses import dataclass

from laptops import Broken, Laptop, Running, Try

from tests.faults import moments
from tests.faults.machines import Machine
from tests.faults.room import Room

ON_SERVER = ("upload", "train", "export")
ON_LAPTOP = ("import", "split")
REMOTE = (*ON_SERVER, "deploy", "infer")
# Bits a second at which a step's bytes take a few seconds; and about how many bytes they are, both ways.
PACE = {"upload": 3e6, "train": 10e6, "export": 50e6, "deploy": 50e6, "infer": 10e6}
BYTES = {"upload": 900_000, "train": 12_000, "export": 13_000_000, "deploy": 13_000_000, "infer": 50_000}
# So much earlier, at most, the other of two laptops starts.
LEAD_S = 0.1
# Both take long enough at this to meet.
SHARED_PACE = 1.2e6
DOCUMENTED = (0, 1, 3, 5)
# A full disk is said as itself, by whoever met it.
FULL = ("transfer.disk_full", "transfer.no_space", "machine.disk_full", "program.disk_full")


@dataclass
class Plan:
    """What a seed stands for: the fault strikes when `fraction` of the step's work is done; `rng` gives what else it wants."""

    seed: int
    kind: str
    make: "type[Fault]"
    step: str
    fraction: float
    rng: random.Random


class Fault:
    """`begin` before the command starts, `strike` at the moment, `relent` right after, `mend` when the command has ended.

    `codes` are the exits that the first try may have.
    """

    codes: tuple[int, ...] = DOCUMENTED

    def __init__(self, room: Room, plan: Plan) -> None:
        self.room, self.plan, self.rng = room, plan, plan.rng
        self.at = "at its start"  # where the command was
        self.detail = ""
        self.tries: list[Try] = []
        self.struck_at: float | None = None  # by time.monotonic()

    @property
    def text(self) -> str:
        return f"{self.plan.kind} during {self.plan.step} {self.at}{self.detail}"

    @property
    def machine(self) -> Machine:
        return self.room.server if self.plan.step in (*ON_SERVER, *ON_LAPTOP) else self.room.nano

    @staticmethod
    def prepare(room: Room, step: str, rng: random.Random) -> None:
        """Before the room is opened."""

    def begin(self) -> None: ...

    def wait(self, running: Running) -> bool:
        """For the moment; False when the command ended before."""
        reached = moments.reached(self.plan.step, self.plan.fraction, self.room.laptop.workspace)

        if self.plan.step in ON_LAPTOP:
            return moments.wait(running, lambda: reached(running), moments.OFTEN_S)

        def look() -> bool:
            running.look()
            return reached(running)

        return moments.wait(running, look)

    def hit(self, running: Running) -> None:
        """Strikes, and notes when and what."""
        self.at = moments.told(running)
        self.strike(running)
        self.struck_at = time.monotonic()
        self.relent()

    def strike(self, running: Running) -> None: ...

    def relent(self) -> None: ...

    def mend(self) -> None: ...

    def in_time(self, tried: Try) -> bool:
        """Whether the command was still at work. `tried` is the first try."""
        return self.struck_at is not None and self.struck_at < tried.ended_at

    def judge(self, tried: Try) -> None:
        """Of the first try, which the fault hit."""
        if tried.code not in self.codes:
            raise Broken(f"ends with {tried.code} {tried.error}: {tried.errors[-300:]}")

    @property
    def laptops(self) -> list[Laptop]:
        """Whose uploads are to be found at the end."""
        return [self.room.laptop]


class Connection(Fault):
    """Breaks the connections. In time when the command went on to a new one, or ended for want of it."""

    def strike(self, running: Running) -> None:
        self._made = self.machine.link.traffic.connections
        self.break_off()

    def break_off(self) -> None: ...

    def in_time(self, tried: Try) -> bool:
        return super().in_time(tried) and (tried.code != 0 or self.machine.link.traffic.connections > self._made)


class Cut(Connection):
    """After exactly so many bytes. Either end may not hear of it."""

    def begin(self) -> None:
        self._before = self.machine.link.traffic.cut_at
        count, unseen = max(1, int(self.plan.fraction * BYTES[self.plan.step])), self.rng.random() < 0.5
        self.detail = f", after {count} bytes{' unseen' if unseen else ''}"
        self.machine.link.cut_after(count, unseen)

    def wait(self, running: Running) -> bool:
        return moments.wait(running, lambda: self.machine.link.traffic.cut_at != self._before)

    def hit(self, running: Running) -> None:
        traffic = self.machine.link.traffic
        self.struck_at, self._made = traffic.cut_at, traffic.connections
        running.look()
        self.at = moments.told(running)


class Freeze(Fault):
    """Nothing is closed and nothing moves: in time when the command had to wait for it, or gave the connection up."""

    def strike(self, running: Running) -> None:
        self.machine.link.freeze()

    def relent(self) -> None:
        self._seconds = self.rng.uniform(2, 16)
        self.detail = f", for {self._seconds:.1f} s"
        time.sleep(self._seconds)
        self.machine.link.thaw()

    def in_time(self, tried: Try) -> bool:
        if self.struck_at is None:
            return False
        return tried.ended_at > self.struck_at + self._seconds or tried.code != 0


class Sessions(Connection):
    def break_off(self) -> None:
        self.machine.kill_sessions()


class Restart(Connection):
    def break_off(self) -> None:
        self.machine.kill()

    def relent(self) -> None:
        seconds = self.rng.uniform(0.2, 8)
        self.detail = f", away for {seconds:.1f} s"
        time.sleep(seconds)
        self.machine.start()


class LaptopKilled(Fault):
    """And, of a file that was half there, the last byte may come out another one."""

    codes = (-9,)

    def strike(self, running: Running) -> None:
        running.kill()

    def in_time(self, tried: Try) -> bool:
        return tried.code == -9

    def mend(self) -> None:
        parts = [path for path in (self.machine.root / ".ai_nano").rglob(".part-*") if path.stat().st_size]
        if parts and self.rng.random() < 0.5:
            self.detail += ", a part damaged"
            data = parts[0].read_bytes()
            parts[0].write_bytes(data[:-1] + bytes([data[-1] ^ 255]))


class DiskFull(Fault):
    """In time when the command met it."""

    codes = (1,)

    @staticmethod
    def prepare(room: Room, step: str, rng: random.Random) -> None:
        room.small_disk = "DL" if step in ON_SERVER else "nano1"

    def strike(self, running: Running) -> None:
        left = self.rng.choice((0, 4096, 30_000))
        self.detail = f", {left} bytes left"
        self.machine.fill_disk(left)

    def in_time(self, tried: Try) -> bool:
        return super().in_time(tried) and tried.code != 0

    def judge(self, tried: Try) -> None:
        super().judge(tried)
        if tried.error not in FULL:
            raise Broken(f"a full disk is said to be {tried.error}: {tried.lines[-1:]}")

    def mend(self) -> None:
        self.machine.empty_disk()


class HalfModel(Fault):
    """What a Nano that loses its power leaves of a file: half; then something else under the right size and time."""

    codes = (1, 4)

    def begin(self) -> None:
        (self._model,) = (self.room.nano.root / "models").glob("*/model.onnx")
        self._size = self._model.stat().st_size
        with self._model.open("r+b") as stream:
            stream.truncate(self.rng.randrange(self._size))
        self.struck_at = time.monotonic()
        self.detail = ", half and other content"

    def wait(self, running: Running) -> bool:
        return False

    def mend(self) -> None:
        self._deploy()
        status = self._model.stat()
        with self._model.open("r+b") as stream:
            if self.rng.random() < 0.5:
                stream.truncate(self.rng.randrange(self._size))
                stream.truncate(self._size)
            else:
                stream.seek(self.rng.randrange(self._size - 4096))
                stream.write(os.urandom(4096))
        os.utime(self._model, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.tries.append(self.room.laptop.run(*self.tries[0].words))
        self.judge(self.tries[-1])
        self._deploy()

    def _deploy(self) -> None:
        tried = self.room.laptop.run("deploy", self.room.laptop.workspace.name)
        if tried.code:
            raise Broken(f"deploying again ends with {tried.code} {tried.error}")


class Clock(Fault):
    """From the room's first moment to its last."""

    codes = (0,)

    @staticmethod
    def prepare(room: Room, step: str, rng: random.Random) -> None:
        room.clock_off_s = rng.choice((-3600, 3600))

    @property
    def text(self) -> str:
        return f"clocks of server and Nano {self.room.clock_off_s:+d} s off, in all steps"

    def wait(self, running: Running) -> bool:
        return False

    def in_time(self, tried: Try) -> bool:
        return True


class HostKey(Fault):
    """Of a machine that the laptop knows already. In time when the command needed a new connection."""

    codes = (3, 5)

    def begin(self) -> None:
        models = ("models",) if self.machine is self.room.server else ("models", "--nano", "nano1")
        if self.room.laptop.run(*models).code:
            raise Broken("the machine cannot be asked for its models")

    def strike(self, running: Running) -> None:
        self.machine.kill()

    def relent(self) -> None:
        self.machine.start(right_key=False)

    def in_time(self, tried: Try) -> bool:
        return super().in_time(tried) and tried.code != 0

    def judge(self, tried: Try) -> None:
        super().judge(tried)
        if tried.code == 3:
            said = tried.error == "machine.host_key_changed"
        else:  # the work goes on there, and the reason is told below
            said = tried.error == "job.lost" and "another host key" in str(tried.lines[-1]["error"].get("details"))
        if not said:
            raise Broken(f"a changed host key is said to be {tried.error}: {tried.lines[-1:]}")

    def mend(self) -> None:
        self.machine.kill()
        self.machine.start()


class TwoLaptops(Fault):
    """Copies of one workspace, by one student's name. In time when both were at work at once."""

    codes = (0,)

    def begin(self) -> None:
        self.other = self.room.new_laptop("laptop2")
        tried = self.other.run("split", self.other.workspace.name)
        if tried.code:
            raise Broken(f"the other's split ends with {tried.code}")
        self.machine.link.pace(SHARED_PACE, 0.01)
        self._running = self.other.start("upload", self.other.workspace.name)
        time.sleep(self.plan.fraction * LEAD_S)

    def wait(self, running: Running) -> bool:
        return moments.wait(running, lambda: self._sends(running) and self._sends(self._running))

    @staticmethod
    def _sends(running: Running) -> bool:
        running.look()
        return running.last.get("unit") == "bytes" and running.last["done"] < running.last["total"]

    def strike(self, running: Running) -> None:
        self.detail = f", the other {moments.told(self._running)}"

    def mend(self) -> None:
        self.machine.link.pace(None)
        tried = self._running.wait()
        if tried.code:
            raise Broken(f"the other's upload ends with {tried.code} {tried.error}")

    @property
    def laptops(self) -> list[Laptop]:
        return [self.room.laptop, self.other]


# What the first 20 seeds are; what comes after draws from the steps behind.
CYCLE: tuple[tuple[str, type[Fault], str, tuple[str, ...]], ...] = (
    ("connection cut", Cut, "upload", REMOTE),
    ("connection cut", Cut, "train", REMOTE),
    ("kill -9 of the laptop", LaptopKilled, "import", ("import",)),
    ("kill -9 of the laptop", LaptopKilled, "split", ("split",)),
    ("kill -9 of the laptop", LaptopKilled, "upload", ("upload",)),
    ("kill -9 of the laptop", LaptopKilled, "train", ("train",)),
    ("kill -9 of the laptop", LaptopKilled, "export", ("export",)),
    ("kill -9 of the laptop", LaptopKilled, "deploy", ("deploy",)),
    ("kill -9 of the laptop", LaptopKilled, "infer", ("infer",)),
    ("sshd killed and restarted", Restart, "upload", REMOTE),
    ("sshd's sessions killed", Sessions, "train", REMOTE),
    ("disk full", DiskFull, "upload", ("upload",)),
    ("disk full", DiskFull, "train", ("train",)),
    ("disk full", DiskFull, "deploy", ("deploy",)),
    ("model damaged", HalfModel, "infer", ("infer",)),
    ("host key changed", HostKey, "upload", ("upload", "deploy")),
    ("host key changed", HostKey, "train", ("train", "infer")),
    ("clock off", Clock, "upload", ("upload",)),
    ("two laptops", TwoLaptops, "upload", ("upload",)),
    ("network silent", Freeze, "upload", REMOTE),
)
