"""engine.json beside a model: of what, for what and when its TensorRT engine was built.

jetson-inference finds an engine by its name alone before August 2022, and never looks on which board it was built: a model
that was exchanged would go on answering as the old one, and an engine from another board's SD card may crash. So what
does not fit is removed before jetson-inference sees it.
"""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from jetson_nano import host
from jetson_nano.model import Model
from shared.files import sha256

RECORD = "engine.json"
DEVICE = Path("/proc/device-tree/model")


def device() -> str:
    """The board, for example "NVIDIA Jetson Nano Developer Kit"; a container cannot see its device tree, and is told."""
    told = os.environ.get(host.BOARD)
    if told:
        return told
    try:
        return DEVICE.read_bytes().rstrip(b"\0").decode("utf-8", "replace")
    except OSError:
        return platform.machine()


def engines(model: Model) -> List[Path]:
    """model.onnx.<batch>.<fallback>.<TensorRT>.<device>.<precision>.engine, the newest first."""
    found = [path for path in model.onnx.parent.iterdir()
             if path.name.startswith(model.onnx.name + ".") and path.name.endswith(".engine")]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def read_record(folder: Path) -> Optional[Dict[str, Any]]:
    """None where there is none that can be read."""
    try:
        record = json.loads((folder / RECORD).read_bytes().decode("utf-8"))
        whole = record["v"] == 1 and all(isinstance(record[key], str) for key in ("engine", "model_sha256", "device"))
        return record if whole and isinstance(record["seconds"], (int, float)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_foreign(model: Model) -> bool:
    """Removes engines that are not of this model on this board; whether there were any. Raises OSError.

    Without a record (an engine of the older program) its time decides: a model that came later is another one.
    """
    found = engines(model)
    if not found:
        return False
    record = read_record(model.onnx.parent)
    if record is None:
        own = found[0].stat().st_mtime >= model.onnx.stat().st_mtime
    else:
        own = (record["device"] == device() and any(
            path.name == record["engine"] and path.stat().st_size == record.get("bytes") for path in found)
               and record["model_sha256"] == sha256(model.onnx))
    if not own:
        remove(model)
    return not own


def remove(model: Model) -> None:
    """Every engine of the model, with what was noted of it. Raises OSError."""
    folder = model.onnx.parent
    for path in engines(model) + [folder / (model.onnx.name + ".sha256sum"), folder / RECORD]:
        try:
            path.unlink()
        except FileNotFoundError:
            pass


def write_record(model: Model, seconds: float) -> Dict[str, Any]:
    """Notes the newest engine and how long it was built (0 where nobody knows); removes those of an earlier TensorRT.

    Raises OSError.
    """
    newest, *older = engines(model)
    for path in older:
        path.unlink()
    record = {"v": 1, "engine": newest.name, "bytes": newest.stat().st_size, "tensorrt": tensorrt_of(newest.name, model),
              "device": device(), "model_sha256": sha256(model.onnx), "model_bytes": model.onnx.stat().st_size,
              "seconds": round(seconds, 1), "t": time.time()}
    path = model.onnx.parent / RECORD
    new = path.with_name(path.name + ".new")
    new.write_bytes((json.dumps(record) + "\n").encode("utf-8"))
    os.rename(str(new), str(path))
    return record


def tensorrt_of(name: str, model: Model) -> Optional[str]:
    """The version in an engine's name, for example "8.2.1" of 8201: NV_TENSORRT_VERSION is major, minor and patch."""
    parts = name[len(model.onnx.name) + 1:].split(".")
    if len(parts) < 4 or not parts[2].isdigit():
        return None
    number = int(parts[2])
    unit = 10000 if number >= 100000 else 1000  # since TensorRT 10 the major number counts ten thousands
    return f"{number // unit}.{number % unit // 100}.{number % 100}"


def estimate(root: Path, model: Model) -> Optional[float]:
    """Seconds that a build will take, learned from the models of ROOT on this board: the one nearest in size, to scale."""
    size = model.onnx.stat().st_size
    known: List[Tuple[float, float]] = []
    for path in (root / "models").glob("*/" + RECORD):
        record = read_record(path.parent)
        known_size = record is not None and isinstance(record.get("model_bytes"), int)
        if record is not None and known_size and record["device"] == device() and record["seconds"] > 0:
            bytes_then = max(1, record["model_bytes"])
            known.append((abs(bytes_then - size), record["seconds"] * max(0.5, min(2.0, size / bytes_then))))
    return min(known)[1] if known else None
