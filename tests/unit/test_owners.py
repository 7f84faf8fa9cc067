"""Whose is whose on a shared account: ids before names, also where names agree."""

import json
import shutil
from pathlib import Path

import pytest

from ai_nano.core import names
from ai_nano.core.errors import MachineError
from ai_nano.core.project import ident
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.room import own_projects
from ai_nano.steps.upload import sender_of


def move_to(monkeypatch: pytest.MonkeyPatch, hardware: str, login: str = "pupil", host: str = "lab-pc") -> None:
    monkeypatch.setattr(ident, "here", lambda: (login, host, hardware))


def own_id(workspace: Workspace) -> str:
    with workspace.writing():
        return ident.of(workspace)


def test_an_id_is_made_once_and_kept(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w", ["cat", "dog"])
    first = own_id(workspace)
    assert own_id(workspace) == own_id(Workspace.open(tmp_path / "w")) == first
    assert first in (tmp_path / "w" / "ai_nano.json").read_text()


def test_two_laptops_of_one_name_with_a_project_of_one_name_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Workspace.create(tmp_path / laptop / "animals", ["cat", "dog"]) for laptop in "ab"]
    assert len({own_id(workspace) for workspace in made}) == 2
    assert len({sender_of(workspace) for workspace in made}) == 2


def test_a_copy_on_a_cloned_laptop_is_told_from_its_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instructor's workspace, of which thirty have a copy: also with the id in it."""
    move_to(monkeypatch, "a1")
    template = Workspace.create(tmp_path / "w", ["cat", "dog"])
    before = own_id(template)
    copies = []
    for hardware in ("b2", "c3"):
        shutil.copytree(tmp_path / "w", tmp_path / hardware)
        move_to(monkeypatch, hardware)
        copy = Workspace.open(tmp_path / hardware)
        with copy.writing():
            copies.append(ident.all_of(copy))
    assert copies[0][0] != copies[1][0] and [each[1:] for each in copies] == [(before,), (before,)]
    move_to(monkeypatch, "a1")
    assert own_id(Workspace.open(tmp_path / "b2")) == before, "who takes the project along is known again"


def test_what_somebody_wrote_by_hand_is_no_id(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w", ["cat", "dog"])
    for nonsense in ("x", {"a": 3}, {"a": "../../etc"}, ["0" * 16]):
        workspace.settings[ident.SETTING] = nonsense
        with workspace.writing():
            [only] = ident.all_of(workspace)
        assert len(only) == 16 and int(only, 16) >= 0


def test_the_owner_is_the_same_file_until_something_in_it_changes(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w", ["cat", "dog"], "Tiere & Äpfel")
    with workspace.writing():
        file = ident.owner_file(workspace, "Zoë@lab")
        before = file.stat().st_mtime_ns
        assert ident.owner_file(workspace, "Zoë@lab").stat().st_mtime_ns == before
        told = json.loads(file.read_text())
        assert (told["student"], told["project"], told["workspace"]) == ("Zoë@lab", "Tiere & Äpfel", ident.of(workspace))
        assert json.loads(ident.owner_file(workspace, "zoe@lab").read_text())["student"] == "zoe@lab"
        file.write_text("[]")
        assert json.loads(ident.owner_file(workspace, "zoe@lab").read_text())["student"] == "zoe@lab"


@pytest.mark.parametrize("student", ["Zoë", "ZOE", "Иван", "王", "ada", "ada-lab", "x" * 300, "", "../../etc", "a b/c\n"])
def test_a_models_name_is_always_one_short_word(student: str) -> None:
    """Names that come to one stem share its numbers (the machine's mkdir is exclusive); whose it is says the id."""
    stem = names.model_stem(student, "Проект")
    assert names.is_model_name(f"{stem}-001") and len(stem) <= 49


def test_the_persons_projects_are_kept_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_projects, "MOST", 3)
    folder = tmp_path / "data"
    assert own_projects.known(folder) == frozenset()
    for number in range(4):
        own_projects.note(folder, f"{number:016d}", "p")
    assert own_projects.known(folder) == {f"{number:016d}" for number in (1, 2, 3)}
    (folder / own_projects.FILE).write_text("[]")
    assert own_projects.known(folder) == frozenset()


def test_another_projects_model_is_not_deleted_without_saying_so() -> None:
    models = [{"model": "m-001", "workspace": "a" * 16, "student": "bob"},
              {"model": "m-002", "workspace": None, "student": None}]
    own_projects.refuse_others(models, "m-001", "DL", {"a" * 16})
    own_projects.refuse_others(models, "m-002", "DL", ())
    with pytest.raises(MachineError) as refused:
        own_projects.refuse_others(models, "m-001", "DL", {"b" * 16})
    assert refused.value.code == "models.others" and "bob" in refused.value.what and "--force" in refused.value.hint
