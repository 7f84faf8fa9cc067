"""Steps 7 and 8 with a double of a Nano that runs TensorRT: its engine is built, its stages and its health are shown."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from furnished import DoubleLab, furnished_window
from user import User

from ai_nano.core import texts
from ai_nano.core.events import HOT_C, Building
from ai_nano.core.ports import JobEnd
from ai_nano.core.texts import t
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.widgets.build_list import BuildList
from ai_nano.steps.engine import PROGRAM as BUILD

pytestmark = pytest.mark.timeout(120)

CLASSIFY = "jetson_nano/classify.py"
MS = {"capture": 31.2, "preprocess": 1.1, "network": 12.4, "leds": 0.2}
HEALTH = {"type": "health", "temperatures": {"CPU": 41.5, "GPU": 39.0}, "throttled": [], "power_mode": "MAXN",
          "memory": {"total_mb": 3956, "available_mb": 1420}}

Shown = tuple[MainWindow, DoubleLab, User]


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """The Nano's programs last until `hold` is set or they are told to stop."""
    with furnished_window(tmp_path) as (window, lab), User() as user:
        lab.nano(None).hold = go_on = threading.Event()
        yield window, lab, user
        go_on.set()


def test_the_engine_is_seen_being_built(shown: Shown) -> None:
    window, lab, user = shown
    nano = lab.nano(None)
    nano.events[BUILD] = [
        {"type": "log", "code": "infer.building_engine", "params": {"model": "nano-ada-002"}},
        {"type": "progress", "what": "engine.build", "done": 41, "total": 125, "unit": "s", "eta_s": 84.0},
        {"type": "building", "seconds": 41.0, "available_mb": 310, "swap_free_mb": 2900, "line": "[TRT] Tactic: 1002"}]
    nano.ends[BUILD] = JobEnd("done", {"engine": "e", "reused": False, "seconds": 131.5})
    window.show_page("deploy")
    user.click(re.compile("^nano1 "))
    user.click("Push to the Nano")
    user.wait_for("nano1: TensorRT has been building for 41 s of about 2 min 5 s  ·  310 MB of memory free, 2900 MB of swap")
    assert user.sees("[TRT] Tactic: 1002") and user.sees("Preparing the model for this Nano")
    user.wait_for(re.compile("1 min 24 s left$"))
    assert nano.hold is not None
    nano.hold.set()
    user.wait_for(re.compile("^Done: "))
    assert not user.sees(re.compile("TensorRT has been building"))
    receipt = window.session.workspace.done("deploy")  # type: ignore[union-attr]
    assert receipt is not None and receipt.facts["engines"]["nano1"]["seconds"] == 131.5


def test_two_builds_side_by_side(user: User) -> None:
    """One ends, the other goes on; a line longer than the window is cut; the language may change meanwhile."""
    builds = BuildList()
    builds.resize(800, 150)
    for name in ("nano1", "nano2"):
        builds.show_building(Building(name, 41.0, None, None, f"[TRT] {name} " + "x" * 300, 125.0))
    builds.show_end("nano1", lambda: t("engine.built", model="m", seconds=43))
    builds.show_end("nano3", str)
    user.wait_for("nano1: m is prepared for this Nano, in 43 s.")
    assert user.sees("nano2: TensorRT has been building for 41 s of about 2 min 5 s")
    assert not user.sees(re.compile("TRT. nano1")) and user.sees(re.compile(r"^\[TRT\] nano2 x+…$"))
    texts.set_language("fr")
    builds.retranslate()
    user.wait_for("nano2: TensorRT construit depuis 41 s sur environ 2 min 5 s")
    texts.set_language(None)
    builds.clear()
    assert not builds.isVisible()
    builds.deleteLater()


def test_a_build_that_fails_says_why_in_the_page(shown: Shown) -> None:
    window, lab, user = shown
    nano = lab.nano(None)
    nano.hold = None
    nano.ends[BUILD] = JobEnd("failed", error=("engine.out_of_memory", {"model": "m", "memory_mb": 3956, "swap_mb": 0}))
    window.show_page("deploy")
    user.click(re.compile("^nano1 "))
    user.click("Push to the Nano")
    user.wait_for("The Nano's memory was not enough to prepare the model m.")


def frame(number: int, name: str | None, share: float, **more: Any) -> dict[str, Any]:
    rest = (1 - share) / 3
    shares = {one: share if one == (name or "cat") else rest for one in ("cat", "coffee", "rocket", "nothing")}
    return {"type": "prediction", "frame": number, "t": 1.0 + number, "class": name, "class_index": -1 if name is None else 0,
            "confidence": share, "probabilities": shares, "lit": [] if name is None else [12], "ms": MS, **more}


def begin(shown: Shown, events: list[dict[str, Any]]) -> None:
    """Step 8 with a program that says this and goes on."""
    window, lab, user = shown
    nano = lab.nano(None)
    (nano.root / "models" / "nano-ada-002").mkdir(parents=True, exist_ok=True)
    nano.events[CLASSIFY] = events
    window.show_page("infer")
    user.click("Start")


def test_the_stages_of_a_frame_and_the_boards_health(shown: Shown) -> None:
    begin(shown, [frame(1, "cat", 0.97), {**HEALTH}])
    _, _, user = shown
    user.wait_for("capture 31.2  ·  preparation 1.1  ·  network 12.4  ·  LEDs 0.2 ms")
    user.wait_for("CPU 41.5 °C  ·  1420 of 3956 MB of memory free  ·  power mode MAXN")
    assert role(shown) == "note"


@pytest.mark.parametrize(("changes", "words"), [
    ({"throttled": ["cpu-balanced"]}, "CPU 41.5 °C  ·  slowed down by heat (cpu-balanced)"),
    ({"temperatures": {"CPU": 60.0, "GPU": HOT_C}}, f"GPU {HOT_C} °C"),
    ({"temperatures": {}}, "1420 of 3956 MB of memory free")])
def test_a_hot_board_is_amber(shown: Shown, changes: dict[str, Any], words: str) -> None:
    begin(shown, [frame(1, "cat", 0.97), {**HEALTH, **changes}])
    shown[2].wait_for(re.compile("^" + re.escape(" ".join(words.split()))))
    assert role(shown) == ("worry" if "°" in words else "note")


def role(shown: Shown) -> object:
    return shown[0].page.health.property("role")  # type: ignore[attr-defined]


def test_nothing_recognised_is_a_result_of_its_own(shown: Shown) -> None:
    begin(shown, [frame(1, None, 0.4)])
    _, _, user = shown
    user.wait_for("nothing recognised (40.0 %), no LED")
    assert user.sees("nothing recognised") and user.sees("✓")


def test_with_smoothing_the_bars_show_what_was_decided_by(shown: Shown) -> None:
    """The frame's own best is another class; what is said is how sure the Nano is of what it shows."""
    smoothed = {"cat": 0.71, "coffee": 0.2, "rocket": 0.05, "nothing": 0.04}
    begin(shown, [frame(1, "coffee", 0.9, **{"class": "cat"}, smoothed=smoothed)])
    _, _, user = shown
    user.wait_for("cat  71.0 %")
    assert user.sees("20.0 %") and not user.sees("90.0 %") and not user.sees("✓")


def test_settings_are_changed_while_it_runs(shown: Shown) -> None:
    begin(shown, [frame(1, "cat", 0.97)])
    _, lab, user = shown
    user.wait_for("cat  97.0 %")
    params = lab.nano(None).started[-1][1]
    assert (params["hysteresis"], params["smoothing_s"]) == (0.1, 0.15)
    assert not user.sees("Hysteresis")
    user.click("More settings")
    user.fill("Hysteresis", "25")
    user.fill("Smoothing", "0.4")
    user.fill("Smoothing", "0")
    user.wait_for(re.compile("cat"))
    said = {key: value for command in lab.nano(None).commands for key, value in command.items() if key != "type"}
    assert said == {"hysteresis": 0.25, "smoothing_s": 0.0}
    assert {command["type"] for command in lab.nano(None).commands} == {"set"}


def test_a_lost_camera_is_said_in_the_page(shown: Shown) -> None:
    begin(shown, [frame(1, "cat", 0.97), {"type": "log", "code": "infer.camera_lost", "params": {"camera": "/dev/video0"}}])
    window, _, user = shown
    user.wait_for("The camera is lost. The Nano looks for it each second and goes on by itself.")
    user.wait_for("The camera /dev/video0 gives no more pictures. Check its cable; work goes on as soon as it is back.")
    assert window.page.leds.lit == [] and not user.sees("cat  97.0 %")  # type: ignore[attr-defined]


def test_a_camera_that_is_found_again(shown: Shown) -> None:
    camera = {"params": {"camera": "/dev/video0"}}
    begin(shown, [frame(1, "cat", 0.97), {"type": "log", "code": "infer.camera_lost", **camera},
                  {"type": "log", "code": "infer.camera_back", **camera}, frame(2, "cat", 0.97)])
    _, _, user = shown
    user.wait_for("The camera /dev/video0 is back.")
    user.wait_for("cat  97.0 %")
