"""One file over SFTP: sent into its part from where that ends, read back and compared, or fetched."""

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from paramiko import sftp as protocol

from ai_nano.core.errors import WorkFailed
from ai_nano.machines.transfer.parcel import ATTEMPTS, Item, changed
from ai_nano.machines.transfer.sftp_calls import BLOCK, Remote, ignored
from ai_nano.machines.transfer.sftp_flow import Budget, Reply

# Sent and not acknowledged: more than a link of 100 Mbit/s and 20 ms holds (250 KB), little enough to be soon through a slow
# one. What is read back has its requests behind that, and then its own way.
SENDING_BYTES = 1 << 20
READING_BYTES = 2 * SENDING_BYTES
_BOTH_WAYS = protocol.SFTP_FLAG_READ | protocol.SFTP_FLAG_WRITE | protocol.SFTP_FLAG_CREATE


class Reading:
    """The bytes of an open file from its beginning on, with many requests ahead; `sink` gets each piece, in order."""

    def __init__(self, remote: Remote, budget: Budget, handle: bytes, sink: Callable[[bytes], object]) -> None:
        self._remote, self._budget, self._handle, self._sink = remote, budget, handle, sink
        self._replies: deque[Reply[None]] = deque()
        self._early: dict[int, bytes] = {}
        self._asked = self._arrived = 0
        self._ended = False

    async def ask(self, count: int) -> None:
        """For so many bytes more."""
        while count and not self._ended:
            some = min(BLOCK, count)
            await self._budget.take(some)
            self._request(self._asked, some)
            self._asked += some
            count -= some
            while self._replies[0].done:
                await self._replies.popleft()

    async def finish(self) -> int:
        """How many bytes there were: as many as were asked for, or fewer where the file is shorter."""
        while self._replies:
            await self._replies.popleft()
        return self._arrived

    def _request(self, offset: int, count: int) -> None:
        self._replies.append(self._remote.read(self._handle, offset, count, lambda data: self._take(offset, count, data)))

    def _take(self, offset: int, count: int, data: bytes) -> None:
        self._ended = self._ended or not data
        if self._ended:
            self._budget.give(count + sum(map(len, self._early.values())))
            self._early.clear()
            return
        if len(data) < count:
            self._request(offset + len(data), count - len(data))
        self._early[offset] = data
        while (piece := self._early.pop(self._arrived, None)) is not None:
            self._arrived += len(piece)
            self._budget.give(len(piece))
            self._sink(piece)


class Files:
    """Bodies go out one after the other; the next files are opened and the last ones read back meanwhile."""

    def __init__(self, remote: Remote, machine: str, folder: PurePosixPath, tell: Callable[[int, int], None],
                 flushes: bool = False) -> None:
        """`tell` gets the bytes acknowledged and the files whole, of those that `send` was called for.

        `flushes`: a file is whole when it is on the machine's disk.
        """
        self._remote, self._machine, self._folder, self._tell = remote, machine, folder, tell
        self._flushes = flushes
        self._sending = Budget(remote.flow, SENDING_BYTES)
        self._reading = Budget(remote.flow, READING_BYTES)
        self._turn = Budget(remote.flow, 1)
        self.acknowledged_bytes = self._whole = 0
        # Those of which something went over the network.
        self.sent: set[Item] = set()

    async def send(self, item: Item, offset: int) -> None:
        """From `offset` of its part on, until it lies there whole and the same. WorkFailed `transfer.differs`."""
        for _ in range(ATTEMPTS):
            if await self._send_once(item, offset):
                self._whole += 1
                self._tell(self.acknowledged_bytes, self._whole)
                return
            # What has to go once more has not arrived.
            self.acknowledged_bytes -= item.size - offset
            offset = 0
        raise WorkFailed("transfer.differs", machine=self._machine, file=item.source)

    async def digest(self, path: PurePosixPath, size: int) -> str | None:
        """SHA-256 of a file there; None when it is not to be read or has another size."""
        digest = hashlib.sha256()
        with ignored():
            handle = await self._remote.open(path, protocol.SFTP_FLAG_READ)
            status = self._remote.handle_status(handle)
            reading = Reading(self._remote, self._reading, handle, digest.update)
            await reading.ask(size)
            count = await reading.finish()
            self._remote.close(handle)
            if (await status).size == count == size:
                return digest.hexdigest()
        return None

    async def _send_once(self, item: Item, offset: int) -> bool:
        part = self._folder / item.path.parent / item.part_name
        flags = _BOTH_WAYS | (0 if offset else protocol.SFTP_FLAG_TRUNC)
        handle = await self._remote.open(part, flags)
        ours, theirs = hashlib.sha256(), hashlib.sha256()
        reading = Reading(self._remote, self._reading, handle, theirs.update)
        await self._turn.take()
        try:
            writes = await self._write(handle, item, offset, ours, reading)
        finally:
            self._turn.give()
        status = self._remote.handle_status(handle)
        count = await reading.finish()
        for reply in writes:
            await reply
        if (await status).size != item.size or count != item.size or ours.digest() != theirs.digest():
            self._remote.close(handle)
            await self._remote.remove_files([part])
            return False
        if self._flushes:
            await self._remote.flush(handle)
        time, closed = self._remote.set_time(handle, item.mtime), self._remote.close(handle)
        with ignored(protocol.SFTP_NO_SUCH_FILE):  # taken away from below us
            await self._remote.move(part, self._folder / item.path)
            await time
            await closed
            return True
        return False

    async def _write(self, handle: bytes, item: Item, offset: int, digest: Any, reading: Reading) -> deque[Reply[None]]:
        """Send, and ask at once for what was sent: what is asked of one file is answered in order.

        Returns the requests that are under way still. WorkFailed `transfer.changed` where the file here is another by now.
        """
        writes: deque[Reply[None]] = deque()
        try:
            with item.source.open("rb") as stream:
                self._check(stream, item)
                for at in range(0, item.size, BLOCK):
                    self._remote.flow.check()
                    data = stream.read(min(BLOCK, item.size - at))
                    if len(data) < min(BLOCK, item.size - at):
                        raise changed(self._machine, item)
                    digest.update(data)
                    if at + len(data) > offset:
                        await self._write_block(handle, max(at, offset), data[max(0, offset - at):], writes)
                    await reading.ask(len(data))
                self._check(stream, item)
        except OSError as error:
            raise changed(self._machine, item) from error
        if offset < item.size or not item.size:
            self.sent.add(item)
        return writes

    async def _write_block(self, handle: bytes, offset: int, data: bytes, writes: deque[Reply[None]]) -> None:
        await self._sending.take(len(data))
        while writes and writes[0].done:
            await writes.popleft()

        def acknowledged() -> None:
            self._sending.give(len(data))
            self.acknowledged_bytes += len(data)
            self._tell(self.acknowledged_bytes, self._whole)

        writes.append(self._remote.write(handle, offset, data, acknowledged))

    def _check(self, stream: BinaryIO, item: Item) -> None:
        status = os.fstat(stream.fileno())
        if (status.st_size, int(status.st_mtime)) != (item.size, item.mtime):
            raise changed(self._machine, item)


async def fetch(remote: Remote, machine: str, source: PurePosixPath, out: BinaryIO, limit: int) -> None:
    """A file there into an open one here. WorkFailed `transfer.too_large`, `transfer.cut`, `transfer.refused`."""
    handle = await remote.open(source, protocol.SFTP_FLAG_READ)
    status = await remote.handle_status(handle)
    if not status.is_file:
        raise WorkFailed("transfer.refused", machine=machine, reason=os.strerror(errno.EISDIR))
    if status.size > limit:
        raise WorkFailed("transfer.too_large", machine=machine, file=source, size=status.size, limit=limit)
    reading = Reading(remote, Budget(remote.flow, READING_BYTES), handle, out.write)
    await reading.ask(status.size)
    arrived = await reading.finish()
    if arrived < status.size:
        raise WorkFailed("transfer.cut", machine=machine, file=source, arrived=arrived, size=status.size)
    await remote.close(handle)
