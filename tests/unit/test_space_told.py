"""Too little room on a machine: how much is needed and free, who takes the most, and what frees it."""

from pathlib import Path
from typing import Any

import pytest
from fakes import FakeMachine

from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.core.texts import known
from ai_nano.steps import space


def thing(student: str | None, size: int, kind: str = "model") -> dict[str, Any]:
    owner = None if student is None else {"student": student, "project": "p", "workspace": "0" * 16, "laptop": "l"}
    return {"kind": kind, "name": "m", "owner": owner, "files": 1, "bytes": size, "age_s": 1.0, "used_by": []}


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    made = FakeMachine("DL", tmp_path)
    made.things = [thing(f"s{number}", number * 1_000_000) for number in range(8)]
    made.things += [thing("s2", 50_000_000), thing(None, 5_500_000), thing("x", 9 ** 9, "older")]
    return made


def refused(code: str = "transfer.no_space", **params: object) -> WorkFailed:
    told = {"needed": "180.0 MB", "free": "100.0 MB", "spare_bytes": 80_000_000, "by": "disk", **params}
    return WorkFailed(code, machine="DL", **told)


def test_who_takes_the_most_is_named(machine: FakeMachine) -> None:
    error = space.explained(refused(), machine)
    assert error.what == "There is not enough room on DL: 180.0 MB are needed, and 100.0 MB are free."
    assert "80.0 MB are an estimate of what the training writes" in error.why and "disk is nearly full" in error.why
    assert error.why.endswith("s2 52.0 MB; s7 7.0 MB; s6 6.0 MB; nobody's name on it 5.5 MB; s5 5.0 MB.")
    assert "ai-nano clean" in error.hint


def test_a_quota_and_files_are_said_as_such(machine: FakeMachine) -> None:
    error = space.explained(refused("transfer.no_files", needed=601, free=12, spare_bytes=0, by="quota"), machine)
    assert "601 are needed, and 12 may still be made" in error.what
    assert "quota" in error.why and "training" not in error.why


def test_a_machine_that_does_not_tell_leaves_the_error_as_it_is(machine: FakeMachine) -> None:
    machine.things = MachineError("machine.no_python", machine="DL")
    error = refused()
    assert space.explained(error, machine) is error
    other = WorkFailed("transfer.names", machine="DL", path="x")
    assert space.explained(other, machine) is other
    assert all(known(code + ".why") for code in (*space.CODES, *space.CODES.values()))
