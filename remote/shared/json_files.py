"""Small JSON files that several processes read while one writes them."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Optional

from shared.wire import encode


def write_whole(path: Path, message: Dict[str, Any], durable: bool = False, private: bool = False) -> None:
    """Writes one JSON file so that a reader sees all of it or nothing; `durable`: also after the machine lost its power;
    `private`: for its owner's eyes. Raises OSError, and leaves nothing of it then."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    mode = 0o600 if private else 0o666
    try:
        with open(str(partial), "wb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            stream.write(encode(message))
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(str(partial), str(path))
    except OSError:
        with suppress(OSError):
            os.unlink(str(partial))
        raise


def read(path: Path) -> Optional[Dict[str, Any]]:
    """The JSON object in a file; None where there is no such file or it is damaged."""
    try:
        message = json.loads(path.read_bytes().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return message if isinstance(message, dict) else None
