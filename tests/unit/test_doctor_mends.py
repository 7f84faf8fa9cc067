"""The doctor on the laptop: every finding has words and a mend, no machine can put a command of its own into one, and what this
computer itself lacks is found."""

import ast
import dataclasses
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_nano.core import answers, texts
from ai_nano.core.cancel import CancelToken
from ai_nano.core.doctor import findings, laptop, mends, room
from ai_nano.core.doctor.findings import FAILURE, LAPTOP, OK, STATES, WARNING, Finding, Mend
from ai_nano.core.errors import BadInput, Cancelled, MachineError
from ai_nano.core.room import config as configuration
from ai_nano.core.room.config import Config
from ai_nano.machines import examination

REPOSITORY = Path(__file__).parents[2]
QUICK = settings(max_examples=60, deadline=None)
# Of everything that a template may name.
PARAMS: dict[str, object] = {
    "path": "/home/nano/ai nano", "login": "nano", "owner": "root", "python": "/usr/bin/python3", "packages": ["onnx>=1.16"],
    "lines": "onnx>=1.16 numpy>=1.24", "pids": "4711,4712", "nodes": ["gpu01"], "list": "gpu01", "likely": "gpu",
    "image": "x:r32",
    "group": "video", "package": "Jetson.GPIO==2.0.17", "rule": "/opt/99-gpio.rules", "number": 0, "pid": "4711",
    "file": "/home/ada/.ssh/id", "fingerprint": "SHA256:abc", "camera": "/dev/video0", "free": "1 GB",
}
# One command for one case, another for another.
ONE_OF_TWO = {"doctor.inference.onnxruntime", "doctor.weights.missing"}
OF_A_PYTHON_THAT_IS_NAMED = {"doctor.python.config", "doctor.python.old", "doctor.python.config_nonsense"}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({
        "DL_server": {"name": "DL", "ip": "dl.lab", "port": 2222, "login": "nano", "slurm": {"partition": "gpus"}},
        "jetson_nano": [{"name": "nano1", "ip": "192.168.1.21", "login": "nano"},
                        {"name": "nano2", "ip": "192.168.1.22", "login": "o'neil", "via": "DL", "camera": "/dev/video3"}]}))
    file.chmod(0o600)
    return configuration.load(file)


def mended(config: Config, code: str, machine: str = "DL", **params: object) -> list[Mend]:
    owner = next((one for one in config.machines if one.name == machine), None)
    return mends.mends(Finding(machine, "x", FAILURE, code, "", {**PARAMS, **params}), config, owner, Path("/home/ada/conf"))


def codes_of_findings() -> set[str]:
    """Every literal code in a place where a finding is made."""
    found = set()
    files = [*(REPOSITORY / "remote").rglob("*.py"), *(REPOSITORY / "ai_nano" / "core" / "doctor").glob("*.py"),
             REPOSITORY / "ai_nano" / "machines" / "examination.py"]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            said = node.value if isinstance(node, ast.Constant) else None
            if isinstance(said, str) and re.fullmatch(r"doctor\.[a-z_.]*[a-z]", said):
                found.add(said)
        if path.name.startswith("doctor_deep"):
            found |= {f"doctor.{name}" for name in re.findall(r'"(deep_[a-z]+)"', path.read_text(encoding="utf-8"))}
    return {code for code in found if not code.startswith(("doctor.check.", "doctor.count.", "doctor.on_", "doctor.with_"))
            } - {"doctor.unknown", "doctor.all_fine", "doctor.found", "doctor.no_machine", "doctor.config"}


def test_every_finding_has_words_and_a_mend() -> None:
    codes = codes_of_findings()
    assert len(codes) > 70, "the search above has gone blind"
    assert {code for code in codes if not (texts.known(code) or texts.known(f"{code}.what"))} == set()
    assert {code for code in codes if not mends.known(code)} == set()


def test_every_mend_is_of_something_that_has_words() -> None:
    assert {code for code in mends.TABLE if not (texts.known(code) or texts.known(f"{code}.what"))} == set()


def test_every_check_has_a_title() -> None:
    names = set(re.findall(r'findings\.(?:ok|warn|bad|unsure)\("([a-z_]+)"', "".join(
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "remote").rglob("*.py"))))
    assert len(names) > 15 and {name for name in names if not texts.known(f"doctor.check.{name}")} == set()


@pytest.mark.parametrize("code", sorted(mends.TABLE))
def test_every_mend_is_a_command_that_a_shell_takes(code: str, config: Config) -> None:
    if code in OF_A_PYTHON_THAT_IS_NAMED:
        config = dataclasses.replace(config, server=dataclasses.replace(config.server, python="/no/python"))
    found = mended(config, code, "nano2" if "camera" in code or "image" in code else "DL")
    assert len(found) == len(mends.TABLE[code]) - (code in ONE_OF_TWO)
    for mend in found:
        assert "{" not in re.sub(r"'[^']*'|\$\{?\w+", "", mend.command) or "print" in mend.command, mend.command
        subprocess.run(["sh", "-n", "-c", mend.command], check=True)
        assert mend.sudo == bool(re.search(r"\bsudo\b", mend.command)) and mend.on in ("DL", "nano2", LAPTOP)


@QUICK
@given(params=st.dictionaries(st.sampled_from(sorted(PARAMS)), st.text(max_size=40) | st.integers() | st.none(), max_size=8),
       code=st.sampled_from(sorted(mends.TABLE)))
def test_no_word_of_a_machine_becomes_a_command(params: dict[str, object], code: str) -> None:
    """What it says stays one word, or there is no command at all."""
    evil = dict.fromkeys(PARAMS, "x; touch /tmp/evil $(id) `id`") | params
    finding = Finding("DL", "x", FAILURE, code, "", evil)
    server = configuration.ServerConfig("DL", "dl.lab", "nano")
    for mend in mends.mends(finding, None, server, Path("/home/ada/conf")):
        assert "evil" not in mend.command and "\n" not in mend.command


@pytest.mark.parametrize("value", ["-rf /", "--index-url http://evil numpy", "a'b", "a\nb", "$(id)", "", "x" * 400])
def test_what_is_no_name_gives_no_command(value: str, config: Config) -> None:
    assert mended(config, "doctor.packages.missing", lines=value) == []


@pytest.mark.parametrize("code", ["doctor.qt.libraries", "doctor.webcam.busy", "machine.key_missing", "doctor.config.open",
                                  "doctor.laptop.packages", "doctor.host_key.config", "doctor.auth.password",
                                  "doctor.python.config"])
def test_a_machine_is_not_believed_what_only_this_computer_says(code: str) -> None:
    line = {"v": 1, "type": "finding", "check": "x", "state": "failure", "code": code, "figure": "",
            "params": {"lines": "evil"}}
    with pytest.raises(answers.Nonsense):
        findings.read(line, "DL")


@QUICK
@given(st.fixed_dictionaries({}, optional={
    "check": st.text(max_size=60) | st.integers() | st.just("swap"), "state": st.sampled_from(STATES) | st.text(max_size=5),
    "code": st.none() | st.text(max_size=100) | st.just("doctor.swap.none"), "figure": st.text(max_size=500) | st.none(),
    "params": st.none() | st.dictionaries(st.text(max_size=8), st.text(max_size=500) | st.lists(st.integers(), max_size=3))}))
def test_whatever_a_machine_says_is_a_finding_or_nonsense(line: dict[str, Any]) -> None:
    try:
        finding = findings.read(line, "DL")
    except answers.Nonsense:
        return
    assert finding.state in STATES and len(finding.text) < 20_000 and finding.title
    json.dumps(finding.to_json(), allow_nan=False)
    assert not re.search("[\x00-\x1f\x7f]", finding.text + finding.figure)


def test_a_command_that_edits_the_config_edits_that_one_value(config: Config) -> None:
    assert config.path is not None
    before = json.loads(config.path.read_text())
    for code, machine, change in (("doctor.slurm.partition", "DL", {"likely": "gpu"}), ("doctor.camera.other", "nano2", {
            "likely": "/dev/video1"}), ("doctor.inference.image", "nano1", {})):
        subprocess.run(["sh", "-c", mended(config, code, machine, **change)[0].command], check=True)
    before["DL_server"]["slurm"]["partition"] = "gpu"
    before["jetson_nano"][1]["camera"] = "/dev/video1"
    before["jetson_nano"][0]["container"] = "auto"
    assert json.loads(config.path.read_text()) == before and config.path.stat().st_mode & 0o777 == 0o600


def test_a_command_that_takes_a_key_out_takes_that_one_alone(config: Config) -> None:
    assert config.path is not None
    before = json.loads(config.path.read_text())
    named = dataclasses.replace(config, server=dataclasses.replace(config.server, python="/bin/cat"))
    for code, key in (("auth.password", "pwd"), ("python.config", "python"), ("python.config_nonsense", "python"),
                      ("weights.missing", "weights")):
        config.path.write_text(json.dumps({**before, "DL_server": {**before["DL_server"], key: "wrong"}}))
        subprocess.run(["sh", "-c", mended(named, f"doctor.{code}", path="/no/w")[-1].command], check=True)
        assert json.loads(config.path.read_text()) == before


def test_no_folder_of_the_system_is_given_away(config: Config) -> None:
    assert config.path is not None
    for code in ("system", "file", "closed"):
        found = mended(config, f"doctor.root.{code}", path="/home")
        assert [mend.on for mend in found] == [LAPTOP] and "chown" not in found[0].command
        subprocess.run(["sh", "-c", found[0].command], check=True)
    assert configuration.load(config.path).server.root == "ai_nano-2", "the default was none"
    assert " -R " not in mended(config, "doctor.root.readonly")[0].command


def test_the_environment_of_a_nano_is_for_provision_to_make(config: Config) -> None:
    """Newer systems let no pip into their own Python; the environment is not used while config.json names another Python."""
    def commands(machine: configuration.NanoConfig) -> list[str]:
        finding = Finding("nano1", "x", FAILURE, "doctor.inference.onnxruntime", "", PARAMS)
        room = dataclasses.replace(config, nanos=(machine,))
        return [mend.command for mend in mends.mends(finding, room, machine, Path("/c"))]

    assert commands(config.nanos[0]) == ["ai-nano provision --machine nano1"]
    first, second = commands(dataclasses.replace(config.nanos[0], python="/usr/bin/python3"))
    assert '.pop("python", None)' in first and second == "ai-nano provision --machine nano1"


def test_pip_goes_into_a_virtual_environment_of_the_root(config: Config) -> None:
    command = mended(config, "doctor.torch.missing", venv=False)[0].command
    assert command == ("python3 -m venv --system-site-packages ai_nano/venv && "
                       "ai_nano/venv/bin/python -m pip install torch==2.13.0")
    assert mended(config, "doctor.torch.missing", venv=True)[0].command.startswith("/usr/bin/python3 -m pip install torch==")


@pytest.mark.parametrize(("path", "word"), [("~/w.pth", "~/w.pth"), ("~/my nets/w.pth", "~/'my nets/w.pth'"),
                                            ("/w/~/a.pth", "'/w/~/a.pth'"), ("a b.pth", "'a b.pth'")])
def test_a_path_in_the_home_is_one(path: str, word: str, config: Config) -> None:
    assert mended(config, "doctor.weights.unreadable", path=path)[0].command == f"sudo chmod a+r -- {word}"


def test_only_what_is_published_is_downloaded(config: Config) -> None:
    (mend,) = mended(config, "doctor.weights.missing", path="~/nets/resnet18-f37072fd.pth")
    assert mend.command.endswith("-o ~/nets/resnet18-f37072fd.pth https://download.pytorch.org/models/resnet18-f37072fd.pth")
    (mend,) = mended(config, "doctor.weights.missing", path="/no/w")
    assert mend.on == LAPTOP and 'd["DL_server"].pop("weights", None)' in mend.command


def test_ssh_goes_by_the_jump_host_and_is_quoted(config: Config) -> None:
    command = mended(config, "doctor.clock.skew", "nano2")[0].command
    assert shlex.split(command)[:7] == ["ssh", "-t", "-p", "22", "-J", "nano@dl.lab:2222", "o'neil@192.168.1.22"]


def test_in_the_worst_order_and_in_words() -> None:
    found = [Finding("DL", "a", OK), Finding("DL", "b", WARNING, "doctor.swap.none", params={"total": 1}),
             Finding("DL", "c", FAILURE, "doctor.of.tomorrow")]
    assert [one.check for one in findings.worst_first(found)] == ["c", "b", "a"] and findings.state_of(found) == FAILURE
    assert findings.summary(found) == "1 not working, 1 to look at, of 3 checks"
    assert findings.summary(found[:1]) == "1 checks, all fine" and "doctor.of.tomorrow" in found[2].text


# ---- the whole room --------------------------------------------------------------------------------------------------


def test_an_examination_that_breaks_is_a_finding_and_the_others_go_on() -> None:
    def examine(name: str, tell: findings.Tell) -> None:
        tell(Finding(name, "reach", OK))
        if name == "b":
            raise MachineError("machine.lost", machine=name)

    done: list[str] = []
    found = room.examine_all(["a", "b"], examine, lambda finding: None, done.append, CancelToken())
    assert sorted(done) == ["a", "b"] and [one.code for one in found["b"]] == [None, "machine.lost"]
    assert room.counts(found) == {OK: 2, FAILURE: 1}


def test_it_can_be_cancelled_while_a_machine_hangs() -> None:
    import threading

    go_on, cancel = threading.Event(), CancelToken()
    threading.Timer(0.1, cancel.cancel).start()
    with pytest.raises(Cancelled):
        room.examine_all(["a"], lambda _name, _tell: go_on.wait(60) and None, lambda finding: None, lambda name: None, cancel)
    go_on.set()


def test_a_machine_that_is_not_there_is_named() -> None:
    assert room.chosen((), ["laptop", "DL"]) == ["laptop", "DL"] and room.chosen(["DL"], ["laptop", "DL"]) == ["DL"]
    with pytest.raises(BadInput) as caught:
        room.chosen(["nano9"], ["laptop", "DL"])
    assert "nano9" in caught.value.what


# ---- this computer ---------------------------------------------------------------------------------------------------


LDD = """\
\tlinux-vdso.so.1 (0x00007ffd3d9f1000)
\tlibxcb-icccm.so.4 => not found
\tlibxcb-xinerama.so.0 => not found
\tlibxcb-icccm.so.4 => not found
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0c5a2b6000)
"""


def test_libraries_that_the_window_lacks() -> None:
    missing = laptop.missing_libraries(LDD)
    assert missing == ["libxcb-icccm.so.4", "libxcb-xinerama.so.0"]
    assert [laptop.PACKAGES[name] for name in missing] == ["libxcb-icccm4", "libxcb-xinerama0"]


@pytest.mark.parametrize(("cameras", "holders", "code"), [
    ([], {}, "doctor.webcam.none"), ([("/dev/null", "HD Webcam")], {}, None),
    ([("/dev/null", "HD Webcam")], {"/dev/null": "zoom (4711)"}, "doctor.webcam.busy"),
])
def test_the_laptop_s_camera(cameras: list[tuple[str, str]], holders: dict[str, str], code: str | None, config: Config,
                             tmp_path: Path) -> None:
    found: list[Finding] = []
    laptop.examine(config, tmp_path, cameras, holders, found.append)
    camera = next(one for one in found if one.check == "webcam")
    assert camera.code == code
    if code == "doctor.webcam.busy":
        assert mends.mends(camera, None, None, tmp_path)[0].command == "kill 4711"
    assert {one.check for one in found} == {"python", "packages", "qt", "webcam", "disk", "config_folder", "config", "clock"}


def test_a_config_that_others_read_and_a_folder_that_is_none(config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found: list[Finding] = []
    laptop.examine(dataclasses.replace(config, open_to_others=True), tmp_path / "file" / "x", [], {}, found.append)
    codes = {one.check: one.code for one in found}
    assert codes["config"] == "doctor.config.open" and codes["config_folder"] == "doctor.config_folder"


# ---- without Python there --------------------------------------------------------------------------------------------


def test_df_of_linux_and_of_a_long_name() -> None:
    head = "Filesystem     1024-blocks     Used Available Capacity Mounted on"
    assert examination.parse_df([head, "/dev/mmcblk0p1    30492536 12345678  16574576      43% /"]) == (16574576, 30492536)
    assert examination.parse_df([head, "nothing"]) is None


@pytest.mark.parametrize(("skew", "figure", "state"), [(2, "+2 s", OK), (-7300, "-2 h", WARNING),
                                                       (-86400 * 400, "-400 d", WARNING)])
def test_clocks_of_machines(skew: float, figure: str, state: str) -> None:
    import time

    found = examination._clock("nano1", time.time() + skew + 0.2)
    assert (found.figure, found.state) == (figure, state)
