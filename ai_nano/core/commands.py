"""What a person changes while a session runs, on its way to the running program."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

Deliver = Callable[[Mapping[str, Any]], None]


class Commands:
    """Sent in any thread, delivered in order. What was sent before the session is connected waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Mapping[str, Any]] = []
        self._deliver: Deliver | None = None

    def send(self, command: Mapping[str, Any]) -> None:
        with self._lock:
            if self._deliver is None:
                self._waiting.append(command)
            else:
                self._deliver(command)

    def connect(self, deliver: Deliver) -> None:
        """From now on `deliver` gets every command; it must not wait for anything."""
        with self._lock:
            for command in self._waiting:
                deliver(command)
            self._waiting.clear()
            self._deliver = deliver
