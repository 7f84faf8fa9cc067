"""What a value of config.json may be: readers, which say what is wrong with one."""

import base64
import binascii
import posixpath
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Protocol

from ai_nano.core.errors import ConfigError

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")


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


def host_key(place: Place, value: Any) -> str | None:
    """As OpenSSH writes it into a `.pub` file, or its fingerprint."""
    words = text(place, value).split()
    if not value:
        return None
    if not (_is_key(words) or (len(words) == 1 and _FINGERPRINT.fullmatch(words[0]))):
        raise place.error("config.host_key")
    return str(value).strip()


def _is_key(words: list[str]) -> bool:
    """`ssh-ed25519 AAAA...`: the key begins with its kind once more."""
    if len(words) < 2:
        return False
    try:
        data = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        return False
    kind = words[0].encode()
    return data.startswith(len(kind).to_bytes(4, "big") + kind) and len(data) > 8 + len(kind)


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
