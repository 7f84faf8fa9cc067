"""Room packs with pictures, settings and a note, there and back; nothing that a stranger made is written."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy
import pytest
from test_cli import Terminal
from test_cli import terminal as terminal
from test_room_pack import DL, MACHINES, MANIFEST, ROOM, key, zipped

from ai_nano.cameras.images import ImageFiles
from ai_nano.cli import commands
from ai_nano.cli.parser import get_parser
from ai_nano.core import desktop
from ai_nano.core.errors import AiNanoError
from ai_nano.core.project import starter
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.recording.settings import RecordSettings
from ai_nano.core.room import config_file, defaults, pack, pack_zip
from ai_nano.core.room.defaults import RoomDefaults
from ai_nano.core.room.known_hosts import HostKey, remember
from ai_nano.core.room.pack_words import contents

IMAGES = ImageFiles()
TOLD = RoomDefaults(target=40, recipe="fine", language="fr", note="Begin with the cat.\nAsk for nano3.")
JPEG = cv2.imencode(".jpg", numpy.full((48, 64, 3), 90, numpy.uint8))[1].tobytes()
PROJECT = {"name": "lesson", "classes": ["cat", "cup"]}


def pictures(folder: Path, *names: str) -> Path:
    """A folder of pictures for each class."""
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            shade = numpy.full((48, 64, 3), 30 * place + 10 * number, numpy.uint8)
            cv2.imwrite(str(folder / name / f"{number}.{'png' if number == 2 else 'jpg'}"), shade)
    return folder


def packed(tmp_path: Path, folder: Path, told: RoomDefaults = TOLD) -> Path:
    remember(tmp_path / "hosts", [DL])
    return pack.pack(ROOM, tmp_path / "hosts", tmp_path / "room.ainano", told, starter.gather(folder, IMAGES)[0])


def refusal(file: Path, home: Path) -> AiNanoError:
    """What is said of a bad pack; nothing is written, neither in the config folder nor beside it."""
    before = sorted(home.rglob("*"))
    with pytest.raises(AiNanoError) as caught:
        starter.open_all(file, home / "config", IMAGES, None, home)
    assert sorted(home.rglob("*")) == before
    error = caught.value
    assert error.what and error.why and error.hint and "{" not in str(error) and error.exit_code in (2, 3)
    return error


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


# ---- there and back --------------------------------------------------------------------------------------------------


def test_a_project_to_start_with(tmp_path: Path, home: Path) -> None:
    source = pictures(tmp_path / "lesson 1", "cup", "cat")
    file = packed(tmp_path, source)
    said = "\n".join(contents(pack.look(file)))
    for words in ("DL: nano@gpu.lab", "nano1: nano@10.0.0.5", "Asked about once: the host keys of nano1", "6 pictures",
                  "“lesson 1”", "40 images", "fr", "Begin with the cat.\nAsk for nano3."):
        assert words in said
    assert not list(home.iterdir()), "looking writes nothing"
    config, project = starter.open_all(file, home / "config", IMAGES, None, home)
    assert config.server.host == "gpu.lab" and project == home / "lesson-1"
    workspace = Workspace.open(home / "lesson-1")
    assert workspace.classes == ["cat", "cup"] and [workspace.count(name) for name in workspace.classes] == [3, 3]
    for path in source.rglob("*.*"):
        assert (project / "images" / path.relative_to(source)).read_bytes() == path.read_bytes()
    assert RecordSettings.of(workspace.settings).target == 40 and workspace.settings["recipe"] == "fine"
    assert defaults.load(home / "config") == TOLD
    assert starter.open_all(file, home / "config", IMAGES, None, home)[1] == home / "lesson-1-2", "the first one stays"


def test_the_room_s_recipe_is_the_terminal_s_too(tmp_path: Path, home: Path) -> None:
    starter.open_all(packed(tmp_path, pictures(tmp_path / "lesson", "cup", "cat")), home / "config", IMAGES, None, home)
    Workspace.create(tmp_path / "plain", ["a", "b"])
    for words, recipe in ((["train", str(home / "lesson")], "fine"),
                          (["train", str(home / "lesson"), "--recipe", "quick"], "quick"),
                          (["train", str(tmp_path / "plain")], "quick")):
        assert commands._options(get_parser().parse_args(words), "train").recipe == recipe


def test_of_a_workspace_its_classes_and_its_target(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w", ["zebra", "ant"])
    for name in workspace.classes:
        (workspace.path / "images" / name / "1.jpg").write_bytes(JPEG)
    with workspace.writing():
        workspace.settings["recording"] = {"target": 70}
    made, settings = starter.gather(tmp_path / "w", IMAGES)
    assert made.name == "w" and starter.gather(pictures(tmp_path / "a (1).b", "x", "y"), IMAGES)[0].name == "a-1-b"
    assert made.classes == ("zebra", "ant") and len(made.files) == 2 and starter.target_of(settings) == 70


def test_what_is_no_picture_is_not_packed(tmp_path: Path) -> None:
    source = pictures(tmp_path / "p", "a", "b")
    (source / "a" / "text.jpg").write_text("hello")
    with pytest.raises(AiNanoError) as caught:
        starter.gather(source, IMAGES)
    assert caught.value.code == "room_pack.no_picture" and "text.jpg" in caught.value.what
    with pytest.raises(AiNanoError) as caught:
        starter.gather(tmp_path / "nothing", IMAGES)
    assert caught.value.code == "room_pack.no_images"


def test_a_pack_without_pictures_is_one_that_older_programs_open(tmp_path: Path, home: Path) -> None:
    file = pack.pack(ROOM, tmp_path / "none", tmp_path / "x", RoomDefaults(note="Hello"))
    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read("room.json"))["v"] == 1
        assert sorted(archive.namelist()) == ["config.json", "known_hosts", "room.json"]
    assert starter.open_all(file, home / "config", IMAGES)[1] is None
    older = pack.pack(ROOM, tmp_path / "none", tmp_path / "y")
    starter.open_all(older, home / "config", IMAGES)
    assert defaults.load(home / "config") == RoomDefaults() and not (home / "config" / "room.json").exists()


# ---- what a stranger may have made -----------------------------------------------------------------------------------


def hostile(path: Path, *members: tuple[Any, bytes], **manifest: Any) -> Path:
    told = {**MANIFEST, "v": 2, "project": PROJECT, **manifest}
    texts: list[tuple[Any, bytes]] = [("room.json", json.dumps(told).encode()), ("config.json", json.dumps(MACHINES).encode())]
    return zipped(path, texts + list(members))


def special(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


@pytest.mark.parametrize("name", [
    "images/../../x.jpg", "images/../x.jpg", "/images/cat/x.jpg", "images/cat/../x.jpg", "images/cat/sub/x.jpg", "images/x.jpg",
    "images/cat/x.exe", "images/cat/.x.jpg", "images/cat/", "images//x.jpg", "images/cat/con.jpg", "images/cat/LPT1.a.jpg",
    "images/nul/x.jpg", "images/cat\\x.jpg", "images/cat/x\n.jpg", "images/cat/-rf.jpg", "images/cat/a:b.jpg",
    "Images/cat/x.jpg", "images/cat /x.jpg", "images/" + "c" * 300 + "/x.jpg", "images/cat/" + "é" * 150 + ".jpg"])
def test_names_that_lead_elsewhere(tmp_path: Path, home: Path, name: str) -> None:
    assert refusal(hostile(tmp_path / "x", (name, JPEG)), home).code == "room_pack.member"


def test_links_devices_and_doubles(tmp_path: Path, home: Path) -> None:
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR):
        assert refusal(hostile(tmp_path / "x", (special("images/cat/1.jpg", kind), JPEG)), home).code == "room_pack.member"
    twice = hostile(tmp_path / "x", ("images/cat/1.jpg", JPEG), ("images/cat/1.JPG", JPEG))
    assert refusal(twice, home).code == "room_pack.member"


def test_bombs_do_not_go_off(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 GB of zeros, by the table's word and by the data's; 100,000 files; many that are large together."""
    data = hostile(tmp_path / "x", ("images/cat/1.jpg", b"\0" * 40_000_000)).read_bytes()
    (tmp_path / "x").write_bytes(data.replace((40_000_000).to_bytes(4, "little"), (4_000_000_000).to_bytes(4, "little")))
    assert refusal(tmp_path / "x", home).code == "room_pack.too_big"
    (tmp_path / "x").write_bytes(data.replace((40_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert refusal(tmp_path / "x", home).code in ("room_pack.damaged", "room_pack.no_picture")
    many = hostile(tmp_path / "many", *((f"images/cat/{number}.jpg", b"") for number in range(100_000)))
    assert refusal(many, home).code == "room_pack.too_many"
    monkeypatch.setattr(pack_zip, "MOST_IMAGES", 2)
    few = hostile(tmp_path / "few", *((f"images/cat/{number}.jpg", JPEG) for number in range(3)))
    assert refusal(few, home).code == "room_pack.too_many"
    monkeypatch.setattr(pack_zip, "MOST_IMAGES", 5)
    monkeypatch.setattr(pack_zip, "LARGEST", 2 * len(JPEG))
    assert refusal(few, home).code == "room_pack.too_big"


def test_what_only_looks_like_a_picture(tmp_path: Path, home: Path) -> None:
    good = ("images/cat/1.jpg", JPEG)
    for bad in (b"", b"MZ\x90\0", JPEG[:len(JPEG) // 2], b"<svg onload='x'/>"):
        error = refusal(hostile(tmp_path / "x", good, ("images/cup/2.jpg", bad)), home)
        assert error.code == "room_pack.no_picture" and "2.jpg" in error.what


@pytest.mark.parametrize("manifest", [
    {"note": 7}, {"note": ["x"]}, {"note": "x" * 3000}, {"settings": []}, {"settings": {"target": "40"}},
    {"settings": {"target": True}}, {"settings": {"target": -1}}, {"settings": {"recipe": 3}}, {"settings": {"language": {}}},
    {"project": []}, {"project": {"name": "x"}}, {"project": {"name": "../x", "classes": ["cat"]}},
    {"project": {"name": "x", "classes": ["cat", "CAT"]}}, {"project": {"name": "x", "classes": ["cup"]}},
    {"project": {"name": None, "classes": [{}]}}])
def test_manifests_of_another_kind(tmp_path: Path, home: Path, manifest: dict[str, Any]) -> None:
    assert refusal(hostile(tmp_path / "x", ("images/cat/1.jpg", JPEG), **manifest), home).code == "room_pack.damaged"


def test_another_host_key_stops_it_before_a_picture_is_written(tmp_path: Path, home: Path) -> None:
    file = packed(tmp_path, pictures(tmp_path / "p", "a", "b"))
    remember(home / "config" / "known_hosts", [HostKey("DL", "ssh-ed25519", key(99))])
    assert refusal(file, home).code == "room_pack.host_key"


def test_a_note_steers_no_terminal(tmp_path: Path) -> None:
    file = hostile(tmp_path / "x", ("images/cat/1.jpg", JPEG), note="\x1b[2Jred\u202e\nnext")
    assert pack.look(file).defaults.note == "red\ufffd\nnext"


def test_settings_that_somebody_broke_set_nothing(home: Path) -> None:
    for text in ("{", "[]", '{"note": 7}', '{"settings": {"target": 1e9}}'):
        (home / "room.json").write_text(text)
        assert defaults.load(home) == RoomDefaults()


# ---- the commands ----------------------------------------------------------------------------------------------------


def test_the_commands(terminal: Terminal) -> None:
    config_file.save(ROOM, terminal.folder / "config.json")
    pictures(terminal.folder / "lesson", "cat", "cup")
    told = terminal.json("pack", "room", "--images", "lesson", "--note", "Hello", "--target", "40")
    assert told["images"] == 6
    assert terminal.error("pack", "room", "--recipe", "slow", code=2) == "room_pack.option"
    assert terminal.error("open", code=2) == "room_pack.what"
    (terminal.folder / "config.json").unlink()
    opened = terminal.json("open", "room.ainano", "mine")
    assert opened["note"] == "Hello" and Path(opened["workspace"]).name == "mine"
    assert Workspace.open(terminal.folder / "mine").count("cup") == 3
    terminal.json("new", "other", "--classes", "a,b")
    assert RecordSettings.of(Workspace.open(terminal.folder / "other").settings).target == 40
    clicked = terminal.json("room.ainano")
    assert clicked["step"] == "open" and Path(clicked["workspace"]).name == "lesson-2"


def test_a_double_click_is_registered_in_the_home(tmp_path: Path) -> None:
    done = desktop.register({"XDG_DATA_HOME": str(tmp_path)}, ["/opt/my tools/ai-nano", "100%", 'a"$b'])
    assert set(done.files) == {tmp_path / desktop.ENTRY, tmp_path / desktop.PACKAGE}
    entry = (tmp_path / desktop.ENTRY).read_text()
    assert f"MimeType={desktop.MIME_TYPE};" in entry
    assert 'Exec="/opt/my tools/ai-nano" "100%%" "a\\\\"\\\\$b" %f\n' in entry
    assert '<glob pattern="*.ainano"/>' in (tmp_path / desktop.PACKAGE).read_text()
