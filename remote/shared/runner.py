"""Starts, follows, cancels and lists detached jobs on this machine: what one SSH command each does.

    python PROGRAMS/shared/runner.py --root ROOT start < spec.json
    python PROGRAMS/shared/runner.py --root ROOT follow ID [--events WHERE] [--log WHERE]
    python PROGRAMS/shared/runner.py --root ROOT frames ID
    python PROGRAMS/shared/runner.py --root ROOT cancel ID [--grace SECONDS] [--by NAME [--role instructor] [--reason TEXT]]
    python PROGRAMS/shared/runner.py --root ROOT list
    python PROGRAMS/shared/runner.py --root ROOT room

doc/design/wire.md says what goes in and out.
"""

import argparse
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

PROGRAMS = Path(os.path.abspath(__file__)).parent.parent
if not __package__:  # run as a file: the folder with shared/ is not on the path, and it is immutable
    sys.dont_write_bytecode = True
    sys.path[0] = str(PROGRAMS)

from shared import ahead, cluster, console, ended_by, follow, gpus, overview, slurm, supervisor, versions, waiting  # noqa: E402
from shared.relay import Relay  # noqa: E402
from shared.runs import RunFolder, Runs  # noqa: E402
from shared.wire import VERSION, Appender, Failure, decode, encode  # noqa: E402

PROGRAM = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*\.py\Z")
START_S = 10.0
SETTLE_S = 5.0
POLL_S = 0.05


def start(runs: Runs, data: bytes) -> None:
    """Raises Failure run.bad_spec, run.bad_id, run.exists, run.not_started."""
    spec = check_spec(data)
    spec.update(root=str(runs.root), started=time.time(), programs=str(PROGRAMS))
    schedule = spec["schedule"]
    by_cluster = schedule is not None and slurm.choose(schedule) == "slurm"
    runs.prune()
    versions.prune(PROGRAMS, runs)
    folder = runs.create(spec)
    if by_cluster:
        submit(folder)
    # Who waits does so without the libraries.
    elif (schedule is not None and gpus.somebody_trains(runs.root, spec)) or not ahead.launch(folder, PROGRAMS):
        supervisor.launch(folder, PROGRAMS)
    console.say("started", id=folder.id, pid=folder.process().get("pid"))


def submit(folder: RunFolder) -> None:
    """To the cluster. What it refuses is the run's end, told like every other: who asks again finds it."""
    try:
        slurm.submit(folder, PROGRAMS)
    except Failure as failure:
        Appender(folder.events).append(encode({"v": VERSION, "type": "error", "code": failure.code, "params": failure.params}))
        folder.write_exit(supervisor.EXIT_NOT_STARTED, None, False, None)
        cluster.withdraw(folder)


def check_spec(data: bytes) -> Dict[str, Any]:
    """The spec in `data`. Raises Failure run.bad_spec {key}, `key` naming what is wrong with it."""
    spec = decode(data)
    if spec is None:
        raise Failure("run.bad_spec", key="v")
    if not isinstance(spec.get("id"), str):
        raise Failure("run.bad_spec", key="id")
    if not isinstance(spec.get("program"), str) or not PROGRAM.match(spec["program"]):
        raise Failure("run.bad_spec", key="program")
    if not isinstance(spec.get("params"), dict):
        raise Failure("run.bad_spec", key="params")
    lease_s = spec.setdefault("lease_s", None)
    if lease_s is not None and (isinstance(lease_s, bool) or not isinstance(lease_s, (int, float)) or lease_s <= 0):
        raise Failure("run.bad_spec", key="lease_s")
    student = spec.setdefault("student", None)
    if student is not None and not isinstance(student, str):
        raise Failure("run.bad_spec", key="student")
    schedule = spec.setdefault("schedule", None)
    if schedule is not None and not isinstance(schedule, dict):
        raise Failure("run.bad_spec", key="schedule")
    return spec


def cancel(folder: RunFolder, grace_s: float) -> None:
    """TERM, the grace period, KILL; says `gone` only when the process table does, of a cluster's job when the cluster does."""
    if folder.clustered and (folder.exit() is None or slurm.taken(folder) is not None):
        gone = cluster.cancel(folder)
        console.say("cancelled", id=folder.id, gone=gone, state=folder.state())
        return
    if folder.state() == "running" or folder.members():
        folder.ask_to_cancel()
        wait_until(lambda: folder.process().get("pid") is not None or folder.state() != "running", START_S)
        folder.kill(signal.SIGTERM)
        folder.kill(signal.SIGCONT)  # what somebody has stopped hears TERM only when it goes on
        if not wait_until(lambda: not folder.members(), grace_s):
            folder.kill(signal.SIGKILL)
        wait_until(lambda: folder.state() != "running" and not folder.members(), SETTLE_S)
        if folder.state() == "failed" and folder.exit() is None:
            folder.write_exit(None, None, True, None)  # its supervisor is dead
    gone = folder.state() != "running" and not folder.members()
    console.say("cancelled", id=folder.id, gone=gone, state=folder.state())


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Detached jobs of ai_nano on this machine.")
    parser.add_argument("--root", required=True, help="the machine's folder, relative to the login's home")
    verbs = parser.add_subparsers(dest="verb")
    verbs.required = True
    verbs.add_parser("start", help="start the job whose spec comes on standard input")
    following = verbs.add_parser("follow", help="send what a job writes, take its lease and commands")
    following.add_argument("id")
    where = "where to begin in {}: bytes, end or end-BYTES"
    following.add_argument("--events", type=follow.beginning, default="0", help=where.format("events.jsonl"))
    following.add_argument("--log", type=follow.beginning, default="0", help=where.format("output.log"))
    watching = verbs.add_parser("frames", help="send a job's live pictures, one for each byte on standard input")
    watching.add_argument("id")
    cancelling = verbs.add_parser("cancel", help="stop a job")
    cancelling.add_argument("id")
    cancelling.add_argument("--grace", type=float, default=5.0, help="seconds between TERM and KILL")
    cancelling.add_argument("--by", help="who ends somebody else's job")
    cancelling.add_argument("--role", choices=(ended_by.INSTRUCTOR,), help="what he is in this room")
    cancelling.add_argument("--reason", help="his words to its student")
    verbs.add_parser("list", help="list the jobs")
    verbs.add_parser("room", help="list what runs or waits and how far it is, and what failed lately")
    return parser


def carry_out(options: argparse.Namespace, runs: Runs) -> None:
    if options.verb == "start":
        start(runs, sys.stdin.buffer.read())
    elif options.verb == "list":
        console.say("runs", now=time.time(), runs=runs.listing(waiting.place))
    elif options.verb == "room":
        console.say("room", now=time.time(), runs=overview.look(runs))
    else:
        folder = runs.existing(options.id)
        if options.verb == "follow":
            events, log = follow.offset(options.events, folder.events), follow.offset(options.log, folder.output)
            # As numbers, which older programs understand too.
            versions.hand_over(PROGRAMS, folder, ["--root", options.root, "follow", folder.id,
                                                  "--events", str(events), "--log", str(log)])
            follow.follow(folder, events, log)
            return
        if options.verb == "frames":
            versions.hand_over(PROGRAMS, folder, sys.argv[1:])
            Relay(folder).go()
            return
        if folder.state() == "running":
            ended_by.note(folder, options.by, options.role, options.reason)
        # Who ends it is nothing that older programs have a word for.
        versions.hand_over(PROGRAMS, folder, ["--root", options.root, "cancel", folder.id, "--grace", str(options.grace)])
        cancel(folder, options.grace)


def main(argv: List[str]) -> int:
    versions.touch(PROGRAMS)
    options = get_parser().parse_args(argv)
    root = console.absolute_root(options.root)
    return console.answer("shared/runner.py", root, lambda: carry_out(options, Runs(root)))


if __name__ == "__main__":
    console.ensure_utf8_file_names()
    sys.exit(main(sys.argv[1:]))
