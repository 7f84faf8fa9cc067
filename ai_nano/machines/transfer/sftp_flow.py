"""Many SFTP requests under way on one channel, in one thread that never waits for sending without also listening.

What happens to one file is a coroutine that is written as if it were alone; `Flow.run` drives many of them side by side,
sends what they ask and hands them the answers. Of paramiko only public names are used: its channel. The packets
(draft-ietf-secsh-filexfer-02) are made and read here, because SFTPClient waits inside `send` while nobody reads, fills up
with zeros what a machine cuts short, and drops the answers to an object that nobody holds.
"""

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, Generic, TypeVar

import paramiko

from ai_nano.core.answers import Nonsense
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError

T = TypeVar("T")

SILENCE_S = 20.0
AT_ONCE = 64
# How long a cancel may go unnoticed, and how soon room on the network is noticed where no answer tells of it.
_WAIT_S = 0.05
_WAIT_FOR_ROOM_S = 0.01
# What fits into one SSH packet of 32 KiB beside its header.
_PIECE = 32_700
_SMALLEST_PIECE = 4096
_RECEIVE = 1 << 18
# Answers: OpenSSH's largest have 256 KiB. What a machine says beside them (stderr) is thrown away.
_LONGEST_PACKET = 1 << 20
_MOST_CHATTER = 1 << 20


class Answer:
    """What came back on one request. The getters read on, and raise Nonsense where it ends too early."""

    def __init__(self, kind: int, data: bytes) -> None:
        self.kind = kind
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._at:self._at + count]
        if len(taken) < count:
            raise Nonsense("a packet is cut short")
        self._at += count
        return taken

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def string(self) -> bytes:
        return self.take(self.u32())


class _Wait:
    """Something that one coroutine waits for."""

    def __init__(self) -> None:
        self.done = False
        self.waiter: _Task | None = None

    def until_done(self) -> Generator["_Wait", None, None]:
        while not self.done:
            yield self

    def __await__(self) -> Generator["_Wait", None, None]:
        return self.until_done()


class Reply(Generic[T]):
    """A request under way; awaiting gives what `read` makes of the answer, or raises what it raises.

    One that is never awaited is read all the same, and forgotten: `read` may do what is to be done.
    """

    def __init__(self, read: Callable[[Answer], T]) -> None:
        self._read = read
        self._wait = _Wait()
        self._value: list[T] = []
        self._error: Exception | None = None

    @property
    def done(self) -> bool:
        return self._wait.done

    def arrived(self, answer: Answer) -> _Wait:
        try:
            self._value.append(self._read(answer))
        except Nonsense:
            raise
        except Exception as error:
            self._error = error
        return self._wait

    @property
    def value(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value[0]

    def __await__(self) -> Generator[_Wait, None, T]:
        yield from self._wait.until_done()
        return self.value


class _Task(_Wait):
    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        super().__init__()
        self.coroutine = coroutine
        self.result: Any = None


class Budget:
    """So many bytes (or turns) may be under way; who wants more waits, first come, first served."""

    def __init__(self, flow: "Flow", size: int) -> None:
        self._flow, self._free = flow, size
        self._queue: deque[tuple[int, _Wait]] = deque()

    async def take(self, count: int = 1) -> None:
        if self._queue or self._free < count:
            wait = _Wait()
            self._queue.append((count, wait))
            await wait
        else:
            self._free -= count

    def give(self, count: int = 1) -> None:
        self._free += count
        while self._queue and self._queue[0][0] <= self._free:
            wanted, wait = self._queue.popleft()
            self._free -= wanted
            self._flow.finish(wait)


class Flow:
    """One channel's requests. Raises MachineError `machine.lost`, Cancelled, Nonsense, and what the coroutines raise."""

    def __init__(self, channel: paramiko.Channel, machine: str, cancel: CancelToken) -> None:
        self._channel, self._machine, self._cancel = channel, machine, cancel
        self._out, self._in = bytearray(), bytearray()
        self._under_way: dict[int, Reply[Any]] = {}
        self._number = 0
        self._silent_s = 0.0
        self._chatter = 0
        self._ready: deque[_Task] = deque()
        self._tasks: set[_Task] = set()
        # Through a jump host a channel lies within a channel; the socket below them all is the network.
        self._channels = [channel]
        below: object = channel.get_transport().sock
        while isinstance(below, paramiko.Channel):
            self._channels.append(below)
            below = below.get_transport().sock
        self._socket = below if isinstance(below, socket.socket) else None
        self._selector = selectors.DefaultSelector()
        try:
            if self._socket is not None:
                self._selector.register(self._socket, selectors.EVENT_WRITE)
        except (OSError, ValueError) as error:  # closed meanwhile
            self._selector.close()
            raise self._lost() from error

    def close(self) -> None:
        self._selector.close()

    # ---- coroutines --------------------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Drive `work` and what it starts until it ends; an error of any of them ends all. May be called again."""
        main = self._start(work)
        try:
            while True:
                self._cancel.check()
                while self._ready:
                    self._step(self._ready.popleft())
                if main.done:
                    result: T = main.result
                    return result
                self._exchange()
        finally:
            for task in list(self._tasks):
                task.coroutine.close()
            self._tasks.clear()
            self._ready.clear()
            for number in self._under_way:  # still to come, of interest to nobody
                self._under_way[number] = Reply(lambda answer: None)

    async def gather(self, works: Iterable[Coroutine[Any, Any, T]], at_once: int = AT_ONCE) -> list[T]:
        """The results in order. `works` is a generator: what is not begun yet then does not exist yet."""
        results: dict[int, T] = {}
        numbered = enumerate(works)

        async def worker() -> None:
            for number, work in numbered:
                results[number] = await work

        for task in [self._start(worker()) for _ in range(at_once)]:
            await task
        return [results[number] for number in sorted(results)]

    def check(self) -> None:
        """For long work between two requests. Raises Cancelled."""
        self._cancel.check()

    def finish(self, wait: _Wait) -> None:
        wait.done = True
        if wait.waiter is not None:
            self._ready.append(wait.waiter)

    def _start(self, work: Coroutine[Any, Any, Any]) -> _Task:
        task = _Task(work)
        self._tasks.add(task)
        self._ready.append(task)
        return task

    def _step(self, task: _Task) -> None:
        try:
            task.coroutine.send(None).waiter = task
        except StopIteration as end:
            self._tasks.discard(task)
            task.result = end.value
            self.finish(task)

    # ---- packets -----------------------------------------------------------------------------------------------------

    def ask(self, kind: int, body: bytes, read: Callable[[Answer], T]) -> Reply[T]:
        """Queue a request. Requests for the same file are answered as if one came after the other (6.1 of the draft)."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        reply = self._under_way[self._number] = Reply(read)
        self._out += (len(body) + 5).to_bytes(4, "big") + bytes((kind,)) + self._number.to_bytes(4, "big") + body
        return reply

    def _exchange(self) -> None:
        """Send one piece if the network takes it now, and read what is there; wait when neither is possible."""
        assert self._under_way or self._out, "nothing is under way, and somebody waits"
        room = self._room() if self._out else 0
        try:
            if room:
                sent = self._channel.send(bytes(self._out[:room]))
                if sent <= 0:
                    raise self._lost()
                del self._out[:sent]
                if not self._channel.recv_ready():
                    return
            self._receive()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._lost() from error

    def _room(self) -> int:
        """How many bytes can be sent just now without waiting for the network; cancel and silence are noticed then.

        Linux says "writable" from a third of the socket's buffer on, so a quarter always fits. Where the channel is closed,
        there is room: sending then says so.
        """
        if not all(channel.send_ready() for channel in self._channels):
            return 0
        if self._socket is None:
            return _PIECE
        if not self._selector.select(0):
            return 0
        try:
            buffer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        except OSError as error:
            raise self._lost() from error
        return min(_PIECE, max(_SMALLEST_PIECE, buffer // 4))

    def _receive(self) -> None:
        self._drop_chatter()
        self._channel.settimeout(_WAIT_FOR_ROOM_S if self._out else _WAIT_S)
        began = time.monotonic()
        try:
            data = self._channel.recv(_RECEIVE)
        except TimeoutError:
            data = None
        waited = time.monotonic() - began
        if data == b"":
            raise self._lost()
        if data is None or not self._read_packets(data):
            # Bytes that never make a packet are silence too.
            self._silent_s += waited
            if self._silent_s > SILENCE_S:
                # Whoever tries again shall not wait for this connection once more.
                self._channel.get_transport().close()
                raise self._lost()

    def _read_packets(self, data: bytes) -> bool:
        """Whether there was a whole one."""
        self._in += data
        found = False
        while len(self._in) >= 4:
            length = int.from_bytes(self._in[:4], "big")
            if not 5 <= length <= _LONGEST_PACKET:
                raise Nonsense("the length of a packet")
            if len(self._in) < 4 + length:
                break
            packet = bytes(self._in[4:4 + length])
            del self._in[:4 + length]
            reply = self._under_way.pop(int.from_bytes(packet[1:5], "big"), None)
            if reply is None:
                raise Nonsense("an answer that nobody asked for")
            self.finish(reply.arrived(Answer(packet[0], packet[5:])))
            self._silent_s, found = 0.0, True
        return found

    def _drop_chatter(self) -> None:
        while self._channel.recv_stderr_ready():
            self._chatter += len(self._channel.recv_stderr(_RECEIVE))
            if self._chatter > _MOST_CHATTER:
                raise Nonsense("standard error without end")

    def _lost(self) -> MachineError:
        return MachineError("machine.lost", machine=self._machine)
