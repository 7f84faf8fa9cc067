"""Which images of a class look nearly the same: by perceptual hashes of 64 bits, where neighbours differ in few bits."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

# Images whose hashes differ in at most so many of 64 bits are twins (doc/design/split.md).
TWIN_BITS = 4


class Twins:
    """The images of one class in the order of their recording. Sets of images are bit masks: bit n is the nth of them.

    An image without a hash (one that does not decode) has no twins.
    """

    def __init__(self, keys: Sequence[str], hashes: Mapping[str, int], bits: int = TWIN_BITS) -> None:
        self._place = {key: place for place, key in enumerate(keys)}
        self._hashes = [hashes.get(key) for key in keys]
        same: dict[int, int] = defaultdict(int)
        for place, value in enumerate(self._hashes):
            if value is not None:
                same[value] |= 1 << place
        near = dict(same)
        values = list(same)
        for number, one in enumerate(values):
            for other in values[:number]:
                if (one ^ other).bit_count() <= bits:
                    near[one] |= same[other]
                    near[other] |= same[one]
        self._near = [0 if value is None else near[value] & ~(1 << place) for place, value in enumerate(self._hashes)]

    def mask(self, keys: Iterable[str]) -> int:
        found = 0
        for key in keys:
            found |= 1 << self._place[key]
        return found

    def of(self, key: str) -> int:
        """The twins of an image, without itself."""
        return self._near[self._place[key]]

    def shared(self, keys: Iterable[str], others: int) -> int:
        """How many of `keys` have a twin among `others`."""
        return sum(1 for key in keys if self.of(key) & others)

    def difference(self, one: str, other: str) -> int | None:
        """Bits in which two images differ; None where one has no hash."""
        left, right = self._hashes[self._place[one]], self._hashes[self._place[other]]
        return None if left is None or right is None else (left ^ right).bit_count()

    def joined(self, groups: Sequence[Sequence[str]]) -> list[list[str]]:
        """The groups, those with twins in each other joined, in the order of their first ones."""
        masks = [self.mask(group) for group in groups]
        number_of = {self._place[key]: number for number, group in enumerate(groups) for key in group}
        left = 0
        for mask in masks:
            left |= mask
        found: list[list[str]] = []
        for number in range(len(groups)):
            if not masks[number] & left:
                continue
            members: list[str] = []
            queue = [number]
            left &= ~masks[number]
            while queue:
                group = groups[queue.pop()]
                members += group
                reached = 0
                for key in group:
                    reached |= self.of(key)
                # Twins are mutual, so it does not matter from which side a group is found.
                while reached & left:
                    low = reached & left
                    other = number_of[(low & -low).bit_length() - 1]
                    left &= ~masks[other]
                    queue.append(other)
            found.append(members)
        return found
