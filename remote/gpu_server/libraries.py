"""Loads the libraries that a server may lack or hold in a broken combination, and says so in plain words."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, List

from shared.wire import Failure

if TYPE_CHECKING:
    import torch

NEEDED = ("numpy", "cv2", "torch")
_TORCHVISION_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept_alive: List[Any] = []


def need(*names: str) -> None:
    """Imports the named libraries; Failure `server.library` {library, error} for the first that does not load."""
    for name in names:
        load(name)


def load(name: str) -> ModuleType:
    """The module `name`; Failure `server.library` {library, error} where it does not load."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise Failure("server.library", library=name, error=_one_line(error)) from error


def load_torchvision() -> ModuleType:
    """torchvision with its models, also where its compiled part does not fit the installed torch (as on many servers).

    Its Python part then refuses to load because the operator `nms` was never registered. Networks do not use that operator,
    so declaring it is enough. Done only after the import has failed.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise Failure("server.library", library="torchvision", error=_one_line(error)) from error
    except (ImportError, OSError) as error:
        raise Failure("server.library", library="torchvision", error=_one_line(error)) from error
    _declare_torchvision_operators()
    for module in [module for module in sys.modules if module.split(".")[0] == "torchvision"]:
        del sys.modules[module]
    return load("torchvision")


def _declare_torchvision_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for schema in _TORCHVISION_SCHEMAS:
        library.define(schema)
    _kept_alive.append(library)  # the declarations vanish with the object


def quiet() -> None:
    """Before the libraries are loaded: no warnings meant for programmers, which would bury what output.log has to say.

    Threads of PyTorch that wait for one another sleep: by default they use up a core that others could compute on.
    """
    import logging
    import os
    import warnings

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    warnings.filterwarnings("ignore")
    logging.getLogger("torch").setLevel(logging.ERROR)


def set_up_torch() -> torch.device:
    """The CUDA device where there is one, else the CPU; arithmetic is set to be repeatable.

    Torch's own threads are turned off: on the small tensors of the head they made it sixty times slower on a busy
    machine, and features are computed by threads of our own.
    """
    import torch

    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The name of the processor that computes, as a person knows it: `NVIDIA ...` or `CPU`."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
