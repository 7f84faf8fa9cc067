"""Room on a machine before something is sent there: how much is needed, and who takes the most where there is too little."""

from ai_nano.core import answers
from ai_nano.core.errors import AiNanoError, WorkFailed
from ai_nano.core.figures import amount
from ai_nano.core.ports import Machine
from ai_nano.core.room import inventory
from ai_nano.core.texts import t

# What the usual training writes beside the images: EfficientNet-Lite0's checkpoint and ONNX file have 19 MB each (4.7 M
# parameters of 4 bytes), and each is written beside the one before; then report, events and log. A larger network that is
# chosen later needs more, and says so itself when the disk is full.
TRAINING_BYTES = 80_000_000
# What TensorRT's engine takes, with the copy on its way (remote/jetson_nano/build_engine.py looks again).
ENGINES = 2
CODES = {"transfer.no_space": "space.too_little", "transfer.no_files": "space.too_few_files"}


def explained(error: WorkFailed, machine: Machine) -> WorkFailed:
    """The same with who takes the most there; as it is, where it is about something else or the machine does not tell."""
    if error.code not in CODES:
        return error
    try:
        found = inventory.read(machine.inventory(), machine.name)
    except AiNanoError:
        return error
    largest = [t("space.of_student", student=student or t("clean.nobody"), amount=amount(size, "bytes"))
               for student, size in inventory.largest(found)]
    params = error.params
    spare = params.get("spare_bytes")
    return WorkFailed(CODES[error.code], details=error.details, machine=machine.name, needed=params.get("needed"),
                      free=params.get("free"), by=t("space.by_quota" if params.get("by") == "quota" else "space.by_disk"),
                      spare=t("space.for_training", amount=amount(spare, "bytes")) if isinstance(spare, int) and spare else "",
                      largest=answers.shown("; ".join(largest)) or "–")
