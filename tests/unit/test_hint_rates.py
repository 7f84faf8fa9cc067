"""How often hints are right on rendered scenes, of seeds with which nothing was tuned; and what a look is, of odd frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hint_rates import HINTS, outcomes, rates

from ai_nano.cameras.looks import measure
from ai_nano.core.hints.advice import WIDTH
from ai_nano.core.look import SIGNATURE_BYTES
from ai_nano.demo.stage_scene import Scene

SEED, SCENES = 7, 20
# Of 20 scenes each: how many that must raise the hint have to, and how many that must not may.
FEWEST_HITS, MOST_ALARMS = 18, 1


@pytest.mark.slow
@pytest.mark.parametrize("hint", HINTS)
def test_hints_are_mostly_right(hint: str) -> None:
    found = [one for must in (True, False) for one in outcomes(hint, must, SEED, SCENES)]
    wrong = [one for one in found if one.raised is not one.must]
    assert rates(found, True)[0] >= FEWEST_HITS, wrong
    assert rates(found, False)[0] <= MOST_ALARMS, wrong


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (720, 1280), (960, 540)])
def test_the_size_of_the_frame_matters_little(size: tuple[int, int]) -> None:
    frame = Scene(5, "record", 1, "coffee").frame(20)
    blurred = cv2.GaussianBlur(frame, (0, 0), 7)
    for image, sharp in ((frame, True), (blurred, False)):
        width = measure(cv2.resize(image, size, interpolation=cv2.INTER_AREA)).width
        assert width is not None and (width < WIDTH[0]) is sharp


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 2000, 3), (90, 160), (90, 160, 4), (23, 24, 3)])
def test_odd_frames_are_measured_too(shape: tuple[int, ...]) -> None:
    look = measure(np.full(shape, 90, np.uint8))
    assert (look.lit, look.middle, look.clipped, look.width) == (90, 90, 0, None)
    assert len(look.signature) == SIGNATURE_BYTES


def test_a_still_or_noisy_wall_has_no_edges() -> None:
    noise = np.random.default_rng(1).normal(0, 12, (720, 1280, 3))
    assert measure((noise + 120).clip(0, 255).astype(np.uint8)).width is None
