"""What a student does in the window, step by step: by what can be read there, with the real pointer and keys."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
from user import User

from ai_nano.demo.stage_scene import Scene

CLASSES = ("cat", "coffee", "rocket", "nothing")
RECORD_S = 4.0
WORK_TIMEOUT_S = 120.0

Look = Callable[[str], None]


def ignore(step: str) -> None:
    """Nobody looks on."""


def hold_up(user: User, card: str) -> None:
    user.click(card, inside="Stage")


def make_project(user: User, folder: str | None = None) -> None:
    """Step 1. None: the folder that is proposed."""
    user.wait_for("1 · Project", 60)
    if folder is not None:
        user.fill("Workspace", folder)
    user.click("Project OK")


def record(user: User, classes: Sequence[str] = CLASSES, seconds: float = RECORD_S, look: Look = ignore) -> None:
    """Step 2: names each class, creates it, holds the card up and records."""
    user.wait_for("2 · Record images")
    for name in classes:
        user.fill("Name of this class", name, nth=1)
        user.click("Create", nth=1)
        hold_up(user, name)
        user.wait(0.5)
        user.click("Start", inside=name)
        user.wait_for(f"Recording “{name}”. Push Stop when there are enough images.")
        user.wait(seconds)
        if name == classes[-2]:
            look("record")
        user.click("Stop", inside=name)
        user.wait_until_gone(re.compile("^Recording"), 20)


def go_on(user: User, to: str) -> None:
    user.click(re.compile(f"^Next: .*{to}$"), timeout=30)


def carry_out(user: User, title: str, button: str, look: Look = ignore, step: str = "") -> None:
    """A step with a beginning and an end: push its button, wait for what comes next."""
    user.wait_for(title)
    user.click(button)
    user.wait_for(re.compile("^Done: "), WORK_TIMEOUT_S)
    if step:
        look(step)


def split_to_deploy(user: User, look: Look = ignore) -> None:
    """Steps 3 to 7, each by the button that the one before offers."""
    go_on(user, "Split")
    carry_out(user, "3 · Split into train, val and test", "Split", look, "split")
    go_on(user, "Upload")
    upload_to_deploy(user, look)


def upload_to_deploy(user: User, look: Look = ignore) -> None:
    carry_out(user, "4 · Upload to the GPU server", "Upload", look, "upload")
    go_on(user, "Train")
    carry_out(user, "5 · Train", "Train", look, "train")
    user.wait_for(re.compile("End training model"))
    go_on(user, "Convert")
    carry_out(user, "6 · Convert to ONNX", "Convert", look, "export")
    user.wait_for(re.compile("End conversion to ONNX file"))
    go_on(user, "Push")
    carry_out(user, "7 · Push the model to the Nano", "Push to the Nano", look, "deploy")
    user.wait_for(re.compile("End upload ONNX model to Jetson Nano."))


def start_inference(user: User) -> None:
    """Step 8, until the first result is there."""
    user.wait_for("8 · Inference on the Nano")
    user.click("Start")
    user.wait_for(re.compile(r"frames per second$"), 60)


def make_images(folder: Path, count: int) -> None:
    """A workspace as the older program left it, with `count` images of each of two classes."""
    for name, card in (("cat", "cat"), ("cup", "coffee")):
        for number in range(count):
            part = ("train", "val", "test")[0 if number % 10 > 1 else 1 + number % 2]
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            if number < 20:
                cv2.imwrite(str(place / f"{number:03d}.jpg"), Scene(3, "record", number // 5, card).frame(number % 5 * 3))
            else:
                shutil.copy(folder / part / name / f"{number % 20:03d}.jpg", place / f"{number:03d}.jpg")
    (folder / "labels.txt").write_text("cat\ncup")
