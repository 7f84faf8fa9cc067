"""What train and export spend their first seconds on; shared/ahead.py has it loaded before they are wanted."""

from __future__ import annotations

from gpu_server import libraries
from shared.wire import Failure

# Not ONNX Runtime: it is quick, and starts threads and opens a file when it is imported, which no copy of a process survives.
_LIBRARIES = ("numpy", "cv2", "torch", "onnx")


def load() -> None:
    """Imports alone: nothing computes, so that a copy of this process may use every library, CUDA too.

    What does not load is left to the program that needs it, which says so in words.
    """
    libraries.quiet()
    for name in _LIBRARIES:
        try:
            libraries.load(name)
        except Failure:
            pass
