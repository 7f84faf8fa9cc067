"""What a value of config.json may be: readers, which say what is wrong with one."""

import posixpath
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Protocol

from ai_nano.core.errors import ConfigError


class Place(Protocol):
    """Where a value stands in config.json."""

    def error(self, code: str, /, **params: object) -> ConfigError: ...

    def wrong(self, expected: str) -> ConfigError: ...


def text(place: Place, value: Any) -> str:
    if not isinstance(value, str):
        raise place.wrong('"..."')
    return value


def root(place: Place, value: Any) -> str:
    folder = text(place, value)
    # One that begins with a hyphen would be an option to the Python there.
    if (not folder or ".." in PurePosixPath(folder).parts or folder.startswith(("~", "-")) or "\0" in folder
            or not posixpath.normpath(folder).strip("/")):
        raise place.error("config.root", value=folder)
    return folder.rstrip("/")


def port(place: Place, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise place.wrong("1 … 65535")
    return value


def up_to(most: float, null: float | None = None) -> Callable[[Place, Any], float]:
    def read(place: Place, value: Any) -> float:
        value = null if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            raise place.wrong(f"0 … {most:g}")
        return float(value)
    return read
