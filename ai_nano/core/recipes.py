"""The recipes of step 5: what each begins with and which settings it has; doc/design/training.md says what they do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ai_nano.core.texts import known, t

# Under the names that their authors write.
NETWORKS = {"efficientnet_lite0": "EfficientNet-Lite0", "resnet18": "ResNet-18", "mobilenet_v2": "MobileNetV2",
            "mobilenet_v3_large": "MobileNetV3-Large", "squeezenet1_1": "SqueezeNet 1.1"}
ARCHITECTURES = tuple(NETWORKS)
SETTINGS = ("epochs", "lr", "batch", "minutes")


@dataclass(frozen=True)
class Recipe:
    """`arch`: the network where none is chosen. `settings`: those that it has, with their usual values; None is the
    server's own choice."""

    name: str
    arch: str
    settings: Mapping[str, float | None] = field(default_factory=dict)


RECIPES: Mapping[str, Recipe] = {one.name: one for one in (
    Recipe("quick", "efficientnet_lite0", {"epochs": None}),
    Recipe("fine", "efficientnet_lite0", {"epochs": None, "lr": None, "batch": 32, "minutes": None}),
    Recipe("classic", "resnet18", {"epochs": 35, "lr": 0.1, "batch": 8}),
)}


def word(stage: str) -> str:
    """A recipe or a stage of one within a sentence; one that this version does not know keeps its name."""
    return t(f"recipe.{stage}").lower() if known(f"recipe.{stage}") else stage
