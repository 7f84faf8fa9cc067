"""What nobody expected: one sentence for the student, the traceback in a file for the developers."""

import logging
import os
import tempfile
import traceback
from pathlib import Path

from ai_nano.core.errors import AiNanoError, WorkFailed

log = logging.getLogger("ai_nano")


def explained(error: BaseException) -> AiNanoError:
    """The error itself if it is one of ours; for any other, one that names the file with its traceback."""
    if isinstance(error, AiNanoError):
        return error
    log.error("unexpected", exc_info=error)
    descriptor, name = tempfile.mkstemp(prefix="ai-nano-error-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        traceback.print_exception(error, file=stream)
    return WorkFailed("program.unexpected", error=type(error).__name__, file=Path(name))
