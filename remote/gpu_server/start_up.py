"""A quicker start: what the libraries import and nobody here uses."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Iterator

_COMPILER = ("torch._dynamo", "torch._dynamo.utils")


@contextmanager
def without_compiler() -> Iterator[None]:
    """Importing torchvision inside takes half the time.

    For one question (`is_compile_supported`, in ops/roi_align.py) it imports torch's compiler, a second of work. Inside, an
    empty stand-in answers it; afterwards the real one can be imported as ever.
    """
    missing = [name for name in _COMPILER if name not in sys.modules]
    if len(missing) < len(_COMPILER):
        yield
        return
    stand_ins = {name: _StandIn(name) for name in missing}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


class _StandIn(ModuleType):
    """Says no to whatever it is asked."""

    __path__: Any = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: False
