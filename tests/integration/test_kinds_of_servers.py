"""That the servers which the other tests run against are what their names say."""

from __future__ import annotations

import socket
from pathlib import Path

import paramiko
import pytest
from ssh_servers import Account, SshServer, start_server


def no_user() -> Account:
    raise AssertionError("this kind has no user of its own")


@pytest.mark.parametrize("ssh_server", ["openssh-7.6"], indirect=True)
def test_openssh_7_6_has_rsa_keys_and_no_algorithm_that_is_newer(ssh_server: SshServer) -> None:
    with ssh_server.connect() as client:
        transport = client.get_transport()
        assert transport is not None and transport.get_remote_server_key().get_name() == "ssh-rsa"
        # OpenSSH 8.5's and 9.0's are what a server of today would have taken first.
        assert not any("sntrup" in name or "mlkem" in name for name in kex_of(ssh_server))
        assert "diffie-hellman-group14-sha1" in kex_of(ssh_server)


def test_openssh_7_6_with_the_newer_keys_lets_in_too(tmp_path: Path) -> None:
    with start_server("openssh-7.6-ed25519", tmp_path, True, no_user) as server, server.connect() as client:
        assert server.host_key.startswith("ssh-ed25519 ") and client.open_sftp().listdir(".") is not None


def kex_of(server: SshServer) -> list[str]:
    """The key exchanges that the server offers, read from its first packet (RFC 4253, 6 and 7.1)."""
    with socket.create_connection((server.host, server.port), 5) as sock, sock.makefile("rb") as stream:
        sock.sendall(b"SSH-2.0-test\r\n")
        while not stream.readline().startswith(b"SSH-"):
            pass
        packet = stream.read(int.from_bytes(stream.read(4), "big"))
    message = paramiko.Message(packet[1:])
    assert message.get_byte() == b"\x14"
    message.get_bytes(16)
    return message.get_list()


def test_an_sftp_only_account_runs_no_command_and_forwards_nothing(sftp_only_server: SshServer) -> None:
    with sftp_only_server.connect() as client:
        assert client.open_sftp().listdir(".") is not None
        transport = client.get_transport()
        assert transport is not None
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("127.0.0.1", sftp_only_server.port), ("127.0.0.1", 0), timeout=5)
        channel = transport.open_session(timeout=5)
        channel.settimeout(5)
        channel.exec_command("echo hello")
        channel.shutdown_write()
        assert b"hello" not in channel.recv(100)
