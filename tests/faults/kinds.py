"""The kinds of fault. Each strikes while a command runs, and is mended before the command is run again."""

import os
import random
import time
from dataclasses import dataclass

from tests.faults.machines import Machine
from tests.faults.room import Broken, Laptop, Room, Running, Try

STEPS = ("split", "upload", "train", "export", "deploy", "infer")
ON_SERVER = ("upload", "train", "export")
REMOTE = (*ON_SERVER, "deploy", "infer")
# Bits a second at which a step's bytes take a few seconds; and about how many bytes they are, both ways.
PACE = {"upload": 3e6, "train": 10e6, "export": 50e6, "deploy": 50e6, "infer": 10e6}
BYTES = {"upload": 1_000_000, "train": 60_000, "export": 16_000_000, "deploy": 16_000_000, "infer": 60_000}
# About how long a step takes, from the command's start; a later moment strikes after it.
SECONDS = {"split": 0.6, "upload": 4.0, "train": 9.0, "export": 10.0, "deploy": 5.0, "infer": 6.0}
DOCUMENTED = (0, 1, 3, 5)


@dataclass
class Plan:
    """What a seed stands for; `rng` gives what a kind wants beside."""

    seed: int
    kind: str
    make: "type[Fault]"
    step: str
    after_s: float
    rng: random.Random


class Fault:
    """`begin` before the command starts, `strike` at the moment, `mend` when the command has ended for the first time."""

    codes: tuple[int, ...] = DOCUMENTED

    def __init__(self, room: Room, plan: Plan) -> None:
        self.room, self.plan, self.rng = room, plan, plan.rng
        self.told = f"after {plan.after_s:.1f} s"
        self.tries: list[Try] = []

    @property
    def machine(self) -> Machine:
        return self.room.server if self.plan.step in (*ON_SERVER, "split") else self.room.nano

    @staticmethod
    def prepare(room: Room, step: str, rng: random.Random) -> None:
        """Before the room is opened."""

    def begin(self) -> None: ...

    def strike(self, running: Running) -> None: ...

    def mend(self) -> None: ...

    def judge(self, tried: Try) -> None:
        """Of the first try."""
        if tried.code not in self.codes:
            raise Broken(f"ends with {tried.code} {tried.error}: {tried.errors[-300:]}")

    @property
    def laptops(self) -> list[Laptop]:
        """Whose uploads are to be found at the end."""
        return [self.room.laptop]


class Cut(Fault):
    """Twice: after some bytes, and at a moment. Either end may not hear of it."""

    def begin(self) -> None:
        count, unseen = self.rng.randrange(1, BYTES[self.plan.step]), self.rng.random() < 0.5
        self.told = f"after {count} bytes{' unseen' if unseen else ''} and {self.plan.after_s:.1f} s"
        self.machine.link.cut_after(count, unseen)

    def strike(self, running: Running) -> None:
        self.machine.link.cut(unseen=self.rng.random() < 0.5)


class Down(Fault):
    def strike(self, running: Running) -> None:
        seconds = self.rng.uniform(1, 8)
        self.told += f" for {seconds:.1f} s"
        self.machine.link.down()
        time.sleep(seconds)
        self.machine.link.up()


class Freeze(Fault):
    def strike(self, running: Running) -> None:
        seconds = self.rng.uniform(2, 16)
        self.told += f" for {seconds:.1f} s"
        self.machine.link.freeze()
        time.sleep(seconds)
        self.machine.link.thaw()


class Sessions(Fault):
    def strike(self, running: Running) -> None:
        self.machine.kill_sessions()


class Restart(Fault):
    def strike(self, running: Running) -> None:
        self.machine.kill()
        time.sleep(self.rng.uniform(0.2, 4))
        self.machine.start()


class LaptopKilled(Fault):
    """And, of a file that was half there, the last byte may come out another one."""

    codes = (*DOCUMENTED, -9)

    def strike(self, running: Running) -> None:
        running.kill()

    def mend(self) -> None:
        parts = [path for path in (self.machine.root / ".ai_nano").rglob(".part-*") if path.stat().st_size]
        if parts and self.rng.random() < 0.5:
            self.told += ", a part damaged"
            data = parts[0].read_bytes()
            parts[0].write_bytes(data[:-1] + bytes([data[-1] ^ 255]))


class DiskFull(Fault):
    @staticmethod
    def prepare(room: Room, step: str, rng: random.Random) -> None:
        room.small_disk = "DL" if step in ON_SERVER else "nano1"

    def begin(self) -> None:
        if self.rng.random() < 0.5:
            self.told = "from the start"
            self._fill()

    def strike(self, running: Running) -> None:
        self._fill()

    def _fill(self) -> None:
        self.machine.fill_disk(self.rng.choice((0, 4096, 300_000)))

    def mend(self) -> None:
        self.machine.empty_disk()

    def judge(self, tried: Try) -> None:
        super().judge(tried)
        if tried.code not in (0, 1):
            raise Broken(f"a full disk ends with {tried.code} {tried.error}")


class HalfModel(Fault):
    """What a Nano that loses its power leaves of a file: half, or the rest full of zeros under the right size and time."""

    codes = (0, 1, 4)

    def begin(self) -> None:
        model = next((self.room.nano.root / "models").glob("*/model.onnx"))
        status = model.stat()
        zeros = self.rng.random() < 0.5
        with model.open("r+b") as stream:
            stream.truncate(self.rng.randrange(status.st_size))
            if zeros:
                stream.truncate(status.st_size)
        if zeros:
            os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.told = "zeros in the model" if zeros else "half a model"

    def mend(self) -> None:
        tried = self.room.laptop.run("deploy", self.room.laptop.workspace.name)
        if tried.code:
            raise Broken(f"deploying again ends with {tried.code} {tried.error}")


class Clock(Fault):
    codes = (0,)

    @staticmethod
    def prepare(room: Room, step: str, rng: random.Random) -> None:
        room.clock_off_s = rng.choice((-3600, 3600))

    def begin(self) -> None:
        self.told = f"{self.room.clock_off_s:+d} s on both machines"


class HostKey(Fault):
    """Of a machine that the laptop knows already."""

    def begin(self) -> None:
        self._models = ("models",) if self.machine is self.room.server else ("models", "--nano", "nano1")
        if self.room.laptop.run(*self._models).code:
            raise Broken("the machine cannot be asked for its models")

    def strike(self, running: Running) -> None:
        self._in_time = running.runs
        self.machine.kill()
        self.machine.start(right_key=False)

    def judge(self, tried: Try) -> None:
        if not self._in_time or tried.code == 0 or (tried.code, tried.error) == (3, "machine.lost"):
            # It needed no new connection, or gave up before it had one.
            tried = self.room.laptop.run(*self._models)
        if (tried.code, tried.error) != (3, "machine.host_key_changed"):
            raise Broken(f"a changed host key ends with {tried.code} {tried.error}")

    def mend(self) -> None:
        self.machine.kill()
        self.machine.start()


class TwoLaptops(Fault):
    """Copies of one workspace, by one student's name."""

    def begin(self) -> None:
        self.other = self.room.new_laptop("laptop2")
        tried = self.other.run("split", self.other.workspace.name)
        if tried.code:
            raise Broken(f"the other's split ends with {tried.code}")
        self._running: Running | None = None
        if self.rng.random() < 0.5:
            self.told = "at once"
            self._running = self.other.start("upload", self.other.workspace.name)

    def strike(self, running: Running) -> None:
        self._running = self._running or self.other.start("upload", self.other.workspace.name)

    def mend(self) -> None:
        assert self._running is not None
        tried = self._running.wait()
        if tried.code:
            raise Broken(f"the other's upload ends with {tried.code} {tried.error}")

    @property
    def laptops(self) -> list[Laptop]:
        return [self.room.laptop, self.other]


# A soak of 20 seeds has every kind, and the laptop killed at each step.
CYCLE: tuple[tuple[str, type[Fault], tuple[str, ...]], ...] = (
    ("cut", Cut, ("upload",)),
    ("cut", Cut, ("train",)),
    ("laptop killed", LaptopKilled, ("split", "upload")),
    ("laptop killed", LaptopKilled, ("train",)),
    ("laptop killed", LaptopKilled, ("export",)),
    ("laptop killed", LaptopKilled, ("deploy",)),
    ("laptop killed", LaptopKilled, ("infer",)),
    ("sshd restarted", Restart, ("upload",)),
    ("sshd restarted", Restart, ("train",)),
    ("sessions killed", Sessions, REMOTE),
    ("disk full", DiskFull, ON_SERVER),
    ("disk full", DiskFull, ("deploy",)),
    ("model damaged", HalfModel, ("infer",)),
    ("host key changed", HostKey, ON_SERVER),
    ("host key changed", HostKey, ("deploy", "infer")),
    ("clock off", Clock, REMOTE),
    ("two laptops", TwoLaptops, ("upload",)),
    ("link down", Down, REMOTE),
    ("link frozen", Freeze, REMOTE),
    ("cut", Cut, ("export", "deploy", "infer")),
)
