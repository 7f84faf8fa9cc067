"""The commands for boards without screens, against the embedded server: a Nano that is somebody's computer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import ai_nano
from ssh_servers import start_server


class Bench:
    """`ai-nano` in a folder and with a home of its own; and its one Nano's ROOT. (tests/unit/test_cli.py starts processes.)"""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder, self.root = folder, root

    def run(self, *words: str, code: int = 0) -> str:
        said = ai_nano(self._folder, *words)
        assert said.code == code, said.out + said.errors
        return said.out + said.errors

    def json(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run("--json", *words, code=code).splitlines()]

    def model(self, name: str, *classes: str) -> Path:
        folder = self.root / "models" / name
        folder.mkdir(parents=True)
        (folder / "labels.txt").write_text("\n".join(classes))
        return folder


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    (folder / "server").mkdir()

    def nobody() -> Any:
        raise AssertionError

    with start_server("embedded", folder / "server", True, nobody) as server:
        machine = {"ip": server.host, "port": server.port, "login": server.user, "pwd": server.password,
                   "host_key": server.host_key, "python": sys.executable}
        config = folder / "config.json"
        config.write_text(json.dumps({"DL_server": {"name": "DL", **machine}, "student": "ada", "jetson_nano": [
            {"name": "nano1", **machine, "leds": "file", "pins": [12, 16], "engine": "onnxruntime"}]}))
        config.chmod(0o600)
        yield Bench(folder, server.home / "ai_nano")


def test_blink_by_name_and_by_model(bench: Bench) -> None:
    bench.model("old-001", "mug", "cat", "nothing")
    *logs, result = bench.json("blink", "nano1", "--seconds", "0.05", "--rounds", "1")
    assert [line["code"] for line in logs] == ["blink.lit", "blink.lit", "blink.without_pin"]
    assert "Pin 16: cat" in logs[1]["text"] and "nothing" in logs[2]["text"]
    assert result["lit"] == [{"pin": 12, "class": "mug"}, {"pin": 16, "class": "cat"}]
    assert (result["model"], result["without_pin"], result["nano"]) == ("old-001", ["nothing"], "nano1")
    switched = [json.loads(line) for line in (bench.root / "leds.jsonl").read_text().splitlines()]
    assert [line["pin"] for line in switched if line["on"]] == [12, 16] and not switched[-1]["on"]
    assert "Pin 12: mug" in bench.run("blink", "--nano", "nano1", "--model", "old-001", "--seconds", "0.05")
    assert bench.json("blink", "--model", "none", code=4)[-1]["error"]["code"] == "infer.model_not_there"
    assert bench.json("blink", "a", "--nano", "b", code=2)[-1]["error"]["code"] == "cli.two_nanos"


@pytest.mark.parametrize("action", ["shutdown", "reboot"])
def test_this_computer_stays_on(bench: Bench, action: str) -> None:
    """That this test ends says the same."""
    [result] = bench.json("power", "nano1", action)
    assert result["ok"] and result["done"] is False and result["action"] == action
    assert "embedded classroom" in bench.run("power", "nano1", action)
    kept = [json.loads(line)["action"] for line in (bench.root / ".ai_nano" / "power.jsonl").read_text().splitlines()]
    assert kept[-2:] == [action, action]


def test_nothing_is_installed_on_this_computer(bench: Bench) -> None:
    folder = bench.model("boot-001", "mug", "cat")
    assert bench.json("autostart", "nano1")[-1]["model"] is None
    result = bench.json("autostart", "nano1", "--model", "boot-001")[-1]
    assert (result["model"], result["way"], result["student"]) == ("boot-001", "recorded", "ada")
    assert result["notes"] == ["autostart.recorded"]
    kept = json.loads((bench.root / ".ai_nano" / "autostart" / "autostart.json").read_text())
    assert kept["params"]["model_dir"] == str(folder) and kept["params"]["pins"] == [12, 16]
    assert not (bench.root.parent / ".config").exists()
    assert "boot-001" in bench.run("autostart", "nano1", "--status") and "starts at boot" in bench.run("models", "nano1")
    error = bench.json("--yes", "models", "--nano", "nano1", "--delete", "boot-001", code=3)[-1]["error"]
    assert error["code"] == "models.autostart" and "--off" in error["hint"]
    assert bench.json("autostart", "nano1", "--off")[-1]["removed"] is True
    assert bench.json("autostart", "nano1", "--off")[-1]["removed"] is False
    assert bench.json("autostart", "nano1", "--model", "none", code=4)[-1]["error"]["code"] == "infer.model_not_there"


def test_models_of_a_nano(bench: Bench) -> None:
    folder = bench.model("gone-001", "a", "b")
    (folder / "model.engine").write_bytes(b"x")
    listed = {model["model"]: model for model in bench.json("models", "nano1")[-1]["models"]}
    assert listed["gone-001"]["running"] == [] and listed["gone-001"]["autostart"] is None
    assert bench.json("models", "nano1", "--delete", "gone-001", code=2)[-1]["error"]["code"] == "cli.nobody_confirms"
    assert bench.json("--yes", "models", "--nano", "nano1", "--delete", "gone-001")[-1]["deleted"] == "gone-001"
    assert not folder.exists()
    assert bench.json("--yes", "models", "nano1", "--delete", "gone-001", code=1)[-1]["error"]["code"] == "store.missing"
