"""What lies below an SSH connection: a socket, or a channel of the jump host's connection; and whether it still lives."""

import contextlib
import logging
import socket
import sys
import threading
from typing import Any

import paramiko

from ai_nano.machines import reach

# A machine that was silent for this long is asked something that it has to answer, which also keeps a NAT's memory fresh.
KEEPALIVE_S = 10.0
# Silent for this long, the answer included, it is given up.
DEAD_S = 30.0

log = logging.getLogger(__name__)


class Link:
    """A socket for paramiko, which counts what comes and gives paramiko again what was read of the greeting."""

    def __init__(self, wire: socket.socket | paramiko.Channel) -> None:
        self._wire = wire
        self._read_before = b""
        self.blocks = 0  # received so far: it stands still while the other side is silent

    def greeting(self, timeout_s: float) -> reach.Greeting:
        greeting = reach.read_greeting(self._wire, timeout_s)
        self._read_before += greeting.said
        return greeting

    def hang_up(self) -> None:
        """From any thread: whoever reads wakes up."""
        if isinstance(self._wire, socket.socket):
            # Closing alone would not wake a thread that reads from it.
            with contextlib.suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)
        else:
            self._wire.close()

    # ---- what paramiko calls -----------------------------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        if self._read_before:
            block, self._read_before = self._read_before[:size], self._read_before[size:]
        else:
            block = self._wire.recv(size)
        self.blocks += 1
        return block

    def send(self, data: bytes) -> int:
        return self._wire.send(data)

    def settimeout(self, seconds: float | None) -> None:
        self._wire.settimeout(seconds)

    def close(self) -> None:
        self._wire.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)


def tune(sock: socket.socket) -> None:
    """No waiting for full packets, and a kernel that gives up a machine of which nothing is heard, as far as it can do that.

    paramiko does not ask for the first: many small SFTP packets would each wait for the other side's delayed ACK (facts:
    2.7 MB/s without, 123 MB/s with it, on loopback).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    seconds = {"TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE": KEEPALIVE_S,
               "TCP_KEEPINTVL": KEEPALIVE_S / 2, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 1000 * DEAD_S}
    for name, value in seconds.items():
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), max(1, round(value)))


def watch(transport: paramiko.Transport, link: Link, machine: str) -> None:
    """Close the connection when the machine is silent for DEAD_S. For a logged-in connection; ends with it.

    The kernel's time-out alone does not help where something between us and the machine acknowledges what nobody reads, nor
    behind a jump host.
    """
    threading.Thread(target=_watch, args=(transport, link, machine), name=f"watch-{machine}", daemon=True).start()


def _watch(transport: paramiko.Transport, link: Link, machine: str) -> None:
    asking: threading.Thread | None = None
    heard, silent_s = link.blocks, 0.0
    tick_s = min(1.0, KEEPALIVE_S / 4)
    while transport.is_active():
        transport.join(tick_s)
        # Ticks, not a clock: after a laptop has slept, what arrived meanwhile must be read before anything is judged.
        silent_s = silent_s + tick_s if link.blocks == heard else 0.0
        heard = link.blocks
        if silent_s >= DEAD_S:
            log.info("nothing was heard of %s for %.0f s", machine, silent_s)
            transport.close()
        elif silent_s >= KEEPALIVE_S and (asking is None or not asking.is_alive()):
            # In a thread of its own: it waits for the answer, and to send it may wait for who fills a dead socket.
            asking = threading.Thread(target=_ask, args=(transport,), name=f"ask-{machine}", daemon=True)
            asking.start()


def _ask(transport: paramiko.Transport) -> None:
    # No server knows this request; each has to refuse it (RFC 4254, 4).
    with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
        transport.global_request("keepalive@openssh.com", wait=True)
