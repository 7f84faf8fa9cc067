"""What a terminal says of a Nano: its engine being built, its health, and what was seen in all."""

import json
from dataclasses import replace

import pytest

from ai_nano.cli import console as module
from ai_nano.cli.commands import summary
from ai_nano.cli.console import JsonConsole, TextConsole
from ai_nano.core.events import Building, Health
from ai_nano.core.project.workspace import Receipt

BUILDING = Building("nano1", 41.0, 310, 2900, "[TRT] Tactic: 1002", 125.0)
HEALTH = Health("nano1", {"CPU": 41.5}, (), {"total_mb": 3956, "available_mb": 1420}, "MAXN")


class Clock:
    """Stands in for the module time."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_build_is_told_now_and_then_and_of_each_nano(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = TextConsole(quiet=False)
    for second in range(40):
        clock.now = 100.0 + second
        console.emit(replace(BUILDING, seconds=float(second)))
    console.emit(replace(BUILDING, machine="nano2"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" of about")[0].split(":")[0].strip() for line in lines[::2]] == ["nano1", "nano1", "nano1", "nano2"]
    assert lines[2].strip() == ("nano1: TensorRT has been building for 15 s of about 2 min 5 s  ·  "
                                "310 MB of memory free, 2900 MB of swap")
    assert lines[3].strip() == "[TRT] Tactic: 1002"


def test_health_is_told_each_minute_and_when_it_becomes_a_worry(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    console = TextConsole(quiet=False)
    hot = replace(HEALTH, temperatures={"CPU": 91.0})
    for second in range(130):
        clock.now = 100.0 + second
        console.emit(hot if 70 <= second < 80 else HEALTH)
    degrees = [line.split("CPU ")[1].split(" ")[0] for line in capsys.readouterr().out.splitlines()]
    assert degrees == ["41.5", "41.5", "91.0", "41.5"]


def test_a_board_that_tells_nothing_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    TextConsole(quiet=False).emit(Health("nano1", {}, None, {}, None))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("event", "told"), [
    (BUILDING, {"v": 1, "type": "building", "machine": "nano1", "seconds": 41.0, "estimate_s": 125.0, "available_mb": 310,
                "swap_free_mb": 2900, "line": "[TRT] Tactic: 1002"}),
    (HEALTH, {"v": 1, "type": "health", "machine": "nano1", "temperatures": {"CPU": 41.5}, "throttled": [],
              "memory": {"total_mb": 3956, "available_mb": 1420}, "power_mode": "MAXN"})])
def test_programs_get_every_one(event: Building | Health, told: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    JsonConsole().emit(event)
    assert json.loads(capsys.readouterr().out) == told


@pytest.mark.parametrize(("seen", "unrecognised", "counts"), [
    ({"cat": 120, "dog": 3}, 12, "cat 120, dog 3, nothing recognised 12"), ({"cat": 1}, 0, "cat 1"), ({}, 0, "–")])
def test_nothing_recognised_is_counted_like_the_classes(seen: dict[str, int], unrecognised: int, counts: str) -> None:
    facts = {"model": "m", "nano": "nano1", "frames": 135, "seen": seen, "unrecognised": unrecognised}
    words = summary(None, Receipt("infer", "done", "", facts=facts))  # type: ignore[arg-type]
    assert words == f"m on nano1: 135 frames ({counts})"
