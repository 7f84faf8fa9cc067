"""What importing speaks of: a look at a picture made elsewhere, what it becomes, and why one is left out."""

from dataclasses import dataclass

from ai_nano.core.texts import t


class LeftOut(Exception):
    """One file is not taken in, the others are. `reason` is `import.reason.<reason>` of the catalogue."""

    def __init__(self, reason: str, /, **params: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.params = params

    @property
    def text(self) -> str:
        """For example `it ends in the middle of the picture`."""
        return t(f"import.reason.{self.reason}", **self.params)


@dataclass(frozen=True)
class Glimpse:
    """What is known of a picture before it is decoded: width and height as stored, and the unix time at which it was taken.

    None where its file does not say.
    """

    size: tuple[int, int] | None = None
    taken: float | None = None


@dataclass(frozen=True)
class Brought:
    """A picture as it is kept. `changes` says what was done to it: `scaled`, `first_only` (of an animation or of pages),
    `on_white` (it was transparent)."""

    jpeg: bytes
    width: int
    height: int
    changes: tuple[str, ...] = ()
