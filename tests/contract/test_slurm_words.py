"""What Slurm's commands say, as its manual has it: read, counted and turned into a run's state. A real one is in
tests/integration/test_sharing.py; here is what takes it hours or a broken node."""

import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nano_programs  # noqa: F401
import pytest

from shared import cluster, runner, slurm, slurm_job
from shared.runs import RunFolder, Runs

QUEUE = """\
101|RUNNING|2026-11-22T10:00:00|gpu|4000|1000|n1|1-02:03:04|None|ai_nano:ada@lab1:mugs
103|PENDING|N/A|gpu|3000|1000||0:00|Priority|ai_nano:bob@lab3:cups
102|PENDING|2026-11-22T12:00:00|gpu|5000|2000||0:00|(ReqNodeNotAvail, UnavailableNodes:n[1-2])|some|body's
104|PENDING|N/A|other|9000|1000||0:00|None|ai_nano
105_[1-9]|PENDING|N/A|gpu|3000|2000||0:00|Resources|array
nonsense
106|RUNNING|N/A|gpu|not a number|1000|n1|0:01|None|x
"""
SCHEDULE = {"scheduler": "slurm", "gpus": None, "queue": None, "slurm": {}, "project": "été's; rm -rf /"}
SPEC = {"id": "r1", "program": "gpu_server/train.py", "params": {}, "student": "ada lovelace@lab", "schedule": SCHEDULE}


def test_the_queue_is_read_line_by_line() -> None:
    told = slurm.summary(slurm.read_queue(QUEUE), 1000)
    assert set(told["jobs"]) == {"101", "103", "104"}
    assert (told["jobs"]["103"]["place"], told["jobs"]["103"]["of"]) == (2, 3)
    assert told["jobs"]["104"]["place"] == 1 and told["jobs"]["101"]["place"] is None
    assert [(one["student"], one["for_s"]) for one in told["training"]] == [("ada@lab1", 93784.0)]
    assert slurm.read_queue(QUEUE)[2].reason == "ReqNodeNotAvail, UnavailableNodes:n[1-2]"


def test_words_for_sbatch() -> None:
    """Each is one argument, whatever stands in it; a GPU where the cluster has any, and config.json says nothing else."""
    words = slurm.sbatch_words(SPEC, Path("/srv/ai nano/100%"))
    assert "--job-name=ai_nano:ada_lovelace@lab:été_s_rm_-rf_" in words and "--output=/srv/ai nano/100%%/slurm.log" in words
    assert not any(word.startswith("--gres") for word in words)
    with_gpu = {**SPEC, "schedule": {**SCHEDULE, "has_gpus": True}}
    assert "--gres=gpu:1" in slurm.sbatch_words(with_gpu, Path("/r"))
    asked = {**SCHEDULE, "has_gpus": True, "slurm": {"gres": "none", "time": "30", "cpus": 4, "memory": "8G", "qos": "class"}}
    words = slurm.sbatch_words({**SPEC, "schedule": asked}, Path("/r"))
    assert {"--time=30", "--cpus-per-task=4", "--mem=8G", "--qos=class"} <= set(words)
    assert not any(word.startswith("--gres") for word in words)


@pytest.fixture
def job(tmp_path: Path) -> RunFolder:
    """Submitted a while ago, and gone from squeue."""
    folder = Runs(tmp_path).create(SPEC)
    folder.note("job.json", {"v": 1, "job": "7", "submitted": time.time() - 60, "node": None})
    note_queue(folder)
    return folder


def note_queue(folder: RunFolder, **changes: Any) -> None:
    told = {"v": 1, "t": time.time(), "error": None, "jobs": {}, "training": [], **changes}
    (folder.root / ".ai_nano" / "slurm.json").write_text(json.dumps(told))


@pytest.mark.parametrize(("state", "why"), [
    ("TIMEOUT", "time_limit"), ("OUT_OF_MEMORY", "out_of_memory"), ("NODE_FAIL", "node_failed"), ("PREEMPTED", "preempted"),
    ("CANCELLED", "ended_by_cluster"), (None, "forgotten_by_cluster")])
def test_slurms_last_word_is_the_reason(job: RunFolder, state: str | None, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(slurm, "last_word", lambda number: (asked.append(number), state)[1])
    assert (job.state(), job.why()) == ("failed", why)
    assert asked == ["7"], "it is noted once it is known"
    job.write_exit(0, None, False, 1.0)
    assert job.state() == "done", "exit.json goes before"


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "COMPLETING", "CONFIGURING", "STAGE_OUT"])
def test_a_job_that_is_just_moving_lives(job: RunFolder, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "last_word", lambda number: state)
    assert job.state() == "running"


def test_one_that_ended_by_itself_is_given_time_for_its_exit(job: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared file system shows it late."""
    monkeypatch.setattr(slurm, "last_word", lambda number: "COMPLETED")
    assert job.state() == "running"
    past = time.time() - cluster.LATE_S - 1
    os.utime(str(job.path / "job_gone"), (past, past))
    assert (job.state(), job.why()) == ("failed", "vanished")


def test_silence_is_no_end(job: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*words: Any) -> str:
        raise slurm.Silent("slurm_load_jobs error: Unable to contact slurm controller")

    monkeypatch.setattr(slurm, "ask", silent)
    assert job.state() == "running"
    note_queue(job, t=0.0)
    assert job.state() == "running"
    told = cluster.Watch(job).look()
    assert told["state"] == "waiting" and "Unable to contact" in told["error"] and told["place"] is None
    assert cluster.cancel.__doc__ and slurm.queue(job.root)["error"] is not None


def test_put_back_into_the_queue(job: RunFolder) -> None:
    """Preempted: it ran, and waits again; what its node wrote is older than Slurm's answer."""
    job.note_process(os.getpid())
    entry = {"state": "PENDING", "reason": "BeginTime", "start": None, "node": "", "partition": "gpu", "place": 1, "of": 1}
    note_queue(job, jobs={"7": entry}, t=time.time() + 0.5)
    past = time.time() - 30
    os.utime(str(job.path / "pid.json"), (past, past))
    note_queue(job, jobs={"7": entry})
    told = cluster.Watch(job).look()
    assert told["state"] == "waiting" and told["reason"] == "BeginTime"
    os.utime(str(job.path / "pid.json"), (time.time() + 1, time.time() + 1))
    assert cluster.Watch(job).look()["state"] == "running", "it has just begun, and Slurm was asked before"


def test_the_answer_is_for_its_owner_and_kept_for_a_while(job: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(slurm, "ask", lambda words, seconds: (asked.append(words), QUEUE)[1])
    note_queue(job, t=0.0)
    for _ in range(30):
        slurm.queue(job.root)
    assert len(asked) == 1
    assert os.stat(str(job.root / ".ai_nano" / "slurm.json")).st_mode & 0o777 == 0o600


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], str]]:
    """What each of Slurm's commands answers; with what it was asked last is in `asked`."""
    answers: dict[str, Callable[[], str]] = {"scancel": lambda: "", "sbatch": timed_out, "squeue": lambda: ""}
    monkeypatch.setattr(slurm, "ask", lambda words, *_: (asked.append(words), answers[words[0]]())[1])
    asked.clear()
    return answers


asked: list[list[str]] = []


def timed_out() -> str:
    raise slurm.Silent("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")


def test_a_job_that_slurm_took_although_sbatch_failed_is_kept(tmp_path: Path, said: dict[str, Callable[[], str]]) -> None:
    folder = Runs(tmp_path).create(SPEC)
    said["squeue"] = lambda: f"70|RUNNING|{folder.path}2\n71|COMPLETING|{folder.path}\n77|PENDING|{folder.path}\n"
    runner.submit(folder)
    assert folder.job()["job"] == "77" and folder.exit() is None and not folder.events.exists()


def test_one_that_has_begun_is_kept_where_squeue_is_silent(tmp_path: Path, said: dict[str, Callable[[], str]]) -> None:
    folder = Runs(tmp_path).create(SPEC)

    def begins() -> str:
        folder.note("job.json", {"job": "77", "submitted": time.time(), "node": "n1"})
        return timed_out()

    said.update(sbatch=begins, squeue=timed_out)
    runner.submit(folder)
    assert folder.job()["node"] == "n1" and folder.exit() is None


def test_one_that_begins_while_it_is_refused_is_cancelled(tmp_path: Path, said: dict[str, Callable[[], str]],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """Its node looks for exit.json after it has written its number, the login node the other way round."""
    folder = Runs(tmp_path).create(SPEC)
    written = RunFolder.write_exit
    monkeypatch.setattr(RunFolder, "write_exit", lambda *words: (folder.note("job.json", {"job": "77"}), written(*words)))
    runner.submit(folder)
    assert folder.state() == "failed" and asked[-1] == ["scancel", "77"]
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    monkeypatch.setattr("shared.supervisor.supervise", None)
    assert slurm_job.main([str(folder.path)]) == 0 and folder.job()["job"] == "78"


def test_cancel_ends_a_job_that_outlives_its_exit(job: RunFolder, said: dict[str, Callable[[], str]],
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    job.write_exit(126, None, False, None)
    runner.cancel(job, 0.0)
    assert json.loads(capsys.readouterr().out)["gone"] is True and [words[0] for words in asked] == ["squeue"]
    said["squeue"] = lambda: f"7|RUNNING|{job.path}\n"
    said["scontrol"] = lambda: "JobId=7 JobState=" + ("CANCELLED" if ["scancel", "7"] in asked else "RUNNING")
    runner.cancel(job, 0.0)
    assert json.loads(capsys.readouterr().out)["gone"] is True and ["scancel", "7"] in asked


@contextmanager
def full_disk() -> Iterator[None]:
    """No file takes a byte."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_ends_no_job(job: RunFolder, said: dict[str, Callable[[], str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer that cannot be written is good for who asked, and for a while; nothing half written is left."""
    note_queue(job, t=0.0)
    said["squeue"] = lambda: f"7|RUNNING|N/A|gpu|1|{os.getuid()}|n1|0:05|None|ai_nano:ada"
    with full_disk():
        assert job.state() == "running" and cluster.Watch(job).look()["state"] == "running" and len(asked) == 1
        monkeypatch.setattr(slurm, "_unwritten", {})
        said.update(squeue=lambda: "", scontrol=lambda: "JobState=TIMEOUT")
        assert (job.state(), job.why()) == ("failed", "time_limit")
    assert [path.name for path in job.root.glob("**/*.part")] == ["exit.json.part"] and not list(job.path.glob("job_end*"))


@pytest.mark.parametrize(("told", "why"), [
    ("RUNNING\n", "forgotten_by_cluster"), ("", "forgotten_by_cluster"), ("CANCELLED by 1000\n", "ended_by_cluster")])
def test_accounting_that_missed_the_end_keeps_nothing_alive(job: RunFolder, said: dict[str, Callable[[], str]], told: str,
                                                            why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runaway job, as Slurm calls it: slurmdbd was down when it ended."""
    def unknown() -> str:
        raise slurm.Silent("slurm_load_jobs error: Invalid job id specified")

    monkeypatch.setattr(slurm, "command", lambda name: name)
    said.update(scontrol=unknown, scancel=unknown, sacct=lambda: told)
    assert (job.state(), job.why()) == ("failed", why)
    assert cluster.cancel(job) is True and job.state() == "cancelled"
