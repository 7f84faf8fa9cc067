"""What train and export spend their first seconds on; shared/ahead.py has it loaded before they are wanted."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

from gpu_server import libraries

_LIBRARIES = ("numpy", "cv2", "torch", "onnx", "onnxruntime")


def load() -> None:
    """Imports alone: nothing computes, so that a copy of this process may use every library, CUDA too.

    What does not load is left to the program that needs it, which says so in words.
    """
    libraries.quiet()
    own = sorted(f"gpu_server.{path.stem}" for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    for name in (*_LIBRARIES, *own):
        try:
            importlib.import_module(name)
        except Exception as error:
            logging.getLogger(__name__).info("%s: %s", name, error)
    try:
        libraries.load_timm()
    except Exception as error:
        logging.getLogger(__name__).info("timm: %s", error)
