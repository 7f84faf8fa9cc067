"""What a person should know of a split: how it was made, and where its test will promise too much.

Read off the split itself, whoever made it and when: what counts is which takes stand on both sides.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ai_nano.core.project.workspace import PARTS, ImageFile
from ai_nano.core.split.blocks import HELD_BACK, take_of
from ai_nano.core.split.twins import Twins
from ai_nano.core.texts import t

# With fewer, one image more or less right is a fifth of the accuracy, or more.
FEW = 5
# Where so much of val and test has a twin in train, the test tells what was learned by heart.
ALIKE = 0.5
NAMES_SHOWN = 6


class Reason(NamedTuple):
    """A sentence by its code, of the whole split or of the class `class_name` (there a few words); `warning`: where the
    test is not to be trusted as it stands."""

    code: str
    params: dict[str, Any]
    class_name: str | None = None
    warning: bool = False

    @property
    def text(self) -> str:
        return t(self.code, **{key: _shortened(value) for key, value in self.params.items()})

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "params": self.params, "class": self.class_name, "warning": self.warning}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Reason":
        name = told["class"]
        return cls(str(told["code"]), dict(told["params"]), None if name is None else str(name), bool(told["warning"]))


def of_receipt(facts: Mapping[str, Any]) -> list[Reason]:
    """The reasons that a receipt of step 3 keeps; none where an older version made the split."""
    try:
        return [Reason.from_json(one) for one in facts.get("why", ())]
    except (KeyError, TypeError, ValueError):
        return []


def reasons(classes: Mapping[str, Sequence[ImageFile]], assigned: Mapping[str, str], twins: Mapping[str, Twins], strategy: str,
            previous: Mapping[str, str]) -> tuple[Reason, ...]:
    """First of the whole split, then of each class. `classes`: the images of each in the order of their recording."""
    kinds = {name: _kind(images, assigned) if strategy == "blocks" else "random" for name, images in classes.items()}
    counts = {name: {part: sum(1 for image in images if assigned[image.key] == part) for part in PARTS}
              for name, images in classes.items()}
    crossing = {name: _crossing(images, assigned, twins[name]) for name, images in classes.items()}
    held = {name: sum(counts[name][part] for part in HELD_BACK) for name in classes}
    found = [_how(kinds, strategy)] if kinds else []
    alike = [name for name in classes if crossing[name] >= ALIKE * held[name]]
    if alike and strategy == "blocks":
        found.append(Reason("split.why.alike", {"names": alike}, warning=True))
    others = [name for name in classes if crossing[name] and (name not in alike or strategy != "blocks")]
    if others:
        count, total = sum(crossing[name] for name in others), sum(held[name] for name in others)
        found.append(Reason("split.why.twins", {"count": count, "total": total, "names": others}, warning=True))
    few = [name for name in classes if min(counts[name][part] for part in HELD_BACK) < FEW]
    if few:
        found.append(Reason("split.why.few", {"names": few, "fewest": FEW}, warning=True))
    kept = sum(1 for key in assigned if key in previous)
    if kept and kept < len(assigned):
        found.append(Reason("split.why.kept", {"kept": kept, "added": len(assigned) - kept}))
    return (*found, *(Reason(f"split.class.{kinds[name]}", {"twins": crossing[name], "of": held[name]}, name,
                             crossing[name] >= ALIKE * held[name]) for name in classes))


def _how(kinds: Mapping[str, str], strategy: str) -> Reason:
    if strategy != "blocks":
        return Reason("split.why.random", {}, warning=True)
    whole = [name for name, kind in kinds.items() if kind == "takes"]
    others = [name for name in kinds if name not in whole]
    if not others:
        return Reason("split.why.takes", {})
    return Reason("split.why.some", {"whole": whole, "parts": others}) if whole else Reason("split.why.time", {})


def _kind(images: Sequence[ImageFile], assigned: Mapping[str, str]) -> str:
    """`takes` where val and test have takes of their own, `mixed` where one of them has, else `time`."""
    takes: dict[str, set[str]] = {part: set() for part in PARTS}
    for image in images:
        takes[assigned[image.key]].add(take_of(image))
    alone = [part for part in HELD_BACK if not any(takes[part] & takes[other] for other in PARTS if other != part)]
    return {2: "takes", 1: "mixed", 0: "time"}[len(alone)]


def _crossing(images: Sequence[ImageFile], assigned: Mapping[str, str], twins: Twins) -> int:
    """How many images of val and test have a twin in train."""
    train = twins.mask(image.key for image in images if assigned[image.key] == "train")
    return twins.shared((image.key for image in images if assigned[image.key] != "train"), train)


def _shortened(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and len(value) > NAMES_SHOWN:
        return [*value[:NAMES_SHOWN], "…"]
    return value
