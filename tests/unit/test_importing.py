"""The step: what is imported is right and there once, what is not is said, and however it ends, what is there is whole."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import elsewhere
import pytest
from elsewhere import encoded, jpeg, picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from room import Room

from ai_nano.cameras.images import ImageFiles
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, BadInput, Cancelled, WorkFailed
from ai_nano.core.events import Event, Log, Progress, ignore
from ai_nano.core.importing.pictures import Brought
from ai_nano.core.ports import StepContext
from ai_nano.core.project.workspace import Workspace
from ai_nano.steps import import_images
from ai_nano.steps.import_images import ImportOptions, ImportStep, folders_by_class

REPOSITORY = Path(__file__).parents[2]


def into(room: Room, name: str | None, *paths: Path, new: bool = False) -> dict[str, Any]:
    room.events.clear()
    return room.do("import", ImportOptions(name, paths, new))


def said(room: Room, code: str) -> list[str]:
    return [event.text for event in room.events if isinstance(event, Log) and event.code == code]


def whole(room: Room) -> bool:
    """Every image is a JPEG from its first to its last byte, has one note, and nothing half written lies about."""
    folders = [room.workspace.image_folder(name) for name in room.workspace.classes]
    files = [path for folder in folders for path in folder.iterdir()]
    notes = room.workspace.takes()
    return all(path.suffix == ".jpg" and f"{path.parent.name}/{path.name}" in notes
               and path.read_bytes().endswith(b"\xff\xd9") for path in files)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):
        (folder / f"frame {number}.jpg").write_bytes(jpeg(seed=number))
    return folder


def test_each_is_right_or_refused_by_name_and_the_rest_imported(room: Room, tmp_path: Path) -> None:
    folder = tmp_path / "all kinds"
    folder.mkdir()
    good = {
        "plain.jpg": jpeg(seed=1), "deep.png": elsewhere.deep_png()[0], "cmyk.jpg": elsewhere.cmyk_jpeg(True),
        "alpha.png": encoded(picture().convert("RGBA"), "PNG"), "turned.jpg": jpeg(seed=2, exif=elsewhere.exif(6)),
        "moving.gif": encoded(picture(), "GIF", save_all=True, append_images=[picture(seed=9)]),
        "large.jpg": encoded(picture(250, 200).resize((2500, 2000)), "JPEG"),
        "no suffix": jpeg(seed=4), "wrong suffix.png": jpeg(seed=5),
        "日本 été.webp": encoded(picture(), "WEBP"), "scan.tif": encoded(picture(), "TIFF")}
    bad = {"cut.jpg": (jpeg()[:3000], "cut"), "text.jpg": (b"hello", "none"), "empty.png": (b"", "empty"),
           "film.mp4": (b"\0\0\0\x20ftypisom", "video"), "inside.zip": (b"PK\3\4", "archive")}
    for name, data in good.items():
        (folder / name).write_bytes(data)
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    (folder / "notes.txt").write_text("passed over")
    facts = into(room, "dog", folder)
    assert facts["saved"] == room.workspace.count("dog") == len(good) and whole(room)
    assert {Path(one).name for one in facts["left_out"]} == set(bad) and facts["left_out_count"] == len(bad)
    assert set(facts["left_out_reasons"]) == {reason for _, reason in bad.values()}
    assert facts["scaled"] == 1 and facts["first_only"] == 1
    left_out = said(room, "import.left_out")
    assert len(left_out) == len(bad) and all(any(name in line for line in left_out) for name in bad)
    assert said(room, "import.done") and said(room, "import.scaled") and said(room, "import.first_only")
    assert not any(b"Exif" in path.read_bytes() for path in room.workspace.image_paths("dog"))


def test_a_second_import_makes_no_doubles(room: Room, pictures: Path) -> None:
    into(room, "dog", pictures)
    before = room.workspace.image_paths("dog")
    shutil.copy(pictures / "frame 0.jpg", pictures / "another name.jpg")
    (pictures / "frame 6.jpg").write_bytes(jpeg(seed=6))
    facts = into(room, "dog", pictures, pictures / "frame 1.jpg")
    assert (facts["saved"], facts["already"]) == (1, 8) and said(room, "import.already")
    assert set(before) < set(room.workspace.image_paths("dog"))
    assert into(room, "cat", pictures)["saved"] == 7, "another class has its own"
    facts = into(room, "dog", pictures)
    assert facts["saved"] == 0 and facts["already"] == 8, "nothing new is no error"


def test_what_was_deleted_can_be_imported_again(room: Room, pictures: Path) -> None:
    into(room, "dog", pictures)
    room.workspace.image_paths("dog")[2].unlink()
    assert into(room, "dog", pictures)["saved"] == 1


def test_takes(room: Room, pictures: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, taken in enumerate(("12:00:00", "12:00:01", "12:00:02", "12:05:00", "12:05:02", "15:00:00")):
        said = elsewhere.exif(taken=f"2026:03:31 {taken}", offset="+00:00")
        (photos / f"{'zyxwvu'[number]}.jpg").write_bytes(jpeg(seed=100 + number, exif=said))
    into(room, "dog", pictures)
    into(room, "cat", photos)
    notes = room.workspace.takes()
    dogs = [notes[image.key] for image in room.workspace.images("dog")]
    assert len({note["take"] for note in dogs}) == 1 and not any("single" in note for note in dogs)
    cats = [(image, notes[image.key]) for image in room.workspace.images("cat")]
    assert [image.path.name for image, _ in cats] == sorted(image.path.name for image, _ in cats), "named by time"
    takes = [note["take"] for _, note in cats]
    assert takes[0] == takes[1] == takes[2] != takes[3] == takes[4]
    assert [note.get("single", False) for _, note in cats] == [False] * 5 + [True]
    assert cats[1][0].t - cats[0][0].t == 1.0 and cats[1][0].t == 1774958401.0


def test_an_import_that_was_broken_off_goes_on_in_the_same_take(room: Room, pictures: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    write, left = import_images.write_atomically, iter(range(3))

    def full(path: Path, data: bytes, sync: bool = True) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data, sync=sync)

    monkeypatch.setattr(import_images, "write_atomically", full)
    with pytest.raises(WorkFailed) as caught:
        into(room, "dog", pictures)
    assert caught.value.code == "workspace.disk_full" and room.workspace.count("dog") == 3 and whole(room)
    assert "3" in said(room, "import.stopped")[0]
    monkeypatch.setattr(import_images, "write_atomically", write)
    with room.workspace.takes_file.open("a") as stream:
        stream.write('{"v": 1, "file": "cut by the full di')
    facts = into(room, "dog", pictures)
    assert (facts["saved"], facts["already"]) == (3, 3) and whole(room)
    notes = room.workspace.takes()
    assert len({notes[image.key]["take"] for image in room.workspace.images("dog")}) == 1
    assert into(room, "dog", pictures)["already"] == 6


@pytest.mark.root
def test_a_disk_that_is_really_full(tmp_path: Path, pictures: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,mode=0777", "tmpfs", str(disk)], check=True)
    try:
        workspace = Workspace.create(disk / "w", ["cat", "dog"])
        for number in range(6, 40):
            (pictures / f"frame {number}.jpg").write_bytes(jpeg(seed=number))
        events: list[Event] = []
        lab = types.SimpleNamespace(images=ImageFiles())
        context = StepContext(lab, events.append, CancelToken())  # type: ignore[arg-type]
        with pytest.raises(WorkFailed) as caught:
            ImportStep().run(workspace, ImportOptions("dog", (pictures,)), context)
        assert caught.value.code == "workspace.disk_full"
        saved = list(workspace.image_folder("dog").iterdir())
        assert 1 <= len(saved) < 40 and all(path.read_bytes().endswith(b"\xff\xd9") for path in saved)
        (stopped,) = [event for event in events if isinstance(event, Log) and event.code == "import.stopped"]
        assert stopped.params["saved"] == len(saved)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_import_that_was_killed_is_repeated_without_doubles(room: Room, pictures: Path) -> None:
    """At every point between two writes."""
    script = """
import os, sys
from pathlib import Path
from ai_nano.core import files
from ai_nano.core.project.workspace import Workspace
from ai_nano.cameras.images import ImageFiles
from ai_nano.core.cancel import CancelToken
from ai_nano.core.events import ignore
from ai_nano.core.ports import StepContext
from ai_nano.cameras.images import ImageFiles
from ai_nano.steps import import_images
import types
left = int(sys.argv[3])
def counted(work):
    def counting(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return work(*arguments, **options)
    return counting
workspace = Workspace.open(Path(sys.argv[1]))
workspace.note_image = counted(workspace.note_image)
import_images.write_atomically = counted(import_images.write_atomically)
os.replace = counted(os.replace)
options = import_images.ImportOptions("dog", (Path(sys.argv[2]),))
context = StepContext(types.SimpleNamespace(images=ImageFiles()), ignore, CancelToken())
import_images.ImportStep().run(workspace, options, context)
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    codes = []
    for after in (1, 2, 3, 4, 5, 9):
        command = [sys.executable, "-c", script, str(room.workspace.path), str(pictures), str(after)]
        codes.append(subprocess.run(command, env=environment, timeout=60, check=False).returncode)
    assert codes.count(9) >= 3
    into(room, "dog", pictures)
    images = room.workspace.image_paths("dog")
    assert len(images) == 6 and len({path.read_bytes() for path in images}) == 6
    notes = room.workspace.takes()
    assert len({notes[f"dog/{path.name}"]["take"] for path in images}) == 1


def test_cancelling_keeps_what_is_there_and_says_so(room: Room, pictures: Path) -> None:
    cancel = CancelToken()
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)

    class Slow:
        """Cancels while the third picture is decoded, which then takes long."""

        def __init__(self) -> None:
            self.asked = 0
            self._lock = threading.Lock()

        def glimpse(self, *arguments: Any) -> Any:
            return room.lab.images.glimpse(*arguments)

        def take_in(self, data: bytes, name: str) -> Brought:
            with self._lock:
                self.asked += 1
                third = self.asked == 3
            if third:
                cancel.cancel()
                time.sleep(0.2)
            return room.lab.images.take_in(data, name)

    class Lab:
        images = Slow()

    started = time.monotonic()
    with room.workspace.writing(), pytest.raises(Cancelled):
        ImportStep().run(room.workspace, ImportOptions("dog", (pictures,)),
                         StepContext(Lab(), listen, cancel))  # type: ignore[arg-type]
    assert time.monotonic() - started < 5 and room.workspace.count("dog") < 6 and whole(room)
    (stopped,) = [event for event in events if isinstance(event, Log) and event.code == "import.stopped"]
    assert stopped.params["saved"] == room.workspace.count("dog")


def test_many_that_are_left_out_are_summed_up_and_listed(room: Room, pictures: Path) -> None:
    for number in range(30):
        (pictures / f"text {number}.jpg").write_text("no picture")
    facts = into(room, "dog", pictures)
    assert facts["saved"] == 6 and facts["left_out_count"] == 30 and len(facts["left_out"]) == 20
    assert not said(room, "import.left_out") and "30" in said(room, "import.left_out_many")[0]
    lines = Path(facts["left_out_file"]).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 30 and "text 7.jpg" in lines[7]
    json.dumps(facts)


def test_nothing_to_import_says_what_was_there(room: Room, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(BadInput) as caught:
        into(room, "dog", tmp_path / "a.jpg")
    assert caught.value.code == "import.nothing" and "a.jpg" in caught.value.details[0]


def test_its_own_images_are_not_imported_again(room: Room, pictures: Path) -> None:
    into(room, "dog", pictures)
    with pytest.raises(BadInput) as caught:
        into(room, "dog", room.workspace.image_folder("dog"))
    assert caught.value.code == "import.nothing" and room.workspace.count("dog") == 6


def test_progress_grows(room: Room, pictures: Path) -> None:
    into(room, "dog", pictures)
    told = [event for event in room.events if isinstance(event, Progress)]
    counted = [event.done for event in told if event.total]
    assert counted == sorted(counted) and (told[-1].done, told[-1].total) == (6, 6)


# ---- by class --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "zip"])
def corpus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    top = tmp_path / "corpus"
    for number, name in enumerate(("CAT/1.jpg", "CAT/2.jpg", "dog/1.jpg", "Été/1.jpg", "Été/2.jpg", "a&b/1.jpg")):
        (top / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (top / "set" / name).write_bytes(jpeg(seed=number))
    if request.param == "folder":
        yield top
        return
    with zipfile.ZipFile(tmp_path / "corpus.zip", "w") as archive:
        for path in sorted(top.rglob("*.jpg")):
            archive.write(path, path.relative_to(top))
    shutil.rmtree(top)
    yield tmp_path / "corpus.zip"


def test_folders_are_classes(room: Room, corpus: Path) -> None:
    assert folders_by_class(room.workspace, [corpus]) == {"cat": 2, "dog": 1, "Été": 2, "a&b": 1}
    facts = into(room, None, corpus)
    assert facts["classes"] == {"cat": 2, "dog": 1} and room.workspace.classes == ["cat", "dog"]
    assert facts["left_out_reasons"] == {"no_class": 3}
    facts = into(room, None, corpus, new=True)
    assert facts["classes"] == {"Été": 2} and facts["already"] == 3 and room.workspace.classes == ["cat", "dog", "Été"]
    assert facts["left_out_reasons"] == {"class_name": 1}
    assert Workspace.open(room.workspace.path).classes == ["cat", "dog", "Été"] and whole(room)


def test_no_class_is_made_of_a_folder_without_a_picture(room: Room, tmp_path: Path) -> None:
    for name, data in (("cat/1.jpg", jpeg()), ("bird/1.jpg", b"hello")):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        (tmp_path / "set" / name).write_bytes(data)
    into(room, None, tmp_path / "set", new=True)
    assert room.workspace.classes == ["cat", "dog"]


def test_folders_of_other_names_are_said(room: Room, tmp_path: Path) -> None:
    for name in ("bird", "fish"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "1.jpg").write_bytes(jpeg())
    with pytest.raises(BadInput) as caught:
        into(room, None, tmp_path / "set")
    assert caught.value.code == "import.other_folders" and "bird, fish" in caught.value.what


@pytest.mark.parametrize(("options", "code"), [
    (ImportOptions("bird", (Path("."),)), "record.unknown_class"), (ImportOptions("../x", (Path("."),)), "class_name.hidden"),
    (ImportOptions("cat", (Path("nowhere.jpg"),)), "import.missing"),
    (ImportOptions(None, (Path(__file__),)), "import.no_class"),
])
def test_what_cannot_be_imported(room: Room, options: ImportOptions, code: str) -> None:
    with pytest.raises(AiNanoError) as caught:
        room.workflow.start("import", options, ignore)
    assert (caught.value.code, caught.value.exit_code) == (code, 2)


# ---- strangers' files ------------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=400), name=st.sampled_from(["a.jpg", "a.zip", "a.heic", "a.png", "a"]), whole_zip=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_imported_or_refused(room: Room, tmp_path: Path, data: bytes, name: str, whole_zip: bool) -> None:
    file = tmp_path / "given" / name
    file.parent.mkdir(exist_ok=True)
    if whole_zip:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("cat/../../../escaped.jpg", data)
            archive.writestr("cat/" + name, data)
    else:
        file.write_bytes(data)
    try:
        into(room, "cat", file)
    except BadInput as error:
        assert error.code == "import.nothing"
    file.unlink()
    assert whole(room) and not list(tmp_path.rglob("*escaped*")) and not list(tmp_path.parent.glob("*escaped*"))
