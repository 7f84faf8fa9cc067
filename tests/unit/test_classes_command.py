"""`ai-nano classes` and `ai-nano images`: what they say, what they do, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Said, ai_nano
from room import JPEG

from ai_nano.core.project.workspace import Workspace


class Terminal:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, code: int = 0) -> Said:
        said = ai_nano(self.folder, *words)
        assert said.code == code, said
        return said

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        lines = [json.loads(line) for line in self("--json", *words, code=code).out.splitlines()]
        assert lines[-1]["type"] == "result" and lines[-1]["ok"] is (code == 0)
        return dict(lines[-1])

    def error(self, *words: str, code: int) -> str:
        error = self.json(*words, code=code)["error"]
        assert error["what"] and error["why"] and error["hint"] and "{" not in error["what"] + error["why"] + error["hint"]
        return str(error["code"])


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    workspace = Workspace.create(tmp_path / "w", ["mug", "été", "日本"])
    for number in range(6):
        (workspace.image_folder("mug") / f"{number}.jpg").write_bytes(JPEG)
        workspace.note_image({"file": f"{number}.jpg", "class": "mug", "take": f"t{number // 4}", "t": float(number)})
    (workspace.image_folder("été") / "by hand.jpg").write_bytes(JPEG)
    return Terminal(tmp_path)


def test_the_classes_with_their_images(terminal: Terminal) -> None:
    said = terminal("classes", "w").out.splitlines()
    assert [line.split()[:3] for line in said] == [["0", "mug", "6"], ["1", "été", "1"], ["2", "日本", "0"]]
    told = terminal.json("classes", "w")
    assert told["classes"] == [{"name": "mug", "images": 6, "takes": 2}, {"name": "été", "images": 1, "takes": 0},
                               {"name": "日本", "images": 0, "takes": 0}]
    assert told["bin"] == {"bytes": 0, "removals": []}


def test_each_change_and_its_way_back(terminal: Terminal) -> None:
    assert "is there now" in terminal("classes", "w", "--add", " cow ").out
    assert terminal.json("classes", "w", "--rename", "mug", "cup")["renamed"] == ["mug", "cup"]
    assert terminal.json("classes", "w", "--order", "cow,cup,日本,été")["order"] == ["cow", "cup", "日本", "été"]
    said = terminal("classes", "w", "--remove", "cup").out
    assert "6 images is in the bin" in said and "--empty-bin" in said
    told = terminal.json("classes", "w")
    assert [one["name"] for one in told["classes"]] == ["cow", "日本", "été"] and told["bin"]["bytes"] > 6 * len(JPEG)
    assert terminal.json("classes", "w", "--undo")["restored"]["images"] == 6
    assert Workspace.open(terminal.folder / "w").classes == ["cow", "cup", "日本", "été"]
    assert terminal.error("classes", "w", "--undo", code=4) == "bin.nothing"


@pytest.mark.parametrize(("words", "code", "error"), [
    (("--add", "MUG"), 2, "class_name.equal"), (("--add", ""), 2, "class_name.empty"),
    (("--rename", "mug", "été"), 2, "class_name.equal"), (("--rename", "cup", "x"), 2, "class.unknown"),
    (("--remove", "cup"), 2, "class.unknown"), (("--order", "mug"), 2, "class.order"),
    (("--undo",), 4, "bin.nothing"), (("--add", "x", "--remove", "mug"), 2, "cli.usage"),
    (("--rename", "mug"), 2, "cli.usage")])
def test_what_cannot_be(terminal: Terminal, words: tuple[str, ...], code: int, error: str) -> None:
    assert terminal.error("classes", "w", *words, code=code) == error
    assert Workspace.open(terminal.folder / "w").classes == ["mug", "été", "日本"]


def test_the_bin_is_emptied_after_a_question(terminal: Terminal) -> None:
    terminal("classes", "w", "--remove", "mug")
    assert terminal.error("classes", "w", "--empty-bin", code=2) == "cli.nobody_confirms"
    assert terminal.json("classes", "w", "--empty-bin", "--yes")["freed"] > 0
    assert terminal.error("classes", "w", "--undo", code=4) == "bin.nothing"


def test_open_elsewhere(terminal: Terminal) -> None:
    with Workspace.open(terminal.folder / "w").writing():
        assert terminal.error("classes", "w", "--rename", "mug", "cup", code=4) == "workspace.open_elsewhere"
        assert terminal.json("classes", "w")["classes"][0]["name"] == "mug"


def test_images_go_and_come_back(terminal: Terminal) -> None:
    assert [line.split()[0] for line in terminal("images", "w", "--class", "mug").out.splitlines()[:6]] == [
        f"{number}.jpg" for number in range(6)]
    assert terminal.json("images", "w", "--class", "mug")["images"][0] == {
        "file": "0.jpg", "take": "t0", "t": 0.0, "corrected": False}
    assert terminal.json("images", "w", "--class", "mug", "--remove-last-take")["removed"]["images"] == 2
    assert terminal.json("images", "w", "--class", "mug", "--remove", "0.jpg", "w/images/mug/1.jpg")["count"] == 2
    assert terminal.json("images", "w", "--class", "mug", "--undo")["restored"] == ["mug/0.jpg", "mug/1.jpg"]
    assert "2 images of \"mug\" are back" in terminal("images", "w", "--class", "mug", "--undo").out
    assert terminal.json("images", "w", "--class", "mug")["count"] == 6


@pytest.mark.parametrize(("words", "code", "error"), [
    (("mug", "--remove", "9.jpg"), 2, "bin.unknown_image"), (("mug", "--remove", "elsewhere/0.jpg"), 2, "bin.unknown_image"),
    (("mug", "--remove", "0.jpg", "9.jpg"), 2, "bin.unknown_image"), (("cup",), 2, "class.unknown"),
    (("mug", "--undo"), 4, "bin.nothing"), (("été", "--remove-last-take"), 4, "bin.no_take")])
def test_images_that_are_none(terminal: Terminal, words: tuple[str, ...], code: int, error: str) -> None:
    assert terminal.error("images", "w", "--class", *words, code=code) == error
    assert Workspace.open(terminal.folder / "w").count("mug") == 6
