"""Finds the moments in which a window does not react, and the line of code that held it up."""

from __future__ import annotations

import gc
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from PyQt5.QtCore import Qt, QTimer

_PERIOD_S = 0.008
_LOOK_S = 0.01
_NOTED_S = 0.05
_LONG_S = 0.2


@dataclass(frozen=True)
class Stall:
    """A time in which the GUI thread handled no event."""

    seconds: float
    cpu_s: float  # how long the GUI thread really computed: little means that it waited, or that others had the machine
    stack: str  # where the GUI thread was, empty where that could not be seen

    def __str__(self) -> str:
        return f"{1000 * self.seconds:.0f} ms ({1000 * self.cpu_s:.0f} ms of them computing)\n{self.stack}".rstrip()


@dataclass(frozen=True)
class Report:
    """What a Watchdog found: all stalls above 50 ms, in their order."""

    seconds: float
    stalls: list[Stall] = field(default_factory=list)

    @property
    def above_50_ms(self) -> int:
        return len(self.stalls)

    @property
    def above_200_ms(self) -> int:
        return sum(stall.seconds > _LONG_S for stall in self.stalls)

    @property
    def longest_s(self) -> float:
        return max((stall.seconds for stall in self.stalls), default=0.0)

    def __str__(self) -> str:
        line = (f"in {self.seconds:.1f} s: {self.above_50_ms} stalls above 50 ms, {self.above_200_ms} above 200 ms, "
                f"the longest {1000 * self.longest_s:.0f} ms")  # fmt: skip
        return "\n".join([line, *map(str, self.stalls)])


class Watchdog:
    """Watches the thread that starts it, which has to be the GUI thread. Use it as a context, or start() and stop().

    A timer of 8 ms beats in the GUI thread; a late beat is a stall, as long as the beat is late. A second thread notes
    the GUI thread's stack while it is held up. Together they take about 0.7 per cent of a core, nearly all of it Qt
    waking up (with 5 ms it was 1 per cent).

    Time without a running event loop is no stall, but looks like one: pause() before such a time, resume() after it.
    """

    def __init__(self) -> None:
        self._timer = QTimer()
        self._timer.setTimerType(Qt.PreciseTimer)
        self._timer.setInterval(round(1000 * _PERIOD_S))
        self._timer.timeout.connect(self._beat)
        self._stalls: list[Stall] = []
        self._watched_s = 0.0
        self._since: float | None = None
        self._last: float | None = None  # of the newest beat; None while paused
        self._last_cpu = 0.0
        self._stack: tuple[float, str] | None = None  # the beat after which it was seen, and the stack
        self._gui_thread = 0
        self._stopped = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self) -> None:
        # What other tests of this process have left is no burden of the window's: looking through it takes a third of a second.
        gc.collect()
        gc.freeze()
        self._gui_thread = threading.get_ident()
        self._stopped.clear()
        self._watcher = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._watcher.start()
        self.resume()
        self._timer.start()

    def stop(self) -> Report:
        """Ends the watching; may be called again."""
        self.pause()
        self._timer.stop()
        self._stopped.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
            gc.unfreeze()
        return self.report()

    def pause(self) -> None:
        if self._last is not None:
            self._beat()
            self._last = None
        if self._since is not None:
            self._watched_s += time.perf_counter() - self._since
            self._since = None

    def resume(self) -> None:
        self._stack = None
        self._last_cpu = time.thread_time()
        self._last = self._since = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def report(self) -> Report:
        running = 0.0 if self._since is None else time.perf_counter() - self._since
        return Report(self._watched_s + running, list(self._stalls))

    def _beat(self) -> None:
        last = self._last
        if last is None:
            return
        now, cpu = time.perf_counter(), time.thread_time()
        gap = now - last - _PERIOD_S
        if gap > _NOTED_S:
            stack = self._stack
            self._stalls.append(Stall(gap, cpu - self._last_cpu, stack[1] if stack is not None and stack[0] == last else ""))
        self._last, self._last_cpu = now, cpu

    def _watch(self) -> None:
        """Sleeps until a beat would be late, looks, and sleeps again: few awakenings, and none too late."""
        wait = _NOTED_S
        while not self._stopped.wait(wait):
            last, seen = self._last, self._stack
            if last is None or (seen is not None and seen[0] == last):
                wait = _LOOK_S
                continue
            wait = last + _PERIOD_S + _NOTED_S - time.perf_counter()
            if wait > 0:
                continue
            wait = _LOOK_S
            frame = sys._current_frames().get(self._gui_thread)
            if frame is not None:
                # Held no longer than it must: it keeps its variables, and a painter that outlives its paintEvent crashes Qt.
                stack = traceback.StackSummary.extract(traceback.walk_stack(frame), lookup_lines=False)
                del frame
                self._stack = (last, "".join(reversed(stack.format())))

    def __enter__(self) -> Watchdog:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
