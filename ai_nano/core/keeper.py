"""Full frames of a running classification for several who ask: each question has an answer of its own."""

import threading
from collections.abc import Callable

from ai_nano.core.watching import Kept, Watching

OnKept = Callable[[Kept], None]


class Keeper(Watching):
    """The `watching` of a session's options. In any thread; a session that never begins to watch answers nobody."""

    def __init__(self) -> None:
        super().__init__(self._answered)
        self._asking = threading.Lock()
        self._waiting: dict[int, list[OnKept]] = {}

    def ask(self, frame: int, on_kept: OnKept) -> None:
        """Never waits; `on_kept` is called once, in whatever thread has the answer, and must not wait for anything."""
        with self._asking:
            self._waiting.setdefault(frame, []).append(on_kept)
        self.keep(frame)

    def fetch(self, frame: int, timeout_s: float) -> Kept:
        """The answer; one without JPEG when none came in that time (older programs do not know the question)."""
        there = threading.Event()
        answers: list[Kept] = []

        def on_kept(kept: Kept) -> None:
            answers.append(kept)
            there.set()

        self.ask(frame, on_kept)
        return answers[0] if there.wait(timeout_s) else Kept(frame, None)

    def _answered(self, kept: Kept) -> None:
        with self._asking:
            told = self._waiting.pop(kept.frame, [])
        for on_kept in told:
            on_kept(kept)
