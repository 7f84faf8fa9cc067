"""What is told of projects that were opened before."""

import time
from pathlib import Path

import pytest
from room import JPEG

from ai_nano.core import recent
from ai_nano.core.project.workspace import Workspace


def test_each_project_with_its_classes_and_images(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "lab", ["mug", "cat"], name="My lab")
    (workspace.image_folder("mug") / "x.jpg").write_bytes(JPEG)
    for part, count in (("train", 3), ("val", 1)):
        for number in range(count):
            path = tmp_path / "older" / part / "ant" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(JPEG)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "ai_nano.json").write_text("{")
    (tmp_path / "empty").mkdir()
    names = ("lab", "older", "broken", "empty", "gone")
    lab, older, broken, empty, gone = recent.look([(tmp_path / name, None) for name in names])
    assert (lab.name, lab.classes, lab.images, lab.gone) == ("My lab", ("mug", "cat"), 1, False)
    assert lab.used == pytest.approx(time.time(), abs=60)
    assert (older.classes, older.images, older.used, older.problem) == (("ant",), 4, None, None)
    assert broken.problem is not None and not broken.gone and broken.name == "broken"
    assert empty.gone and gone.gone
