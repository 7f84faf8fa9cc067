"""Step 3 with real images: hashes are kept, reasons are told, other settings are another split."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy
import pytest
from room import Room

from ai_nano.cameras import hashes
from ai_nano.cameras.images import ImageFiles
from ai_nano.cli.split import lesson_table, summary
from ai_nano.core.events import Log
from ai_nano.core.split.image_hashes import ImageHashes
from ai_nano.core.split.lesson import LessonResult, Outcome
from ai_nano.core.split.reasons import of_receipt
from ai_nano.core.split.twins import TWIN_BITS
from ai_nano.steps.split import SplitOptions


def picture(seed: int, width: int = 320, height: int = 180) -> numpy.ndarray:
    """Soft patches, others for each seed."""
    dice = numpy.random.default_rng(seed)
    small = dice.integers(0, 256, (6, 8, 3), dtype=numpy.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def add_take(room: Room, name: str, take: str, seeds: list[int], **noted: object) -> None:
    for number, seed in enumerate(seeds):
        file = f"{take}-{number:05d}.jpg"
        cv2.imwrite(str(room.workspace.image_folder(name) / file), picture(seed))
        t = float(take.strip("abcdefghijklmnopqrstuvwxyz") or 0) * 100 + number
        room.workspace.note_image({"file": file, "class": name, "take": take, "t": t, **noted})


def codes(room: Room) -> list[str]:
    receipt = room.workspace.done("split")
    assert receipt is not None
    return [reason.code for reason in of_receipt(receipt.facts) if reason.class_name is None]


class CountingImages(ImageFiles):
    def __init__(self) -> None:
        super().__init__()
        self.hashed: list[Path] = []

    def image_hash(self, path: Path) -> int | None:
        self.hashed.append(path)
        return super().image_hash(path)


# ---- hashes ------------------------------------------------------------------------------------------------------------


def test_what_looks_alike_differs_in_few_bits_and_other_pictures_in_many() -> None:
    for seed in range(20):
        one = picture(seed)
        noise = numpy.random.default_rng(seed).normal(0, 3, one.shape)
        same = numpy.clip(one * 0.85 + 12 + noise, 0, 255).astype(numpy.uint8)
        assert (hashes.of_image(one) ^ hashes.of_image(same)).bit_count() <= TWIN_BITS
        other = hashes.of_image(one) ^ hashes.of_image(picture(seed + 100))
        assert other.bit_count() > 3 * TWIN_BITS
        assert hashes.of_image(one) == hashes.of_image(cv2.cvtColor(one, cv2.COLOR_BGR2GRAY)) < 2 ** 64


@pytest.mark.parametrize("width", [64, 320, 640, 1280, 4000])
def test_a_large_jpeg_has_the_hash_of_the_small_one(width: int) -> None:
    data = cv2.imencode(".jpg", picture(3, width, width * 9 // 16))[1].tobytes()
    found = hashes.of_file(data)
    assert found is not None and (found ^ hashes.of_image(picture(3))).bit_count() <= TWIN_BITS


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0 no image \xff\xd9", b"text"])
def test_what_is_no_image_has_no_hash(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(data)
    assert hashes.of_file(data) is None and ImageFiles().image_hash(tmp_path / "x.jpg") is None
    assert ImageFiles().image_hash(tmp_path / "gone.jpg") is None


def test_each_file_is_hashed_once_until_it_changes(room: Room) -> None:
    add_take(room, "cat", "t1", list(range(5)))
    add_take(room, "dog", "t1", list(range(5, 10)))
    (room.workspace.image_folder("dog") / "odd.jpg").write_bytes(b"\xff\xd8\xff\xe0 odd \xff\xd9")
    room.lab.images = images = CountingImages()
    room.do("split", SplitOptions())
    assert len(images.hashed) == 11
    room.do("split", SplitOptions(fresh=True))
    assert len(images.hashed) == 11, "also what does not decode is not tried again"
    changed = room.workspace.image_folder("cat") / "t1-00002.jpg"
    cv2.imwrite(str(changed), picture(77, 330))
    kept = room.workspace.hidden / "cache" / "hashes.jsonl"
    kept.write_text(kept.read_text() + '{"half a li\n["x"]\n{"kind": "older", "file": "cat/t1-00001.jpg"}\n')
    room.do("split", SplitOptions(fresh=True))
    assert images.hashed[11:] == [changed]
    assert json.loads(kept.read_text().splitlines()[-1])["file"] == "t1-00002.jpg"


def test_a_cancelled_comparison_leaves_the_old_split(room: Room) -> None:
    from ai_nano.core.cancel import CancelToken
    from ai_nano.core.errors import Cancelled

    add_take(room, "cat", "t1", list(range(4)))
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        ImageHashes(room.workspace, ImageFiles()).of(room.workspace.images("cat"), lambda done, total: None, cancel)


# ---- reasons -----------------------------------------------------------------------------------------------------------


def test_whole_takes_are_set_aside_and_said(room: Room) -> None:
    for number in range(6):
        add_take(room, "cat", f"a{number}", list(range(10 * number, 10 * number + 4)))
        add_take(room, "dog", f"b{number}", list(range(500 + 10 * number, 500 + 10 * number + 4)))
    room.do("split", SplitOptions())
    assert codes(room) == ["split.why.takes", "split.why.few"]
    for part in ("val", "test"):
        for name in ("cat", "dog"):
            takes = [path.name.partition("-")[0] for path in (room.workspace.path / part / name).iterdir()]
            assert len(takes) == 4 and len(set(takes)) == 1
    receipt = room.workspace.done("split")
    assert receipt is not None
    told = summary(room.workspace, receipt)
    assert "Whole recordings went to val and to test." in told and "whole recordings" in told.splitlines()[1]
    assert "! Val or test has fewer than 5 images: cat, dog." in told


def test_one_take_is_cut_where_it_changes_most(room: Room) -> None:
    """Twenty frames of one scene, then the camera is moved: the cut belongs there."""
    add_take(room, "cat", "a1", [1] * 34 + [2] * 6)
    add_take(room, "dog", "b1", list(range(100, 140)))
    room.do("split", SplitOptions(val=0.12, test=0.12))
    parts = {path.name: part for part in ("train", "val", "test") for path in (room.workspace.path / part / "cat").iterdir()}
    last = [parts[f"a1-{number:05d}.jpg"] for number in range(34, 40)]
    assert len(set(last)) == 1 and last[0] != "train" and parts["a1-00033.jpg"] != last[0]
    assert codes(room)[0] == "split.why.time"


def test_where_all_is_alike_the_test_is_not_to_be_trusted(room: Room) -> None:
    add_take(room, "cat", "a1", [1] * 60)
    add_take(room, "dog", "b1", list(range(100, 160)))
    room.do("split", SplitOptions())
    receipt = room.workspace.done("split")
    assert receipt is not None
    alike = next(reason for reason in of_receipt(receipt.facts) if reason.code == "split.why.alike")
    assert alike.warning and "cat" in alike.text and "dog" not in alike.text
    counts = {part: len(list((room.workspace.path / part / "cat").iterdir())) for part in ("train", "val", "test")}
    assert sum(counts.values()) == 60 and min(counts.values()) >= 5


def test_pictures_that_came_one_by_one_are_takes_of_their_own(room: Room) -> None:
    for name in ("cat", "dog"):
        add_take(room, name, "i1", list(range(20)) if name == "cat" else list(range(50, 70)), single=True)
    assert all(image.single for image in room.workspace.images("cat"))
    facts = room.do("split", SplitOptions())
    assert codes(room)[0] == "split.why.takes" and (facts["train"], facts["val"], facts["test"]) == (32, 4, 4)


def test_what_is_new_follows_its_twins(room: Room) -> None:
    for name, first in (("cat", 0), ("dog", 500)):
        add_take(room, name, "a1", list(range(first, first + 30)))
    room.do("split", SplitOptions())
    tested = {path.name for path in (room.workspace.path / "test" / "cat").iterdir()}
    one = int(sorted(tested)[0][3:8])
    add_take(room, "cat", "c2", [one])
    room.do("split", SplitOptions())
    assert (room.workspace.path / "test" / "cat" / "c2-00000.jpg").is_file()
    assert "split.why.kept" in codes(room)


# ---- other settings ----------------------------------------------------------------------------------------------------


def test_another_strategy_or_other_shares_split_anew(room: Room) -> None:
    for name, first in (("cat", 0), ("dog", 500)):
        add_take(room, name, "a1", list(range(first, first + 40)))
    assert 6 <= room.do("split", SplitOptions())["test"] <= 10
    assert 12 <= room.do("split", SplitOptions(test=0.2))["test"] <= 20
    assert any(isinstance(event, Log) and event.code == "split.anew" for event in room.events)
    room.do("split", SplitOptions(test=0.2, strategy="random"))
    order = sorted(path.name for path in (room.workspace.path / "test" / "cat").iterdir())
    numbers = [int(name[3:8]) for name in order]
    assert numbers[-1] - numbers[0] >= len(numbers), "a shuffle leaves no stretch"
    assert codes(room)[0] == "split.why.random"


def test_a_split_of_an_older_version_is_kept(room: Room) -> None:
    for name, first in (("cat", 0), ("dog", 500)):
        add_take(room, name, "a1", list(range(first, first + 20)))
    room.do("split", SplitOptions())
    memory = room.workspace.hidden / "split.json"
    told = json.loads(memory.read_text())
    told.pop("settings")
    memory.write_text(json.dumps(told))
    room.do("split", SplitOptions(val=0.2))
    assert json.loads(memory.read_text())["assigned"] == told["assigned"]


# ---- the lesson's words ------------------------------------------------------------------------------------------------


def lesson(*figures: tuple[str, float, float]) -> LessonResult:
    outcomes = tuple(Outcome(strategy, number // 2, promised, real, 30, 90)
                     for number, (strategy, promised, real) in enumerate(figures))
    return LessonResult(outcomes, ("cat", "coffee"), 6, 12, 41.0)


def test_the_lesson_is_told_as_it_came_out() -> None:
    flattering = lesson(("random", 1.0, 0.8), ("blocks", 0.84, 0.8), ("random", 0.96, 0.7), ("blocks", 0.7, 0.74))
    told = lesson_table(flattering)
    assert "98.0 % (100, 96)" in told and "a promise nearer the truth" in told
    assert flattering.flattery("random") == pytest.approx(0.23) and flattering.flattery("blocks") == pytest.approx(0.0)
    assert flattering.to_json()["random"] == {"promised": pytest.approx(0.98), "real": pytest.approx(0.75)}
    other = lesson(("random", 0.8, 0.8), ("blocks", 0.9, 0.8))
    assert "This time shuffling did not flatter more" in lesson_table(other) and "(" not in other.rows()[0][1]
