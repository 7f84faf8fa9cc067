"""Transfers, links that go away, and what runs on the machines, as a student sees them: with the real pointer and keys."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import student
from rooms import LinkedRoom, exported_workspace, linked_room, opening, window
from user import User

from ai_nano.core.events import ignore
from ai_nano.core.lanes import Lanes
from ai_nano.core.ports import Answer
from ai_nano.core.room import config
from ai_nano.demo.classroom import Classroom
from ai_nano.lab import build_lab, build_workflow
from ai_nano.steps.project import ProjectOptions, open_or_create
from ai_nano.steps.upload import UploadOptions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

IMAGES = 20
MODEL = "ada-animals-001"
MODEL_BYTES = 2_500_000
PACE = re.compile(r"^\d+ of \d+ files  ?· +[0-9.]+ MB/s")


class Nobody:
    """Of the laptop that will vanish: everything is in its config."""

    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        return False

    def password(self, machine: str, login: str, can_keep: bool) -> Answer | None:
        return None


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    with Classroom(tmp_path_factory.mktemp("room") / "classroom") as made:
        yield made


@pytest.fixture
def room(classroom: Classroom, tmp_path: Path) -> Iterator[LinkedRoom]:
    with linked_room(classroom, tmp_path) as made:
        yield made


def open_at(user: User, folder: Path, key: str, title: str) -> None:
    student.make_project(user, str(folder))
    user.wait_until_gone("1 · Project")
    user.press(key)
    user.wait_for(title)


def test_an_upload_tells_how_far_it_is_and_survives_a_cut(room: LinkedRoom, tmp_path: Path) -> None:
    student.make_images(tmp_path / "work", IMAGES)
    link = room.links["DL"]
    with window(opening(tmp_path, config_file=room.config_file)), User() as user:
        student.make_project(user, str(tmp_path / "work"))
        user.wait_for("4 · Upload to the GPU server")
        link.pace(30e6, 0.01)
        user.click("Upload")
        told = user.wait_for(PACE)
        assert f"of {2 * IMAGES + 2} files" in told
        user.wait_for(re.compile(r"^[0-9.]+ MB of [0-9.]+ MB$"))
        link.down()
        user.wait_for("Contact with DL is lost. It goes on by itself when DL can be reached again.")
        user.wait_for("DL: contact lost")
        assert user.sees("lost") and user.sees("waits for DL"), user.reads()
        assert not user.sees(re.compile("MB/s| left$")), "nothing moves, and the page says how fast"
        link.up()
        user.wait_for("Uploading to the server…", 20)
        user.wait_for("DL: connected")
        user.wait_for(PACE)
        assert not user.sees("waits for DL")
        link.pace(None)
        user.wait_for(re.compile("^Done: "), 20)
        user.wait_for("Everything has arrived.")
    uploaded = list((room.roots["DL"] / "models").glob("[!.]*/*/*/*.jpg"))
    assert len(uploaded) == 2 * IMAGES


def test_an_upload_that_was_cancelled_says_what_is_there(room: LinkedRoom, tmp_path: Path) -> None:
    student.make_images(tmp_path / "work", IMAGES)
    link = room.links["DL"]
    with window(opening(tmp_path, config_file=room.config_file)), User() as user:
        student.make_project(user, str(tmp_path / "work"))
        user.wait_for(re.compile("Nothing of this project is on the server yet."))
        link.pace(16e6)
        user.click("Upload")
        user.wait_for(re.compile(r"^[1-9]\d* of \d+ files"))
        link.down()
        user.wait_for("waits for DL")
        user.click("Cancel")
        user.wait_for(re.compile(rf"^\d+ of {2 * IMAGES + 2} files are there\. Push Upload: only the rest is sent\.$"))
        assert not user.sees(re.compile("Nothing of this project"))
        link.up()
        link.pace(None)
        student.carry_out(user, "4 · Upload to the GPU server", "Upload")
        kept = re.search(r"of \d+ files sent, (\d+) were there already", user.wait_for(re.compile("were there already")))
        assert kept is not None and int(kept[1]) > 0


def test_two_nanos_get_the_model_at_once(room: LinkedRoom, tmp_path: Path) -> None:
    exported_workspace(tmp_path / "work", MODEL, MODEL_BYTES)
    with window(opening(tmp_path, config_file=room.config_file)), User() as user:
        open_at(user, tmp_path / "work", "ctrl+7", "7 · Push the model to the Nano")
        user.click(re.compile("^nano1 "))
        user.wait_for("Push to the Nano")
        user.click(re.compile("^nano2 "), held="ctrl")
        for name in ("nano1", "nano2"):
            room.links[name].pace(10e6)
        user.click("Push to 2 Nanos")
        # Side by side: more than one of them has to get is on its way.
        user.wait_for(re.compile(rf"^[0-9.]+ MB of {2 * MODEL_BYTES / 1e6:.1f} MB .*of 8 files"))
        room.links["nano2"].down()
        user.wait_for("Contact with nano2 is lost. It goes on by itself when nano2 can be reached again.")
        user.wait_for("waits for nano2")
        user.wait_for(re.compile(rf"{MODEL} has arrived whole on nano1\."), 20)
        room.links["nano2"].up()
        user.wait_for(re.compile("^Done: "), 20)
        for name in ("nano1", "nano2"):
            user.wait_for(re.compile(f"^{name} .* has this model$"))
    assert room.models("nano1") == room.models("nano2") == [MODEL]


def test_one_of_two_nanos_is_off(room: LinkedRoom, tmp_path: Path) -> None:
    exported_workspace(tmp_path / "work", MODEL, 100_000)
    room.links["nano2"].down()
    with window(opening(tmp_path, config_file=room.config_file)), User() as user:
        open_at(user, tmp_path / "work", "ctrl+7", "7 · Push the model to the Nano")
        user.wait_for(re.compile("^nano2 .* not there$"))
        user.click(re.compile("^nano1 "))
        user.click(re.compile("^nano2 "), held="ctrl")
        user.click("Push to 2 Nanos")
        user.wait_for("The model did not reach nano2.")
        user.wait_for(re.compile(r"^nano2 .* refuses connections .* It is on: nano1\.$"))
        user.wait_for(re.compile("^nano1 .* has this model$"))
        assert not user.sees(re.compile("^nano2 .* has this model$"))
        # The mend that it names: the same for the other one alone.
        room.links["nano2"].up()
        user.click(re.compile("^nano2 "))
        user.click("Push to the Nano")
        user.wait_for(re.compile("^Done: "), 20)
        for name in ("nano1", "nano2"):
            user.wait_for(re.compile(f"^{name} .* has this model$"))
    assert room.models("nano1") == room.models("nano2") == [MODEL]


def test_what_a_vanished_laptop_left_running_is_seen_and_ended(room: LinkedRoom, tmp_path: Path) -> None:
    run = left_running(room, tmp_path)
    room.links["nano2"].down()
    with window(opening(tmp_path, config_file=room.config_file)) as shown, User() as user:
        user.wait_for("1 · Project", 30)
        shown.show_page("machines")
        user.click("Running there")
        user.wait_for(re.compile(r"^\d+ s ago$"), 20)
        assert user.sees("demo")
        user.wait_for(re.compile(r"^nano2 was left out\. nano2 .* refuses connections"))
        user.click("End…")
        user.wait_for(re.compile(r"^“Train” of demo has been running on DL for \d+ s\."))
        user.click("Let it run")
        user.click("Look again", nth=1)
        user.wait_for(re.compile(r"^\d+ s ago$"))
        user.click("End…")
        user.click("End it")
        user.wait_for("Nothing runs on DL, nano1.", 20)
    assert json.loads((room.roots["DL"] / ".ai_nano" / "runs" / run / "exit.json").read_text())["cancelled"] is True


def left_running(room: LinkedRoom, folder: Path) -> str:
    """A training that another laptop started before it went away; its id."""
    student.make_images(folder / "theirs", IMAGES)
    lab, lanes = build_lab(config.load(room.config_file), Nobody(), folder / "config"), Lanes()
    try:
        workflow = build_workflow(open_or_create(folder / "theirs", ProjectOptions(())), lab, lanes)
        model = workflow.start("upload", UploadOptions(), ignore).result(60).facts["model"]
        run = lab.server.start("train", "gpu_server/train.py", {
            "model": model, "recipe": "quick", "arch": "efficientnet_lite0", "epochs": None, "seed": 0, "weights": None}).id
        # As long as the test looks on, however slow it is.
        os.killpg(json.loads((room.roots["DL"] / ".ai_nano" / "runs" / run / "pid.json").read_text())["pgid"], signal.SIGSTOP)
        return run
    finally:
        lab.close()
        lanes.close()
