"""How old live pictures are when they come, by this computer's clock alone: from the credit to its picture.

The machine's clock is not believed (a Nano has no battery clock); a time that it has measured is, as far as it can be true.
"""

import time
from collections import deque

# Longer round trips are a sleeping laptop's.
LONGEST_S = 60.0


class Credits:
    """Each picture answers the oldest credit."""

    def __init__(self) -> None:
        # When each was given; None for one that would measure something else.
        self._given: deque[float | None] = deque()

    def give(self, measured: bool = True) -> None:
        self._given.append(time.monotonic() if measured else None)

    def disturb(self) -> None:
        """Something else is or was on the same way: what is under way now measures that."""
        self._given = deque([None] * len(self._given))

    def taken(self, waited_s: float | None) -> float | None:
        """A picture came: how old it was at most, in seconds; None when that is not known.

        `waited_s` is how long the credit lay at the program before the picture was taken.
        """
        given = self._given.popleft() if self._given else None
        if given is None or waited_s is None:
            return None
        round_trip_s = time.monotonic() - given
        return max(0.0, round_trip_s - waited_s) if round_trip_s <= LONGEST_S else None
