"""What the stage draws: photographs on cards, the same again for the same numbers, and never of both phases."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from ai_nano.demo.cards import CARD_ASPECT, CARDS, Image, photograph, printed_card
from ai_nano.demo.stage_ranges import PHASES, RANGES, Interval
from ai_nano.demo.stage_scene import HEIGHT, WIDTH, Pose, Scene, card_homography

SCALARS = ("rotation", "size", "gain", "warmth")


def apart(one: Interval, other: Interval) -> bool:
    return one[1] < other[0] or other[1] < one[0]


def inside(value: float, intervals: tuple[Interval, ...]) -> bool:
    return any(low <= value <= high for low, high in intervals)


@pytest.mark.parametrize("name", SCALARS)
def test_phases_share_no_interval(name: str) -> None:
    for one, other in itertools.product(*(getattr(RANGES[phase], name) for phase in PHASES)):
        assert apart(one, other), (name, one, other)


def test_phases_share_no_place() -> None:
    for (x, y), (other_x, other_y) in itertools.product(*(RANGES[phase].cells for phase in PHASES)):
        assert apart(x, other_x) or apart(y, other_y)


def test_phases_share_no_background_and_no_card_is_one() -> None:
    record, show = (set(RANGES[phase].backgrounds) for phase in PHASES)
    assert not record & show
    assert not (record | show) & set(CARDS.values())
    # The two halves of a stereo pair show the same room.
    assert not any(file.startswith("motorcycle") for file in show)


def test_backgrounds_of_the_phases_are_different_pictures() -> None:
    small = {
        phase: [cv2.resize(photograph(file), (32, 32), interpolation=cv2.INTER_AREA) for file in RANGES[phase].backgrounds]
        for phase in PHASES
    }
    for one, other in itertools.product(small["record"], small["show"]):
        assert np.abs(one.astype(int) - other).mean() > 8


@pytest.mark.parametrize("phase", PHASES)
def test_takes_stay_within_their_phase(phase: str) -> None:
    ranges = RANGES[phase]
    for take in range(12):
        scene = Scene(3, phase, take, None)
        assert set(scene.backgrounds) <= set(ranges.backgrounds)
        assert inside(scene.warmth, ranges.warmth)
        for index in range(0, 600, 7):
            pose = scene.pose(index)
            assert inside(pose.rotation, ranges.rotation)
            assert inside(pose.size, ranges.size)
            assert inside(pose.gain, ranges.gain)
            assert any(inside(pose.x, (x,)) and inside(pose.y, (y,)) for x, y in ranges.cells)


def test_few_takes_see_every_background_size_and_light() -> None:
    ranges = RANGES["record"]
    takes = [Scene(11, "record", take, None) for take in range(5)]
    assert {take.backgrounds[0] for take in takes} == set(ranges.backgrounds)
    for name in ("rotation", "size", "gain"):
        seen = {next(i for i in getattr(ranges, name) if inside(getattr(take.pose(0), name), (i,))) for take in takes}
        assert seen == set(getattr(ranges, name))


def test_frames_are_the_same_again_and_an_array_of_their_own() -> None:
    first = Scene(1, "show", 2, "cat").frame(17)
    assert first.shape == (720, 1280, 3) and first.dtype == np.uint8
    again = Scene(1, "show", 2, "cat")
    later = again.frame(18)
    assert np.array_equal(again.frame(17), first)
    assert not np.array_equal(later, first)
    first[:] = 0
    assert again.frame(17).mean() > 1


@pytest.mark.parametrize("other", [(2, "show", 2), (1, "record", 2), (1, "show", 3)])
def test_seed_phase_and_take_each_change_the_picture(other: tuple[int, str, int]) -> None:
    difference = Scene(1, "show", 2, None).frame(0).astype(int) - Scene(*other, None).frame(0)
    assert np.abs(difference).mean() > 5


def test_pose_light_and_room_do_not_depend_on_the_card() -> None:
    scenes = [Scene(4, "record", 1, card) for card in ("cat", "rocket", None)]
    assert len({scene.pose(50) for scene in scenes}) == 1
    frames = [scene.frame(50).astype(int) for scene in scenes]
    corners = np.s_[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.array_equal(frames[0][corners], frames[1][corners])
    assert np.array_equal(frames[0][corners], frames[2][corners])


def test_motion_is_smooth() -> None:
    scene = Scene(5, "record", 0, "coffee")
    poses = [scene.pose(index) for index in range(300)]
    steps = [np.hypot((b.x - a.x) * WIDTH, (b.y - a.y) * HEIGHT) for a, b in itertools.pairwise(poses)]
    assert 0 < max(steps) < 12  # pixels from one frame to the next
    assert max(abs(b.rotation - a.rotation) for a, b in itertools.pairwise(poses)) < 1
    assert max(p.x for p in poses) - min(p.x for p in poses) > 0.02


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("phase", PHASES)
def test_the_cards_photograph_is_what_is_seen(card: str, phase: str) -> None:
    """Taken back through its pose, the picture in the frame correlates with the card, and more than with any other."""
    scene = Scene(6, phase, 0, card)
    pose = scene.pose(30)
    height, width = 200, round(200 * CARD_ASPECT)
    # card_homography counts four pixels of padding on each side of the print.
    back = np.linalg.inv(card_homography(pose, width + 8, height + 8) @ np.array([[1, 0, 4], [0, 1, 4], [0, 0, 1.0]]))
    seen = cv2.warpPerspective(scene.frame(30), back, (width, height), flags=cv2.INTER_AREA)
    visible = cv2.warpPerspective(np.full((HEIGHT, WIDTH), 255, np.uint8), back, (width, height)) == 255
    margin = round(0.2 * height)
    visible[:margin] = visible[-margin:] = visible[:, :margin] = visible[:, -margin:] = (
        False  # the white border is common to all
    )

    def details(image: Image) -> np.ndarray:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
        without_uneven_light = cv2.GaussianBlur(grey, (0, 0), 2) - cv2.GaussianBlur(grey, (0, 0), 20)
        return without_uneven_light[visible].ravel()

    likeness = {other: np.corrcoef(details(seen), details(printed_card(other, height)))[0, 1] for other in CARDS}
    assert likeness[card] > 0.85
    assert all(likeness[other] < 0.4 for other in CARDS if other != card)


def test_size_is_the_cards_height_over_the_frames() -> None:
    straight = Pose(rotation=0, size=0.5, x=0.5, y=0.5, yaw=0, pitch=0, gain=1)
    corners = np.array([[[4, 4], [4, 204]]], np.float64)
    top, bottom = cv2.perspectiveTransform(corners, card_homography(straight, 308, 208))[0]
    assert bottom[1] - top[1] == pytest.approx(0.5 * HEIGHT, abs=0.01)
    assert (top[1] + bottom[1]) / 2 == pytest.approx(HEIGHT / 2, abs=1)


def test_every_card_has_the_same_outline() -> None:
    assert len({printed_card(card, 300).shape for card in CARDS}) == 1


@pytest.mark.parametrize("wrong", [("sho", "cat"), ("show", "dog")])
def test_unknown_phase_or_card(wrong: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        Scene(0, wrong[0], 0, wrong[1])
