"""What the laptop wishes for on links that are fast, slow, far and changing; simulated, so that seconds cost nothing."""

import heapq
import itertools
import random
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from ai_nano.core.nano.adapting import LADDER, START, Adapting, Want

FRAME_S = 1 / 30
# What the laptop does with a picture before it asks for another.
SHOW_S = 0.004
# Of a JPEG of quality 75 with much detail.
BITS_A_PIXEL = 1.3


@dataclass
class Link:
    """`rate` in bits a second, None without limit; `late` adds to each picture's way."""

    rate: float | None = None
    round_trip_s: float = 0.0
    encode_s: float = 0.006
    camera: int = 1280
    late: Callable[[], float] = lambda: 0.0


@dataclass
class Seen:
    """Of each picture: when it came, how old it was then, and what was wished for."""

    at: list[float] = field(default_factory=list)
    age: list[float] = field(default_factory=list)
    wants: list[Want] = field(default_factory=list)

    def after(self, start: float) -> "Seen":
        first = next(index for index, at in enumerate(self.at) if at >= start)
        return Seen(self.at[first:], self.age[first:], self.wants[first:])

    @property
    def median(self) -> float:
        return statistics.median(self.age)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.age, n=20)[-1]

    @property
    def longest_gap(self) -> float:
        return max(later - earlier for earlier, later in itertools.pairwise(self.at))


def size_bits(want: Want, camera: int) -> float:
    width = min(want.width, camera)
    return 8 * 900 + width * width * 9 / 16 * BITS_A_PIXEL * (want.quality / 75) ** 1.3


def simulate(seconds: float, *links: tuple[float, Link]) -> Seen:
    """A camera of 30 frames a second behind these links, each from its time on, as jetson_nano/pictures.py serves it."""
    adapting, seen = Adapting(), Seen()
    number = itertools.count()
    events: list[tuple[float, int, str, object]] = [(0.0, next(number), "frame", None)]
    credits: deque[float] = deque()  # at the Nano: when each came
    given: deque[float] = deque()  # at the laptop: when each went
    wish, due, encoder_free, way_free, last = adapting.want, 0.0, 0.0, 0.0, 0.0
    for _ in range(2):
        given.append(0.0)
        events.append((links[0][1].round_trip_s / 2, next(number), "credit", None))
    heapq.heapify(events)
    while events[0][0] < seconds:
        now, _, what, value = heapq.heappop(events)
        link = [one for since, one in links if since <= now][-1]
        if what == "frame":
            heapq.heappush(events, (now + FRAME_S, next(number), "frame", None))
            if credits and now >= due - 0.3 / wish.fps and now >= encoder_free:
                due = (due if now < due + 1 / wish.fps else now) + 1 / wish.fps
                encoder_free = now + link.encode_s
                way_free = max(encoder_free, way_free) + (size_bits(wish, link.camera) / link.rate if link.rate else 0.0)
                arrives = last = max(last, way_free + link.round_trip_s / 2 + link.late())
                heapq.heappush(events, (arrives, next(number), "picture", (now, now - credits.popleft())))
        elif what == "credit":
            credits.append(now)
        elif what == "wish":
            assert isinstance(value, Want)
            wish = value
        else:
            assert isinstance(value, tuple)
            taken, waited = value
            seen.at.append(now)
            seen.age.append(now - taken)
            there = now + link.round_trip_s / 2
            if adapting.came(max(0.0, now - given.popleft() - waited), now):
                heapq.heappush(events, (there, next(number), "wish", adapting.want))
            seen.wants.append(adapting.want)
            given.append(now + SHOW_S)
            heapq.heappush(events, (there + SHOW_S, next(number), "credit", None))
    return seen


@pytest.mark.parametrize("camera", [1280, 640])
@pytest.mark.parametrize(("link", "median_s"), [
    (Link(None, 0.0002), 0.05), (Link(1e9, 0.001), 0.05), (Link(100e6, 0.02), 0.08)], ids=["loopback", "gigabit", "100 Mbit/s"])
def test_a_fast_link_gets_the_largest_pictures_at_once(link: Link, median_s: float, camera: int) -> None:
    link.camera = camera
    seen = simulate(30, (0, link))
    assert seen.after(6).wants[0] == LADDER[-1] and set(seen.after(6).wants) == {LADDER[-1]}
    assert seen.median < median_s and seen.p95 < 2 * median_s
    assert len(seen.after(10).at) > 20 * 25


@pytest.mark.parametrize("camera", [1280, 640])
def test_ten_megabits_stay_below_a_quarter_of_a_second(camera: int) -> None:
    seen = simulate(120, (0, Link(10e6, 0.02, camera=camera)))
    assert seen.median < 0.15 and seen.p95 < 0.25
    later = seen.after(10)
    assert statistics.median(want.width for want in later.wants) >= 640
    assert len(later.at) / 110 > 10


def test_one_megabit_still_shows_what_happens() -> None:
    seen = simulate(120, (0, Link(1e6, 0.02)))
    assert seen.longest_gap < 1.0 and seen.p95 < 0.4
    assert statistics.median(want.width for want in seen.after(10).wants) >= 240


def test_a_long_way_is_not_a_slow_one() -> None:
    seen = simulate(120, (0, Link(50e6, 0.4)))
    assert seen.after(60).wants[-1].width >= 800


def test_a_link_that_becomes_slow_and_fast_again() -> None:
    seen = simulate(180, (0, Link(100e6, 0.01)), (30, Link(1e6, 0.01)), (90, Link(100e6, 0.01)))
    before = [want for at, want in zip(seen.at, seen.wants, strict=True) if at < 30][-1]
    assert before == LADDER[-1]
    slow = [(at, age) for at, age in zip(seen.at, seen.age, strict=True) if 40 <= at < 90]
    assert slow and statistics.median(age for _, age in slow) < 0.3
    assert seen.wants[-1] == LADDER[-1]


def test_a_restless_link_is_not_walked_up_and_down_for_ever() -> None:
    chance = random.Random(7)
    seen = simulate(300, (0, Link(20e6, 0.01, late=lambda: chance.expovariate(100))))
    later = seen.after(120)
    changes = sum(one != other for one, other in itertools.pairwise(later.wants))
    assert changes < 40 and seen.p95 < 0.25


def test_a_slow_encoder_counts_as_a_slow_link() -> None:
    seen = simulate(60, (0, Link(None, 0.001, encode_s=0.2)))
    # Nothing helps against that: the way is believed to be so long, and the pictures go on.
    assert seen.longest_gap < 0.6


def test_a_single_late_picture_changes_nothing() -> None:
    adapting = Adapting()
    now = 0.0
    for late_s in [0.01] * 200:
        adapting.came(late_s, now := now + 0.05)
    assert adapting.want == LADDER[-1]
    assert not any(adapting.came(late_s, now := now + 0.05) for late_s in [0.01, 0.01, 0.9, 0.01, 0.01, 0.9, 0.01])
    assert adapting.want == LADDER[-1]


def test_a_step_that_failed_is_tried_again_later_and_later() -> None:
    adapting, now, rose = Adapting(), 0.0, []
    # The link carries what is wished for at the start, and nothing more.
    for _ in range(4000):
        now += 0.05
        above = LADDER.index(adapting.want) > START
        adapting.came(0.3 if above else 0.01, now)
        if LADDER.index(adapting.want) > START and not above:
            rose.append(now)
    waits = [later - earlier for earlier, later in itertools.pairwise(rose)]
    assert len(waits) > 3 and waits[-1] > 30
    assert all(later > earlier - 1 for earlier, later in itertools.pairwise(waits))


def test_at_the_bottom_what_is_left_is_the_way() -> None:
    adapting, now = Adapting(), 0.0
    wants = []
    for _ in range(400):
        adapting.came(0.5, now := now + 0.1)
        wants.append(adapting.want)
    assert LADDER[0] in wants and wants[-1].load > LADDER[0].load
