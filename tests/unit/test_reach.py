"""Is a machine there, and what a status bar says of it, without SSH: small servers on this computer."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ai_nano import lab
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import AiNanoError, Cancelled, HostKeyError, MachineError
from ai_nano.core.ports import MachineReport, MachineState
from ai_nano.core.room.config import Config, MachineConfig, NanoConfig, ServerConfig
from ai_nano.core.texts import known
from ai_nano.machines.reach import LookAround, reachable


class Greeter:
    """Accepts connections, says `words` to each, keeps what the visitor said, and hangs up when it has gone."""

    def __init__(self, words: bytes, hang_up: bool = False) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.visitors: list[bytes] = []
        self._words, self._hang_up = words, hang_up
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._server.accept()
            except OSError:
                return
            with visitor:
                visitor.sendall(self._words)
                said = b""
                while not self._hang_up and (block := visitor.recv(1024)):
                    said += block
                self.visitors.append(said)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def greeters() -> Iterator[list[Greeter]]:
    made: list[Greeter] = []
    yield made
    for greeter in made:
        greeter.close()


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def at(port: int, host: str = "127.0.0.1", name: str = "DL") -> MachineConfig:
    return MachineConfig(name, host, "nano", port=port)


def code(error: AiNanoError | None) -> str | None:
    return error.code if error else None


@pytest.mark.parametrize(("words", "hang_up", "expected"), [
    (b"SSH-2.0-OpenSSH_9.2\r\n", False, None),
    (b"Be nice.\r\nSSH-2.0-x\r\n", False, None),
    (b"", False, None),  # says nothing in time: slow, but there
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", True, "machine.not_ssh"),
    (b"Exceeded MaxStartups\r\n", True, "machine.not_ssh"),
    (b"", True, "machine.not_ssh"),
    (b"x" * 20_000, False, "machine.not_ssh"),
])
def test_what_answers(greeters: list[Greeter], words: bytes, hang_up: bool, expected: str | None) -> None:
    greeters.append(greeter := Greeter(words, hang_up))
    error = reachable(at(greeter.port), timeout_s=0.3)
    assert code(error) == expected
    assert error is None or "{" not in str(error)


def test_the_visitor_says_nothing_and_goes(greeters: list[Greeter]) -> None:
    greeters.append(greeter := Greeter(b"SSH-2.0-x\r\n"))
    began = time.monotonic()
    assert reachable(at(greeter.port)) is None
    assert time.monotonic() - began < 2, "the greeting is enough; nobody waits for the time-out"
    deadline = time.monotonic() + 5
    while not greeter.visitors and time.monotonic() < deadline:
        time.sleep(0.01)
    assert greeter.visitors == [b""]


def test_who_does_not_answer(closed_port: int) -> None:
    assert code(reachable(at(closed_port))) == "machine.refused"
    assert code(reachable(at(22, "no-such-host.invalid"))) == "machine.unknown_host"
    assert code(reachable(at(22, "192.168..10"))) == "machine.unknown_host"


# ---- looking around --------------------------------------------------------------------------------------------------


class Nobody:
    def trust_host_key(self, machine: str, kind: str, fingerprint: str) -> bool:
        raise AssertionError("looking around asks nobody")

    def password(self, machine: str, login: str, can_keep: bool) -> None:
        raise AssertionError("looking around asks nobody")


def test_a_room_before_and_after_a_look(greeters: list[Greeter], closed_port: int, tmp_path: Path) -> None:
    greeters.append(greeter := Greeter(b"SSH-2.0-x\r\n"))
    room = lab.build_lab(Config(
        ServerConfig("DL", "127.0.0.1", "x", port=closed_port),
        (NanoConfig("nano1", "127.0.0.1", "x", port=greeter.port), NanoConfig("nano2", "", ""),
         NanoConfig("nano3", "10.255.0.1", "x", via=f"127.0.0.1:{greeter.port}"))), Nobody(), tmp_path)
    assert [(one.name, one.state) for one in room.machine_reports()] == [
        ("DL", MachineState.UNKNOWN), ("nano1", MachineState.UNKNOWN), ("nano3", MachineState.UNKNOWN)]
    room.look_around()
    reports = room.machine_reports()
    assert [one.state for one in reports] == [MachineState.ABSENT, MachineState.REACHABLE, MachineState.UNKNOWN]
    assert [code(one.error) for one in reports] == ["machine.refused", None, None]
    assert [one.text for one in reports] == ["not there", "there", "not checked"]
    greeters.pop().close()
    room.look_around()
    reports = room.machine_reports()
    assert [one.state for one in reports] == [MachineState.ABSENT] * 3
    assert code(reports[2].error) == "machine.via_absent" and f"[127.0.0.1]:{greeter.port}" in str(reports[2].error)
    room.close()


def test_a_jump_host_is_asked_once_for_all_behind_it(greeters: list[Greeter]) -> None:
    greeters.append(greeter := Greeter(b"SSH-2.0-x\r\n"))
    gate = at(greeter.port, name="gate")
    inner = MachineConfig("inner", "10.255.0.1", "nano", via="gate")
    jumps = {"inner": gate, "nano1": inner, "nano2": inner, "nano3": gate}
    around = LookAround(lambda machine: jumps.get(machine.name))
    behind = [MachineConfig(name, "10.255.0.2", "nano", via="x") for name in ("nano1", "nano2", "nano3")]
    around.look([gate, inner, *behind], CancelToken())
    assert around.report("gate", None, 0.0).state is MachineState.REACHABLE
    for machine in (inner, *behind):
        assert around.report(machine.name, None, 0.0) == MachineReport(machine.name, MachineState.UNKNOWN)
    wait_for_visitors(greeter, 1)
    around.look(behind, CancelToken(), connected=["gate"])
    around.look(behind, CancelToken())
    wait_for_visitors(greeter, 2)


def test_what_failed_at_the_jump_host_is_over_when_it_is_there_again(greeters: list[Greeter]) -> None:
    greeters.append(greeter := Greeter(b"SSH-2.0-x\r\n"))
    around = LookAround(lambda machine: at(greeter.port, name="gate") if machine.name == "DL" else None)
    around.look([at(1)], CancelToken())

    def after(state: MachineState, error: AiNanoError) -> MachineState:
        return around.report("DL", MachineReport("DL", state, error), 0.0).state

    assert after(MachineState.ABSENT, MachineError("machine.refused", machine="gate")) is MachineState.UNKNOWN
    assert after(MachineState.LOST, MachineError("machine.via_lost", machine="DL", via="gate")) is MachineState.UNKNOWN
    assert after(MachineState.ABSENT, MachineError("machine.via_unreachable", machine="DL")) is MachineState.ABSENT
    assert after(MachineState.REFUSED, MachineError("machine.auth", machine="DL")) is MachineState.REFUSED
    assert after(MachineState.LOST, LOST) is MachineState.LOST


def wait_for_visitors(greeter: Greeter, count: int) -> None:
    deadline = time.monotonic() + 5
    while len(greeter.visitors) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(greeter.visitors) == count


def test_machines_are_asked_side_by_side_and_cancelling_does_not_wait(
        greeters: list[Greeter], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each visitor is kept waiting until all have come."""
    everybody = threading.Barrier(5)
    hurry = threading.Event()

    def slow(machine: MachineConfig) -> None:
        everybody.wait(10)
        hurry.wait(10)

    monkeypatch.setattr("ai_nano.machines.reach.reachable", slow)
    cancel, ended = CancelToken(), []

    def look() -> None:
        try:
            LookAround().look([at(1, name=f"nano{number}") for number in range(4)], cancel)
        except Cancelled:
            ended.append("cancelled")

    thread = threading.Thread(target=look)
    thread.start()
    everybody.wait(10)
    cancel.cancel()
    thread.join(5)
    assert ended == ["cancelled"]
    hurry.set()


LOST, ABSENT = MachineError("machine.lost", machine="DL"), MachineError("machine.refused", machine="DL", host="h", port=1)
REFUSED = HostKeyError("machine.host_key_unknown", machine="DL", host="h", kind="k", fingerprint="f")


@pytest.mark.parametrize(("own", "error", "then"), [
    (MachineState.UNKNOWN, None, MachineState.REACHABLE),
    (MachineState.UNKNOWN, ABSENT, MachineState.ABSENT),
    (MachineState.ABSENT, None, MachineState.REACHABLE),
    (MachineState.LOST, None, MachineState.REACHABLE),
    (MachineState.LOST, ABSENT, MachineState.LOST),
    (MachineState.REFUSED, None, MachineState.REFUSED),
    (MachineState.REFUSED, ABSENT, MachineState.ABSENT),
    (MachineState.CONNECTED, ABSENT, MachineState.CONNECTED),
    (MachineState.CONNECTING, ABSENT, MachineState.CONNECTING),
])
def test_the_later_word_counts(monkeypatch: pytest.MonkeyPatch, own: MachineState, error: AiNanoError | None,
                               then: MachineState) -> None:
    monkeypatch.setattr("ai_nano.machines.reach.reachable", lambda machine: error)
    around, before = LookAround(), time.monotonic()
    around.look([at(1)], CancelToken())
    assert around.report("DL", MachineReport("DL", own), before).state is then
    if own is not MachineState.UNKNOWN:
        assert around.report("DL", MachineReport("DL", own), time.monotonic()).state is own


def test_every_state_has_words() -> None:
    for state in MachineState:
        assert known(f"machine.state.{state.value}") and len(MachineReport("x", state).text.split()) <= 2


def test_reports_and_looks_import_no_paramiko(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from ai_nano.core.room.config import Config, ServerConfig
from ai_nano.lab import build_lab
lab = build_lab(Config(ServerConfig("DL", "127.0.0.1", "x", port=1), ()), None, Path("."))
lab.look_around()
print(lab.machine_reports()[0].state.value, "paramiko" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, text=True, capture_output=True, timeout=60, check=True)
    assert done.stdout == "absent False\n"
