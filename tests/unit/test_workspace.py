"""The workspace on disk."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ai_nano.core.errors import BadInput, MissingPrerequisite
from ai_nano.core.project.workspace import Receipt, Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "w", ["été", "日本", "nothing"])


def add(workspace: Workspace, name: str, count: int) -> None:
    for number in range(count):
        (workspace.image_folder(name) / f"{number:03d}.jpg").write_bytes(b"\xff\xd8\xff" + bytes([number]))


def test_a_new_one_has_a_folder_for_each_class(workspace: Workspace) -> None:
    assert sorted(one.name for one in (workspace.path / "images").iterdir()) == sorted(["été", "日本", "nothing"])
    assert Workspace.open(workspace.path).classes == ["été", "日本", "nothing"]


def test_it_is_not_made_twice(workspace: Workspace) -> None:
    with pytest.raises(BadInput) as caught:
        Workspace.create(workspace.path, ["a", "b"])
    assert caught.value.code == "workspace.exists" and Workspace.open(workspace.path).classes[0] == "été"


def test_bad_classes_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        Workspace.create(tmp_path / "w", ["only"])
    assert not (tmp_path / "w").exists()


def test_receipts_survive(workspace: Workspace) -> None:
    with workspace.writing():
        workspace.note(Receipt("upload", "done", "abc", facts={"model": "m-001"}))
    receipt = Workspace.open(workspace.path).done("upload")
    assert receipt is not None and (receipt.inputs, receipt.facts) == ("abc", {"model": "m-001"})


def test_labels_have_no_empty_line_at_the_end(workspace: Workspace) -> None:
    workspace.write_labels()
    assert workspace.labels_file.read_bytes() == "été\n日本\nnothing".encode()


def test_the_fingerprint_follows_the_images(workspace: Workspace) -> None:
    add(workspace, "été", 3)
    first = workspace.images_fingerprint()
    assert first == Workspace.open(workspace.path).images_fingerprint()
    add(workspace, "日本", 1)
    second = workspace.images_fingerprint()
    (workspace.image_folder("été") / "000.jpg").unlink()
    assert len({first, second, workspace.images_fingerprint()}) == 3


def test_images_come_in_the_order_of_their_recording(workspace: Workspace) -> None:
    add(workspace, "été", 3)
    for number, t in enumerate((30.0, 10.0, 20.0)):
        workspace.note_image({"file": f"{number:03d}.jpg", "class": "été", "take": "a", "t": t})
    with workspace.takes_file.open("a") as stream:
        stream.write('{"torn')
    assert [image.path.name for image in workspace.images("été")] == ["001.jpg", "002.jpg", "000.jpg"]


def test_open_elsewhere_is_said_to_writers_only(workspace: Workspace) -> None:
    code = ("import sys; from pathlib import Path; from ai_nano.core.project.workspace import Workspace\n"
            f"workspace = Workspace.open(Path({str(workspace.path)!r}))\n"
            "with workspace.writing():\n    print('held', flush=True)\n    sys.stdin.read()\n")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(MissingPrerequisite) as caught, workspace.writing():
            pass
        assert (caught.value.code, caught.value.exit_code) == ("workspace.open_elsewhere", 4)
        assert Workspace.open(workspace.path).classes
        other.communicate()
    with workspace.writing():
        pass


def test_what_is_as_it_was_once_is_written_all_the_same(workspace: Workspace) -> None:
    """Nothing is written where the file says so already; another program may have written it meanwhile."""
    with workspace.writing():
        workspace.settings["camera"] = "webcam:0"
    before = (workspace.path / "ai_nano.json").stat().st_ino
    with workspace.writing():
        pass
    assert (workspace.path / "ai_nano.json").stat().st_ino == before
    other = Workspace.open(workspace.path)
    with other.writing():
        other.settings["camera"] = "webcam:1"
    with workspace.writing():
        workspace.settings["camera"] = "webcam:0"
    assert Workspace.open(workspace.path).settings["camera"] == "webcam:0"


def test_an_older_programs_workspace_opens(tmp_path: Path) -> None:
    for part in ("images", "train", "val", "test"):
        for name in ("b", "a"):
            (tmp_path / part / name).mkdir(parents=True)
    (tmp_path / "labels.txt").write_text("b\na\n")
    workspace = Workspace.open(tmp_path)
    assert workspace.classes == ["b", "a"] and workspace.split_given
    with workspace.writing():
        pass
    assert Workspace.open(tmp_path).split_given


def test_without_labels_the_folders_are_the_classes(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / "train" / name).mkdir(parents=True)
    assert Workspace.open(tmp_path).classes == ["a", "b"]


@pytest.mark.parametrize(("content", "code"), [
    ("{", "workspace.damaged"), ("[]", "workspace.damaged"), ("{}", "workspace.damaged"),
    (json.dumps({"schema": 1, "name": "x", "classes": ["../../escape", "b"], "receipts": {}}), "workspace.damaged"),
    (json.dumps({"schema": 99, "name": "x", "classes": [], "receipts": {}}), "workspace.newer"),
])
def test_a_state_file_that_is_not_ours(tmp_path: Path, content: str, code: str) -> None:
    (tmp_path / "ai_nano.json").write_text(content)
    with pytest.raises(BadInput) as caught:
        Workspace.open(tmp_path)
    assert caught.value.code == code


def test_a_folder_instead_of_the_state_file(tmp_path: Path) -> None:
    (tmp_path / "ai_nano.json").mkdir()
    with pytest.raises(BadInput) as caught:
        Workspace.open(tmp_path)
    assert caught.value.code == "workspace.damaged"


def test_an_older_labels_file_cannot_lead_outside(tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    (tmp_path / "labels.txt").write_text("a\n../../escape\n")
    with pytest.raises(BadInput) as caught:
        Workspace.open(tmp_path)
    assert caught.value.code == "class_name.path"


def test_no_workspace(tmp_path: Path) -> None:
    for path, code in ((tmp_path, "workspace.none"), (tmp_path / "x", "workspace.missing")):
        with pytest.raises(BadInput) as caught:
            Workspace.open(path)
        assert caught.value.code == code


@pytest.mark.root
def test_a_read_only_file_system(tmp_path: Path) -> None:
    """Root may write into any folder, so the file system itself has to refuse."""
    folder = tmp_path / "mount"
    Workspace.create(folder, ["a", "b"])
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        with pytest.raises(BadInput) as writing, Workspace.open(folder).writing():
            pass
        with pytest.raises(BadInput) as creating:
            Workspace.create(folder / "new", ["a", "b"])
        assert writing.value.code == creating.value.code == "workspace.read_only"
        assert (writing.value.exit_code, Workspace.open(folder).classes) == (2, ["a", "b"])
    finally:
        subprocess.run(["umount", folder], check=True)

