"""board.py models and delete: which model is running and who started it; a model in use stays."""

import os
from pathlib import Path

import pytest
from boards import Board, board_with
from classification import Nano
from colours import MjpegCamera, make_model
from machine import wait_for


@pytest.fixture
def board(nano: Nano, tmp_path: Path) -> Board:
    return Board(nano, tmp_path)


def test_who_uses_which_model(board: Board, camera: MjpegCamera) -> None:
    make_model(board.machine.root / "models" / "colours-002")
    board.nano.start(camera.uri)
    wait_for(lambda: board.ask("models")["models"][0]["runs"], "the run in the list")
    answer = board.ask("models")
    first, second = answer["models"]
    assert (first["model"], second["model"], second["runs"]) == ("colours-001", "colours-002", [])
    [run] = first["runs"]
    assert run["id"] == "c" and run["program"] == "jetson_nano/classify.py" and run["started"] <= answer["now"]
    assert not first["autostart"] and not second["autostart"]
    assert board.error("delete", "colours-001") == ("models.runs", {"model": "colours-001", "who": "c"})
    assert board.ask("delete", "colours-002")["model"] == "colours-002"
    board.machine.cancel("c")
    assert board.ask("models")["models"][0]["runs"] == []
    assert board.ask("delete", "colours-001")["model"] == "colours-001"
    assert os.listdir(board.machine.root / "models") == []


def test_engine_and_what_is_noted_of_it_go_too(board: Board) -> None:
    for name in ("model.onnx.1.1.8201.GPU.FP16.engine", "model.onnx.sha256sum", "engine.json"):
        (board.nano.model / name).write_bytes(b"x")
    board.ask("delete", "colours-001")
    assert os.listdir(board.machine.root / "models") == []


def test_the_model_that_starts_at_boot_stays(nano: Nano, camera: MjpegCamera, tmp_path: Path) -> None:
    with board_with(nano, tmp_path, "user_bus", "lingering") as board:
        board.autostart(camera.uri)
        assert board.ask("models")["models"][0]["autostart"] is True
        assert board.error("delete", "colours-001") == ("models.autostart", {"model": "colours-001"})
        board.ask("autostart", "off")
        assert board.ask("delete", "colours-001")["model"] == "colours-001"


def test_a_model_of_the_older_program_stays(board: Board) -> None:
    older = make_model(board.machine.home / "models" / "OlD7xq")
    assert board.error("delete", "OlD7xq") == ("models.older", {"model": "OlD7xq", "path": str(older)})
    assert older.is_dir()


@pytest.mark.parametrize(("name", "code"), [("nothing", "store.missing"), ("../colours-001", "store.bad_name")])
def test_a_model_that_is_not_there(board: Board, name: str, code: str) -> None:
    assert board.error("delete", name)[0] == code and board.nano.model.is_dir()
