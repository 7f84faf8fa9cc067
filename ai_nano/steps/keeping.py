"""Uncertain frames of a running classification, kept by themselves: what it says and what it shows, brought together."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ai_nano.core.errors import AiNanoError, BadInput, MissingPrerequisite
from ai_nano.core.events import Event, Listener, Log, Prediction
from ai_nano.core.figures import percent
from ai_nano.core.keeper import Keeper
from ai_nano.core.ports import Images, Picture, StepContext
from ai_nano.core.project import corrections
from ai_nano.core.project.corrections import Seen, Shot
from ai_nano.core.project.uncertain import UncertainFrames
from ai_nano.core.project.workspace import Workspace
from ai_nano.core.watching import Kept

# Neighbouring frames look alike, and one of them is enough.
APART_S = 1.0
MOST = 30
# As many as a Nano keeps, and for each the prediction, whichever comes first.
PICTURES, PREDICTIONS = 8, 90
# A Nano with older programs never answers; then the live picture is what there is.
ANSWER_S = 3.0
# A disk that takes longer is left to itself.
STORE_S = 5.0

OnPicture = Callable[[Picture], None]
Options = TypeVar("Options", bound=Any)


def full_size(kept: Kept, picture: Picture, t: float, images: Images) -> Shot:
    """The kept frame, or the live picture where there is none or it is no picture at all."""
    if kept.jpeg is not None and images.bitmap(kept.jpeg, 16, 16) is not None:
        return Shot(kept.jpeg, t, kept.width, kept.height)
    return Shot(picture.jpeg, t, picture.width, picture.height)


def check(workspace: Workspace | None, options: Any) -> list[AiNanoError]:
    """`keep_uncertain` and `keep_most` of InferOptions and TryOptions."""
    if options.keep_uncertain is None:
        return []
    problems: list[AiNanoError] = []
    if not 0 < options.keep_uncertain <= 1:
        problems.append(BadInput("infer.keep_uncertain", value=options.keep_uncertain))
    if options.keep_most < 1:
        problems.append(BadInput("infer.keep_most", value=options.keep_most))
    if workspace is None:
        problems.append(MissingPrerequisite("correct.no_project"))
    return problems


@dataclass(frozen=True)
class _Pending:
    picture: Picture
    prediction: Prediction
    t: float
    since: float


class UncertainWatch:
    """Keeps frames whose shown confidence is below `below`: at least APART_S apart, at most `most` in all that wait.

    Pictures come in one thread, predictions in another. Trouble with writing ends the keeping alone, and is said once.
    """

    def __init__(self, store: UncertainFrames, workspace: Workspace, model: str, camera: str, below: float, most: int,
                 keeper: Keeper, images: Images, emit: Listener) -> None:
        self._store = store
        self._workspace = workspace
        self._model, self._camera = model, camera
        self._below, self._most = below, most
        self._keeper = keeper
        self._images = images
        self._emit = emit
        self._lock = threading.RLock()
        self._pictures: OrderedDict[int, Picture] = OrderedDict()
        self._predictions: OrderedDict[int, Prediction] = OrderedDict()
        self._pending: dict[int, _Pending] = {}
        self._storing: list[threading.Thread] = []
        self._last = -APART_S
        self._waiting = store.count()
        self._ended = False

    def on_picture(self, picture: Picture) -> None:
        with self._lock:
            _remember(self._pictures, picture.frame, picture, PICTURES)
            prediction = self._predictions.get(picture.frame)
        if prediction is not None:
            self._consider(picture, prediction)
        self._give_up_waiting(ANSWER_S)

    def on_event(self, event: Event) -> None:
        if isinstance(event, Prediction):
            with self._lock:
                _remember(self._predictions, event.frame, event, PREDICTIONS)
                picture = self._pictures.get(event.frame)
            if picture is not None:
                self._consider(picture, event)

    def close(self) -> None:
        """What nobody has answered yet is kept as it was shown."""
        self._give_up_waiting(0.0)
        for thread in self._storing:
            thread.join(STORE_S)

    def _consider(self, picture: Picture, prediction: Prediction) -> None:
        now = time.monotonic()
        with self._lock:
            if (self._ended or prediction.sure >= self._below or now - self._last < APART_S
                    or self._waiting + len(self._pending) >= self._most):
                return
            refused = corrections.refusal(self._workspace, prediction.probabilities)
            if refused is not None:
                self._end(refused)
                return
            self._last = now
            self._pending[picture.frame] = _Pending(picture, prediction, time.time(), now)
        self._keeper.ask(picture.frame, self._on_kept)

    def _give_up_waiting(self, after_s: float) -> None:
        with self._lock:
            late = [frame for frame, one in self._pending.items() if time.monotonic() - one.since >= after_s]
        for frame in late:
            self._on_kept(Kept(frame, None))

    def _on_kept(self, kept: Kept) -> None:
        with self._lock:
            pending = self._pending.pop(kept.frame, None)
            if pending is None or self._ended:
                return
            self._waiting += 1
            # Beside the pictures, which a slow disk must not hold up.
            thread = threading.Thread(target=self._put, args=(kept, pending, self._waiting), name="uncertain", daemon=True)
            self._storing = [one for one in self._storing if one.is_alive()] + [thread]
            thread.start()

    def _put(self, kept: Kept, pending: _Pending, count: int) -> None:
        said = pending.prediction
        seen = Seen(self._model, said.class_name, said.sure)
        try:
            shot = full_size(kept, pending.picture, pending.t, self._images)
            if self._images.bitmap(shot.jpeg, 16, 16) is None:  # nobody may have looked at the live picture
                with self._lock:
                    self._waiting -= 1
                return
            self._store.put(shot, self._camera, seen, said.probabilities)
        except AiNanoError as error:
            self._end(error)
        else:
            self._emit(Log("infer.uncertain_kept", {"confidence": percent(said.sure, 0), "count": count, "most": self._most}))

    def _end(self, error: AiNanoError) -> None:
        with self._lock:
            ended, self._ended = self._ended, True
            self._pending.clear()
        if not ended:
            self._emit(Log("infer.uncertain_ended", {"reason": error.what}, "warning"))


def _remember(kept: "OrderedDict[int, Any]", frame: int, thing: object, most: int) -> None:
    kept[frame] = thing
    while len(kept) > most:
        kept.popitem(last=False)


@contextmanager
def keeping(workspace: Workspace | None, model: str, camera: str, options: Options,
            context: StepContext) -> Iterator[tuple[Options, StepContext]]:
    """Options and context of a session that also keeps uncertain frames; as they are where nobody asked for it.

    A frame in full size is kept on the Nano only while somebody watches: then there are pictures, wanted or not.
    """
    if options.keep_uncertain is None or workspace is None:
        yield options, context
        return
    keeper = options.watching if isinstance(options.watching, Keeper) else Keeper()
    watch = UncertainWatch(UncertainFrames(workspace), workspace, model, camera, options.keep_uncertain, options.keep_most,
                           keeper, context.lab.images, context.emit)

    def emit(event: Event) -> None:
        context.emit(event)
        watch.on_event(event)

    def on_picture(picture: Picture) -> None:
        if options.on_picture is not None:
            options.on_picture(picture)
        watch.on_picture(picture)

    try:
        yield replace(options, watching=keeper, on_picture=on_picture), replace(context, emit=emit)
    finally:
        watch.close()
