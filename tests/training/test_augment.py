"""Random changes of a batch: what they may do to an image, and that a generator decides it."""

import pytest
import torch

from vitviz.training.augment import AUGMENTATIONS, augment


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(number: int = 6, size: int = 16) -> torch.Tensor:
    return torch.rand(number, 3, size, size, generator=seeded(1))


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("size", [4, 16, 33])
def test_every_image_keeps_its_place_shape_and_values(name, size):
    images = batch(size=size)
    before = images.clone()
    changed = augment(images, name, seeded())
    assert torch.equal(images, before)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    for image, result in zip(images, changed, strict=True):
        assert all(torch.isin(result[chan], image[chan]).all() for chan in range(3))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_generator_decides(name):
    first, second, other = (augment(batch(), name, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert torch.equal(first, other) == (name == "none")


def test_none_changes_nothing():
    assert torch.equal(augment(batch(), "none", seeded()), batch())


@pytest.mark.parametrize("name", ["shift", "shift_flip"])
def test_channels_move_together_and_images_each_by_themselves(name):
    same = batch(1).expand(40, -1, -1, -1).clone()
    same[:, 1] = same[:, 2] = same[:, 0]
    changed = augment(same, name, seeded())
    assert torch.equal(changed[:, 0], changed[:, 1]) and torch.equal(changed[:, 0], changed[:, 2])
    assert len({image.numpy().tobytes() for image in changed}) > 10


@pytest.mark.parametrize(("size", "reach"), [(16, 2), (32, 4), (4, 1)])
def test_a_shift_reaches_an_eighth_of_the_side_in_every_direction(size, reach):
    images = torch.zeros(600, 1, size, size)
    images[:, :, size // 2, size // 2] = 1
    found = augment(images, "shift", seeded())[:, 0].nonzero()
    moves = found[:, 1:] - size // 2
    assert len(found) == 600
    assert set(map(tuple, moves.tolist())) == {
        (r, c) for r in range(-reach, reach + 1) for c in range(-reach, reach + 1)
    }


def test_a_shift_repeats_the_border():
    rows = torch.arange(16.0)[None, None, :, None].expand(50, 1, 16, 16)
    for image in augment(rows, "shift", seeded())[:, 0]:
        offset = image[8, 0].item() - 8
        assert torch.equal(image, (torch.arange(16.0) + offset).clamp(0, 15)[:, None].expand(16, 16))


def test_about_every_second_image_is_mirrored():
    columns = torch.arange(16.0)[None, None, None, :].expand(400, 1, 16, 16)
    changed = augment(columns, "shift_flip", seeded())[:, 0, 0]
    mirrored = changed[:, 8] < changed[:, 7]
    assert 140 < mirrored.sum() < 260
