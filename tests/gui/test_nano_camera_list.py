"""Step 1 offers the cameras of the room's Nanos by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from furnished import furnished_window
from user import User

from ai_nano.core.errors import CameraError
from ai_nano.core.ports import Camera
from ai_nano.gui.pages import project

pytestmark = pytest.mark.timeout(120)


def test_a_nanos_camera_is_chosen_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def open_camera(uri: str, options: object = None) -> Camera:
        asked.append(uri)
        raise CameraError("camera.nano_in_use", uri=uri, machine="nano1", who="ada@lab")

    monkeypatch.setattr(project, "list_cameras", list)
    with furnished_window(tmp_path) as (window, lab), User() as user:
        monkeypatch.setattr(lab, "open_camera", open_camera)
        window.show_page("project")
        user.click("Look again")
        user.wait(0.3)
        assert asked == [], "a Nano's camera is used when somebody has chosen it, not for being the only one"
        user.choose("Camera", "nano://nano1")
        user.wait_for("The camera nano://nano1 is in use.")
        user.wait_for("nano1 already works with its camera, for ada@lab. Stop the classification at step 8 (or wait until the "
                      "other one is done), then try again.")
        assert asked[-1] == "nano://nano1"
