"""Classifying from boot on: by systemd or cron, giving way to laptops, coming back, and leaving nothing behind."""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from boards import Board, board_with
from classification import Nano
from colours import MjpegCamera, jpeg
from machine import REMOTE, wait_for
from viewing import next_picture

UNITS = Path(".config") / "systemd" / "user"


class Scene:
    """What is before the camera, 30 times a second."""

    def __init__(self, camera: MjpegCamera) -> None:
        self.uri = camera.uri
        self._camera, self._colour, self._ended = camera, "red", threading.Event()
        self._thread = threading.Thread(target=self._show)
        self._thread.start()

    def show(self, colour: str) -> None:
        self._colour = colour

    def _show(self) -> None:
        while not self._ended.wait(1 / 30):
            self._camera.show_latest(jpeg(self._colour))

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def camera() -> Iterator[Scene]:
    camera = MjpegCamera()
    scene = Scene(camera)
    yield scene
    scene.close()
    camera.close()


@pytest.fixture
def systemd(nano: Nano, tmp_path: Path) -> Iterator[Board]:
    with board_with(nano, tmp_path, "user_bus", "lingering") as board:
        yield board


@pytest.fixture
def cron(nano: Nano, tmp_path: Path) -> Iterator[Board]:
    with board_with(nano, tmp_path) as board:
        yield board


def in_memory(board: Board) -> list[Path]:
    """The folders that its classification has outside ROOT."""
    child = Path(f"/proc/{board.noted()['child']['pid']}")
    return [Path(os.readlink(child / "cwd"))]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("kind", ["systemd", "cron"])
def test_it_classifies_without_a_laptop_and_leaves_nothing_behind(
        nano: Nano, camera: Scene, tmp_path: Path, kind: str) -> None:
    with board_with(nano, tmp_path, *(["user_bus", "lingering"] if kind == "systemd" else [])) as board:
        before = {path for path in board.machine.home.rglob("*") if "models" not in path.parts}
        camera.show("green")
        answer = board.autostart(camera.uri)
        assert (answer["model"], answer["way"], answer["student"]) == ("colours-001", kind, "ada@lab")
        assert os.stat(board.files / "autostart.json").st_mode & 0o777 == 0o600, "a camera's address may hold a password"
        wait_for(lambda: nano.lit() == [16], "the LED of green")
        assert board.is_now("running")["error"] is None
        [place] = in_memory(board)
        assert json.loads((place / "spec.json").read_text())["lease_s"] is None
        assert board.machine.root not in place.parents, "not on the SD card"
        pid = board.noted()["pid"]
        assert board.ask("autostart", "off")["removed"] is True
        assert gone(pid) and nano.lit() == [] and not place.exists()
        left = {path for path in board.machine.home.rglob("*") if "models" not in path.parts} - before
        # ROOT/.ai_nano is everybody's, and so is ~/.config.
        assert left - {nano.leds_file, board.machine.root / ".ai_nano"} <= {board.machine.home / ".config"}
        assert not (board.state / "crontab").exists()
        assert board.ask("autostart", "off")["removed"] is False
        assert board.ask("autostart", "status")["model"] is None


def test_a_unit_that_systemd_reads_as_it_was_meant(systemd: Board, camera: Scene) -> None:
    systemd.autostart(camera.uri)
    [unit] = (systemd.machine.home / UNITS).glob("*.service")
    assert (unit.parent / "default.target.wants" / unit.name).is_symlink()
    text = unit.read_text()
    assert "Restart=on-failure" in text and "StandardOutput=null" in text and "WantedBy=default.target" in text
    systemd.is_now("running")
    # Its programs are its own: those of the laptop are removed when nobody has used them for a while.
    words = Path(f"/proc/{systemd.noted()['child']['pid']}/cmdline").read_bytes().split(b"\0")
    assert os.fsencode(systemd.files / "programs") in words[1]


def test_without_linger_somebody_is_told_what_to_type(nano: Nano, camera: Scene, tmp_path: Path) -> None:
    with board_with(nano, tmp_path, "user_bus") as board:
        assert board.autostart(camera.uri)["notes"] == ["autostart.linger"]


def test_the_other_lines_of_a_crontab_stay(cron: Board, camera: Scene) -> None:
    table = cron.state / "crontab"
    mine = "# backup, 100 %\x0b\u2028\nMAILTO=\"\"\n0 3 * * * /home/nano/backup é\n"
    table.write_text(mine)
    cron.autostart(camera.uri)
    cron.autostart(camera.uri)
    added = table.read_text()
    assert added.startswith(mine + "@reboot ") and added.count("\n") == 4
    cron.ask("autostart", "off")
    assert table.read_text() == mine


def test_crons_line_does_what_it_should_at_boot(cron: Board, camera: Scene) -> None:
    """Carried out as cron does it: by sh, in the home, with next to no environment; then it is alone all the same."""
    camera.show("red")
    cron.autostart(camera.uri)
    wait_for(lambda: cron.nano.lit() == [12], "the first start")
    pid = cron.noted()["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: gone(pid), "its end")
    assert cron.nano.lit() == [] and cron.ask("autostart", "status")["state"] == "ended"
    [line] = (cron.state / "crontab").read_text().splitlines()
    command = line[len("@reboot "):].replace("\\%", "%")
    environment = {"HOME": str(cron.machine.home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "nano",
                   "AI_NANO_TEST": cron.machine.environment["AI_NANO_TEST"]}
    started = [subprocess.Popen(["/bin/sh", "-c", command], env=environment, cwd=cron.machine.home) for _ in range(2)]
    wait_for(lambda: cron.nano.lit() == [12], "the start at boot")
    wait_for(lambda: any(one.poll() == 0 for one in started), "the second one to give up")
    cron.ask("autostart", "off")
    assert [one.wait(30) for one in started] == [0, 0] and cron.nano.lit() == []


@pytest.mark.parametrize(("things", "code"), [
    (["no_crontab"], "autostart.no_way"), (["no_cron_for_you"], "autostart.crontab")])
def test_where_nothing_can_start_it_nothing_is_left(
        nano: Nano, camera: Scene, tmp_path: Path, things: list[str], code: str) -> None:
    board = Board(nano, tmp_path, *things)
    params = nano.params(camera.uri)
    document = json.dumps({"model": "colours-001", "params": params, "student": None})
    assert board.error("autostart", "on", document)[0] == code
    assert not board.files.exists() and board.ask("autostart", "off")["removed"] is False


def test_a_request_that_makes_no_sense_is_refused(systemd: Board) -> None:
    for document in ("", "[]", "{", '{"model": "m"}', '{"model": "m", "params": 3}'):
        assert systemd.error("autostart", "on", document) == ("autostart.bad_params", {}), document


def test_a_laptop_goes_first(systemd: Board, camera: Scene) -> None:
    """Even where what began at boot takes its time to end."""
    nano = systemd.nano
    program = systemd.machine.programs / "jetson_nano" / "classify.py"
    text = program.read_text()
    program.write_text(text.replace("import argparse\n", "import argparse\nimport atexit\n", 1).replace(
        "import time\n", "import time\natexit.register(time.sleep, 1)\n", 1))
    camera.show("red")
    systemd.autostart(camera.uri)
    wait_for(lambda: nano.lit() == [12], "the LED of the autostart")
    child = systemd.noted()["child"]["pid"]
    nano.machine.start("b", program="jetson_nano/blink.py", leds="file", pins=[18], leds_file=None, seconds=60)
    wait_for(lambda: nano.lit() == [18], "the laptop's LED")
    assert gone(child), "it was made room for before the LEDs were opened"
    assert systemd.is_now("yielding")["model"] == "colours-001"
    nano.machine.cancel("b")
    wait_for(lambda: nano.lit() == [12], "the autostart to go on")


def test_who_looks_through_the_camera_goes_first(systemd: Board, camera: Scene) -> None:
    nano = systemd.nano
    systemd.autostart(camera.uri)
    wait_for(lambda: nano.lit() == [12], "the LED of the autostart")
    child = systemd.noted()["child"]["pid"]
    nano.machine.start("l", program="jetson_nano/look.py", camera=camera.uri, flip=None, engine="onnxruntime", size=None)
    watcher = nano.machine.watch("l")
    watcher.begin()
    next_picture(watcher)
    assert gone(child) and nano.lit() == []
    nano.machine.cancel("l")


def test_a_classification_that_ends_is_started_again(systemd: Board, camera: Scene) -> None:
    systemd.autostart(camera.uri)
    systemd.is_now("running")
    first = systemd.noted()["child"]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: (systemd.noted()["child"] or {}).get("pid") not in (None, first), "another one")


def test_why_it_does_not_run_is_said(systemd: Board, tmp_path: Path) -> None:
    systemd.autostart(tmp_path / "no" / "camera")
    error = systemd.is_now("waiting")["error"]
    assert error["code"].startswith("infer.camera")
    assert error["code"] in systemd.files.joinpath("autostart.log").read_text()


def test_a_classification_that_dies_without_a_word_has_its_last_line_told(systemd: Board, camera: Scene) -> None:
    program = systemd.machine.programs / "jetson_nano" / "classify.py"
    program.write_text("import a_module_that_is_not_there\n")
    systemd.autostart(camera.uri)
    error = systemd.is_now("waiting")["error"]
    assert error["code"] == "program.crashed" and "a_module_that_is_not_there" in error["params"]["error"]


def test_killed_it_takes_the_classification_with_it(systemd: Board, camera: Scene) -> None:
    camera.show("blue")
    systemd.autostart(camera.uri)
    wait_for(lambda: systemd.nano.lit() == [18], "the LED")
    noted, [place] = systemd.noted(), in_memory(systemd)
    os.kill(noted["pid"], signal.SIGKILL)
    wait_for(lambda: gone(noted["child"]["pid"]), "the child's end")
    assert systemd.nano.lit() == [] and systemd.ask("autostart", "status")["state"] == "ended"
    systemd.ask("autostart", "off")
    assert not place.exists()


def test_memory_does_not_grow_without_bound(systemd: Board, camera: Scene) -> None:
    """The bound made small in this machine's copy of the programs; predictions are in neither."""
    program = systemd.machine.programs / "jetson_nano" / "autostart.py"
    text = program.read_text()
    program.write_text(text.replace("EVENTS_BYTES = 256 * 1024", "EVENTS_BYTES = 4000"))
    assert program.read_text() != text
    systemd.autostart(camera.uri)
    systemd.is_now("running")
    events = in_memory(systemd)[0] / "events.jsonl"
    sizes = [0]

    def emptied_three_times() -> bool:
        with contextlib.suppress(FileNotFoundError):
            sizes.append(events.stat().st_size)
        return sum(later < earlier for earlier, later in zip(sizes, sizes[1:], strict=False)) >= 3

    wait_for(emptied_three_times, "the file to be emptied")
    assert max(sizes) < 40_000
    assert "prediction" not in (systemd.files / "autostart.log").read_text()


def test_the_log_is_rotated(nano: Nano) -> None:
    code = ("from jetson_nano.autostart_files import Files, LOG_BYTES; from pathlib import Path; import sys\n"
            "files = Files(Path(sys.argv[1])); files.folder.mkdir(parents=True)\n"
            "for number in range(12000): files.append(number=number, text='x' * 60)\n"
            "print(LOG_BYTES, *(path.stat().st_size for path in (files.log, files.older_log)))")
    told = subprocess.run([nano.machine.python, "-B", "-c", code, str(nano.machine.root)], check=True, stdout=subprocess.PIPE,
                          env={"PYTHONPATH": str(REMOTE), "LC_ALL": "C.UTF-8"}, timeout=60)
    bound, newer, older = map(int, told.stdout.split())
    assert 0 < newer <= bound + 200 and bound < older <= bound + 200
    last = json.loads((nano.machine.root / ".ai_nano" / "autostart" / "autostart.log").read_text().splitlines()[-1])
    assert last["number"] == 11999


def test_the_embedded_classroom_keeps_it_and_starts_nothing(systemd: Board, camera: Scene) -> None:
    systemd.machine.environment["AI_NANO_EMBEDDED"] = "1"
    answer = systemd.autostart(camera.uri)
    assert (answer["way"], answer["notes"], answer["state"]) == ("recorded", ["autostart.recorded"], "ended")
    assert not (systemd.machine.home / UNITS).exists() and not (systemd.state / "crontab").exists()
    assert systemd.ask("autostart", "off")["removed"] is True and not systemd.files.exists()
