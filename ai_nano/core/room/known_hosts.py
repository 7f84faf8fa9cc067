"""known_hosts: one line `NAME KIND KEY` for each host key that a person trusted; NAME is the machine's name in the config."""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ai_nano.core.errors import ConfigError

FILE_NAME = "known_hosts"


@dataclass(frozen=True)
class HostKey:
    """`kind` like ssh-ed25519, `key` the public key in base64."""

    name: str
    kind: str
    key: str

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as OpenSSH prints it. ValueError when the key is no base64."""
        try:
            data = base64.b64decode(self.key, validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from error
        return "SHA256:" + base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")

    @property
    def line(self) -> str:
        return f"{self.name} {self.kind} {self.key}\n"


def parse(text: str) -> list[HostKey]:
    """The keys in `text`. Comments and OpenSSH's markers (`@revoked`) are passed over."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and not words[0].startswith(("#", "@")):
            found += [HostKey(name, words[1], words[2]) for name in words[0].split(",")]
    return found


def read(path: Path) -> list[HostKey]:
    """The keys in the file; none when it does not exist. ConfigError when it cannot be read."""
    try:
        return parse(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError("config.unreadable", file=path, reason=error.strerror or str(error)) from error


def remember(path: Path, keys: Iterable[HostKey]) -> None:
    """Append the keys, in one write, since several machines may become known at the same time. ConfigError when it fails."""
    text = "".join(key.line for key in keys)
    if not text:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            if (end := stream.seek(0, os.SEEK_END)) and os.pread(stream.fileno(), 1, end - 1) != b"\n":
                text = "\n" + text  # somebody edited the file and left its last line open
            stream.write(text.encode("utf-8"))
    except OSError as error:
        raise ConfigError("config.not_saved", file=path, reason=error.strerror or str(error)) from error
