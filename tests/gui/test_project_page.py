"""Step 1: the classes of the open project and the projects that were opened before, by what can be read there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sight
from furnished import CLASSES, furnished_window
from rooms import opening, window
from user import User

from ai_nano.core.project import class_list, image_bin
from ai_nano.core.project.workspace import PARTS, Workspace
from ai_nano.core.texts import t
from ai_nano.gui.main_window import MainWindow
from ai_nano.gui.pages import project, project_classes
from ai_nano.gui.settings import Settings
from ai_nano.gui.widgets.recent_list import when

pytestmark = pytest.mark.timeout(120)

Shown = tuple[MainWindow, Workspace, User]


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    """A project of four classes with twelve images each; its split is done."""
    monkeypatch.setattr(project, "list_cameras", list)
    with furnished_window(tmp_path, (1024, 700)) as (made, _lab), User() as user:
        workspace = made.session.workspace
        assert workspace is not None
        receipt = workspace.receipts["split"]
        receipt.inputs = workspace.images_fingerprint()
        made.show_page("project")
        user.wait_for("cat · 12 images")
        yield made, workspace, user


def in_order(made: MainWindow) -> list[str]:
    """The rows, also those that are scrolled away."""
    page = made._pages["project"]
    assert isinstance(page, project.ProjectPage)
    return page.classRows.classes.names


def drag(user: User, text: str, onto: str) -> None:
    """Takes the row by its middle and lets it go at the upper edge of the other."""
    places = {wanted: sight.place(next(thing for thing in sight.everything() if sight.matches(thing.text, wanted)))
              for wanted in (text, onto)}

    def carry() -> None:
        start, end = places[text].center(), places[onto]
        user._hands.move(start.x(), start.y())
        user._hands.press()
        for y in (start.y() - 12, end.top() + 12, end.top() + 2, end.top() + 1):
            user._hands.move(start.x(), y)
            time.sleep(0.1)
        user._hands.release()
        time.sleep(0.2)

    user.apart(carry)


def test_a_class_is_renamed_in_its_row(shown: Shown) -> None:
    made, workspace, user = shown
    user.click("coffee · 12 images")
    user.click("Rename")
    user.type("cup")
    user.press("Return")
    user.wait_for("cup · 12 images")
    assert workspace.classes == ["cat", "cup", "rocket", "nothing"] and workspace.count("cup") == 12
    assert (workspace.path / "train" / "cup").is_dir() and workspace.labels_file.read_text().splitlines()[1] == "cup"
    user.wait(0.3)
    assert (made.session.status("split").status.value, made.session.status("upload").status.value) == ("done", "stale")
    user.click("Rename")
    user.type("CAT")
    user.press("Return")
    user.wait_for(re.compile("have the same name"))
    assert in_order(made) == ["cat", "cup", "rocket", "nothing"]
    user.press("F2")
    user.press("Escape")
    user.press("ctrl+2")
    user.wait_for("cup")
    assert not user.sees("coffee")


def test_classes_are_added_removed_and_brought_back(shown: Shown) -> None:
    made, workspace, user = shown
    user.fill("Name of a new class", "mug")
    user.click("Add")
    user.wait_for("mug · 0 images")
    user.type("rocket")
    user.press("Return")
    user.wait_for(re.compile("“?rocket.* have the same name"))
    user.click("cat · 12 images")
    user.click("Remove")
    user.wait_for("Bring back “cat”")
    user.press("Delete")
    user.wait_for("Bring back “coffee”")
    assert workspace.classes == ["rocket", "nothing", "mug"] and in_order(made) == workspace.classes
    user.click("Bring back “coffee”")
    user.wait_for("Bring back “cat”")
    user.click("Bring back “cat”")
    user.wait_until_gone("Bring back “cat”")
    user.wait_for("cat · 12 images")
    assert workspace.classes == ["cat", "coffee", "rocket", "nothing", "mug"] and in_order(made) == workspace.classes


def test_the_order_by_buttons_keys_and_dragging(shown: Shown) -> None:
    made, workspace, user = shown
    user.click("cat · 12 images")
    user.click("Move down")
    user.wait(0.3)
    assert workspace.classes == ["coffee", "cat", "rocket", "nothing"] == in_order(made)
    user.click("Move up")
    user.wait(0.3)
    user.press("alt+Down")
    user.wait(0.3)
    assert workspace.classes == ["coffee", "cat", "rocket", "nothing"] == in_order(made)
    drag(user, "nothing · 12 images", "coffee · 12 images")
    user.wait(0.3)
    assert workspace.classes == ["nothing", "coffee", "cat", "rocket"] == in_order(made)
    assert workspace.labels_file.read_text().splitlines() == workspace.classes


def test_a_project_that_is_open_elsewhere_is_said_to_be(shown: Shown) -> None:
    made, workspace, user = shown
    user.click("cat · 12 images")
    other = Workspace.open(workspace.path)
    with other.writing():
        user.click("Remove")
        user.wait_for(re.compile("is open elsewhere"))
    assert workspace.classes == list(CLASSES)
    user.click("Remove")
    user.wait_for("Bring back “cat”")
    other.look_again()
    assert class_list.known(other, "rocket") == "rocket" and other.classes == ["coffee", "rocket", "nothing"]


def test_a_large_bin_can_be_emptied(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    made, workspace, user = shown
    assert not user.sees(re.compile("Empty the bin"))
    monkeypatch.setattr(project_classes, "LARGE_BYTES", 1)
    user.click("cat · 12 images")
    user.click("Remove")
    user.wait_for("Bring back “cat”")
    assert not user.sees(re.compile("Empty the bin"))  # what may be brought back comes first
    user.click("Bring back “cat”")
    workspace.hidden.joinpath("bin", "uncertain").mkdir(parents=True)
    workspace.hidden.joinpath("bin", "uncertain", "x.jpg").write_bytes(b"x" * 10)
    made.session.refresh()
    user.wait_for(re.compile(r"^Empty the bin \([0-9.]+ MB\)…$"))
    user.click(re.compile("^Empty the bin .*…$"))
    user.click("Delete for good")
    user.wait_until_gone(re.compile("^Empty the bin"))
    assert not user.sees(re.compile("^Bring back")) and image_bin.size(workspace) == 0


def test_the_model_on_a_nano_is_a_click_away(shown: Shown) -> None:
    made, workspace, user = shown
    assert not user.sees("Show its models")
    user.click("Model on a Nano")
    user.wait_for("Show its models")
    user.click("Classes")
    user.wait_for("cat · 12 images")


def test_in_french_everything_fits(shown: Shown) -> None:
    made, workspace, user = shown
    user.click("cat · 12 images")
    user.click("Remove")
    user.wait_for("Bring back “cat”")
    made.main_menu.choose_language("fr")
    for text in ("Rétablir « cat »", "Renommer", "Monter", "Descendre", "Retirer", "Ajouter"):
        user.wait_for(text)
    assert made.width() == 1024 and made.height() == 700


# ---- projects that were opened before ------------------------------------------------------------------------------------


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A room whose server nobody can reach."""
    monkeypatch.setattr(project, "list_cameras", list)
    file = tmp_path / "room.json"
    file.write_text(json.dumps({"DL_server": {"ip": "127.0.0.1", "port": 1, "login": "x"}}))
    file.chmod(0o600)
    return file


def test_recent_projects_are_opened_and_forgotten(tmp_path: Path, room: Path) -> None:
    told = opening(tmp_path, config_file=room)
    first = Workspace.create(tmp_path / "first lab", ["mug", "cat"])
    Workspace.create(tmp_path / "second", ["a", "b", "c"])
    (first.image_folder("mug") / "x.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    with first.writing():
        first.settings["camera"] = "file:///nowhere/clip.mp4"
    settings = Settings(told.user_folder)
    for name in ("gone", "first lab", "second"):
        settings.remember(tmp_path / name)
    settings.save()
    with window(told) as shown, User() as user:
        user.wait_for(re.compile(r"^second · today \d\d:\d\d 3 classes · 0 images$"))
        user.wait_for(re.compile(r"^first lab · .* 2 classes · 1 images$"))
        user.click("gone The folder has gone.")
        assert not shown._pages["project"].openRecent.isEnabled()  # type: ignore[attr-defined]
        user.click("Forget")
        user.wait_until_gone("gone The folder has gone.")
        user.click(re.compile("^first lab"))
        user.click("Open")
        user.wait_for("2 · Record images")
        user.press("ctrl+1")
        user.wait_for("mug · 1 images")
        assert [path.name for path, _ in shown.settings.recent] == ["first lab", "second"]
        assert Workspace.open(first.path).settings["camera"] == "file:///nowhere/clip.mp4", "it keeps the camera that it had"
        user.click("New project")
        user.wait_for("A new project will be made here.")
        user.click("Project OK")
        user.wait_for("2 · Record images")
        assert shown.session.workspace is not None and shown.session.workspace.path == tmp_path / "project-1"


def test_a_workspace_of_the_older_program_opens_with_its_classes(tmp_path: Path, room: Path) -> None:
    """Images in train/, val/ and test/ only; the order is that of labels.txt."""
    folder = tmp_path / "older"
    for part in PARTS:
        for name in ("zebra", "ant"):
            (folder / part / name).mkdir(parents=True)
            for number in range(3):
                (folder / part / name / f"{part}{number}.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    (folder / "labels.txt").write_text("zebra\nant\n")
    with window(opening(tmp_path, config_file=room)) as made, User() as user:
        user.wait_for("1 · Project")
        user.fill("Workspace", str(folder))
        user.wait_for("A project is here: 2 classes (zebra, ant). Project OK opens it.")
        user.click("Project OK")
        user.wait_for("4 · Upload to the GPU server")
        user.press("ctrl+1")
        user.wait_for("zebra · 9 images")
        assert in_order(made) == ["zebra", "ant"]
        user.click("zebra · 9 images")
        user.click("Rename")
        user.type("horse")
        user.press("Return")
        user.wait_for("horse · 9 images")
        user.click("Move down")
        user.wait(0.3)
        assert Workspace.open(folder).classes == ["ant", "horse"] and (folder / "labels.txt").read_text() == "ant\nhorse"
        assert len(list((folder / "train" / "horse").iterdir())) == 3


def test_when_it_was(user: User) -> None:
    noon = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))
    assert when(noon, noon + 60) == t("window.when.today", time="12:00")
    assert when(noon, noon + 86_400) == t("window.when.yesterday", time="12:00")
    assert when(noon, noon + 3 * 86_400) == "2026-03-01"
