"""The whole journey in the embedded classroom, from an installed wheel, and the three ways in which it must fail."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wheels import run, succeeded

from ai_nano import resources
from ai_nano.core import bundle
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import BadInput, WorkFailed
from ai_nano.core.events import Event, Prediction, ignore
from ai_nano.core.project.workspace import Workspace
from ai_nano.demo.classroom import Classroom, nano_python
from ai_nano.demo.journey import MARKER, DemoOptions, Journey, run_demo
from ai_nano.demo.verdict import read_lines
from ai_nano.steps.deploy import DeployOptions
from ai_nano.steps.infer import TryOptions
from ai_nano.steps.nano_test import NanoTestOptions, images_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CARDS = ("cat", "coffee", "rocket", "nothing")


def demo(folder: Path, *, sabotage: str) -> "subprocess.CompletedProcess[str]":
    """`ai-nano demo` as a process; `sabotage` is code that runs before it."""
    code = f"import sys\n{sabotage}\nfrom ai_nano.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    words = ["demo", "--headless", "--json", "--workspace", str(folder / "demo")]
    return subprocess.run([sys.executable, "-c", code, *words], cwd=folder, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=500)


@pytest.fixture(scope="module")
def passed(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder that a passed demo left, and its lines. It is the wheel's, run in another folder than the checkout."""
    folder = tmp_path_factory.mktemp("passed")
    command: list[str | Path] = [installed / "ai-nano", "demo", "--headless", "--json", "--workspace", folder / "demo"]
    done = run(command, folder, 500, AI_NANO_NANO_PYTHON=nano_python())  # which the wheel cannot bring along
    return folder / "demo", [json.loads(line) for line in succeeded(done).splitlines()]


def test_it_passes_with_at_least_95_percent_of_300_fresh_frames(passed: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, lines = passed
    result = lines[-1]
    assert result["ok"] and result["frames"] >= 300 and result["accuracy"] >= 0.95
    assert {"workspace", "report", "screenshots", "accuracy", "test_accuracy"} <= set(result)
    assert Path(result["report"]).is_file() and Path(result["workspace"]) == folder
    print(f"fresh takes: {result['accuracy']:.4f} of {result['frames']} frames; split's test: {result['test_accuracy']}")


def test_it_goes_through_all_eight_steps(passed: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, lines = passed
    ran = [line["step"] for line in lines if line["type"] == "state" and line["status"] == "running"]
    assert ran == ["project", "record", "split", "upload", "train", "export", "deploy", "infer"]
    kinds = {line["type"] for line in lines}
    assert {"progress", "log", "metric", "prediction", "state", "result"} <= kinds
    texts = [line["text"] for line in lines if line["type"] == "log"]
    for end in ("End training model", "End conversion to ONNX file", "End upload ONNX model to Jetson Nano."):
        assert end in texts
    assert all(Workspace.open(folder).count(name) >= 100 for name in CARDS)


def test_what_it_leaves_is_whole(passed: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = passed
    workspace = Workspace.open(folder)
    model = workspace.receipts["export"].facts["model"]
    checked = bundle.load(workspace.model_folder(model))
    assert checked.classes == CARDS and checked.raw["onnx"]["opset"] <= 13
    page = (workspace.model_folder(model) / "report.html").read_text()
    assert page.count("<polyline") == 4 and page.count("<img") >= 8 and page.count("<table>") == 3
    labels = (folder / "labels.txt").read_bytes()
    nano = folder / "classroom" / "nano1" / "ai_nano"
    assert labels == "\n".join(CARDS).encode() == (nano / "models" / model / "labels.txt").read_bytes()
    assert not list((folder / "classroom").glob(".*password"))


def test_leds_were_written_by_the_nanos_process_and_are_dark_at_the_end(passed: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = passed
    state = {}
    for line in read_lines(folder / "classroom" / "nano1" / "ai_nano" / "leds.jsonl"):
        assert set(line) == {"t", "pin", "on"}
        state[line["pin"]] = line["on"]
    assert state == {12: False, 16: False, 18: False}


def test_each_prediction_lights_its_own_pin(passed: tuple[Path, list[dict[str, Any]]]) -> None:
    pins = {"cat": [12], "coffee": [16], "rocket": [18], "nothing": [], None: []}
    predictions = [line for line in passed[1] if line["type"] == "prediction"]
    assert len(predictions) >= 300 and all(line["lit"] == pins[line["class"]] for line in predictions)
    assert all(abs(sum(line["probabilities"].values()) - 1) < 1e-3 for line in predictions)


def test_no_password_is_printed(passed: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, lines = passed
    config = json.loads((folder / "classroom" / "config.json").read_text())
    secrets = [config["DL_server"]["pwd"], config["jetson_nano"][0]["pwd"]]
    told = json.dumps(lines) + "".join(path.read_text(errors="replace") for path in (folder / "classroom").glob("*.log"))
    assert len(secrets[0]) > 20 and not any(secret in told for secret in secrets)
    assert (folder / "classroom" / "config.json").stat().st_mode & 0o077 == 0


# ---- sabotage --------------------------------------------------------------------------------------------------------


@pytest.fixture
def exported(passed: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> Iterator[Journey]:
    """A journey with the passed demo's model, ready to be presented in a classroom of its own."""
    folder = tmp_path / "demo"
    shutil.copytree(passed[0], folder, ignore=shutil.ignore_patterns("classroom", "lock"))
    with Classroom(folder / "classroom") as classroom, Journey(folder, classroom, ignore, CancelToken(), showings=1) as journey:
        journey.open(Workspace.open(folder))
        yield journey


def verdict_of(journey: Journey) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((journey.folder / "showing.json").read_text())
    return document


def test_the_shortened_showing_itself_is_right(exported: Journey) -> None:
    """What the sabotaged ones below are compared with: too few frames for the demo, but LEDs and classes are right."""
    with pytest.raises(WorkFailed) as caught:
        exported.present()
    assert caught.value.code == "demo.inaccurate"  # fewer than 300 frames
    assert verdict_of(exported)["leds_agree"] and verdict_of(exported)["accuracy"] >= 0.9


def test_the_report_the_nano_and_this_computer_say_the_same_of_every_image(
        exported: Journey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch on the server, ONNX Runtime under the Nano's Python, and `try` here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    workspace = exported.workflow.workspace
    exported.carry_out("deploy", DeployOptions())
    facts = exported.carry_out("test-nano", NanoTestOptions()).facts
    report = json.loads((workspace.model_folder(facts["model"]) / bundle.REPORT_JSON).read_text())
    answers = {one["file"]: one["predicted"] for one in report["answers"]}
    images = {f"test/{name}/{path.name}" for name, path in images_of(workspace, workspace.classes)}
    assert set(answers) == images and len(images) >= 40
    assert (facts["images"], facts["unread"], facts["compared"], facts["same"]) == (len(images), 0, len(images), len(images))
    assert facts["accuracy"] == report["test_accuracy"] and list(facts["interval"]) == pytest.approx(report["interval"])
    seen: dict[str, str | None] = {}

    def hear(event: Event) -> None:
        if isinstance(event, Prediction):
            seen[f"test/{event.file}"] = event.class_name

    exported.carry_out("try", TryOptions(camera=str(workspace.path / "test"), threshold=0.0), hear)
    assert seen == answers


def test_two_labels_swapped_in_the_bundle(exported: Journey) -> None:
    folder = next((exported.folder / "models").iterdir())
    swapped = ["coffee", "cat", "rocket", "nothing"]
    (folder / "labels.txt").write_text("\n".join(swapped))
    document = json.loads((folder / "bundle.json").read_text())
    document["classes"] = swapped
    document["sha256"]["labels.txt"] = bundle.sha256(folder / "labels.txt")
    (folder / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(WorkFailed) as caught:
        exported.present()
    assert caught.value.exit_code == 1 and verdict_of(exported)["accuracy"] < 0.6


def test_labels_swapped_without_the_hash_never_reach_the_nano(exported: Journey) -> None:
    folder = next((exported.folder / "models").iterdir())
    (folder / "labels.txt").write_text("coffee\ncat\nrocket\nnothing")
    with pytest.raises(WorkFailed) as caught:
        exported.present()
    assert (caught.value.code, caught.value.exit_code) == ("bundle.damaged", 1)


def test_a_wrong_pin(exported: Journey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Nano's program, which travels by itself, lights its neighbour's LED and reports the right one."""
    remote = tmp_path / "remote"
    shutil.copytree(resources.remote_folder(), remote)
    classify = remote / "jetson_nano" / "classify.py"
    source = classify.read_text()
    wrong = source.replace("self._leds.show(lit)", "self._leds.show([{12: 16, 16: 12}.get(pin, pin) for pin in lit])")
    assert wrong != source
    classify.write_text(wrong)
    monkeypatch.setattr(resources, "remote_folder", lambda: remote)
    with pytest.raises(WorkFailed) as caught:
        exported.present()
    assert (caught.value.code, caught.value.exit_code) == ("demo.leds_disagree", 1)
    assert verdict_of(exported)["accuracy"] >= 0.9
    assert any(re.search(r"cat.*12", line) for line in caught.value.details)


def test_broken_sftp(tmp_path: Path) -> None:
    """The command itself, with a short recording; everything up to the upload needs no machine. Files are to go by SFTP."""
    done = demo(tmp_path, sabotage=(
        "import functools\nimport ai_nano.demo.journey as journey\njourney.TAKES, journey.IMAGES_A_TAKE = 1, 5\n"
        "journey.Classroom = functools.partial(journey.Classroom, sftp=False)\n"
        "from ai_nano.machines.transfer.sender import Sender\n"
        "made = Sender.__init__\nSender.__init__ = lambda self, transfer, *rest: made(self, 'sftp', *rest)"))
    error = json.loads(done.stdout.splitlines()[-1])["error"]
    assert (done.returncode, error["code"]) == (1, "demo.failed") and "SFTP" in error["what"]


def test_a_folder_that_is_not_a_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").write_text("months of work")
    with pytest.raises(BadInput) as caught:
        run_demo(DemoOptions(tmp_path), ignore, CancelToken())
    assert caught.value.code == "demo.folder" and [one.name for one in tmp_path.iterdir()] == ["thesis.odt"]
    assert not (tmp_path / MARKER).exists()
