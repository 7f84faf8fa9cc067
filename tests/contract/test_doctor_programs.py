"""The doctor's programs: from memory under the Nano's Python, and what they make of what real machines print.

Recorded: the releases of JetPack 4.6.1, 5.1.2, 5.0.2 and 6.2 (public reports of their owners), nvpmodel of an Orin, the
versions of libnvinfer; nvidia-smi and Slurm by their documented form.
"""

import contextlib
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import nano_programs  # noqa: F401
import pytest
from machine import DEADLINE_S, REMOTE
from test_nano_health import NVPMODEL, nano, write
from test_wire import check

from gpu_server import doctor as server
from gpu_server import doctor_slurm, installed
from jetson_nano import doctor_board, doctor_devices
from shared import doctor
from shared import findings as said_of
from shared.deep import check as deep_check
from shared.findings import Findings, carry_out

READ = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"
RELEASES = {
    "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: Sat Feb 19 17:05:08 UTC 2022\n":
        ((32, 7, 1), "4.6.1"),
    "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: Tue Aug  1 19:57:35 UTC 2023\n":
        ((35, 4, 1), "5.1.2"),
    "# R35 (release), REVISION: 1.0, GCID: 31346300, BOARD: t186ref, EABI: aarch64, DATE: Thu Aug 25 18:41:45 UTC 2022\n":
        ((35, 1, 0), "5.0.2"),
    "# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, EABI: aarch64, DATE: Thu Sep 18 22:54:44 UTC 2025\n"
    "# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n": ((36, 4, 7), "6.2.1"),
    "# R99 (release), REVISION: 1.0, GCID: 1\n": ((99, 1, 0), None),
}
PACKAGES = {
    "libnvinfer8|8.2.1-1+cuda10.2|ii \npython3-libnvinfer|8.2.1-1+cuda10.2|ii \nnvidia-jetpack|4.6.1-b110|ii \n": ("8.2.1", 13),
    "libnvinfer8|8.5.2-1+cuda11.4|ii \nlibnvinfer-plugin8|8.5.2-1+cuda11.4|ii \n": ("8.5.2", 17),
    "libnvinfer10|10.3.0.30-1+cuda12.5|ii \nlibnvinfer8|8.6.2-1|rc \n": ("10.3.0", 20),
    "libnvinfer7|7.1.3-1+cuda10.2|ii \n": ("7.1.3", 11),
    "libnvinfer8:arm64|8.0.1-1+cuda10.2|ii \n": ("8.0.1", 13),
    "dpkg-query: no packages found matching libnvinfer*\n": (None, None),
}


def archive(role: str) -> bytes:
    """As machines/programs.py makes it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in ("shared", role):
            for path in sorted((REMOTE / folder).glob("*.py")):
                tar.add(str(path), f"{folder}/{path.name}")
    return gzip.compress(packed.getvalue())


def run(python: str, role: str, root: Path, asked: dict[str, Any], **environment: str) -> list[dict[str, Any]]:
    text, data = (REMOTE / "shared" / "in_memory.py").read_bytes(), archive(role)
    given = text + b"%d\n" % len(data) + data + json.dumps(asked).encode()
    done = subprocess.run([python, "-c", READ, str(len(text)), f"{role}.doctor", "--root", str(root)], input=given,
                          stdout=subprocess.PIPE, timeout=DEADLINE_S, cwd=root.parent, check=True,
                          env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment})
    return [json.loads(line) for line in done.stdout.splitlines()]


def commands(folder: Path, **texts: str) -> str:
    """A PATH with these before the real ones."""
    for name, text in texts.items():
        file = folder / name.replace("_", "-")
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


class Heard(Findings):
    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, tuple[str, Any, str]] = {}

    def _say(self, check: str, state: str, code: Any, figure: str, params: dict[str, Any]) -> None:
        self.said[check] = (state, code, figure)


def test_under_the_nano_s_python_from_memory(nano_python: str, tmp_path: Path) -> None:
    """It writes nothing, and every line has its pinned form; what this computer lacks is found missing."""
    root = tmp_path / "été" / "ai nano"
    root.parent.mkdir()
    lines = run(nano_python, "jetson_nano", root, {"camera": "/dev/video77", "leds": "file", "engine": "onnxruntime"})
    for line in lines:
        check(f"doctor.{line['type']}", line)
    found = {line["check"]: line for line in lines if line["type"] == "finding"}
    assert lines[0]["type"] == "clock" and abs(lines[0]["now"] - time.time()) < DEADLINE_S
    assert lines[-1]["type"] == "result" and lines[-1]["root"] == str(root)
    assert {"python", "disk", "inodes", "root", "camera", "gpio", "inference", "memory", "swap", "temperature", "jetpack",
            "tensorrt", "power", "desktop"} <= set(found)
    assert found["camera"]["code"] in ("doctor.camera.missing", "doctor.camera.other")
    assert (found["gpio"]["state"], found["gpio"]["figure"]) == ("ok", "file")
    assert found["jetpack"]["code"] == "doctor.jetpack.none"
    assert sorted(tmp_path.rglob("*")) == [root.parent], "nothing is written"


def test_on_a_server_from_memory(tmp_path: Path) -> None:
    said = "Failed to initialize NVML: Driver/library version mismatch"
    path = commands(tmp_path / "bin", nvidia_smi=f"echo {said!r} >&2; exit 18")
    asked = {"scheduler": "direct", "requirements": ["nowhere==1.0", "numpy>=99"], "weights": "/nowhere/w.pth"}
    lines = run(sys.executable, "gpu_server", tmp_path / "r", asked, PATH=path)
    for line in lines:
        check(f"doctor.{line['type']}", line)
    codes = {line["check"]: line["code"] for line in lines if line["type"] == "finding"}
    assert codes["cuda"] == "doctor.cuda.mismatch" and codes["weights"] == "doctor.weights.missing"
    assert codes["packages"] == "doctor.packages.missing" and codes["slurm"] is None and codes["torch"] is None


@pytest.mark.parametrize(("root", "code"), [
    ("/", "system"), ("/home", "system"), ("/usr/local/x", "system"), ("home", "system"), ("full", "system"),
    ("file", "file"), ("file/x", "file"), ("closed/x", "closed"), ("new", "readonly"), ("empty", "readonly"),
    ("link", "system"), ("ours", "other"),
])
def test_a_folder_that_is_not_ours_is_never_given_away(root: str, code: str, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("home/.ai_nano", "full/photographs", "closed", "empty", "ours/.ai_nano"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("/etc")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(doctor.os, "access", lambda place, mode: mode == os.X_OK and not place.endswith("closed"))
    heard = Heard()
    doctor.check_root(tmp_path / root)(heard)
    assert heard.said["root"][:2] == ("failure", f"doctor.root.{code}")


@pytest.mark.root
def test_below_a_folder_that_is_really_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        heard = Heard()
        with contextlib.suppress(Exception):
            doctor.check_root(tmp_path / "x")(heard)
            doctor_slurm.check({"scheduler": "direct", "queue": str(tmp_path / "x")})(heard)
        os._exit({name: code for name, (_, code, _) in heard.said.items()} != {
            "root": "doctor.root.closed", "queue": "doctor.queue.elsewhere", "slurm": None})
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(("queue", "code"), [
    ("/usr/local", "elsewhere"), ("full", "elsewhere"), ("file", "elsewhere"), ("closed/q", "elsewhere"), ("new", "unusable"),
    ("tickets", "unusable"),
])
def test_a_queue_that_the_login_cannot_use(queue: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("full/photographs", "closed", "tickets"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("file", "tickets/000001-a-run.json", "tickets/lock", "tickets/took-1000.json"):
        (tmp_path / name).write_text("")
    heard = Heard()
    look = doctor_slurm.check({"scheduler": "direct", "queue": str(tmp_path / queue)})
    with monkeypatch.context() as patched:
        patched.setattr(doctor.os, "access", lambda place, mode: mode == os.X_OK and not place.endswith("closed"))
        look(heard)
    assert heard.said["queue"][:2] == ("failure", f"doctor.queue.{code}") and heard.said["slurm"][0] == "ok"


def test_a_queue_that_is_good_or_none(tmp_path: Path) -> None:
    for asked, said in (({"queue": str(tmp_path)}, ("ok", None, str(tmp_path))), ({"queue": None}, None)):
        heard = Heard()
        doctor_slurm.check({"scheduler": "direct", **asked})(heard)
        assert heard.said.get("queue") == said


@pytest.mark.parametrize("text", RELEASES)
def test_releases_of_jetson_linux(text: str) -> None:
    release = doctor_board.parse_release(text)
    assert release is not None and (release.numbers, release.jetpack) == RELEASES[text]


@pytest.mark.parametrize("output", PACKAGES)
def test_tensorrt_and_the_opset_that_it_takes(output: str) -> None:
    version, opset = PACKAGES[output]
    assert doctor_board.tensorrt(doctor_board.parse_packages(output)) == version
    assert version is None or doctor_board.opset(version) == opset


def test_power_modes(tmp_path: Path) -> None:
    assert doctor_board.parse_mode("NV Power Mode: MODE_15W_6CORE\n2\n") == ("MODE_15W_6CORE", 2)
    assert doctor_board.parse_mode("NV Power Mode: MAXN\n0\n") == ("MAXN", 0)
    assert [doctor_board.watts(name) for name in ("5W", "MODE_15W_6CORE", "MAXN", "MAXN_SUPER")] == [5, 15, None, None]
    heard = Heard()
    doctor_board.check_power(heard, nano(tmp_path))
    assert heard.said["power"] == ("warning", "doctor.power.weak", "5W")
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0000", "etc/nvpmodel.conf": NVPMODEL})
    heard = Heard()
    doctor_board.check_power(heard, tmp_path)
    assert heard.said["power"] == ("ok", None, "MAXN")


def test_a_board_that_is_hot_or_has_no_swap(tmp_path: Path) -> None:
    root = nano(tmp_path, **{"cpu-balanced": "2"})
    write(root, {"proc/meminfo": "MemTotal: 4051048 kB\nMemAvailable: 304080 kB\nSwapTotal: 0 kB\n"})
    heard = Heard()
    doctor_board.check_temperature(heard, root)
    doctor_board.check_memory(heard, root)
    assert {name: code for name, (_, code, _) in heard.said.items()} == {
        "temperature": "doctor.temperature.throttled", "memory": "doctor.memory.little", "swap": "doctor.swap.none"}


@pytest.mark.parametrize(("python", "code"), [((3, 6), "onnxruntime"), ((3, 8), "onnxruntime_pip"), ((3, 12), "onnxruntime")])
def test_who_installs_onnx_runtime_on_a_nano(python: tuple[int, int], code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_devices, "has_module", lambda name: name != "onnxruntime")
    monkeypatch.setattr(doctor_devices.sys, "version_info", (*python, 9))
    heard = Heard()
    doctor_devices.check_inference({"engine": "onnxruntime"})(heard)
    assert heard.said["inference"][1] == f"doctor.inference.{code}"


def test_a_udev_rule_is_found(tmp_path: Path) -> None:
    assert not doctor_devices.has_rule(tmp_path)
    write(tmp_path, {"lib/udev/rules.d/99-gpio.rules": 'SUBSYSTEM=="gpio", GROUP="gpio"\n'})
    assert doctor_devices.has_rule(tmp_path)


def test_gpus_and_who_uses_them() -> None:
    assert server.parse_gpus("NVIDIA RTX A5000, 535.183.01, 24564, 24215\nNVIDIA H200, 570.124.06, [N/A], [N/A]\n") == [
        {"name": "NVIDIA RTX A5000", "driver": "535.183.01", "total": "24564", "free": "24215"},
        {"name": "NVIDIA H200", "driver": "570.124.06", "total": "[N/A]", "free": "[N/A]"}]
    assert server.parse_gpus("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n") == []
    assert server.parse_users("4711, /home/bob/venv/bin/python, 10240\n[Not Found], x, 1\n") == ["python (4711, 10240 MiB)"]


def test_a_gpu_without_a_driver(tmp_path: Path) -> None:
    write(tmp_path, {"0000:01:00.0/vendor": "0x10de\n", "0000:01:00.0/class": "0x030000\n", "0000:01:00.1/vendor": "0x10de\n"})
    assert server.has_gpu(tmp_path) and not server.has_gpu(tmp_path / "0000:01:00.1")


def test_slurm_s_words() -> None:
    nodes = doctor_slurm.parse_nodes("gpu01|gpu*|idle|gpu:a100:4(S:0-1)|none\ncpu1|long|down*|(null)|Not responding\n")
    assert [(node.partition, node.state) for node in nodes] == [("gpu", "idle"), ("long", "down*")]
    assert doctor_slurm.kinds("gpu:a100:4(S:0-1),shard:8") == ["gpu", "gpu:a100", "shard"]
    assert doctor_slurm.kinds("(null)") == []
    pinged = "Slurmctld(primary) at head is UP\nSlurmctld(backup) at b is DOWN\n"
    assert doctor_slurm.parse_ping(pinged) == {"head": True, "b": False}


@pytest.mark.parametrize(("options", "code"), [
    ({}, "doctor.slurm.nodes"), ({"partition": "gpu", "gres": "gpu:1"}, None),
    ({"partition": "gpu", "gres": "gpu:a100:2"}, None),
    ({"partition": "gpus"}, "doctor.slurm.partition"), ({"partition": "gpu", "gres": "gpu:v100:1"}, "doctor.slurm.gres"),
    ({"partition": "long"}, "doctor.slurm.no_node"),
])
def test_slurm_as_the_config_asks_for_it(options: dict[str, str], code: str | None) -> None:
    nodes = doctor_slurm.parse_nodes("gpu01|gpu*|idle|gpu:a100:4(S:0-1)|none\ncpu1|long|down*|(null)|Not responding\n")
    heard = Heard()
    doctor_slurm._judge(heard, nodes, options)
    assert heard.said["slurm"][1] == code


@pytest.mark.parametrize(("text", "cuda"), [
    ("__version__ = '2.13.0'\ncuda: Optional[str] = '12.1'\n", "12.1"), ("cuda = None\nhip = None\n", None), ("nothing", ""),
])
def test_what_torch_was_built_for(text: str, cuda: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"torch-2.13.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n",
                     "torch/version.py": text})
    monkeypatch.syspath_prepend(str(tmp_path))
    assert installed.torch() == ("2.13.0", cuda)
    assert installed.older("1.13.1", "2.1") and not installed.older("2.1.0a0+cu121", "2.1")


def test_a_check_that_breaks_or_hangs_is_unknown_and_holds_up_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    import threading

    go_on = threading.Event()

    def breaks(_findings: Findings) -> None:
        raise ValueError("x")

    def hangs(findings: Findings) -> None:
        go_on.wait(DEADLINE_S)
        findings.ok("hangs")

    carry_out(Findings(), {"breaks": breaks, "hangs": hangs, "good": lambda findings: findings.ok("good")}, 0.5)
    go_on.set()
    lines = {line["check"]: line["code"] for line in map(json.loads, capfd.readouterr().out.splitlines())}
    assert lines == {"breaks": "doctor.crashed", "hangs": "doctor.slow", "good": None}


def test_a_command_that_hangs_is_ended() -> None:
    began = time.monotonic()
    assert said_of.ask(["sleep", "100"], timeout_s=0.2).code == 124 and said_of.ask(["no-such-command"]).code == 127
    assert time.monotonic() - began < 50


@pytest.mark.parametrize(("text", "code"), [
    ("print('noise'); print('8.2.1')", None), ("import nowhere_at_all", "doctor.deep_x"),
    ("import os; os.abort()", "doctor.deep_x"), ("import time; time.sleep(100)", "doctor.deep.slow"),
])
def test_deep_checks_survive_what_they_try(text: str, code: str | None) -> None:
    heard = Heard()
    deep_check("deep_x", text, limit_s=1.0 if "sleep" in text else DEADLINE_S)(heard)
    state, said, figure = heard.said["deep_x"]
    assert said == code and (code is not None or (state, figure) == ("ok", "8.2.1"))


def test_deep_on_a_nano_that_is_used_is_not_done(nano_python: str, tmp_path: Path) -> None:
    """Whoever has the turn holds a lock on its ticket."""
    import fcntl

    folder = tmp_path / "r" / ".ai_nano" / "turns"
    folder.mkdir(parents=True)
    ticket = {"v": 1, "number": 1, "run": "a-run", "program": "jetson_nano/classify.py", "student": "ada@lab1",
              "laptop": "lab1", "asked": 1.0, "since": 1.0, "turn_s": 300}
    with open(folder / "000001-a-run.json", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write(json.dumps(ticket))
        stream.flush()
        lines = run(nano_python, "jetson_nano", tmp_path / "r", {"deep": True})
        assert [(line["code"], line["params"]) for line in lines if line["type"] == "finding"] == [
            ("doctor.deep.in_use", {"who": ["ada@lab1"]})]
    lines = run(nano_python, "jetson_nano", tmp_path / "r", {"deep": True, "engine": "onnxruntime", "leds": "none",
                                                             "camera": "/dev/video77"})
    found = {line["check"]: line["code"] for line in lines if line["type"] == "finding"}
    assert found == {"deep_onnxruntime": None, "deep_camera": "doctor.deep_camera"}


def test_a_deep_look_takes_a_turn_that_ends_with_it(nano_python: str, tmp_path: Path) -> None:
    """Who comes meanwhile waits; who was quicker goes on."""
    code = ("import sys; from pathlib import Path; from jetson_nano import doctor_deep as deep; root = Path(sys.argv[1]); "
            "print(deep.users(root), deep.take_turn(root, {'student': 'ada@lab1'}), deep.users(root), flush=True); "
            "sys.stdin.read()")
    words = [nano_python, "-B", "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={"PYTHONPATH": str(REMOTE), "LC_ALL": "C.UTF-8"}) as first:
        assert first.stdin is not None and first.stdout is not None
        assert first.stdout.readline() == "[] True ['ada@lab1']\n"
        second = subprocess.run(words, input="", stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=True,
                                env={"PYTHONPATH": str(REMOTE), "LC_ALL": "C.UTF-8"})
        assert second.stdout == "['ada@lab1'] False ['ada@lab1']\n"
        first.stdin.close()
    third = subprocess.run(words, input="", stdout=subprocess.PIPE, text=True, timeout=DEADLINE_S, check=True,
                           env={"PYTHONPATH": str(REMOTE), "LC_ALL": "C.UTF-8"})
    assert third.stdout.startswith("[] True")
