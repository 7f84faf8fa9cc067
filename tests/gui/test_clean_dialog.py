"""Clean up: what of whom would go, a question, the receipt; the machines are stand-ins."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from furnished import furnished_window
from PyQt5.QtWidgets import QApplication
from user import User

from ai_nano.core.errors import MachineError

pytestmark = pytest.mark.timeout(120)

OWN, OTHER = "3fa9c0d1e2f30415", "0" * 16


def thing(kind: str, name: str, student: str | None, workspace: str | None, used: str | None = None) -> dict[str, Any]:
    owner = None if student is None else {"student": student, "project": "animals", "workspace": workspace, "laptop": "lab3"}
    users = [] if used is None else [{"run": used, "student": student, "program": "gpu_server/train.py"}]
    return {"kind": kind, "name": name, "owner": owner, "files": 603, "bytes": 54_100_000, "age_s": 86400.0, "used_by": users}


def furnish(lab: Any, folder: Path) -> Any:
    lab.note_project(OWN, "animals")
    lab.server.things = [thing("model", "ada-lab-animals-001", "ada@lab", OWN),
                         thing("model", "ada-lab-animals-002", "ada@lab", OWN, used="20261121-101500-train-3fa9"),
                         thing("model", "ada-lab-animals-003", "ada@lab", OTHER), thing("model", "bob-mugs-001", "bob", OTHER),
                         thing("older", "OlD7xq", None, None)]
    nanos = lab.with_nanos(folder, "nano1", "nano2")
    nanos["nano1"].things = [thing("model", "ada-lab-animals-001", "ada@lab", OWN)]
    nanos["nano2"].things = MachineError("machine.silent", machine="nano2")
    return nanos["nano1"]


def test_ones_own_goes_after_a_question_and_leaves_a_receipt(tmp_path: Path) -> None:
    with furnished_window(tmp_path) as (window, lab), User() as user:
        nano = furnish(lab, tmp_path)
        window.main_menu.clean_up()
        user.wait_for(re.compile(r"^models: 2, files: 1206, 108\.2 MB would go\.$"))
        user.wait_for("ada@lab is using ada-lab-animals-002: it stays")
        assert user.sees(re.compile("^models: 1, files: 603, 54.1 MB from other projects stay"))
        assert not user.sees("bob")
        user.click("Remove…")
        user.wait_for(re.compile("Remove all this for good"))
        user.click("Remove")
        user.wait_for(re.compile("The receipt is in .*clean-"))
        names = [one["name"] for one in lab.server.things]
        assert names == ["ada-lab-animals-002", "ada-lab-animals-003", "bob-mugs-001", "OlD7xq"] and nano.things == []
        user.click("Copy the receipt")
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        told = clipboard.text()
        assert "DL: 1 files removed" in told and "nano2: not done." in told and "ada-lab-animals-002" in told
        [kept] = (lab.data_folder / "receipts").glob("*.json")
        assert kept.stat().st_mode & 0o777 == 0o600
        machines = {one["machine"]: one for one in json.loads(kept.read_text())["machines"]}
        assert [machines[name]["clean"] for name in ("DL", "nano1", "nano2")] == [False, True, False]
        assert machines["DL"]["left"][0]["code"] == "clean.left.in_use"


def test_a_receipt_that_cannot_be_kept_is_shown_all_the_same(tmp_path: Path) -> None:
    with furnished_window(tmp_path) as (window, lab), User() as user:
        furnish(lab, tmp_path)
        lab.data_folder.mkdir(exist_ok=True)
        (lab.data_folder / "receipts").write_text("no folder")
        window.main_menu.clean_up()
        user.wait_for(re.compile("would go"))
        user.click("Remove…")
        user.wait_for(re.compile("Remove all this for good"))
        user.click("Remove")
        user.wait_for("The receipt of what was removed could not be kept.")
        assert user.sees(re.compile("DL: 1 files removed")) and user.sees("Copy the receipt")
        assert not user.sees(re.compile("The receipt is in"))


def test_a_student_or_the_whole_room_is_chosen(tmp_path: Path) -> None:
    with furnished_window(tmp_path) as (window, lab), User() as user:
        furnish(lab, tmp_path)
        lab.server.stubborn = ("bob-mugs-001",)
        window.main_menu.clean_up()
        user.choose("Whose", "All of bob")
        user.wait_for(re.compile(r"^models: 1, files: 603, 54\.1 MB would go\.$"))
        user.choose("Whose", "Everything of the whole room")
        user.wait_for(re.compile(r"with models of the older program in ~/models: OlD7xq"))
        user.click("End what is running first")
        user.wait_for("ada@lab is using ada-lab-animals-002: it is ended first")
        user.choose("Whose", "All of bob")
        user.click("Remove…")
        user.wait_for(re.compile("DL: models: 1"))
        user.click("Remove")
        user.wait_for(re.compile("The receipt is in"))
        assert user.sees(re.compile("still there: bob-mugs-001: the machine refused: no"))
        user.click("Look again")
        user.wait_for(re.compile("would go"))


def test_stopping_keeps_what_is_left_and_says_so(tmp_path: Path) -> None:
    with furnished_window(tmp_path) as (window, lab), User() as user:
        nano = furnish(lab, tmp_path)
        lab.server.go_on_removing.clear()
        window.main_menu.clean_up()
        user.wait_for(re.compile("would go"))
        assert not user.sees("Stop")
        user.click("Remove…")
        user.wait_for(re.compile("Remove all this for good"))
        user.click("Remove")
        user.click("Stop")
        user.wait_for(re.compile("The receipt is in"))
        assert len(lab.server.things) == 5 and nano.things == []
        assert user.sees(re.compile("DL: not done"))
        assert not user.sees("Stop")
