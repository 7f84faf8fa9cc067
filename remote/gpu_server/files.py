"""Files that are whole or absent, never half-written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, data: bytes) -> None:
    """Writes beside `path` and renames into place, so that a reader or a cancelled run never meets half a file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except BaseException:
        if beside.exists():
            beside.unlink()
        raise


def write_json(path: Path, content: Any) -> None:
    """As UTF-8, readable by people; ValueError for NaN, which JSON does not have."""
    write_whole(path, (json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode())
