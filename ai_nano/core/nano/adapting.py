"""How large and how many live pictures a link carries without delay: a step up while all is calm, down when they come late.

Pure: it is told how late each picture was, and says what to wish for. No clock but the caller's, and no size: what a link
carries shows in the delay, and so do a slow encoder and the traffic of others (doc/design/live.md).
"""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Want:
    """Of pictures at most so wide, of this JPEG quality, so many a second."""

    width: int
    quality: int
    fps: int

    @property
    def load(self) -> int:
        """What it takes of a link, to compare it with others."""
        return self.width * self.width * self.quality * self.fps


# From about 0.1 to 35 Mbit/s.
LADDER = (Want(160, 40, 5), Want(240, 50, 8), Want(320, 60, 10), Want(400, 65, 12), Want(480, 70, 15), Want(640, 75, 15),
          Want(640, 75, 25), Want(800, 75, 25), Want(960, 80, 30), Want(1280, 80, 30))
# Small enough for 1 Mbit/s, and five seconds at most from the top.
START = 2
# A picture that was made for an older wish may still be under way for each that was asked for ahead.
UNDER_WAY = 2
# Above what the way itself takes: calm up to the first, late from the second on.
CALM_S = 0.03
LATE_S = 0.08
# Before anything is known, the way is not believed to take longer.
LONGEST_WAY_S = 0.1
# So many pictures are looked at, and one of them may be late, before a step up.
CALM_PICTURES = 4
# Before a step down, those of so long, and so many at least: a moment's hiccup is none.
LATE_PICTURES = 3
LATE_FOR_S = 0.3
MOST_PICTURES = 12
# Between two steps up, and from a step down to the next one up.
REST_S = 0.3
RECOVERY_S = 1.0
# A step up that is taken back within the first time failed; to try it again waits, each time twice as long.
TRIAL_S = 5.0
PATIENCE_S = 2.0
LONGEST_PATIENCE_S = 60.0


class Adapting:
    """`want` is what to wish for now."""

    def __init__(self) -> None:
        self._rung = START
        self._way_s = LONGEST_WAY_S
        # When each of the newest pictures came, and how late.
        self._late: deque[tuple[float, float]] = deque(maxlen=MOST_PICTURES)
        self._passing = 0
        self._rose_at = float("-inf")
        self._rest_until = float("-inf")
        # Of each rung: how long it waits after it has failed, and until when.
        self._patience_s = [PATIENCE_S] * len(LADDER)
        self._barred_until = [float("-inf")] * len(LADDER)

    @property
    def want(self) -> Want:
        return LADDER[self._rung]

    def lost(self) -> None:
        """The connection is another one: what was measured before says nothing of it."""
        self._late.clear()
        self._passing = 0

    def came(self, late_s: float, now: float) -> bool:
        """A picture came, `late_s` after it had been taken. Whether `want` has changed."""
        self._way_s = min(self._way_s, max(0.0, late_s))
        if self._passing > 0:
            self._passing -= 1
            return False
        self._late.append((now, late_s))
        newest = [one for _, one in self._late]
        lately = sum(at >= now - LATE_FOR_S for at, _ in self._late)
        weighed = sorted(newest[-max(lately, LATE_PICTURES):])
        middle = weighed[len(weighed) // 2]
        if len(weighed) >= LATE_PICTURES and middle > self._way_s + LATE_S:
            return self._down(middle, now)
        if len(newest) >= CALM_PICTURES and sorted(newest[-CALM_PICTURES:])[-2] <= self._way_s + CALM_S:
            return self._up(now)
        return False

    def _down(self, late_s: float, now: float) -> bool:
        if self._rung == 0:
            # Smaller ones would come no sooner: it is a long way, or others fill it.
            self._way_s = late_s
            return False
        failed = now - self._rose_at < TRIAL_S
        patience_s = min(LONGEST_PATIENCE_S, max(PATIENCE_S, self._patience_s[self._rung] * (2 if failed else 0.5)))
        self._patience_s[self._rung], self._barred_until[self._rung] = patience_s, now + patience_s
        bearable = self.want.load * LATE_S / (late_s - self._way_s)
        rung = self._rung - 1
        while rung > 0 and LADDER[rung].load > bearable:
            rung -= 1
        return self._change(rung, now + RECOVERY_S)

    def _up(self, now: float) -> bool:
        above = self._rung + 1
        if above == len(LADDER) or now < max(self._barred_until[above], self._rest_until):
            return False
        self._rose_at = now
        return self._change(above, now + REST_S)

    def _change(self, rung: int, rest_until: float) -> bool:
        self._rung, self._rest_until = rung, rest_until
        self._late.clear()
        self._passing = UNDER_WAY
        return True
