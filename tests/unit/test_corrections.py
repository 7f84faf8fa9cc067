"""Frames of which a model was wrong or unsure: how they become images, and which part of the split they go to."""

import itertools
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy
import pytest
from room import Room

from ai_nano.cameras.images import ImageFiles
from ai_nano.cli.parser import get_parser
from ai_nano.core.errors import AiNanoError, BadInput, MissingPrerequisite
from ai_nano.core.events import Event, Log, Prediction, ignore
from ai_nano.core.keeper import Keeper
from ai_nano.core.ports import Picture
from ai_nano.core.project.corrections import Corrections, Seen, Shot, refusal
from ai_nano.core.project.uncertain import UncertainFrames
from ai_nano.core.project.workspace import ImageFile, Workspace
from ai_nano.core.running import Status
from ai_nano.core.split import dataset
from ai_nano.core.watching import Kept
from ai_nano.steps import keeping
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.infer import InferOptions, TryOptions
from ai_nano.steps.keeping import UncertainWatch, full_size
from ai_nano.steps.split import SplitOptions

CLASSIFY = "jetson_nano/classify.py"
SEEN = Seen("m-001", "cat", 0.91234)


def jpeg(width: int = 64, height: int = 36, grey: int = 90) -> bytes:
    return bytes(cv2.imencode(".jpg", numpy.full((height, width, 3), grey, numpy.uint8))[1])


def shot(t: float = 1000.0) -> Shot:
    return Shot(jpeg(), t, 64, 36)


@pytest.fixture
def deployed(exported: Room) -> Room:
    exported.do("deploy", DeployOptions())
    return exported


# ---- into the workspace ------------------------------------------------------------------------------------------------


def test_a_corrected_frame_is_an_image_of_its_class(uploaded: Room) -> None:
    workspace = uploaded.workspace
    take = Corrections(workspace, "nano://nano1")
    first, second = take.add(shot(), "dog", SEEN), take.add(shot(1001.0), "cat", None)
    assert (first.parent.name, first.name) == ("dog", f"{take.take}-00001.jpg") and second.name.endswith("-00002.jpg")
    assert first.read_bytes() == jpeg()
    note = Workspace.open(workspace.path).takes()[f"dog/{first.name}"]
    assert note == {"v": 1, "file": first.name, "class": "dog", "take": take.take, "t": 1000.0, "camera": "nano://nano1",
                    "width": 64, "height": 36, "corrected": {"seen": "cat", "confidence": 0.9123, "model": "m-001"}}
    corrected = [image for image in workspace.images("dog") if image.corrected]
    assert [(image.path, image.take) for image in corrected] == [(first, take.take)]
    assert [image.path for image in workspace.images("cat") if image.corrected] == [second]


def test_what_follows_is_stale_until_it_is_done_again(exported: Room) -> None:
    exported.do("deploy", DeployOptions())
    assert set(exported.statuses().values()) <= {Status.DONE, Status.READY}
    added = Corrections(exported.workspace, "nano://nano1").add(shot(), "dog", SEEN)
    assert [exported.statuses()[step] for step in ("record", "split", "upload", "train")] == [
        Status.DONE, Status.STALE, Status.STALE, Status.STALE]
    exported.do("split", SplitOptions())
    assert (exported.workspace.path / "train" / "dog" / added.name).is_file()
    assert exported.statuses()["split"] is Status.DONE and exported.statuses()["train"] is Status.STALE


def test_no_other_class_and_no_other_window(uploaded: Room, tmp_path: Path) -> None:
    workspace = uploaded.workspace
    with pytest.raises(BadInput) as caught:
        Corrections(workspace, "nano://nano1").add(shot(), "mouse", SEEN)
    assert caught.value.code == "record.unknown_class"
    with Workspace.open(workspace.path).writing(), pytest.raises(MissingPrerequisite) as refused:
        Corrections(workspace, "nano://nano1").add(shot(), "dog", SEEN)
    assert refused.value.code == "workspace.open_elsewhere"
    assert workspace.count("dog") == 10


def test_not_while_a_split_reads_the_images(uploaded: Room) -> None:
    with uploaded.workflow.correcting(), pytest.raises(MissingPrerequisite) as caught:
        uploaded.workflow.start("split", SplitOptions(), ignore)
    assert caught.value.code == "step.busy"
    uploaded.do("split", SplitOptions())


@pytest.mark.parametrize(("classes", "code"), [(["cat", "mouse"], "correct.other_classes"), (["cat"], None), ([], None)])
def test_only_frames_of_a_model_of_this_project(uploaded: Room, classes: list[str], code: str | None) -> None:
    refused = refusal(uploaded.workspace, classes)
    assert (refused.code if refused is not None else None) == code
    without = refusal(None, classes)
    assert without is not None and without.code == "correct.no_project" and str(without)


# ---- the split ---------------------------------------------------------------------------------------------------------


def images(recorded: int, corrected: int) -> list[ImageFile]:
    """A take of `recorded`, then `corrected` ones, each in a take of its own."""
    clock = itertools.count()
    return [*(ImageFile(Path(f"a-{number:04d}.jpg"), "cat", "a", float(next(clock))) for number in range(recorded)),
            *(ImageFile(Path(f"k{number}-00001.jpg"), "cat", f"k{number}", float(next(clock)), True)
              for number in range(corrected))]


@pytest.mark.parametrize("strategy", dataset.STRATEGIES)
@pytest.mark.parametrize(("recorded", "corrected"), [(3, 1), (14, 1), (24, 1), (30, 6), (30, 60), (4, 40)])
@pytest.mark.parametrize("fresh", [False, True])
def test_training_sees_every_corrected_frame(recorded: int, corrected: int, strategy: str, fresh: bool) -> None:
    before = dataset.split(images(recorded, 0), strategy=strategy)
    for seed in range(5):
        after = dataset.split(images(recorded, corrected), seed=seed, strategy=strategy, previous={} if fresh else before)
        assert {after[image.key] for image in images(recorded, corrected) if image.corrected} == {"train"}
        recorded_only = {key: part for key, part in after.items() if key.startswith("cat/a-")}
        assert set(recorded_only.values()) == {"train", "val", "test"}
        assert fresh or recorded_only == before, "no recorded image changes its part for it"


def test_a_class_of_corrected_frames_alone_is_split_like_any_other() -> None:
    """Else nothing of it would be tested."""
    parts = list(dataset.split(images(0, 10)).values())
    assert sorted(map(parts.count, ("train", "val", "test"))) == [1, 1, 8]
    parts = list(dataset.split(images(2, 3)).values())
    assert sorted(map(parts.count, ("train", "val", "test"))) == [1, 1, 3]


# ---- uncertain frames --------------------------------------------------------------------------------------------------


def test_an_uncertain_frame_waits_until_it_is_sorted(uploaded: Room) -> None:
    workspace, store = uploaded.workspace, UncertainFrames(uploaded.workspace)
    assert store.frames() == [] and store.count() == 0
    for number in range(3):
        store.put(shot(float(number)), "nano://nano1", Seen("m-001", None, 0.41), {"cat": 0.41, "dog": 0.39})
    with (store.folder / "uncertain.jsonl").open("a") as stream:
        stream.write('{"v": 1, "file": "../../ai_nano.json"}\n{"file": "gone.jpg"}\nhalf a li\n["no object"]\n')
    first, second, third = store.frames()
    assert store.count() == 3 and first.seen == Seen("m-001", None, 0.41) and first.shares == {"cat": 0.41, "dog": 0.39}
    take = Corrections(workspace, first.camera)
    added = store.settle(first, "dog", take)
    store.bin(second)
    assert [one.path for one in UncertainFrames(workspace).frames()] == [third.path] and store.count() == 1
    assert added.read_bytes() == jpeg() and workspace.takes()[f"dog/{added.name}"]["corrected"]["seen"] is None
    assert (workspace.hidden / "bin" / "uncertain" / second.path.name).is_file()
    with pytest.raises(BadInput):
        store.settle(third, "mouse", take)
    assert store.count() == 1, "what could not become an image stays"


def test_a_full_frame_is_taken_only_where_it_is_a_picture() -> None:
    picture = Picture(jpeg(), 3, 1.0, 64, 36)
    large = jpeg(640, 360)
    assert full_size(Kept(3, large, 1.0, 640, 360), picture, 5.0, ImageFiles()) == Shot(large, 5.0, 640, 360)
    for kept in (Kept(3, None), Kept(3, b"\xff\xd8 no picture", 1.0, 640, 360), Kept(3, b"", 1.0, 0, 0)):
        assert full_size(kept, picture, 5.0, ImageFiles()) == Shot(picture.jpeg, 5.0, 64, 36)


class Watched:
    """An UncertainWatch of frames that the Nano has in full size, unless `answers` is off."""

    def __init__(self, room: Room, monkeypatch: pytest.MonkeyPatch, most: int = 30, answers: bool = True) -> None:
        self.now = 100.0
        monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: self.now, time=time.time))
        self.events: list[Event] = []
        self.asked: list[int] = []
        self.store = UncertainFrames(room.workspace)
        self.answers = answers
        self.keeper = Keeper()
        self.watch = UncertainWatch(self.store, room.workspace, "m-001", "nano://nano1", 0.6, most, self.keeper, ImageFiles(),
                                    self.events.append)

    def picture(self, frame: int) -> None:
        self.watch.on_picture(Picture(jpeg(grey=frame), frame, float(frame), 64, 36))
        self._answer()

    def said(self, frame: int, sure: float, **shares: float) -> None:
        self.watch.on_event(Prediction("nano1", frame, 1.0, "cat", 0, sure, shares or {"cat": sure, "dog": 1 - sure}, ()))
        self._answer()

    def _answer(self) -> None:
        for frame in self.keeper.to_ask():
            self.asked.append(frame)
            if self.answers:
                self.keeper.answer(Kept(frame, jpeg(640, 360, frame), 1.0, 640, 360))
        for thread in threading.enumerate():
            if thread.name == "uncertain":
                thread.join(10)


def test_uncertain_frames_are_kept_a_second_apart(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(uploaded, monkeypatch)
    watched.picture(1)
    watched.said(1, 0.59)
    watched.said(2, 0.3)
    watched.now += 0.9
    watched.picture(2)  # too soon
    watched.now += 0.2
    watched.said(3, 0.6)
    watched.picture(3)  # sure enough
    watched.said(4, 0.2)
    watched.picture(4)
    watched.said(5, 0.2)  # nobody was shown this one
    watched.now += 5
    watched.said(6, 0.2)
    assert watched.asked == [1, 4]
    kept = watched.store.frames()
    assert [(one.seen, one.width) for one in kept] == [(Seen("m-001", "cat", 0.59), 640), (Seen("m-001", "cat", 0.2), 640)]
    assert [event.code for event in watched.events if isinstance(event, Log)] == ["infer.uncertain_kept"] * 2
    assert "2 of at most 30" in watched.events[-1].text  # type: ignore[attr-defined]


def test_no_more_than_so_many_wait(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    UncertainFrames(uploaded.workspace).put(shot(), "nano://nano1", SEEN, {})
    watched = Watched(uploaded, monkeypatch, most=2)
    for frame in range(5):
        watched.now += 2
        watched.said(frame, 0.3)
        watched.picture(frame)
    assert watched.asked == [0] and watched.store.count() == 2


def test_an_older_nano_gives_no_full_frame(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the live picture is kept: after a while, and at the end at once."""
    watched = Watched(uploaded, monkeypatch, answers=False)
    watched.said(1, 0.3)
    watched.picture(1)
    assert watched.store.count() == 0
    watched.now += 4
    watched.picture(2)
    assert [one.width for one in watched.store.frames()] == [64]
    watched.said(3, 0.3)
    watched.picture(3)
    watched.watch.close()
    assert watched.store.count() == 2


def test_what_is_no_picture_is_not_kept(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(uploaded, monkeypatch, most=1, answers=False)
    watched.said(1, 0.3)
    watched.watch.on_picture(Picture(b"\xff\xd8 no picture", 1, 1.0, 64, 36))
    watched.watch.close()
    assert watched.store.count() == 0 and watched.events == []
    watched.now += 2
    watched.answers = True
    watched.said(2, 0.3)
    watched.picture(2)
    assert watched.store.count() == 1, "it did not count as one that waits"


def test_a_model_of_another_project_ends_the_keeping(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(uploaded, monkeypatch)
    for frame in range(2):
        watched.now += 2
        watched.picture(frame)
        watched.said(frame, 0.3, mouse=0.3)
    assert watched.asked == [] and watched.store.count() == 0
    assert [(event.code, event.level) for event in watched.events if isinstance(event, Log)] == [
        ("infer.uncertain_ended", "warning")]


def test_a_disk_that_cannot_be_written_ends_the_keeping(uploaded: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    (uploaded.workspace.hidden / "uncertain").write_text("no folder")
    watched = Watched(uploaded, monkeypatch)
    for frame in range(2):
        watched.now += 2
        watched.picture(frame)
        watched.said(frame, 0.3)
    assert [event.code for event in watched.events if isinstance(event, Log)] == ["infer.uncertain_ended"]


def events(frame: int, sure: float) -> dict[str, Any]:
    return {"type": "prediction", "frame": frame, "t": 1.0, "class": "cat", "class_index": 0, "confidence": sure, "lit": [],
            "probabilities": {"cat": sure, "dog": 1 - sure}, "file": None, "ms": {}}


@pytest.mark.parametrize(("step", "options", "camera"), [
    ("infer", InferOptions, "nano://nano1"), ("try", TryOptions, "webcam:9")])
def test_a_session_keeps_them_by_itself(deployed: Room, step: str, options: Any, camera: str) -> None:
    """Nobody looks on: pictures are asked for all the same."""
    nano = deployed.lab.nano(None)
    nano.hold, nano.events[CLASSIFY] = threading.Event(), [events(3, 0.9), events(7, 0.4)]
    nano.pictures = [Picture(jpeg(grey=frame), frame, 1.0, 64, 36) for frame in (3, 7)]
    more = {"camera": camera} if step == "try" else {}
    running = deployed.workflow.start(step, options(keep_uncertain=0.6, **more), deployed.events.append)
    deadline = time.monotonic() + 20
    while not (kept := UncertainFrames(deployed.workspace).frames()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.cancel()
    running.result(20)
    assert [(one.camera, one.seen.confidence) for one in kept] == [(camera, 0.4)]
    assert nano.watched == 1 and "infer.uncertain_kept" in [one.code for one in deployed.events if isinstance(one, Log)]


@pytest.mark.parametrize(("given", "code"), [({"keep_uncertain": 0.0}, "infer.keep_uncertain"),
                                             ({"keep_uncertain": 1.5}, "infer.keep_uncertain"),
                                             ({"keep_uncertain": float("nan")}, "infer.keep_uncertain"),
                                             ({"keep_uncertain": 0.5, "keep_most": 0}, "infer.keep_most")])
@pytest.mark.parametrize(("step", "options"), [("infer", InferOptions), ("try", TryOptions)])
def test_options_without_sense_are_refused(deployed: Room, step: str, options: Any, given: dict[str, Any], code: str) -> None:
    with pytest.raises(AiNanoError) as caught:
        deployed.workflow.start(step, options(**given), ignore)
    assert caught.value.code == code and str(caught.value)


def test_without_a_workspace_there_is_nowhere_to_keep_them() -> None:
    codes = [problem.code for problem in keeping.check(None, InferOptions("m-001", keep_uncertain=0.5))]
    assert codes == ["correct.no_project"] and keeping.check(None, InferOptions("m-001")) == []


def test_the_terminal_asks_for_it_too() -> None:
    args = get_parser().parse_args(["infer", "w", "--keep-uncertain", "0.6", "--keep-most", "12"])
    assert (args.keep_uncertain, args.keep_most) == (0.6, 12)
    args = get_parser().parse_args(["try", "w"])
    assert (args.keep_uncertain, args.keep_most) == (None, 30)


# ---- several who ask -----------------------------------------------------------------------------------------------------


def test_each_question_has_its_answer() -> None:
    keeper, heard = Keeper(), []
    keeper.ask(3, heard.append)
    keeper.ask(3, heard.append)
    keeper.ask(4, heard.append)
    assert keeper.to_ask() == [3, 4]
    keeper.answer(Kept(3, b"x"))
    keeper.answer(Kept(3, b"again"))
    assert heard == [Kept(3, b"x")] * 2
    keeper.end()
    keeper.ask(5, heard.append)
    assert heard[2:] == [Kept(4, None), Kept(5, None)]
    assert keeper.fetch(6, 5.0) == Kept(6, None)


def test_a_nano_that_does_not_know_the_question_is_waited_for_only_so_long() -> None:
    keeper = Keeper()
    began = time.monotonic()
    assert keeper.fetch(3, 0.05) == Kept(3, None) and time.monotonic() - began < 5
    keeper.answer(Kept(3, b"late"))
    assert json.dumps(SEEN.to_json())
