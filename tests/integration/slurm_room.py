"""A real Slurm on this computer, of the distribution's packages, for the tests: munged, slurmctld and two slurmd, run as root
without systemd from a folder of their own.

The computer itself is the login node, on which nothing is computed. `gpu1` has one GPU (/dev/null), `cpu1` has none. Each
node sees another boot id than the login node, as another computer would: a process id noted there means nothing here.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
PLACES = "/usr/sbin:/usr/bin:/sbin:/bin"
GPU_NODE, CPU_NODE = "gpu1", "cpu1"
START_S = 60.0
END_S = 15.0
BOOT_ID = "/proc/sys/kernel/random/boot_id"
_CONF = """\
ClusterName=room
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool.%n
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldDebug=error
SlurmdDebug=error
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=0
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
KillWait=2
MinJobAge=600
NodeName={gpu_node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={gpu} CPUs=8 RealMemory=4000 Gres=gpu:1
NodeName={cpu_node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={cpu} CPUs=8 RealMemory=4000
PartitionName=room Nodes={gpu_node},{cpu_node} Default=YES MaxTime=60 State=UP
"""


@dataclass
class SlurmRoom:
    """`folder` has the logs, `conf` is what SLURM_CONF has to say to whoever asks this Slurm."""

    folder: Path
    conf: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def ask(self, *words: str) -> str:
        """Standard output of one of Slurm's commands."""
        return subprocess.run(words, check=True, capture_output=True, text=True, env=self.environment, timeout=60).stdout

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.conf), "PATH": f"{os.environ.get('PATH', '')}:{PLACES}"}

    @property
    def sshd_line(self) -> str:
        """For the sshd_config of a login node."""
        return f"SetEnv SLURM_CONF={self.conf} SHLVL=1"  # of two lines of SetEnv only the first counts

    def jobs(self) -> list[str]:
        return self.ask("squeue", "-h", "-o", "%i").split()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """slurmctld hangs: it takes connections and answers nobody."""
        controller = self.processes[1]
        controller.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            controller.send_signal(signal.SIGCONT)

    def start(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        (self.folder / "state").mkdir()
        paths = [f"--{name}={self.folder}/munge.{name.partition('-')[0]}"
                 for name in ("socket", "pid-file", "log-file", "seed-file")]
        self._begin("munged", "--foreground", "--force", f"--key-file={key}", *paths)
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._begin("slurmctld", "-D")
        for node in (GPU_NODE, CPU_NODE):
            own = self.folder / f"boot_id.{node}"
            own.write_text(f"{uuid.uuid4()}\n")
            (self.folder / f"spool.{node}").mkdir()
            self._begin("unshare", "--mount", "--propagation", "private", "sh", "-c",
                        f'mount --bind "$1" {BOOT_ID} && exec "$2" -D -N "$3"', "sh", str(own), _path("slurmd"), node)
        self._wait(lambda: self.ask("sinfo", "-h", "-o", "%T").split() == ["idle"], "slurmd")

    def _begin(self, name: str, *words: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self.processes.append(subprocess.Popen([_path(name), *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                                   env=self.environment, start_new_session=True))

    def _wait(self, true: object, what: str) -> None:
        deadline = time.monotonic() + START_S
        while True:
            with suppress(subprocess.CalledProcessError):
                if true():  # type: ignore[operator]
                    return
            dead = [process.args for process in self.processes if process.poll() is not None]
            assert not dead and time.monotonic() < deadline, f"{what} did not start: {dead}\n{self.words()}"
            time.sleep(0.1)

    def words(self) -> str:
        """What the daemons said, for a test that fails."""
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-2000:]}"
                         for path in sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")]))

    def stop(self) -> None:
        """No job and no daemon is left."""
        with suppress(subprocess.SubprocessError):
            jobs = self.jobs()
            if jobs:
                self.ask("scancel", *jobs)
                deadline = time.monotonic() + END_S
                while self.jobs() and time.monotonic() < deadline:
                    time.sleep(0.2)
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _path(name: str) -> str:
    found = shutil.which(name, path=PLACES)
    assert found is not None, f"{name} is missing: these tests want Debian's slurm-wlm and munge"
    return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def running_slurm() -> Iterator[SlurmRoom]:
    """Needs root. Its folder is one that every login may enter, which pytest's are not."""
    for name in NEEDED:
        _path(name)
    folder = Path(tempfile.mkdtemp(prefix="ai_nano-slurm-"))
    folder.chmod(0o755)
    ports = _free_ports(3)
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(folder=folder, controller=ports[0], gpu=ports[1], cpu=ports[2], gpu_node=GPU_NODE,
                                 cpu_node=CPU_NODE))
    (folder / "gres.conf").write_text(f"AutoDetect=off\nNodeName={GPU_NODE} Name=gpu Count=1 File=/dev/null\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
    room = SlurmRoom(folder, conf)
    try:
        room.start()
        yield room
    finally:
        room.stop()
        shutil.rmtree(folder, ignore_errors=True)
