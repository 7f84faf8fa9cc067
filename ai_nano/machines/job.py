"""A detached program on a machine, followed over a channel from a byte offset, across lost connections."""

import contextlib
import json
import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ai_nano.core import answers, wire
from ai_nano.core.cancel import CancelToken
from ai_nano.core.errors import ContactLost, Detached, HostKeyError, MachineError, WorkFailed
from ai_nano.core.figures import amount
from ai_nano.core.ports import JobEnd, Picture
from ai_nano.core.room.ended import By
from ai_nano.core.watching import Watching
from ai_nano.core.wire import check_version
from ai_nano.machines import frames
from ai_nano.machines.channel import GREETING_BYTES, Channel
from ai_nano.machines.login import REFUSALS

# runner.py says something every second; ten of silence are a lost machine.
SILENCE_S = 10.0
LEASE_EVERY_S = 0.5
KEPT_LINES = 40
LAST_WORDS_S = 2.0
# What a cancelled job still says is heard for so long.
END_S = 30.0
PATIENCE_S = 20.0
# Between two attempts to reach a lost machine: the first one comes at once, and after a while there is time.
RETRY_S = 1.0
RETRY_LATER_S = 5.0
LATER_S = 60.0
# A refusal is not believed the first time: a connection that is cut during the login looks like one.
BELIEVED_AFTER = 3

log = logging.getLogger(__name__)


class Runner(Protocol):
    """How a job reaches runner.py on its machine."""

    name: str
    patience_s: float | None

    def runner(self, *words: str) -> Channel:
        """Start `runner.py ...` there. MachineError when the machine cannot be reached."""

    def runner_result(self, *words: str) -> Mapping[str, Any]:
        """Run it to its end and read its one line."""

    def doubt(self) -> None:
        """A channel has been silent for too long: see whether the connection is still one."""


class Job:
    """`leased`: the program ends by itself without a laptop, so that waiting for its machine is soon in vain."""

    # Whoever follows keeps the program alive (onlooker.py does not).
    renews_lease = True

    def __init__(self, runner: Runner, run_id: str, leased: bool = False) -> None:
        self.id = run_id
        self._runner = runner
        self._leased = leased
        self._commands: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._lost_since: float | None = None
        self._refused = 0
        self._on_contact: Callable[[bool], None] = _ignore
        # Where to go on: bytes, or words that runner.py knows.
        self._events_at: int | str = 0
        self._log_at: int | str = 0
        self._result: Mapping[str, Any] = {}
        self._error: tuple[str, Mapping[str, Any]] | None = None
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)

    def send(self, command: Mapping[str, Any]) -> None:
        self._commands.put(command)

    def cancel(self, by: By | None = None) -> bool:
        with answers.reading(self._runner.name):
            return answers.flag(self._runner.runner_result("cancel", self.id, *(by.words() if by else ())), "gone")

    def watch(self, on_picture: Callable[[Picture], None], cancel: CancelToken, watching: Watching | None = None,
              adaptive: bool = True) -> None:
        frames.watch(self._runner, self.id, on_picture, cancel, watching, adaptive)

    def follow(self, on_event: Callable[[Mapping[str, Any]], None], on_log: Callable[[str], None],
               cancel: CancelToken, on_contact: Callable[[bool], None] | None = None) -> JobEnd:
        self._on_contact = on_contact or _ignore
        self._lost_since = None
        asked_to_cancel = False
        until: float | None = None
        while True:
            try:
                if cancel.cancelled and not asked_to_cancel:
                    gone = self.cancel()
                    asked_to_cancel = True  # only now: a machine out of reach is asked again
                    until = time.monotonic() + END_S
                    if not gone:
                        raise WorkFailed("job.not_cancelled", machine=self._runner.name, run=self.id)
                end = self._follow_once(on_event, on_log, cancel if not asked_to_cancel else CancelToken(), until)
                if end is not None:
                    return end
                if cancel.detached:
                    raise Detached()
                if cancel.cancelled and not asked_to_cancel:
                    continue
                if until is not None and time.monotonic() >= until:
                    # It is gone, as the machine itself says; what it still has to say of it is not waited for.
                    return JobEnd("cancelled", last_lines=tuple(self._lines))
                raise MachineError("machine.lost", machine=self._runner.name)
            except MachineError as error:
                if cancel.detached:
                    raise Detached() from error
                if error.code == "machine.nonsense":
                    raise
                if until is not None and time.monotonic() >= until:
                    return JobEnd("cancelled", last_lines=tuple(self._lines))
                log.info("lost %s while following %s: %s", self._runner.name, self.id, error.code)
                self._lost(error, cancel)

    def _lost(self, error: MachineError, cancel: CancelToken) -> None:
        """Returns when it is time for the next attempt. ContactLost when there is none."""
        now = time.monotonic()
        first, self._lost_since = self._lost_since is None, self._lost_since or now
        self._on_contact(False)
        self._refused = self._refused + 1 if error.code in REFUSALS else 0
        hopeless = isinstance(error, HostKeyError) or self._refused >= BELIEVED_AFTER
        lost_s, patience_s = now - self._lost_since, self._patience_s
        if hopeless or (patience_s is not None and lost_s > patience_s):
            details = [error.what, error.hint] if hopeless else []
            raise ContactLost("job.lost", machine=self._runner.name, run=self.id, details=details) from error
        known, until = cancel.cancelled, now + (0 if first else RETRY_S if lost_s < LATER_S else RETRY_LATER_S)
        while time.monotonic() < until and cancel.cancelled == known and not cancel.detached:
            time.sleep(0.05)

    @property
    def _patience_s(self) -> float | None:
        patience_s = self._runner.patience_s
        return min(patience_s or PATIENCE_S, PATIENCE_S) if self._leased else patience_s

    def _heard(self) -> None:
        self._refused = 0
        if self._lost_since is not None:
            self._lost_since = None
            self._on_contact(True)

    def _follow_once(self, on_event: Callable[[Mapping[str, Any]], None], on_log: Callable[[str], None],
                     cancel: CancelToken, until: float | None = None) -> JobEnd | None:
        """One connection's worth. None when it broke, or when it is time to cancel or to let go, or `until` is over."""
        channel = self._runner.runner("follow", self.id, "--events", str(self._events_at), "--log", str(self._log_at))
        try:
            heard = leased = time.monotonic()
            clocks = _clocks()
            deaf_since: float | None = None
            greeting = 0

            def tell(message: Mapping[str, Any]) -> None:
                """What ended there may have said why: a message that cannot be written leaves a moment to hear it."""
                nonlocal deaf_since
                try:
                    channel.write(_line(message))
                except MachineError:
                    deaf_since = time.monotonic()

            if self.renews_lease:
                tell({"type": "lease"})
            while not cancel.cancelled and not cancel.detached:
                line = channel.readline(0.2)
                now = time.monotonic()
                if until is not None and now >= until:
                    return None
                if _clocks() - clocks > SILENCE_S:  # a lid that was closed: the connection has probably not outlived it
                    clocks = _clocks()
                    self._runner.doubt()
                if deaf_since is not None and now - deaf_since > LAST_WORDS_S:
                    return None
                if self.renews_lease and deaf_since is None and now - leased >= LEASE_EVERY_S:
                    tell({"type": "lease"})
                    leased = now
                while deaf_since is None and not self._commands.empty():
                    tell(self._commands.get())
                if line is None:
                    if now - heard > SILENCE_S:
                        self._runner.doubt()
                        return None
                    continue
                if not line.endswith(b"\n"):
                    return None
                if not line.startswith(b"{"):
                    greeting += len(line)  # a login's own
                    if greeting > GREETING_BYTES:
                        raise MachineError("machine.nonsense", machine=self._runner.name)
                    continue
                heard = now
                self._heard()
                with answers.reading(self._runner.name):
                    end = self._take(answers.decode(line), on_event, on_log)
                if end is not None:
                    return end
            return None
        finally:
            channel.close()

    def _take(self, message: Mapping[str, Any], on_event: Callable[[Mapping[str, Any]], None],
              on_log: Callable[[str], None]) -> JobEnd | None:
        """One message. Raises Nonsense; WorkFailed for an error of runner.py's own."""
        check_version(message, self._runner.name)
        match answers.text(message, "type"):
            case "event":
                event, end = answers.mapping(message, "event"), answers.count(message, "end")
                if event.get("type") == "result":
                    self._result = event
                elif event.get("type") == "error":
                    with contextlib.suppress(answers.Nonsense):
                        self._error = (answers.code(event), answers.params(event))
                on_event(event)
                self._events_at = end
            case "log":
                text, end = wire.to_log(message), answers.count(message, "end")
                self._lines.extend(text.splitlines())
                on_log(text)
                self._log_at = end
            case "queue":
                on_event(message)
            case "skipped":
                what, end = answers.choice(message, "what", ("events", "log")), answers.count(message, "end")
                on_event({"v": 1, "type": "log", "level": "warning", "code": f"job.skipped.{what}",
                          "params": {"size": amount(answers.count(message, "bytes"), "bytes")}})
                if what == "events":
                    self._events_at = end
                else:
                    self._log_at = end
            case "error":
                raise answers.error(message, self._runner.name)
            case "end":
                state, how, why, by = wire.to_end(message)
                return JobEnd(state, self._result, self._error, how, tuple(self._lines), why, by)
        return None


def _line(message: Mapping[str, Any]) -> bytes:
    return (json.dumps({"v": 1, **message}, ensure_ascii=False) + "\n").encode("utf-8")


def _clocks() -> float:
    """Grows by the time that this computer slept, in which its monotonic clock stands still."""
    return time.time() - time.monotonic()


def _ignore(there: bool) -> None:
    """Nobody wants to know."""
