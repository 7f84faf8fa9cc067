"""One suite for the embedded SSH server and for OpenSSH's sshd: what the laptop relies on holds for both."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paramiko
import pytest
from ssh_servers import OLD_TOO, PASSWORD_SERVERS, REPOSITORY, Account, SshServer, embedded_server, make_key

LARGE = 20_000_000  # bytes: ten times the window that paramiko grants


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def start(client: paramiko.SSHClient, command: str) -> paramiko.Channel:
    channel = client.get_transport().open_session()
    channel.settimeout(20)
    channel.exec_command(command)
    return channel


def run(client: paramiko.SSHClient, command: str) -> tuple[int, bytes, bytes]:
    channel = start(client, command)
    channel.shutdown_write()
    output, errors = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
    status = channel.recv_exit_status()
    channel.close()
    return status, output, errors


@pytest.mark.parametrize("ssh_server", PASSWORD_SERVERS, indirect=True)
class TestPassword:
    def test_right_password_logs_in(self, ssh_server: SshServer) -> None:
        with ssh_server.connect(password=ssh_server.password) as client:
            assert run(client, "echo hello") == (0, b"hello\n", b"")

    def test_wrong_password_is_refused_and_the_right_one_still_taken(self, ssh_server: SshServer) -> None:
        with pytest.raises(paramiko.AuthenticationException):
            ssh_server.connect(password=ssh_server.password + "x")
        ssh_server.connect(password=ssh_server.password).close()

    def test_wrong_user_is_refused_with_the_right_password(self, ssh_server: SshServer) -> None:
        with pytest.raises(paramiko.AuthenticationException):
            ssh_server.connect(username="somebody-else", password=ssh_server.password)


@pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
class TestKey:
    def test_known_key_logs_in(self, ssh_server: SshServer) -> None:
        with ssh_server.connect() as client:
            assert run(client, "echo hello") == (0, b"hello\n", b"")

    def test_unknown_key_is_refused(self, ssh_server: SshServer, tmp_path: Path) -> None:
        make_key(tmp_path / "other")
        with pytest.raises(paramiko.AuthenticationException):
            ssh_server.connect(key_file=tmp_path / "other")

    def test_wrong_user_is_refused_with_the_right_key(self, ssh_server: SshServer) -> None:
        with pytest.raises(paramiko.AuthenticationException):
            ssh_server.connect(username="somebody-else")

    def test_wrong_password_is_refused_by_key_servers_too(self, ssh_server: SshServer) -> None:
        with pytest.raises(paramiko.AuthenticationException):
            ssh_server.connect(password="wrong")


class TestCommand:
    @pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
    def test_exit_status_and_both_outputs(self, ssh_client: paramiko.SSHClient) -> None:
        assert run(ssh_client, "echo out; echo err >&2; exit 37") == (37, b"out\n", b"err\n")

    def test_missing_program(self, ssh_client: paramiko.SSHClient) -> None:
        status, output, errors = run(ssh_client, "no-such-program")
        assert (status, output) == (127, b"")
        assert b"not found" in errors

    def test_starts_in_the_home_folder(self, ssh_server: SshServer, ssh_client: paramiko.SSHClient) -> None:
        home = str(ssh_server.home)
        assert run(ssh_client, 'pwd; echo "$HOME"; echo "$USER"')[1].decode().split("\n") == [
            home,
            home,
            ssh_server.user,
            "",
        ]

    def test_environment_of_the_server_does_not_leak(self, ssh_client: paramiko.SSHClient) -> None:
        assert b"PYTEST_CURRENT_TEST" not in run(ssh_client, "env")[1]

    def test_death_by_signal_is_no_exit_status(self, ssh_client: paramiko.SSHClient) -> None:
        assert run(ssh_client, "kill -TERM $$")[0] == -1

    # sshd signals nothing in a session of root: "session signalling requires privilege separation".
    @pytest.mark.parametrize("ssh_server", PASSWORD_SERVERS, indirect=True)
    def test_signal_reaches_the_command(self, ssh_client: paramiko.SSHClient) -> None:
        channel = start(ssh_client, "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
        assert channel.recv(100) == b"ready\n"
        message = paramiko.Message()
        message.add_byte(paramiko.common.cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("signal")
        message.add_boolean(False)
        message.add_string("TERM")
        channel.get_transport()._send_user_message(message)  # paramiko has no public way to send a signal
        assert channel.recv(100) == b"caught\n"
        assert channel.recv_exit_status() == 7

    def test_end_of_input_reaches_the_command(self, ssh_client: paramiko.SSHClient) -> None:
        channel = start(ssh_client, "cat; echo done")
        channel.sendall(b"one\n")
        assert channel.recv(100) == b"one\n"
        channel.shutdown_write()
        assert channel.makefile("rb").read() == b"done\n"
        assert channel.recv_exit_status() == 0

    def test_command_that_reads_no_input_ends_all_the_same(self, ssh_client: paramiko.SSHClient) -> None:
        channel = start(ssh_client, "exit 5")
        assert channel.recv_exit_status() == 5

    @pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
    def test_large_output_waits_for_a_slow_reader(
        self, ssh_server: SshServer, ssh_client: paramiko.SSHClient, remote_folder: str
    ) -> None:
        channel = start(ssh_client, f"yes | head -c {LARGE}; touch {remote_folder}/written")
        time.sleep(1)
        assert not (ssh_server.home / remote_folder / "written").exists()
        output = channel.makefile("rb").read()
        assert len(output) == LARGE and output == b"y\n" * (LARGE // 2)
        assert channel.recv_exit_status() == 0
        assert (ssh_server.home / remote_folder / "written").exists()

    def test_large_input_waits_for_a_slow_command(self, ssh_client: paramiko.SSHClient) -> None:
        data = os.urandom(LARGE)
        channel = start(ssh_client, "read go; sha256sum; sleep 0.2")
        channel.settimeout(1)
        sent = 0
        channel.sendall(b"go\n")
        while sent < LARGE:
            sent += channel.send(data[sent : sent + 32768])
        channel.shutdown_write()
        channel.settimeout(20)
        assert channel.makefile("rb").read().split()[0].decode() == hashlib.sha256(data).hexdigest()

    def test_input_is_held_back_while_nobody_reads_it(self, ssh_client: paramiko.SSHClient) -> None:
        channel = start(ssh_client, "sleep 3; cat | wc -c")
        channel.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < LARGE:
                sent += channel.send(bytes(32768))
        assert sent < LARGE
        channel.settimeout(20)
        channel.shutdown_write()
        assert int(channel.makefile("rb").read()) == sent

    def test_commands_of_one_connection_run_side_by_side(self, ssh_client: paramiko.SSHClient) -> None:
        first = start(ssh_client, "read line; echo first $line")
        second = start(ssh_client, "read line; echo second $line")
        second.sendall(b"b\n")
        assert second.recv(100) == b"second b\n"
        first.sendall(b"a\n")
        assert first.recv(100) == b"first a\n"


class TestDetached:
    def test_detached_job_neither_holds_the_channel_nor_dies_with_it(
        self, ssh_server: SshServer, ssh_client: paramiko.SSHClient, remote_folder: str
    ) -> None:
        began = time.monotonic()
        job = f"setsid sh -c 'sleep 1; touch {remote_folder}/x' </dev/null >/dev/null 2>&1 &"
        assert run(ssh_client, job) == (0, b"", b"")
        assert time.monotonic() - began < 0.9
        ssh_client.close()
        mark = ssh_server.home / remote_folder / "x"
        assert not mark.exists()
        wait_until(mark.exists)

    def test_output_held_open_holds_the_channel(self, ssh_client: paramiko.SSHClient) -> None:
        assert run(ssh_client, "(sleep 0.5; echo late) & echo early") == (0, b"early\nlate\n", b"")

    def test_closing_the_channel_ends_the_input_but_not_the_command(
        self, ssh_server: SshServer, ssh_client: paramiko.SSHClient, remote_folder: str
    ) -> None:
        channel = start(ssh_client, f"echo ready; cat; sleep 0.3; touch {remote_folder}/x")
        assert channel.recv(100) == b"ready\n"
        channel.close()
        wait_until((ssh_server.home / remote_folder / "x").exists)

    def test_writing_to_a_closed_channel_ends_the_command(
        self, ssh_server: SshServer, ssh_client: paramiko.SSHClient, remote_folder: str
    ) -> None:
        channel = start(ssh_client, f"echo $$ >{remote_folder}/pid; while :; do echo x; sleep 0.05; done")
        assert channel.recv(100) == b"x\n"
        pid = int((ssh_server.home / remote_folder / "pid").read_text())
        assert Path(f"/proc/{pid}").exists()
        channel.close()
        wait_until(lambda: not Path(f"/proc/{pid}").exists())

    def test_cut_connection_ends_the_input(self, ssh_server: SshServer, remote_folder: str) -> None:
        with ssh_server.connect() as client:
            channel = start(client, f"echo ready; cat; touch {remote_folder}/x")
            assert channel.recv(100) == b"ready\n"
            client.get_transport().sock.shutdown(socket.SHUT_RDWR)
            wait_until((ssh_server.home / remote_folder / "x").exists)


class TestSftp:
    @pytest.mark.parametrize("ssh_server", OLD_TOO, indirect=True)
    def test_put_get_and_listing(self, ssh_client: paramiko.SSHClient, remote_folder: str) -> None:
        data = os.urandom(3_000_000)
        with ssh_client.open_sftp() as sftp:
            sftp.putfo(io.BytesIO(data), f"{remote_folder}/é 1.bin")
            assert [(entry.filename, entry.st_size) for entry in sftp.listdir_attr(remote_folder)] == [("é 1.bin", len(data))]
            copy = io.BytesIO()
            sftp.getfo(f"{remote_folder}/é 1.bin", copy)
        assert copy.getvalue() == data

    def test_relative_paths_start_at_home_and_absolute_ones_at_the_root(
        self, ssh_server: SshServer, ssh_client: paramiko.SSHClient, remote_folder: str
    ) -> None:
        with ssh_client.open_sftp() as sftp:
            assert sftp.normalize(".") == str(ssh_server.home)
            assert sftp.normalize(remote_folder) == str(ssh_server.home / remote_folder)
            with sftp.open(f"{remote_folder}/file", "w") as file:
                file.write("text")
            assert sftp.stat(str(ssh_server.home / remote_folder / "file")).st_size == 4

    def test_rename_spares_an_existing_file_and_posix_rename_replaces_it(
        self, ssh_client: paramiko.SSHClient, remote_folder: str
    ) -> None:
        with ssh_client.open_sftp() as sftp:
            for name in ("a", "b"):
                sftp.putfo(io.BytesIO(name.encode()), f"{remote_folder}/{name}")
            sftp.rename(f"{remote_folder}/a", f"{remote_folder}/c")
            with pytest.raises(OSError):
                sftp.rename(f"{remote_folder}/c", f"{remote_folder}/b")
            sftp.posix_rename(f"{remote_folder}/c", f"{remote_folder}/b")
            assert sftp.listdir(remote_folder) == ["b"]
            assert sftp.open(f"{remote_folder}/b").read() == b"a"

    def test_mkdir_is_exclusive_and_what_is_missing_is_named_so(
        self, ssh_client: paramiko.SSHClient, remote_folder: str
    ) -> None:
        with ssh_client.open_sftp() as sftp:
            sftp.mkdir(f"{remote_folder}/new")
            with pytest.raises(OSError):
                sftp.mkdir(f"{remote_folder}/new")
            with pytest.raises(FileNotFoundError):
                sftp.stat(f"{remote_folder}/missing")
            with pytest.raises(FileNotFoundError):
                sftp.open(f"{remote_folder}/missing")

    def test_server_without_sftp_refuses_it_and_runs_commands(self, ssh_server_without_sftp: SshServer) -> None:
        with ssh_server_without_sftp.connect() as client:
            with pytest.raises(paramiko.SSHException):
                client.open_sftp()
            assert run(client, "echo hello") == (0, b"hello\n", b"")


class TestJump:
    def test_connection_is_passed_on(self, ssh_server: SshServer, ssh_client: paramiko.SSHClient) -> None:
        with ssh_client.get_transport().open_channel(
            "direct-tcpip", (ssh_server.host, ssh_server.port), ("127.0.0.1", 0)
        ) as channel:
            channel.settimeout(10)
            assert channel.recv(8).startswith(b"SSH-2.0")


class TestEmbeddedProcess:
    """What the classroom relies on beyond SSH itself."""

    def login(self, folder: Path, ready: dict[str, Any]) -> SshServer:
        return SshServer("embedded", "127.0.0.1", ready["port"], "nano", "secret", folder / "none", folder, ready["host_key"])

    def start(self, folder: Path, *more: str) -> subprocess.Popen[bytes]:
        (folder / "password").write_text("secret\n")
        words = ["--home", str(folder), "--host-key", str(folder / "host_key"), "--user", "nano"]
        words += ["--password-file", str(folder / "password"), *more]
        return subprocess.Popen(
            [sys.executable, "-m", "ai_nano.demo.ssh_server", *words],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def test_host_key_is_made_once_for_its_owner_alone(self, tmp_path: Path) -> None:
        lines = []
        for _ in range(2):
            with self.start(tmp_path) as process:
                lines.append(json.loads(process.stdout.readline()))
                process.stdin.close()
                assert process.wait(10) == 0
                assert process.stderr.read() == b""
        assert lines[0]["host_key"] == lines[1]["host_key"]
        assert (tmp_path / "host_key").stat().st_mode & 0o777 == 0o600
        digest = hashlib.sha256(base64.b64decode(lines[0]["host_key"].split()[1])).digest()
        assert lines[0]["fingerprint"] == "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def test_ends_on_sigterm_with_a_client_and_its_command(self, tmp_path: Path) -> None:
        with self.start(tmp_path) as process:
            ready = json.loads(process.stdout.readline())
            server = self.login(tmp_path, ready)
            with server.connect(password="secret") as client:
                channel = start(client, "echo $$; exec sleep 600")
                pid = int(channel.recv(100))
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
                assert process.stderr.read() == b""
                wait_until(lambda: not Path(f"/proc/{pid}").exists())

    def test_listens_on_loopback_alone(self, tmp_path: Path) -> None:
        with self.start(tmp_path) as process:
            port = json.loads(process.stdout.readline())["port"]
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
            assert listening == [f"0100007F:{port:04X}"]
            process.stdin.close()
            assert process.wait(10) == 0

    def test_variables_reach_commands(self, tmp_path: Path) -> None:
        account = Account("nano", "secret", tmp_path, tmp_path / "keys")
        account.authorized_keys.write_text(make_key(tmp_path / "key"))
        more = ("--env", "ROOM=a=b", "--env", "PATH=/nowhere")
        with embedded_server(tmp_path, account, tmp_path / "key", *more) as server, server.connect() as client:
            assert run(client, 'echo "$ROOM $PATH"') == (0, b"a=b /nowhere\n", b"")

    @pytest.mark.parametrize("option", ["--home", "--password-file", "--host-key"])
    def test_unusable_file_is_named(self, tmp_path: Path, option: str) -> None:
        wrong = tmp_path / "wrong" / "deeper"
        with self.start(tmp_path, option, str(wrong)) as process:
            answer = json.loads(process.stdout.readline())
            assert process.wait(10) == 2
            assert process.stderr.read() == b""
        assert answer == {"v": 1, "type": "error", "code": "ssh_server.unusable_file", "params": {"file": str(wrong)}}

    def test_file_without_a_key_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "host_key").write_text("no key\n")
        with self.start(tmp_path) as process:
            answer = json.loads(process.stdout.readline())
            assert process.wait(10) == 2
        assert answer["params"] == {"file": str(tmp_path / "host_key")}

    def test_taken_port_is_named(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with self.start(tmp_path, "--port", str(port)) as process:
                answer = json.loads(process.stdout.readline())
                assert process.wait(10) == 1
                assert process.stderr.read() == b""
        assert answer == {"v": 1, "type": "error", "code": "ssh_server.port_taken", "params": {"port": port}}

    def test_many_clients_at_once(self, tmp_path: Path) -> None:
        with self.start(tmp_path) as process:
            ready = json.loads(process.stdout.readline())
            server = self.login(tmp_path, ready)
            answers = []

            def one(number: int) -> None:
                with server.connect(password="secret") as client:
                    answers.append(run(client, f"sleep 0.2; echo {number}")[1])

            threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(answers) == [f"{number}\n".encode() for number in range(8)]
            process.stdin.close()
            assert process.wait(10) == 0
