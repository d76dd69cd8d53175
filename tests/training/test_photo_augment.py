"""DeiT's augmentation: what it may do to a picture and to a batch, and that seeds decide it and nothing else."""

import random

import numpy as np
import pytest
import torch

from vitviz.training.photo_augment import PhotoAugment, drawing_from, mix_batch
from vitviz.training.supertokens_config import SuperTokensConfig


def config(**changes) -> SuperTokensConfig:
    return SuperTokensConfig(img_size=32, stride=8, **changes)


def picture(seed: int = 0, size: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(number, 3, 8, 8, generator=generator), torch.arange(number) % 5


PLAIN = {"rand_augment": 0.0, "random_erasing": 0.0, "min_crop": 1.0, "mixup": 0.0, "cutmix": 0.0}


def test_a_picture_becomes_a_tensor_of_the_models_size_and_range():
    pixels = PhotoAugment(config(random_erasing=0.0), 32)(picture(), 0)
    assert pixels.shape == (3, 32, 32) and pixels.dtype == torch.float32
    assert -1 <= pixels.min() < pixels.max() <= 1


def test_without_any_strength_a_picture_is_itself_or_mirrored():
    image, augment = picture(size=32), PhotoAugment(config(**PLAIN), 32)
    expected = torch.from_numpy(image).permute(2, 0, 1) / 127.5 - 1
    seen = {torch.allclose(augment(image, seed), expected, atol=1e-6) for seed in range(12)}
    mirrored = {torch.allclose(augment(image, seed), expected.flip(2), atol=1e-6) for seed in range(12)}
    assert seen == mirrored == {True, False}


def test_the_seed_decides_and_the_global_generators_have_no_say():
    augment = PhotoAugment(config(random_erasing=0.9), 32)
    first = augment(picture(), 5)
    random.seed(99)
    torch.manual_seed(99)
    assert torch.equal(augment(picture(), 5), first)
    assert not torch.equal(augment(picture(), 6), first)


@pytest.mark.parametrize("seed", range(0, 300, 60))
def test_the_strongest_augmentation_never_asks_for_what_pillow_refuses(seed):
    augment = PhotoAugment(config(rand_augment=9.0), 32)
    assert all(augment(picture(), seed + one).isfinite().all() for one in range(60))


def test_drawing_leaves_the_global_generators_as_they_were():
    before = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    PhotoAugment(config(random_erasing=0.9), 32)(picture(), 5)
    mix_batch(*batch(6), 5, config(), 3)
    with pytest.raises(ZeroDivisionError), drawing_from(7):
        1 / 0  # noqa: B018
    assert before[0] == random.getstate() and torch.equal(before[2], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("number", [1, 2, 7, 8])
@pytest.mark.parametrize("strength", [(0.8, 1.0), (0.8, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_targets_of_a_mixed_batch_are_shares_that_sum_to_one(number, strength):
    pixels, classes = batch(number)
    before = pixels.clone()
    mixed, targets = mix_batch(pixels, classes, 5, config(mixup=strength[0], cutmix=strength[1]), 3)
    assert torch.equal(pixels, before) and mixed.shape == pixels.shape
    assert targets.shape == (number, 5) and torch.allclose(targets.sum(dim=1), torch.ones(number), atol=1e-6)
    assert targets.min() > 0


def test_mixup_blends_a_batch_with_itself_reversed_in_the_shares_of_the_targets():
    pixels, classes = batch(4)
    mixed, targets = mix_batch(pixels, classes, 5, config(mixup=1.0, cutmix=0.0, label_smoothing=0.0), 3)
    share = targets[0, classes[0]]
    assert 0 < share < 1
    assert torch.allclose(mixed, share * pixels + (1 - share) * pixels.flip(0), atol=1e-6)


def test_an_unmixed_batch_keeps_its_pixels_and_its_labels():
    pixels, classes = batch(4)
    mixed, targets = mix_batch(pixels, classes, 5, config(mixup=0.0, cutmix=0.0, label_smoothing=0.0), 3)
    assert torch.equal(mixed, pixels) and torch.equal(targets.argmax(dim=1), classes) and targets.max() == 1
