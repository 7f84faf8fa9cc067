"""What board.py and blink.py really say has the keys and types of tests/data/wire_v1.jsonl."""

from pathlib import Path

from boards import board_with
from classification import Nano
from colours import MjpegCamera
from machine import wait_for
from test_wire import check


def test_what_a_board_answers(nano: Nano, camera: MjpegCamera, tmp_path: Path) -> None:
    with board_with(nano, tmp_path, "user_bus", "polkit") as board:
        (board.machine.root / ".ai_nano").mkdir()
        (board.machine.root / ".ai_nano" / "may_power_off").touch()
        check("board.power", board.ask("power", "reboot"))
        check("board.autostart.status", board.ask("autostart", "status"))
        check("board.autostart.on", board.autostart(tmp_path / "no" / "camera"))
        check("board.autostart.status", board.is_now("waiting"))
        check("board.models", board.ask("models"))
        check("board.autostart.off", board.ask("autostart", "off"))
        nano.start(camera.uri)
        wait_for(lambda: board.ask("models")["models"][0]["runs"], "the run")
        check("board.models", board.ask("models"))
        nano.machine.cancel("c")
        nano.machine.start("b", program="jetson_nano/blink.py", leds="file", pins=[12, 16], leds_file=None, seconds=0.05,
                           classes=["red"])
        check("blink.result", nano.machine.events("b")[-1])
        check("board.delete", board.ask("delete", "colours-001"))
