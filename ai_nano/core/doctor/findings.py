"""What one check of one machine found: born as (code, parameters) there, and a sentence with its mends here."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ai_nano.core import answers
from ai_nano.core.answers import Message
from ai_nano.core.errors import AiNanoError
from ai_nano.core.texts import known, t

# The name under which this computer stands beside the machines of the room.
LAPTOP = "laptop"
OK, WARNING, FAILURE, UNKNOWN = "ok", "warning", "failure", "unknown"
# What only this computer says: no machine is believed that says it, for somebody would type the command that mends it here.
OWN = ("machine.", "doctor.laptop.", "doctor.qt.", "doctor.webcam.", "doctor.config", "doctor.host_key.",
       "doctor.auth.", "doctor.python.config")
# Worst first: so they are shown.
STATES = (FAILURE, WARNING, UNKNOWN, OK)


@dataclass(frozen=True)
class Mend:
    """A command, whole and quoted, to be typed on the machine `on`; `sudo`: it asks for the administrator's password."""

    command: str
    on: str

    @property
    def sudo(self) -> bool:
        return re.search(r"(?:^|\s)sudo\s", self.command) is not None

    @property
    def text(self) -> str:
        """Where to type it."""
        where = t("doctor.on_laptop") if self.on == LAPTOP else t("doctor.on_machine", machine=self.on)
        # By ssh it is the other machine's administrator.
        return t("doctor.with_sudo", where=where) if self.sudo and not self.command.startswith("ssh ") else where

    def to_json(self) -> dict[str, Any]:
        return {"command": self.command, "on": self.on, "sudo": self.sudo}


@dataclass(frozen=True)
class Finding:
    """`figure` is a measured value, fit to be shown in any language; `code` None where all is well."""

    machine: str
    check: str
    state: str
    code: str | None = None
    figure: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    mends: tuple[Mend, ...] = ()

    @property
    def title(self) -> str:
        code = f"doctor.check.{self.check}"
        return t(code) if known(code) else self.check

    @property
    def text(self) -> str:
        """The sentence; of what is well, and has none, the figure."""
        if self.code is None:
            return self.figure
        if known(self.code):
            return t(self.code, **self.params)
        if known(f"{self.code}.what"):
            error = AiNanoError(self.code, details=(), **self.params)
            return f"{error.what} {error.why}"
        return t("doctor.unknown", code=self.code)

    def with_mends(self, mends: Sequence[Mend]) -> "Finding":
        return replace(self, mends=tuple(mends))

    def to_json(self) -> dict[str, Any]:
        return {"v": 1, "type": "check", "machine": self.machine, "check": self.check, "state": self.state, "code": self.code,
                "figure": self.figure, "text": self.text, "mends": [mend.to_json() for mend in self.mends]}


Tell = Callable[[Finding], None]


def of_error(machine: str, check: str, error: AiNanoError) -> Finding:
    """A failure that the rest of the program knows as an error."""
    return Finding(machine, check, FAILURE, error.code, "", dict(error.params))


def read(message: Message, machine: str) -> Finding:
    """A line `finding` of a machine. Raises answers.Nonsense."""
    state = answers.choice(message, "state", STATES)
    code = None if state == OK else answers.code(message)
    if code is not None and code.startswith(OWN):
        raise answers.Nonsense("code")
    params = {"machine": machine, **answers.params(message)}
    return Finding(machine, _word(message, "check"), state, code, answers.text(message, "figure"), params)


def _word(message: Message, key: str) -> str:
    word = answers.code(message, key)
    if len(word) > 40:
        raise answers.Nonsense(key)
    return word


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: STATES.index(one.state))


def state_of(findings: Sequence[Finding]) -> str:
    """The worst state; of a machine with nothing but unknown ones, unknown."""
    return next((state for state in STATES if any(one.state == state for one in findings)), UNKNOWN)


def summary(findings: Sequence[Finding]) -> str:
    """In a few words: how many are not fine, of how many."""
    bad = [one for one in findings if one.state != OK]
    if not bad:
        return t("doctor.all_fine", count=len(findings))
    counts = {state: sum(one.state == state for one in bad) for state in STATES}
    words = ", ".join(t(f"doctor.count.{state}", count=count) for state, count in counts.items() if count)
    return t("doctor.found", words=words, count=len(findings))
