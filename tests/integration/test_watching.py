"""A session with live pictures over real channels: to the embedded server, OpenSSH and a local process."""

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import colours
import cv2
import numpy as np
import pytest
from link import Link
from ssh_servers import SshServer

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled
from ai_nano.core.events import Event, Prediction
from ai_nano.core.nano.adapting import LADDER, START
from ai_nano.core.ports import Picture, StepContext
from ai_nano.core.room.config import MachineConfig, NanoConfig, Secret
from ai_nano.core.watching import Kept, Watching
from ai_nano.machines.base import ProgramMachine
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.local_machine import LocalMachine
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import SshMachine
from ai_nano.steps.infer import Tally, run_session

SERVERS = pytest.mark.parametrize("ssh_server", ["embedded", "openssh-key"], indirect=True)
CYCLE = ("red", "green", "blue")


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        return None


@pytest.fixture
def nano(ssh_server: SshServer, remote_folder: str, tmp_path: Path) -> Iterator[SshMachine]:
    config: MachineConfig = NanoConfig(
        "nano1", ssh_server.host, ssh_server.user, None, ssh_server.port, ssh_server.key_file,
        host_key=ssh_server.host_key, root=f"{remote_folder}/ai nano", python=sys.executable)
    if ssh_server.kind == "embedded":
        config = replace(config, password=Secret(str(ssh_server.password)), key_file=None)
    machine = SshMachine(config, Programs("jetson_nano"), HostKeys(tmp_path / "known_hosts"), Nobody())
    yield machine
    machine.close()


@pytest.fixture
def link(ssh_server: SshServer) -> Iterator[Link]:
    with Link(ssh_server.host, ssh_server.port) as made:
        yield made


@pytest.fixture
def nano_behind_a_link(ssh_server: SshServer, link: Link, remote_folder: str, tmp_path: Path) -> Iterator[SshMachine]:
    config = NanoConfig("nano1", link.host, ssh_server.user, Secret(str(ssh_server.password)), link.port,
                        host_key=ssh_server.host_key, root=f"{remote_folder}/ai nano", python=sys.executable)
    machine = SshMachine(config, Programs("jetson_nano"), HostKeys(tmp_path / "known_hosts"), Nobody())
    yield machine
    machine.close()


@pytest.fixture
def camera() -> Iterator[Any]:
    """Shows red, green, blue in turn, 30 times a second."""
    camera = colours.MjpegCamera()
    stop = threading.Event()

    def show() -> None:
        turn = 0
        while not stop.wait(1 / 30):
            camera.show(CYCLE[turn % 3])
            turn += 1

    thread = threading.Thread(target=show)
    thread.start()
    yield camera
    stop.set()
    thread.join()
    camera.close()


def detailed(colour: str) -> bytes:
    """1280 x 720 pixels as JPEG, with as much to be seen in them as in a photograph; the network knows the colour."""
    spots = np.random.default_rng(3).integers(0, 256, (180, 320, 3), np.uint8)
    large = cv2.resize(spots, (1280, 720), interpolation=cv2.INTER_CUBIC)
    pixels = cv2.addWeighted(large, 0.5, np.full_like(large, colours.BGR[colour]), 0.5, 0)
    return bytes(cv2.imencode(".jpg", pixels)[1])


@pytest.fixture
def large_camera() -> Iterator[Any]:
    """Shows large frames, red, green, blue in turn."""
    camera, stop = colours.MjpegCamera(), threading.Event()
    frames = itertools.cycle([detailed(colour) for colour in CYCLE])

    def show() -> None:
        while not stop.wait(1 / 30):
            camera.show_latest(next(frames))

    thread = threading.Thread(target=show)
    thread.start()
    yield camera
    stop.set()
    thread.join()
    camera.close()


class Session:
    """A session in a thread, with what it said and showed."""

    def __init__(self, machine: ProgramMachine, folder: Path, camera: str,
                 on_picture: Callable[[Picture], None] | None = None) -> None:
        model = colours.make_model(folder / "models" / "colours-001")
        self.pictures: list[Picture] = []
        self.predictions: list[Prediction] = []
        self.cancel = CancelToken()
        self.context = StepContext(None, self._hear, self.cancel)  # type: ignore[arg-type]
        self.failed: AiNanoError | None = None
        self.kept: list[Kept] = []
        self.watching = Watching(self.kept.append)
        params = {"model_dir": str(model), "camera": camera, "flip": None, "engine": "onnxruntime", "leds": "none",
                  "pins": [], "leds_file": None, "threshold": 0.6, "frames": None, "seconds": None}

        def look(picture: Picture) -> None:
            self.pictures.append(picture)
            if on_picture is not None:
                on_picture(picture)

        def work() -> None:
            try:
                run_session(machine, "nano1", "infer", params, self.context, Tally(), look, self.watching)
            except Cancelled:
                raise AssertionError("a session without a limit ends well") from None
            except AiNanoError as error:
                self.failed = error

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Prediction):
            self.predictions.append(event)

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline and self.thread.is_alive(), f"waited in vain for {what}: {self.failed}"
            time.sleep(0.01)

    def end(self) -> None:
        self.cancel.cancel()
        self.thread.join(40)
        assert not self.thread.is_alive()


@contextmanager
def session(machine: ProgramMachine, folder: Path, camera: Any,
            on_picture: Callable[[Picture], None] | None = None) -> Iterator[Session]:
    running = Session(machine, folder, camera.uri, on_picture)
    try:
        yield running
    finally:
        running.end()
    assert running.failed is None


def colour_of(picture: Picture) -> str:
    pixels = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None and pixels.shape == (picture.height, picture.width, 3)
    return CYCLE[2 - int(pixels.reshape(-1, 3).mean(0).argmax())]


def check_pictures_are_of_their_predictions(running: Session) -> None:
    seen = {one.frame: one for one in running.predictions}
    frames = [picture.frame for picture in running.pictures]
    assert frames == sorted(set(frames))
    for picture in running.pictures:
        assert (colour_of(picture), picture.t) == (seen[picture.frame].class_name, seen[picture.frame].t)


@SERVERS
def test_pictures_come_beside_the_predictions(nano: SshMachine, tmp_path: Path, camera: Any) -> None:
    with session(nano, tmp_path, camera) as running:
        running.wait(lambda: len(running.pictures) >= 10, "pictures")
        count = len(running.predictions)
        running.wait(lambda: len(running.predictions) > count, "predictions")
    check_pictures_are_of_their_predictions(running)


def test_pictures_of_a_local_process(tmp_path: Path, camera: Any) -> None:
    with session(LocalMachine(tmp_path / "root"), tmp_path, camera) as running:
        running.wait(lambda: len(running.pictures) >= 10, "pictures")
    check_pictures_are_of_their_predictions(running)


@SERVERS
def test_after_a_cut_connection_pictures_come_again(nano: SshMachine, tmp_path: Path, camera: Any) -> None:
    with session(nano, tmp_path, camera) as running:
        running.wait(lambda: len(running.pictures) >= 3, "pictures")
        nano.close()
        before = len(running.pictures)
        running.wait(lambda: len(running.pictures) >= before + 5, "pictures after the cut")
    check_pictures_are_of_their_predictions(running)


@SERVERS
def test_a_slow_viewer_gets_new_pictures_and_slows_nothing(nano: SshMachine, tmp_path: Path, camera: Any) -> None:
    looked_at: list[float] = []

    def slowly(picture: Picture) -> None:
        looked_at.append(time.time())
        time.sleep(0.5)

    with session(nano, tmp_path, camera, slowly) as running:
        running.wait(lambda: len(running.pictures) >= 6, "pictures")
    # Two were asked for at first, then one after each: the third was taken after the first had been looked at.
    for picture, earlier in zip(running.pictures[2:], looked_at, strict=False):
        assert picture.t > earlier
    assert len(running.predictions) > 2 * len(running.pictures)
    check_pictures_are_of_their_predictions(running)


def test_a_viewer_that_fails_does_not_end_the_session(
        tmp_path: Path, camera: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(picture: Picture) -> None:
        raise ValueError("the window has gone")

    with session(LocalMachine(tmp_path / "root"), tmp_path, camera, fail) as running:
        running.wait(lambda: running.pictures, "a picture")
        count = len(running.predictions)
        running.wait(lambda: len(running.predictions) > count + 10, "more predictions")
    assert "the window has gone" in caplog.text and len(running.pictures) == 1


@SERVERS
def test_the_threshold_is_moved_while_it_runs(nano: SshMachine, tmp_path: Path, camera: Any) -> None:
    with session(nano, tmp_path, camera) as running:
        running.wait(lambda: running.predictions, "a prediction")
        assert running.predictions[-1].class_name is not None
        running.context.commands.send({"type": "set", "threshold": 1.0})
        running.wait(lambda: running.predictions[-1].class_name is None, "the new threshold")


# ---- as large as the link carries, and full frames -------------------------------------------------------------------


@pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
def test_pictures_are_as_large_as_the_link_carries(
        nano_behind_a_link: SshMachine, link: Link, tmp_path: Path, large_camera: Any) -> None:
    with session(nano_behind_a_link, tmp_path, large_camera) as running:
        running.wait(lambda: running.pictures and running.pictures[-1].width > LADDER[START].width, "larger pictures")
        link.pace(0.5e6, 0.02)
        running.wait(lambda: running.pictures[-1].width < LADDER[START].width, "smaller pictures")


def check_full_frames(running: Session) -> None:
    """Of the pictures that were shown last, as a person asks for them."""
    for _ in range(3):
        count = len(running.pictures)
        running.wait(lambda: len(running.pictures) > count + 2, "pictures")  # noqa: B023
        picture, answered = running.pictures[-1], len(running.kept)
        running.watching.keep(picture.frame)
        running.wait(lambda: len(running.kept) > answered, "the full frame")  # noqa: B023
        kept = running.kept[-1]
        assert (kept.frame, kept.t, kept.width, kept.height) == (picture.frame, picture.t, 1280, 720)
        assert kept.jpeg is not None
        assert colour_of(Picture(kept.jpeg, kept.frame, kept.t, kept.width, kept.height)) == colour_of(picture)
    running.watching.keep(10**6)
    running.wait(lambda: running.kept[-1].frame == 10**6, "the answer that it is not there")
    assert running.kept[-1] == Kept(10**6, None)


@SERVERS
def test_full_frames_of_a_nano(nano: SshMachine, tmp_path: Path, large_camera: Any) -> None:
    with session(nano, tmp_path, large_camera) as running:
        check_full_frames(running)


def test_full_frames_of_a_local_process(tmp_path: Path, large_camera: Any) -> None:
    with session(LocalMachine(tmp_path / "root"), tmp_path, large_camera) as running:
        check_full_frames(running)
    running.watching.keep(1)
    assert running.kept[-1] == Kept(1, None)
