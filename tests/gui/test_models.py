"""Steps 5 to 7 with doubles: recipes, the best so far, report, all models, an earlier one again, try it here, taking home."""

from __future__ import annotations

import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from furnished import TRAIN, DoubleLab, furnished_window, training_events
from user import User

from ai_nano.gui.main_window import MainWindow
from ai_nano.steps.train import STOP

pytestmark = pytest.mark.timeout(120)

Shown = tuple[MainWindow, DoubleLab, User]


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """At step 5, with the curves of the last training."""
    with furnished_window(tmp_path) as (window, lab), User() as user:
        user.wait_for("5 · Train")
        wait_until(user, lambda: len(curves(window)) == 30)
        yield window, lab, user


def curves(window: MainWindow) -> Sequence[int]:
    """The epochs that the page of step 5 shows."""
    return window.page.curves.epochs  # type: ignore[attr-defined]


def wait_until(user: User, condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        user.wait(0.05)
    raise AssertionError("it did not come")


def test_a_training_with_settings_shows_its_best_and_is_stopped(shown: Shown) -> None:
    window, lab, user = shown
    user.click("Fine")
    user.click("More settings")
    user.wait_for(re.compile("^How long it may take, all in all;"))
    user.fill("Minutes", "3")
    user.fill("Seed", "7")
    user.click("Train", nth=1)
    user.wait_for("Best so far: quick, 97.9 % on val.", 20)
    _, params = lab.server.started[-1]
    assert {key: params[key] for key in ("recipe", "arch", "minutes", "seed", "epochs", "lr", "batch")} == {
        "recipe": "fine", "arch": "efficientnet_lite0", "minutes": 3.0, "seed": 7, "epochs": None, "lr": None, "batch": None}
    user.wait_for(re.compile("^blocks: Epoch 18 of 40: .* learning rate 0.003 .* 312 images/s$"))
    user.wait_for(re.compile("1 min 4 s left$"))
    assert list(curves(window)) == list(range(1, 19))
    # The best so far can be gone on with while it trains.
    user.click("Go on with it: 6 Convert")
    user.wait_for("6 · Convert to ONNX")
    user.wait_for("Model: ada-lab-project-001")
    assert user.sees(re.compile("^Out of date: "))
    window.show_page("train")
    user.click("Stop and keep the best")
    user.wait_for(re.compile("^Done: ada-lab-project-001"), 20)
    assert lab.server.commands == [STOP]


def test_nothing_is_kept_before_there_is_a_best(shown: Shown) -> None:
    window, lab, user = shown
    lab.server.events[TRAIN] = training_events(best=False)
    user.click("Train", nth=1)
    user.wait_for(re.compile("^blocks: Epoch 18"), 20)
    assert not window.page.stop.isEnabled() and not user.sees(re.compile("^Best so far"))  # type: ignore[attr-defined]


def test_each_recipe_has_its_own_settings(shown: Shown) -> None:
    window, _, user = shown
    user.click("More settings")
    every = ("Network", "Epochs", "Learning rate", "Batch", "Minutes", "Seed")
    for recipe, hidden in (("Quick", every[2:5]), ("Fine", ()), ("Classic", ("Minutes",))):
        user.click(recipe)
        user.wait(0.1)
        assert [name for name in every if not user.sees(name)] == list(hidden)
    assert user.sees("ResNet-18") and user.sees("35 (usual)") and user.sees("How many images it looks at before each step.")
    # The curves come back where the settings were.
    user.click("More settings")
    assert window.page.curves.isVisible()  # type: ignore[attr-defined]


def test_the_report_says_what_is_right_and_what_is_wrong(shown: Shown) -> None:
    window, _, user = shown
    user.click("Report")
    user.wait_for("Report of nano-ada-002")
    user.wait_for(re.compile("^Of 48 test images 46 are right. .* between 85 % and 100 %.$"))
    for heading in ("What it takes for what", "Class by class", "Its most confident mistakes",
                    "Can its confidence be believed?", "The converted model", "Size and time"):
        # Clicking on words scrolls them into sight, and does nothing else.
        user.click(heading)
    assert not user.sees("It is not converted yet (step 6).")
    user.click("Back")
    user.wait_for("5 · Train")


def test_the_conversion_shows_what_half_precision_does(shown: Shown) -> None:
    window, _, user = shown
    window.show_page("export")
    user.wait_for("Half precision")
    assert user.sees("96.9 % right, 100 % same answers") and user.sees(re.compile("^The Nano computes with fewer digits"))
    # A project that an older version has converted.
    workspace = window.session.workspace
    assert workspace is not None
    receipt = workspace.receipts["export"]
    facts = {key: value for key, value in receipt.facts.items() if not key.startswith("fp16")}
    with workspace.writing():
        workspace.note(replace(receipt, facts=facts))
    window.page.redraw()
    user.wait_until_gone("Half precision")
    assert user.sees("Largest difference") and user.sees("Labels")


def test_models_are_compared_and_an_earlier_one_is_deployed_again(shown: Shown) -> None:
    window, lab, user = shown
    user.click("All models")
    user.wait_for("All models of this project")
    user.click("nano-ada-001")
    user.click("nano-ada-002", held="ctrl")
    user.wait_for("Side by side")
    assert user.sees("Probably between") and not window.page.deploy.isEnabled()  # type: ignore[attr-defined]
    user.click("nano-ada-001", nth=1)
    user.wait_until_gone("Side by side")
    user.click("Deploy this one")
    user.wait_for("Model: nano-ada-001 (an earlier one)")
    user.click(re.compile("^nano1 +here"))
    user.click("Push to the Nano")
    user.wait_for("Done: nano-ada-001 is on nano1", 20)
    assert (lab.nano("nano1").root / "models" / "nano-ada-001" / "model.onnx").read_bytes() == b"nano-ada-001"


def test_a_model_that_is_not_converted_is_not_deployed(shown: Shown) -> None:
    window, _, user = shown
    workspace = window.session.workspace
    assert workspace is not None
    (workspace.model_folder("nano-ada-001") / "model.onnx").unlink()
    user.click("All models")
    user.click("nano-ada-001")
    assert user.sees("not converted") and not window.page.deploy.isEnabled()  # type: ignore[attr-defined]


def test_try_it_here_shows_a_bar_for_each_class_and_ends_with_the_page(shown: Shown) -> None:
    window, lab, user = shown
    here = lab.nano(None)
    here.hold = threading.Event()
    here.events["jetson_nano/classify.py"] = [
        {"type": "prediction", "frame": 1, "t": 1.0, "class": "cat", "class_index": 0, "confidence": 0.97, "lit": [],
         "probabilities": {"cat": 0.97, "coffee": 0.01, "rocket": 0.01, "nothing": 0.01}}]
    window.show_page("export")
    user.click("Try it here", nth=1)
    user.click("Start")
    user.wait_for("cat 97.0 %", 20)
    _, params = here.started[-1]
    assert params["model_dir"].endswith("nano-ada-002") and params["leds"] == "none"
    assert window.session.is_running("try")
    window.show_page("train")
    wait_until(user, lambda: not window.session.is_running("try"))
    assert window.session.errors == {}


def test_a_project_is_taken_home_and_opened(shown: Shown, tmp_path: Path) -> None:
    window, _, user = shown
    workspace = window.session.workspace
    assert workspace is not None
    window.taking_home.save(workspace, tmp_path / "home")
    user.wait_for(re.compile("^The project is in .*home.zip: 48 images, 2 models, "), 20)
    user.click("OK")
    assert "models/nano-ada-001/report.json" in zipfile.ZipFile(tmp_path / "home.zip").namelist()
    window.taking_home.open(tmp_path / "home.zip", tmp_path)
    user.wait_for("1 · Project", 20)
    user.wait_for(re.compile("^A project is here: 4 classes"), 20)
    assert (tmp_path / "project-2" / "models" / "nano-ada-002" / "report.html").is_file()


def test_a_file_that_is_no_project_is_said_in_the_page(shown: Shown, tmp_path: Path) -> None:
    window, _, user = shown
    (tmp_path / "home.zip").write_bytes(b"nothing")
    window.taking_home.open(tmp_path / "home.zip", tmp_path)
    user.wait_for(re.compile("home.zip is not a project.$"), 20)
    assert not window.taking_home.busy
