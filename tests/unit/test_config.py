"""config.json: the field's form, and every way in which it can be wrong."""

import json
import traceback
from pathlib import Path
from typing import Any

import pytest

from ai_nano.core.errors import ConfigError
from ai_nano.core.room import config
from ai_nano.core.room.config import Secret

FIELD = """{"DL_server": {"name": "DL", "ip": "gpu.lab", "login": "nano", "pwd": "secret"},
 "jetson_nano": [{"name": "nano1", "ip": "10.0.0.5", "login": "nano", "pwd": "geheim"},
                 {"name": "nano2", "ip": "10.0.0.6", "login": "nano", "pwd": "geheim"}]}"""

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
FINGERPRINT = "SHA256:" + 43 * "x"


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


@pytest.mark.parametrize(("via", "code"), [
    (("", "a b", ""), "config.via"),
    (("", "-oProxyCommand=x", ""), "config.via"),
    (("", "ssh://gate", ""), "config.via"),
    (("", "gate:0", ""), "config.via"),
    (("", "gate,door", ""), "config.via"),
    (("", "nano1", ""), "config.via_circle"),
    (("", "NANO1", ""), "config.via_circle"),
    (("", "nano2", "nano1"), "config.via_circle"),
    (("nano2", "nano2", "DL"), "config.via_circle"),
])
def test_jump_hosts_that_cannot_be(via: tuple[str, str, str], code: str) -> None:
    lines = ['{"DL_server": {"ip": "a", "login": "x",', f'"via": "{via[0]}"' + '},',
             '"jetson_nano": [{"ip": "b", "login": "x",', f'"via": "{via[1]}"' + '},',
             '{"ip": "c", "login": "x",', f'"via": "{via[2]}"' + '}]}']
    error = error_of("\n".join(lines))
    first = 0 if via[0] else 1
    assert (error.code, error.params["line"], error.params["column"]) == (code, 2 * first + 2, 1)
    assert error.params["key"] == ("DL_server.via" if via[0] else "jetson_nano[1].via") and "{" not in str(error)


def test_a_jump_host_must_be_filled_in() -> None:
    text = FIELD.replace('"ip": "gpu.lab"', '"ip": ""').replace('"name": "nano1"', '"name": "nano1", "via": "DL"')
    assert error_of(text).code == "config.via_empty"


@pytest.mark.parametrize(("via", "name", "login", "host", "port"), [
    ("gate.lab", "gate.lab", "nano", "gate.lab", 22),
    ("ada@gate", "gate", "ada", "gate", 22),
    ("ada@10.0.0.1:2222", "[10.0.0.1]:2222", "ada", "10.0.0.1", 2222),
    ("[fe80::1]", "fe80::1", "nano", "fe80::1", 22),
    ("[fe80::1]:23", "[fe80::1]:23", "nano", "fe80::1", 23),
])
def test_a_jump_host_that_is_no_machine_of_the_room(via: str, name: str, login: str, host: str, port: int) -> None:
    room = config.read(json.dumps(document(via=via)))
    jump = room.jump(room.nano("nano1"))
    assert jump is not None and (jump.name, jump.login, jump.host, jump.port) == (name, login, host, port)
    assert room.jump(jump) is None and room.jump(room.server) is None


def test_a_jump_host_that_is_a_machine_of_the_room() -> None:
    room = config.read(json.dumps(document(via="dl")))
    assert room.jump(room.nano("nano1")) is room.server


def test_no_variable_of_the_reading_shows_a_password() -> None:
    """With every way in which a config can be wrong, in a traceback that shows local variables."""
    for text in (FIELD[:-2], FIELD.replace("nano2", "nano1"), FIELD.replace('"pwd": "secret"', '"passwd": "secret"')):
        with pytest.raises(ConfigError) as caught:
            config.read(Secret(text))
        told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        frames = [frame for error in (told, told.__cause__ or told) for frame in error.stack if "ai_nano" in frame.filename]
        ours = [value for frame in frames if "tests" not in frame.filename for value in (frame.locals or {}).values()]
        assert len(ours) > 3 and not any("secret" in value or "geheim" in value for value in ours)


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
    ({"root": "/"}, "config.root"),
    ({"root": "//./"}, "config.root"),
    ({"host_key": "abc"}, "config.host_key"),
    ({"host_key": "SHA256:abc"}, "config.host_key"),
    ({"host_key": "ssh-ed25519"}, "config.host_key"),
    ({"host_key": f"dl.lab {HOST_KEY}"}, "config.host_key"),
    ({"host_key": f"ssh-rsa {HOST_KEY.split()[1]}"}, "config.host_key"),
    ({"name": "../x"}, "config.machine_name"),
    ({"ip": "-oProxyCommand=x"}, "config.host"),
])
def test_values_that_cannot_be(changes: dict[str, Any], code: str) -> None:
    assert error_of(json.dumps(document(**changes), indent=1)).code == code


@pytest.mark.parametrize("key", [FINGERPRINT, HOST_KEY, f"{HOST_KEY} root@dl", ""])
def test_host_keys(key: str) -> None:
    assert config.read(json.dumps(document(host_key=key))).nano(None).host_key == (key or None)


def test_all_optional_keys_are_read() -> None:
    changed = document(pins=[7, 40], camera="rtsp://x/y", flip="rotate-180", engine="onnxruntime", leds="file", threshold=0.5,
                       port=2222, key_file="~/k", host_key=FINGERPRINT, root="/srv/ai", python="/opt/py")
    nano = config.read(json.dumps(changed)).nano(None)
    assert (nano.pins, nano.camera, nano.flip, nano.engine, nano.leds, nano.threshold) == (
        (7, 40), "rtsp://x/y", "rotate-180", "onnxruntime", "file", 0.5)
    assert (nano.port, nano.key_file, nano.host_key, nano.root, nano.python) == (
        2222, Path.home() / "k", FINGERPRINT, "/srv/ai", "/opt/py")


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
    assert explicit.value.code == "config.not_there" and "other.json" in explicit.value.what


def test_a_config_with_passwords_that_others_can_read_is_known(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(FIELD)
    file.chmod(0o644)
    assert config.load(file).open_to_others
    file.chmod(0o600)
    assert not config.load(file).open_to_others
    file.write_text(FIELD.replace("secret", "").replace("geheim", ""))
    file.chmod(0o644)
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
