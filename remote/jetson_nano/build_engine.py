"""Builds a model's TensorRT engine when the model is delivered, so that a classification starts in seconds.

    python PROGRAMS/jetson_nano/build_engine.py --run RUNDIR

Nothing is built where the engine fits already: it is loaded once, which proves it. doc/design/wire.md has its parameters and
events, doc/design/nano.md why it is done by a child on a terminal of its own.
"""

import argparse
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from jetson_nano import engine_record, health
from jetson_nano.engine_reasons import NOT_KEPT, OTHER_ENGINE, last_error, out_of_memory, plain, reason
from jetson_nano.in_container import carry_out
from jetson_nano.model import Model, read_model
from jetson_nano.turns import take_turn
from shared.wire import FULL, Failure, Run

BUILDER = Path(__file__).with_name("engine_builder.py")
TICK_S = 1.0
BLOCK = 65536
MIB = 1 << 20
# The engine has about the model's size; beside it are needed a copy on its way and room for the run's log.
ROOM_BYTES = 64 * MIB
# A Nano has 4 GB; without swap the builder is likely to be killed there.
SMALL_MEMORY_MB = 5000
KEPT_LOG = 200000
LINE_CHARACTERS = 200

# An engine's name, time in ns, and bytes.
Seen = Tuple[str, int, int]


class Ended:
    """How the child ended: `answer` is its own, `log` the end of the library's."""

    def __init__(self, code: int, answer: Dict[str, Any], log: str) -> None:
        self.code = code
        self.answer = answer
        self.log = log

    @property
    def ok(self) -> bool:
        return self.code == 0 and self.answer.get("ok") is True

    @property
    def refused_engine(self) -> bool:
        """An engine that was there did not load; one of another device may take the whole process with it."""
        return OTHER_ENGINE.search(self.log) is not None or self.code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)


class Builder:
    """One model's engine; what happens is told as events."""

    def __init__(self, run: Run, model: Model) -> None:
        self._run = run
        self._model = model
        self._folder = model.onnx.parent
        self._memory = health.memory()
        self._lowest = self._memory.get("available_mb")
        self._estimate = engine_record.estimate(run.root, model)
        self._began = time.monotonic()
        self._line = ""

    def go(self) -> None:
        """Raises Failure."""
        try:
            engine_record.remove_foreign(self._model)
        except OSError as error:
            raise self._not_writable() from error
        before = _look(engine_record.engines(self._model))
        if not before:
            self._check_folder()
            self._say_begin()
        ended = self._load()
        if not ended.ok and before and ended.refused_engine:
            self._run.log("engine.refused", level="warning", model=self._model.name)
            engine_record.remove(self._model)
            before = []
            self._say_begin()
            ended = self._load()
        if not ended.ok:
            raise self._failure(ended)
        self._finish(ended, before)

    def _say_begin(self) -> None:
        self._run.log("infer.building_engine", model=self._model.name)
        if self._memory.get("swap_total_mb") == 0 and self._memory.get("total_mb", SMALL_MEMORY_MB) < SMALL_MEMORY_MB:
            self._run.log("engine.no_swap", level="warning", memory_mb=self._memory["total_mb"])

    def _check_folder(self) -> None:
        probe = self._folder / f".writable-{os.getpid()}"
        try:
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise (self._no_room() if error.errno in FULL else self._not_writable()) from error
        needed = self._model.onnx.stat().st_size * 2 + ROOM_BYTES
        free = shutil.disk_usage(str(self._folder)).free
        if free < needed:
            raise self._no_room()

    def _not_writable(self) -> Failure:
        return Failure("engine.folder_not_writable", model=self._model.name, folder=str(self._folder))

    def _no_room(self) -> Failure:
        free = shutil.disk_usage(str(self._folder)).free
        needed = self._model.onnx.stat().st_size * 2 + ROOM_BYTES
        return Failure("engine.no_room", model=self._model.name, folder=str(self._folder), free_mb=free // MIB,
                       needed_mb=needed // MIB)

    def _load(self) -> Ended:
        """The child's output goes to a pseudo-terminal: only there C writes each line of the log at once."""
        master, terminal = pty.openpty()
        answer, told = os.pipe()
        try:
            child = subprocess.Popen(
                [sys.executable, "-B", str(BUILDER), str(self._folder), str(self._run.path / "labels.txt"), str(told)],
                stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, pass_fds=(told,))
            os.close(told)
            os.close(terminal)
            try:
                log = self._watch(master, child)
                code = child.wait()
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
            text = os.read(answer, BLOCK).decode("utf-8")
            return Ended(code, json.loads(text) if text else {}, log)
        finally:
            os.close(master)
            os.close(answer)

    def _watch(self, master: int, child: "subprocess.Popen[bytes]") -> str:
        """Until the child has ended; passes its log on to output.log and tells every second how far it is."""
        log, rest, tick = "", b"", time.monotonic()
        while True:
            ended = child.poll() is not None
            if select.select([master], [], [], 0 if ended else 0.1)[0]:
                try:
                    data = os.read(master, BLOCK)
                except OSError:  # EIO: nobody holds the terminal's other side any more
                    data = b""
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    log += self._pass_on(line)
                log = log[-KEPT_LOG:]
                if data:
                    continue
                child.wait()
            if ended or child.poll() is not None:
                return log + self._pass_on(rest)
            if time.monotonic() - tick >= TICK_S:
                tick = time.monotonic()
                self._tell()

    def _pass_on(self, line: bytes) -> str:
        text = plain(line.decode("utf-8", "replace")) + "\n"
        if text.strip():
            self._line = text.strip()[:LINE_CHARACTERS]
            sys.stdout.write(text)
            sys.stdout.flush()
        return text

    def _tell(self) -> None:
        seconds = time.monotonic() - self._began
        memory = health.memory()
        available = memory.get("available_mb")
        if available is not None and (self._lowest is None or available < self._lowest):
            self._lowest = available
        left = None if self._estimate is None else round(max(0.0, self._estimate - seconds), 1)
        total = None if self._estimate is None else max(1, round(self._estimate))
        self._run.progress("engine.build", min(round(seconds), total) if total else round(seconds), total, "s", left)
        self._run.emit("building", seconds=round(seconds, 1), available_mb=available,
                       swap_free_mb=memory.get("swap_free_mb"), line=self._line)

    def _failure(self, ended: Ended) -> Failure:
        memory_mb, swap_mb = self._memory.get("total_mb"), self._memory.get("swap_total_mb")
        if "code" in ended.answer:
            return Failure(ended.answer["code"], **ended.answer["params"])
        if ended.code == -signal.SIGKILL:
            return out_of_memory(self._model, memory_mb, swap_mb)  # nobody else kills the child while its parent lives
        found = reason(ended.log, self._model, memory_mb, swap_mb)
        if found is not None:
            return found
        if ended.code < 0:
            return Failure("engine.crashed", model=self._model.name, signal=-ended.code)
        return Failure("infer.engine_failed", engine="tensorrt", model=self._model.name,
                       error=last_error(ended.log or str(ended.answer.get("refused", ""))))

    def _finish(self, ended: Ended, before: List[Seen]) -> None:
        """Raises Failure: without its file an engine would be built anew at each start."""
        seconds = time.monotonic() - self._began
        after = engine_record.engines(self._model)
        if not after:
            raise self._not_writable()
        if NOT_KEPT.search(ended.log):
            engine_record.remove(self._model)  # written in part
            raise self._no_room()
        reused = bool(before) and _look(after) == before
        record: Optional[Dict[str, Any]] = engine_record.read_record(self._folder) if reused else None
        if record is None:
            record = engine_record.write_record(self._model, 0.0 if reused else seconds)
        if reused:
            self._run.log("engine.reused", model=self._model.name, seconds=round(seconds))
        else:
            self._run.log("engine.built", model=self._model.name, seconds=round(seconds))
        self._run.result(model=self._model.name, engine=record["engine"], bytes=record["bytes"], reused=reused,
                         tensorrt=record["tensorrt"], device=record["device"], seconds=round(seconds, 1),
                         lowest_available_mb=self._lowest)


def _look(paths: List[Path]) -> List[Seen]:
    """Tells an engine that was built anew from the one before."""
    return [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in paths]


def build(run: Run) -> None:
    """Raises Failure."""
    folder = run.params.get("model_dir")
    if not isinstance(folder, str):
        raise Failure("infer.bad_params", key="model_dir")
    model = read_model(Path(folder))
    with take_turn(run) as turn:  # it needs the memory of whatever else would run here
        assert turn is not None, "it has no lease, and nobody says stop to it"
        Builder(run, read_model(Path(folder)) if turn.waited else model).go()


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Build the TensorRT engine of a model.")
    parser.add_argument("--run", required=True, help="the run's folder, with spec.json")
    return parser


def main(argv: List[str]) -> int:
    return carry_out(Run(get_parser().parse_args(argv).run), build)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
