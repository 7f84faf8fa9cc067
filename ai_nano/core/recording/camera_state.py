"""How a camera does that gives pictures: said beside them, since work goes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ai_nano.core.texts import t


@dataclass(frozen=True)
class CameraState:
    """`code`: camera.slow {fps, asked}, camera.black, camera.still {seconds}, camera.other_size {width, height, asked}."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return t(self.code, **self.params)
