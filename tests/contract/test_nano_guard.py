"""led_guard.py: LEDs are dark within 3 s of whatever happens to the classification, on a file and on the real library."""

import importlib.util
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from classification import Nano
from colours import MjpegCamera
from machine import REPOSITORY, Follower, Machine, wait_for

DARK_S = 3.0
DOUBLE = Path(__file__).resolve().parents[1] / "doubles" / "gpio"
specification = importlib.util.spec_from_file_location("stand_in_chip", DOUBLE / "sitecustomize.py")
assert specification is not None and specification.loader is not None
chip: Any = importlib.util.module_from_spec(specification)
specification.loader.exec_module(chip)


def light(nano: Nano, camera: MjpegCamera, **changes: Any) -> Follower:
    """A classification with LED 12 lit."""
    follower = nano.start(camera.uri, **changes)
    camera.show("red")
    assert follower.read_event("prediction")["lit"] == [12]
    return follower


def guard_of(classification: int) -> int:
    """The process id of its guard."""
    children = Path(f"/proc/{classification}/task/{classification}/children").read_text().split()
    for child in map(int, children):
        if b"led_guard.py" in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    raise AssertionError("no guard")


def dark_within(seconds: float, dark: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not dark():
        assert time.monotonic() < deadline, "still lit"
        time.sleep(0.02)


@pytest.mark.parametrize("whole_group", [False, True])
def test_killed_while_lit(nano: Nano, camera: MjpegCamera, whole_group: bool) -> None:
    follower = light(nano, camera)
    assert nano.lit() == [12]
    program = nano.machine.process_id("c")
    (os.killpg if whole_group else os.kill)(program, signal.SIGKILL)
    dark_within(DARK_S, lambda: nano.lit() == [])
    assert follower.read_all()[-1]["exit"]["signal"] == signal.SIGKILL


def test_stopped_while_lit_and_then_heard_again(nano: Nano, camera: MjpegCamera) -> None:
    follower = light(nano, camera)
    program = nano.machine.process_id("c")
    os.kill(program, signal.SIGSTOP)
    try:
        dark_within(DARK_S, lambda: nano.lit() == [])
    finally:
        os.kill(program, signal.SIGCONT)
    wait_for(lambda: nano.lit() == [12], "the LED of the class that is still shown")
    follower.send(type="stop")
    assert follower.read_all()[-1]["state"] == "done"
    assert nano.lit() == []


def test_a_quiet_camera_keeps_its_led(nano: Nano, camera: MjpegCamera) -> None:
    """Longer than the guard is patient, shorter than the camera may be silent: the guard hears of the wait."""
    follower = light(nano, camera)
    time.sleep(2.25)
    assert nano.lit() == [12]
    follower.send(type="stop")
    assert follower.read_all()[-1]["state"] == "done"


def test_the_guard_itself_is_killed(nano: Nano, camera: MjpegCamera) -> None:
    follower = light(nano, camera)
    os.kill(guard_of(nano.machine.process_id("c")), signal.SIGKILL)
    assert follower.read_event("error")["code"] == "leds.guard_lost"
    assert nano.lit() == []
    assert follower.read_all()[-1]["exit"]["code"] == 1


def test_the_guard_is_asked_to_end(nano: Nano, camera: MjpegCamera) -> None:
    follower = light(nano, camera)
    os.kill(guard_of(nano.machine.process_id("c")), signal.SIGTERM)
    assert follower.read_event("error")["code"] == "leds.guard_lost"
    assert nano.lit() == []


def test_without_leds_there_is_no_guard(nano: Nano, camera: MjpegCamera) -> None:
    follower = light(nano, camera, leds="none")
    with pytest.raises(AssertionError, match="no guard"):
        guard_of(nano.machine.process_id("c"))
    follower.send(type="stop")
    follower.read_all()


def old_library() -> Path | None:
    """A folder with Jetson.GPIO 2.0.17: AI_NANO_GPIO, or the one that `make test` fills."""
    for path in filter(None, [os.environ.get("AI_NANO_GPIO"), str(REPOSITORY / ".venv-nano-gpio")]):
        if list(Path(path).glob("Jetson.GPIO-2.0.17*")):
            return Path(path)
    return None


@pytest.fixture(params=["2.1.13", "2.0.17"])
def on_chip(tmp_path: Path, nano_python: str, request: pytest.FixtureRequest) -> Iterator[tuple[Nano, Path]]:
    """A Nano whose Jetson.GPIO is the real one of that version, on a stand-in chip."""
    if request.param == "2.1.13":
        python, site = sys.executable, None
    else:
        python, site = nano_python, old_library()
        if site is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no Jetson.GPIO {request.param} in .venv-nano-gpio")
    home, folder = tmp_path / "home", tmp_path / "chip"
    home.mkdir()
    folder.mkdir()
    if site is not None:
        chip.make_trees(str(folder))
    machine = Machine(home, python)
    machine.environment.update(GPIO_CHIP=str(folder), PYTHONPATH=os.pathsep.join(map(str, filter(None, [DOUBLE, site]))))
    yield Nano(machine), folder
    machine.close()


def test_the_chip_is_dark_after_kill(on_chip: tuple[Nano, Path], camera: MjpegCamera) -> None:
    nano, folder = on_chip
    follower = light(nano, camera, leds="gpio")
    assert chip.levels(str(folder)) == {12: 1, 16: 0, 18: 0}
    camera.show("blue")
    assert follower.read_event("prediction")["lit"] == [18]
    assert chip.levels(str(folder)) == {12: 0, 16: 0, 18: 1}
    os.kill(nano.machine.process_id("c"), signal.SIGKILL)
    dark_within(DARK_S, lambda: not any(chip.levels(str(folder)).values()))
    follower.read_all()
    shutil.rmtree(nano.machine.run_path("c"))
    camera.unplug()
    camera.plug_in()
    again = light(nano, camera, leds="gpio")
    assert chip.levels(str(folder)) == {12: 1, 16: 0, 18: 0}
    again.send(type="stop")
    assert again.read_all()[-1]["state"] == "done"
    assert not any(chip.levels(str(folder)).values())
