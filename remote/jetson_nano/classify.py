"""Classifies what the Nano's camera sees: frame, engine, LED of the class, prediction, for every frame.

    python PROGRAMS/jetson_nano/classify.py --run RUNDIR

Also runs on the laptop, to try a model on the laptop's own camera. doc/design/wire.md has its parameters and events.
"""

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, List, Optional

from jetson_nano import health
from jetson_nano.autostart_files import make_room
from jetson_nano.camera import Camera
from jetson_nano.decision import Decision, Settings, changed, wrong
from jetson_nano.engine import Answer, Engine
from jetson_nano.engines import open_engine
from jetson_nano.guarded_leds import open_leds
from jetson_nano.in_container import carry_out
from jetson_nano.leds import Leds
from jetson_nano.model import Model, read_model
from jetson_nano.opening import check_size, open_camera, wait_for_lookers
from jetson_nano.pictures import Pictures
from jetson_nano.sources import Frame, SourceEnded, check_flip
from jetson_nano.turns import Turn, take_turn
from shared.wire import Commands, Failure, Lease, Run

FRAME_WAIT_S = 0.1
LISTEN_S = 0.05
HEALTH_S = 1.0


class Session:
    """One classification from the first frame to the last."""

    def __init__(self, run: Run, model: Model, engine: Engine, leds: Leds, pictures: Pictures, turn: Turn) -> None:
        self._run = run
        self._model = model
        self._engine = engine
        self._leds = leds
        self._pictures = pictures
        self._turn = turn
        self._decision = Decision(changed(Settings(float(run.params["threshold"])), run.params))
        self._commands = Commands(run)
        self._lease = Lease(run)
        self._listen_at = 0.0
        self._health_at: Optional[float] = None
        self._asked = time.perf_counter()
        self._stopped = False
        # The laptop is not heard: LEDs are dark until it is, or the lease has expired.
        self._alone = False
        self._frames = 0
        self._created = time.monotonic()
        self._first: Optional[float] = None

    def go(self, camera: Camera) -> None:
        """Returns when the work is done or the laptop says stop or is gone; then sends the result."""
        self._asked = time.perf_counter()
        ended = False
        try:
            while not self._over():
                frame = camera.read(FRAME_WAIT_S)
                if frame is not None:
                    number = self._frames
                    capture_ms = (time.perf_counter() - self._asked) * 1000
                    self._predict(self._engine.classify(frame.image), frame, capture_ms)
                    self._pictures.offer(frame.image, number, frame.t)
                    self._asked = time.perf_counter()
        except SourceEnded:
            ended = True
        self._leds.show(())
        seconds = 0.0 if self._first is None else time.monotonic() - self._first
        self._run.result(frames=self._frames, seconds=round(seconds, 3),
                         fps=round(self._frames / seconds, 2) if seconds > 0 else 0.0, ended=ended, **self._turn.facts)

    def _over(self) -> bool:
        frames, seconds = self._run.params.get("frames"), self._run.params.get("seconds")
        now = time.monotonic()
        self._leds.beat()
        if now >= self._listen_at:
            self._listen_at = now + LISTEN_S
            self._listen()
        if self._health_at is not None and now >= self._health_at:
            self._health_at = now + HEALTH_S
            self._run.emit("health", **health.read())
        return (self._stopped or (frames is not None and self._frames >= frames)
                or (seconds is not None and self._first is not None and now - self._first >= seconds))

    def _listen(self) -> None:
        for command in self._commands.poll():
            if command.get("type") == "stop":
                self._stopped = True
            elif command.get("type") == "set":
                self._decision.settings = changed(self._decision.settings, command)
        self._alone = self._lease.silent()
        if self._alone:
            self._leds.show(())
            if self._lease.expired() and not self._stopped:
                self._stopped = True
                self._run.log("infer.lease_lost", level="warning")
        if not self._stopped and self._turn.over():
            self._stopped = True

    def darken(self) -> None:
        """The camera is lost: what was seen is not there any more, as far as anybody knows."""
        self._leds.show(())
        self._decision.forget()

    def _predict(self, answer: Answer, frame: Frame, capture_ms: float) -> None:
        if self._first is None:
            self._first = time.monotonic()
            self._health_at = self._first + HEALTH_S
            self._run.log("infer.ready", model=self._model.name, engine=self._engine.name,
                          classes=len(self._model.classes), seconds=round(self._first - self._created, 2))
        index = self._decision.look(answer.probabilities, time.monotonic())
        pins = self._run.params.get("pins") or []
        lit = [pins[index]] if 0 <= index < len(pins) and not self._alone else []
        began = time.perf_counter()
        self._leds.show(lit)
        leds_ms = (time.perf_counter() - began) * 1000
        name = self._model.classes[index] if index >= 0 else None
        stages = {"capture": capture_ms, "preprocess": answer.preprocess_ms, "network": answer.network_ms, "leds": leds_ms}
        fields: Dict[str, Any] = {"file": frame.file, "ms": {stage: round(value, 3) for stage, value in stages.items()}}
        if self._decision.settings.smoothing_s > 0:
            fields["smoothed"] = dict(zip(self._model.classes, self._decision.mean))
        self._run.emit("prediction", frame=self._frames, t=frame.t, **{"class": name}, class_index=index,
                       confidence=answer.confidence, probabilities=_named(self._model.classes, answer), lit=lit, **fields)
        self._frames += 1


def _named(classes: List[str], answer: Answer) -> Dict[str, float]:
    """Older releases of jetson-inference tell the best class's probability only; then the others are left out."""
    return {name: value for name, value in zip(classes, answer.probabilities) if value is not None}


def classify(run: Run) -> None:
    """What is wrong with the parameters or the model is said before anybody waits."""
    check_params(run.params)
    model = read_model(Path(run.params["model_dir"]))
    with take_turn(run) as turn:
        if turn is None:
            run.result(frames=0, seconds=0.0, fps=0.0)
        else:
            # Who waited may find another model there than the one that was looked at for its faults.
            classify_now(run, read_model(model.onnx.parent) if turn.waited else model, turn)


def classify_now(run: Run, model: Model, turn: Turn) -> None:
    """The camera is closed after the LEDs are dark: closing may take seconds."""
    sessions: List[Session] = []
    make_room(run.root)
    wait_for_lookers(run)

    def darken() -> None:
        for session in sessions:
            session.darken()

    with closing(Camera(run, run.params["camera"], lambda: open_camera(run), darken)) as camera:
        with open_leds(run.params, run.root) as leds:
            engine = open_engine(run.params["engine"], model, run)
            with closing(Pictures(run, engine.pixels)) as pictures:
                sessions.append(Session(run, model, engine, leds, pictures, turn))
                sessions[0].go(camera)


def check_params(params: Dict[str, Any]) -> None:
    """Raises Failure infer.bad_params {key}, infer.bad_flip."""
    for key in ("model_dir", "camera", "engine", "leds"):
        if not isinstance(params.get(key), str):
            raise Failure("infer.bad_params", key=key)
    setting = "threshold" if params.get("threshold") is None else wrong(params)
    if setting is not None:
        raise Failure("infer.bad_params", key=setting)
    check_size(params)
    check_flip(params.get("flip"))


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Classify what the camera sees and light the LED of the class.")
    parser.add_argument("--run", required=True, help="the run's folder, with spec.json")
    return parser


def main(argv: List[str]) -> int:
    return carry_out(Run(get_parser().parse_args(argv).run), classify)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
