"""TensorRT through jetson-inference: the network, on frames that stay on the GPU."""

import os
import time
import traceback
from pathlib import Path
from typing import Any, List, Optional

from jetson_nano import engine_record, health
from jetson_nano.bindings import construct, flush_log, import_jetson
from jetson_nano.engine import Answer, Engine, best
from jetson_nano.engine_reasons import last_error, reason
from jetson_nano.model import Model
from jetson_nano.pixels import CudaImages
from shared.wire import Failure, Run

LOG_BYTES = 65536
# There while an engine of unknown origin is loaded: TensorRT may crash on one of another device, and would at each start.
LOADING = ".engine-loading"


class TensorRtEngine(Engine):
    """imageNet; a frame is a cudaImage, which imageNet prepares itself as shared/preprocess.py describes."""

    name = "tensorrt"

    def __init__(self, model: Model, run: Run) -> None:
        """Raises Failure infer.engine_missing, infer.engine_failed, infer.labels_mismatch and those of engine_reasons.

        Where no engine lies beside model.onnx (build_engine.py makes it at deploy), it is built now, which takes minutes.
        """
        self._model, self._run = model, run
        self._jetson = import_jetson()
        self._log_begins = self._log_size()
        try:
            engine_record.remove_foreign(model)
        except OSError:
            traceback.print_exc()  # the folder is not ours: what is there may fit all the same
        self._net = self._load()
        self._classes = len(model.classes)
        if hasattr(self._net, "SetThreshold"):
            self._net.SetThreshold(0.0)  # else classes below 0.01 are left out
        self._top_k: Optional[bool] = None
        self.pixels = CudaImages(self._jetson.utils)

    def _load(self) -> Any:
        """A second time without the engine that was refused: of another device or TensorRT, or written only in part."""
        model, labels = self._model, self._run.path / "labels.txt"
        marker = model.onnx.parent / LOADING
        if marker.exists():
            self._run.log("engine.refused", level="warning", model=model.name)
            self._remove()
        before = engine_record.engines(model)
        unknown = bool(before) and engine_record.read_record(model.onnx.parent) is None
        if not before:
            self._run.log("infer.building_engine", model=model.name)
        began = time.monotonic()
        try:
            net = self._construct_marked(labels, marker) if unknown else construct(self._jetson, model, labels)
        except Failure:
            raise
        except Exception as error:  # the bindings raise nothing more specific
            failure = self._failure(error)
            if not before or failure.code != "infer.engine_failed":
                raise failure from error
            self._run.log("engine.refused", level="warning", model=model.name)
            self._remove()
            return self._load()
        if engine_record.engines(model) and engine_record.read_record(model.onnx.parent) is None:
            self._note(0.0 if before else time.monotonic() - began)
        elif not engine_record.engines(model):
            self._run.log("engine.not_kept", level="warning", model=model.name, folder=str(model.onnx.parent))
        return net

    def _construct_marked(self, labels: Path, marker: Path) -> Any:
        try:
            marker.write_bytes(b"")
        except OSError:
            traceback.print_exc()  # the folder is not ours
        try:
            return construct(self._jetson, self._model, labels)
        finally:
            _unlink(marker)

    def _remove(self) -> None:
        try:
            engine_record.remove(self._model)
            _unlink(self._model.onnx.parent / LOADING)
        except OSError as error:
            raise Failure("engine.folder_not_writable", model=self._model.name, folder=str(self._model.onnx.parent)) from error

    def _note(self, seconds: float) -> None:
        try:
            engine_record.write_record(self._model, seconds)
        except OSError:
            traceback.print_exc()

    def _failure(self, error: Exception) -> Failure:
        """Out of the library's log, which is this run's output.log."""
        flush_log()
        memory = health.memory()
        text = self._log_tail()
        return reason(text, self._model, memory.get("total_mb"), memory.get("swap_total_mb")) or Failure(
            "infer.engine_failed", engine=self.name, model=self._model.name, error=last_error(text + f"\n{error}"))

    def _log_size(self) -> int:
        try:
            return os.stat(str(self._run.path / "output.log")).st_size
        except OSError:
            return 0

    def _log_tail(self) -> str:
        try:
            with open(str(self._run.path / "output.log"), "rb") as stream:
                stream.seek(max(self._log_begins, self._log_size() - LOG_BYTES))
                return stream.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def classify(self, image: Any) -> Answer:
        began = time.perf_counter()
        answer = self._answer(image)
        total = (time.perf_counter() - began) * 1000
        network = min(total, max(0.0, float(self._net.GetNetworkTime())))
        return answer._replace(preprocess_ms=total - network, network_ms=network)

    def _answer(self, image: Any) -> Answer:
        if self._top_k is not False:
            try:
                known = dict(self._net.Classify(image, topK=0))
                self._top_k = True
                if not known:  # what is no number is not above any threshold
                    raise Failure("infer.bad_output")
                return best([known.get(index, 0.0) for index in range(self._classes)])
            except Failure:
                raise
            except Exception:  # TypeError or, in older releases, Exception: this release knows no topK
                if self._top_k:
                    raise
                self._top_k = False
        try:
            index, confidence = self._net.Classify(image)
        except Exception as error:
            raise self._failure(error) from error
        if index < 0:
            return Answer(-1, 0.0, [0.0] * self._classes)
        probabilities: List[Optional[float]] = [None] * self._classes
        probabilities[index] = confidence
        return Answer(index, confidence, probabilities)


def _unlink(path: Path) -> None:
    """Raises OSError for anything but a file that is not there."""
    try:
        path.unlink()
    except FileNotFoundError:
        pass
