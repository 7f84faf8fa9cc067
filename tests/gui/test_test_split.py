"""The test split on the Nano in the window of step 8, with a double of a Nano: the table, what differs, what is kept."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from furnished import DoubleLab, furnished_window
from user import User

from ai_nano.core import texts
from ai_nano.core.bundle import REPORT_JSON
from ai_nano.core.ports import JobEnd
from ai_nano.core.project.workspace import Workspace
from ai_nano.gui.main_window import MainWindow
from ai_nano.steps.nano_test import PROGRAM, images_of

pytestmark = pytest.mark.timeout(120)

MODEL = "nano-ada-002"
CAMERA = "jetson_nano/look.py"

Shown = tuple[MainWindow, DoubleLab, User]


def answering(workspace: Workspace, lab: DoubleLab, wrong: int = 2) -> None:
    """A Nano that takes all test images for what they are, but for the first `wrong` cats; a report that knows them all."""
    nano = lab.nano(None)
    (nano.root / "models" / MODEL).mkdir(parents=True, exist_ok=True)
    events: list[dict[str, Any]] = []
    answers = []
    for number, (name, path) in enumerate(images_of(workspace, workspace.classes)):
        file, seen = f"{name}/{path.name}", "rocket" if number < wrong else name
        answers.append({"file": f"test/{file}", "predicted": name, "confidence": 0.93})
        events.append({"type": "prediction", "frame": number, "t": 1.0, "class": seen, "class_index": 0, "confidence": 0.61,
                       "probabilities": {seen: 0.61}, "lit": [], "file": file,
                       "ms": {"capture": 9.0, "preprocess": 1.5, "network": 12.4, "leds": 0.0}})
    nano.events[PROGRAM] = events
    nano.ends[PROGRAM] = JobEnd("done", {"frames": len(events), "ended": True})
    report = workspace.model_folder(MODEL) / REPORT_JSON
    report.write_text(json.dumps({**json.loads(report.read_text()), "answers": answers}))


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """The Nano's program lasts until `hold` is set."""
    with furnished_window(tmp_path) as (window, lab), User() as user:
        lab.nano(None).hold = go_on = threading.Event()
        assert window.session.workspace is not None
        answering(window.session.workspace, lab)
        window.show_page("infer")
        yield window, lab, user
        go_on.set()


def end(lab: DoubleLab) -> None:
    hold = lab.nano(None).hold
    assert hold is not None
    hold.set()


def test_the_table_stands_in_place_of_the_picture(shown: Shown) -> None:
    window, lab, user = shown
    user.click("Test on the Nano")
    user.wait_for("This model has not been tested on nano1 yet.")
    assert not user.sees("How sure it is")
    user.click("Test now")
    user.wait_for("The Nano classifies the test images")
    end(lab)
    user.wait_for("nano1 (TensorRT)")
    assert user.sees("95.8 % (46 of 48)") and user.sees("Server, fp16 (rehearsed)")
    user.wait_for(re.compile(r"One image on nano1: 13\.9 ms, 19 of 20 within 13\.9 ms \(preparation 1\.5 · network 12\.4\)"))
    user.wait_for(re.compile("Other answers than PyTorch's: 2"))
    user.click("test/cat/000.jpg")  # scrolls to it
    assert user.sees("cat  93.0 %") and user.sees("rocket  61.0 %")
    texts.set_language("fr")
    window.page.retranslate()
    user.wait_for("Serveur, fp16 (répétition)")
    texts.set_language(None)
    window.page.retranslate()
    user.click("Back to the picture")
    user.wait_for("How sure it is")
    assert not user.sees("nano1 (TensorRT)")


def test_the_last_test_is_shown_again_also_in_the_report(shown: Shown) -> None:
    window, lab, user = shown
    user.click("Test on the Nano")
    end(lab)
    user.click("Test now", timeout=20)
    user.wait_for("nano1 (TensorRT)")
    user.click("Back to the picture")
    user.click("Test on the Nano")
    user.wait_for(re.compile("^Tested 20"))
    window.show_page("export")
    user.click("Report", timeout=20)
    user.click("On the Nanos", timeout=20)  # scrolls to it
    user.click("nano1 (TensorRT)")


def test_a_test_is_cancelled_and_the_next_start_shows_the_picture(shown: Shown) -> None:
    window, lab, user = shown
    user.click("Test on the Nano")
    user.click("Test now", timeout=20)
    user.wait_for("The Nano classifies the test images")
    user.click("Cancel")
    user.wait_for("This model has not been tested on nano1 yet.", 20)
    assert not list((lab.nano(None).root / "models").glob("test-*")) and not window.session.running_steps
    user.click("Start")
    user.wait_for("How sure it is")


def test_who_records_with_the_nanos_camera_is_not_disturbed(shown: Shown) -> None:
    _, lab, user = shown
    lab.nano(None).running = [{"id": "r-1", "program": CAMERA, "state": "running", "student": "bob@lab", "age_s": 3.0}]
    user.click("Test on the Nano")
    user.click("Test now", timeout=20)
    user.wait_for("nano1 is in use.")
    assert user.sees(re.compile("A program of bob@lab is running there"))


def test_its_turn_is_waited_for(shown: Shown) -> None:
    _, lab, user = shown
    before = {"run": "r-1", "program": PROGRAM, "student": "bob@lab", "laptop": None, "for_s": 60.0, "left_s": 240.0,
              "own": False}
    waiting = {"type": "turn", "state": "waiting", "position": 1, "ahead": [before], "wait_s": 240.0}
    lab.nano(None).events[PROGRAM] = [waiting, *lab.nano(None).events[PROGRAM]]
    user.click("Test on the Nano")
    user.click("Test now", timeout=20)
    user.wait_for(re.compile("bob@lab: classification for 1 min"))
    end(lab)
    user.wait_for("nano1 (TensorRT)")
    assert not user.sees(re.compile("bob@lab"))
