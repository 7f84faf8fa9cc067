"""The folders of runs: ROOT/.ai_nano/runs/<run id>/, what is in them and what it says about the run."""

import os
import re
import shutil
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from shared import cluster, processes
from shared.json_files import read, write_whole
from shared.wire import VERSION, Failure, encode

KEPT_RUNS = 20
# A laptop whose lid is closed finds the end of its training here, however much the others of its room have started since.
KEPT_S = 24 * 3600
KEPT_AT_MOST = 200
RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")
STARTING = ".starting-"
# A start takes seconds; in a container the process table may not show another one's.
GIVEN_UP_S = 3600
# exit.json is written into space taken at the start: a disk that has become full cannot keep it from being written.
RESERVED_BYTES = 256


class RunFolder:
    """One run's folder. Several processes read it at once; each of its files has one writer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        # ROOT/.ai_nano/runs/<run id>
        self.root = path.parent.parent.parent
        self.events = path / "events.jsonl"
        self.output = path / "output.log"
        self.commands = path / "commands.jsonl"
        self.lease = path / "lease"
        self.waiting = path / "waiting"
        # Of a run that is a job of a cluster.
        self.job_file = path / "job.json"
        self._reserved = path / "exit.json.part"

    def create(self, spec: Dict[str, Any]) -> None:
        """Raises FileExistsError."""
        os.mkdir(str(self.path), 0o755)
        write_whole(self.path / "spec.json", spec, durable=True, private=True)  # a camera's address may hold a password
        self.lease.write_bytes(b"0")
        self._reserved.write_bytes(b" " * RESERVED_BYTES)
        self.note_process(None)

    def spec(self) -> Optional[Dict[str, Any]]:
        return read(self.path / "spec.json")

    def exit(self) -> Optional[Dict[str, Any]]:
        return read(self.path / "exit.json")

    def process(self) -> Dict[str, Any]:
        return read(self.path / "pid.json") or {}

    def job(self) -> Dict[str, Any]:
        """{"job": Slurm's number, "submitted", "node"}; empty for a run of this machine's own."""
        return read(self.job_file) or {}

    @property
    def clustered(self) -> bool:
        return self.job_file.exists()

    def read_note(self, name: str) -> Optional[Dict[str, Any]]:
        return read(self.path / name)

    def note(self, name: str, told: Dict[str, Any]) -> None:
        write_whole(self.path / name, told)

    def note_process(self, pid: Optional[int]) -> None:
        """Writes pid.json with the caller as supervisor; `pid` is None until the program runs."""
        supervisor, program = processes.look(os.getpid()), None if pid is None else processes.look(pid)
        assert supervisor is not None
        write_whole(self.path / "pid.json", {
            "v": VERSION, "pid": pid, "pgid": pid, "start_time": None if program is None else program.start_time,
            "supervisor": supervisor.pid, "supervisor_start_time": supervisor.start_time,
            "boot_id": processes.boot_id()})

    def write_exit(self, code: Optional[int], signal_number: Optional[int], cancelled: bool,
                   duration_s: Optional[float]) -> None:
        """The last word about a run, atomically. Raises OSError."""
        data = encode({"v": VERSION, "code": code, "signal": signal_number, "cancelled": cancelled,
                       "duration_s": None if duration_s is None else round(duration_s, 3)})
        descriptor = os.open(str(self._reserved), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, data)
            os.ftruncate(descriptor, len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(str(self._reserved), str(self.path / "exit.json"))

    def ask_to_cancel(self) -> None:
        (self.path / "cancel").write_bytes(b"")

    def asked_to_cancel(self) -> bool:
        return (self.path / "cancel").exists()

    def supervised(self) -> bool:
        note = self.process()
        return processes.alive(note.get("supervisor"), note.get("supervisor_start_time"), note.get("boot_id"))

    def members(self) -> List[int]:
        """Ids of the program's living processes, itself and those it started in its group."""
        note = self.process()
        if self.clustered or note.get("pid") is None or note.get("boot_id") != processes.boot_id():
            return []
        return processes.group_members(note["pgid"], note["start_time"])

    def kill(self, number: int) -> None:
        """Signals the program's group, where it still is that group."""
        if self.members():
            try:
                os.killpg(self.process()["pgid"], number)
            except ProcessLookupError:
                pass

    def state(self) -> str:
        """`running`, `done`, `failed` or `cancelled`."""
        if self.exit() is None and self._lives():
            return "running"
        ended = self.exit()  # read again: the supervisor may have written it and gone since
        if ended is None:
            return "cancelled" if self.clustered and self.asked_to_cancel() else "failed"
        if ended.get("cancelled"):
            return "cancelled"
        return "done" if ended.get("code") == 0 else "failed"

    def why(self) -> Optional[str]:
        """Of a run that left no last word: `rebooted` where the machine was started anew since, else `vanished`; of a cluster's
        job what the cluster says."""
        if self.exit() is not None or self.state() != "failed":
            return None
        if self.clustered:
            return str((cluster.end(self) or {}).get("why") or "vanished")
        return "vanished" if self.process().get("boot_id") == processes.boot_id() else "rebooted"

    def _lives(self) -> bool:
        return cluster.lives(self) if self.clustered else self.supervised() or self._program_alive()

    def _program_alive(self) -> bool:
        note = self.process()
        return processes.alive(note.get("pid"), note.get("start_time"), note.get("boot_id"))


class Runs:
    """All runs of a machine under one ROOT."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / ".ai_nano" / "runs"

    def existing(self, run_id: str) -> RunFolder:
        """Raises Failure run.bad_id, run.missing."""
        folder = self._folder(run_id)
        if not folder.path.is_dir():
            raise Failure("run.missing", id=run_id)
        return folder

    def create(self, spec: Dict[str, Any]) -> RunFolder:
        """Makes the run's folder, which appears under its name when whole. Raises Failure run.bad_id, run.exists."""
        folder = self._folder(str(spec["id"]))
        os.makedirs(str(self.path), exist_ok=True)
        unfinished = RunFolder(self.path / f"{STARTING}{os.getpid()}-{folder.id}")
        try:
            unfinished.create(spec)
            os.rename(str(unfinished.path), str(folder.path))  # refuses a folder that holds something
        except OSError:
            shutil.rmtree(str(unfinished.path), ignore_errors=True)
            if folder.path.exists():
                raise Failure("run.exists", id=folder.id) from None
            raise
        return folder

    def listing(self, place: Callable[[RunFolder], Optional[Dict[str, Any]]] = lambda folder: None) -> List[Dict[str, Any]]:
        """Every run, the oldest first; `started` is this machine's unix time, `place` tells where one that waits for a GPU
        stands in the queue."""
        found = []
        for folder in self._folders():
            spec = folder.spec()
            if spec is not None and not folder.id.startswith("."):
                state = folder.state()
                queue = place(folder) if state == "running" else None
                waits = state == "running" and (folder.waiting.exists() or queue is not None)
                found.append({"id": folder.id, "program": spec.get("program"), "state": state, "why": folder.why(),
                              "waiting": waits, "started": spec.get("started"), "student": spec.get("student"),
                              "params": spec.get("params"), "queue": queue})
        return sorted(found, key=lambda run: (run["started"] or 0, run["id"]))

    def prune(self) -> None:
        """Removes old ended runs, and what a start that was killed left behind.

        The newest 20 stay. Beyond them stay, for a day, those that a laptop may still want to take up: with a lease there
        is nothing to take up.
        """
        ended = [run for run in self.listing() if run["state"] != "running"]
        doomed = [run["id"] for run in ended[:-KEPT_AT_MOST]]
        doomed += [run["id"] for run in ended[-KEPT_AT_MOST:-KEPT_RUNS] if not self._wanted(self._folder(run["id"]))]
        doomed += [folder.id for folder in self._folders() if self._given_up(folder)]
        for name in doomed:
            shutil.rmtree(str(self.path / name), ignore_errors=True)

    def _wanted(self, folder: RunFolder) -> bool:
        try:
            age_s = time.time() - os.stat(str(folder.path)).st_mtime  # of exit.json's appearance
        except FileNotFoundError:
            return False
        return age_s < KEPT_S and (folder.spec() or {}).get("lease_s") is None

    def _given_up(self, folder: RunFolder) -> bool:
        """Whether it is what a start that was killed left behind, and not that of another laptop which is just at it."""
        if not folder.id.startswith(STARTING) or folder.supervised():
            return False
        pid = folder.id[len(STARTING):].partition("-")[0]
        starter = processes.look(int(pid)) if pid.isdigit() else None
        if starter is not None and not starter.dead:
            return False
        try:
            return abs(time.time() - os.stat(str(folder.path)).st_mtime) > GIVEN_UP_S
        except FileNotFoundError:
            return False

    def programs(self) -> List[str]:
        """The programs folders with which the runs that are there were started."""
        specs = [folder.spec() or {} for folder in self._folders()]
        return [str(spec["programs"]) for spec in specs if spec.get("programs")]

    def _folders(self) -> List[RunFolder]:
        try:
            names = sorted(os.listdir(str(self.path)))
        except FileNotFoundError:
            return []
        return [RunFolder(self.path / name) for name in names]

    def _folder(self, run_id: str) -> RunFolder:
        if not RUN_ID.match(run_id):
            raise Failure("run.bad_id", id=run_id)
        return RunFolder(self.path / run_id)
