"""Step 8's live side with doubles: pictures in a thread of their own, commands while it runs."""

import json
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from room import Room

from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.commands import Commands
from ai_nano.core.errors import BadInput, MachineError
from ai_nano.core.events import Health, Prediction, ignore
from ai_nano.core.nano.deciding import is_live
from ai_nano.core.ports import CameraOptions, Picture, StepContext
from ai_nano.core.recording import camera_options
from ai_nano.core.watching import Kept, Watching
from ai_nano.machines import frames
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.infer import InferOptions, TryOptions

GOLDEN = {one["line"]: one["example"] for one in map(
    json.loads, (Path(__file__).parents[1] / "data" / "wire_v1.jsonl").read_text("utf-8").splitlines())}
HOT = {"temperatures": {"CPU": 41.5, "GPU": 39.0}, "throttled": ["cpu-balanced"], "power_mode": "MAXN",
       "memory": {"total_mb": 3956, "available_mb": 1420}}
PICTURES = [Picture(b"\xff\xd8", number, 1.0 + number, 640, 360) for number in (3, 7)]


@pytest.fixture
def deployed(exported: Room) -> Room:
    exported.do("deploy", DeployOptions())
    return exported


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(("step", "options"), [("infer", InferOptions), ("try", TryOptions)])
def test_pictures_come_in_a_thread_that_ends_with_the_session(deployed: Room, step: str, options: Any) -> None:
    nano = deployed.lab.nano(None)
    nano.pictures, nano.hold = PICTURES, threading.Event()
    seen: list[Picture] = []
    threads: set[str] = set()

    def look(picture: Picture) -> None:
        threads.add(threading.current_thread().name)
        seen.append(picture)
        if len(seen) == len(PICTURES):
            assert nano.hold is not None
            nano.hold.set()

    deployed.do(step, options(frames=1, on_picture=look))
    assert seen == PICTURES and threads == {"pictures"}
    assert not [thread for thread in threading.enumerate() if thread.name == "pictures"]


def test_nobody_watches_unless_asked_to(deployed: Room) -> None:
    deployed.do("infer", InferOptions(frames=1))
    assert deployed.lab.nano(None).watched == 0
    assert InferOptions(on_picture=print) == InferOptions() and "print" not in repr(TryOptions(on_picture=print))


def test_commands_reach_the_program_in_order(deployed: Room) -> None:
    nano = deployed.lab.nano(None)
    nano.hold = threading.Event()
    running = deployed.workflow.start("infer", InferOptions(), ignore)
    running.send({"type": "set", "threshold": 0.7})  # the session may not be there yet
    wait_for(lambda: nano.commands)
    running.send({"type": "set", "threshold": 0.8})
    wait_for(lambda: len(nano.commands) == 2)
    running.cancel()
    running.result(20)
    assert [command["threshold"] for command in nano.commands] == [0.7, 0.8]


def test_what_was_sent_before_the_session_waits_for_it() -> None:
    commands, delivered = Commands(), []
    for number in range(3):
        commands.send({"number": number})
    commands.connect(delivered.append)
    commands.send({"number": 3})
    assert [command["number"] for command in delivered] == [0, 1, 2, 3]


def test_a_context_has_commands_of_its_own(deployed: Room) -> None:
    contexts = [StepContext(deployed.lab, ignore, CancelToken()) for _ in range(2)]
    assert contexts[0].commands is not contexts[1].commands


# ---- how steadily a class is shown --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("camera", "live"), [
    ("/dev/video0", True), ("csi://0", True), ("v4l2:///dev/video1", True), ("webcam:0", True), ("rtsp://h/s", True),
    ("http://127.0.0.1:1/nano.mjpg", True), ("file:///home/a/clip.mp4", False), ("/home/a/test", False), ("clip.mp4", False)])
def test_files_are_taken_frame_by_frame_and_cameras_are_not(deployed: Room, camera: str, live: bool) -> None:
    assert is_live(camera) is live
    deployed.lab.config = replace(deployed.lab.config, nanos=(replace(deployed.lab.nano_settings, camera=camera),))
    deployed.do("infer", InferOptions(frames=1))
    deployed.do("try", TryOptions(frames=1, camera=camera))
    for _, params in deployed.lab.nano(None).started[-2:]:
        assert (params["hysteresis"], params["smoothing_s"]) == ((0.1, 0.15) if live else (0.0, 0.0))


def test_a_model_is_tried_on_pictures_that_are_turned_as_the_recorded_ones(deployed: Room) -> None:
    for options, flip in ((CameraOptions(), None), (CameraOptions(rotate=90), "clockwise")):
        deployed.workspace.settings[camera_options.KEY] = camera_options.to_settings(options, mirror=True)
        deployed.do("try", TryOptions(frames=1, camera="webcam:0"))
        assert deployed.lab.nano(None).started[-1][1]["flip"] == flip


@pytest.mark.parametrize(("engine", "told"), [("tensorrt", {"container": "auto"}), ("onnxruntime", {})])
def test_the_container_is_that_of_jetson_inference(deployed: Room, engine: str, told: dict[str, str]) -> None:
    settings = replace(deployed.lab.nano_settings, engine=engine, container="auto")
    deployed.lab.config = replace(deployed.lab.config, nanos=(settings,))
    deployed.do("infer", InferOptions(frames=1))
    params = deployed.lab.nano(None).started[-1][1]
    assert {key: value for key, value in params.items() if key == "container"} == told


def test_what_a_person_asks_for_counts(deployed: Room) -> None:
    deployed.do("infer", InferOptions(frames=1, hysteresis=0.0, smoothing=2.5))
    params = deployed.lab.nano(None).started[-1][1]
    assert (params["hysteresis"], params["smoothing_s"]) == (0.0, 2.5)


@pytest.mark.parametrize("settings", [{"hysteresis": -0.1}, {"hysteresis": 1.1}, {"smoothing": -1.0}, {"smoothing": 61.0},
                                      {"smoothing": float("nan")}, {"hysteresis": float("nan")}])
@pytest.mark.parametrize(("step", "options"), [("infer", InferOptions), ("try", TryOptions)])
def test_settings_without_sense_are_refused(deployed: Room, step: str, options: Any, settings: dict[str, float]) -> None:
    with pytest.raises(BadInput) as caught:
        deployed.workflow.start(step, options(**settings), ignore)
    assert caught.value.code == f"infer.{next(iter(settings))}" and str(caught.value)


def prediction(**more: Any) -> Prediction:
    event = wire.to_event({**GOLDEN["event.prediction"], **more}, "infer", "nano1")
    assert isinstance(event, Prediction)
    return event


def test_it_is_said_how_sure_the_nano_is_of_what_it_shows() -> None:
    """Hysteresis keeps the cat while the dog is a little ahead."""
    shares = {"cat": 0.47, "dog": 0.53}
    shown = {"class": "cat", "class_index": 0, "confidence": 0.53, "probabilities": shares, "lit": [12]}
    assert prediction(**shown).text == "cat 47.0 %, pin 12 is lit"
    assert prediction(**shown, smoothed={"cat": 0.61, "dog": 0.39}).text == "cat 61.0 %, pin 12 is lit"
    none = prediction(**{**shown, "class": None, "class_index": -1, "lit": []}, smoothed={"cat": 0.41, "dog": 0.4})
    assert none.text == "nothing recognised (41.0 %), no LED"


def test_a_prediction_is_passed_on_with_its_stages(deployed: Room) -> None:
    given = {"ms": {"capture": 31.2, "network": 12.4, "weather": 3.0}, "smoothed": {"cat": 1.0}, "file": "cat/1.jpg"}
    told = prediction(**given).to_json()
    assert told["ms"] == {"capture": 31.2, "network": 12.4} and told["smoothed"] == {"cat": 1.0} and told["file"] == "cat/1.jpg"
    assert "smoothed" not in prediction().to_json()


@pytest.mark.parametrize(("changes", "worrying"), [
    ({}, True), ({"throttled": []}, False), ({"throttled": None, "temperatures": {"CPU": 79.9}}, False),
    ({"throttled": None, "temperatures": {"CPU": 80.0}}, True)])
def test_a_hot_or_slowed_board_is_a_worry(changes: dict[str, Any], worrying: bool) -> None:
    event = wire.to_event({**GOLDEN["event.health"], **HOT, **changes}, "infer", "nano1")
    assert isinstance(event, Health) and event.worrying is worrying


def test_health_in_words() -> None:
    event = wire.to_event({**GOLDEN["event.health"], **HOT}, "infer", "nano1")
    assert isinstance(event, Health)
    assert event.text.split("  ·  ") == ["CPU 41.5 °C", "slowed down by heat (cpu-balanced)", "1420 of 3956 MB of memory free",
                                         "power mode MAXN"]
    assert wire.to_event({"v": 1, "type": "health", "temperatures": {}, "throttled": None, "memory": {}, "power_mode": None},
                         "infer", "nano1").text == ""  # type: ignore[union-attr]


# ---- what the laptop makes of the wire -------------------------------------------------------------------------------


def block(header: Mapping[str, Any], jpeg: bytes = b"") -> bytes:
    data = json.dumps(header).encode()
    return struct.pack(">II", len(data), len(jpeg)) + data + jpeg


BEGIN = json.dumps(GOLDEN["frames.pictures"]).encode() + b"\n"
PICTURE = block(GOLDEN["frames.picture"], b"jpeg")
END = block(GOLDEN["frames.end"])


class Relay:
    """A machine that is connected to once for each stream, and an error where there is none left."""

    name = "nano1"

    def __init__(self, *streams: bytes | MachineError) -> None:
        self._streams = list(streams)
        self._stream = b""
        self.asked = b""
        self.connected = 0

    def runner(self, *words: str) -> "Relay":
        assert words == ("frames", "run-1")
        self.connected += 1
        stream = self._streams.pop(0)
        if isinstance(stream, MachineError):
            raise stream
        self._stream = stream
        return self

    def readline(self, timeout: float) -> bytes | None:
        line, newline, self._stream = self._stream.partition(b"\n")
        return line + newline

    def read(self, size: int, timeout: float) -> bytes | None:
        piece, self._stream = self._stream[:size], self._stream[size:]
        return piece

    def write(self, data: bytes) -> None:
        self.asked += data

    @property
    def credits(self) -> int:
        return self.asked.splitlines().count(b"")

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.asked.splitlines() if line]

    def close(self) -> None: ...


def watch(relay: Relay) -> list[Picture]:
    seen: list[Picture] = []
    frames.watch(relay, "run-1", seen.append, CancelToken())  # type: ignore[arg-type]
    return seen


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "RETRY_S", 0.0)


def test_every_line_of_the_golden_file_is_understood() -> None:
    relay = Relay(b"Welcome to the Nano\n" + BEGIN + block(GOLDEN["frames.alive"]) + PICTURE + END)
    example = GOLDEN["frames.picture"]
    assert watch(relay) == [
        Picture(b"jpeg", example["frame"], example["t"], example["width"], example["height"])]
    assert relay.lines[0] == {"v": 1, "type": "want", "width": 320, "quality": 60, "fps": 10}
    assert relay.credits == 3  # two to start, and one for the picture


def test_room_for_another_is_told_only_after_a_picture_was_dealt_with() -> None:
    relay, told = Relay(BEGIN + PICTURE * 3 + END), []
    frames.watch(relay, "run-1", lambda picture: told.append(relay.credits), CancelToken())  # type: ignore[arg-type]
    assert told == [2, 3, 4] and relay.credits == 5


def test_who_wants_the_programs_own_pictures_wishes_for_nothing() -> None:
    relay = Relay(BEGIN + PICTURE * 3 + END)
    frames.watch(relay, "run-1", lambda picture: None, CancelToken(), adaptive=False)  # type: ignore[arg-type]
    assert relay.lines == [] and relay.credits == 5


def test_pictures_that_come_at_once_become_larger() -> None:
    relay = Relay(BEGIN + PICTURE * 200 + END)
    frames.watch(relay, "run-1", lambda picture: time.sleep(0.005), CancelToken())  # type: ignore[arg-type]
    widths = [line["width"] for line in relay.lines]
    assert widths[0] == 320 and widths == sorted(widths) and widths[-1] > 400


def test_an_older_nano_that_does_not_tell_how_long_the_credit_lay_there_is_sent_no_other_wish() -> None:
    older = {key: value for key, value in GOLDEN["frames.picture"].items() if key != "waited"}
    relay = Relay(BEGIN + block(older, b"jpeg") * 100 + END)
    assert len(watch(relay)) == 100 and len(relay.lines) == 1


# ---- full frames -----------------------------------------------------------------------------------------------------


def kept(frame: int, jpeg: bytes = b"full", **changes: Any) -> bytes:
    return block({**GOLDEN["frames.kept"], "frame": frame, **changes}, jpeg)


def watch_keeping(relay: Relay, *asked: int) -> list[Kept]:
    """Each frame is asked for when the first picture comes."""
    answered: list[Kept] = []
    watching = Watching(answered.append)

    def look(picture: Picture) -> None:
        for frame in asked:
            watching.keep(frame)

    frames.watch(relay, "run-1", look, CancelToken(), watching)  # type: ignore[arg-type]
    return answered


def test_a_full_frame_is_asked_for_and_answered() -> None:
    relay = Relay(BEGIN + PICTURE + kept(17) + END)
    example = GOLDEN["frames.kept"]
    assert watch_keeping(relay, 17) == [Kept(17, b"full", example["t"], example["width"], example["height"])]
    assert {"v": 1, "type": "keep", "frame": 17} in relay.lines


def test_a_frame_that_is_gone_and_one_that_is_never_answered() -> None:
    relay = Relay(BEGIN + PICTURE + kept(17, b"", t=0, width=0, height=0) + END)
    assert watch_keeping(relay, 17, 18) == [Kept(17, None), Kept(18, None)]


def test_what_a_lost_connection_left_unanswered_is_asked_for_again(no_pause: None) -> None:
    relay = Relay(BEGIN + PICTURE, BEGIN + kept(17) + END)
    assert [one.jpeg for one in watch_keeping(relay, 17)] == [b"full"]
    assert [line["frame"] for line in relay.lines if line["type"] == "keep"] == [17, 17]


def test_what_nobody_asked_for_is_passed_over() -> None:
    assert watch_keeping(Relay(BEGIN + kept(3) + PICTURE + kept(17) + kept(17) + END), 17) != []
    assert len(watch_keeping(Relay(BEGIN + kept(3) + PICTURE + kept(17) + kept(17) + END), 17)) == 1


def test_many_frames_are_asked_for_a_few_at_a_time() -> None:
    relay = Relay(BEGIN + PICTURE + b"".join(map(kept, range(20))) + END)
    outstanding: list[int] = []
    watching = Watching(lambda one: outstanding.append(sum(line["type"] == "keep" for line in relay.lines) - len(outstanding)))
    for frame in range(20):
        watching.keep(frame)
    frames.watch(relay, "run-1", lambda picture: None, CancelToken(), watching)  # type: ignore[arg-type]
    assert len(outstanding) == 20 and max(outstanding) == 8


def test_after_the_end_the_answer_comes_at_once() -> None:
    answered: list[Kept] = []
    watching = Watching(answered.append)
    frames.watch(Relay(BEGIN + END), "run-1", lambda picture: None, CancelToken(), watching)  # type: ignore[arg-type]
    watching.keep(5)
    assert answered == [Kept(5, None)]


def test_a_session_hands_out_full_frames(deployed: Room) -> None:
    nano = deployed.lab.nano(None)
    nano.pictures, nano.hold = PICTURES, threading.Event()
    answered: list[Kept] = []

    def hear(one: Kept) -> None:
        answered.append(one)
        if len(answered) == 2:
            assert nano.hold is not None
            nano.hold.set()

    watching = Watching(hear)
    watching.keep(3)
    watching.keep(4)
    deployed.do("infer", InferOptions(frames=1, on_picture=lambda picture: None, watching=watching))
    assert answered == [Kept(3, b"\xff\xd8", 4.0, 640, 360), Kept(4, None)]


def test_a_newer_nanos_kinds_and_keys_are_passed_over() -> None:
    newer = block({"v": 1, "type": "weather"}, b"sunny") + block({**GOLDEN["frames.picture"], "mood": "good"}, b"jpeg")
    assert len(watch(Relay(BEGIN + newer + END))) == 1


@pytest.mark.parametrize("broken", [b"", b"Welc", BEGIN, BEGIN + PICTURE[:5], BEGIN + PICTURE[:-1],
                                    BEGIN + b"\xff" * 8, BEGIN + struct.pack(">II", 3, 0) + b"{x}",
                                    MachineError("machine.refused", machine="nano1", host="here", port=22)])
def test_a_lost_connection_is_made_again(no_pause: None, broken: bytes | MachineError) -> None:
    relay = Relay(broken, BEGIN + PICTURE + END)
    assert len(watch(relay)) == 1 and relay.connected == 2


@pytest.mark.parametrize("refusal", [
    b'{"v":1,"type":"error","code":"run.missing","params":{"id":"run-1"}}\n', b'{"v":2,"type":"pictures"}\n'])
def test_where_watching_cannot_work_it_ends_quietly(refusal: bytes) -> None:
    relay = Relay(refusal)
    assert watch(relay) == [] and relay.connected == 1


def test_cancelling_ends_the_watching() -> None:
    cancel = CancelToken()
    seen: list[Picture] = []

    def look(picture: Picture) -> None:
        seen.append(picture)
        cancel.cancel()

    frames.watch(Relay(BEGIN + PICTURE * 3), "run-1", look, cancel)  # type: ignore[arg-type]
    assert len(seen) == 1
