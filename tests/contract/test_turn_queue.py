"""What follows from a queue's tickets: when a turn ends, and how long others wait at most."""

import nano_programs  # noqa: F401
import pytest

from jetson_nano.turn_queue import NOTICE_S, ends_at, entries, wait_s
from shared.tickets import Ticket


def ticket(number: int, asked: float, since: float | None = None, turn_s: float | None = 300.0) -> Ticket:
    return Ticket(number, f"run-{number}", "p", f"student{number}", None, asked, since, turn_s)


@pytest.mark.parametrize(("holder", "waiting", "end"), [
    (ticket(1, 0, 10), [], None),
    (ticket(1, 0, 10, turn_s=None), [ticket(2, 20)], None),
    (ticket(1, 0, 10), [ticket(2, 20)], 310),
    # It has had more than its time already: still a minute, from when the first one came.
    (ticket(1, 0, 10), [ticket(2, 900), ticket(3, 930)], 900 + NOTICE_S),
    (ticket(1, 0, 10), [ticket(2, 290)], 290 + NOTICE_S),
    (ticket(1, 0, 10, turn_s=5.0), [ticket(2, 900)], 905),
    # Its turn has come, and it has not written so yet.
    (ticket(1, 0, None), [ticket(2, 20)], 1300)])
def test_when_a_turn_is_over(holder: Ticket, waiting: list[Ticket], end: float | None) -> None:
    assert ends_at(holder, waiting, 1000.0) == end


def test_how_long_the_last_one_waits() -> None:
    told = entries([ticket(1, 0, 10), ticket(2, 20), ticket(3, 25)], 130.0)
    assert [(one["for_s"], one["left_s"]) for one in told] == [(120.0, 180.0), (110.0, 300.0), (105.0, 300.0)]
    assert [wait_s(told[:number]) for number in (1, 2)] == [180.0, 480.0]
    late = entries([ticket(1, 0, 10), ticket(2, 20)], 500.0)
    assert late[0]["left_s"] == 0.0, "it is just ending"
    endless = entries([ticket(1, 0, 10, turn_s=None), ticket(2, 20)], 130.0)
    assert endless[0]["left_s"] is None and wait_s(endless[:1]) is None
    assert entries([], 1.0) == []


def test_one_alone_has_no_limit() -> None:
    assert entries([ticket(1, 0, 10)], 4000.0) == [{"run": "run-1", "program": "p", "student": "student1", "laptop": None,
                                                   "for_s": 3990.0, "left_s": None}]
