"""A Nano that classifies from boot on, without a laptop."""

from ai_nano.core import names
from ai_nano.core.errors import BadInput
from ai_nano.core.nano import boards
from ai_nano.core.nano.boards import Autostart
from ai_nano.core.ports import Lab
from ai_nano.steps.infer import InferOptions, classify_params


def start_at_boot(lab: Lab, nano: str | None, model: str, threshold: float | None = None) -> Autostart:
    """From now on and at each boot; a laptop's own work there goes first. What started at boot before is replaced.

    MissingPrerequisite when the model is not there; MachineError `autostart.no_way` where nothing can start it.
    """
    if not names.is_model_name(model):
        raise BadInput("infer.model_name", model=model)
    if threshold is not None and not 0 <= threshold <= 1:
        raise BadInput("infer.threshold", value=threshold)
    config = lab.nano_config(nano)
    machine = lab.nano(config.name)
    params = classify_params(machine, config, model, InferOptions(threshold=threshold))
    return boards.autostart_on(machine, model, params, lab.config.student)
