"""Why jetson-inference did not load a model, out of its log; imageNet itself says the same sentence for every cause."""

import re
from typing import List, Optional

from jetson_nano.model import Model
from shared.wire import Failure

ANSI = re.compile(r"\033\[[0-9;]*m")
# In order: what explains more comes first. Each is the library's text in every release since 2020 (c/tensorNet.cpp) or
# TensorRT's and CUDA's own.
MEMORY = re.compile(r"out of memory|insufficient memory|cudaErrorMemoryAllocation|std::bad_alloc|failed to alloc", re.I)
BLOB = re.compile(r"failed to find requested (?:input|output) layer (\S+) in network")
NOT_PARSED = re.compile(r"failed to parse ONNX model|UNSUPPORTED_NODE|No importer registered")
LABELS = re.compile(r"failed to load synset class descriptions\s+\((\d+) / \d+ of (\d+)\)")
OTHER_ENGINE = re.compile(r"failed to create CUDA engine|failed to create TensorRT engine|invalid engine cache file size")
NOT_KEPT = re.compile(r"failed to (?:open engine cache file for writing|write \d+ bytes to engine cache file)")
ERROR = re.compile(r"\[TRT\].*(?:error|fail)|^error:", re.I)
# What follows every cause.
GENERAL = re.compile(r"failed to load |imageNet -- failed to initialize|imageNet failed to load network")


def plain(text: str) -> str:
    """Without the library's colours and the terminal's returns."""
    return ANSI.sub("", text).replace("\r", "")


def reason(log: str, model: Model, memory_mb: Optional[int], swap_mb: Optional[int]) -> Optional[Failure]:
    """The failure that the log's text tells; None where it tells none."""
    text = plain(log)
    if MEMORY.search(text):
        return out_of_memory(model, memory_mb, swap_mb)
    blob = BLOB.search(text)
    if blob is not None:
        return Failure("engine.blob_missing", model=model.name, blob=blob.group(1))
    labels = LABELS.search(text)
    if labels is not None:
        return Failure("infer.labels_mismatch", model=model.name, labels=int(labels.group(1)), outputs=int(labels.group(2)))
    if NOT_PARSED.search(text):
        return Failure("engine.not_parsed", model=model.name, error=last_error(text))
    return None


def out_of_memory(model: Model, memory_mb: Optional[int], swap_mb: Optional[int]) -> Failure:
    return Failure("engine.out_of_memory", model=model.name, memory_mb=memory_mb, swap_mb=swap_mb)


def last_error(text: str) -> str:
    """The last line that sounds like an error and tells more than that there was one; else the last line."""
    lines: List[str] = [line.strip() for line in plain(text).splitlines() if line.strip()]
    errors = [line for line in lines if ERROR.search(line) and not GENERAL.search(line)]
    return (errors or lines or ["-"])[-1][:300]
