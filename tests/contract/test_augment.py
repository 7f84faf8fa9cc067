"""Altered images: from a seed alone, and within their bounds for any size."""

import numpy as np
import pytest
import server_data

from gpu_server import augment, libraries
from shared.preprocess import squash


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 1), (90, 160), (720, 1280)])
def test_any_size_comes_out_at_the_networks(height: int, width: int) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    made = augment.copies(frame, 32, 6, (1, 2))
    assert made.shape == (6, 32, 32, 3) and made.dtype == np.uint8
    assert augment.random_resized_crop(frame, 32, augment.generator(1)).shape == (32, 32, 3)


def test_the_first_copy_is_what_the_nano_sees_and_the_second_its_mirror_image() -> None:
    frame = server_data.photograph("coffee.png")
    made = augment.copies(frame, 64, 2, (0,))
    assert np.array_equal(made[0], squash(frame, 64, 64))
    assert np.array_equal(made[1], made[0][:, ::-1])


def test_nothing_is_mirrored_where_that_would_be_another_class() -> None:
    """The left half is black, so a part in the mirror would be brighter on the left."""
    frame = np.zeros((90, 160, 3), np.uint8)
    frame[:, 80:] = 200
    for mirror, brighter_left in ((False, False), (True, True)):
        made = augment.copies(frame, 64, 40, (3,), mirror).mean(axis=(1, 3))
        assert (made[:, 0] > made[:, -1]).any() == brighter_left


def test_the_same_seed_alters_alike_and_another_one_otherwise() -> None:
    frame = server_data.photograph("coffee.png")
    first, again, other = (augment.copies(frame, 64, 5, seeds) for seeds in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first, again)
    assert not any(np.array_equal(one, two) for one, two in zip(first[2:], other[2:], strict=True))
    assert len({copy.tobytes() for copy in first}) == 5


def test_crops_are_drawn_as_torchvision_draws_them() -> None:
    """By their distribution: torchvision draws from torch's generator and so never gives the same ones."""
    libraries.load_torchvision()
    import torch
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    picture, count = torch.zeros(3, 720, 1280), 4000
    theirs = np.array([RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)])
    random = augment.generator(5)
    ours = np.array([augment.crop_box(720, 1280, random) for _ in range(count)])
    assert (ours[:, :2] >= 0).all() and (ours[:, 0] + ours[:, 2] <= 720).all() and (ours[:, 1] + ours[:, 3] <= 1280).all()
    for column in range(4):
        for share in (10, 25, 50, 75, 90):
            assert abs(np.percentile(ours[:, column], share) - np.percentile(theirs[:, column], share)) < 40
