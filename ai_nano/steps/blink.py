"""Each LED of a Nano in turn, to find the board on the bench and to see which pin belongs to which class."""

from collections.abc import Sequence
from dataclasses import dataclass

from ai_nano.core import answers, names, wire
from ai_nano.core.answers import optional
from ai_nano.core.errors import BadInput, ContactLost, MachineError, MissingPrerequisite
from ai_nano.core.nano import boards
from ai_nano.core.ports import Machine, StepContext
from ai_nano.steps.infer import LEASE_S

SECONDS = 1.0
ROUNDS = 2


@dataclass(frozen=True)
class Blinked:
    """`lit` are (pin, class) in the order in which they were lit, the class None where nobody knows it."""

    nano: str
    model: str | None
    lit: tuple[tuple[int, str | None], ...]
    without_pin: tuple[str, ...]


def blink(name: str | None, model: str | None, context: StepContext, seconds: float = SECONDS,
          rounds: int = ROUNDS) -> Blinked:
    """Light each LED of the Nano `name` (None: the first) for so long, so many times.

    The classes are those of `model`, else of the newest model there; without any model pins have numbers only.
    MachineError `blink.in_use`: a laptop's program has the LEDs. Cancelling ends it, LEDs dark.
    """
    if model is not None and not names.is_model_name(model):
        raise BadInput("infer.model_name", model=model)
    nano = context.lab.nano_config(name)
    if nano.leds == "none" or not nano.pins:
        raise BadInput("blink.no_leds", machine=nano.name)
    machine = context.lab.nano(nano.name)
    for use in boards.uses(machine):
        raise MachineError("blink.in_use", machine=nano.name, who=use.who)
    known = _model(machine, model)
    classes = list(known.classes) if known is not None else []
    params = {"leds": nano.leds, "pins": list(nano.pins), "leds_file": None, "classes": classes, "seconds": seconds,
              "rounds": rounds}
    job = machine.start("blink", "jetson_nano/blink.py", params, lease_s=LEASE_S)
    try:
        result = wire.follow(job, "blink", nano.name, context.emit, context.cancel, lost="status.contact_lost.leased")
    except ContactLost as error:
        raise MachineError("infer.lost", machine=nano.name) from error
    with answers.reading(nano.name):
        lit = tuple((answers.count(one, "pin", 0, 1000), optional(answers.text, one, "class", longest=names.LONGEST_LABEL))
                    for one in answers.objects(result, "lit", wire.MOST_PINS))
    return Blinked(nano.name, known.model if known else None, lit, tuple(classes[len(nano.pins):]))


def _model(machine: Machine, wanted: str | None) -> boards.NanoModel | None:
    """The model by name, else the newest that has classes. MissingPrerequisite infer.model_not_there."""
    found: Sequence[boards.NanoModel] = boards.models(machine)
    if wanted is not None:
        for one in found:
            if one.model == wanted:
                return one
        raise MissingPrerequisite("infer.model_not_there", model=wanted, machine=machine.name,
                                  known=[one.model for one in found])
    return max((one for one in found if one.classes), key=lambda one: one.modified or 0.0, default=None)
