"""DeiT's augmentation, by timm: what is done to one picture, and how a batch is mixed. Every draw is a function of a seed.

timm draws from the global generators of Python, numpy and torch; they are put back after every draw, so neither the order in
which pictures are loaded nor the number of worker processes changes anything.
"""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vitviz.nn.torchvision_import import import_torchvision
from vitviz.training.classification_config import MAX_MAGNITUDE, ClassificationConfig


class PhotoAugment:
    """One training picture (H, W, 3) uint8 and a seed to (3, img_size, img_size) float32 in [-1, 1].

    A random crop of at least ``min_crop`` of the area, mirrored or not, RandAugment, random erasing.
    Source: Touvron et al. 2021, table 9; timm's ``create_transform``.
    """

    def __init__(self, config: ClassificationConfig, img_size: int):
        import_torchvision()
        from timm.data import create_transform

        # at timm's own bound of 10 a colour keeps 0 bits, which Pillow refuses
        magnitude = f"rand-m{config.rand_augment:g}-mmax{MAX_MAGNITUDE}-mstd0.5-inc1" if config.rand_augment else None
        self._transform = create_transform(
            img_size,
            is_training=True,
            scale=(config.min_crop, 1.0),
            auto_augment=magnitude,
            color_jitter=0.0,
            interpolation="bicubic",
            re_prob=config.random_erasing,
            re_mode="pixel",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )

    def __call__(self, image: np.ndarray, seed: int) -> Tensor:
        with drawing_from(seed):
            return self._transform(Image.fromarray(np.asarray(image)))


def mix_batch(
    pixels: Tensor, classes: Tensor, num_classes: int, config: ClassificationConfig, seed: int
) -> tuple[Tensor, Tensor]:
    """Mixup or CutMix of a batch with itself reversed, and smoothed labels: pixels (B, 3, H, W) and classes (B,) int64.

    Returns: pixels of the same shape and targets (B, num_classes), rows that sum to 1. A batch of odd size stays one apart.
    Source: Zhang et al. 2018, Yun et al. 2019; timm's ``Mixup``. Differs from the paper's text, which swaps the two strengths.
    """
    import_torchvision()
    from timm.data.mixup import Mixup, mixup_target

    if len(pixels) < 2 or not (config.mixup or config.cutmix):
        return pixels, mixup_target(classes, num_classes, 1.0, config.label_smoothing)
    mixup = Mixup(config.mixup, config.cutmix, label_smoothing=config.label_smoothing, num_classes=num_classes)
    even = len(pixels) // 2 * 2
    with drawing_from(seed):
        mixed, targets = mixup(pixels[:even].clone(), classes[:even])
    if even == len(pixels):
        return mixed, targets
    last = mixup_target(classes[even:], num_classes, 1.0, config.label_smoothing)
    return torch.cat([mixed, pixels[even:]]), torch.cat([targets, last])


@contextlib.contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Inside, the global generators of Python, numpy and torch (CPU) start from ``seed``; outside, nothing has changed."""
    python, legacy, tensors = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.random.default_generator.manual_seed(seed % 2**63)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.random.set_rng_state(tensors)
