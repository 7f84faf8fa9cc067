"""A class's images as a person looks through them, and images that go to another class."""

import os
from pathlib import Path

import pytest

from ai_nano.core.errors import BadInput
from ai_nano.core.project import reclassify
from ai_nano.core.project.class_pictures import newest_first, take_time
from ai_nano.core.project.workspace import Workspace, new_take

EARLY, LATE, IMPORT = "20261121T101500000", "20261121T143000500", "20261121T150000000"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "lab", ["cat", "cup"])


def put(workspace: Workspace, class_name: str, take: str, count: int, t: float, **more: object) -> list[str]:
    """Images of a take, as the recorder leaves them; their keys."""
    names = [f"{take}-{number:05d}.jpg" for number in range(1, count + 1)]
    for number, name in enumerate(names):
        (workspace.image_folder(class_name) / name).write_bytes(name.encode())
        workspace.note_image({"file": name, "class": class_name, "take": take, "t": t + number, "camera": "webcam:0",
                              "width": 1280, "height": 720, **more})
    return [f"{class_name}/{name}" for name in names]


def keys(workspace: Workspace, class_name: str) -> list[str]:
    return [one.key for one in newest_first(workspace, class_name)]


def test_the_newest_recording_stands_first_and_its_newest_image(workspace: Workspace) -> None:
    early, late = put(workspace, "cat", EARLY, 3, 1000.0), put(workspace, "cat", LATE, 2, 2000.0)
    assert keys(workspace, "cat") == [*reversed(late), *reversed(early)]
    first = newest_first(workspace, "cat")[0]
    assert (first.take, first.t, first.camera, first.width, first.height) == (LATE, 2001.0, "webcam:0", 1280, 720)
    assert keys(workspace, "cup") == []


def test_an_import_is_as_new_as_the_import(workspace: Workspace) -> None:
    """Its images are noted with the time of their files, which may be years ago."""
    recorded, imported = put(workspace, "cat", LATE, 2, take_time(LATE) or 0.0), put(workspace, "cat", IMPORT, 2, 1000.0)
    assert keys(workspace, "cat") == [*reversed(imported), *reversed(recorded)]


def test_takes_never_mingle_and_files_of_none_are_one(workspace: Workspace) -> None:
    put(workspace, "cat", EARLY, 2, take_time(EARLY) or 0.0)
    put(workspace, "cat", LATE, 2, take_time(LATE) or 0.0)
    between = ((take_time(EARLY) or 0.0) + (take_time(LATE) or 0.0)) / 2
    for number, name in enumerate(("b.jpg", "a.jpg")):
        (workspace.image_folder("cat") / name).write_bytes(b"by hand")
        os.utime(workspace.image_folder("cat") / name, (between + number, between + number))
    found = newest_first(workspace, "cat")
    assert [one.take for one in found] == [LATE, LATE, "", "", EARLY, EARLY]
    assert [one.path.name for one in found if not one.take] == ["a.jpg", "b.jpg"]
    assert {one.began for one in found if not one.take} == {between + 1} and found[2].camera is None


def test_notes_that_make_no_sense_cost_no_image(workspace: Workspace) -> None:
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (workspace.image_folder("cat") / name).write_bytes(b"x")
    workspace.note_image({"file": "1.jpg", "class": "cat", "t": "yesterday", "take": None, "camera": 5, "width": "wide"})
    workspace.note_image({"file": "2.jpg", "class": "cat"})
    found = {one.path.name: one for one in newest_first(workspace, "cat")}
    assert set(found) == {"1.jpg", "2.jpg", "3.jpg"} and found["1.jpg"].camera is None and found["1.jpg"].width is None


def test_a_takes_name_tells_when_it_began() -> None:
    assert take_time("19700101T000001250") == 1.25
    assert take_time("") is None and take_time("morning") is None
    assert take_time(new_take()) is not None


# ---- to another class --------------------------------------------------------------------------------------------------


def test_an_image_that_is_moved_keeps_its_take_and_what_is_noted(workspace: Workspace) -> None:
    first, second = put(workspace, "cat", LATE, 2, 2000.0, corrected={"seen": "cup"})
    before = newest_first(workspace, "cat")[0]
    assert reclassify.move(workspace, [second], "cup") == (second.replace("cat/", "cup/"),)
    (moved,) = newest_first(workspace, "cup")
    assert (moved.take, moved.t, moved.camera, moved.width) == (before.take, before.t, before.camera, before.width)
    assert moved.path.read_bytes() == b"%s" % Path(second).name.encode() and keys(workspace, "cat") == [first]
    assert workspace.images("cup")[0].corrected and workspace.images("cup")[0].take == LATE
    assert reclassify.move(workspace, [moved.key], "cat") == (second,)
    assert keys(workspace, "cat") == [second, first] and keys(workspace, "cup") == []


def test_no_image_is_written_over(workspace: Workspace) -> None:
    (mine,), (other,) = put(workspace, "cat", LATE, 1, 2000.0), put(workspace, "cup", LATE, 1, 3000.0)
    (workspace.path / "images" / other).write_bytes(b"the other")
    (moved,) = reclassify.move(workspace, [mine], "cup")
    assert moved == f"cup/{LATE}-00001-2.jpg"
    assert (workspace.path / "images" / other).read_bytes() == b"the other" and len(keys(workspace, "cup")) == 2
    assert {one.take for one in newest_first(workspace, "cup")} == {LATE}


def test_what_is_gone_or_there_already_is_passed_over(workspace: Workspace) -> None:
    first, second = put(workspace, "cat", LATE, 2, 2000.0)
    (workspace.path / "images" / first).unlink()
    assert reclassify.move(workspace, [first, second, "cup/none.jpg"], "cat") == ()
    assert len(reclassify.move(workspace, [first, second], "cup")) == 1


def test_an_unknown_class_is_refused_before_anything_is_moved(workspace: Workspace) -> None:
    (key,) = put(workspace, "cat", LATE, 1, 2000.0)
    with pytest.raises(BadInput) as error:
        reclassify.move(workspace, [key], "dog")
    assert error.value.code == "record.unknown_class" and keys(workspace, "cat") == [key]
