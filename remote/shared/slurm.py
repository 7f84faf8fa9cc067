"""Slurm's commands as ai_nano uses them: what it is asked, and what its answers mean (doc/design/sharing.md).

The queue is asked for once for all who wait: ROOT/.ai_nano/slurm.json keeps the answer for LOOK_S. What Slurm does not
answer is not known, and never taken for an end.
"""

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from shared.json_files import read, write_whole
from shared.wire import VERSION, Failure

if TYPE_CHECKING:
    from shared.runs import RunFolder

LOOK_S = 4.0
# Who follows a run says something within 10 s, also while Slurm does not answer; then it is asked less often.
QUEUE_S = 5.0
SILENT_LOOK_S = 15.0
WORD_S = 4.0
# The laptop waits for a minute for the answer to a start, and to a cancel.
COMMAND_S = 10.0
SUBMIT_S = 40.0
# Where clusters keep their commands beside the PATH that a login without a terminal has.
PLACES = ("/usr/local/bin", "/opt/slurm/bin", "/usr/local/slurm/bin", "/opt/slurm/current/bin",
          "/cm/shared/apps/slurm/current/bin")
NO_CLUSTER = ("configuration source",)
JOB_NAME = "ai_nano"
JOB_ID = re.compile(r"[0-9]{1,12}\Z")
LONGEST_NAME = 100
# %r is the last but one, since a name may hold anything.
FORMAT = "%i|%T|%S|%P|%Q|%U|%N|%M|%r|%j"
MOST_TRAINING = 10
# Of config.json's `slurm`, as sbatch calls them.
OPTIONS = {"partition": "partition", "time": "time", "account": "account", "qos": "qos", "cpus": "cpus-per-task",
           "memory": "mem", "constraint": "constraint", "reservation": "reservation"}
NO_GRES = ("", "none")
# Slurm's last words about a job, as doc/design/wire.md has them; what is not here ran and ended by itself.
ENDS = {"TIMEOUT": "time_limit", "DEADLINE": "time_limit", "OUT_OF_MEMORY": "out_of_memory", "NODE_FAIL": "node_failed",
        "BOOT_FAIL": "node_failed", "PREEMPTED": "preempted", "CANCELLED": "ended_by_cluster", "REVOKED": "ended_by_cluster",
        "FAILED": None, "COMPLETED": None}
PENDING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "CONFIGURING", "SUSPENDED",
           "STOPPED", "RESIZING")


_unwritten: Dict[Path, Dict[str, Any]] = {}


class Silent(Exception):
    """Slurm did not answer, or not as it should; the text is its own."""


# ---- commands --------------------------------------------------------------------------------------------------------------


def command(name: str) -> Optional[str]:
    """Where it is; None where there is none."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))


def ask(words: List[str], seconds: float = COMMAND_S, text: str = "") -> str:
    """Standard output. Raises Silent."""
    path = command(words[0])
    if path is None:
        raise Silent("{}: not found".format(words[0]))
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith(("SQUEUE_", "SINFO_", "SBATCH_", "SCONTROL_", "SACCT_"))}
    environment.update(LC_ALL="C", SLURM_TIME_FORMAT="standard")
    try:
        done = subprocess.run([path] + words[1:], input=text.encode("utf-8"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=seconds, env=environment)
    except subprocess.TimeoutExpired:
        raise Silent("{}: no answer after {:g} s".format(words[0], seconds)) from None
    except OSError as error:
        raise Silent("{}: {}".format(words[0], error.strerror)) from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise Silent(" · ".join(said[-3:])[:500] or "{}: {}".format(words[0], done.returncode))
    return done.stdout.decode("utf-8", "replace")


def no_cluster(silent: Silent) -> bool:
    """Slurm's programs are here, a cluster that they are of is not."""
    return any(words in str(silent) for words in NO_CLUSTER)


def choose(schedule: Dict[str, Any]) -> str:
    """`slurm` or `direct`, as config.json and this machine have it.

    Raises Failure slurm.missing where Slurm is demanded and not there, slurm.silent {error} where it does not answer.
    """
    wanted = schedule.get("scheduler")
    if wanted == "direct":
        return "direct"
    if command("sbatch") is None:
        if wanted == "slurm":
            raise Failure("slurm.missing")
        return "direct"
    try:
        schedule["has_gpus"] = "gpu" in ask(["sinfo", "-h", "-o", "%G"] + _one("partition", schedule))
    except Silent as silent:
        if no_cluster(silent):
            if wanted == "slurm":
                raise Failure("slurm.missing") from None
            return "direct"
        raise Failure("slurm.silent", error=str(silent)) from None
    return "slurm"


def _one(key: str, schedule: Dict[str, Any]) -> List[str]:
    value = _settings(schedule).get(key)
    return ["--{}={}".format(OPTIONS[key], value)] if value else []


def _settings(schedule: Dict[str, Any]) -> Dict[str, str]:
    settings = schedule.get("slurm")
    return {str(key): str(value) for key, value in settings.items() if value is not None} if isinstance(settings, dict) else {}


# ---- a job ------------------------------------------------------------------------------------------------------------------


def job_name(spec: Dict[str, Any]) -> str:
    """Says that it is ours, whose it is, and which project it is of."""
    schedule = spec.get("schedule") or {}
    parts = [JOB_NAME] + [word(str(one)) for one in (spec.get("student"), schedule.get("project")) if one]
    return ":".join(parts)[:LONGEST_NAME]


def word(text: str) -> str:
    """As a part of a job's name."""
    return re.sub(r"[^\w.@-]+", "_", text)


def sbatch_words(spec: Dict[str, Any], folder: Path) -> List[str]:
    """Without a shell in between: each word is one argument."""
    schedule = spec.get("schedule") or {}
    settings = _settings(schedule)
    words = ["sbatch", "--parsable", "--job-name=" + job_name(spec), "--nodes=1", "--ntasks=1", "--open-mode=append",
             "--chdir=" + str(folder), "--output=" + str(folder / "slurm.log").replace("%", "%%")]
    for key in OPTIONS:
        words += _one(key, schedule)
    gres = settings.get("gres", "gpu:1" if schedule.get("has_gpus") else "")
    return words + (["--gres=" + gres] if gres.lower() not in NO_GRES else [])


def submit(folder: "RunFolder", programs: Path) -> None:
    """Raises Failure slurm.refused {error} where no job came of it; one that comes later ends at once (slurm_job.py)."""
    spec = folder.spec() or {}
    note = {"v": VERSION, "job": None, "submitted": time.time(), "node": None}
    write_whole(folder.job_file, note)
    script = "#!/bin/sh\nexec {} {} {}\n".format(*[shlex.quote(str(one)) for one in (
        sys.executable, programs / "shared" / "slurm_job.py", folder.path)])
    job: Optional[str] = None
    try:
        answer = ask(sbatch_words(spec, folder.path), SUBMIT_S, script).strip()
        job = answer.splitlines()[-1].partition(";")[0] if answer else ""
    except Silent as silent:
        answer = str(silent)
    if job is None or not JOB_ID.match(job):
        # Slurm may have taken it although sbatch does not say so: its answer came too late.
        job = folder.job().get("job") or taken(folder)
        if job is None:
            raise Failure("slurm.refused", error=answer[:500])
    if folder.job().get("job") is None:  # it may have begun meanwhile
        write_whole(folder.job_file, dict(note, job=job))


def taken(folder: "RunFolder") -> Optional[str]:
    """The number of the run's job, where Slurm says that it waits or runs. Of a run that is its working folder."""
    try:
        told = ask(["squeue", "-h", "-a", "-u", str(os.getuid()), "-o", "%i|%T|%Z"], QUEUE_S)
    except Silent:
        return None
    for line in told.splitlines():
        job, state, place = (line.strip().split("|", 2) + ["", ""])[:3]
        if JOB_ID.match(job) and place == str(folder.path) and state != "COMPLETING":
            return job
    return None


def last_word(job: str) -> Optional[str]:
    """The state that Slurm remembers; None where it has forgotten. Raises Silent.

    Of a job that slurmctld no longer knows the accounting may say for ever that it runs, where it missed the end.
    """
    try:
        told = ask(["scontrol", "show", "job", job, "-o"], WORD_S)
    except Silent as silent:
        if "Invalid job id" not in str(silent):
            raise
    else:
        match = re.search(r"(?:^|\s)JobState=([A-Z_]+)", told)
        if match is not None:
            return match.group(1)
    if command("sacct") is not None:
        try:
            lines = ask(["sacct", "-j", job, "-X", "-n", "-P", "-o", "State"], WORD_S).split("\n")
            state = lines[0].strip().partition(" ")[0]
            return state if state in ENDS else None
        except Silent:
            pass  # no accounting
    return None


def cancel(job: str) -> None:
    """Raises Silent."""
    ask(["scancel", job])


def active(state: Optional[str]) -> bool:
    return state is not None and state not in ENDS


# ---- the queue ---------------------------------------------------------------------------------------------------------------


class Job(NamedTuple):
    """A line of squeue. `start`: unix time, as Slurm expects it; `for_s`: how long it has run."""

    id: str
    state: str
    start: Optional[float]
    partition: str
    priority: int
    user: int
    node: str
    for_s: float
    reason: str
    name: str


def read_queue(text: str) -> List[Job]:
    """Lines that make no sense are passed over."""
    found = []
    for line in text.splitlines():
        parts = line.strip().split("|", 9)
        try:
            found.append(Job(parts[0], parts[1], _time(parts[2]), parts[3], int(parts[4]), int(parts[5]), parts[6],
                             _elapsed(parts[7]), parts[8].strip("()"), parts[9]))
        except (ValueError, IndexError):
            continue
    return found


def _time(text: str) -> Optional[float]:
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except (ValueError, OverflowError):
        return None


def _elapsed(text: str) -> float:
    """`[days-][hours:]minutes:seconds`."""
    days, _, clock = text.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + int(part)
    return seconds + 86400 * int(days or "0")


def summary(jobs: List[Job], user: int) -> Dict[str, Any]:
    """What those who wait under this login want to know: their own jobs, and whose trainings run."""
    told = {}
    for job in jobs:
        if job.user != user:
            continue
        entry = {"state": job.state, "reason": job.reason, "start": job.start, "node": job.node, "partition": job.partition,
                 "place": None, "of": None}
        if job.state == "PENDING":
            rivals = [one for one in jobs if one.state == "PENDING" and one.partition == job.partition]
            entry["place"] = 1 + sum(1 for one in rivals if (-one.priority, _number(one)) < (-job.priority, _number(job)))
            entry["of"] = len(rivals)
        told[job.id] = entry
    training = [{"student": job.name.split(":")[1] if job.name.count(":") else None, "partition": job.partition,
                 "job": job.id, "for_s": job.for_s} for job in jobs if job.state == "RUNNING" and _ours(job)]
    return {"jobs": told, "training": training[:MOST_TRAINING]}


def _ours(job: Job) -> bool:
    return job.name == JOB_NAME or job.name.startswith(JOB_NAME + ":")


def _number(job: Job) -> int:
    match = re.match(r"[0-9]+", job.id)
    return int(match.group(0)) if match else 0


def queue(root: Path) -> Dict[str, Any]:
    """{"t", "error", "jobs", "training"}: as Slurm told it about LOOK_S ago, `t` in unix time.

    One of those who ask refreshes it, and the others do not wait for that; `error` is why the newest attempt failed, `jobs`
    then the last that were told.
    """
    path = root / ".ai_nano" / "slurm.json"
    known = _known(path)
    if _fresh(known):
        return known
    descriptor = -1
    try:
        with suppress(OSError):  # a full disk on which it is not there yet
            descriptor = os.open(str(path.with_name("slurm.lock")), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if descriptor >= 0:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return known
        known = _known(path)
        if not _fresh(known):
            known = _refreshed(known)
            _keep(path, known)
        return known
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _refreshed(known: Dict[str, Any]) -> Dict[str, Any]:
    asked = time.time()
    try:
        told = summary(read_queue(ask(["squeue", "-h", "-a", "-o", FORMAT], QUEUE_S)), os.getuid())
        return dict(told, v=VERSION, t=asked, error=None)
    except Silent as silent:
        return dict(known, v=VERSION, t=time.time(), error=str(silent))


def _known(path: Path) -> Dict[str, Any]:
    told = _unwritten.get(path) or read(path) or {}
    if not isinstance(told.get("t"), (int, float)) or not isinstance(told.get("jobs"), dict):
        told = {"t": 0.0}
    return dict({"error": None, "jobs": {}, "training": []}, **told)


def _fresh(known: Dict[str, Any]) -> bool:
    """A clock that was set back makes nothing fresh for ever."""
    return 0 <= time.time() - known["t"] < (LOOK_S if known["error"] is None else SILENT_LOOK_S)


def _keep(path: Path, told: Dict[str, Any]) -> None:
    """A full disk loses no training: then the answer is this process's alone."""
    try:
        write_whole(path, told, private=True)
        _unwritten.pop(path, None)
    except OSError:
        _unwritten[path] = told
