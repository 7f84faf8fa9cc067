"""Which packages are installed, and what PyTorch was built for: from files, without importing what takes seconds."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import NamedTuple, Optional, Tuple

VENV = sys.prefix != sys.base_prefix
CUDA = re.compile(r"^cuda(?:\s*:[^=]*)?\s*=\s*(?:'([\d.]+)'|\"([\d.]+)\"|None)", re.M)


class Torch(NamedTuple):
    """`cuda` is the version it was built for; None: for the CPU alone, "": nobody can say."""

    version: str
    cuda: Optional[str]


def version(name: str) -> Optional[str]:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def torch() -> Optional[Torch]:
    """Its own version.py tells what a version number alone may not: PyPI's has no +cu and +cpu."""
    try:
        found = metadata.distribution("torch")
    except metadata.PackageNotFoundError:
        return None
    if "+cpu" in found.version:
        return Torch(found.version, None)
    try:
        text = found.read_text("../torch/version.py") or ""
    except (OSError, ValueError):
        text = ""
    built = CUDA.search(text)
    return Torch(found.version, "" if built is None else built.group(1) or built.group(2))


def older(version: str, needed: str) -> bool:
    """By the numbers alone: "2.1.0a0+cu121" is not older than "2.1"."""
    return _numbers(version) < _numbers(needed)


def _numbers(version: str) -> Tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(each) for each in found.group(0).split(".")] if found else []
    return tuple((numbers + [0, 0, 0])[:3])
