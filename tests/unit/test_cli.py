"""The terminal: exit codes, words, JSON lines, and what may not be imported."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


class Terminal:
    """Runs `ai-nano` as a process, in a folder and with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "LANG": "C.UTF-8",
                            "PYTHONPATH": str(REPOSITORY), "AI_NANO_LANGUAGE": "en"}

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([sys.executable, "-m", "ai_nano", *words], cwd=self.folder, env=self.environment, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The last line of `--json`; every line must be JSON with `v` and `type`."""
        lines = [json.loads(line) for line in self.run("--json", *words, code=code).stdout.splitlines()]
        assert all(line["v"] == 1 and line["type"] for line in lines)
        assert lines[-1]["type"] == "result" and lines[-1]["ok"] is (code == 0)
        return dict(lines[-1])

    def error(self, *words: str, code: int) -> str:
        """The error's code; the sentences must be there, also on a terminal."""
        error = self.json(*words, code=code)["error"]
        assert error["what"] and error["why"] and error["hint"] and "{" not in error["what"] + error["hint"]
        told = self.run(*words, code=code)
        assert error["what"] in told.stderr and error["hint"] in told.stderr
        return str(error["code"])


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.mark.parametrize("password", ["geheim", ""])
def test_a_config_that_others_can_read_is_warned_of(terminal: Terminal, password: str) -> None:
    file = terminal.folder / "config.json"
    file.write_text(json.dumps({"DL_server": {"ip": "127.0.0.1", "port": 1, "login": "x", "pwd": password}}))
    file.chmod(0o644)
    told = terminal.run("jobs", code=3)
    assert (f"chmod 600 {file}" in " ".join(told.stdout.split())) is bool(password)
    assert "geheim" not in told.stdout + told.stderr
    lines = [json.loads(line) for line in terminal.run("--json", "jobs", code=3).stdout.splitlines()]
    assert ("config.open_to_others" in [line.get("code") for line in lines]) is bool(password)
    file.chmod(0o600)
    assert "chmod" not in terminal.run("jobs", code=3).stdout


def import_time(words: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "ai_nano", *words], env=environment, text=True,
                          capture_output=True, timeout=60)
    return done.stderr


def test_help_is_light(terminal: Terminal) -> None:
    """No Qt, torch, OpenCV, paramiko, numpy or rich: their import is most of what a slow start consists of."""
    imported = {line.rpartition("|")[2].strip().partition(".")[0]
                for line in import_time(["--help"], terminal.environment).splitlines() if line.startswith("import time:")}
    assert "argparse" in imported
    assert not imported & {"PyQt5", "torch", "cv2", "paramiko", "numpy", "rich", "asyncssh", "platformdirs", "filelock"}


def test_no_command_imports_qt(terminal: Terminal) -> None:
    """With an import of PyQt5 made to fail, a whole local journey works."""
    hook = terminal.folder / "sitecustomize.py"
    hook.write_text("import sys\nfor name in ('PyQt5', 'torch', 'asyncssh', 'skimage'): sys.modules[name] = None\n")
    terminal.environment["PYTHONPATH"] = f"{terminal.folder}{os.pathsep}{REPOSITORY}"
    terminal.run("new", "w", "--classes", "a,b")
    terminal.run("status", "w")
    assert terminal.error("record", "w", "--class", "a", "--camera", "webcam:99", code=3) == "camera.missing"
    assert terminal.error("upload", "w", code=4) == "upload.no_split"


@pytest.mark.parametrize(("words", "code", "error"), [
    ((), 2, "window.no_display"),
    (("frobnicate",), 2, "cli.usage"),
    (("new", "w"), 2, "cli.usage"),
    (("new", "w", "--classes", "only"), 2, "class_name.one"),
    (("new", "w", "--classes", "a,A"), 2, "class_name.equal"),
    (("new", "w", "--classes", "a,,b"), 2, "class_name.empty"),
    (("new", "w", "--classes", "a,../x"), 2, "class_name.hidden"),
    (("new", "w", "--classes", "a,b/c"), 2, "class_name.path"),
    (("new", "w", "--classes", "a,; rm -rf ~"), 2, "class_name.character"),
    (("new", "w", "--classes", "a,n01440764 x"), 2, "class_name.synset"),
    (("new", "w", "--classes", "a," + "x" * 300), 2, "class_name.long"),
    (("status", "nowhere"), 2, "workspace.missing"),
    (("split", "."), 2, "workspace.none"),
    (("lesson", "frog"), 2, "cli.usage"),
    (("lesson", "split", "--seeds", "0"), 2, "cli.usage"),
    (("infer",), 4, "infer.no_model"),
    (("infer", "--model", "../x"), 2, "infer.model_name"),
    (("infer", "--model", "m", "--frames", "0"), 2, "infer.limit"),
    (("infer", "--model", "m", "--threshold", "60"), 2, "infer.threshold"),
    (("infer", "--model", "m", "--hysteresis", "10"), 2, "infer.hysteresis"),
    (("infer", "--model", "m", "--smoothing", "-1"), 2, "infer.smoothing"),
    (("infer", "--model", "m", "--frames", "3"), 2, "config.missing"),
    (("models",), 2, "config.missing"),
    (("jobs", "--config", "no.json"), 2, "config.not_there"),
    (("models", "--log-file", "/nowhere/x.log"), 2, "cli.log_file.open"),
])
def test_bad_input(terminal: Terminal, words: tuple[str, ...], code: int, error: str) -> None:
    before = sorted(terminal.folder.iterdir())
    assert terminal.error(*words, code=code) == error
    assert sorted(terminal.folder.iterdir()) == before


@pytest.mark.parametrize("name", ["été", "日本", "Rubik's cube"])
def test_good_names(terminal: Terminal, name: str) -> None:
    assert terminal.json("new", "w", "--classes", f"{name},other")["classes"] == [name, "other"]
    assert (terminal.folder / "w" / "images" / name).is_dir()


def test_a_broken_config_is_named_with_line_and_column(terminal: Terminal) -> None:
    (terminal.folder / "config.json").write_text('{"DL_server": {"ip": "x",\n  "login" "y"}}')
    told = terminal.json("models", code=2)["error"]
    assert told["code"] == "config.syntax" and "line 2, column 11" in told["what"]


def test_an_address_with_a_slip_in_it_is_said_in_words(terminal: Terminal) -> None:
    (terminal.folder / "config.json").write_text(json.dumps({
        "DL_server": {"ip": "192.168..10", "login": "nano"}, "jetson_nano": []}))
    assert terminal.error("models", code=3) == "machine.unknown_host"


def test_a_pipe_is_no_image(terminal: Terminal) -> None:
    os.mkfifo(terminal.folder / "pipe.jpg")
    terminal.run("new", "w", "--classes", "a,b")
    assert terminal.error("import", "w", "--class", "a", "pipe.jpg", code=2) == "import.missing"


def test_local_steps_need_no_room(terminal: Terminal) -> None:
    import cv2
    import numpy

    pictures = terminal.folder / "pictures"
    pictures.mkdir()
    for number in range(12):
        cv2.imwrite(str(pictures / f"{number:02d}.png"), numpy.full((36, 64, 3), 10 * number, numpy.uint8))
    terminal.json("new", "w", "--classes", "a,b")
    for name in ("a", "b"):
        recorded = terminal.json("record", "w", "--class", name, "--camera", pictures.as_uri(), "--count", "9", "--fps", "30")
        assert recorded["saved"] == 9
        assert terminal.json("import", "w", "--class", name, "pictures")["saved"] == 12
    result = terminal.json("split", "w")
    assert (result["train"], result["val"], result["test"]) == (34, 4, 4)
    assert terminal.error("deploy", "w", code=4) == "deploy.no_export"
    states = [json.loads(line) for line in terminal.run("--json", "status", "w").stdout.splitlines()]
    assert [line["status"] for line in states if line["type"] == "state"] == [
        "done", "done", "done", "ready", "blocked", "blocked", "blocked", "blocked"]


def test_folders_are_imported_as_classes(terminal: Terminal) -> None:
    import cv2
    import numpy

    for number, name in enumerate(("a", "b", "c")):
        (terminal.folder / "set" / name).mkdir(parents=True)
        cv2.imwrite(str(terminal.folder / "set" / name / "1.png"), numpy.full((36, 64, 3), 10 * number, numpy.uint8))
    terminal.run("new", "w", "--classes", "a,b")
    told = terminal.json("import", "w", "set")
    assert told["classes"] == {"a": 1, "b": 1} and told["left_out_reasons"] == {"no_class": 1}
    assert terminal.json("import", "w", "set", "--new-classes")["classes"] == {"c": 1}
    assert terminal.error("import", "w", "set/a/1.png", code=2) == "import.no_class"


def test_the_projects_camera_is_the_one_that_records(terminal: Terminal) -> None:
    terminal.run("new", "w", "--classes", "a,b", "--camera", "webcam:99")
    error = terminal.json("record", "w", "--class", "a", code=3)["error"]
    assert error["code"] == "camera.missing" and "webcam:99" in error["what"]
    assert terminal.error("record", "w", "--class", "a", "--camera", "gopher://x", code=2) == "camera.uri"


def test_common_options_before_and_behind_the_command(terminal: Terminal) -> None:
    assert terminal.run("new", "w", "--classes", "a,b", "--quiet").stdout == ""
    assert json.loads(terminal.run("status", "w", "--json").stdout.splitlines()[-1])["ok"]


def test_words_are_french_for_the_french(terminal: Terminal) -> None:
    terminal.environment["AI_NANO_LANGUAGE"] = "fr"
    assert "espace de travail" in terminal.run("status", ".", code=2).stderr


def test_a_reader_that_goes_away_is_no_error_message(terminal: Terminal) -> None:
    terminal.run("new", "w", "--classes", "a,b")
    command = f"{shlex.quote(sys.executable)} -m ai_nano --json status w | true"
    done = subprocess.run(["bash", "-c", command], cwd=terminal.folder, env=terminal.environment, text=True,
                          capture_output=True, timeout=60)
    assert done.stderr == ""
