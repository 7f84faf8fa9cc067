"""What may be drawn in which phase: one table of constants, disjoint between the phases.

A student photographs in the phase `record` and shows the object to the Nano in the phase `show`. A model that only
knew its photographs by heart would pass a demo that showed the same pictures again; so no background, angle, size,
light or place of one phase occurs in the other. The intervals of the two phases alternate with a gap between them,
which asks the model to generalise a little way and not to guess.
"""

from __future__ import annotations

from dataclasses import dataclass

Interval = tuple[float, float]

# Columns and rows of the places where a card's centre may be, as fractions of the frame's width and height.
_COLUMNS: tuple[Interval, ...] = ((0.27, 0.37), (0.39, 0.49), (0.51, 0.61), (0.63, 0.73))
_ROWS: tuple[Interval, ...] = ((0.36, 0.44), (0.46, 0.54), (0.56, 0.64))


def _cells(parity: int) -> tuple[tuple[Interval, Interval], ...]:
    """Every second cell of the grid, as on a chessboard."""
    return tuple((c, r) for i, c in enumerate(_COLUMNS) for j, r in enumerate(_ROWS) if (i + j) % 2 == parity)


@dataclass(frozen=True)
class Ranges:
    """What one phase draws from; a take stays within one interval of each row.

    backgrounds  files of scikit-image's pictures
    rotation     in the image plane, degrees, clockwise
    size         the card's height over the frame's height, before it is tilted
    gain         brightness; 1.0 leaves a photograph as it is
    warmth       colour temperature: red is multiplied by 1 + warmth, blue by 1 - warmth
    cells        place of the card's centre: (interval of x, interval of y), fractions of the frame
    """

    backgrounds: tuple[str, ...]
    rotation: tuple[Interval, ...]
    size: tuple[Interval, ...]
    gain: tuple[Interval, ...]
    warmth: tuple[Interval, ...]
    cells: tuple[tuple[Interval, Interval], ...]


RANGES: dict[str, Ranges] = {
    "record": Ranges(
        backgrounds=("motorcycle_left.png", "brick.png", "gravel.png", "camera.png", "ihc.png"),
        rotation=((-29.0, -21.0), (-9.0, -1.0), (11.0, 19.0)),
        size=((0.30, 0.36), (0.46, 0.52), (0.62, 0.68)),
        gain=((0.60, 0.70), (0.86, 0.96), (1.12, 1.22)),
        warmth=((-0.22, -0.16), (-0.04, 0.02), (0.14, 0.20)),
        cells=_cells(0),
    ),
    "show": Ranges(
        backgrounds=("astronaut.png", "grass.png", "text.png", "retina.jpg", "hubble_deep_field.jpg"),
        rotation=((-19.0, -11.0), (1.0, 9.0), (21.0, 29.0)),
        size=((0.38, 0.44), (0.54, 0.60), (0.70, 0.75)),
        gain=((0.73, 0.83), (0.99, 1.09), (1.25, 1.33)),
        warmth=((-0.13, -0.07), (0.05, 0.11), (0.23, 0.27)),
        cells=_cells(1),
    ),
}

PHASES = tuple(RANGES)

# Alike in both phases: they belong to the camera and the hand, not to what the model could learn by heart.
TILT: Interval = (-32.0, 32.0)  # about the vertical and the horizontal axis, degrees
CONTRAST: Interval = (0.65, 1.2)
GRADIENT: Interval = (0.1, 0.45)  # how much darker the darkest corner is
DEFOCUS: Interval = (0.3, 1.5)  # Gaussian sigma of the card, pixels
BACKGROUND_BLUR: Interval = (4.0, 11.0)  # Gaussian sigma, pixels
NOISE: tuple[float, ...] = (1.5, 3.0, 5.0)  # standard deviation, of 255
