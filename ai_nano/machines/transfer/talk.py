"""A conversation with shared/transfer.py on another machine: lines both ways, and a stream beside them."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from ai_nano.core import answers
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import MachineError, WorkFailed
from ai_nano.core.figures import amount
from ai_nano.core.wire import check_version
from ai_nano.machines.channel import Channel
from ai_nano.machines.transfer.parcel import BLOCK

# The other side says something every second, and takes something as long as the network does.
SILENCE_S = 20.0
POLL_S = 0.1
LAST_WORDS_S = 2.0

Message = Mapping[str, Any]


class StreamChannel(Channel, Protocol):
    def write_some(self, data: bytes | memoryview, timeout: float) -> int:
        """How many bytes were taken; 0 when the other side took none in time."""


class Talk:
    """A conversation with transfer.py. MachineError `machine.lost` when it breaks off."""

    def __init__(self, channel: StreamChannel, machine: str, cancel: CancelToken) -> None:
        self._channel = channel
        self._machine = machine
        self._cancel = cancel
        self._heard = time.monotonic()
        self._polled = 0.0
        self._early: Message | None = None
        self.on_received: Callable[[int, int], None] = lambda sent, files: None

    def send(self, data: bytes) -> None:
        """What the other side says meanwhile is heard."""
        view = memoryview(data)
        while view:
            self._cancel.check()
            try:
                taken = self._channel.write_some(view, POLL_S)
            except MachineError:
                self._last_words()
                raise
            now = time.monotonic()
            if taken:
                self._heard = now
                view = view[taken:]
            if taken == 0 or now - self._polled >= POLL_S:
                self._polled = now
                self._listen(0.0)

    def end(self) -> None:
        self._channel.close_stdin()

    def expect(self, kind: str) -> Message:
        """The next message of that type; what is received meanwhile is told."""
        while self._early is None:
            self._cancel.check()
            self._listen(POLL_S)
        message, self._early = self._early, None
        if message.get("type") != kind:
            raise self.nonsense()
        return message

    def content(self, size: int) -> Iterator[bytes]:
        while size > 0:
            self._cancel.check()
            block = self._channel.read(min(size, BLOCK), POLL_S)
            if block is None:
                self._check_silence()
                continue
            if not block:
                raise self._lost()
            self._heard = time.monotonic()
            size -= len(block)
            yield block

    def nonsense(self) -> MachineError:
        return MachineError("machine.nonsense", machine=self._machine)

    def _last_words(self) -> None:
        """The program has ended: what it said before, an error above all, counts for more than the broken pipe."""
        deadline = time.monotonic() + LAST_WORDS_S
        while time.monotonic() < deadline:
            self._listen(POLL_S)

    def _lost(self) -> MachineError:
        return MachineError("machine.lost", machine=self._machine)

    def _check_silence(self) -> None:
        if time.monotonic() - self._heard > SILENCE_S:
            raise self._lost()

    def _listen(self, timeout: float) -> None:
        """One line, if one comes in time. An error ends the transfer, whatever is being written."""
        line = self._channel.readline(timeout)
        if line is None:
            self._check_silence()
            return
        if not line.endswith(b"\n"):
            raise self._ended(line)
        self._heard = time.monotonic()
        with answers.reading(self._machine):
            message = answers.decode(line)
            check_version(message, self._machine)
            match answers.text(message, "type"):
                case "received":
                    self.on_received(answers.count(message, "bytes"), answers.count(message, "files"))
                case "alive":
                    pass
                case "error":
                    raise self._refused(message)
                case _:
                    self._early = message

    def _refused(self, message: Message) -> WorkFailed:
        """Raises Nonsense."""
        code, params = answers.code(message), answers.params(message)
        if code == "transfer.no_space":
            counts = {key: answers.count(params, f"{key}_bytes") for key in ("needed", "free")}
            params = {**params, **{key: amount(count, "bytes") for key, count in counts.items()}}
        return answers.told(code, params, self._machine)

    def _ended(self, rest: bytes) -> MachineError:
        """The program ended without a word: it was never there, or died, or the connection did."""
        status, errors = self._channel.finish()
        details = [answers.shown(one) for one in errors.strip().splitlines()[-10:]]
        if status in (126, 127):
            return MachineError("machine.no_python", machine=self._machine, details=details)
        if status == -1:
            return self._lost()
        return MachineError("machine.no_answer", machine=self._machine, status=status, details=details)
