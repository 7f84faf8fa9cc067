"""The process of a Link (link.py), which passes the bytes on. It needs the standard library alone.

Argument: the options as JSON. It says {"port": n}, then takes an order a line, {"do": name of a method of Link, ...}, and
answers each with a line; it ends with its standard input.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

# Of what a wire without a rate holds, a connection may have so much; with one it is a bandwidth-delay product and a queue.
WINDOW_BYTES = 8 << 20
# Ethernet's, not the 64 kB of loopback: the sender's buffer in the kernel is then no larger than on a real network.
SEGMENT_BYTES = 1448
# What is sent in one go: small against a round trip, large against what Python needs for it.
QUANTUM_S = 0.0005


class _Wire:
    """One direction: when what is sent now will arrive. Times are the link's, which stand still while it is frozen."""

    def __init__(self, rate_bits_s: float | None, round_trip_s: float, queue_bytes: int) -> None:
        self._queue_bytes = queue_bytes
        self._free_at = 0.0
        self.under_way: deque[tuple[float, _Flow, bytes | None]] = deque()
        self.arrived = 0
        self.pace(rate_bits_s, round_trip_s)

    def pace(self, rate_bits_s: float | None, round_trip_s: float) -> None:
        self._bytes_s = rate_bits_s / 8 if rate_bits_s else None
        self._delay_s = round_trip_s / 2
        self._queue_s = self._queue_bytes / self._bytes_s if self._bytes_s else 0.0
        self.chunk = max(SEGMENT_BYTES, int(self._bytes_s * QUANTUM_S)) if self._bytes_s else 1 << 16
        self.window = int(self._bytes_s * round_trip_s) + self._queue_bytes if self._bytes_s else WINDOW_BYTES

    def room_at(self) -> float:
        """From when on the queue takes another chunk."""
        return self._free_at - self._queue_s if self._bytes_s else 0.0

    def send(self, flow: _Flow, data: bytes | None, now: float) -> None:
        """`data`: b"" is the end of the stream, None its break."""
        self._free_at = max(now, self._free_at) + (len(data or b"") / self._bytes_s if self._bytes_s else 0.0)
        arrival = self._free_at + self._delay_s
        if self.under_way:  # nothing overtakes, also where the link has become faster
            arrival = max(arrival, self.under_way[-1][0])
        self.under_way.append((arrival, flow, data))


class _Flow:
    """One direction of one connection. `unread`: arrived, but the receiver's buffers are full."""

    def __init__(self, connection: _Connection, wire: _Wire) -> None:
        self.connection = connection
        self.wire = wire
        self.source: socket.socket | None = None
        self.sink: socket.socket | None = None
        self.unread: deque[bytes] = deque()
        self.outstanding = 0
        self.last_read = 0.0
        self.read_to_end = False
        self.ended = False


class _Connection:
    """`speaks_at`: when the near end would be connected; `reaches_at`: when the far end would know."""

    def __init__(self, near: socket.socket, up: _Wire, down: _Wire, now: float, round_trip_s: float) -> None:
        self.near = near
        self.far: socket.socket | None = None
        self.connected = False
        self.speaks_at, self.reaches_at = now + round_trip_s, now + 1.5 * round_trip_s
        self.up, self.down = _Flow(self, up), _Flow(self, down)
        self.up.source = self.down.sink = near

    @property
    def flows(self) -> tuple[_Flow, _Flow]:
        return self.up, self.down


class _Router:
    def __init__(self, host: str, port: int, rate_bits_s: float | None, round_trip_s: float, queue_bytes: int) -> None:
        self._target = (host, port)
        self._round_trip_s = round_trip_s
        self._wires = [_Wire(rate_bits_s, round_trip_s, queue_bytes) for _ in range(2)]
        self._connections: list[_Connection] = []
        self._ghosts: list[socket.socket] = []
        self._made = 0
        self._left: int | None = None  # bytes until a cut
        self._left_unseen = False
        self._cut_at: float | None = None
        self._frozen_at: float | None = None
        self._lost_s = 0.0
        with _socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._listener: socket.socket | None = self._listen()

    def _listen(self) -> socket.socket:
        listener = _socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        return listener

    def _now(self) -> float:
        return (time.monotonic() if self._frozen_at is None else self._frozen_at) - self._lost_s

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until standard input ends."""
        control, commands = sys.stdin.fileno(), b""
        while True:
            readers, writers, timeout = self._wants()
            readable, writable, _ = select.select([control, *readers], writers, [], timeout)
            if control in readable:
                block = os.read(control, 65536)
                if not block:
                    break
                *lines, commands = (commands + block).split(b"\n")
                for line in lines:
                    _say(self._obey(**json.loads(line)))
            elif self._frozen_at is None:
                self._move(set(readable), set(writable))
        self._cut()
        for ghost in self._ghosts:
            _reset(ghost)

    def _wants(self) -> tuple[list[socket.socket], list[socket.socket], float | None]:
        """Sockets to read from and to write to, and for how many seconds at most."""
        if self._frozen_at is not None:
            return [], [], None
        now = self._now()
        readers = [self._listener] if self._listener else []
        writers: list[socket.socket] = []
        wakes = [wire.under_way[0][0] for wire in self._wires if wire.under_way]
        for connection in self._connections:
            if connection.far is None:
                wakes.append(connection.reaches_at)
            elif not connection.connected:
                writers.append(connection.far)
            for flow in connection.flows:
                if flow.unread and flow.sink is not None and connection.connected:
                    writers.append(flow.sink)
                if not self._may_read(flow):
                    continue
                at = max(flow.wire.room_at(), connection.speaks_at)
                if at > now:
                    wakes.append(at)
                elif flow.source is not None:
                    readers.append(flow.source)
        return readers, writers, max(0.0, min(wakes) - now) if wakes else None

    @staticmethod
    def _may_read(flow: _Flow) -> bool:
        known = flow.source is not None and (flow.source is flow.connection.near or flow.connection.connected)
        return known and not flow.read_to_end and flow.outstanding < flow.wire.window

    def _move(self, readable: set[Any], writable: set[Any]) -> None:
        now = self._now()
        if self._listener in readable:
            self._accept(now)
        for connection in self._connections[:]:
            if connection.far is None and connection.reaches_at <= now:
                self._reach(connection)
            elif not connection.connected and connection.far in writable:
                self._reached(connection)
        for wire in self._wires:
            while wire.under_way and wire.under_way[0][0] <= now:
                _, flow, data = wire.under_way.popleft()
                self._deliver(flow, data)
        flows = [flow for connection in self._connections for flow in connection.flows]
        for flow in flows:
            if flow.unread and flow.sink in writable:
                self._drain(flow)
        # The queue often has room for one chunk only: it is for whoever has waited longest.
        for flow in sorted(flows, key=lambda flow: flow.last_read):
            if flow.source in readable and self._may_read(flow) and flow.wire.room_at() <= now:
                self._read(flow, now)

    def _accept(self, now: float) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):  # hung up already
            near, _ = self._listener.accept()
            near.setblocking(False)
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(_Connection(near, self._wires[0], self._wires[1], now, self._round_trip_s))
            self._made += 1

    def _reach(self, connection: _Connection) -> None:
        far = connection.far = _socket()
        connection.up.sink = connection.down.source = far
        far.setblocking(False)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if far.connect_ex(self._target) not in (0, errno.EINPROGRESS):
            self._break(connection)

    def _reached(self, connection: _Connection) -> None:
        assert connection.far is not None
        if connection.far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._break(connection)
            return
        connection.connected = True
        self._drain(connection.up)

    def _read(self, flow: _Flow, now: float) -> None:
        assert flow.source is not None
        data: bytes | None
        flow.last_read = now
        try:
            data = flow.source.recv(flow.wire.chunk)
        except BlockingIOError:
            return
        except OSError:
            data = None
        flow.read_to_end = not data
        flow.outstanding += len(data or b"")
        flow.wire.send(flow, data, now)

    def _deliver(self, flow: _Flow, data: bytes | None) -> None:
        if flow.connection not in self._connections:
            return
        if data is None:
            self._break(flow.connection)
        else:
            flow.unread.append(data)
            self._drain(flow)

    def _drain(self, flow: _Flow) -> None:
        if flow.sink is None or not flow.connection.connected:
            return
        while flow.unread and flow.connection in self._connections:
            data = flow.unread[0] if self._left is None else flow.unread[0][:self._left]
            try:
                if not flow.unread[0]:
                    flow.sink.shutdown(socket.SHUT_WR)
                count = flow.sink.send(data) if data else 0
            except BlockingIOError:
                return
            except OSError:
                self._break(flow.connection)
                return
            flow.wire.arrived += count
            flow.outstanding -= count
            flow.ended = not flow.unread[0]
            if count == len(flow.unread[0]):
                flow.unread.popleft()
            else:
                flow.unread[0] = flow.unread[0][count:]
            if self._left is not None:
                self._left -= count
                if self._left <= 0:
                    self._cut(self._left_unseen)
                    return
        if all(one.ended for one in flow.connection.flows) and flow.connection in self._connections:
            self._connections.remove(flow.connection)
            for end in _ends(flow.connection):
                end.close()

    def _break(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            for end in _ends(connection):
                _reset(end)

    # ---- orders ------------------------------------------------------------------------------------------------------

    def _obey(self, do: str, **params: Any) -> dict[str, Any]:
        """`do` is the name of a method of Link."""
        orders: dict[str, Callable[..., dict[str, Any] | None]] = {
            "cut": self._cut, "cut_after": self._cut_after, "pace": self._pace, "freeze": self._freeze, "thaw": self._thaw,
            "down": self._down, "up": self._up, "traffic": self._traffic}
        return orders[do](**params) or {}

    def _cut(self, unseen: bool = False) -> None:
        self._left = None
        if self._connections:
            self._cut_at = time.monotonic()
        for connection in self._connections[:]:
            if unseen and connection.far is not None:
                self._ghosts.append(connection.far)
                connection.far = None
            self._break(connection)
        for wire in self._wires:
            wire.under_way.clear()

    def _cut_after(self, count: int, unseen: bool) -> None:
        self._left, self._left_unseen = count, unseen

    def _pace(self, rate_bits_s: float | None, round_trip_s: float) -> None:
        self._round_trip_s = round_trip_s
        for wire in self._wires:
            wire.pace(rate_bits_s, round_trip_s)

    def _freeze(self) -> None:
        if self._frozen_at is None:
            self._frozen_at = time.monotonic()

    def _thaw(self) -> None:
        if self._frozen_at is not None:
            self._lost_s += time.monotonic() - self._frozen_at
            self._frozen_at = None

    def _down(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._cut()

    def _up(self) -> None:
        if self._listener is None:
            self._listener = self._listen()

    def _traffic(self) -> dict[str, Any]:
        up, down = self._wires
        return {"up": up.arrived, "down": down.arrived, "connections": self._made, "open": len(self._connections),
                "cut_at": self._cut_at}


def _socket() -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    return made


def _ends(connection: _Connection) -> Iterator[socket.socket]:
    yield connection.near
    if connection.far is not None:
        yield connection.far


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def main(argv: list[str]) -> None:
    router = _Router(**json.loads(argv[0]))
    _say({"port": router.port})
    router.run()


if __name__ == "__main__":
    main(sys.argv[1:])
