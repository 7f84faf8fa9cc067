"""Room packs: no secrets in them, and nothing that a stranger made gets through."""

import base64
import io
import json
import os
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_cli import Terminal
from test_cli import terminal as terminal

from ai_nano.core.errors import AiNanoError, BadInput, ConfigError, HostKeyError
from ai_nano.core.room import config, config_file, pack, pack_zip
from ai_nano.core.room.config import Config, NanoConfig, Secret, ServerConfig
from ai_nano.core.room.known_hosts import HostKey, parse, read, remember


def key(number: int) -> str:
    return base64.b64encode(b"\0\0\0\x0bssh-ed25519a public key %d" % number).decode()


DL, NANO1, OTHER = (HostKey(name, "ssh-ed25519", key(number)) for number, name in enumerate(("DL", "nano1", "elsewhere")))
ROOM = Config(ServerConfig("DL", "gpu.lab", "nano", Secret("geheim")),
              (NanoConfig("nano1", "10.0.0.5", "nano", Secret("geheim"), key_file=Path("/keys/mine"), pins=(7,)),),
              camera="webcam:1", student="teacher@desk")
MANIFEST = {"v": 1, "type": "room", "made": "2026-01-01T00:00:00Z"}
MACHINES = {"DL_server": {"ip": "gpu.lab", "login": "nano"}, "jetson_nano": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A student's config folder, not made yet."""
    return tmp_path / "student"


def made_pack(tmp_path: Path, *keys: HostKey, room: Config = ROOM) -> Path:
    hosts = tmp_path / "instructors_known_hosts"
    hosts.unlink(missing_ok=True)
    remember(hosts, keys)
    return pack.pack(room, hosts, tmp_path / "room.ainano")


def zipped(path: Path, members: Mapping[str, Any] | list[tuple[Any, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A pack made by hand; JSON for what is no bytes."""
    pairs = members if isinstance(members, list) else list(members.items())
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in pairs:
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return path


def refusal(file: Path, folder: Path) -> AiNanoError:
    """What is said of a bad pack; nothing may have been written."""
    before = sorted(folder.rglob("*")) if folder.exists() else None
    with pytest.raises(AiNanoError) as caught:
        pack.open_pack(file, folder)
    assert (sorted(folder.rglob("*")) if folder.exists() else None) == before
    error = caught.value
    assert error.what and error.why and error.hint and "{" not in error.what + error.why + error.hint
    return error


# ---- there and back --------------------------------------------------------------------------------------------------


def test_a_pack_takes_the_room_from_one_computer_to_another(tmp_path: Path, folder: Path) -> None:
    opened = pack.open_pack(made_pack(tmp_path, DL, OTHER, NANO1), folder)
    assert opened == config.load(folder / "config.json")
    assert opened.server == replace(ROOM.server, password=None)
    assert opened.nanos == (replace(ROOM.nanos[0], password=None, key_file=None),)
    assert opened.camera == "webcam:1" and opened.student == config.default_student()
    assert read(folder / "known_hosts") == [DL, NANO1]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600} and folder.stat().st_mode & 0o777 == 0o700


def test_a_pack_holds_no_secret_and_no_other_machine(tmp_path: Path) -> None:
    with zipfile.ZipFile(made_pack(tmp_path, DL, OTHER)) as archive:
        assert sorted(archive.namelist()) == ["config.json", "known_hosts", "room.json"]
        text = "".join(archive.read(name).decode() for name in archive.namelist())
        manifest = json.loads(archive.read("room.json"))
    assert (manifest["v"], manifest["type"]) == (1, "room") and manifest["made"].endswith("Z")
    for word in ("geheim", "pwd", "key_file", "mine", "teacher", "elsewhere"):
        assert word not in text


def test_the_suffix_is_appended_and_nothing_else_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "lesson.txt").write_text("mine")
    assert pack.pack(ROOM, tmp_path / "none", tmp_path / "lesson.txt") == tmp_path / "lesson.txt.ainano"
    assert (tmp_path / "lesson.txt").read_text() == "mine"
    with pytest.raises(BadInput) as caught:
        pack.pack(ROOM, tmp_path / "none", tmp_path / "no folder" / "x")
    assert caught.value.code == "room_pack.not_saved"
    with pytest.raises(ConfigError) as empty:
        pack.pack(config.nowhere(), tmp_path / "none", tmp_path / "x")
    assert empty.value.code == "config.empty"


def test_machines_without_a_known_host_key_are_named(tmp_path: Path) -> None:
    remember(tmp_path / "k", [DL])
    assert pack.without_host_key(ROOM, tmp_path / "k") == ["nano1"]
    pinned = replace(ROOM, nanos=(replace(ROOM.nanos[0], host_key="SHA256:" + 43 * "x"),))
    assert pack.without_host_key(pinned, tmp_path / "k") == []


def test_a_jump_host_that_only_via_names_belongs_to_the_room(tmp_path: Path, folder: Path) -> None:
    room = replace(ROOM, nanos=(replace(ROOM.nanos[0], via="ada@gate:2222"), NanoConfig("nano2", "10.0.0.6", "x", via="DL")))
    gate = HostKey("[gate]:2222", "ssh-ed25519", key(7))
    hosts = tmp_path / "hosts"
    remember(hosts, [DL, NANO1])
    assert pack.without_host_key(room, hosts) == ["nano2", "[gate]:2222"]
    opened = pack.open_pack(made_pack(tmp_path, DL, gate, OTHER, room=room), folder)
    assert [nano.via for nano in opened.nanos] == ["ada@gate:2222", "DL"] and read(folder / "known_hosts") == [DL, gate]
    forged = made_pack(tmp_path, replace(gate, key=key(8)), room=room)
    error = refusal(forged, folder)
    assert isinstance(error, HostKeyError) and error.params["machine"] == "[gate]:2222"


def test_later_versions_may_say_more_in_the_manifest(tmp_path: Path, folder: Path) -> None:
    file = zipped(tmp_path / "x.ainano", {"room.json": {**MANIFEST, "settings": {"language": "fr"}}, "config.json": MACHINES})
    assert pack.open_pack(file, folder).filled_in and not (folder / "known_hosts").exists()


def test_the_configuration_that_was_there_is_kept(tmp_path: Path, folder: Path) -> None:
    before = config_file.save(replace(ROOM, camera="webcam:7"), folder / "config.json")
    assert pack.open_pack(made_pack(tmp_path), folder).camera == "webcam:1"
    assert config.load(folder / "config.json.bak") == replace(before, path=folder / "config.json.bak")


# ---- host keys -------------------------------------------------------------------------------------------------------


def test_keys_that_are_known_stay_and_are_not_written_twice(tmp_path: Path, folder: Path) -> None:
    file = made_pack(tmp_path, DL, NANO1)
    folder.mkdir()
    (folder / "known_hosts").write_text(f"# mine\n{OTHER.line}{DL.line.rstrip()}")  # and no newline at the end
    pack.open_pack(file, folder)
    pack.open_pack(file, folder)
    assert (folder / "known_hosts").read_text() == f"# mine\n{OTHER.line}{DL.line}{NANO1.line}"


@pytest.mark.parametrize("packed", [
    [HostKey("DL", "ssh-ed25519", key(99))],
    [HostKey("DL", "ssh-rsa", key(99))],
    [DL, HostKey("DL", "ssh-rsa", key(99))],  # a host key is public: the true one makes a forged pack no better
])
def test_a_host_key_that_is_known_otherwise_stops_the_opening(tmp_path: Path, folder: Path, packed: list[HostKey]) -> None:
    remember(folder / "known_hosts", [DL])
    config_file.save(ROOM, folder / "config.json")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    error = refusal(made_pack(tmp_path, *packed), folder)
    assert isinstance(error, HostKeyError) and (error.code, error.exit_code) == ("room_pack.host_key", 3)
    assert "DL" in error.what and packed[-1].fingerprint in error.why and DL.fingerprint in error.why
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_pin_in_config_json_is_a_known_host_key_too(tmp_path: Path, folder: Path) -> None:
    def pinned(host_key: str | None) -> Config:
        return replace(ROOM, server=replace(ROOM.server, host_key=host_key))

    for before in (DL.fingerprint, f"ssh-ed25519 {DL.key}"):
        config_file.save(pinned(before), folder / "config.json")
        assert refusal(made_pack(tmp_path, room=pinned("SHA256:" + 43 * "x")), folder).code == "room_pack.host_key"
        assert refusal(made_pack(tmp_path, HostKey("DL", "ssh-rsa", key(9))), folder).code == "room_pack.host_key"
    assert pack.open_pack(made_pack(tmp_path), folder).server.host_key == f"ssh-ed25519 {DL.key}", "the pin is kept"
    (folder / "config.json").unlink()
    remember(folder / "known_hosts", [DL])
    assert refusal(made_pack(tmp_path, room=pinned("SHA256:" + 43 * "x")), folder).code == "room_pack.host_key"
    assert pack.open_pack(made_pack(tmp_path, room=pinned(DL.fingerprint)), folder).server.host_key == DL.fingerprint


# ---- what a stranger may have made -----------------------------------------------------------------------------------


def linked(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize("name", ["../config.json", "/etc/passwd", "..\\config.json", "sub/config.json", "config.json/", "x",
                                  "CONFIG.JSON", "./config.json", "config.json\nx", "images/../../evil.jpg"])
def test_other_members_are_refused(tmp_path: Path, folder: Path, name: str) -> None:
    file = zipped(tmp_path / "x.ainano", {"room.json": MANIFEST, "config.json": MACHINES, name: b"evil"})
    error = refusal(file, folder)
    assert error.code == "room_pack.member" and isinstance(error, BadInput) and "\n" not in error.what
    assert "images/CLASS/FILE" in error.why


def test_links_and_doubles_are_refused(tmp_path: Path, folder: Path) -> None:
    file = zipped(tmp_path / "x", [("room.json", json.dumps(MANIFEST).encode()), (linked("config.json"), b"/etc/passwd")])
    assert refusal(file, folder).code == "room_pack.member"
    with pytest.warns(UserWarning, match="Duplicate"):
        zipped(tmp_path / "y", [("room.json", json.dumps(MANIFEST).encode()), ("config.json", json.dumps(MACHINES).encode()),
                                ("config.json", b"{}")])
    assert refusal(tmp_path / "y", folder).code == "room_pack.member"


def test_a_name_that_ends_early_is_refused(tmp_path: Path, folder: Path) -> None:
    """zipfile ends a name at its first NUL, another program may not."""
    file = zipped(tmp_path / "x", {"room.json": MANIFEST, "config.json": MACHINES, "known_hostsX": b""})
    file.write_bytes(file.read_bytes().replace(b"known_hostsX", b"known_hosts\0"))
    assert refusal(file, folder).code == "room_pack.member"


@pytest.mark.parametrize("member", ["room.json", "config.json", "known_hosts"])
def test_a_bomb_does_not_go_off(tmp_path: Path, folder: Path, member: str) -> None:
    members = {"room.json": MANIFEST, "config.json": MACHINES, "known_hosts": b"", member: b" " * (pack_zip.LIMIT + 1)}
    assert refusal(zipped(tmp_path / "x", members), folder).code == "room_pack.too_big"


def test_a_size_that_lies_does_not_help(tmp_path: Path, folder: Path) -> None:
    """The table says 10 bytes of a member that unpacks to 50 MB."""
    size = 50_000_000
    data = zipped(tmp_path / "x", {"room.json": MANIFEST, "config.json": b"[" * size}).read_bytes()
    (tmp_path / "x").write_bytes(data.replace(size.to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert refusal(tmp_path / "x", folder).code in ("room_pack.damaged", "room_pack.too_big")


def test_files_that_are_no_packs(tmp_path: Path, folder: Path) -> None:
    assert refusal(tmp_path / "none", folder).code == "room_pack.missing"
    assert refusal(tmp_path, folder).code == "room_pack.missing"
    (tmp_path / "text").write_text("hello")
    assert refusal(tmp_path / "text", folder).code == "room_pack.not_a_pack"
    (tmp_path / "big").write_bytes(b"")
    os.truncate(tmp_path / "big", 1 << 40)  # a hole: a terabyte that takes no room
    assert refusal(tmp_path / "big", folder).code == "room_pack.too_big"


def test_every_truncation_is_refused(tmp_path: Path, folder: Path) -> None:
    data = made_pack(tmp_path, DL).read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut").write_bytes(data[:length])
        assert refusal(tmp_path / "cut", folder).code in ("room_pack.not_a_pack", "room_pack.damaged")


def test_a_changed_byte_is_refused_in_words_or_changes_nothing(tmp_path: Path, folder: Path) -> None:
    data = made_pack(tmp_path, DL).read_bytes()
    whole = pack.open_pack(tmp_path / "room.ainano", folder)
    for position in range(len(data)):
        (tmp_path / "changed").write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1:])
        try:
            assert pack.open_pack(tmp_path / "changed", folder) == whole
        except BadInput as error:
            assert error.code.startswith("room_pack.") and str(error)


def test_other_ways_of_packing_are_refused(tmp_path: Path, folder: Path) -> None:
    members = {"room.json": MANIFEST, "config.json": MACHINES}
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert refusal(zipped(tmp_path / "x", members, method), folder).code == "room_pack.damaged"
    data = bytearray(zipped(tmp_path / "x", members, zipfile.ZIP_STORED).read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1  # encrypted
    (tmp_path / "x").write_bytes(data)
    assert refusal(tmp_path / "x", folder).code == "room_pack.damaged"


@pytest.mark.parametrize(("manifest", "code"), [
    ({**MANIFEST, "v": 3}, "room_pack.version"),
    ({**MANIFEST, "v": True}, "room_pack.version"),
    ({"type": "room"}, "room_pack.version"),
    ({**MANIFEST, "type": "cake"}, "room_pack.not_a_pack"),
    ([], "room_pack.not_a_pack"),
    (b"{", "room_pack.damaged"),
    (b"\xff\xfe\xff", "room_pack.damaged"),
    (b"[" * 900_000, "room_pack.damaged"),
])
def test_manifests(tmp_path: Path, folder: Path, manifest: Any, code: str) -> None:
    assert refusal(zipped(tmp_path / "x", {"room.json": manifest, "config.json": MACHINES}), folder).code == code


@pytest.mark.parametrize(("document", "code"), [
    ({}, "config.missing_key"),
    ({"DL_server": {"ip": "", "login": ""}}, "config.empty"),
    ({"DL_server": {"ip": "x", "login": "y", "pwd": "geheim"}}, "room_pack.secrets"),
    ({"DL_server": {"ip": "x", "login": "y", "key_file": "~/.ssh/id_rsa"}}, "room_pack.secrets"),
    ({"DL_server": {"ip": "x", "login": "y", "name": "DL evil\nnano1"}}, "config.machine_name"),
    ({"DL_server": {"ip": "x", "login": "y", "root": "../.."}}, "config.root"),
    (b"\xff", "room_pack.damaged"),
    (b"[" * 900_000, "config.syntax"),
    (b'{"DL_server": ' + b"9" * 9000 + b"}", "config.syntax"),
])
def test_configurations(tmp_path: Path, folder: Path, document: Any, code: str) -> None:
    error = refusal(zipped(tmp_path / "x.ainano", {"room.json": MANIFEST, "config.json": document}), folder)
    assert error.code == code and isinstance(error, BadInput) and "geheim" not in str(error)
    if code.startswith("config."):
        assert "x.ainano" in error.what


@pytest.mark.parametrize("lines", [b"DL ssh-ed25519", b"DL ssh-ed25519 not-base64!", OTHER.line.encode(), b"DL ../x QUJD",
                                   b"DL ssh-ed25519 QUJD more", b"\xff", b"DL,other ssh-ed25519 QUJD", b"* ssh-rsa QUJD"])
def test_host_keys_that_are_none_are_refused(tmp_path: Path, folder: Path, lines: bytes) -> None:
    file = zipped(tmp_path / "x", {"room.json": MANIFEST, "config.json": MACHINES, "known_hosts": lines})
    assert refusal(file, folder).code == "room_pack.damaged"


def test_known_hosts_are_read_as_openssh_writes_them() -> None:
    assert parse("# DL ssh-rsa AAAA\n@revoked DL ssh-rsa AAAA\n\nDL,dl.lab ssh-rsa AAAA a comment\nbroken\n") == [
        HostKey("DL", "ssh-rsa", "AAAA"), HostKey("dl.lab", "ssh-rsa", "AAAA")]


# ---- the commands ----------------------------------------------------------------------------------------------------


def test_the_commands(terminal: Terminal) -> None:
    file = terminal.folder / "config.json"
    config_file.save(ROOM, file)
    packed = terminal.json("pack", "room")
    assert packed["machines"] == packed["without_host_key"] == ["DL", "nano1"] and packed["file"] == "room.ainano"
    before = (terminal.folder / "room.ainano").read_bytes()
    for name in ("room", "room.ainano"):
        assert terminal.error("pack", name, "--note", "Another one", code=2) == "cli.nobody_confirms"
    assert (terminal.folder / "room.ainano").read_bytes() == before
    assert terminal.json("pack", "room", "--note", "Another one", "--yes")["file"] == "room.ainano"
    assert (terminal.folder / "room.ainano").read_bytes() != before
    file.unlink()
    assert terminal.error("models", code=2) == "config.missing"
    opened = terminal.json("open", "room.ainano")
    assert opened["machines"] == ["DL", "nano1"] and opened["kept"] is None
    assert Path(opened["file"]) == terminal.folder / "config" / "ai_nano" / "config.json"
    assert terminal.json("open", "room.ainano")["kept"] is None
    config_file.save(replace(ROOM, camera="webcam:9"), Path(opened["file"]))
    told = terminal.run("open", "room.ainano").stdout
    assert "DL, nano1" in told and "config.json.bak" in told
    assert terminal.error("open", "none.ainano", code=2) == "room_pack.missing"
    assert terminal.error("pack", "no folder/x", code=2) == "room_pack.not_saved"


def test_a_zip_made_in_memory_is_what_the_helper_makes(tmp_path: Path, folder: Path) -> None:
    """The helper of the tests above makes packs that open: what they refuse is refused for its own reason."""
    file = zipped(tmp_path / "x", {"room.json": MANIFEST, "config.json": MACHINES, "known_hosts": DL.line.encode()})
    assert zipfile.is_zipfile(io.BytesIO(file.read_bytes()))
    assert pack.open_pack(file, folder).server.host == "gpu.lab" and read(folder / "known_hosts") == [DL]
