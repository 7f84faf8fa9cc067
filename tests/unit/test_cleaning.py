"""What a cleaning covers, what its question says, and the receipt."""

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeJob, FakeLab

from ai_nano.cli.clean import clean as command
from ai_nano.cli.console import JsonConsole
from ai_nano.cli.parser import get_parser
from ai_nano.core import texts
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import BadInput, MachineError, WorkFailed
from ai_nano.core.room import cleaning, inventory
from ai_nano.core.room.cleaning import Scope
from ai_nano.core.room.config import nowhere
from ai_nano.core.room.ended import By
from ai_nano.core.room.inventory import Thing, User
from ai_nano.steps import clean as step

OWN, OTHER = "a" * 16, "b" * 16
ME = Scope("ada", "lab3", frozenset({OWN}))


def thing(kind: str = "model", name: str = "m-001", student: str | None = "ada", workspace: str | None = OWN,
          laptop: str | None = "lab3", age_s: float = 86400.0, used: bool = False) -> Thing:
    users = (User("run-1", student, "gpu_server/train.py"),) if used else ()
    return Thing("DL", kind, name, student, "animals", workspace, laptop, 603, 54_100_000, age_s, users)


@pytest.mark.parametrize(("scope", "covered", "left_out"), [
    (ME, [thing(), thing("run"), thing("run", workspace=None), thing(student="renamed"), thing("cache", student=None)],
     [thing(workspace=OTHER), thing(workspace=None), thing("run", workspace=None, laptop="lab4"),
      thing("run", student="bob", workspace=None), thing(student=None, workspace=None),
      thing("older", student=None, workspace=None)]),
    (Scope("bob", "x", student="Zoë"),
     [thing(student=unicodedata.normalize("NFD", "Zoë"), workspace=OTHER), thing(student=" Zoë ")],
     [thing(student="Zoe"), thing(student="zoë"), thing(student="Zoë2"), thing(student=None)]),
    (Scope("x", "x", room=True), [thing(), thing("older", student=None, workspace=None), thing(student=None)], []),
    (Scope("x", "x", room=True, older_than_s=100.0), [thing(age_s=101)], [thing(age_s=99)]),
    (Scope("x", "x", room=True, keep_models=True), [thing(), thing("images"), thing("run")],
     [thing("older"), thing("autostart")]),
])
def test_what_is_covered(scope: Scope, covered: list[Thing], left_out: list[Thing]) -> None:
    assert [one for one in covered if not scope.covers(one)] == []
    assert [one for one in left_out if scope.covers(one)] == []


def test_the_question_names_machines_students_and_what_stays() -> None:
    found = [thing(), thing("run", "r1"), thing(name="m-002", used=True), thing(name="x-001", workspace=OTHER),
             thing("older", "OlD7xq", None, None)]
    plans = [cleaning.plan("DL", found, ME), cleaning.Plan("nano1", error=MachineError("machine.silent", machine="nano1"))]
    assert cleaning.lines(plans) == [
        "DL: models: 1, runs: 1, files: 1206, 108.2 MB",
        "  ada: models: 1, runs: 1, files: 1206, 108.2 MB (projects: animals)",
        "  stays, since ada is using it: m-002",
        "  stays: models: 1, files: 603, 54.1 MB of ada from other projects (they too: --student ada)",
        "nano1: nobody knows. nano1 does not answer."]
    room = cleaning.lines([cleaning.plan("DL", found, Scope("x", "x", room=True))], ending=True)
    assert "  model of the older program ~/models/OlD7xq: models: 1, files: 603, 54.1 MB" in room
    assert "  will be ended, ada is using it: m-002" in room


def test_a_cache_alone_is_nothing() -> None:
    assert cleaning.plan("DL", [thing("cache", "slurm.json", None, None)], ME).things == ()


def raw(one: Thing) -> dict[str, Any]:
    owner = {"student": one.student, "project": one.project, "workspace": one.workspace, "laptop": one.laptop}
    return {"kind": one.kind, "name": one.name, "owner": owner, "files": one.files, "bytes": one.bytes, "age_s": one.age_s,
            "used_by": [{"run": user.run, "student": user.student, "program": user.program} for user in one.used_by]}


def test_an_inventory_that_makes_no_sense_is_refused() -> None:
    assert inventory.read({"things": [raw(thing())]}, "DL") == [thing()]
    assert inventory.read({"things": [{**raw(thing()), "kind": "of a newer version"}]}, "DL") == []
    for change in ({"name": "../x"}, {"name": ""}, {"files": -1}, {"bytes": "1"}, {"owner": {"student": 3}}, {"used_by": [3]}):
        with pytest.raises(MachineError) as refused:
            inventory.read({"things": [{**raw(thing()), **change}]}, "DL")
        assert refused.value.code == "machine.nonsense"


@pytest.fixture
def lab(tmp_path: Path) -> FakeLab:
    lab = FakeLab(tmp_path)
    lab.note_project(OWN, "animals")
    lab.server.things = [raw(thing(name="m-001")), raw(thing(name="m-002", used=True)),
                         raw(thing(name="x-001", workspace=OTHER))]
    lab.nano(None).things = [raw(thing(name="m-001"))]
    return lab


def receipt(lab: FakeLab, end: bool = False, student: str | None = None) -> cleaning.Receipt:
    scope = step.scope_of(lab, student)  # type: ignore[arg-type]
    plans = step.look(step.machines(lab), scope)  # type: ignore[arg-type]
    return step.clean(lab, plans, scope, end, lambda *told: None, CancelToken())  # type: ignore[arg-type]


def test_a_receipt_is_kept_in_words_and_as_json_for_its_owner_alone(lab: FakeLab, tmp_path: Path) -> None:
    made = receipt(lab)
    as_json, as_text = step.keep(made, tmp_path / "data")
    assert [file.stat().st_mode & 0o777 for file in (as_json, as_text)] == [0o600, 0o600]
    told = json.loads(as_json.read_text())
    assert told["by"] == "ada@lab" and told["scope"]["own_projects_only"]
    server, nano = told["machines"]
    assert (server["files"], server["bytes"], [one["name"] for one in server["removed"]]) == (1, 10, ["m-001"])
    assert [(one["name"], one["code"]) for one in server["left"]] == [("m-002", "clean.left.in_use")]
    assert (nano["clean"], nano["looked_again"], nano["found_afterwards"]) == (True, True, [])
    assert "still there: m-002: ada is using it (gpu_server/train.py)" in as_text.read_text()
    assert made.failed == [] and made.unreachable == []


def test_what_went_before_a_machine_was_lost_is_in_the_receipt(lab: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    remove = lab.server.remove

    def and_is_lost(*words: Any) -> Any:
        answer = remove(*words)
        lab.server.things = MachineError("machine.lost", machine="DL")
        return answer

    monkeypatch.setattr(lab.server, "remove", and_is_lost)
    text = receipt(lab).text
    assert "DL: 1 files removed" in text and "removed: m-001 (ada)" in text and "Broken off, not all is done" in text
    assert "Nobody could look afterwards" in text


def test_what_the_machine_does_not_let_go_is_named(lab: FakeLab) -> None:
    lab.server.stubborn = ("m-001",)
    [server] = receipt(lab).failed
    assert {left.thing.name: left.code for left in server.left} == {"m-001": "clean.left.refused", "m-002": "clean.left.in_use"}


@pytest.mark.parametrize(("answer", "code"), [
    ({"things": [{"kind": "model", "name": [], "files": 1, "bytes": 1}]}, "machine.nonsense"),
    ({"things": [{"kind": {}, "name": "m-001", "files": 1, "bytes": 1}]}, "machine.nonsense"), (None, "program.unexpected")])
def test_a_machine_whose_answer_makes_no_sense_leaves_the_others_their_receipt(
        lab: FakeLab, monkeypatch: pytest.MonkeyPatch, answer: Any, code: str) -> None:
    monkeypatch.setattr(lab.server, "remove", lambda *_words: answer)
    server, nano = receipt(lab).machines
    assert server.error is not None and server.error.code == code and nano.clean


@pytest.mark.parametrize(("problem", "left"), [
    (None, "clean.left.in_use"), (WorkFailed("run.missing", id="run-1", machine="DL"), "clean.left.in_use"),
    (WorkFailed("job.not_cancelled", machine="DL", run="run-1"), "clean.left.not_ended")])
def test_a_run_that_cannot_be_ended_keeps_nothing_else_from_going(
        lab: FakeLab, monkeypatch: pytest.MonkeyPatch, problem: WorkFailed | None, left: str) -> None:
    """Whoever ends another student's run is named to that student."""
    named: list[By | None] = []

    def cancel(job: FakeJob, by: By | None = None) -> bool:
        named.append(by)
        if problem is not None:
            raise problem
        return True

    monkeypatch.setattr(FakeJob, "cancel", cancel)
    lab.server.stubborn = ("m-002",)
    made = receipt(lab, end=True, student="ada")
    server = made.machines[0]
    assert server.error is None and [one.name for one in server.removed] == ["m-001", "x-001"]
    assert [(one.thing.name, one.code) for one in server.left] == [("m-002", left)]
    assert server.ended == (() if problem else ("run-1",)) and named == [By("ada@lab")]
    assert bool(made.failed) == (left == "clean.left.not_ended")


@pytest.mark.parametrize("language", texts.languages())
def test_every_line_of_a_receipt_is_in_both_languages(lab: FakeLab, language: str) -> None:
    texts.set_language(language)
    try:
        lab.nano(None).things = MachineError("machine.silent", machine="nano1")
        words = receipt(lab).text
    finally:
        texts.set_language(None)
    assert "clean." not in words and "m-002" in words


class Said:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def lines(self) -> Iterator[dict[str, Any]]:
        return (json.loads(line) for line in self._capsys.readouterr().out.splitlines())


def run(lab: FakeLab, *words: str) -> int:
    args = get_parser().parse_args(["clean", *words])
    for name in ("yes", "json", "quiet"):
        setattr(args, name, f"--{name}" in words)
    return command(args, lab, JsonConsole())  # type: ignore[arg-type]


def test_without_a_terminal_and_without_yes_nothing_goes(lab: FakeLab) -> None:
    with pytest.raises(BadInput) as refused:
        run(lab)
    assert refused.value.code == "cli.nobody_confirms"
    assert len(lab.server.things) == 3  # type: ignore[arg-type]


def test_on_the_terminal(lab: FakeLab, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lab, "--dry-run") == 0
    *_, result = Said(capsys).lines()
    assert result["dry_run"] and [one["name"] for one in result["machines"][0]["things"]] == ["m-001", "m-002"]
    assert len(lab.server.things) == 3  # type: ignore[arg-type]
    assert run(lab, "--yes") == 0
    *_, result = Said(capsys).lines()
    assert result["ok"] and result["receipt"]["machines"][1]["clean"] and Path(result["file"]).exists()


def test_a_receipt_that_cannot_be_kept_is_on_the_screen_all_the_same(
        lab: FakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.data_folder.write_text("no folder")
    said: list[str] = []
    monkeypatch.setattr(JsonConsole, "say", lambda _console, text: said.append(text))
    with pytest.raises(WorkFailed) as failed:
        run(lab, "--yes")
    assert failed.value.code == "clean.not_kept" and failed.value.exit_code == 1 and not failed.value.details
    assert "removed: m-001" in said[-1] and str(lab.data_folder) in failed.value.why
    with pytest.raises(WorkFailed) as unseen:
        run(lab, "--yes", "--json")
    assert any("m-002" in line for line in unseen.value.details)


def test_a_machine_that_is_away_and_one_that_refuses_end_differently(lab: FakeLab) -> None:
    lab.server.stubborn = ("m-001",)
    with pytest.raises(WorkFailed) as not_all:
        run(lab, "--yes")
    assert not_all.value.code == "clean.not_all" and not_all.value.exit_code == 1
    lab.nano(None).things = MachineError("machine.silent", machine="nano1")
    assert run(lab, "--dry-run") == 3
    with pytest.raises(MachineError) as away:
        run(lab, "--yes")
    assert away.value.code == "clean.partly" and away.value.params["machines"] == ["nano1"] and away.value.exit_code == 3
    lab.server.things = MachineError("machine.silent", machine="DL")
    with pytest.raises(MachineError) as nobody:
        run(lab, "--yes")
    assert nobody.value.code == "machine.silent"


def test_a_room_without_machines(lab: FakeLab) -> None:
    lab.config = nowhere()
    with pytest.raises(BadInput) as empty:
        step.machines(lab)  # type: ignore[arg-type]
    assert empty.value.code == "config.empty" and step.ask([]) == []


def test_a_machine_that_is_not_of_the_room(lab: FakeLab) -> None:
    for words, code in ((("--machine", "nano9"), "clean.no_machine"), (("--older-than", "-1"), "clean.older_than")):
        with pytest.raises(BadInput) as refused:
            run(lab, "--yes", *words)
        assert refused.value.code == code
