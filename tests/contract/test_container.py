"""Programs in jetson-inference's container (a double of Docker): however one ends, LEDs are dark and nothing is left."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nano_programs  # noqa: F401
import pytest
from boards import board_with
from classification import CLASSIFY, predictions
from colours import make_images
from containers import IMAGE, put_docker
from machine import Follower, Machine, Message, of, read_lines, wait_for
from nano_faces import BUILD, Board, codes

from jetson_nano import docker_command, system
from jetson_nano.docker_command import Mount
from shared.wire import Failure

ENGINE = "model.onnx.1.1.8201.GPU.FP16.engine"


class Boxed(Board):
    """A Nano without jetson-inference, and with Docker, whose image has it."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        super().__init__(machine, "2022")
        environment = machine.environment
        inside = {"PYTHONPATH": environment.pop("PYTHONPATH"), "JETSON_DOUBLE": environment.pop("JETSON_DOUBLE")}
        commands, self.docker = put_docker(folder, machine.python, inside)
        environment["PATH"] = os.pathsep.join([str(commands), environment["PATH"]])
        self.set(cameras={"/dev/video0": str(make_images(folder / "seen", ["red"]))})

    def params(self, camera: str | Path, **changes: Any) -> dict[str, Any]:
        return super().params(camera, **{"engine": "tensorrt", "container": IMAGE, **changes})

    def light(self) -> Follower:
        """A classification with LED 12 lit."""
        follower = self.start("/dev/video0")
        assert follower.read_event("prediction")["lit"] == [12] and self.lit() == [12]
        return follower

    def asked(self, verb: str) -> list[list[str]]:
        """The calls of docker that began so."""
        lines = (self.docker / "asked.jsonl").read_text().splitlines()
        return [words for words in map(json.loads, lines) if words[0] == verb]

    def containers(self) -> dict[str, Message]:
        return {path.stem: json.loads(path.read_text()) for path in (self.docker / "containers").glob("[!.]*.json")}

    def program(self) -> int:
        """The process id of the classification in the container."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    inside = b"AI_NANO_HOST=" in (entry / "environ").read_bytes()
                except OSError:
                    continue
                if inside and os.fsencode(self.machine.programs / CLASSIFY) in words:
                    return int(entry.name)
        raise AssertionError("no classification in a container")

    def guard(self) -> int:
        """The process id of led_guard.py, on the host."""
        program = self.machine.process_id("c")
        children = Path(f"/proc/{program}/task/{program}/children").read_text().split()
        [guard] = [pid for pid in children if b"led_guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return int(guard)

    def end_dark(self) -> None:
        wait_for(lambda: not self.lit(), "dark LEDs")
        wait_for(lambda: not self.containers(), "the container's end")


@pytest.fixture
def boxed(tmp_path: Path, nano_python: str) -> Iterator[Boxed]:
    home = tmp_path / "home"
    home.mkdir()
    machine = Machine(home, nano_python)
    made = Boxed(machine, tmp_path)
    yield made
    machine.close()
    assert not (made.docker / "pulled").exists(), "an image was to be downloaded without a word"


def values(words: list[str], option: str) -> list[str]:
    return [words[index + 1] for index, word in enumerate(words) if word == option]


def test_a_classification(boxed: Boxed) -> None:
    follower = boxed.light()
    watcher = boxed.machine.watch("c")
    watcher.begin()
    header, jpeg = watcher.read()
    assert header["type"] == "picture" and jpeg[:2] == b"\xff\xd8", "the container shares the host's network"
    follower.send(type="stop")
    messages = follower.read_all()
    assert messages[-1]["state"] == "done" and boxed.lit() == []
    assert "completed building CUDA engine" in (boxed.machine.run_path("c") / "output.log").read_text()
    assert boxed.engines() == [ENGINE] and os.stat(boxed.model / ENGINE).st_uid == os.getuid()
    boxed.end_dark()

    [run] = boxed.asked("run")
    assert values(run, "--runtime") == ["nvidia"] and values(run, "--network") == ["host"]
    assert values(run, "--user") == [f"{os.getuid()}:{os.getgid()}"] and "--privileged" not in run
    mounts = dict(docker_mounts(run))
    assert mounts[str(boxed.machine.root)] == str(boxed.machine.root) and str(boxed.machine.programs) in mounts
    assert Path(mounts["/tmp/nv_jetson_model"]).is_file()


def docker_mounts(run: list[str]) -> Iterator[tuple[str, str]]:
    """(target, source)"""
    for text in values(run, "--mount"):
        fields = dict(field.partition("=")[::2] for field in text.split(","))
        yield fields["target"], fields["source"]


def test_what_ends_by_itself(boxed: Boxed, tmp_path: Path) -> None:
    """Images outside ROOT and a model of the older program; the exit code is the program's own."""
    older = boxed.machine.home / "models" / "old"
    shutil.copytree(boxed.model, older)
    events = boxed.run(make_images(tmp_path / "images", ["red", "blue"]), model_dir=str(older))
    assert [event["class"] for event in predictions(events)] == ["red", "blue"]
    assert codes(events)[0] == "container.starting" and events[-1]["type"] == "result"
    boxed.end_dark()
    shutil.rmtree(boxed.machine.run_path("c"))
    assert boxed.error("/dev/video0", model_dir=str(older) + "2")[0] == "infer.model_missing"
    boxed.end_dark()


def test_an_engine_is_built(boxed: Boxed) -> None:
    boxed.machine.start("b", program=BUILD, model_dir=str(boxed.model), container=IMAGE)
    messages = boxed.machine.follow_all("b")
    events = [each["event"] for each in messages if each["type"] == "event"]
    assert codes(events)[-1] == "engine.built" and events[-1]["engine"] == ENGINE
    assert any("completed building CUDA engine" in each["text"] for each in of(messages, "log"))
    boxed.end_dark()


def test_cancelled(boxed: Boxed) -> None:
    boxed.light()
    answer = boxed.machine.cancel("c")
    assert (answer["gone"], answer["state"]) == (True, "cancelled") and boxed.lit() == []
    assert boxed.asked("rm") == [], "the program ended by itself, asked to"
    boxed.end_dark()


@pytest.mark.parametrize("whole_group", [False, True])
def test_the_process_on_the_host_is_killed(boxed: Boxed, whole_group: bool) -> None:
    follower = boxed.light()
    program = boxed.machine.process_id("c")
    (os.killpg if whole_group else os.kill)(program, signal.SIGKILL)
    assert follower.read_all()[-1]["exit"]["signal"] == signal.SIGKILL
    boxed.end_dark()


def test_the_program_in_the_container_is_killed(boxed: Boxed) -> None:
    follower = boxed.light()
    os.kill(boxed.program(), signal.SIGKILL)
    assert follower.read_all()[-1]["exit"]["signal"] == signal.SIGKILL, "as without a container: it may be lack of memory"
    boxed.end_dark()


def test_the_guard_hears_the_program_s_end_itself(boxed: Boxed) -> None:
    """Its pipes end in the container alone, so that nobody else has to notice."""
    follower = boxed.light()
    [container] = boxed.containers().values()
    guard = boxed.guard()
    os.kill(container["pid"], signal.SIGSTOP)
    try:
        os.kill(boxed.program(), signal.SIGKILL)
        wait_for(lambda: Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "the guard's end")
        assert not boxed.lit()
    finally:
        os.kill(container["pid"], signal.SIGCONT)
    assert follower.read_all()[-1]["exit"]["signal"] == signal.SIGKILL


def test_docker_kills_the_container(boxed: Boxed) -> None:
    follower = boxed.light()
    [container] = boxed.containers().values()
    os.kill(container["pid"], signal.SIGKILL)
    assert follower.read_all()[-1]["exit"]["signal"] == signal.SIGKILL
    boxed.end_dark()


def test_the_guard_on_the_host_is_killed(boxed: Boxed) -> None:
    follower = boxed.light()
    os.kill(boxed.guard(), signal.SIGKILL)
    assert follower.read_event("error")["code"] == "leds.guard_lost"
    assert follower.read_all()[-1]["exit"]["code"] == 1
    boxed.end_dark()


def test_killed_before_docker_has_started_it(boxed: Boxed) -> None:
    """The next run removes what was made and never started, and nothing that others are just about to start."""
    (boxed.docker / "hangs_before_start").touch()
    follower = boxed.start("/dev/video0")
    wait_for(lambda: (boxed.docker / "containers").exists() and boxed.containers(), "the container")
    os.killpg(boxed.machine.process_id("c"), signal.SIGKILL)
    follower.read_all()
    (boxed.docker / "hangs_before_start").unlink()
    [name] = boxed.containers()
    own = f"ai_nano={os.getpid()}.{Path('/proc/self/stat').read_text().rpartition(')')[2].split()[19]}."
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (boxed.docker / "containers" / "other.json").write_text(json.dumps({"status": "created", "label": own + boot}))
    shutil.rmtree(boxed.machine.run_path("c"))
    assert predictions(boxed.run("/dev/video0", frames=1))
    assert [words[2] for words in boxed.asked("rm")] == [name] and "other" in boxed.containers()


@pytest.mark.parametrize("trouble", ["no_permission", "no_daemon", "no_nvidia"])
def test_what_docker_refuses(boxed: Boxed, trouble: str) -> None:
    (boxed.docker / trouble).touch()
    code, params = boxed.error("/dev/video0")
    assert code == {"no_nvidia": "container.no_runtime"}.get(trouble, f"container.{trouble}")
    assert params == ({"login": system.login()} if trouble == "no_permission" else {})


def test_an_image_that_is_not_there(boxed: Boxed) -> None:
    image = "dustynv/jetson-inference:r35.3.1"
    assert boxed.error("/dev/video0", container=image) == (
        "container.no_image", {"image": image, "command": f"docker pull {image}"})


def test_an_image_without_our_interpreter(boxed: Boxed) -> None:
    known = json.loads((boxed.docker / "images.json").read_text())
    known[IMAGE]["python"] = "/bin/false"
    (boxed.docker / "images.json").write_text(json.dumps(known))
    code, params = boxed.error("/dev/video0")
    assert code == "container.failed" and params["image"] == IMAGE


def test_from_boot_on(boxed: Boxed, tmp_path: Path) -> None:
    """The autostart's own process stays on the host; a laptop's run goes first, in a container too."""
    with board_with(boxed, tmp_path) as board:
        board.autostart("/dev/video0")
        wait_for(lambda: boxed.lit() == [12], "the LED of the class that is seen")
        assert len(boxed.containers()) == 1
        seen = predictions(boxed.run("/dev/video0", frames=1))
        assert [event["lit"] for event in seen] == [[12]]
        starts = len(boxed.asked("run"))
        wait_for(lambda: len(boxed.asked("run")) > starts or boxed.lit() == [12], "the classification again")
        wait_for(lambda: boxed.lit() == [12], "the LED again")
        board.ask("autostart", "off")
        boxed.end_dark()
    assert read_lines(boxed.leds_file)


@pytest.mark.parametrize("release, tag", [
    ("# R32 (release), REVISION: 4.3, GCID: 21589087, BOARD: t210ref, EABI: aarch64", "r32.4.3"),
    ("# R32 (release), REVISION: 5.2, GCID: 27767740, BOARD: t210ref, EABI: aarch64", "r32.5.0"),
    ("# R32 (release), REVISION: 6.1, GCID: 27863751, BOARD: t210ref, EABI: aarch64", "r32.6.1"),
    ("# R32 (release), REVISION: 7.6, GCID: 38171779, BOARD: t210ref, EABI: aarch64", "r32.7.1"),
    ("# R35 (release), REVISION: 3.1, GCID: 32827747, BOARD: t186ref, EABI: aarch64", "r35.3.1"),
    ("# R35 (release), REVISION: 6.0, GCID: 37391689, BOARD: t186ref, EABI: aarch64", "r35.4.1"),
    ("# R36 (release), REVISION: 3.0, GCID: 36106755, BOARD: generic, EABI: aarch64", "r36.3.0"),
])
def test_the_image_of_a_release(release: str, tag: str) -> None:
    assert docker_command.tag(release + ", DATE: x\n# KERNEL_VARIANT: oot\n") == tag


@pytest.mark.parametrize("release, code", [
    ("# R32 (release), REVISION: 3.1, GCID: 1", "container.too_old"), ("# R28 (release), REVISION: 2.1", "container.too_old"),
    ("", "container.no_l4t"), ("Debian", "container.no_l4t")])
def test_a_release_without_an_image(release: str, code: str) -> None:
    with pytest.raises(Failure) as caught:
        docker_command.tag(release)
    assert caught.value.code == code


def test_auto_prefers_what_was_built_on_the_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "release").write_text("# R32 (release), REVISION: 7.1, GCID: 29818004\n")
    monkeypatch.setattr(docker_command, "RELEASE", tmp_path / "release")
    assert docker_command.names("auto") == ["jetson-inference:r32.7.1", IMAGE]
    for wrong in ("--privileged", "a b", "", "a\n"):
        with pytest.raises(Failure):
            docker_command.names(wrong)


def test_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_path", lambda: str(tmp_path))
    with pytest.raises(Failure) as caught:
        docker_command.find_image(IMAGE)
    assert caught.value.code == "container.no_docker"


def test_paths_with_commas_and_colons() -> None:
    assert Mount("/a,b", "/c:d", True).words() == ["--mount", 'type=bind,"source=/a,b",target=/c:d']
    assert Mount('/a"b', "/x").words() == ["--mount", 'type=bind,"source=/a""b",target=/x,readonly']
