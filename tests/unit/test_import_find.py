"""What is found in folders and zips, what is passed over, and what is refused by name."""

import io
import os
import stat
import struct
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from elsewhere import jpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_nano.core import natural
from ai_nano.core.importing import archive as import_zip
from ai_nano.core.importing import find as import_find
from ai_nano.core.importing.find import Candidate, Refused
from ai_nano.core.importing.pictures import LeftOut


def find(*paths: Path) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Folders by the name of each candidate, and reasons by the end of what is shown of what is refused."""
    with ExitStack() as opened:
        found = list(import_find.find(paths, opened))
        for one in found:
            if isinstance(one, Candidate):
                head, changed = one.source.look()
                assert one.source.read().startswith(head) and changed > 0 and one.source.uri.isascii()
    taken = {one.name: one.folders for one in found if isinstance(one, Candidate)}
    refused = {one.shown.rsplit("/", 1)[-1].rsplit(": ", 1)[-1]: one.reason.reason for one in found if isinstance(one, Refused)}
    return taken, refused


def put(folder: Path, *names: str, data: bytes = b"\xff\xd8\xff") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_of_folders(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "b/c.PNG", "b/d/e.HEIC", "b/notes.txt", "b/.DS_Store", "._a.jpg", "__MACOSX/a.jpg", "b/labels.json",
        ".cache/f.jpg", "scan", "日本 été.webp")
    put(tmp_path, "raw.NEF", "film.mov", "all.zip")
    taken, refused = find(tmp_path)
    assert taken == {"a.jpg": (), "c.PNG": ("b",), "e.HEIC": ("b", "d"), "scan": (), "日本 été.webp": (), "raw.NEF": (),
                     "film.mov": ()}
    assert refused == {"all.zip": "archive"}


def test_files_come_in_the_order_in_which_a_person_counts(tmp_path: Path) -> None:
    put(tmp_path, "frame 10.png", "frame 9.png", "Frame 1.png", "b/x.png", "a/y.png")
    assert list(find(tmp_path)[0]) == ["Frame 1.png", "frame 9.png", "frame 10.png", "y.png", "x.png"]
    assert sorted(["a10", "a9", "a010", "a" + "9" * 6000], key=natural.key) == ["a9", "a010", "a10", "a" + "9" * 6000]


def test_links(tmp_path: Path) -> None:
    put(tmp_path / "real", "a.jpg")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file.jpg").symlink_to(tmp_path / "real" / "a.jpg")
    (folder / "folder").symlink_to(tmp_path / "real")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    (folder / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    with ExitStack() as opened:
        found = list(import_find.find([folder], opened))
    named = {one.name: one for one in found if isinstance(one, Candidate)}
    assert named["file.jpg"].source.read() == b"\xff\xd8\xff"
    assert [one.reason.reason for one in found if isinstance(one, Refused)] == ["link_to_folder"]
    for name in ("circle.jpg", "nowhere.jpg"):
        with pytest.raises(LeftOut) as caught:
            named[name].source.look()
        assert caught.value.reason == "gone"


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(LeftOut) as caught:
        import_find.FileSource(tmp_path / "pipe.jpg").look()
    assert caught.value.reason == "special"


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the system's answer is played."""
    put(tmp_path, "a.jpg", "closed/b.jpg")
    really_open, really_list = os.open, os.scandir

    def refuse_file(path: Path, *arguments: int) -> int:
        if Path(path).name == "a.jpg":
            raise PermissionError(13, "Permission denied")
        return really_open(path, *arguments)

    def refuse_folder(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return really_list(path)

    monkeypatch.setattr(os, "open", refuse_file)
    monkeypatch.setattr(os, "scandir", refuse_folder)
    with ExitStack() as opened:
        first, second = import_find.find([tmp_path], opened)
    assert isinstance(first, Candidate) and isinstance(second, Refused) and second.reason.reason == "forbidden"
    with pytest.raises(LeftOut) as caught:
        first.source.read()
    assert caught.value.reason == "forbidden"


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.jpg", data=bytes(1000))
    really = os.fstat
    calls = iter(range(100))

    def growing(handle: int) -> os.stat_result:
        if next(calls) == 1:
            with (tmp_path / "a.jpg").open("ab") as stream:
                stream.write(b"more")
        return really(handle)

    monkeypatch.setattr(os, "fstat", growing)
    with pytest.raises(LeftOut) as caught:
        import_find.FileSource(tmp_path / "a.jpg").read()
    assert caught.value.reason == "changed"


def test_a_file_of_no_reasonable_size(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as stream:
        stream.truncate(import_find.LARGEST_FILE + 1)
    with pytest.raises(LeftOut) as caught:
        import_find.FileSource(tmp_path / "a.jpg").read()
    assert caught.value.reason == "large"


def test_names_that_are_no_text(tmp_path: Path) -> None:
    name = os.fsencode(str(tmp_path)) + b"/\xff\xfe\x1b[31m.jpg"
    with open(name, "wb") as stream:
        stream.write(b"\xff\xd8\xff")
    with ExitStack() as opened:
        (one,) = import_find.find([tmp_path], opened)
    assert isinstance(one, Candidate) and one.source.uri.isascii() and "\x1b" not in one.source.shown
    assert one.source.shown.encode()


# ---- zips ------------------------------------------------------------------------------------------------------------


def zipped(path: Path, members: Sequence[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_a_zip_of_folders(tmp_path: Path) -> None:
    file = zipped(tmp_path / "pictures.zip", [
        ("set/", b""), ("set/mug/1.jpg", jpeg()), ("set/mug/.DS_Store", b"x"), ("__MACOSX/set/mug/._1.jpg", b"x"),
        ("set\\cat\\2.jpg", jpeg()), ("set/été/3.jpg", jpeg()), ("notes.txt", b"x"), ("inner.zip", b"PK"), ("Thumbs.db", b"x")])
    taken, refused = find(file)
    assert taken == {"1.jpg": ("set", "mug"), "2.jpg": ("set", "cat"), "3.jpg": ("set", "été")}
    assert refused == {"inner.zip": "archive"}


@pytest.mark.parametrize(("stored", "wanted"), [("été".encode(), "été"), ("日本".encode(), "日本"), (b"\x82t\x82", "été")])
def test_names_without_a_mark_are_utf_8_or_ms_dos(tmp_path: Path, stored: bytes, wanted: str) -> None:
    placeholder = "q" * len(stored)
    data = zipped(tmp_path / "a.zip", [(f"{placeholder}/1.jpg", jpeg())]).read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(placeholder.encode(), stored))
    assert find(tmp_path / "a.zip")[0] == {"1.jpg": (wanted,)}


@pytest.mark.parametrize("name", ["../out.jpg", "/out.jpg", "mug/../../out.jpg", "C:\\out.jpg", "..\\out.jpg"])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    file = zipped(tmp_path / "a.zip", [(name, jpeg()), ("mug/in.jpg", jpeg())])
    taken, refused = find(file)
    assert taken == {"in.jpg": ("mug",)} and refused == {"out.jpg": "escapes"}


def changed(file: Path, flag: int = 0, method: int | None = None, mode: int | None = None) -> Path:
    """The first member's flags, method of packing or Unix mode, in its own head and in the table."""
    data = bytearray(file.read_bytes())
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = data.index(magic) + at
        struct.pack_into("<H", data, place, struct.unpack_from("<H", data, place)[0] | flag)
        if method is not None:
            struct.pack_into("<H", data, place + 2, method)
    if mode is not None:
        struct.pack_into("<L", data, data.index(b"PK\1\2") + 38, mode << 16)
    file.write_bytes(data)
    return file


@pytest.mark.parametrize(("how", "wanted"), [
    ({"flag": 1}, "encrypted"), ({"method": 9}, "packed"), ({"method": 14}, "packed"),
    ({"mode": stat.S_IFLNK | 0o777}, "link")])
def test_members_that_cannot_be_read(tmp_path: Path, how: dict[str, int], wanted: str) -> None:
    file = zipped(tmp_path / "a.zip", [("a.jpg", jpeg()), ("b.jpg", jpeg())])
    assert find(changed(file, **how)) == ({"b.jpg": ()}, {"a.jpg": wanted})


def test_a_damaged_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.jpg", bytes(1000))
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data[:500] + b"\1" + data[501:])
    with ExitStack() as opened:
        (one,) = import_find.find([tmp_path / "a.zip"], opened)
        assert isinstance(one, Candidate)
        with pytest.raises(LeftOut) as caught:
            one.source.read()
    assert caught.value.reason == "damaged"


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_zip, "GROWS_FREELY", 1 << 20)
    flat = zipped(tmp_path / "flat.zip", [(f"{number}.png", bytes(5 << 20)) for number in range(4)])
    assert flat.stat().st_size < 50_000
    assert find(flat) == ({}, {"flat.zip": "bomb"})
    # Two members in the table that share their bytes.
    data = bytearray(zipped(tmp_path / "shared.zip", [("a.jpg", os.urandom(5000))]).read_bytes())
    table = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    entry = bytes(data[table:end])
    record = bytearray(data[end:])
    struct.pack_into("<HHL", record, 8, 2, 2, 2 * len(entry))
    (tmp_path / "shared.zip").write_bytes(bytes(data[:table]) + entry + entry.replace(b"a.jpg", b"b.jpg") + bytes(record))
    assert find(tmp_path / "shared.zip") == ({}, {"shared.zip": "bomb"})


def test_a_member_that_says_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_zip, "LARGEST_FILE", 1000)
    with ExitStack() as opened:
        (one,) = import_find.find([zipped(tmp_path / "a.zip", [("a.jpg", bytes(1001))])], opened)
        assert isinstance(one, Candidate)
        with pytest.raises(LeftOut) as caught:
            one.source.read()
    assert caught.value.reason == "large"


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\5\6" + bytes(18) + b"x" * 10])
def test_what_is_no_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    taken, refused = find(tmp_path / "a.zip")
    assert not taken and refused in ({"a.zip": "no_zip"}, {})


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_a_zip(tmp_path: Path, data: st.DataObject) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("mug/a.jpg", "cat\\b.png", "../c.jpg"):
            archive.writestr(name, bytes(range(256)) * 4)
    whole = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at:at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    (tmp_path / "a.zip").write_bytes(whole)
    with ExitStack() as opened:
        for one in import_find.find([tmp_path / "a.zip"], opened):
            if isinstance(one, Candidate):
                for read in (one.source.look, one.source.read):
                    try:
                        read()
                    except LeftOut as left_out:
                        assert left_out.text
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
