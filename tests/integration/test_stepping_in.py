"""An instructor steps in, over SSH: a Nano is taken over, a training is ended, and who worked there reads who did it."""

from __future__ import annotations

from pathlib import Path

import pytest
from far_jobs import wait_until
from ssh_machines import connect, probe
from ssh_servers import SshServer
from test_two_students import Student, first, students

from ai_nano.core import wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import EndedByOther
from ai_nano.core.overview import sight
from ai_nano.core.room.ended import By
from ai_nano.machines.ssh_machine import SshMachine


@pytest.mark.parametrize("ssh_server", ["embedded", "openssh-key"], indirect=True)
def test_a_nano_is_taken_over(ssh_server: SshServer, remote_folder: str, tmp_path: Path) -> None:
    bob, ada = students(ssh_server, remote_folder, tmp_path, turn=0)
    teacher = Student("teacher", ssh_server, f"{remote_folder}/ai nano", tmp_path, 0)
    with bob.doing("infer", "--model", "colours-001", code=130) as his:
        first(his, type="prediction")
        with ada.doing("infer", "--model", "colours-001", code=130) as hers:
            first(hers, type="turn", state="waiting")
            with teacher.doing("room") as asked:
                [nano] = first(asked, type="result")["nanos"]
            assert (nano["holder"]["student"], nano["holder"]["model"]) == ("bob", "colours-001")
            assert [(one["student"], one["position"]) for one in nano["queue"]] == [("ada", 1)]
            with teacher.doing("--yes", "room", "--take-over", "nano1", "--reason", "Look here: ñ") as taken:
                assert first(taken, type="result")["ended"] == [nano["holder"]["run"]]
            error = _error(his)
            assert error["code"] == "job.ended_by_instructor"
            assert error["what"].startswith("Your instructor (teacher) ended this at ")
            assert error["why"].startswith("“Look here: ñ”")
            assert first(hers, type="prediction")["class"] == "red", "who waited has the Nano now"
            with teacher.doing("jobs", "--cancel", nano["queue"][0]["run"], "--reason", "Enough") as ended:
                first(ended, type="result")
            error = _error(hers)
            assert error["code"] == "job.ended_by_other" and error["what"].startswith("teacher ended this at ")
            assert error["why"].startswith("“Enough”")
    with teacher.doing("room") as asked:
        told = first(asked, type="result")
    assert told["nanos"][0]["holder"] is None
    assert {(one["student"], one["ended_by"]["who"], one["ended_by"]["instructor"]) for one in told["failed"]} == {
        ("bob", "teacher", True), ("ada", "teacher", False)}


def _error(lines: object) -> dict[str, str]:
    """What the last line says."""
    *_, last = lines  # type: ignore[misc]
    assert last["type"] == "result" and last["ok"] is False
    return dict(last["error"])


@pytest.mark.parametrize("ssh_server", ["embedded", "openssh-key"], indirect=True)
def test_a_run_is_ended_and_its_student_reads_by_whom(machine: SshMachine, tmp_path: Path) -> None:
    machine.student = "bob@lab3"
    job = probe(machine, do="wait")
    other = connect(machine._config, tmp_path)
    try:
        wait_until(lambda: [work.run for work in sight.read("DL", other.room())] == [job.id], "the run")
        assert other.attach(job.id).cancel(By("eve'; touch x; '", True, "$(reboot) \"now\""))
        [told] = sight.read("DL", other.room())
        assert told.by is not None and told.by.who == "eve'; touch x; '" and told.by.instructor
    finally:
        other.close()
    with pytest.raises(EndedByOther) as caught:
        wire.follow(job, "train", "DL", lambda event: None, CancelToken())
    assert caught.value.params["who"] == "eve'; touch x; '" and "“$(reboot) \"now\"”" in caught.value.why
