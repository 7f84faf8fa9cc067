"""Each image is measured once, and known again when the program is started anew; and what `ai-nano hints` says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from ai_nano.cameras.images import ImageFiles
from ai_nano.cli import commands
from ai_nano.cli.console import make_console
from ai_nano.cli.parser import get_parser
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import Cancelled
from ai_nano.core.hints import look_book
from ai_nano.core.hints.look_book import LookBook
from ai_nano.core.look import Look
from ai_nano.core.project import image_notes
from ai_nano.core.project.workspace import Workspace


class Measuring:
    """The real measure, which counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, path: Path) -> Look | None:
        self.asked.append(path.name)
        return ImageFiles().look(path)


def add(workspace: Workspace, name: str, numbers: range, dark: bool = False) -> None:
    for number in numbers:
        image = np.full((90, 160, 3), 12 if dark else 150, np.uint8)
        colour = (20, 20, 30) if dark else (40, 90, 220)
        cv2.circle(image, (20 + number * 13 % 120, 20 + number * 7 % 60), 12 + number % 9, colour, -1)
        path = workspace.image_folder(name) / f"{name}-{number:05d}.jpg"
        path.write_bytes(bytes(cv2.imencode(".jpg", image)[1]))


@pytest.fixture(autouse=True)
def in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_NANO_LANGUAGE", "en")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "lab", ["cat", "cup"])
    add(made, "cat", range(40))
    add(made, "cup", range(10), dark=True)
    return made


def codes(book: LookBook) -> list[str]:
    return [hint.code for hint in book.hints(CancelToken())]


def test_images_are_measured_once(workspace: Workspace) -> None:
    measuring = Measuring()
    book = LookBook(workspace, measuring)
    assert codes(book) == ["hint.dark.images", "hint.small"]
    assert len(measuring.asked) == 50
    assert codes(book) == codes(LookBook(workspace, measuring)) == ["hint.dark.images", "hint.small"]
    assert len(measuring.asked) == 50
    add(workspace, "cup", range(10, 12), dark=True)
    (workspace.image_folder("cat") / "cat-00000.jpg").unlink()
    codes(LookBook(workspace, measuring))
    assert measuring.asked[50:] == ["cup-00010.jpg", "cup-00011.jpg"]


def test_a_renamed_class_is_known_again(workspace: Workspace) -> None:
    measuring = Measuring()
    codes(LookBook(workspace, measuring))
    workspace.image_folder("cup").rename(workspace.image_folder("mug"))
    workspace.classes[:] = ["cat", "mug"]
    found = LookBook(workspace, measuring).hints(CancelToken())
    assert len(measuring.asked) == 50 and {hint.class_name for hint in found} == {"mug"}


def test_what_is_no_image_is_passed_over_and_asked_once(workspace: Workspace) -> None:
    (workspace.image_folder("cat") / "text.jpg").write_text("no image")
    measuring = Measuring()
    assert codes(LookBook(workspace, measuring)) == codes(LookBook(workspace, measuring)) == ["hint.dark.images", "hint.small"]
    assert measuring.asked.count("text.jpg") == 1


def test_a_damaged_cache_is_made_anew(workspace: Workspace) -> None:
    cache = workspace.hidden / "cache" / "looks.jsonl"
    codes(LookBook(workspace, Measuring()))
    lines = cache.read_text().splitlines()
    cache.write_text("\n".join([lines[0][:40], "[]", "null", '{"file": 3}', *lines[5:]]) + "\n")
    measuring = Measuring()
    assert codes(LookBook(workspace, measuring)) == ["hint.dark.images", "hint.small"]
    assert len(measuring.asked) == 5
    cache.write_bytes(b"\xff\xfe\x00")
    assert codes(LookBook(workspace, measuring)) == ["hint.dark.images", "hint.small"]


def test_without_a_place_to_write_there_are_hints_all_the_same(workspace: Workspace) -> None:
    shutil.rmtree(workspace.hidden / "cache", ignore_errors=True)
    (workspace.hidden / "cache").write_text("a file is in the way")
    assert codes(LookBook(workspace, Measuring())) == ["hint.dark.images", "hint.small"]


def test_the_cache_does_not_grow_for_ever(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_notes, "SPARE_LINES", 20)
    book = LookBook(workspace, Measuring())
    codes(book)
    for path in workspace.image_paths("cat")[5:]:
        path.unlink()
    codes(book)
    lines = (workspace.hidden / "cache" / "looks.jsonl").read_text().splitlines()
    assert len(lines) == 15 and all(json.loads(line)["v"] == 1 for line in lines)


def test_of_very_many_images_some_are_looked_at(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_book, "MOST_IMAGES", 20)
    measuring = Measuring()
    found = LookBook(workspace, measuring).hints(CancelToken())
    assert 15 <= len(measuring.asked) <= 20
    assert found[-1].params["count"] == 10 and found[-1].params["most"] == 40, "all are counted"


def test_what_was_measured_before_a_cancel_is_kept(workspace: Workspace) -> None:
    measuring, cancel = Measuring(), CancelToken()

    def tell(done: int, total: int) -> None:
        if done == 8:
            cancel.cancel()

    with pytest.raises(Cancelled):
        LookBook(workspace, measuring).hints(cancel, tell)
    assert len(measuring.asked) == 8
    codes(LookBook(workspace, measuring))
    assert len(measuring.asked) == 50


def told_by(words: list[str], capsys: pytest.CaptureFixture[str], as_json: bool = False) -> str:
    """What the command prints."""
    console = make_console(as_json, False)
    assert commands.run(get_parser().parse_args(words), console) == 0
    console.close()
    return capsys.readouterr().out


def test_the_command_says_what_to_do(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    told = told_by(["hints", str(workspace.path)], capsys)
    assert "10 of 10 images of cup are too dark." in told and "Record cup again with more light" in told
    last = json.loads(told_by(["hints", str(workspace.path)], capsys, as_json=True).splitlines()[-1])
    assert last["ok"] and [hint["code"] for hint in last["hints"]] == ["hint.dark.images", "hint.small"]
    assert last["hints"][1]["class"] == "cup" and len(last["hints"][0]["images"]) == 2


def test_the_command_without_anything_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Workspace.create(tmp_path / "lab", ["cat", "cup"])
    assert "Nothing to better" in told_by(["hints", str(tmp_path / "lab")], capsys)
