"""The room's machines: real SSH servers that can be killed, restarted, filled up and given another key or clock."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from link import Link
from processes import children, command, kill, others
from ssh_servers import REPOSITORY, make_key

READY_S = 15.0
DISK_BYTES = 160 << 20
# Short: a second connection over a slow link has to get a word in.
QUEUE_BYTES = 32 << 10
# SHLVL: without the ~/.bashrc of whoever runs this, as in tests/integration/ssh_servers.py.
_SSHD_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {keys}
AllowUsers {user}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
SetEnv SHLVL=1
LogLevel ERROR
MaxStartups 100
Subsystem sftp internal-sftp
"""
# What a program takes for the time when the machine's clock is wrong; the files' own times stay right.
_WRONG_CLOCK = """\
import time
off = {off}
now, now_ns, gmtime, localtime = time.time, time.time_ns if hasattr(time, "time_ns") else None, time.gmtime, time.localtime
time.time = lambda: now() + off
if now_ns:
    time.time_ns = lambda: now_ns() + off * 10 ** 9
time.gmtime = lambda seconds=None: gmtime(time.time() if seconds is None else seconds)
time.localtime = lambda seconds=None: localtime(time.time() if seconds is None else seconds)
"""


class NotHere(Exception):
    """A kind of fault that this computer does not allow."""


class Machine:
    """An SSH server behind a link. `root` is ROOT there; `python` what runs the programs; `user` who logs in."""

    user: str

    def __init__(self, name: str, folder: Path, python: str) -> None:
        self.name = name
        self.folder = folder
        self.root = folder / "root"
        self.python = python
        self.root.mkdir(parents=True)
        self._keys = {True: folder / "host_key", False: folder / "other_key"}
        self.host_key = make_key(self._keys[True])
        make_key(self._keys[False])
        self._process: subprocess.Popen[bytes] | None = None
        self._disk, self._link = contextlib.ExitStack(), contextlib.ExitStack()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.link = Link("127.0.0.1", self.port, queue_bytes=QUEUE_BYTES)

    def _command(self, host_key: Path) -> list[str]:
        raise NotImplementedError

    def __enter__(self) -> "Machine":
        with contextlib.ExitStack() as stack:
            stack.callback(self._disk.close)
            self.start()
            stack.callback(self.kill)
            self._link.enter_context(self.link)
            self._all = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.close_link()
        self._all.close()

    def close_link(self) -> None:
        """May be called twice."""
        self._link.close()

    # ---- the server --------------------------------------------------------------------------------------------------

    def start(self, right_key: bool = True) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(self._keys[right_key]), cwd=REPOSITORY, stdin=subprocess.PIPE,
                                             stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + READY_S
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the server of {self.name} does not listen: see {self.folder / 'server.log'}")

    def kill(self) -> None:
        """-9 to the listening process and to what serves the sessions; detached programs go on."""
        process, self._process = self._process, None
        if process is None:
            return
        serving = self._serving(process.pid)
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
        for pid in serving:
            kill(pid)

    def kill_sessions(self) -> None:
        """-9 to what serves the sessions; the listening process stays."""
        assert self._process is not None
        for pid in self._serving(self._process.pid):
            kill(pid)

    def _serving(self, listener: int) -> list[int]:
        """sshd's children, and theirs where sshd separates privileges."""
        found = []
        for pid in children(listener):
            found += [pid, *(below for below in children(pid) if "sshd" in command(below))]
        return found

    @property
    def own_processes(self) -> set[int]:
        return {self._process.pid} if self._process is not None else set()

    # ---- its disk and its clock --------------------------------------------------------------------------------------

    def mount_small_disk(self) -> None:
        """ROOT on a tmpfs of its own."""
        words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=755", "ai_nano_faults", str(self.root)]
        if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
            raise NotHere("no tmpfs can be mounted")
        self._disk.callback(_unmount, self.root)

    def fill_disk(self, left: int) -> None:
        """Only about `left` bytes stay free."""
        count = shutil.disk_usage(self.root).free - left
        if count > 0:
            with (self.root / "filler").open("wb") as stream, contextlib.suppress(OSError):
                os.posix_fallocate(stream.fileno(), 0, count)

    def empty_disk(self) -> None:
        (self.root / "filler").unlink(missing_ok=True)

    def set_clock_off(self, seconds: int) -> None:
        """What is started from now on takes it for `seconds` later."""
        clock = self.folder / "clock"
        clock.mkdir()
        (clock / "sitecustomize.py").write_text(_WRONG_CLOCK.format(off=seconds))
        wrapper = self.folder / "python"
        wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={clock} exec {self.python} "$@"\n')
        wrapper.chmod(0o755)
        self.python = str(wrapper)


class OpenSsh(Machine):
    def __init__(self, name: str, folder: Path, python: str, authorized_keys: Path) -> None:
        super().__init__(name, folder, python)
        self._authorized_keys = authorized_keys
        found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.defpath)
        assert found is not None, "the faults need a real sshd: install openssh-server"
        self._sshd = found
        self.user = getpass.getuser()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)

    def _command(self, host_key: Path) -> list[str]:
        config = self.folder / "sshd_config"
        config.write_text(_SSHD_CONFIG.format(port=self.port, host_key=host_key, keys=self._authorized_keys, user=self.user))
        return [self._sshd, "-D", "-e", "-f", str(config)]


class Embedded(Machine):
    def __init__(self, name: str, folder: Path, python: str, authorized_keys: Path) -> None:
        super().__init__(name, folder, python)
        self._authorized_keys = authorized_keys
        self.user = "nano"
        self._password = folder / "password"
        self._password.touch(mode=0o600)
        self._password.write_text(f"{os.urandom(16).hex()}\n")

    def _command(self, host_key: Path) -> list[str]:
        return [sys.executable, "-m", "ai_nano.demo.ssh_server", "--home", str(self.folder), "--host-key", str(host_key),
                "--user", self.user, "--password-file", str(self._password), "--authorized-keys", str(self._authorized_keys),
                "--port", str(self.port)]

    def _serving(self, listener: int) -> list[int]:
        return []

    def kill_sessions(self) -> None:
        """One process serves them all; it comes back at once."""
        self.kill()
        self.start()


def _unmount(folder: Path) -> None:
    """Lazily: what is still running there keeps its files until it ends."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


# ---- processes -------------------------------------------------------------------------------------------------------


def processes_of(folder: Path) -> Iterator[int]:
    """Those that were started with something below `folder` on their command line; not this one."""
    wanted = str(folder)
    return (pid for pid in others() if wanted in command(pid))


def end_all(pids: Iterator[int]) -> None:
    for pid in list(pids):
        kill(pid)
