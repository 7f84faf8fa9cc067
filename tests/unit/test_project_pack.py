"""A project taken home and opened again: what comes along, what does not, and what no file may do."""

import io
import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from room import Room

from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, BadInput, Cancelled, WorkFailed
from ai_nano.core.lanes import Lanes
from ai_nano.core.project import opening, pack
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.core.workflow import Workflow
from ai_nano.lab import steps
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.infer import InferOptions

Members = dict[str, bytes]
SECRET = "s3cret-word"


@pytest.fixture
def travelled(exported: Room) -> Room:
    """A project of which all eight steps are done, with what must stay at home."""
    exported.do("deploy", DeployOptions())
    exported.do("infer", InferOptions(frames=1))
    workspace = exported.workspace
    workspace.note_image({"file": "000.jpg", "class": "cat", "take": "t1", "t": 5.0, "camera": f"rtsp://u:{SECRET}@h/1",
                          "corrected": {"seen": "dog", "confidence": 0.5, "model": "m"}})
    (workspace.path / "config.json").write_text(f'{{"pwd": "{SECRET}"}}')
    (workspace.path / "notes.txt").write_text(SECRET)
    (workspace.hidden / "cache").mkdir(exist_ok=True)
    (workspace.hidden / "cache" / "x").write_text(SECRET)
    with workspace.writing():
        workspace.settings["camera"] = f"rtsp://u:{SECRET}@h/1"
        workspace.note(Receipt("record", "done", "", facts={"class": "cat", "saved": 1, "camera": f"rtsp://u:{SECRET}@h/1"}))
        workspace.note(Receipt("upload", "failed", "", facts={"what": SECRET}))
        workspace.attempts.pop("upload")
        workspace.note(Receipt("split", "failed", "", facts={"what": SECRET}))
    return exported


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def statuses(workspace: Workspace, room: Room) -> list[tuple[str, str]]:
    lanes = Lanes()
    try:
        return [(one.step, one.code) for one in Workflow(workspace, room.lab, steps(), lanes).status()]
    finally:
        lanes.close()


def test_a_project_opens_elsewhere_as_it_was(travelled: Room, tmp_path: Path) -> None:
    workspace = travelled.workspace
    told: list[tuple[int, int]] = []
    saved = pack.save(workspace, tmp_path / "home", lambda done, total: told.append((done, total)))
    assert (saved.file, saved.images, saved.models) == (tmp_path / "home.zip", 20, 1) and told[-1][0] == told[-1][1] > 0
    again = opening.open_project(saved.file, tmp_path / "elsewhere" / "w2")
    assert (again.name, again.classes) == (workspace.name, workspace.classes)
    before, after = tree(workspace.path), tree(again.path)
    for part in ("images", "train", "val", "test", "models"):
        assert {name: data for name, data in after.items() if name.startswith(part) and not name.endswith(".html")} == {
            name: data for name, data in before.items() if name.startswith(part) and not name.endswith(".html")}
    assert again.takes()["cat/000.jpg"]["take"] == "t1"
    assert again.takes()["cat/000.jpg"]["corrected"] == {"seen": "dog", "confidence": 0.5, "model": "m"}
    with workspace.writing():
        workspace.attempts.clear()
    # Each step is done that was done: also those that know it by the files' times.
    assert statuses(again, travelled) == statuses(workspace, travelled)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["w2"]


def test_each_picture_is_in_the_file_once(travelled: Room, tmp_path: Path) -> None:
    saved = pack.save(travelled.workspace, tmp_path / "home.zip")
    names = zipfile.ZipFile(saved.file).namelist()
    assert len([name for name in names if name.endswith(".jpg")]) == 20 and len(names) == len(set(names))


def test_a_split_that_was_given_comes_along(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        (tmp_path / "old" / part / "b").mkdir(parents=True)
        (tmp_path / "old" / part / "b" / "1.jpg").write_bytes(part.encode())
    (tmp_path / "old" / "labels.txt").write_text("b\na")
    old = Workspace.open(tmp_path / "old")
    pack.save(old, tmp_path / "home.zip")
    again = opening.open_project(tmp_path / "home.zip", tmp_path / "new")
    assert again.classes == ["b", "a"] and again.split_given
    assert (tmp_path / "new" / "val" / "b" / "1.jpg").read_bytes() == b"val"


def test_what_belongs_to_this_computer_stays_here(travelled: Room, tmp_path: Path) -> None:
    saved = pack.save(travelled.workspace, tmp_path / "home.zip")
    with zipfile.ZipFile(saved.file) as archive:
        names = archive.namelist()
        assert not [name for name in names if SECRET.encode() in archive.read(name)]
    assert not [name for name in names if "config" in name or "cache" in name or "notes" in name or "lock" in name]


def test_saving_is_whole_or_not_at_all(travelled: Room, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "home.zip").write_bytes(b"the one before")
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        pack.save(travelled.workspace, place / "home.zip", lambda done, total: cancel.cancel(), cancel)
    assert tree(place) == {"home.zip": b"the one before"}
    with pytest.raises(BadInput):
        pack.save(travelled.workspace, tmp_path / "nowhere" / "home.zip")


# ---- opening ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(travelled: Room, tmp_path: Path) -> Path:
    return pack.save(travelled.workspace, tmp_path / "home.zip").file


def rewritten(file: Path, change: Callable[[Members], object],
              infos: Callable[[zipfile.ZipInfo], object] | None = None) -> Path:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if infos is not None:
                infos(info)
            archive.writestr(info, content)
    target = file.with_name("changed.zip")
    target.write_bytes(data.getvalue())
    return target


def refused(file: Path, folder: Path) -> AiNanoError:
    """Why it does not open; nothing of it is on the disk then."""
    before = tree(folder.parent)
    with pytest.raises(AiNanoError) as caught:
        opening.open_project(file, folder)
    assert tree(folder.parent) == before and not folder.exists()
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(opening.ASIDE)]
    assert "{" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", [
    "../escaped.jpg", "images/../../escaped.jpg", "/etc/escaped.jpg", "images/cat/../../../escaped.jpg", "images/cat/..",
    "images/cow/1.jpg", "images/cat/.hidden.jpg", "images/cat/x/1.jpg", "images/cat/program.sh", "images\\cat\\1.jpg",
    "models/../1/model.onnx", "models/.x/model.onnx", "models/m/run.sh", ".ai_nano/lock", "config.json",
    "images/cat/a\x1b[2J.jpg", "IMAGES/cat/000.jpg", "images/cat/000.JPG", "images/cat/", "C:/x.jpg", "train/cat/a\x00b.jpg",
])
def test_no_name_leads_out_of_the_folder(home: Path, tmp_path: Path, name: str) -> None:
    error = refused(rewritten(home, lambda members: members.update({name: b"x"})), tmp_path / "new")
    assert (error.code, error.exit_code) == ("project_pack.member", 2)


def test_a_link_is_refused(home: Path, tmp_path: Path) -> None:
    def link(info: zipfile.ZipInfo) -> None:
        if info.filename == "images/cat/000.jpg":
            info.external_attr = (stat.S_IFLNK | 0o777) << 16

    assert refused(rewritten(home, lambda members: members.update({"images/cat/000.jpg": b"/etc/passwd"}), link),
                   tmp_path / "new").code == "project_pack.member"


@pytest.mark.parametrize("links", [
    {"train/cat/x.jpg": "images/../../x.jpg"}, {"../x.jpg": "images/cat/000.jpg"}, {"train/cat/x.jpg": "images/cat/000.jpg"},
    {"train/cow/000.jpg": "images/cow/000.jpg"}, {"models/cat/000.jpg": "images/cat/000.jpg"},
    {"train/cat/000.jpg": "images/cat/none.jpg"}, {"train/cat/000.jpg": ["images/cat/000.jpg"]},
])
def test_a_link_of_the_split_names_an_image_of_the_same_name(home: Path, tmp_path: Path, links: dict[str, Any]) -> None:
    def change(members: Members) -> None:
        manifest = json.loads(members["project.json"])
        members["project.json"] = json.dumps({**manifest, "links": links}).encode()

    assert refused(rewritten(home, change), tmp_path / "new").code in ("project_pack.member", "project_pack.damaged")


def test_a_bomb_is_refused_by_its_table(home: Path, tmp_path: Path) -> None:
    zeros = bytes(40 << 20)
    error = refused(rewritten(home, lambda members: members.update({"images/cat/big.jpg": zeros})), tmp_path / "new")
    assert error.code == "project_pack.too_big"


def test_a_table_that_lies_about_a_size_is_found_out(home: Path, tmp_path: Path) -> None:
    file = rewritten(home, lambda members: members.update({"images/cat/big.jpg": bytes(1 << 20)}))
    data = bytearray(file.read_bytes())
    for magic, at in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        place = 0
        while (place := data.find(magic, place)) >= 0:
            name_at = place + (46 if magic == b"PK\1\2" else 30)
            if data[name_at:name_at + 18] == b"images/cat/big.jpg":
                struct.pack_into("<L", data, place + at, 10)
            place += 4
    file.write_bytes(data)
    assert refused(file, tmp_path / "new").code == "project_pack.damaged"


def test_a_table_without_end_is_not_read(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LARGEST_TABLE", 1000)
    assert refused(home, tmp_path / "new").code == "project_pack.too_big"


def test_no_room_is_said_before_the_first_byte(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "SPARE_BYTES", 1 << 60)
    error = refused(home, tmp_path / "new")
    assert isinstance(error, WorkFailed) and error.code == "workspace.disk_full"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_half_a_file_is_refused(home: Path, tmp_path: Path, share: float) -> None:
    data = home.read_bytes()
    home.write_bytes(data[:int(len(data) * share)])
    assert refused(home, tmp_path / "new").code == "project_pack.not_a_project"


def test_changed_bytes_are_found(home: Path, tmp_path: Path) -> None:
    data = bytearray(home.read_bytes())
    at = data.find(b"not a whole image")
    data[at] ^= 1
    home.write_bytes(data)
    assert refused(home, tmp_path / "new").code == "project_pack.damaged"


@pytest.mark.parametrize(("key", "value"), [
    ("classes", ["cat", "../dog"]), ("classes", ["cat", 3]), ("classes", "cat"), ("schema", 99), ("schema", "1"),
    ("receipts", {"export": {"outcome": "done", "inputs": "", "at": 1.0, "facts": {"model": "../../x", "classes": []}}}),
    ("receipts", {"export": {"outcome": "done", "inputs": "", "at": 1.0, "facts": {"model": "m"}}}),
    ("receipts", {"export": {"outcome": "done", "inputs": "a" * 64, "at": 1.0,
                             "facts": {"model": "m", "classes": [], "fp16_agreement": "all"}}}),
    ("receipts", {"train": {"outcome": "running", "inputs": "", "at": 1.0, "facts": {"model": "m"}}}),
    ("receipts", {"deploy": {"outcome": "done", "inputs": "", "at": 1.0, "facts": {"model": "m", "nanos": "all"}}}),
    ("receipts", {"infer": {"outcome": "done", "inputs": "", "at": 1.0, "facts": {"model": "/x"}}}),
    ("receipts", []), ("settings", []), ("name", 3),
])
def test_a_state_that_no_workspace_has_is_refused(home: Path, tmp_path: Path, key: str, value: Any) -> None:
    def change(members: Members) -> None:
        members["ai_nano.json"] = json.dumps({**json.loads(members["ai_nano.json"]), key: value}).encode()

    assert refused(rewritten(home, change), tmp_path / "new").code == "project_pack.damaged"


@pytest.mark.parametrize(("member", "content"), [
    (".ai_nano/split.json", b'{"assigned": {"cat/000.jpg": "../../x"}}'), (".ai_nano/split.json", b"["),
    ("labels.txt", b"\xff\xfe"), ("project.json", b"{}"), ("project.json", b"[" * 100_000), ("ai_nano.json", b""),
])
def test_a_text_of_another_form_is_refused(home: Path, tmp_path: Path, member: str, content: bytes) -> None:
    error = refused(rewritten(home, lambda members: members.update({member: content})), tmp_path / "new")
    assert error.code in ("project_pack.damaged", "project_pack.not_a_project")


def test_takes_of_another_form_are_left_out(home: Path, tmp_path: Path) -> None:
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in (
        {"t": "never", "take": "x", "file": "1.jpg", "class": "cat"}, "nonsense",
        {"t": 1, "take": "y", "file": "2.jpg", "class": "dog"}))
    file = rewritten(home, lambda members: members.update({".ai_nano/takes.jsonl": lines}))
    assert list(opening.open_project(file, tmp_path / "new").takes()) == ["dog/2.jpg"]


def test_a_page_of_a_stranger_is_not_unpacked(home: Path, tmp_path: Path) -> None:
    again = opening.open_project(home, tmp_path / "new")
    assert not list(again.path.rglob("*.html")) and list(again.path.rglob("report.json"))


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_is_never_overwritten(home: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "there"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        os.symlink("nowhere", target)
    with pytest.raises(BadInput) as caught:
        opening.open_project(home, target)
    assert caught.value.code == "project_pack.exists" and target.is_dir() == (kind == "folder")


def test_without_a_folder_it_gets_one_of_its_own(home: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    made = [opening.open_project(home, parent=place).path.name for _ in range(2)]
    assert made == ["w", "w-2"]


def test_cancelling_leaves_nothing(home: Path, tmp_path: Path) -> None:
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        opening.open_project(home, tmp_path / "new", lambda done, total: cancel.cancel(), cancel)
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(f"{opening.ASIDE}*"))


def test_what_a_killed_program_left_goes_after_a_day(home: Path, tmp_path: Path) -> None:
    for name, age in (("old", 2 * opening.ASIDE_S), ("young", 0.0)):
        folder = tmp_path / f"{opening.ASIDE}{name}"
        folder.mkdir()
        os.utime(folder, (folder.stat().st_mtime - age,) * 2)
    opening.open_project(home, tmp_path / "new")
    assert [path.name for path in tmp_path.glob(f"{opening.ASIDE}*")] == [f"{opening.ASIDE}young"]


@pytest.mark.parametrize(("content", "project"), [(b"", False), (b"PK", False), (b"\0" * 5000, False)])
def test_what_is_no_project_is_known_without_a_word(tmp_path: Path, content: bytes, project: bool) -> None:
    (tmp_path / "x").write_bytes(content)
    assert opening.is_project(tmp_path / "x") is project
    assert not opening.is_project(tmp_path / "nowhere")
