"""jetson-inference (dusty-nv) in every face that its releases since 2020 show; doc/design/nano.md has the table.

Its constructor takes argv in every release, keywords only since August 2022, and where both are given argv wins: argv alone
is used. (This file is not called jetson.py: a program's own folder comes first on sys.path, and would hide jetson.inference.)
What it says of a failure is one sentence for all causes; the cause stands in its log alone.
"""

import contextlib
import ctypes
import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Optional

from jetson_nano.model import Model
from shared.wire import Failure

NAMES = (("jetson_inference", "jetson_utils"), ("jetson.inference", "jetson.utils"))
PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")


class Jetson(NamedTuple):
    """`inference` and `utils` are the modules; `older` says that they have the names of before July 2022."""

    inference: Any
    utils: Any
    older: bool


def import_jetson() -> Jetson:
    """Raises Failure infer.engine_missing {engine, module, error}."""
    os.environ.pop("DISPLAY", None)  # jetson-utils would open a window there
    missing: Optional[ImportError] = None
    for inference, utils in NAMES:
        try:
            return Jetson(importlib.import_module(inference), importlib.import_module(utils), "." in inference)
        except ImportError as error:
            missing = missing or error
    raise Failure("infer.engine_missing", engine="tensorrt", module="jetson_inference", error=str(missing)) from missing


def construct(jetson: Jetson, model: Model, labels: Path) -> Any:
    """imageNet with the model loaded; builds its engine beside the model where there is none that fits.

    Raises Failure infer.labels_mismatch, engine.file_name {model, file}, and the plain Exception of the bindings.

    The model is named relative to its folder: releases since August 2022 hand the path to a shell without quotes (a folder
    with a space would be built anew at each start), those before June 2022 copy it into 512 bytes.
    """
    if not PLAIN_NAME.match(model.onnx.name):
        raise Failure("engine.file_name", model=model.name, file=model.onnx.name)
    # imageNet takes an empty line at the end for a class; a copy has none, whatever was delivered.
    labels.write_bytes("\n".join(model.classes).encode("utf-8"))
    argv = [sys.argv[0], f"--model={model.onnx.name}", f"--labels={labels.absolute()}",
            f"--input_blob={model.input['name']}", f"--output_blob={model.output_name}", "--headless"]
    with working_folder(model.onnx.parent):
        net = jetson.inference.imageNet("custom", argv)
    outputs = net.GetNumClasses()
    if outputs != len(model.classes):
        raise Failure("infer.labels_mismatch", model=model.name, labels=len(model.classes), outputs=outputs)
    return net


@contextlib.contextmanager
def working_folder(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(str(folder))
    try:
        yield
    finally:
        os.chdir(before)


def flush_log() -> None:
    """What C has not written yet: before April 2023 the library's log is buffered where it is no terminal."""
    try:
        ctypes.CDLL(None).fflush(None)
    except (OSError, AttributeError):
        pass
