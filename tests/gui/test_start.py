"""The first start without a room, the machines by form, and how the window ends."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import student
from PIL import Image
from rooms import lit_pins, opening, wait_until_closed, window
from user import User
from xserver import XServer

from ai_nano.cameras.images import ImageFiles
from ai_nano.core.project import starter
from ai_nano.core.room import pack
from ai_nano.core.room.defaults import RoomDefaults
from ai_nano.demo.classroom import Classroom

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    with Classroom(tmp_path_factory.mktemp("room") / "classroom") as made:
        yield made


def test_without_a_room_three_ways_are_offered(tmp_path: Path) -> None:
    with window(opening(tmp_path)), User() as user:
        user.wait_for("Welcome to ai_nano")
        for offer in ("Start the embedded classroom", "Choose the file…", "Fill in a form"):
            assert user.sees(offer)


def test_the_embedded_classroom_from_the_first_page(tmp_path: Path) -> None:
    with window(opening(tmp_path)), User() as user:
        user.click("Start the embedded classroom")
        user.wait_for("1 · Project", 30)
        user.wait_for("Stage")
        user.wait_for(re.compile("^DL: (there|connected)$"), 20)


def test_machines_by_form(tmp_path: Path, classroom: Classroom) -> None:
    """A wrong password is said; with the right one the test asks for the host key once, and the room is saved."""
    server = classroom.config.server
    with window(opening(tmp_path)) as shown, User() as user:
        user.click("Fill in a form")
        user.wait_for("The machines of the room")
        user.click("Save and go on")
        user.wait_for(re.compile("^Address|address"), 5)
        user.fill("Address", server.host)
        user.fill("Port", str(server.port))
        user.fill("Login", server.login)
        user.fill("Password", "wrong")
        user.click("Test the connection")
        user.click("Yes, it is", timeout=20)
        user.wait_for(re.compile("^DL does not let|^DL .*log|password", re.IGNORECASE), 20)
        user.fill("Password", str(server.password))
        user.click("Test the connection")
        user.wait_for(re.compile("^It works: answer in"), 20)
        user.click("nano1")
        user.click("Remove it")
        user.click("Save and go on")
        user.wait_for("1 · Project", 10)
        file = shown.opening.user_folder / "config.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text())["DL_server"]["port"] == server.port


def test_a_nano_behind_the_server_by_form(tmp_path: Path, classroom: Classroom) -> None:
    """Tried before anything is saved: the jump host is another machine of the form."""
    server, nano = classroom.config.server, classroom.config.filled_nanos[0]
    with window(opening(tmp_path)) as shown, User() as user:
        user.click("Fill in a form")
        for machine, via in ((server, ""), (nano, "DL")):
            user.click(machine.name, nth=1)
            user.fill("Address", machine.host)
            user.fill("Port", str(machine.port))
            user.fill("Login", machine.login)
            user.fill("Password", str(machine.password))
            if via:
                user.fill("Jump host", "ada@")
                user.click("Test the connection")
                user.wait_for(re.compile("is no jump host"))
                user.fill("Jump host", via)
                user.click("Test the connection")
                user.click("Yes, it is", timeout=20)
                user.click("Yes, it is", timeout=20)
                user.wait_for(re.compile("^It works: answer in"), 20)
        user.click("Save and go on")
        user.wait_for("1 · Project", 10)
        saved = json.loads((shown.opening.user_folder / "config.json").read_text())
        assert saved["jetson_nano"][0]["via"] == "DL" and "via" not in saved["DL_server"]


def test_a_room_pack_opens_the_room(tmp_path: Path, home: Path, classroom: Classroom) -> None:
    """Nothing is written before somebody has read what is in it, and said yes."""
    pack.pack(classroom.config, tmp_path / "known_hosts", home / "room.ainano", RoomDefaults(note="Begin with the cat."))
    with window(opening(tmp_path)) as shown, User() as user:
        saved = shown.opening.user_folder / "config.json"
        for answer in ("No, leave it", "Open this room"):
            user.click("Choose the file…")
            user.click("room.ainano", timeout=10)
            user.click("Open")
            user.wait_for(re.compile("Nothing has been written yet"), 10)
            user.wait_for(re.compile(r"Begin with the cat\. DL: .*@127\.0\.0\.1:\d+"))
            assert not saved.exists()
            user.click(answer)
        user.wait_for("1 · Project", 10)
        assert shown.session.config.server.password is None and saved.exists()


def test_a_double_click_on_a_room_pack(tmp_path: Path, home: Path, classroom: Classroom) -> None:
    """`ai-nano FILE.ainano`: the question, and then the pictures are a project that is proposed."""
    for name in ("cat", "cup"):
        (tmp_path / "lesson" / name).mkdir(parents=True)
        Image.new("RGB", (64, 48), "red").save(tmp_path / "lesson" / name / "1.jpg")
    made, _ = starter.gather(tmp_path / "lesson", ImageFiles())
    file = pack.pack(classroom.config, tmp_path / "known_hosts", tmp_path / "room.ainano", starter=made)
    with window(replace(opening(tmp_path), pack=file)) as shown, User() as user:
        user.wait_for(re.compile("2 pictures to start with"), 10)
        user.click("Open this room")
        user.wait_for("1 · Project", 10)
        user.wait_for(re.compile("^A project is here:"), 10)
        assert shown.page.workspace.text() == str(home / "lesson")  # type: ignore[attr-defined]
        assert len(list((home / "lesson" / "images").rglob("*.jpg"))) == 2


def test_a_broken_config_is_said(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.json").write_text('{"DL_server": {"ip": "x", "login": "y", "pins": [1]}}')
    with window(opening(tmp_path)), User() as user:
        user.wait_for("Welcome to ai_nano")
        user.wait_for(re.compile("pins"))


# ---- the end -----------------------------------------------------------------------------------------------------------


def test_a_real_process_opens_and_ends_at_a_signal(tmp_path: Path, x_server: XServer) -> None:
    """The command itself; at SIGTERM it closes as a person would, with exit code 0."""
    environment = {**os.environ, "DISPLAY": x_server.name}
    process = subprocess.Popen([sys.executable, "-m", "ai_nano", "demo", "--workspace", str(tmp_path / "demo")], cwd=tmp_path,
                               env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "demo" / "classroom" / "config.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=40)
    assert process.returncode == 0, out
    assert "Traceback" not in out


def test_a_training_may_go_on_without_the_window(tmp_path: Path, classroom: Classroom) -> None:
    """Asked at closing; the next window finds it and takes it up."""
    folder = tmp_path / "work"
    student.make_images(folder, 160)
    told = opening(tmp_path, config_file=classroom.config_file)
    with window(told) as shown, User() as user:
        student.make_project(user, str(folder))
        student.carry_out(user, "4 · Upload to the GPU server", "Upload")
        student.go_on(user, "Train")
        user.click("Train")
        user.wait_for(re.compile("The training runs on"), 60)
        shown.close()
        user.wait_for(re.compile("The training can go on by itself"))
        user.click("Stay here")
        user.wait_until_gone(re.compile("The training can go on by itself"))
        # Project OK on the same project again changes nothing; another one is refused while this one trains.
        user.press("ctrl+1")
        user.click("Project OK")
        user.wait_for("5 · Train")
        user.press("ctrl+1")
        user.fill("Workspace", str(tmp_path / "other"))
        user.click("Project OK")
        user.wait_for("Not now: step “train” is running.")
        shown.close()
        user.click("Let it go on")
        wait_until_closed(shown)
    with window(told), User() as user:
        student.make_project(user, str(folder))
        user.wait_for("5 · Train")
        user.wait_for(re.compile("goes on there without this computer"))
        user.click("Train")
        user.wait_for(re.compile("^Done: "), 60)
    assert len(list((classroom.folder / "gpu_server" / "ai_nano" / ".ai_nano" / "runs").glob("*-train-*"))) == 1
    assert lit_pins(classroom.folder) == []


def test_nothing_heavy_and_no_connection_before_the_first_paint(tmp_path: Path, x_server: XServer,
                                                                 classroom: Classroom) -> None:
    """cv2, paramiko and pyqtgraph cost half a second each; and a machine is asked for nothing before there is a window."""
    code = f"""
import socket, sys
from pathlib import Path
asked = []
sys.addaudithook(lambda event, args: asked.append(args[1]) if event == "socket.connect" and type(args[1]) is tuple else None)
from ai_nano.core.room import config
from ai_nano.gui import app
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.opening import Opening
from ai_nano.gui.settings import Settings

heavy = {{"cv2", "numpy", "paramiko", "pyqtgraph", "onnxruntime", "skimage", "asyncssh"}}

class Watched(MainWindow):
    def _arrive(self):
        print(sorted(heavy & set(sys.modules)), asked, flush=True)
        app.QApplication.instance().quit()

folder = Path({str(tmp_path)!r})
told = Opening(lambda: config.load(Path({str(classroom.config_file)!r})), None, folder / "config", folder / "cache", folder)
settings = Settings(told.user_folder)
application = app.make_application(settings, told.cache)
window = Watched(told, settings)
window.show()
application.exec()
import os
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "DISPLAY": x_server.name}, text=True,
                          capture_output=True, timeout=60)
    assert done.stdout.splitlines()[0] == "[] []", done.stdout + done.stderr
