"""A run that somebody else ended: who tells its student so, and what the student reads (doc/design/room.md)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ai_nano.core import answers
from ai_nano.core.answers import optional
from ai_nano.core.errors import EndedByOther
from ai_nano.core.texts import t

LONGEST_NAME = 100
LONGEST_REASON = 300
INSTRUCTOR = "instructor"


@dataclass(frozen=True)
class By:
    """Who ends somebody else's run, from a laptop, and with what words to its student."""

    who: str
    instructor: bool = False
    reason: str = ""

    def words(self) -> list[str]:
        """For `cancel` of runner.py. In one word each, since a name may begin with a hyphen."""
        role = [f"--role={INSTRUCTOR}"] if self.instructor else []
        reason = answers.shown(self.reason.strip(), LONGEST_REASON)
        return [f"--by={answers.shown(self.who, LONGEST_NAME) or '?'}", *role, *([f"--reason={reason}"] if reason else [])]


def whose(own: str, student: str | None, instructor: bool = False, reason: str = "") -> By | None:
    """Who is named when `own` ends a run of `student`; None where it is one's own."""
    return None if student == own and not reason else By(own, instructor, reason)


@dataclass(frozen=True)
class EndedBy:
    """What a machine says of it; `at` is this computer's unix time."""

    who: str
    instructor: bool
    reason: str
    at: float

    @property
    def text(self) -> str:
        """For example `ended by the instructor (eve@desk) at 10:42`."""
        return t("ended_by.instructor" if self.instructor else "ended_by.other", who=self.who, time=self.clock)

    @property
    def clock(self) -> str:
        return time.strftime("%H:%M", time.localtime(self.at))

    def error(self, machine: str, run: str) -> EndedByOther:
        code = "job.ended_by_instructor" if self.instructor else "job.ended_by_other"
        return EndedByOther(code, who=self.who, time=self.clock, reason=self.reason, machine=machine, run=run)

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)


def read(raw: Mapping[str, Any], key: str = "ended_by") -> EndedBy | None:
    """What `end` and `room` of runner.py have under that key. Raises Nonsense."""
    told = optional(answers.mapping, raw, key, most=20)
    if told is None:
        return None
    return EndedBy(answers.text(told, "who"), optional(answers.text, told, "role") == INSTRUCTOR,
                   optional(answers.text, told, "reason") or "", time.time() - answers.number(told, "ago_s", 0))
