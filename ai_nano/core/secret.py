"""Passwords in memory."""

from typing import Any

# Keys of config.json that hold one, also as people misspell them.
KEYS = ("pwd", "password", "passwd")


class Secret(str):
    """A password: a string that does not show itself in reprs, logs and tracebacks."""

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: Any) -> "Secret":
        """A part of it is one too: rich shows the beginning of a long string in a traceback."""
        return Secret(super().__getitem__(key))


def hidden(key: str, value: Any) -> Any:
    """The value of a key of config.json, as a Secret if it is a password."""
    return Secret(value) if key.lower() in KEYS and isinstance(value, str) else value
