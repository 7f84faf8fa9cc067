"""takes.jsonl: read once, then only what came since; and what a class's images cost when nothing has changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from room import JPEG

from ai_nano.core.project import take_notes
from ai_nano.core.project.take_notes import TakeNotes
from ai_nano.core.project.workspace import Workspace


def note(number: int, name: str = "a") -> dict[str, Any]:
    return {"file": f"{number}.jpg", "class": name, "take": "t", "t": float(number)}


@pytest.fixture
def notes(tmp_path: Path) -> TakeNotes:
    return TakeNotes(tmp_path / "takes.jsonl")


def fresh(notes: TakeNotes) -> dict[str, Any]:
    """As somebody reads it who has never seen it."""
    return TakeNotes(notes._file).all()


def test_only_what_came_since_is_read(notes: TakeNotes) -> None:
    notes.append(note(number) for number in range(100))
    first = notes.all()
    assert len(first) == 100 and notes.all() is first
    with mock.patch.object(take_notes, "_parsed", wraps=take_notes._parsed) as parsed:
        notes.append([note(100)])
        assert len(notes.all()) == 101 and len(first) == 100
        assert parsed.call_args.args[0].count(b"\n") == 1
    assert notes.all() == fresh(notes)


def test_another_program_may_write_it_anew(notes: TakeNotes, tmp_path: Path) -> None:
    notes.append(note(number) for number in range(5))
    assert len(notes.all()) == 5
    other = TakeNotes(tmp_path / "other.jsonl")
    other.append(note(number, "another class") for number in range(50))
    os.replace(tmp_path / "other.jsonl", tmp_path / "takes.jsonl")
    assert notes.all() == fresh(notes) and len(notes.all()) == 50
    with (tmp_path / "takes.jsonl").open("r+b") as stream:  # in place, as some editors do
        lines = stream.readlines()
        stream.seek(0)
        stream.write(json.dumps({"v": 1, **note(99)}).encode() + b"\n" + b"".join(lines[1:]))
    assert notes.all() == fresh(notes) and "a/99.jpg" in notes.all()
    (tmp_path / "takes.jsonl").unlink()
    assert notes.all() == {}


def test_a_torn_line_swallows_nothing(notes: TakeNotes, tmp_path: Path) -> None:
    notes.append([note(1)])
    with (tmp_path / "takes.jsonl").open("a") as stream:
        stream.write('{"file": "2.jpg", "cla')
    assert list(notes.all()) == ["a/1.jpg"]
    notes.append([note(3)])
    assert list(notes.all()) == list(fresh(notes)) == ["a/1.jpg", "a/3.jpg"]


def test_a_line_may_have_been_written_by_hand(notes: TakeNotes, tmp_path: Path) -> None:
    (tmp_path / "takes.jsonl").write_bytes(b'\n[]\n1,2\n\xff\xfe\n{"file": "x"}\n"text"\n{"file":"y.jpg","class":"a"}')
    assert list(notes.all()) == ["a/y.jpg"]
    workspace = Workspace.create(tmp_path / "w", ["a", "b"])
    (workspace.image_folder("a") / "y.jpg").write_bytes(JPEG)
    workspace.note_image({"file": "y.jpg", "class": "a", "t": "soon"})
    assert [image.take for image in workspace.images("a")] == [""]


def test_rewriting_where_nothing_changes_writes_nothing(notes: TakeNotes, tmp_path: Path) -> None:
    notes.append([note(1), note(2)])
    before = (tmp_path / "takes.jsonl").stat().st_ino
    notes.rewrite(lambda one: one)
    assert (tmp_path / "takes.jsonl").stat().st_ino == before
    notes.rewrite(lambda one: take_notes.renamed(one, "a", "b"))
    assert list(notes.all()) == list(fresh(notes)) == ["b/1.jpg", "b/2.jpg"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 30).map(lambda n: json.dumps(note(n)).encode() + b"\n")),
                max_size=8))
def test_however_it_grows_it_is_as_if_read_at_once(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    file = tmp_path_factory.mktemp("notes") / "takes.jsonl"
    file.touch()
    notes = TakeNotes(file)
    for piece in pieces:
        with file.open("ab") as stream:
            stream.write(piece)
        assert {key: one for key, one in notes.all().items() if key in fresh(notes)} == fresh(notes)


# ---- a class's images --------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "w", ["a", "b"])
    for number in range(6):
        (made.image_folder("a") / f"{number}.jpg").write_bytes(JPEG)
        made.note_image(note(number))
    return made


def age(folder: Path) -> None:
    """As if nothing had happened there for a minute."""
    then = time.time() - 60
    os.utime(folder, (then, then))


def test_what_has_not_changed_is_not_looked_at_again(workspace: Workspace) -> None:
    age(workspace.image_folder("a"))
    first = workspace.images("a")
    with mock.patch("ai_nano.core.project.workspace.image_names", side_effect=AssertionError("looked at again")):
        assert workspace.images("a") == first
    workspace.images("a").clear()
    assert len(workspace.images("a")) == 6


def test_every_change_is_seen(workspace: Workspace) -> None:
    folder = workspace.image_folder("a")
    age(folder)
    assert len(workspace.images("a")) == 6
    (folder / "x.jpg").write_bytes(JPEG)
    assert len(workspace.images("a")) == 7  # within the tick of the clock too: nothing is kept of a folder so young
    (folder / "x.jpg").rename(folder / "y.jpg")
    assert "y.jpg" in [image.path.name for image in workspace.images("a")]
    age(folder)
    assert next(image for image in workspace.images("a") if image.path.name == "y.jpg").take == ""
    workspace.note_image({"file": "y.jpg", "class": "a", "take": "late", "t": 3.5})
    assert [image.path.name for image in workspace.images("a")][4] == "y.jpg"
    assert workspace.images("b") == [] and workspace.images("none") == []


def test_fingerprints_are_those_of_earlier_versions(tmp_path: Path) -> None:
    """A step that was done stays done when the program is updated."""
    workspace = Workspace.create(tmp_path / "w", ["été", "b"])
    for name in ("2.JPG", "10.png", ".hidden.jpg", "notes.txt", "1.jpeg"):
        path = workspace.image_folder("été") / name
        path.write_bytes(b"x" * len(name))
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert workspace.images_fingerprint() == "7f809067b442d84a9aea8401c74c6e23"
    assert [path.name for path in workspace.image_paths("été")] == ["1.jpeg", "10.png", "2.JPG"] and workspace.count("été") == 3
