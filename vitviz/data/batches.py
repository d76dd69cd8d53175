"""Which images, in which order, and from uint8 pixels to a tensor: all of it a pure function of its arguments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem

if TYPE_CHECKING:
    import torch


def batch_indices(
    num_images: int, batch_size: int, *, seed: int, epoch: int, shuffle: bool = True, drop_last: bool = False
) -> Iterator[np.ndarray]:
    """The rows of each batch of one epoch: int64 arrays of ``batch_size`` that together hold 0..num_images-1 once.

    The order depends on ``seed`` and ``epoch`` alone, so a resumed run and every rank of a distributed one agree on it.
    The last batch may be shorter; ``drop_last`` leaves it out.

    Raises: Problem when ``batch_size`` is less than 1.
    """
    if batch_size < 1:
        raise Problem(f"batch_size={batch_size} must be at least 1")
    order = np.random.default_rng([seed, epoch]).permutation(num_images) if shuffle else np.arange(num_images)
    stop = num_images - num_images % batch_size if drop_last else num_images
    return (order[start : start + batch_size] for start in range(0, stop, batch_size))


def split_held_out(labels: np.ndarray, fraction: float, *, seed: int) -> np.ndarray:
    """Which images are held out: (N,) bool with exactly ``fraction * N`` of them, halves rounded up.

    ``labels`` (N,) are integers; every class, and -1 for the unlabelled, gives its share to within one image.

    Raises: Problem unless ``0 <= fraction < 1``.
    """
    if not 0 <= fraction < 1:
        raise Problem(f"held-out fraction {fraction} must be at least 0 and less than 1")
    held_out = np.zeros(len(labels), bool)
    held_out[stratified_order(labels, seed=seed)[: math.floor(fraction * len(labels) + 0.5)]] = True
    return held_out


def stratified_order(groups: np.ndarray, *, seed: int) -> np.ndarray:
    """A seeded order (N,) int64 of all rows in which every prefix holds each group in proportion, to within one row.

    Within a group of n rows the order is random; its r-th row comes at (r + 1/2) / n of the whole. A shorter prefix is
    contained in a longer one.
    """
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    by_group = shuffled[np.argsort(np.asarray(groups)[shuffled], kind="stable")]
    _, starts, counts = np.unique(np.asarray(groups)[by_group], return_index=True, return_counts=True)
    ranks = np.arange(len(groups)) - np.repeat(starts, counts)
    places = (ranks + 0.5) / np.repeat(counts, counts)
    return by_group[np.argsort(places, kind="stable")]


def to_tensor(images: np.ndarray, device: torch.device | str, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Images (B, H, W, 3) uint8 as a contiguous tensor (B, 3, H, W) in [-1, 1], float32 unless ``dtype`` is given.

    That is (x / 255 - 0.5) / 0.5 per channel. The bytes travel to the device first, a quarter of the floats, and are
    scaled there; to a CUDA device they travel from pinned memory without waiting.
    """
    import torch

    device = torch.device(device)
    pixels = torch.from_numpy(np.require(images, np.uint8, ["C", "W"]))
    if device.type == "cuda":
        pixels = pixels.pin_memory().to(device, non_blocking=True)
    return scale_pixels(pixels.to(device)).to(dtype or torch.float32)


def scale_pixels(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (B, H, W, 3) uint8, wherever they are, as a contiguous tensor (B, 3, H, W) in [-1, 1], float32, there."""
    import torch

    floats = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return floats.div_(127.5).sub_(1)
