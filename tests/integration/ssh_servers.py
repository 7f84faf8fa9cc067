"""SSH servers to test against: the embedded one and OpenSSH's sshd, both on 127.0.0.1, with keys made for the run.

A double is trusted only where it passes what the real one passes, so a test that takes the fixture `ssh_server` runs
with each of SERVERS: `embedded`, `openssh-key` (sshd run by and for the user of the tests) and `openssh-password` (a
throwaway user; needs root). OLD_TOO adds `openssh-7.6` (the algorithms of Ubuntu 18.04's sshd, all keys RSA, as a Nano that
was set up years ago has them). A test that needs a password is parametrised with PASSWORD_SERVERS, indirectly. An account
that can do nothing but SFTP is for tests that ask for it: SFTP_ONLY.
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

REPOSITORY = Path(__file__).resolve().parents[2]
_OPENSSH_PASSWORD = pytest.param("openssh-password", marks=pytest.mark.root)
SERVERS = ["embedded", "openssh-key", _OPENSSH_PASSWORD]
# Its key exchange costs a second of processor: for what depends on the algorithms, and one test of each kind of work.
OLD_TOO = [*SERVERS, "openssh-7.6"]
SFTP_ONLY = ["openssh-sftp-only"]
PASSWORD_SERVERS = ["embedded", _OPENSSH_PASSWORD]
# SHLVL: a shell below another one; bash then leaves out the ~/.bashrc of whoever runs the tests. pyenv's part of one costs a
# tenth of a second each time, and takes a lock for which thirty laptops wait a minute.
_SSHD_CONFIG = """\
ListenAddress {host}
Port {port}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {authorized_keys}
AllowUsers {user}
PermitRootLogin prohibit-password
PasswordAuthentication {password}
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
SetEnv SHLVL=1
LogLevel ERROR
"""
# The defaults of OpenSSH 7.6p1's server: myproposal.h at the tag V_7_6_P1 of github.com/openssh/openssh-portable
# (KEX_SERVER_KEX, KEX_SERVER_ENCRYPT, KEX_SERVER_MAC, KEX_DEFAULT_PK_ALG). Its manual leaves out rsa-sha2-*, which its
# code has. The last option's older name is the one that every sshd knows.
_PUBLIC_KEYS_7_6 = (
    "ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,"
    "ecdsa-sha2-nistp521-cert-v01@openssh.com,ssh-ed25519-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com,"
    "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ssh-rsa"
)
_ALGORITHMS_7_6 = f"""\
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,\
diffie-hellman-group14-sha256,diffie-hellman-group14-sha1
Ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com
MACs umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1
HostKeyAlgorithms {_PUBLIC_KEYS_7_6}
PubkeyAcceptedKeyTypes {_PUBLIC_KEYS_7_6}
"""
_ONLY_SFTP = """\
ForceCommand internal-sftp
AllowTcpForwarding no
AllowStreamLocalForwarding no
AllowAgentForwarding no
PermitTTY no
"""
# What a kind's sshd_config has beside _SSHD_CONFIG; `openssh-7.6-ed25519` has newer keys than `openssh-7.6`.
_MORE_CONFIG = {"openssh-7.6": _ALGORITHMS_7_6, "openssh-7.6-ed25519": _ALGORITHMS_7_6, "openssh-sftp-only": _ONLY_SFTP}
_WITH_RSA = ("openssh-7.6",)


@dataclass(frozen=True)
class SshServer:
    """Where a server listens and how to log in.

    `host_key` is "ssh-ed25519 AAAA..." or "ssh-rsa AAAA..."; `password` is None where only the key logs in; `pid` is the
    process that listens, where known (sshd serves each connection in children of it).
    """

    kind: str
    host: str
    port: int
    user: str
    password: str | None
    key_file: Path
    home: Path
    host_key: str
    pid: int | None = None

    def connect(
        self, username: str | None = None, password: str | None = None, key_file: Path | None = None
    ) -> paramiko.SSHClient:
        """Logs in, by `key_file` where no password is given; the server's key must be `host_key`."""
        client = paramiko.SSHClient()
        kind, data = self.host_key.split()[:2]
        known = paramiko.PKey.from_type_string(kind, base64.b64decode(data))
        client.get_host_keys().add(f"[{self.host}]:{self.port}", kind, known)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            client.connect(
                self.host,
                self.port,
                username=username or self.user,
                password=password,
                pkey=paramiko.PKey.from_path(key_file or self.key_file) if password is None else None,
                allow_agent=False,
                look_for_keys=False,
                timeout=10,
            )
        except BaseException:
            client.close()
            raise
        return client


@dataclass(frozen=True)
class Account:
    """A login of this computer, or of the embedded server alone."""

    user: str
    password: str | None
    home: Path
    authorized_keys: Path


@dataclass(frozen=True)
class Network:
    """Another network of this computer, joined to it by a cable of its own: `here` and `there` are its ends' addresses."""

    name: str
    here: str
    there: str

    def go_silent(self) -> None:
        """As when the Wi-Fi is out of reach: nobody there hangs up, nothing comes back, and nobody says so."""
        _ip("-n", self.name, "route", "add", "blackhole", f"{self.here}/32")


@contextmanager
def make_network() -> Iterator[Network]:
    """Needs root."""
    word = secrets.token_hex(3)
    block, first = f"198.18.{secrets.randbelow(256)}", 4 * secrets.randbelow(64)  # RFC 2544: nobody's
    network = Network(f"ainano-{word}", f"{block}.{first + 1}", f"{block}.{first + 2}")
    near, far = f"an{word}a", f"an{word}b"
    _ip("netns", "add", network.name)
    _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", network.name)
    try:
        _ip("addr", "add", f"{network.here}/30", "dev", near)
        _ip("-n", network.name, "addr", "add", f"{network.there}/30", "dev", far)
        _ip("link", "set", near, "up")
        _ip("-n", network.name, "link", "set", far, "up")
        yield network
    finally:
        # sshd's sessions do not hear that their client has gone, and would keep the network for minutes.
        there = subprocess.run(["ip", "netns", "pids", network.name], capture_output=True, text=True, check=True).stdout
        for pid in there.split():
            os.kill(int(pid), signal.SIGKILL)
        # The kernel keeps the network a while too, for the sockets that they left; not the cable.
        _ip("link", "del", near)
        _ip("netns", "del", network.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def make_key(file: Path, rsa: bool = False) -> str:
    """Writes a new ed25519 or RSA key to `file` (OpenSSH's format, 0600); returns its public line."""
    key: Ed25519PrivateKey | RSAPrivateKey = generate_private_key(65537, 2048) if rsa else Ed25519PrivateKey.generate()
    kinds = serialization
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.OpenSSH, kinds.NoEncryption()),
    )
    return key.public_key().public_bytes(kinds.Encoding.OpenSSH, kinds.PublicFormat.OpenSSH).decode()


@contextmanager
def embedded_server(folder: Path, account: Account, key_file: Path, *more: str) -> Iterator[SshServer]:
    """The embedded server, as a process; `more` are further words of its command line."""
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(f"{account.password}\n")
    words = ["--home", str(account.home), "--host-key", str(folder / "host_key"), "--user", account.user]
    words += ["--password-file", str(password_file), "--authorized-keys", str(account.authorized_keys), *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "ai_nano.demo.ssh_server", *words],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["type"] == "ready", ready
        yield SshServer(
            "embedded",
            "127.0.0.1",
            ready["port"],
            account.user,
            account.password,
            key_file,
            account.home,
            ready["host_key"],
            process.pid,
        )
    finally:
        process.stdin.close()
        process.stdout.close()
        _end(process)
    assert process.returncode == 0


@contextmanager
def openssh_server(
    folder: Path, kind: str, account: Account, key_file: Path, sftp: bool, *more: str, network: Network | None = None
) -> Iterator[SshServer]:
    """A real sshd; `more` are further lines of its sshd_config, which go before all others.

    `network`: it runs there, not on this computer's loopback. As root it wants its folder for privilege separation, which
    is made and left where it is missing.
    """
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.defpath)
    assert sshd is not None, "these tests compare with OpenSSH: install openssh-server"
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    host_key = make_key(folder / "host_key", rsa=kind in _WITH_RSA)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host = network.there if network else "127.0.0.1"
    config = _SSHD_CONFIG.format(
        host=host,
        port=port,
        host_key=folder / "host_key",
        authorized_keys=account.authorized_keys,
        user=account.user,
        password="yes" if account.password else "no",
    )
    lines = [*more, config, _MORE_CONFIG.get(kind, ""), "Subsystem sftp internal-sftp" if sftp else ""]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    start = ["ip", "netns", "exec", network.name] if network else []
    process = subprocess.Popen([*start, sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stdin=subprocess.DEVNULL)
    try:
        _wait_for_port(host, port, process)
        yield SshServer(
            kind, host, port, account.user, account.password, key_file, account.home, host_key, process.pid
        )
    finally:
        _end(process)


def _wait_for_port(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except (ConnectionRefusedError, TimeoutError):  # in a network that has just been made, the first word may be lost
            time.sleep(0.02)
    raise AssertionError("sshd does not listen")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _change_users(*words: str) -> None:
    """Again where another process has the lists of users locked (exit codes 1 and 10 of shadow's tools)."""
    for _attempt in range(40):
        # userdel complains that there is no mail spool.
        done = subprocess.run(words, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode not in (1, 10):
            break
        time.sleep(0.25)
    assert done.returncode == 0, done.stderr.decode()


@contextmanager
def make_throwaway_user() -> Iterator[Account]:
    """A user of this computer with a password, removed at the end. Needs root."""
    name, password = f"ainano-{secrets.token_hex(4)}", secrets.token_urlsafe(18)
    _change_users("useradd", "--create-home", "--shell", "/bin/sh", name)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{password}\n".encode(), check=True)
        home = Path(pwd.getpwnam(name).pw_dir)
        (home / ".ssh").mkdir()
        shutil.chown(home / ".ssh", name)
        yield Account(name, password, home, home / ".ssh" / "authorized_keys")
    finally:
        _change_users("userdel", "--force", "--remove", name)


@contextmanager
def start_server(
    kind: str, folder: Path, sftp: bool, throwaway_user: Callable[[], Account], *more: str
) -> Iterator[SshServer]:
    """A server of one of the kinds; `folder` is empty and for its files.

    `more` are further words of the embedded server's command line, or further lines of sshd_config.
    """
    key_file = folder / "key"
    public = make_key(key_file, rsa=kind in _WITH_RSA)
    if kind == "openssh-password":
        account = throwaway_user()
    elif kind == "embedded":
        (folder / "home").mkdir()
        account = Account("nano", secrets.token_urlsafe(18), folder / "home", folder / "authorized_keys")
    else:
        account = Account(getpass.getuser(), None, Path(pwd.getpwuid(os.geteuid()).pw_dir), folder / "authorized_keys")
    account.authorized_keys.write_text(public + "\n")
    account.authorized_keys.chmod(0o644)
    if kind == "embedded":
        server = embedded_server(folder, account, key_file, *([] if sftp else ["--no-sftp"]), *more)
    else:
        server = openssh_server(folder, kind, account, key_file, sftp, *more)
    with server as running:
        yield running
