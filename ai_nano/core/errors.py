"""One tree of errors. Each knows its code, its parameters and its exit code; the catalogue knows its words.

Every code has three texts: `<code>.what` (what happened), `<code>.why`, `<code>.hint` (what to try).
"""

import re
from collections.abc import Iterator, Sequence

from ai_nano.core import texts


class AiNanoError(Exception):
    """An expected failure. `details` are lines of a program's own output, shown below the sentences: without what Python
    says of a crash, which is for the log."""

    exit_code = 1

    def __init__(self, code: str, /, *, details: Sequence[str] = (), **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.params = params
        self.details = list(_without_tracebacks(details))

    @property
    def what(self) -> str:
        return texts.t(self.code + ".what", **self.params)

    @property
    def why(self) -> str:
        return texts.t(self.code + ".why", **self.params)

    @property
    def hint(self) -> str:
        return texts.t(self.code + ".hint", **self.params)

    def __str__(self) -> str:
        return f"{self.what} {self.why} {self.hint}"

    def to_json(self) -> dict[str, object]:
        told: dict[str, object] = {"code": self.code, "what": self.what, "why": self.why, "hint": self.hint}
        if self.details:
            told["details"] = self.details
        return told


_FRAME = re.compile(r'\s+File ".*", line \d+')
_LINKS = ("During handling of the above exception", "The above exception was the direct cause")


def _without_tracebacks(lines: Sequence[str]) -> Iterator[str]:
    """Also without one that has lost its beginning: of long output only the end is kept."""
    inside = bool(lines) and lines[0][:1].isspace() and any(_FRAME.match(line) for line in lines[:3])
    after = False
    for line in lines:
        if line.startswith(("Traceback (most recent call last)", *_LINKS)):
            inside, after = not line.startswith(_LINKS), True
        elif inside:
            inside = line[:1].isspace() or not line.strip()  # the error's own line is the last
            after = True
        elif line.strip() or not after:
            after = False
            yield line


class WorkFailed(AiNanoError):
    """The work itself failed: training, export, a full disk."""

    exit_code = 1


class BadInput(AiNanoError):
    """Wrong usage or bad input: configuration, class names, a read-only workspace."""

    exit_code = 2


class ConfigError(BadInput):
    """config.json is missing, broken or says something that cannot be. The key is in `params["key"]`, where there is one."""

    @property
    def what(self) -> str:
        """With file, line and column before it; what a form says has no such place."""
        said = super().what
        if self.params.get("file") is None:
            return said[:1].upper() + said[1:]
        return texts.t("config.place", **self.params) + said if "line" in self.params else said


class MachineError(AiNanoError):
    """A machine refused or is not there."""

    exit_code = 3


class HostKeyError(MachineError):
    """A host key is unknown or has changed."""


class CameraError(AiNanoError):
    """A camera is missing, busy or was unplugged."""

    exit_code = 3


class MissingPrerequisite(AiNanoError):
    """An artefact that the step needs is not there, or the workspace is open elsewhere."""

    exit_code = 4


class ContactLost(AiNanoError):
    """The machine cannot be reached while work goes on there."""

    exit_code = 5


class Detached(AiNanoError):
    """The user no longer watches work that goes on by itself."""

    def __init__(self) -> None:
        super().__init__("detached")


class EndedByOther(AiNanoError):
    """Somebody else ended this student's work: who, when, and with what words, if any (`reason`)."""

    exit_code = 130

    @property
    def why(self) -> str:
        said = super().why
        return f"{texts.t('ended_by.reason', **self.params)} {said}" if self.params.get("reason") else said


class Cancelled(AiNanoError):
    """The user cancelled."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("cancelled")
