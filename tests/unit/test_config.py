"""config.json: the field's form, and every way in which it can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from ai_nano.core import config
from ai_nano.core.errors import ConfigError

FIELD = """{"DL_server": {"name": "DL", "ip": "gpu.lab", "login": "nano", "pwd": "secret"},
 "jetson_nano": [{"name": "nano1", "ip": "10.0.0.5", "login": "nano", "pwd": "geheim"},
                 {"name": "nano2", "ip": "10.0.0.6", "login": "nano", "pwd": "geheim"}]}"""


def document(**changes: Any) -> dict[str, Any]:
    """The field's form with changes in the first Nano."""
    made: dict[str, Any] = json.loads(FIELD)
    made["jetson_nano"][0].update(changes)
    return made


def error_of(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.read(text)
    return caught.value


def test_the_fields_form_is_accepted_as_it_stands() -> None:
    room = config.read(FIELD)
    assert (room.server.name, room.server.host, room.server.login, room.server.password) == ("DL", "gpu.lab", "nano", "secret")
    assert [nano.name for nano in room.nanos] == ["nano1", "nano2"]
    nano = room.nano("nano2")
    assert (nano.pins, nano.camera, nano.engine) == ((12, 16, 18), "csi://0", "tensorrt")
    assert (nano.leds, nano.threshold) == ("gpio", 0.6)
    assert (room.server.root, room.server.scheduler, room.server.transfer) == ("ai_nano", "auto", "auto")
    assert room.camera == "webcam:0"
    assert room.filled_in and "@" in room.student


def test_passwords_do_not_show_themselves() -> None:
    room = config.read(FIELD)
    assert "secret" not in repr(room) and "geheim" not in repr(room) and "secret" not in repr(room.server.password)


@pytest.mark.parametrize(("text", "code", "line", "column"), [
    ('{\n  "DL_server": {\n', "config.syntax", 3, 1),
    ('{"DL_server": }', "config.syntax", 1, 15),
    ("", "config.syntax", 1, 1),
    ("[]", "config.type", 1, 1),
    ("{}", "config.missing_key", 1, 1),
    (FIELD.replace('"jetson_nano"', '"jetson_nanos"'), "config.unknown_key_near", 2, 2),
    (FIELD.replace('"login": "nano", "pwd": "secret"', '"user": "nano"'), "config.unknown_key_near", 1, 47),
    (FIELD.replace('"login": "nano", "pwd": "secret"', '"colour": "red"'), "config.unknown_key", 1, 47),
    (FIELD.replace('"name": "nano1", ', '"name": "nano1", "nam": 1, '), "config.unknown_key_near", 2, 36),
    (FIELD.replace('"name": "nano1", ', '"name": "nano1", "name": "x", '), "config.twice", 2, 36),
    (FIELD.replace('"ip": "gpu.lab"', '"ip": 5'), "config.type", 1, 30),
    (FIELD.replace("gpu.lab", "nano@gpu.lab"), "config.host", 1, 30),
    (FIELD.replace('"nano2"', '"nano1"'), "config.same_name", 3, 19),
    (FIELD.replace('"nano2"', '"dl"'), "config.same_name", 3, 19),
    (FIELD.replace('"ip": "10.0.0.6", ', ""), "config.missing_key", 3, 19),
])
def test_what_is_wrong_is_named_with_line_and_column(text: str, code: str, line: int, column: int) -> None:
    error = error_of(text)
    assert (error.code, error.params["line"], error.params["column"], error.exit_code) == (code, line, column, 2)


@pytest.mark.parametrize(("changes", "code"), [
    ({"pins": [12, 17]}, "config.pin"),  # 17 is 3.3 V
    ({"pins": [12, 1]}, "config.pin"),
    ({"pins": [12, 12]}, "config.pin_twice"),
    ({"pins": "12"}, "config.type"),
    ({"pins": [True]}, "config.type"),
    ({"threshold": 60}, "config.type"),
    ({"threshold": True}, "config.type"),
    ({"port": 0}, "config.type"),
    ({"port": "22"}, "config.type"),
    ({"engine": "cuda"}, "config.type"),
    ({"leds": "GPIO"}, "config.type"),
    ({"root": "../other"}, "config.root"),
    ({"root": ""}, "config.root"),
    ({"name": "../x"}, "config.machine_name"),
    ({"ip": "-oProxyCommand=x"}, "config.host"),
])
def test_values_that_cannot_be(changes: dict[str, Any], code: str) -> None:
    assert error_of(json.dumps(document(**changes), indent=1)).code == code


def test_all_optional_keys_are_read() -> None:
    changed = document(pins=[7, 40], camera="rtsp://x/y", flip="rotate-180", engine="onnxruntime", leds="file", threshold=0.5,
                       port=2222, key_file="~/k", host_key="SHA256:x", root="/srv/ai", python="/opt/py")
    nano = config.read(json.dumps(changed)).nano(None)
    assert (nano.pins, nano.camera, nano.flip, nano.engine, nano.leds, nano.threshold) == (
        (7, 40), "rtsp://x/y", "rotate-180", "onnxruntime", "file", 0.5)
    assert (nano.port, nano.key_file, nano.host_key, nano.root, nano.python) == (
        2222, Path.home() / "k", "SHA256:x", "/srv/ai", "/opt/py")


def test_the_repositorys_own_config_is_valid_and_not_filled_in() -> None:
    room = config.load(Path(__file__).parents[2] / "config.json")
    assert not room.filled_in and len(room.nanos) == 1


def test_where_it_is_looked_for(tmp_path: Path) -> None:
    here, user = tmp_path / "here", tmp_path / "user"
    here.mkdir()
    user.mkdir()
    with pytest.raises(ConfigError) as missing:
        config.find(None, user, here)
    assert missing.value.code == "config.missing"
    (here / "config.json").write_text(FIELD.replace("gpu.lab", ""))
    with pytest.raises(ConfigError) as empty:
        config.find(None, user, here)
    assert empty.value.code == "config.empty"
    (user / "config.json").write_text(FIELD)
    assert config.find(None, user, here).path == user / "config.json"
    (here / "config.json").write_text(FIELD)
    assert config.find(None, user, here).path == here / "config.json"
    with pytest.raises(ConfigError) as explicit:
        config.find(tmp_path / "other.json", user, here)
    assert explicit.value.code == "config.missing"


def test_a_config_with_passwords_that_others_can_read_is_known(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(FIELD)
    file.chmod(0o644)
    assert config.load(file).open_to_others
    file.chmod(0o600)
    assert not config.load(file).open_to_others


def test_the_likely_mend_is_named() -> None:
    for wrong, likely in (("pinz", "pins"), ("Threshold", "threshold"), ("password", "pwd"), ("user", "login"), ("host", "ip"),
                          ("prot", "port")):
        error = error_of(json.dumps(document(**{wrong: "x"})))
        assert (error.code, error.params["likely"]) == ("config.unknown_key_near", likely)


def test_unknown_nano() -> None:
    with pytest.raises(ConfigError) as caught:
        config.read(FIELD).nano("nano9")
    assert caught.value.params["known"] == ["nano1", "nano2"]
