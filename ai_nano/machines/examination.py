"""The doctor at one machine: reaching it, logging in, its clock, and what the program there finds.

Each stage that fails is a finding, and then no later one is tried. The program runs from memory: it works where nothing can be
written, and changes nothing. What it says is hostile input like all answers.
"""

import json
import re
import shlex
import socket
import time
from collections.abc import Iterator
from typing import Any

from ai_nano import resources
from ai_nano.core import answers, wire
from ai_nano.core.doctor.findings import FAILURE, OK, UNKNOWN, WARNING, Finding, Tell, of_error, read
from ai_nano.core.errors import AiNanoError, MachineError
from ai_nano.core.room.config import MachineConfig, NanoConfig, ServerConfig
from ai_nano.machines.channel import Channel
from ai_nano.machines.login import REFUSALS
from ai_nano.machines.ssh_machine import SshMachine

# From the first word to the last, where it is up to the machine; a deep look imports torch.
ANSWER_S = 15.0
DEEP_ANSWER_S = 150.0
SLOW_S = 0.25
# Before each command of each student; a whole class logs in at once. What is slow but once does not count.
SLOW_SHELL_S = 0.5
SHELL_LOOKS = 3
# What nobody notices. A Nano without a battery wakes up in another year.
SKEW_S = 60.0
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
MOST_FINDINGS = 100
LONGEST_LINE = 64 << 10
LITTLE_KIB = 2 << 20
TOO_LITTLE_KIB = 200 << 10
SHELL_S = 10.0
SHELL_SAYS = "ai_nano"
PYTHON_SAYS = "import sys; print('ai_nano-%d' % sys.version_info[0])"
# Which check an error of connecting belongs to; every other one is about reaching it.
STAGES = ("reach", "host_key", "authentication")
_STAGE = {**dict.fromkeys(("machine.host_key_unknown", "machine.host_key_changed"), "host_key"),
          **dict.fromkeys(REFUSALS, "authentication")}


def examine(machine: SshMachine, config: MachineConfig, tell: Tell, deep: bool = False) -> None:
    """All that is found, as soon as it is known. Raises nothing that the project expects."""
    trip = _connected(machine, config, tell)
    if trip is None:
        return
    try:
        _run(machine, config, tell, deep)
        _shell(machine, trip, tell)
    except AiNanoError as error:
        finding = _of_program(machine, config, error)
        tell(finding)
        if finding.check == "python":
            _plain(machine, tell)


def document(config: MachineConfig, deep: bool) -> dict[str, Any]:
    """What the machine is asked: what the config says of it."""
    asked: dict[str, Any] = {"deep": deep}
    if isinstance(config, ServerConfig):
        slurm = config.slurm
        asked |= {"scheduler": config.scheduler, "queue": config.queue, "weights": config.weights,
                  "requirements": requirements(), "slurm": {"partition": slurm.partition, "gres": slurm.gres}}
    if isinstance(config, NanoConfig):
        asked |= {"camera": config.camera, "engine": config.engine, "leds": config.leds, "container": config.container}
    return asked


def requirements() -> list[str]:
    text = (resources.remote_folder() / "gpu_server" / "requirements.txt").read_text(encoding="utf-8")
    return [line for line in (line.split("#")[0].strip() for line in text.splitlines()) if line]


# ---- reaching it -----------------------------------------------------------------------------------------------------


def _connected(machine: SshMachine, config: MachineConfig, tell: Tell) -> float | None:
    """The round trip in seconds; None where it is not reached."""
    figures = {"reach": f"{config.host}:{config.port}", "authentication": config.login}
    try:
        trip = machine.round_trip_s()
        figures["host_key"] = machine.fingerprint()
    except AiNanoError as error:
        failed = _STAGE.get(error.code, "reach")
        for stage in STAGES[:STAGES.index(failed)]:
            tell(Finding(config.name, stage, OK, None, figures.get(stage, "")))
        finding = of_error(config.name, failed, error)
        if error.code == "machine.host_key_changed" and config.host_key:
            finding = Finding(config.name, failed, FAILURE, "doctor.host_key.config", "", dict(error.params))
        if error.code == "machine.auth" and config.password and error.params.get("machine") == config.name:
            finding = Finding(config.name, failed, FAILURE, "doctor.auth.password", "", dict(error.params))
        tell(finding)
        return None
    for stage in STAGES:
        tell(Finding(config.name, stage, OK, None, figures[stage]))
    figure = f"{1000 * trip:.0f} ms"
    if trip > SLOW_S:
        told = {"milliseconds": round(1000 * trip)}
        tell(Finding(config.name, "round_trip", WARNING, "doctor.round_trip.slow", figure, told))
    else:
        tell(Finding(config.name, "round_trip", OK, None, figure))
    return trip


# ---- its program -----------------------------------------------------------------------------------------------------


def _run(machine: SshMachine, config: MachineConfig, tell: Tell, deep: bool) -> None:
    role = "gpu_server" if isinstance(config, ServerConfig) else "jetson_nano"
    who = {"student": machine.student, "laptop": socket.gethostname()} if deep else {}
    asked = json.dumps({**document(config, deep), **who}).encode("utf-8")
    channel = machine.exec_in_memory(f"{role}.doctor", asked)
    try:
        with answers.reading(config.name):
            for message in _lines(channel, config.name, DEEP_ANSWER_S if deep else ANSWER_S):
                kind = answers.text(message, "type")
                if kind == "clock":
                    tell(_clock(config.name, answers.number(message, "now")))
                elif kind == "finding":
                    tell(read(message, config.name))
                elif kind == "error":
                    raise answers.error(message, config.name)
                elif kind == "result":
                    return
        status, errors = channel.finish()
        raise machine._no_answer(status, errors)
    finally:
        channel.close()


def _shell(machine: SshMachine, trip: float, tell: Tell) -> None:
    """How long the login's shell takes to begin a command, without the two round trips of asking for it."""
    least = SHELL_S
    for _ in range(SHELL_LOOKS):
        began = time.monotonic()
        machine.ask_shell("true", SHELL_S)
        least = min(least, time.monotonic() - began)
        if not SLOW_SHELL_S < least < 4 * SLOW_SHELL_S:
            break
    took = max(0.0, least - 2 * trip)
    if took > SLOW_SHELL_S:
        figure = f"{took:.1f} s"
        tell(Finding(machine.name, "shell", WARNING, "doctor.shell.slow", figure, {"seconds": figure.partition(" ")[0]}))
    else:
        tell(Finding(machine.name, "shell", OK, None, f"{1000 * took:.0f} ms"))


def _lines(channel: Channel, name: str, seconds: float) -> Iterator[dict[str, Any]]:
    """The messages up to the end; what else is printed there (a library's banner) is passed over."""
    deadline = time.monotonic() + seconds
    for _ in range(10 * MOST_FINDINGS):
        line = channel.readline(max(0.001, deadline - time.monotonic()), LONGEST_LINE)
        if line is None:
            raise MachineError("doctor.unanswered", machine=name, seconds=round(seconds))
        if not line:
            return
        if line.startswith(b"{"):
            message = answers.decode(line)
            wire.check_version(message, name)
            yield message


def _clock(name: str, there: float) -> Finding:
    """What a line takes to come here is less than what matters."""
    skew = there - time.time()
    seconds, unit = next((size, unit) for size, unit in UNITS if abs(skew) >= 2 * size or unit == "s")
    figure = f"{round(skew / seconds):+d} {unit}"
    if abs(skew) > SKEW_S:
        return Finding(name, "clock", WARNING, "doctor.clock.skew", figure, {"skew": figure.lstrip("+-"), "machine": name})
    return Finding(name, "clock", OK, None, figure)


def _of_program(machine: SshMachine, config: MachineConfig, error: AiNanoError) -> Finding:
    if error.code == "machine.no_python":
        code = "doctor.python.config" if config.python else "doctor.python.missing"
        return Finding(config.name, "python", FAILURE, code, "", {"machine": config.name, "python": config.python or "python3"})
    if config.python and error.code in ("machine.no_answer", "machine.nonsense") and _is_no_python(machine, config.python):
        told = {"machine": config.name, "python": config.python}
        return Finding(config.name, "python", FAILURE, "doctor.python.config_nonsense", "", told)
    if error.code == "doctor.unanswered":
        return Finding(config.name, "program", UNKNOWN, error.code, "", dict(error.params))
    return of_error(config.name, "program", error)


def _is_no_python(machine: SshMachine, python: str) -> bool:
    """The shell there answers, and this does not."""
    try:
        line = f"echo {SHELL_SAYS}; exec {shlex.quote(python)} -c {shlex.quote(PYTHON_SAYS)}"
        said = machine.ask_shell(line, SHELL_S)
    except AiNanoError:
        return False
    return SHELL_SAYS in said and said[-1] != f"{SHELL_SAYS}-3"


# ---- without our program ---------------------------------------------------------------------------------------------


def _plain(machine: SshMachine, tell: Tell) -> None:
    """What commands of every Unix say: clock and disk."""
    try:
        said = machine.ask_shell("date +%s; df -Pk .", SHELL_S)
    except AiNanoError:
        return
    if said and said[0].isdigit() and len(said[0]) < 12:
        tell(_clock(machine.name, float(said[0])))
    space = parse_df(said[1:])
    if space is not None:
        free, total = space
        figure = f"{free / 1e6:.1f} GB / {total / 1e6:.1f} GB"
        code = "doctor.disk.full" if free < TOO_LITTLE_KIB else "doctor.disk.low" if free < LITTLE_KIB else None
        state = OK if code is None else FAILURE if code.endswith("full") else WARNING
        tell(Finding(machine.name, "disk", state, code, figure, {"path": ".", "free": figure.partition(" /")[0]}))


def parse_df(lines: list[str]) -> tuple[float, float] | None:
    """`df -Pk`: free and all, in units of 1024 bytes."""
    for line in lines:
        found = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%\s", line)
        if found is not None:
            return float(found.group(3)), float(found.group(1))
    return None
