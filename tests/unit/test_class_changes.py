"""Classes renamed, removed, brought back and reordered; images to the bin and back: nothing is lost, and a kill leaves either
what was before or what comes after."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from room import JPEG, Room

from ai_nano.core.errors import AiNanoError, BadInput, MissingPrerequisite, WorkFailed
from ai_nano.core.events import ignore
from ai_nano.core.project import changes, class_list, image_bin
from ai_nano.core.project.corrections import Corrections, Seen, Shot
from ai_nano.core.project.uncertain import UncertainFrames
from ai_nano.core.project.workspace import PARTS, Workspace
from ai_nano.core.running import Status
from ai_nano.steps.split import SplitOptions
from ai_nano.steps.upload import UploadOptions

SEEN = Seen("m-001", "mug", 0.4)
KILLED = 77


def fill(workspace: Workspace, counts: dict[str, int], same_names: bool = False) -> None:
    """Images with notes (two takes a class), one without, one corrected frame, and frames that wait for their class."""
    with workspace.writing():
        for name, count in counts.items():
            for number in range(count):
                file, take = f"{'' if same_names else name + '-'}{number:03d}.jpg", f"t{number * 2 // count}"
                (workspace.image_folder(name) / file).write_bytes(JPEG + f"{name}/{file}".encode())
                workspace.note_image({"file": file, "class": name, "take": take, "t": float(number), "camera": "webcam:0",
                                      "width": 64, "height": 36})
            (workspace.image_folder(name) / "by hand.jpg").write_bytes(JPEG + name.encode())
    Corrections(workspace, "nano://nano1").add(Shot(JPEG, 5.0, 64, 36), next(iter(counts)), SEEN)
    UncertainFrames(workspace).put(Shot(JPEG, 6.0, 64, 36), "nano://nano1", SEEN, dict.fromkeys(counts, 0.3))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def everything(workspace: Workspace) -> dict[str, Any]:
    """All that a person or a step can see of a workspace."""
    keys = [f"{name}/{path.name}" for name in workspace.classes for path in workspace.image_paths(name)]
    memory = workspace.hidden / "split.json"
    assigned = json.loads(memory.read_text())["assigned"] if memory.exists() else {}
    receipts = {step: receipt.to_json() for step, receipt in workspace.receipts.items()}
    return {
        "classes": list(workspace.classes), "planned": workspace.planned_classes, "receipts": receipts,
        "images": files(workspace.path / "images"), "parts": {part: files(workspace.path / part) for part in PARTS},
        "folders": sorted(path.name for path in (workspace.path / "images").glob("*")),
        "notes": {key: note for key, note in workspace.takes().items() if key in keys},
        "assigned": {key: part for key, part in assigned.items() if key in keys},
        "uncertain": [(one.path.name, one.seen, dict(one.shares)) for one in UncertainFrames(workspace).frames()],
        "labels": workspace.labels_file.read_text() if workspace.labels_file.exists() else None,
        "removals": [(one.keys, one.class_name) for one in image_bin.removals(workspace)],
        "in_step": workspace.images_fingerprint(), "split": workspace.split_fingerprint()}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "w", ["mug", "été", "nothing"])
    fill(made, {"mug": 5, "été": 4, "nothing": 3})
    return made


@pytest.fixture
def split(room: Room) -> Room:
    room.add_images("cat", 10)
    room.add_images("dog", 10)
    room.do("split", SplitOptions())
    room.do("upload", UploadOptions())
    return room


# ---- renaming ----------------------------------------------------------------------------------------------------------


def test_a_renamed_class_keeps_all_that_was_its_own(workspace: Workspace) -> None:
    before = everything(workspace)
    assert class_list.rename(workspace, "mug", " cup ") == "cup"
    after = everything(Workspace.open(workspace.path))
    assert after["classes"] == ["cup", "été", "nothing"]
    assert {name.replace("cup/", "mug/", 1): data for name, data in after["images"].items()} == before["images"]
    corrected = [note for note in after["notes"].values() if "corrected" in note]
    assert [note["corrected"]["seen"] for note in corrected] == ["cup"] and corrected[0]["class"] == "cup"
    assert len(after["notes"]) == len(before["notes"])
    assert after["uncertain"][0][1].class_name == "cup" and set(after["uncertain"][0][2]) == {"cup", "été", "nothing"}
    class_list.rename(workspace, "cup", "mug")
    assert everything(workspace) == before


def test_the_split_stays_in_step_and_the_upload_is_to_be_done_again(split: Room) -> None:
    assigned = everything(split.workspace)["assigned"]
    class_list.rename(split.workspace, "cat", "Katze")
    assert (split.statuses()["split"], split.statuses()["upload"]) == (Status.DONE, Status.STALE)
    assert split.workspace.labels_file.read_text() == "Katze\ndog"
    assert {path.name for part in PARTS for path in (split.workspace.path / part).iterdir()} == {"Katze", "dog"}
    split.do("split", SplitOptions())
    renamed = everything(split.workspace)["assigned"]
    assert renamed == {key.replace("cat/", "Katze/"): part for key, part in assigned.items()}
    split.do("upload", UploadOptions())
    assert split.statuses()["upload"] is Status.DONE


def test_names_that_swap_take_their_images_along(split: Room) -> None:
    (split.workspace.image_folder("cat") / "cat only.jpg").write_bytes(JPEG)
    for old, new in (("cat", "x"), ("dog", "cat"), ("x", "dog")):
        class_list.rename(split.workspace, old, new)
    assert (split.workspace.image_folder("dog") / "cat only.jpg").exists() and split.workspace.classes == ["dog", "cat"]


def test_capitals_alone_and_accents_in_two_forms(workspace: Workspace) -> None:
    assert class_list.rename(workspace, "mug", "MUG") == "MUG"
    assert class_list.rename(workspace, unicodedata.normalize("NFD", "été"), "Été") == "Été"
    assert [path.name for path in sorted((workspace.path / "images").iterdir())] == ["MUG", "nothing", "Été"]
    assert Workspace.open(workspace.path).classes == ["MUG", "Été", "nothing"]


def test_where_the_disk_knows_no_capitals(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both names are the same folder there, and a rename from one to the other may be passed over."""
    real, plain = os.rename, os.path.exists
    monkeypatch.setattr(Path, "exists", lambda self: plain(self) or plain(self.with_name(self.name.lower())))
    monkeypatch.setattr(Path, "samefile", lambda self, other: str(self).lower() == str(other).lower())

    def rename(source: Any, target: Any) -> None:
        if str(source).lower() != str(target).lower():
            real(str(source) if plain(source) else Path(source).with_name(Path(source).name.lower()), target)

    monkeypatch.setattr(os, "rename", rename)
    class_list.rename(workspace, "mug", "Mug")
    assert (workspace.path / "images" / "Mug").is_dir() and len(workspace.image_paths("Mug")) == 7


@pytest.mark.parametrize(("old", "new", "code"), [
    ("mug", "ÉTÉ", "class_name.equal"), ("mug", "nothing", "class_name.equal"), ("mug", "", "class_name.empty"),
    ("mug", "../x", "class_name.hidden"), ("mug", "a/b", "class_name.path"), ("cup", "x", "class.unknown"),
    ("mug", "con", "class_name.device"), ("mug", "taken", "class.folder_taken")])
def test_a_name_that_cannot_be(workspace: Workspace, old: str, new: str, code: str) -> None:
    (workspace.path / "images" / "taken").mkdir()
    (workspace.path / "images" / "taken" / "x.jpg").write_bytes(JPEG)
    before = everything(workspace)
    with pytest.raises(BadInput) as caught:
        class_list.rename(workspace, old, new)
    assert caught.value.code == code and str(caught.value) and everything(workspace) == before


def test_an_empty_folder_of_that_name_gives_way(workspace: Workspace) -> None:
    (workspace.path / "images" / "cup").mkdir()
    assert class_list.rename(workspace, "mug", "cup") == "cup" and len(workspace.image_paths("cup")) == 7


def test_not_while_a_step_goes_by_the_classes(split: Room) -> None:
    with split.workflow.changing("classes"), pytest.raises(MissingPrerequisite) as caught:
        split.workflow.start("split", SplitOptions(), ignore)
    assert caught.value.code == "step.busy" and str(caught.value)
    with split.workflow.changing("correct"), pytest.raises(MissingPrerequisite) as beside:
        class_list.rename(split.workspace, "cat", "x")
    assert beside.value.code == "change.busy" and str(beside.value) and split.workspace.classes == ["cat", "dog"]
    with Workspace.open(split.workspace.path).writing(), pytest.raises(MissingPrerequisite) as refused:
        class_list.rename(split.workspace, "cat", "x")
    assert refused.value.code == "workspace.open_elsewhere" and refused.value.exit_code == 4


# ---- the order ---------------------------------------------------------------------------------------------------------


def test_another_order_is_that_of_labels_too(split: Room) -> None:
    class_list.reorder(split.workspace, ["dog", "cat"])
    assert Workspace.open(split.workspace.path).classes == ["dog", "cat"]
    assert split.workspace.labels_file.read_text() == "dog\ncat"
    assert (split.statuses()["split"], split.statuses()["upload"]) == (Status.DONE, Status.STALE)
    class_list.reorder(split.workspace, ["cat", "dog"])
    assert split.statuses()["upload"] is Status.DONE


@pytest.mark.parametrize(("order", "code"), [(["cat"], "class.order"), (["cat", "cat"], "class.order"),
                                             (["cat", "cow"], "class.unknown"), (["cat", "dog", "dog"], "class.order")])
def test_an_order_that_is_none(room: Room, order: list[str], code: str) -> None:
    with pytest.raises(BadInput) as caught:
        class_list.reorder(room.workspace, order)
    assert caught.value.code == code and room.workspace.classes == ["cat", "dog"]


# ---- the bin -----------------------------------------------------------------------------------------------------------


def test_a_removed_class_comes_back_as_it_was(split: Room) -> None:
    split.workspace.settings["planned_classes"] = 2
    split.workspace.save()
    before = everything(split.workspace)
    removal = class_list.remove(split.workspace, "cat")
    assert (removal.class_name, len(removal.keys)) == ("cat", 10)
    after = everything(Workspace.open(split.workspace.path))
    assert (after["classes"], after["planned"], after["labels"]) == (["dog"], 1, "dog")
    assert not any("cat" in name for part in after["parts"].values() for name in part)
    assert split.statuses()["record"] is Status.READY
    assert len(image_bin.restore(split.workspace, removal.id)) == 10
    assert everything(split.workspace) == before
    assert (split.statuses()["split"], split.statuses()["upload"]) == (Status.DONE, Status.DONE)
    assert image_bin.size(split.workspace) == 0


def test_a_class_comes_back_after_another_split(split: Room) -> None:
    split.workspace.add_class("cow")
    split.add_images("cow", 10)
    split.do("split", SplitOptions())
    assigned = everything(split.workspace)["assigned"]
    removal = class_list.remove(split.workspace, "cat")
    assert split.statuses()["split"] is Status.STALE
    split.do("split", SplitOptions())
    image_bin.restore(split.workspace, removal.id)
    assert split.statuses()["split"] is Status.STALE and split.workspace.classes == ["cat", "dog", "cow"]
    assert not (split.workspace.path / "train" / "cat").exists()
    split.do("split", SplitOptions())
    assert everything(split.workspace)["assigned"] == assigned


def test_removed_images_come_back_as_they_were(split: Room) -> None:
    before = everything(split.workspace)
    first = image_bin.remove(split.workspace, ["cat/000.jpg", "dog/003.jpg", "cat/000.jpg"])
    assert first.keys == ("cat/000.jpg", "dog/003.jpg") and split.workspace.count("cat") == 9
    assert split.statuses()["split"] is Status.STALE
    second = image_bin.remove(split.workspace, ["cat/001.jpg"])
    assert image_bin.removals(split.workspace) == [first, second]
    assert image_bin.newest(split.workspace, "cat") == second and image_bin.newest(split.workspace, "dog") == first
    for removal in (second, first):
        assert image_bin.restore(split.workspace, removal.id) == removal.keys
    assert everything(split.workspace) == before and split.statuses()["split"] is Status.DONE


def test_removed_images_come_back_to_their_parts_after_another_split(split: Room) -> None:
    before = everything(split.workspace)["assigned"]
    keys = [next(key for key in before if before[key] == part) for part in PARTS]
    removal = image_bin.remove(split.workspace, keys)
    split.do("split", SplitOptions())
    image_bin.restore(split.workspace, removal.id)
    split.do("split", SplitOptions())
    after = everything(split.workspace)["assigned"]
    assert set(after) == set(before) and {key: after[key] for key in keys} == {key: before[key] for key in keys}


def test_removed_images_follow_the_name_of_their_class(workspace: Workspace) -> None:
    before = everything(workspace)
    key = image_bin.last_take(workspace, "mug")[-1]
    removal = image_bin.remove(workspace, [key])
    class_list.rename(workspace, "mug", "cup")
    assert image_bin.restore(workspace, removal.id) == (key.replace("mug/", "cup/"),)
    class_list.rename(workspace, "cup", "mug")
    assert everything(workspace) == before


def test_a_class_of_the_same_name_is_another_one(workspace: Workspace) -> None:
    before = everything(workspace)
    image = image_bin.remove(workspace, ["mug/mug-000.jpg"])
    gone = class_list.remove(workspace, "mug")
    with pytest.raises(BadInput) as without:
        image_bin.restore(workspace, image.id)
    assert without.value.code == "bin.class_gone"
    workspace.add_class("Mug", 0)
    with pytest.raises(BadInput) as taken:
        image_bin.restore(workspace, gone.id)
    assert taken.value.code == "bin.class_taken" and "Mug" in taken.value.what and taken.value.hint
    class_list.rename(workspace, "Mug", "cup")
    image_bin.restore(workspace, gone.id)
    assert image_bin.restore(workspace, image.id) == ("mug/mug-000.jpg",)
    class_list.remove(workspace, "cup")
    image_bin.empty(workspace)
    assert {**everything(workspace), "folders": None} == {**before, "folders": None}


def test_classes_come_back_at_their_places(workspace: Workspace) -> None:
    gone = [class_list.remove(workspace, name) for name in ("été", "mug")]
    for removal in reversed(gone):
        image_bin.restore(workspace, removal.id)
    assert workspace.classes == ["mug", "été", "nothing"]
    gone = [class_list.remove(workspace, name) for name in ("été", "mug", "nothing")]
    for removal in gone:
        image_bin.restore(workspace, removal.id)
    assert sorted(workspace.classes) == ["mug", "nothing", "été"]


@pytest.mark.parametrize("keys", [[], ["mug/none.jpg"], ["cow/x.jpg"], ["mug/../nothing/by hand.jpg"], ["by hand.jpg"],
                                  ["mug/"]])
def test_what_is_no_image_is_not_removed(workspace: Workspace, keys: list[str]) -> None:
    before = everything(workspace)
    with pytest.raises(BadInput) as caught:
        image_bin.remove(workspace, ["mug/mug-000.jpg", *keys] if keys else [])
    assert caught.value.code in ("bin.no_images", "bin.unknown_image") and everything(workspace) == before


def test_nothing_that_is_there_is_replaced(workspace: Workspace) -> None:
    removal = image_bin.remove(workspace, ["mug/mug-000.jpg"])
    (workspace.image_folder("mug") / "mug-000.jpg").write_bytes(b"another")
    with pytest.raises(BadInput) as caught:
        image_bin.restore(workspace, removal.id)
    assert caught.value.code == "bin.file_there" and str(caught.value)
    (workspace.image_folder("mug") / "mug-000.jpg").unlink()
    assert image_bin.restore(workspace, removal.id) == removal.keys
    with pytest.raises(BadInput) as twice:
        image_bin.restore(workspace, removal.id)
    assert twice.value.code == "bin.unknown" and not image_bin.removals(workspace)


def test_the_newest_take(workspace: Workspace) -> None:
    assert image_bin.last_take(workspace, "été") == ("été/été-002.jpg", "été/été-003.jpg")
    with workspace.writing():
        workspace.classes.append("copied")
        (workspace.path / "images" / "copied").mkdir()
        (workspace.path / "images" / "copied" / "x.jpg").write_bytes(JPEG)
    assert image_bin.last_take(workspace, "copied") == ()


def test_the_bin_is_emptied_for_good(workspace: Workspace) -> None:
    removal = class_list.remove(workspace, "mug")
    size = image_bin.size(workspace)
    assert size > 7 * len(JPEG) and image_bin.empty(workspace) == size
    assert image_bin.size(workspace) == 0 and not image_bin.removals(workspace)
    for act in (lambda: image_bin.restore(workspace, removal.id), lambda: image_bin.newest(workspace)):
        with pytest.raises(AiNanoError) as caught:
            act()
        assert caught.value.code in ("bin.unknown", "bin.nothing")
    assert image_bin.empty(workspace) == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}",
                                  '{"v": 1, "id": "000001-x", "images": [{"key": "../../x.jpg", "file": "x"}]}'])
def test_what_is_no_manifest_is_passed_over(workspace: Workspace, text: str) -> None:
    place = image_bin.folder(workspace) / "000001-x"
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(text)
    assert image_bin.removals(workspace) == []
    assert image_bin.remove(workspace, ["mug/mug-000.jpg"]).id.startswith("000002-")


# ---- the older program's ------------------------------------------------------------------------------------------------


def older(folder: Path) -> Workspace:
    """Images in train/, val/ and test/ only; labels.txt says the order."""
    for part, count in zip(PARTS, (4, 2, 2), strict=True):
        for name in ("zebra", "my.ant"):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                (folder / part / name / f"{part}{number}.jpg").write_bytes(JPEG + part.encode() + bytes([number]))
    (folder / "labels.txt").write_text("zebra\nmy.ant\n")
    return Workspace.open(folder)


def test_the_only_copies_of_an_older_workspace_follow(tmp_path: Path) -> None:
    workspace = older(tmp_path / "w")
    before = {part: files(workspace.path / part) for part in PARTS}
    assert class_list.rename(workspace, "my.ant", "ant") == "ant"
    reopened = Workspace.open(workspace.path)
    assert (reopened.classes, reopened.split_given, reopened.labels_file.read_text()) == (["zebra", "ant"], True, "zebra\nant")
    removal = class_list.remove(reopened, "zebra")
    assert reopened.labels_file.read_text() == "ant" and not (reopened.path / "train" / "zebra").exists()
    image_bin.restore(reopened, removal.id)
    class_list.reorder(reopened, ["ant", "zebra"])
    assert Workspace.open(workspace.path).labels_file.read_text() == "ant\nzebra"
    assert {part: {name.replace("ant/", "my.ant/"): data for name, data in files(workspace.path / part).items()}
            for part in PARTS} == before


def test_names_that_the_older_program_took_stay_when_it_is_opened_again(tmp_path: Path) -> None:
    with older(tmp_path / "w").writing():
        pass
    workspace = Workspace.open(tmp_path / "w")
    assert workspace.classes == ["zebra", "my.ant"] and workspace.add_class("cat") == "cat"
    assert Workspace.open(tmp_path / "w").classes == ["zebra", "my.ant", "cat"]


# ---- killed in the midst -------------------------------------------------------------------------------------------------

_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree", "open"}


def killed_at(step: int, folder: Path, act: Callable[[Workspace], object]) -> bool:
    """Carry out `act` in a process that ends before its `step`th change of the disk; False when it came to its end."""
    child = os.fork()
    if not child:
        count = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if event in _EVENTS and not (event == "open" and not _writes(arguments)) and str(folder) in str(arguments[0]):
                count += 1
                if count > step:
                    os._exit(KILLED)

        try:
            workspace = Workspace.open(folder)
            sys.addaudithook(hook)
            act(workspace)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, KILLED), code
    return code == KILLED


def _writes(arguments: tuple[Any, ...]) -> bool:
    mode, flags = arguments[1], arguments[2]
    return bool(set(str(mode or "")) & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def rename(workspace: Workspace) -> None:
    class_list.rename(workspace, "cat", "Katze")


def reorder(workspace: Workspace) -> None:
    class_list.reorder(workspace, ["dog", "cat"])


def remove_class(workspace: Workspace) -> None:
    class_list.remove(workspace, "cat")


def remove_images(workspace: Workspace) -> None:
    image_bin.remove(workspace, ["cat/000.jpg", "cat/001.jpg", "dog/002.jpg"])


def restore(workspace: Workspace) -> None:
    image_bin.restore(workspace, image_bin.removals(workspace)[-1].id)


def seen(folder: Path) -> dict[str, Any]:
    return everything(Workspace.open(folder))


@pytest.mark.parametrize(("prepare", "act"), [
    (None, rename), (None, reorder), (None, remove_class), (None, remove_images), (remove_class, restore),
    (remove_images, restore), (remove_images, rename), (remove_images, remove_class)],
    ids=["rename", "reorder", "remove a class", "remove images", "restore a class", "restore images", "rename after a removal",
         "remove the rest"])
def test_a_kill_leaves_what_was_before_or_what_comes_after(split: Room, tmp_path: Path, act: Callable[[Workspace], object],
                                                           prepare: Callable[[Workspace], object] | None) -> None:
    fill_uncertain(split.workspace)
    if prepare is not None:
        prepare(split.workspace)
    origin, folder = split.workspace.path, tmp_path / "killed"
    shutil.copytree(origin, folder)
    before = seen(folder)
    act(Workspace.open(folder))
    after = seen(folder)
    met, step = set(), 0
    while True:
        shutil.rmtree(folder)
        shutil.copytree(origin, folder)
        if not killed_at(step, folder, act):
            break
        found = seen(folder)
        assert found in (before, after), f"killed at change {step}"
        assert not (folder / ".ai_nano" / changes.FILE).exists()
        met.add(found == after)
        step += 1
    assert met == {False, True} and step > 5


def fill_uncertain(workspace: Workspace) -> None:
    workspace.note_image({"file": "000.jpg", "class": "cat", "take": "t0", "t": 1.0})
    UncertainFrames(workspace).put(Shot(JPEG, 6.0, 64, 36), "nano://nano1", Seen("m", "cat", 0.4), {"cat": 0.4, "dog": 0.3})


# ---- a disk that does not take it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [rename, reorder, remove_class, remove_images])
def test_what_fails_is_taken_back(split: Room, act: Callable[[Workspace], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write fails once, as on a full disk, until none is left."""
    fill_uncertain(split.workspace)
    before, real = everything(split.workspace), os.replace
    for failing in range(1, 20):
        left = failing

        def replace(source: Any, target: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise OSError(28, "No space left on device")
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        try:
            act(split.workspace)
        except WorkFailed as error:
            assert error.code == "workspace.disk_full"
        else:
            break
        assert everything(split.workspace) == before == everything(Workspace.open(split.workspace.path))
        assert not changes.journal(split.workspace).exists()
    assert 2 < failing < 19 and everything(split.workspace) != before


def test_a_change_that_nobody_can_finish_keeps_nobody_out(workspace: Workspace) -> None:
    changes.journal(workspace).write_text('{"do": "dance"}')
    reopened = Workspace.open(workspace.path)
    reopened.add_class("cow")
    with pytest.raises(WorkFailed) as caught:
        class_list.rename(reopened, "cow", "calf")
    assert caught.value.code == "change.unfinished" and str(caught.value)


# ---- anything in any order -----------------------------------------------------------------------------------------------

NAMES = ["a", "b", "B c", "été", "日本"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """On which nothing is waited for until it is on the disk."""
    with tempfile.TemporaryDirectory() as scratch, mock.patch("os.fsync"):
        yield Path(scratch)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_done_nothing_is_lost_and_undoing_all_of_it_is_exact(folder: Path, data: st.DataObject) -> None:
    place = folder / "w"
    shutil.rmtree(place, ignore_errors=True)
    workspace = Workspace.create(place, ["a", "b", "日本"])
    fill(workspace, {"a": 3, "b": 2, "日本": 1}, same_names=True)
    parts = {image.key: PARTS[place % 3] for name in workspace.classes for place, image in enumerate(workspace.images(name))}
    (workspace.hidden / "split.json").write_text(json.dumps({"v": 1, "assigned": parts}))
    before = everything(workspace)
    contents = sorted(before["images"].values())
    undo: list[Callable[[], object]] = []
    for _ in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from(["rename", "remove", "images", "reorder"]))
        name = data.draw(st.sampled_from(workspace.classes)) if workspace.classes else None
        if kind == "reorder":
            order = list(workspace.classes)
            class_list.reorder(workspace, data.draw(st.permutations(order)))
            undo.append(partial(class_list.reorder, workspace, order))
        elif name is None:
            continue
        elif kind == "rename":
            try:
                new = class_list.rename(workspace, name, data.draw(st.sampled_from(NAMES)))
            except BadInput as error:
                assert error.code == "class_name.equal"
                continue
            undo.append(partial(class_list.rename, workspace, new, name))
        else:
            keys = [image.key for image in workspace.images(name)]
            if kind == "images" and not keys:
                continue
            removal = (class_list.remove(workspace, name) if kind == "remove" else
                       image_bin.remove(workspace, data.draw(st.lists(st.sampled_from(keys), min_size=1))))
            undo.append(partial(image_bin.restore, workspace, removal.id))
        there = [*files(place / "images").values(),
                 *(content for name, content in files(image_bin.folder(workspace)).items() if name.endswith(".jpg"))]
        assert sorted(there) == contents
    for act in reversed(undo):
        act()
    after = everything(Workspace.open(place))
    assert {**after, "in_step": None, "split": None} == {**before, "in_step": None, "split": None}
    assert after["in_step"] == before["in_step"]
