"""A TCP link between two programs of this computer that is as slow, as far and as unreliable as a test wants.

    with Link("127.0.0.1", sshd_port, rate_bits_s=100e6, round_trip_s=0.02) as link:
        connect("127.0.0.1", link.port)
        link.cut()

What it is: a process that accepts on 127.0.0.1 and passes bytes on. Each direction is one wire that all connections share:
bytes leave at `rate_bits_s`, arrive half a round trip later, and wait before the wire in a queue of at most `queue_bytes`
(256 KiB unless told, 21 ms at 100 Mbit/s); then the sender's own TCP has to wait. A new connection reaches the other side
after one and a half round trips, as TCP's handshake does. What it is not: it loses no packets, has no slow start, and counts
payload, not headers. A process of its own (link_router.py), so that a test's Python and the link do not wait for each other.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

QUEUE_BYTES = 256 << 10
_ANSWER_S = 10.0
_ROUTER = Path(__file__).with_name("link_router.py")


@dataclass(frozen=True)
class Traffic:
    """What has come out of the link. `up` is towards (host, port), in bytes; `connections` were ever made, `open` are now;
    `cut_at` is when a cut last broke one, by time.monotonic()."""

    up: int
    down: int
    connections: int
    open: int
    cut_at: float | None


class Link:
    """Constructing starts nothing. Every method may be called from any thread while the link is in use."""

    def __init__(self, host: str, port: int, rate_bits_s: float | None = None, round_trip_s: float = 0.0,
                 queue_bytes: int = QUEUE_BYTES) -> None:
        self.host = "127.0.0.1"
        self.port = 0  # known once it is open
        self._options = {"host": host, "port": port, "rate_bits_s": rate_bits_s, "round_trip_s": round_trip_s,
                         "queue_bytes": queue_bytes}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Link:
        # -I -S: it needs the standard library alone, and starts in a third of the time.
        self._process = subprocess.Popen([sys.executable, "-I", "-S", str(_ROUTER), json.dumps(self._options)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        try:
            self.port = self._answer()["port"]
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """All connections end by RST."""
        process, self._process = self._process, None
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_ANSWER_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def cut(self, unseen: bool = False) -> None:
        """RST to both ends of all connections; new ones are accepted. `unseen`: only the near end hears of it, as when a
        laptop leaves the network; the far end's connection stays, silent, as long as the link."""
        self._do("cut", unseen=unseen)

    def cut_after(self, count: int, unseen: bool = False) -> None:
        """As `cut`, once, when exactly `count` more bytes have come out, of both directions and all connections; the last
        of them may get no further than the receiver's TCP."""
        self._do("cut_after", count=count, unseen=unseen)

    def pace(self, rate_bits_s: float | None, round_trip_s: float = 0.0) -> None:
        """From now on this fast and this far."""
        self._do("pace", rate_bits_s=rate_bits_s, round_trip_s=round_trip_s)

    def freeze(self) -> None:
        """Nothing moves, nothing closes. A new connection is accepted by the system and hears nothing."""
        self._do("freeze")

    def thaw(self) -> None:
        """On as if no time had passed."""
        self._do("thaw")

    def down(self) -> None:
        """Cuts all connections and refuses new ones."""
        self._do("down")

    def up(self) -> None:
        self._do("up")

    @property
    def traffic(self) -> Traffic:
        return Traffic(**self._do("traffic"))

    def _do(self, what: str, **params: Any) -> dict[str, Any]:
        with self._lock:
            process = self._process
            assert process is not None and process.stdin is not None, "the link is closed"
            process.stdin.write(json.dumps({"do": what, **params}).encode() + b"\n")
            return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        output, line, deadline = self._process.stdout.fileno(), b"", time.monotonic() + _ANSWER_S
        while not line.endswith(b"\n"):
            if not select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the link's process does not answer")
            block = os.read(output, 4096)
            if not block:
                raise RuntimeError("the link's process has ended")
            line += block
        answer: dict[str, Any] = json.loads(line)
        return answer
