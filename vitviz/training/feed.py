"""What an epoch is made of, and its batches on their device: which images, in which order, changed how, whose part."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vitviz.data.batches import batch_indices, scale_pixels, to_tensor
from vitviz.ranks import SOLO, Ranks
from vitviz.training.augment import apply_draws, draw
from vitviz.training.memory import available_bytes

Transform = Callable[[np.ndarray, int], Tensor]
Batch = tuple[np.ndarray, Tensor]
RESIDENT_SHARE = 0.25
"""Of the free memory of a GPU, what the images of a run may take for as long as it trains."""


@dataclass(frozen=True, kw_only=True)
class EpochPlan:
    """What one epoch is made of.

    ``rows`` (n,) are the images trained on, ``lr`` maps the share of the epoch that is done (0..1) to a learning rate,
    ``seed`` and ``epoch`` fix the order of the images and every other draw. ``augment`` changes a batch on its device;
    ``transform`` instead makes the tensor (3, H, W) of one image from its pixels (H, W, 3) uint8 and a seed. Of every batch
    each of ``ranks`` takes its part.
    """

    rows: np.ndarray
    batch_size: int
    lr: Callable[[float], float]
    seed: int
    epoch: int
    augment: str = "none"
    transform: Transform | None = None
    bfloat16: bool = False
    clip_norm: float = 1.0
    ranks: Ranks = SOLO

    def batches(self) -> list[np.ndarray]:
        """The rows of every whole batch of the epoch, in order; the same on all ranks."""
        order = batch_indices(len(self.rows), self.batch_size, seed=self.seed, epoch=self.epoch)
        return [self.rows[batch] for batch in order]


@dataclass(frozen=True)
class Share:
    """How many images of a batch are this rank's own, of how many."""

    own: int
    whole: int


class ResidentImages:
    """Images (N, H, W, 3) uint8 that lie on a device for as long as a run trains: no batch of them is copied there."""

    def __init__(self, images: np.ndarray, device: torch.device):
        self.shape = images.shape
        self.pixels = torch.from_numpy(np.require(images, np.uint8, ["C", "W"])).to(device)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: np.ndarray) -> Tensor:
        """The images of ``rows`` (B,) as a tensor (B, 3, H, W) in -1..1: to the bit what ``to_tensor`` makes of them."""
        return scale_pixels(self.pixels[torch.from_numpy(rows).to(self.pixels.device)])


def place_images(images: np.ndarray, device: torch.device) -> Any:
    """The images as they are best fed to ``device``: on a GPU where they fit, else the array, of which every batch is copied."""
    if device.type != "cuda" or not fits(images.nbytes, available_bytes(device)):
        return images
    return ResidentImages(images, device)


def fits(num_bytes: int, available: int) -> bool:
    """Whether so many bytes of images leave enough of the ``available`` ones to the network and its gradients."""
    return num_bytes <= RESIDENT_SHARE * available


def pixels_of(images: Any, rows: np.ndarray, device: torch.device) -> Tensor:
    """``images[rows]``, an array or :class:`ResidentImages`, as a tensor (B, 3, H, W) in -1..1 on ``device``."""
    return images.take(rows) if isinstance(images, ResidentImages) else to_tensor(images[rows], device)


def load_batches(
    images: Any, batches: list[np.ndarray], plan: EpochPlan, device: torch.device, generator: torch.Generator
) -> Iterator[Batch]:
    """The rows and the augmented pixels (B, 3, H, W) of this rank's part of every batch, on ``device``."""
    parts = [_own_part(len(rows), plan.ranks) for rows in batches]
    if plan.transform is None:
        for rows, part in zip(batches, parts, strict=True):
            # drawn for the whole batch, so that an image is changed alike whoever takes it
            draws = draw(plan.augment, len(rows), images.shape[1], generator).part(part)
            yield rows[part], apply_draws(pixels_of(images, rows[part], device), draws)
        return
    batches = [rows[part] for rows, part in zip(batches, parts, strict=True)]
    pictures, pinned = _Pictures(images, plan), device.type == "cuda"
    loader = DataLoader(pictures, batch_sampler=batches, num_workers=_num_workers(device), pin_memory=pinned)
    for rows, pixels in zip(batches, loader, strict=True):
        yield rows, pixels.to(device, non_blocking=True)


def share_of(number: int, ranks: Ranks) -> Share:
    """This rank's share of a batch of ``number`` images."""
    part = ranks.part(number)
    return Share(part.stop - part.start, number)


def mix_seeds(*numbers: int) -> int:
    """One seed, 0..2^63-1, out of several non-negative numbers: run, epoch, row."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


class _Pictures(Dataset):
    """Row -> the transformed image of an epoch."""

    def __init__(self, images: np.ndarray, plan: EpochPlan):
        self.images, self.plan = images, plan

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Tensor:
        return self.plan.transform(self.images[row], mix_seeds(self.plan.seed, self.plan.epoch, int(row)))


def _num_workers(device: torch.device) -> int:
    # beside a GPU the pictures are changed by processes of their own; beside a CPU's own work they would only be in its way
    if device.type != "cuda" or not hasattr(os, "sched_getaffinity"):
        return 0
    return max(min(len(os.sched_getaffinity(0)) - 1, 8), 0)


def _own_part(number: int, ranks: Ranks) -> slice:
    """This rank's part of a batch; who would have none takes the first image, which then counts for nothing."""
    part = ranks.part(number)
    return part if part.stop > part.start else slice(0, 1)
