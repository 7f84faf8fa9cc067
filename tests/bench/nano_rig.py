"""A Nano's folder on this computer, its programs under the Nano's Python, and sshd before it: for tests.bench.nano."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_nano.cameras.images import ImageFiles
from ai_nano.core.cancel import CancelToken
from ai_nano.core.ports import Picture, RemoteJob
from ai_nano.core.room.config import NanoConfig
from ai_nano.demo.classroom import nano_python
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.local_machine import LocalMachine
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import SshMachine

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "integration"), str(TESTS / "contract")]
from colours import CLASSES, make_model  # noqa: E402
from ssh_servers import SshServer  # noqa: E402

from tests.bench.clock_camera import ClockCamera, read_clock  # noqa: E402
from tests.bench.ways import Nobody  # noqa: E402

REMOTE = TESTS.parent / "remote"
ON_NANO = Path(__file__).with_name("on_nano")
CLASSIFY = "jetson_nano/classify.py"
PINS = (12, 16, 18)
MODEL = "colours-001"
LARGEST = (1280, 720)
FIRST_S = 60.0


@dataclass(frozen=True)
class Shown:
    """A colour before the camera, and the unix time at which its first frame was drawn."""

    t: float
    pin: int


@dataclass
class Loop:
    """One run of the timed program. `rows` are on_nano/timed.py's, `lit` what the LEDs' file says: (t, pin)."""

    rows: list[tuple[float, float, float]]
    predictions: list[Mapping[str, Any]]
    lit: list[tuple[float, int]]
    shown: list[Shown]

    @property
    def beyond_ms(self) -> list[float]:
        """Of each frame: what the loop takes beyond capture, preparation, network and LEDs. Without the first and the
        last, which open and close."""
        return [row[2] - sum(said["ms"][stage] for stage in ("preprocess", "network", "leds"))
                for row, said in zip(self.rows, self.predictions, strict=True)][1:-1]

    @property
    def changes(self) -> list[tuple[bool, float]]:
        """Of each LED that was lit: whether in the loop's turn of the frame that caused it; ms since that frame was there."""
        caused, before = [], []
        for place, said in enumerate(self.predictions):
            if said["lit"] and said["lit"] != before:
                caused.append((place, said["lit"][0]))
            before = said["lit"]
        assert [pin for _, pin in caused] == [pin for _, pin in self.lit], "an LED was lit that no prediction names"
        return [(self.rows[place][0] <= t <= self.rows[place][1], 1000 * (t - self.predictions[place]["t"]))
                for (place, _), (t, _) in zip(caused, self.lit, strict=True)]


def until_lit(shown: list[Shown], lit: list[tuple[float, int]]) -> list[float]:
    """Seconds from each card to its LED; a card that was gone before its LED came is left out."""
    found = []
    for place, card in enumerate(shown):
        end = shown[place + 1].t if place + 1 < len(shown) else float("inf")
        times = [t - card.t for t, pin in lit if pin == card.pin and card.t <= t < end]
        found += times[:1]
    return found


class Board:
    """ROOT of a Nano, with a model that tells red, green and blue apart."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._runs = 0
        self.model = make_model(root / "models" / MODEL)

    def params(self, camera: str, **changes: Any) -> dict[str, Any]:
        return {"model_dir": str(self.model), "camera": camera, "flip": None, "engine": "onnxruntime", "leds": "file",
                "pins": list(PINS), "leds_file": None, "threshold": 0.6, "hysteresis": 0.1, "smoothing_s": 0.0, "frames": None,
                "seconds": None, **changes}

    def lit(self, offset: int = 0) -> list[tuple[float, int]]:
        """When which LED was lit, from that line of leds.jsonl on."""
        lines = [json.loads(line) for line in self._led_lines()[offset:]]
        return [(line["t"], line["pin"]) for line in lines if line["on"]]

    def _led_lines(self) -> list[str]:
        file = self.root / "leds.jsonl"
        return file.read_text().splitlines() if file.exists() else []

    def loop(self, camera: ClockCamera, frames: int, watched: bool, pause: Callable[[], float] = lambda: 0.5) -> Loop:
        """The timed program to its end, while another colour is shown after each pause."""
        self._runs += 1
        folder = self.root / ".ai_nano" / "runs" / f"timed-{self._runs}"
        folder.mkdir(parents=True)
        spec = {"v": 1, "id": folder.name, "program": CLASSIFY, "params": self.params(camera.uri, frames=frames),
                "lease_s": None, "root": str(self.root)}
        (folder / "spec.json").write_text(json.dumps(spec))
        before, events = len(self._led_lines()), folder / "events.jsonl"
        words = [str(ON_NANO / "timed.py"), str(REMOTE), "--run", str(folder)]
        with self._program(folder, words) as process, self._viewer(folder.name, watched):
            shown = show_colours(camera, pause, lambda: process.poll() is not None, lambda: _has_begun(events))
        assert process.returncode == 0, (folder / "output.log").read_text()[-2000:]
        said = [event for event in map(json.loads, events.read_text().splitlines()) if event["type"] == "prediction"]
        rows = [tuple(row) for row in json.loads((folder / "timing.json").read_text())]
        return Loop(rows, said, self.lit(before), shown)  # type: ignore[arg-type]

    def older(self, camera: ClockCamera, seconds: float, pause: Callable[[], float]) -> list[float]:
        """Seconds from card to LED of the older program's stand-in."""
        folder = self.root / "older"
        folder.mkdir()
        leds = folder / "leds.jsonl"
        words = [str(ON_NANO / "older.py"), str(REMOTE), str(self.model), camera.uri, str(leds), str(seconds)]
        with self._program(folder, words) as process:
            shown = show_colours(camera, pause, lambda: process.poll() is not None,
                                 lambda: "ready" in (folder / "output.log").read_text())
        assert process.returncode == 0, (folder / "output.log").read_text()[-2000:]
        lines = [json.loads(line) for line in leds.read_text().splitlines()]
        return until_lit(shown, [(line["t"], line["pin"]) for line in lines if line["on"]])

    @contextmanager
    def _program(self, folder: Path, words: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
        environment = {**os.environ, "PYTHONPATH": str(REMOTE), "PYTHONDONTWRITEBYTECODE": "1"}
        with (folder / "output.log").open("wb") as output:
            with subprocess.Popen([nano_python(), *words], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT) as process:
                try:
                    yield process
                    process.wait()
                finally:
                    process.kill()

    @contextmanager
    def _viewer(self, run: str, watched: bool) -> Iterator[None]:
        cancel = CancelToken()
        job, images = LocalMachine(self.root).attach(run), ImageFiles()
        started = self.root / ".ai_nano" / "runs" / run / "pid.json"

        def watch() -> None:
            while not started.exists() and not cancel.wait(0.02):
                pass
            job.watch(lambda one: _ignore(images.bitmap(one.jpeg, *LARGEST)), cancel)

        thread = threading.Thread(target=watch)
        if watched:
            thread.start()
        try:
            yield
        finally:
            cancel.cancel()
            if watched:
                thread.join()


def _ignore(_thing: object) -> None:
    """It has cost what it costs."""


def _has_begun(events: Path) -> bool:
    return events.exists() and '"prediction"' in events.read_text()


def show_colours(camera: ClockCamera, pause: Callable[[], float], over: Callable[[], bool],
                 begun: Callable[[], bool]) -> list[Shown]:
    shown: list[Shown] = []
    while not over():
        if begun():
            place = (len(shown) + 1) % len(CLASSES)
            shown.append(Shown(camera.show(CLASSES[place]), PINS[place]))
        _wait(pause(), over)
    return shown


def _wait(seconds: float, over: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not over():
        time.sleep(0.01)


# ---- over SSH ------------------------------------------------------------------------------------------------------------


def open_nano(server: SshServer, port: int, root: Path, folder: Path) -> SshMachine:
    """Not connected yet; `port` is a link's, or the server's own."""
    config = NanoConfig("nano1", server.host, server.user, None, port, server.key_file, host_key=server.host_key,
                        root=str(root), python=nano_python())
    return SshMachine(config, Programs("jetson_nano"), HostKeys(folder / "known_hosts"), Nobody())


@dataclass(frozen=True)
class Seen:
    """A picture that a viewer got at `at`: seconds since it was drawn (None: its clock is unreadable) and since the program on
    the Nano had the frame, its width, its bytes."""

    at: float
    age: float | None
    captured: float
    width: int
    size: int


class Session:
    """A classification as step 8 starts it, followed and, if wanted, watched. Use with `with`."""

    def __init__(self, machine: SshMachine, board: Board, camera: str, watched: bool = True) -> None:
        self._machine, self._board, self._camera, self._watched = machine, board, camera, watched
        self._cancel, self._first = CancelToken(), threading.Event()
        self._images = ImageFiles()
        self.seen: list[Seen] = []
        self.first_s = 0.0

    def __enter__(self) -> "Session":
        self._began = time.monotonic()
        self._job: RemoteJob = self._machine.start("infer", CLASSIFY, self._board.params(self._camera), lease_s=5.0)
        targets = [lambda: self._job.follow(self._on_event, lambda text: None, self._cancel)]
        if self._watched:
            targets.append(lambda: self._job.watch(self._on_picture, self._cancel))  # type: ignore[arg-type, return-value]
        self._threads = [threading.Thread(target=target) for target in targets]
        for thread in self._threads:
            thread.start()
        if not self._first.wait(FIRST_S):
            self.__exit__()
            raise RuntimeError("no prediction came")
        return self

    def __exit__(self, *_error: object) -> None:
        self._job.send({"type": "stop"})
        self._threads[0].join(10)
        self._cancel.cancel()
        for thread in self._threads:
            thread.join()

    @property
    def pid(self) -> int:
        """Of the program, which runs on this computer."""
        return int(json.loads((self._board.root / ".ai_nano" / "runs" / self._job.id / "pid.json").read_text())["pid"])

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "prediction" and not self._first.is_set():
            self.first_s = time.monotonic() - self._began
            self._first.set()

    def _on_picture(self, picture: Picture) -> None:
        """Decoded as the window does it; the age counts from then."""
        bitmap = self._images.bitmap(picture.jpeg, *LARGEST)
        now = time.time()
        age = None if bitmap is None else read_clock(bitmap.data, now)
        self.seen.append(Seen(now, age, now - picture.t, picture.width, len(picture.jpeg)))


def memory_kb(pid: int) -> int:
    """Resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS")
