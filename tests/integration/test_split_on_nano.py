"""The test split on a Nano behind the embedded server, and through `try` on this computer: one answer for each image."""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import colours
import cv2
import pytest
from ssh_machines import Nobody
from ssh_servers import SshServer

from ai_nano.core.bundle import REPORT_JSON
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled
from ai_nano.core.events import Event, Log, Prediction, Progress
from ai_nano.core.nano import nano_test
from ai_nano.core.ports import StepContext
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.room.config import Config, MachineConfig, NanoConfig, Secret, ServerConfig
from ai_nano.core.room.turns import Turn
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.local_machine import LocalMachine
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import SshMachine
from ai_nano.steps.deploy import DeployOptions, DeployStep
from ai_nano.steps.infer import Tally, run_session
from ai_nano.steps.nano_test import NanoTestOptions, NanoTestStep

pytestmark = pytest.mark.parametrize("ssh_server", ["embedded"], indirect=True)
MODEL = "ada-colours-001"
ACCENTED = "verte à moitié 1.png"


class OneNano:
    """A room with nothing but a Nano; what is said in it is in `events`."""

    def __init__(self, machine: SshMachine, settings: NanoConfig, workspace: Workspace) -> None:
        self._machine, self._settings = machine, settings
        self.config = Config(ServerConfig("DL", "nowhere", "x"), (settings,), student="ada")
        self.workspace = workspace
        self.events: list[Event] = []
        self.cancel = CancelToken()
        self.hear: Callable[[Event], None] = self.events.append
        self.root = Path()

    def nano(self, name: str | None) -> SshMachine:
        return self._machine

    def note_project(self, ident: str, name: str) -> None:
        """Nothing is cleaned here."""

    def nano_config(self, name: str | None) -> NanoConfig:
        return self._settings

    def context(self) -> StepContext:
        return StepContext(self, lambda event: self.hear(event), self.cancel)  # type: ignore[arg-type]

    def test(self, **options: Any) -> nano_test.NanoTest:
        NanoTestStep().run(self.workspace, NanoTestOptions(**options), self.context())
        found = nano_test.of_nano(self.workspace.model_folder(MODEL), "nano1")
        assert found is not None
        return found

    def sent(self) -> list[object]:
        return [event.params["sent"] for event in self.events if isinstance(event, Log) and event.code == "test_nano.sent"]

    def beside_the_model(self) -> list[str]:
        return sorted(path.name for path in (self.root / "models").iterdir() if path.name != MODEL)


def noisy(colour: str, dice: random.Random) -> bytes:
    """Each file another one, and other pixels in each."""
    pixels = colours.image(colour)
    pixels[:4, :4] = [dice.randrange(256) for _ in range(3)]
    return bytes(cv2.imencode(".png", pixels)[1])


def make_workspace(folder: Path) -> Workspace:
    """24 test images: of the red ones two are blue, one of the green ones is no image, another one PyTorch takes for blue."""
    dice = random.Random(0)
    workspace = Workspace.create(folder, colours.CLASSES)
    told = []
    for name in colours.CLASSES:
        place = folder / "test" / name
        place.mkdir(parents=True)
        for number in range(8):
            file = ACCENTED if (name, number) == ("green", 1) else f"{number:03}.png"
            shown = "blue" if name == "red" and number < 2 else name
            (place / file).write_bytes(noisy(shown, dice))
            answer = "blue" if (name, number) == ("green", 7) else shown
            told.append({"file": f"test/{name}/{file}", "predicted": answer, "confidence": 0.5})
    (folder / "test" / "green" / "000.png").write_bytes(b"\x89PNG no more")
    model = workspace.model_folder(MODEL)
    colours.make_model(model)
    (model / REPORT_JSON).write_text(json.dumps({
        "v": 1, "model": MODEL, "recipe": "quick", "arch": "a", "classes": colours.CLASSES, "seconds": {}, "history": [],
        "images": {"train": 0, "val": 0, "test": 24}, "confusion": [[6, 0, 2], [0, 6, 1], [0, 0, 8]], "per_class": {},
        "samples": [], "answers": [one for one in told if one["file"] != "test/green/000.png"]}))
    with workspace.writing():
        workspace.note(Receipt("export", "done", "", facts={"model": MODEL, "classes": colours.CLASSES}))
    return workspace


@pytest.fixture
def room(ssh_server: SshServer, remote_folder: str, tmp_path: Path) -> Iterator[OneNano]:
    """The model is deployed."""
    settings: MachineConfig = NanoConfig(
        "nano1", ssh_server.host, ssh_server.user, Secret(str(ssh_server.password)), ssh_server.port,
        host_key=ssh_server.host_key, root=f"{remote_folder}/ai nano", python=sys.executable)
    assert isinstance(settings, NanoConfig)
    settings = replace(settings, engine="onnxruntime", leds="file")
    machine = SshMachine(settings, Programs("jetson_nano"), HostKeys(tmp_path / "known_hosts"), Nobody())
    made = OneNano(machine, settings, make_workspace(tmp_path / "w"))
    made.root = ssh_server.home / remote_folder / "ai nano"
    with made.workspace.writing():
        made.workspace.note(DeployStep().run(made.workspace, DeployOptions(), made.context()))
    yield made
    machine.close()


def tried(workspace: Workspace, folder: Path) -> dict[str, str | None]:
    """What `try` says of the same images."""
    seen: dict[str, str | None] = {}

    def hear(event: Event) -> None:
        if isinstance(event, Prediction):
            seen[f"test/{event.file}"] = event.class_name

    params = {"model_dir": str(workspace.model_folder(MODEL)), "camera": str(workspace.path / "test"), "flip": None,
              "engine": "onnxruntime", "leds": "none", "pins": [], "leds_file": None, "threshold": 0.0, "frames": None,
              "seconds": None}
    context = StepContext(None, hear, CancelToken())  # type: ignore[arg-type]
    run_session(LocalMachine(folder), "laptop", "try", params, context, Tally())
    return seen


def test_it_says_of_each_image_what_try_says(room: OneNano, tmp_path: Path) -> None:
    model = room.root / "models" / MODEL
    before = {path: path.read_bytes() for path in model.iterdir()}
    test = room.test()
    assert (test.images, test.unread, test.unread_files) == (24, 1, ("test/green/000.png",))
    assert (test.right, test.read, test.engine) == (21, 23, "onnxruntime")
    assert (test.compared, test.same, test.others, test.reason) == (23, 22, 0, None)
    assert [(one.file, one.nano, one.report) for one in test.different] == [("test/green/007.png", "green", "blue")]
    assert set(test.ms) == {"preprocess", "network", "image"} and 0 < test.ms["network"].median <= test.ms["image"].p95
    assert {path: path.read_bytes() for path in model.iterdir()} == before and room.beside_the_model() == []
    assert not (room.root / "leds.jsonl").exists()
    told = tried(room.workspace, tmp_path / "here")
    document = json.loads((room.workspace.model_folder(MODEL) / REPORT_JSON).read_text())
    report = {one["file"]: one["predicted"] for one in document["answers"]}
    assert len(told) == 23 and {file for file in told if told[file] != report[file]} == {"test/green/007.png"}


def test_what_is_kept_there_is_not_sent_again(room: OneNano) -> None:
    first = room.test(keep=True)
    assert len(room.beside_the_model()) == 1
    assert replace(room.test(keep=True), at=first.at, ms=first.ms) == first
    new = room.workspace.path / "test" / "blue" / "new.png"
    new.write_bytes(noisy("blue", random.Random(1)))
    (room.workspace.path / "test" / "red" / "000.png").unlink()
    test = room.test()
    assert (test.images, test.right, test.others) == (24, 22, 1)
    assert room.sent() == [24, 0, 1] and room.beside_the_model() == []


def test_it_is_cancelled(room: OneNano) -> None:
    began: list[float] = []

    def hear(event: Event) -> None:
        if isinstance(event, Log) and event.code == "test_nano.sent":
            began.append(time.monotonic())
            room.cancel.cancel()

    room.hear = hear
    with pytest.raises(Cancelled):
        room.test()
    took = time.monotonic() - began[0]
    print(f"cancelled after {took:.2f} s")
    assert took < 10 and room.beside_the_model() == []
    assert [run["state"] for run in room.nano(None).jobs()] == ["cancelled"]


def test_somebody_elses_turn_comes_first(room: OneNano) -> None:
    machine = room.nano(None)
    machine.student = "bob@lab"
    job = machine.start("blink", "jetson_nano/blink.py", {"leds": "none", "pins": [12], "leds_file": None, "classes": [],
                                                           "seconds": 1.0, "rounds": 100})
    machine.student = "ada@lab"
    told: list[Turn] = []

    def hear(event: Event) -> None:
        if isinstance(event, Turn):
            told.append(event)
            if event.state == "waiting":
                job.cancel()
        elif isinstance(event, Progress) and event.what == "test_nano.images" and event.done:
            told.append(Turn("test-nano", "nano1", "classified"))

    room.hear = hear
    try:
        room.test()
    finally:
        job.cancel()
    states = [event.state for event in told]
    assert states[0] == "waiting" and states.index("yours") < states.index("classified")
    assert [place.student for place in told[0].ahead] == ["bob@lab"]
