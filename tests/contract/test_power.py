"""board.py power: a board goes down, and the computer that stands in for one never does."""

from pathlib import Path

import pytest
from boards import Board
from classification import Nano

FORCED = {"shutdown": "poweroff", "reboot": "reboot"}


@pytest.fixture
def board(nano: Nano, tmp_path: Path) -> Board:
    return Board(nano, tmp_path, "sudoers")


def permit(board: Board) -> Path:
    """The instructor's file: this one may be switched off. (Only stand-ins are on PATH.)"""
    file = board.machine.root / ".ai_nano" / "may_power_off"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return file


def switched(board: Board) -> list[str]:
    file = board.state / "switched"
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("action", ["shutdown", "reboot"])
@pytest.mark.parametrize("way", ["sudoers", "polkit"])
def test_a_board_goes_down(nano: Nano, tmp_path: Path, action: str, way: str) -> None:
    board = Board(nano, tmp_path, way)
    permit(board)
    answer = board.ask("power", action)
    assert (answer["action"], answer["done"], switched(board)) == (action, True, [FORCED[action]])


def test_a_computer_that_is_no_board_stays_on(board: Board) -> None:
    """As long as the tests run on a computer without a device tree, which is what is refused."""
    if Path("/proc/device-tree/model").exists():
        pytest.skip("this is a board")
    code, params = board.error("power", "shutdown")
    assert (code, params["file"]) == ("power.no_board", str(board.machine.root / ".ai_nano" / "may_power_off"))
    assert board.error("power", "reboot", "--force")[0] == "power.no_board"
    assert switched(board) == []


@pytest.mark.parametrize("permitted", [False, True])
def test_the_embedded_classroom_writes_it_down_and_no_more(board: Board, permitted: bool) -> None:
    """Its SSH server marks every command; nothing else is asked then, and no permission outweighs it."""
    if permitted:
        permit(board)
    board.have("polkit")
    board.machine.environment["AI_NANO_EMBEDDED"] = "1"
    assert board.ask("power", "shutdown")["done"] is False
    assert board.ask("power", "reboot", "--force")["done"] is False
    assert switched(board) == []
    kept = (board.machine.root / ".ai_nano" / "power.jsonl").read_text().splitlines()
    assert ["shutdown" in kept[0], "reboot" in kept[1], len(kept)] == [True, True, 2]


def test_without_permission_the_line_for_sudoers_is_said(nano: Nano, tmp_path: Path) -> None:
    board = Board(nano, tmp_path)
    permit(board)
    code, params = board.error("power", "shutdown")
    assert code == "power.not_permitted" and switched(board) == []
    systemctl = board.command
    assert params["line"] == f"{params['login']} ALL=(root) NOPASSWD: {systemctl} poweroff, {systemctl} reboot"
    assert "password is required" in params["error"] and "Interactive authentication" in params["error"]


def test_another_failure_is_no_matter_of_permission(board: Board) -> None:
    permit(board)
    Path(board.command).write_text("#!/bin/sh\necho 'Failed to connect to bus: No such file or directory' >&2\nexit 1\n")
    code, params = board.error("power", "reboot")
    assert (code, params["error"].split(";")[0]) == ("power.failed", "Failed to connect to bus: No such file or directory")


def test_a_board_in_use_stays_on_unless_forced(board: Board) -> None:
    permit(board)
    board.machine.start("b", program="jetson_nano/blink.py", leds="file", pins=[12], leds_file=None, seconds=60)
    code, params = board.error("power", "shutdown")
    assert (code, params) == ("power.in_use", {"who": "b", "program": "jetson_nano/blink.py"}) and switched(board) == []
    assert board.ask("power", "shutdown", "--force")["done"] and switched(board) == ["poweroff"]
    board.machine.cancel("b")
    assert board.ask("power", "reboot")["done"]


def test_another_word_is_refused(board: Board) -> None:
    permit(board)
    assert board.error("power", "halt") == ("power.bad_action", {"action": "halt"}) and switched(board) == []
