"""paramiko's reading and writing of packets, within bounds.

Its own believes a packet's claimed length (up to 4 GiB, before anybody has logged in), reads a greeting of any length,
and writes for ever to a machine that no longer reads.
"""

import socket
import time

import paramiko
from paramiko.packet import Packetizer

# OpenSSH refuses packets beyond 256 KiB; a channel of ours asks for 32 KiB.
LONGEST_PACKET = (256 << 10) + 1024
LONGEST_GREETING = 64 << 10
GREETING_S = 15.0
# Nothing could be written for so long.
STALLED_S = 20.0


class _Patient:
    """A socket whose time-outs when writing end after STALLED_S. paramiko tries again after each of its 0.1 s."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._stalled_since: float | None = None

    def recv(self, size: int) -> bytes:
        return self._socket.recv(size)

    def send(self, data: bytes) -> int:
        try:
            sent = self._socket.send(data)
        except TimeoutError as error:
            now = time.monotonic()
            self._stalled_since = self._stalled_since or now
            if now - self._stalled_since > STALLED_S:
                raise ConnectionAbortedError("nobody reads") from error
            raise
        self._stalled_since = None
        return sent

    def close(self) -> None:
        self._socket.close()


class Packets(Packetizer):
    """For `paramiko.Transport(packetizer_class=...)`."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(_Patient(sock))  # type: ignore[arg-type]
        self._greeting_bytes = 0
        self._greeting_until = time.monotonic() + GREETING_S

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > LONGEST_PACKET:
            raise paramiko.SSHException("a packet without end")
        return super().read_all(n, check_rekey)

    def _read_timeout(self, timeout: float) -> bytes:
        """A piece of what comes before the first packet."""
        left = self._greeting_until - time.monotonic()
        if left <= 0 or self._greeting_bytes > LONGEST_GREETING:
            raise paramiko.SSHException("a greeting without end")
        piece: bytes = super()._read_timeout(min(timeout, left))  # type: ignore[misc]
        self._greeting_bytes += len(piece)
        return piece

    def close(self) -> None:
        # The timer of a handshake that failed would keep its thread for another 15 s.
        timer = getattr(self, "_Packetizer__timer", None)
        if timer is not None:
            timer.cancel()
        super().close()
