"""Writing config.json and checking a form: what is written is what is read, and a form's errors name the field."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ai_nano.core.errors import ConfigError
from ai_nano.core.room import config, config_file
from ai_nano.core.room.config import Config, NanoConfig, Secret, ServerConfig, SlurmConfig

SERVER = ServerConfig("DL", "gpu.lab", "nano", Secret("secret"))
NANO = NanoConfig("nano1", "10.0.0.5", "nano")
ROOM = Config(SERVER, (NANO,), student=config.default_student())
EVERYTHING = Config(
    replace(SERVER, port=2222, host_key="SHA256:" + 43 * "x", root="/srv/ai", python="/opt/py", scheduler="direct",
            slurm=SlurmConfig(partition="gpu"), gpus=2, queue="/srv/q", transfer="sftp", weights="/w.pth", via="gate"),
    (replace(NANO, key_file=Path("/keys/k"), pins=(7, 40), camera="rtsp://ada:geheim@cam/x", flip="rotate-180",
             engine="onnxruntime", leds="file", threshold=0.5, container="jetson", turn=0.0),),
    camera="http://a:geheim@b/c.mjpg", student="ada@lab")
FORM = {"name": "nano2", "ip": "10.0.0.6", "port": "", "login": "nano", "password": "geheim", "key_file": "",
        "camera": "", "pins": "12, 16, 18", "leds": "gpio", "engine": "tensorrt"}


def form_error(among: Config | None = None, role: str = config_file.NANO, **changes: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config_file.machine_form({**FORM, **changes}, role, among)
    error = caught.value
    assert error.what and error.why and error.hint and "{" not in str(error) and error.exit_code == 2
    return error


def test_only_what_differs_from_its_default_is_written() -> None:
    assert config_file.document(ROOM) == {
        "DL_server": {"name": "DL", "ip": "gpu.lab", "login": "nano", "pwd": "secret"},
        "jetson_nano": [{"name": "nano1", "ip": "10.0.0.5", "login": "nano", "pwd": ""}]}


def test_every_key_of_the_schema_comes_back(tmp_path: Path) -> None:
    told = config_file.document(EVERYTHING)
    assert told["DL_server"].keys() == config.SERVER_SCHEMA.keys() - {"key_file"}
    assert told["jetson_nano"][0].keys() == config.NANO_SCHEMA.keys() - {"port", "via", "host_key", "root", "python"}
    path = tmp_path / "config.json"
    assert config_file.save(EVERYTHING, path) == replace(EVERYTHING, path=path)


def test_secrets_can_be_left_out() -> None:
    text = config_file.as_text(config_file.document(EVERYTHING, secrets=False))
    assert "secret" not in text and "geheim" not in text and "/keys/k" not in text and "pwd" not in text
    assert "rtsp://ada@cam/x" in text and "http://a@b/c.mjpg" in text
    assert not config.read(text).server.password


# ---- saving ----------------------------------------------------------------------------------------------------------


def test_a_saved_file_is_for_the_owner_only_and_the_one_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "made" / "config.json"
    saved = config_file.save(ROOM, path)
    assert saved == replace(ROOM, path=path) and not saved.open_to_others
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    config_file.save(ROOM, path)
    assert [one.name for one in path.parent.iterdir()] == ["config.json"], "the same again is no other file"
    path.chmod(0o644)
    before = path.read_bytes()
    config_file.save(replace(ROOM, camera="webcam:1"), path)
    kept = path.with_name("config.json.bak")
    assert kept.read_bytes() == before and kept.stat().st_mode & 0o777 == path.stat().st_mode & 0o777 == 0o600
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("broken", [
    replace(ROOM, server=replace(SERVER, host="a b")), replace(ROOM, nanos=(NANO, NANO)),
    replace(ROOM, nanos=(replace(NANO, pins=(1,)),)), replace(ROOM, server=replace(SERVER, password=Secret("\ud800")))])
def test_what_could_not_be_read_is_not_saved(tmp_path: Path, broken: Config) -> None:
    path = tmp_path / "config.json"
    before = config_file.save(ROOM, path)
    with pytest.raises(ConfigError):
        config_file.save(broken, path)
    assert config.load(path) == before and [one.name for one in tmp_path.iterdir()] == ["config.json"]


def test_a_disk_that_refuses_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        config_file.save(ROOM, tmp_path / "file" / "config.json")
    assert caught.value.code == "config.not_saved" and "exists" in caught.value.why

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    config_file.save(ROOM, tmp_path / "config.json")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(ConfigError) as caught:
        config_file.save(replace(ROOM, camera="webcam:1"), tmp_path / "config.json")
    assert "No space" in caught.value.why and config.load(tmp_path / "config.json").camera == "webcam:0"
    assert not list(tmp_path.glob(".*"))


# ---- forms -----------------------------------------------------------------------------------------------------------


def test_a_form_makes_a_machine() -> None:
    assert config_file.machine_form(FORM, config_file.NANO) == NanoConfig("nano2", "10.0.0.6", "nano", Secret("geheim"))
    filled = {**FORM, "port": " 2222 ", "key_file": "~/k", "pins": "7 40", "leds": "none", "engine": "onnxruntime",
              "camera": "csi://1", "threshold": "0.7", "password": " with spaces "}
    nano = config_file.machine_form(filled, config_file.NANO)
    assert isinstance(nano, NanoConfig)
    assert (nano.port, nano.key_file, nano.pins) == (2222, Path.home() / "k", (7, 40))
    assert (nano.leds, nano.engine) == ("none", "onnxruntime")
    assert (nano.camera, nano.threshold, nano.password) == ("csi://1", 0.7, " with spaces ")
    server = config_file.machine_form({"name": "", "ip": "gpu", "login": "x"}, config_file.SERVER)
    assert server == ServerConfig("DL", "gpu", "x")


@pytest.mark.parametrize(("changes", "code", "key"), [
    ({"pins": "12, 17"}, "config.pin", "jetson_nano[1].pins"),
    ({"pins": "12, 12"}, "config.pin_twice", "jetson_nano[1].pins"),
    ({"pins": "twelve"}, "config.type", "jetson_nano[1].pins"),
    ({"port": "ssh"}, "config.type", "jetson_nano[1].port"),
    ({"port": "0"}, "config.type", "jetson_nano[1].port"),
    ({"ip": ""}, "config.field_empty", "jetson_nano[1].ip"),
    ({"ip": "nano@host"}, "config.host", "jetson_nano[1].ip"),
    ({"login": "  "}, "config.field_empty", "jetson_nano[1].login"),
    ({"name": "a b"}, "config.machine_name", "jetson_nano[1].name"),
    ({"engine": "cuda"}, "config.type", "jetson_nano[1].engine"),
    ({"leds": "GPIO"}, "config.type", "jetson_nano[1].leds"),
    ({"threshold": "60"}, "config.type", "jetson_nano[1].threshold"),
])
def test_a_forms_error_names_the_field_and_no_line(changes: dict[str, str], code: str, key: str) -> None:
    error = form_error(**changes)
    assert (error.code, error.params["key"]) == (code, key)
    assert "line" not in error.params and "None" not in error.what


def test_the_server_of_a_form() -> None:
    among = replace(ROOM, nanos=(NANO,))
    error = form_error(among, config_file.SERVER, name="nano1", camera="", pins="", leds="", engine="")
    assert (error.code, error.params["key"]) == ("config.same_name", "DL_server.name")
    assert form_error(None, config_file.SERVER).code == "config.unknown_key"  # a server has no pins


def test_a_form_joins_a_room() -> None:
    added = config_file.machine_form(FORM, config_file.NANO, ROOM)
    room = config_file.with_machine(ROOM, added)
    assert [nano.name for nano in room.nanos] == ["nano1", "nano2"]
    error = form_error(room, name="NANO1")
    assert (error.code, error.params["key"]) == ("config.same_name", "jetson_nano[3].name")
    assert form_error(room, pins="1").params["key"] == "jetson_nano[3].pins"


def test_editing_keeps_what_the_form_does_not_ask_for() -> None:
    old = replace(NANO, root="/srv/x", flip="rotate-180", port=2222)
    other = replace(NANO, name="nano2")
    room = replace(ROOM, nanos=(old, other))
    edited = config_file.machine_form({**FORM, "name": "nano9"}, config_file.NANO, room, old)
    assert isinstance(edited, NanoConfig)
    assert (edited.name, edited.root, edited.flip, edited.port) == ("nano9", "/srv/x", "rotate-180", 22)
    assert config_file.with_machine(room, edited, "nano1").nanos == (edited, other)
    with pytest.raises(ConfigError) as caught:
        config_file.machine_form(FORM, config_file.NANO, room, old)  # nano2 is the other's name
    assert caught.value.params["key"] == "jetson_nano[1].name"


def test_the_first_machines_of_a_new_room(tmp_path: Path) -> None:
    """From the repository's config.json, whose machines are not filled in."""
    room = config.load(Path(__file__).parents[2] / "config.json")
    for role, name in ((config_file.SERVER, "DL"), (config_file.NANO, "nano1")):
        made = config_file.machine_form({"name": name, "ip": "10.0.0.1", "login": "x"}, role, room)
        room = config_file.with_machine(room, made)
    saved = config_file.save(room, tmp_path / "config.json")
    assert saved.filled_in and [one.name for one in saved.machines] == ["DL", "nano1"]
    assert json.loads((tmp_path / "config.json").read_text())["DL_server"]["ip"] == "10.0.0.1"
    assert config_file.with_machine(None, room.server).filled_in
