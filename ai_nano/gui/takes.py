"""One recording after the other: as long as a button or a key is held, from Start to Stop, or a burst after a countdown.

A step takes a moment to end. Whoever presses again meanwhile is not passed over: that take begins as soon as it can.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from ai_nano.core.errors import AiNanoError, Cancelled

HOLD, CLICK, BURST = "hold", "click", "burst"
# A tap is a picture, and not nothing: at 10 images a second, one or two.
SHORTEST_S = 0.15
MOST_WAITING = 5


@dataclass(frozen=True, eq=False)
class Take:
    """`kind`: HOLD, CLICK or BURST. `tapped`: let go before it began."""

    class_name: str
    kind: str
    tapped: bool = False


class Takes(QObject):
    """`changed`: another take is recorded, or none; `counted`: seconds until a burst, 0 when it does not count any more."""

    changed = pyqtSignal()
    counted = pyqtSignal(int)

    def __init__(self, begin: Callable[[Take], bool], end: Callable[[], object], parent: QObject | None = None) -> None:
        """`begin` starts a take's step and says whether it did; `end` asks it to end, upon which `over` is to be called."""
        super().__init__(parent)
        self._begin, self._end_step = begin, end
        self._take: Take | None = None
        self._began = 0.0
        self._ending = False
        # Several where somebody taps faster than takes end.
        self._next: list[Take] = []
        self._counting: Take | None = None
        self._seconds = 0
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._count)

    @property
    def now(self) -> Take | None:
        """What is recorded; None as soon as it has been asked to end."""
        return None if self._ending else self._take

    @property
    def counting(self) -> Take | None:
        return self._counting

    def hold(self, class_name: str) -> None:
        self._want(Take(class_name, HOLD))

    def let_go(self) -> None:
        """The button or key came up, or will not be heard of any more."""
        if self._next:
            self._next[-1] = replace(self._next[-1], tapped=self._next[-1].kind == HOLD)
            return
        take = self._take
        if take is not None and take.kind == HOLD and not self._ending:
            self._end_soon(take)

    def toggle(self, class_name: str) -> None:
        """Start, or Stop."""
        take = self.now
        if take is not None and take.class_name == class_name:
            self._end()
        elif self._counting is not None and self._counting.class_name == class_name:
            self.stop_counting()
        else:
            self._want(Take(class_name, CLICK))

    def burst(self, class_name: str, countdown_s: int) -> None:
        """Count down and begin; where it counts or a burst is recorded, end that."""
        take = self.now
        if self._counting is not None:
            self.stop_counting()
        elif take is not None and take.kind == BURST:
            self._end()
        elif countdown_s == 0:
            self._want(Take(class_name, BURST))
        else:
            self._next = []
            if take is not None:
                self._end()
            self._counting, self._seconds = Take(class_name, BURST), countdown_s
            self._clock.start()
            self.counted.emit(countdown_s)
            self.changed.emit()

    def stop(self) -> None:
        """End whatever there is, and begin nothing."""
        self._next = []
        self.stop_counting()
        if self.now is not None:
            self._end()

    def stop_counting(self) -> None:
        if self._counting is not None:
            self._counting = None
            self._clock.stop()
            self.counted.emit(0)
            self.changed.emit()

    def over(self, outcome: object) -> None:
        """The step has ended. After an error the next one is not begun: it would meet the same."""
        self._take, self._ending = None, False
        if isinstance(outcome, AiNanoError) and not isinstance(outcome, Cancelled):
            self._next = []
            self.stop_counting()
        if self._next:
            self._start(self._next.pop(0))
            if self._next:
                self._end_soon(self._take)
        self.changed.emit()

    def _want(self, take: Take) -> None:
        self.stop_counting()
        if self._take is None:
            self._start(take)
            self.changed.emit()
            return
        # Of what waits, only taps are over already, and to be recorded all the same.
        self._next = [*(one for one in self._next if one.tapped), take][-MOST_WAITING:]
        if not self._ending:
            self._end_soon(self._take)

    def _start(self, take: Take) -> None:
        self._take, self._began, self._ending = take, time.monotonic(), False
        if not self._begin(take):
            self._take = None
        elif take.tapped:
            self._end_soon(take)

    def _end_soon(self, take: Take | None) -> None:
        if self._ending:
            return
        left_s = SHORTEST_S - (time.monotonic() - self._began)
        if left_s <= 0:
            self._end()
        else:
            QTimer.singleShot(round(1000 * left_s), lambda: self._end_of(take))

    def _end_of(self, take: Take | None) -> None:
        if take is not None and self.now is take:
            self._end()

    def _end(self) -> None:
        self._ending = True
        self._end_step()
        self.changed.emit()

    def _count(self) -> None:
        self._seconds -= 1
        take = self._counting
        if self._seconds > 0:
            self.counted.emit(self._seconds)
            return
        self.stop_counting()
        if take is not None:
            self._want(take)
