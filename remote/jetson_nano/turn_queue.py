"""The queue of a board whose camera, LEDs and memory serve one program at a time; its tickets lie in ROOT/.ai_nano/turns, and
the lowest has the turn. Why so: doc/design/turns.md.
"""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from shared.tickets import Queue, Ticket

# So long before the end of a turn it is told. One that has had more than its time gets so long as well.
NOTICE_S = 60.0


def queue_of(root: Path) -> Queue:
    return Queue(root / ".ai_nano" / "turns")


def ends_at(holder: Ticket, waiting: Sequence[Ticket], now: float) -> Optional[float]:
    """When the holder's turn is over; None while nobody waits, and for a program that ends by itself."""
    if holder.turn_s is None or not waiting:
        return None
    since = now if holder.since is None else holder.since
    return max(since + holder.turn_s, waiting[0].asked + min(NOTICE_S, holder.turn_s))


def entries(tickets: Sequence[Ticket], now: float) -> List[Dict[str, Any]]:
    """The tickets in order, as doc/design/wire.md tells them; the first has the turn."""
    told = []
    for place, ticket in enumerate(tickets):
        if place == 0:
            end = ends_at(ticket, tickets[1:], now)
            left = None if end is None else max(0.0, end - now)
        else:
            left = ticket.turn_s
        began = ticket.asked if place or ticket.since is None else ticket.since
        told.append({"run": ticket.run, "program": ticket.program, "student": ticket.student, "laptop": ticket.laptop,
                     "for_s": round(max(0.0, now - began), 1), "left_s": None if left is None else round(left, 1)})
    return told


def wait_s(ahead: Sequence[Dict[str, Any]]) -> Optional[float]:
    """How long these entries will last at most; None where nobody knows."""
    left = [entry["left_s"] for entry in ahead]
    return None if None in left else round(sum(left), 1)
