"""A program for the runner's tests: does one thing, named by its parameter `do`. Runs under Python 3.6 as well."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

from shared.wire import Commands, Failure, Lease, Run, guard


def finish(run: Run) -> None:
    for number in range(run.params.get("events", 3)):
        run.progress("probe.step", number + 1, run.params.get("events", 3), "steps")
    print("café, as printed")
    run.log("probe.said", text="café")
    run.result(ok=True)


def describe(run: Run) -> None:
    run.result(
        group=os.getpgrp(), session=os.getsid(0), pid=os.getpid(), cwd=os.getcwd(), root=str(run.root),
        environment={name: value for name, value in os.environ.items() if name.startswith("PYTHON")},
        open_files=sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                          if os.path.exists(f"/proc/self/fd/{fd}")),
        blocked=[number for number in (signal.SIGHUP, signal.SIGINT)
                 if signal.getsignal(number) is signal.SIG_IGN])


def fail(run: Run) -> None:
    raise Failure("probe.failed", folder="été")


def crash(run: Run) -> None:
    print(json.loads("{"))


def not_a_number(run: Run) -> None:
    run.emit("metric", train_loss=float("nan"))


def wait(run: Run) -> None:
    """Until it is stopped; tells that its `finally` ran."""
    run.log("probe.waiting")
    try:
        while True:
            time.sleep(0.02)
    finally:
        run.log("probe.tidied")


def refuse(run: Run) -> None:
    """Neither it nor the child it started hears TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(run.path)])
    run.log("probe.waiting")
    time.sleep(600)


def leave_group(run: Run) -> None:
    """Dies of KILL, as by the kernel's hand, and leaves a child in its group that does not hear TERM."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE)
    child.stdout.readline()
    run.log("probe.waiting", child=child.pid)
    time.sleep(600)


def leave_child(run: Run) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(run.path)])
    run.result(child=child.pid)


def print_raw(run: Run) -> None:
    for piece in run.params["hex"]:
        sys.stdout.buffer.write(bytes.fromhex(piece))
    sys.stdout.buffer.flush()


def flood(run: Run) -> None:
    """Numbered lines of 100 bytes as fast as they go, `megabytes` of them, to output.log or to events.jsonl."""
    events = run.params.get("events", False)
    path = str(run.path / ("events.jsonl" if events else "output.log"))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    form = '{"v": 1, "type": "progress", "done": %d, "pad": "%s"}\n' if events else "%d %s\n"
    for number in range(0, run.params["megabytes"] * 10000, 1000):
        lines = [form % (each, "") for each in range(number, number + 1000)]
        filled = [form % (number + index, "x" * (100 - len(line))) for index, line in enumerate(lines)]
        os.write(descriptor, "".join(filled).encode())
    run.log("probe.flooded")


def count(run: Run) -> None:
    """Numbered events and printed lines, quickly."""
    for number in range(run.params["numbers"]):
        run.progress("probe.step", number, None, "steps")
        print(f"line {number}", flush=True)
        time.sleep(run.params.get("pause_s", 0.0))
    run.result(ok=True)


def obey(run: Run) -> None:
    """Repeats its commands until `stop` or until the lease has run out."""
    commands, lease = Commands(run), Lease(run)
    run.log("probe.waiting")
    while not lease.expired():
        for command in commands.poll():
            run.log("probe.command", command=command)
            if command["type"] == "stop":
                return
        time.sleep(0.02)
    run.log("probe.lease_lost")


def work(run: Run) -> None:
    deeds = {"finish": finish, "describe": describe, "fail": fail, "crash": crash, "not_a_number": not_a_number,
             "wait": wait, "refuse": refuse, "leave_child": leave_child, "leave_group": leave_group, "print": print_raw,
             "obey": obey, "flood": flood, "count": count}
    deeds[run.params["do"]](run)


def main(argv: "list[str]") -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True)
    return guard(Run(parser.parse_args(argv).run), work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
