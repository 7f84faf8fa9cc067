"""The lesson of step 3: what the test of a split promises, and what fresh takes then really give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from ai_nano.core.cancel import CancelToken
from ai_nano.core.events import Listener
from ai_nano.core.figures import percent
from ai_nano.core.texts import t

# The one that flatters first.
STRATEGIES = ("random", "blocks")


@dataclass(frozen=True)
class LessonOptions:
    """Each seed is another set of takes, and one training for each strategy. `per_take`: frames of a take."""

    seeds: int = 3
    per_take: int = 10


@dataclass(frozen=True)
class Outcome:
    """One training. Accuracies are fractions: `promised` of the split's own `tested` images, `real` of `fresh` ones."""

    strategy: str
    seed: int
    promised: float
    real: float
    tested: int
    fresh: int

    def to_json(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class LessonResult:
    """`takes` of each class were recorded, `per_take` frames each; `seconds` is how long all of it took."""

    outcomes: tuple[Outcome, ...]
    classes: tuple[str, ...]
    takes: int
    per_take: int
    seconds: float

    def promised(self, strategy: str) -> float:
        """The mean over the seeds."""
        return mean(one.promised for one in self._of(strategy))

    def real(self, strategy: str) -> float:
        """The mean over the seeds."""
        return mean(one.real for one in self._of(strategy))

    def flattery(self, strategy: str) -> float:
        """By how much the promise is too high, as a fraction; below 0 where it is too low."""
        return self.promised(strategy) - self.real(strategy)

    def rows(self) -> list[list[str]]:
        """A row for each strategy: its name, what was promised, and what fresh takes gave; the mean, and each round's."""
        return [[strategy_word(strategy), _figures([one.promised for one in self._of(strategy)]),
                 _figures([one.real for one in self._of(strategy)])] for strategy in STRATEGIES]

    def _of(self, strategy: str) -> list[Outcome]:
        return [one for one in self.outcomes if one.strategy == strategy]

    @property
    def sizes(self) -> str:
        """What was recorded and tested, in a sentence."""
        return t("lesson.sizes", classes=len(self.classes), takes=self.takes, per_take=self.per_take,
                 fresh=self.outcomes[0].fresh, rounds=len(self._of(STRATEGIES[0])))

    @property
    def text(self) -> str:
        """What is to be learned from it, with its figures."""
        figures = {f"{strategy}_{kind}": percent(of(strategy)) for strategy in STRATEGIES
                   for kind, of in (("promised", self.promised), ("real", self.real))}
        nearer = abs(self.flattery("blocks")) < self.flattery("random")
        return t("lesson.result" if nearer else "lesson.result.no", **figures)

    def to_json(self) -> dict[str, Any]:
        return {"seeds": len(self._of(STRATEGIES[0])), "classes": list(self.classes), "takes": self.takes,
                "per_take": self.per_take, "seconds": round(self.seconds, 1),
                **{strategy: {"promised": self.promised(strategy), "real": self.real(strategy)} for strategy in STRATEGIES},
                "trainings": [one.to_json() for one in self.outcomes]}


# Records, trains and compares; takes a minute or so. MissingPrerequisite where a library is missing, Cancelled.
Lesson = Callable[[LessonOptions, Listener, CancelToken], LessonResult]


def strategy_word(strategy: str) -> str:
    return t(f"lesson.strategy.{strategy}")


def _figures(each: Sequence[float]) -> str:
    """For example `72.2 % (76, 71, 70)`."""
    return f"{percent(mean(each))} ({', '.join(f'{100 * one:.0f}' for one in each)})" if len(each) > 1 else percent(each[0])
