"""Names, paths and command lines: nothing reaches a shell unquoted, and nothing leaves its folder, whatever it is called."""

import importlib
import io
import json
import os
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ai_nano.core import names
from ai_nano.core.errors import AiNanoError, BadInput
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.room import pack, pack_zip
from ai_nano.core.room.config import MachineConfig
from ai_nano.machines.hostkeys import HostKeys
from ai_nano.machines.programs import Programs
from ai_nano.machines.ssh_machine import FOUND, SshMachine

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TRICKS = "./\\~$`'\";|&<>(){}[]*?!#%^=:, \t\n\r\0-_aÄé日\u202e\u2044\u2215\uff0f\u2024\uff0e\u0301\ufeff\u200b\ud83dA1"
TEXT = st.text(max_size=80) | st.text(TRICKS, max_size=30)
# What a command line can carry at all.
WORD = TEXT.map(lambda text: text.replace("\0", "").encode("utf-8", "replace").decode())
KEY = st.sampled_from("DL_server jetson_nano ip login root python port nanos name host_key pins".split())


def store_pattern() -> Any:
    """MODEL of the programs' side, wherever it stands."""
    sys.path.insert(0, str(REPOSITORY / "remote"))
    try:
        for module in ("shared.models", "shared.store"):
            pattern = getattr(importlib.import_module(module), "MODEL", None)
            if pattern is not None:
                return pattern
    finally:
        sys.path.remove(str(REPOSITORY / "remote"))
    raise AssertionError("no MODEL in shared/")


MODEL = store_pattern()


# ---- names -----------------------------------------------------------------------------------------------------------


@QUICK
@given(TEXT)
@example("..")
@example("\uff0e\uff0e")
@example("CON")
@example("a" * 61)
def test_a_class_is_one_folder_inside_the_workspace(raw: str) -> None:
    try:
        name = names.class_name(raw)
    except BadInput:
        return
    assert names.class_name(name) == name == unicodedata.normalize("NFC", name) and names.is_one_folder(name)
    folder = Path("/w/ws")
    inside = Workspace(folder, "ws", [name]).image_folder(name)
    assert inside.parent == folder / "images" and os.path.normpath(inside) == str(inside)
    for kind in (PurePosixPath, PureWindowsPath):
        assert kind(name).parts == (name,) and not kind(name).is_absolute() and not kind(name).drive
    # A compatibility form that some file system may make of it does not lead elsewhere either.
    compatible = unicodedata.normalize("NFKC", name)
    assert not {"/", "\\", "\0"} & set(compatible) and compatible not in ("", ".", "..")
    assert name.encode("utf-8") and "\n" not in name and not name.startswith(("-", "."))


@pytest.mark.parametrize("name", ["CON", "nul", "com1", "LPT9", "aux"])
def test_devices_of_windows_are_no_classes(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        names.class_name(name)
    assert caught.value.code == "class_name.device" and caught.value.what


@QUICK
@given(TEXT, TEXT, st.integers(0, 10 ** 6))
def test_a_model_that_we_name_is_one_for_both_sides(student: str, project: str, number: int) -> None:
    stem = names.model_stem(student, project)
    for name in (stem, f"{stem}-{number:03d}"):
        assert names.is_model_name(name) and MODEL.match(name)


@QUICK
@given(TEXT | st.text("abcXYZ019._-/\n ", min_size=1, max_size=110))
@example("a\n")
@example("-rf")
@example("a" * 100)
@example("a" * 101)
@example("a..b")
@example("é")
@example("\u0661")
def test_both_sides_accept_the_same_models(name: str) -> None:
    assert names.is_model_name(name) == bool(MODEL.match(name))
    if names.is_model_name(name):
        assert PurePosixPath(name).parts == PureWindowsPath(name).parts == (name,) and name not in (".", "..")


# ---- command lines ---------------------------------------------------------------------------------------------------


class Found:
    """A channel on which the shell says that the programs are there."""

    def readline(self, timeout: float) -> bytes:
        return FOUND + b"\n"


class Written(SshMachine):
    """Keeps the line that the machine's login shell would get."""

    line = ""

    def _exec(self, line: str) -> Any:
        self.line = line
        return Found()


# Prints its own arguments; stands where Python or the root's own Python is expected.
PRINTER = "#!/bin/sh\nfor word in \"$@\"; do printf '%s\\0' \"$word\"; done\n"
PROGRAMS = Programs("gpu_server")


def make_printer(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PRINTER)
    path.chmod(0o755)


def argv(root: str, python: str | None, words: list[str], home: Path) -> list[str]:
    """What the login shell runs in `home`, where root's programs lie: anything that it makes there was not meant."""
    config = MachineConfig("DL", "here", "nano", root=root, python=python)
    asked = Written(config, PROGRAMS, HostKeys(home / "k"), None)  # type: ignore[arg-type]
    asked.exec_program("shared/store.py", *words)
    there = home / PROGRAMS.folder(root) / "shared" / "runner.py"
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("# by its content the shell knows that the programs are whole")
    before = sorted(str(path) for path in home.rglob("*"))
    done = subprocess.run(["/bin/sh", "-c", asked.line], cwd=home, capture_output=True, timeout=20, check=False,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert sorted(str(path) for path in home.rglob("*")) == before
    said = done.stdout.partition(FOUND + b"\n")[2]
    return said.decode("utf-8", "surrogateescape").split("\0")[:-1]


def as_root(text: str) -> str:
    """A root as config.json may name it, below the home."""
    parts = [part.encode()[:60].decode("utf-8", "ignore") for part in text.split("/") if part not in ("", ".", "..")]
    return "/".join(parts).lstrip("~-") or "root"


@QUICK
@given(root=WORD.map(as_root), python=WORD.map(as_root), words=st.lists(WORD, max_size=4))
@example(root="a'b\"c $(touch x) `touch y`", python="it's a $(touch p); `x` \"y\"",
         words=["; touch z", "$HOME", "*", "-n", "", "a\nb", "&& touch w", "!!", "\\"])
@example(root="$p", python="$0", words=["$p"])
def test_what_is_meant_as_a_word_arrives_as_a_word(
        root: str, python: str, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    named, own = home / "python" / python, home / root / "venv" / "bin" / "python"
    for printer in (named, own):
        make_printer(printer)
    expected = [str(PROGRAMS.folder(root) / "shared/store.py"), "--root", root, *words]
    assert argv(root, str(named), words, home) == expected
    assert argv(root, None, words, home) == expected


# ---- a room that a stranger packed -----------------------------------------------------------------------------------


IMAGES = ("images/cat/1.jpg", "images/cat/../1.jpg", "images/1.jpg")
ELSEWHERE = ("../config.json", "/etc/passwd", "known_hosts/x", "config.json\0x")
MEMBER = st.sampled_from([*pack_zip.TEXTS, *IMAGES, *ELSEWHERE]) | TEXT.filter(str.isprintable)
VALUE = st.recursive(st.none() | st.booleans() | st.integers() | TEXT.filter(str.isprintable) | st.just("127.0.0.1"),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4), max_leaves=8)


@QUICK
@given(members=st.lists(st.tuples(MEMBER, st.binary(max_size=40)), max_size=2), config=VALUE)
def test_a_pack_is_opened_or_refused_and_nothing_of_it_leaves_its_folder(
        members: list[tuple[str, bytes]], config: object, tmp_path: Path) -> None:
    target, folder = tmp_path / "pack.zip", tmp_path / "user"
    folder.mkdir(exist_ok=True)
    packed = io.BytesIO()
    whole = [(pack.MANIFEST, b'{"v":1,"type":"room"}'), (pack.CONFIG, json.dumps(config).encode()), *members]
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in dict(whole).items():
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            archive.writestr(info, data)
    target.write_bytes(packed.getvalue())
    try:
        pack.open_pack(target, folder)
    except AiNanoError as error:
        json.dumps(error.to_json())
    assert {path.name for path in tmp_path.iterdir()} == {"pack.zip", "user"}
    assert {path.name for path in folder.rglob("*")} <= {"config.json", "known_hosts"}
