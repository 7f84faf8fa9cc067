"""Steps 7 and 8 on a Nano with jetson-inference (its double, as of 2022): `ai-nano`, SSH, CPython 3.6 where it is."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import ai_nano

from ai_nano.core import bundle
from ai_nano.core.project.workspace import Receipt, Workspace
from ai_nano.demo.classroom import Process, nano_python

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "contract"))
from colours import CLASSES, make_images, make_model  # noqa: E402
from containers import IMAGE, put_docker  # noqa: E402

pytestmark = pytest.mark.timeout(240)

MODEL = "colours-001"
DOUBLE = TESTS / "doubles" / "jetson"


class Bench:
    """A student's project with an exported model, and a Nano; `set` changes what the double of jetson-inference does.

    `in_docker`: jetson-inference is not installed on the Nano, but in a Docker image there.
    """

    def __init__(self, folder: Path, in_docker: bool = False) -> None:
        self.folder, self.home = folder, folder / "nano"
        self.home.mkdir()
        self._settings: dict[str, Any] = {}
        self._double = folder / "double.json"
        self.set(cameras={"/dev/video0": str(make_images(folder / "seen", ["red"]))}, build_s=2.4)
        (folder / ".password").write_text("secret")
        path = os.pathsep.join(map(str, (DOUBLE / "common", DOUBLE / "face2022")))
        environment = {"PYTHONPATH": path, "JETSON_DOUBLE": str(self._double)}
        if in_docker:
            commands, self.docker = put_docker(folder, nano_python(), environment)
            environment = {"PATH": os.pathsep.join([str(commands), os.environ["PATH"]])}
        environment["AI_NANO_TEST"] = os.environ["AI_NANO_TEST"]
        self._server = Process("ai_nano.demo.ssh_server", [
            "--home", str(self.home), "--host-key", str(folder / ".key"), "--user", "student", "--password-file",
            str(folder / ".password"), *(word for name, value in environment.items() for word in ("--env", f"{name}={value}"))],
            folder / "nano.log")
        there = {"ip": "127.0.0.1", "port": self._server.ready["port"], "login": "student", "pwd": "secret",
                 "host_key": self._server.ready["host_key"], "python": nano_python()}
        self._write("config.json", {
            "DL_server": {"name": "DL", **there, "root": "server"},
            "jetson_nano": [{"name": "nano1", **there, "camera": "/dev/video0", "leds": "file",
                             **({"container": IMAGE} if in_docker else {})}]})
        (folder / "config.json").chmod(0o600)
        workspace = Workspace.create(folder / "w", CLASSES)
        onnx = bundle.sha256(make_model(workspace.model_folder(MODEL)) / "model.onnx")
        with workspace.writing():
            workspace.note(Receipt("export", "done", "", facts={"model": MODEL, "classes": CLASSES, "sha256": onnx}))

    def close(self) -> None:
        self._server.stop()

    def set(self, **settings: Any) -> None:
        self._settings.update(settings)
        self._write(self._double.name, self._settings)

    def _write(self, name: str, document: Any) -> None:
        new = self.folder / f"{name}.new"
        new.write_text(json.dumps(document))
        new.replace(self.folder / name)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "settings"),
                       "AI_NANO_LANGUAGE": "en"}
        return subprocess.Popen([sys.executable, "-m", "ai_nano", "--json", *words], cwd=self.folder, env=environment,
                                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        said = ai_nano(self.folder, "--json", *words)
        assert said.code == code and "Traceback" not in said.errors, said.out[-3000:] + said.errors
        return [json.loads(line) for line in said.out.splitlines()]

    def export_again(self) -> None:
        """The same network, exported later."""
        folder = self.folder / "w" / "models" / MODEL
        told = {**json.loads((folder / "bundle.json").read_text()), "created": "2026-11-22T08:00:00Z"}
        (folder / "bundle.json").write_text(json.dumps(told))
        os.utime(folder / "model.onnx")

    def engines(self) -> list[str]:
        return sorted(path.name for path in (self.home / "ai_nano" / "models" / MODEL).glob("*.engine"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def codes(lines: list[dict[str, Any]]) -> list[str]:
    return [line["code"] for line in lines if line["type"] == "log" and line["code"]]


def of(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == kind]


def test_deploy_builds_the_engine_and_inference_finds_it(bench: Bench) -> None:
    bench.set(build="out_of_memory")
    error = bench.run("deploy", "w", code=1)[-1]["error"]
    assert error["code"] == "engine.out_of_memory" and bench.engines() == []
    assert [line["status"] for line in of(bench.run("status", "w"), "state") if line["step"] == "deploy"] == ["failed"]

    bench.set(build=None)
    lines = bench.run("deploy", "w")
    assert [code for code in codes(lines) if code.partition(".")[0] in ("engine", "deploy")] == [
        "deploy.verified", "engine.built", "deploy.end"]
    building = of(lines, "building")
    assert any("Timing Runner" in line["line"] for line in building) and {line["machine"] for line in building} == {"nano1"}
    assert building[0]["available_mb"] > 0 and building[-1]["seconds"] > 0.9
    assert any(line["step"] == "deploy" and line["unit"] == "s" for line in of(lines, "progress"))
    (engine,) = bench.engines()
    noted = lines[-1]["engines"]["nano1"]
    assert (noted["reused"], noted["file"]) == (False, engine) and noted["seconds"] > 2

    lines = bench.run("infer", "w", "--seconds", "1.5")
    ready = [line["text"] for line in of(lines, "log") if line["code"] == "infer.ready"]
    assert len(ready) == 1 and "tensorrt" in ready[0] and "infer.building_engine" not in codes(lines)
    seen = of(lines, "prediction")
    assert {line["class"] for line in seen} == {"red"} and {tuple(line["lit"]) for line in seen} == {(12,)}
    assert list(seen[-1]["ms"]) == ["capture", "preprocess", "network", "leds"]
    assert set(seen[-1]["smoothed"]) <= set(CLASSES), "a live camera is smoothed unless told otherwise"
    assert of(lines, "health")[0]["memory"]["total_mb"] > 0
    lit = [json.loads(line) for line in (bench.home / "ai_nano" / "leds.jsonl").read_text().splitlines()]
    changes = [line["on"] for line in lit if line["pin"] == 12]
    assert True in changes and changes[-1] is False
    assert lines[-1]["seen"] == {"red": len(seen)}

    again = bench.run("deploy", "w")
    assert "engine.reused" in codes(again) and again[-1]["engines"]["nano1"]["reused"] is True
    assert bench.engines() == [engine]

    bench.export_again()
    lines = bench.run("deploy", "w")
    assert "engine.reused" in codes(lines), "the network is the same, and the bundle alone has changed"


def test_jetson_inference_in_a_container(tmp_path: Path) -> None:
    bench = Bench(tmp_path, in_docker=True)
    try:
        bench.set(build_s=0.0)
        assert "engine.built" in codes(bench.run("deploy", "w")) and len(bench.engines()) == 1
        lines = bench.run("infer", "w", "--frames", "3")
        assert "container.starting" in codes(lines) and lines[-1]["seen"] == {"red": 3}
        images = bench.docker / "images.json"
        images.write_text("{}")
        error = bench.run("infer", "w", "--frames", "1", code=1)[-1]["error"]
        assert error["code"] == "container.no_image" and f"docker pull {IMAGE}" in error["hint"]
    finally:
        bench.close()


def test_nothing_recognised_counts(bench: Bench) -> None:
    bench.set(cameras={"/dev/video0": str(make_images(bench.folder / "grey", ["grey"]))}, build_s=0.0)
    bench.run("deploy", "w")
    lines = bench.run("infer", "w", "--frames", "5", "--hysteresis", "0", "--smoothing", "0")
    seen = of(lines, "prediction")
    assert {line["class"] for line in seen} == {None} and "smoothed" not in seen[0]
    assert lines[-1]["unrecognised"] == 5 and lines[-1]["seen"] == {}


def until_it_builds(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["type"] != "building":
        pass


def test_a_laptop_that_is_killed_while_it_builds(bench: Bench) -> None:
    """The build goes on there; the next start waits for it instead of building beside it."""
    bench.set(build_s=20.0)
    with bench.start("deploy", "w") as process:
        until_it_builds(process)
        process.kill()
        process.communicate()
    with bench.start("deploy", "w") as process:
        until_it_builds(process)
        bench.set(build_s=0.0)
        rest, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    lines = [json.loads(line) for line in rest.splitlines()]
    assert [code for code in codes(lines) if code.startswith("engine.")] == ["engine.built", "engine.reused"]
    assert lines[-1]["engines"]["nano1"]["reused"] is True and len(bench.engines()) == 1
