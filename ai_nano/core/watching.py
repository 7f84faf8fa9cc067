"""Full frames for who watches a run: asked for by the number of a picture, answered while the run goes on."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

# The program there takes no more at a time.
MOST_ASKED = 8


@dataclass(frozen=True)
class Kept:
    """A frame in full size, as JPEG of quality 95; `t` is its unix time there.

    `jpeg` None, and zeros, where the program no longer has it: it keeps the newest few that viewers were shown.
    """

    frame: int
    jpeg: bytes | None
    t: float = 0.0
    width: int = 0
    height: int = 0


class Watching:
    """Given to RemoteJob.watch, once; `keep` may be called in any thread, also before.

    Each frame that is asked for is answered once: in the thread that watches, or, once that has ended, at once and
    without a JPEG. `on_kept` must not wait for anything; it holds the pictures up.
    """

    def __init__(self, on_kept: Callable[[Kept], None]) -> None:
        self._on_kept = on_kept
        self._lock = threading.Lock()
        # By frame: whether the machine has been asked.
        self._open: dict[int, bool] = {}
        self._ended = False

    def keep(self, frame: int) -> None:
        """Ask for the frame of a picture (Picture.frame); the newer it is, the surer it is still there."""
        with self._lock:
            ended = self._ended
            if not ended:
                self._open.setdefault(frame, False)
        if ended:
            self._on_kept(Kept(frame, None))

    # ---- for who watches ---------------------------------------------------------------------------------------------

    def to_ask(self) -> list[int]:
        """Frames that the machine has not been asked for yet, and now will be; the rest when these have been answered."""
        with self._lock:
            room = MOST_ASKED - sum(self._open.values())
            asked = [frame for frame, known in self._open.items() if not known][:room]
            self._open.update(dict.fromkeys(asked, True))
        return asked

    def ask_again(self) -> None:
        """The connection was lost, and with it what had not been answered."""
        with self._lock:
            self._open = dict.fromkeys(self._open, False)

    def answer(self, kept: Kept) -> None:
        """What nobody has asked for is passed over."""
        with self._lock:
            wanted = self._open.pop(kept.frame, None) is not None
        if wanted:
            self._on_kept(kept)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            left, self._open = list(self._open), {}
        for frame in left:
            self._on_kept(Kept(frame, None))
