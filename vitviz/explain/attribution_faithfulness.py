"""Does an attribution name what the model looks at? Patches are taken away, or put back, in its order, beside random orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.attribution_maps import BASELINES, cell_starts, make_baseline
from vitviz.explain.attribution_methods import Meter, OnProgress
from vitviz.explain.attribution_targets import Target

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Curves:
    """What taking away and putting back does in one order of patches.

    deletion, insertion (K,) float32: the target's value when that share is gone, or is there; deletion_auc, insertion_auc: the
    areas under them over shares 0..1, in units of the value. A faithful order has a small first and a large second.
    """

    deletion: np.ndarray
    insertion: np.ndarray
    deletion_auc: float
    insertion_auc: float


@dataclass(frozen=True)
class Faithfulness:
    """An attribution's curves beside those of random orders.

    shares (K,) of patches, 0..1; own: in the order of the attribution, the largest first; random: one of each seed; quantity:
    what the curves show; recipe: in words, with what stands where a patch is gone.
    """

    shares: np.ndarray
    own: Curves
    random: tuple[Curves, ...]
    quantity: str
    recipe: str

    def random_deletion(self) -> tuple[float, float]:
        """Mean and standard deviation (n - 1) over seeds of the random orders' deletion areas."""
        return _spread([curves.deletion_auc for curves in self.random])

    def random_insertion(self) -> tuple[float, float]:
        """Mean and standard deviation (n - 1) over seeds of the random orders' insertion areas."""
        return _spread([curves.insertion_auc for curves in self.random])


def faithfulness(
    model: nn.Module,
    images: Tensor,
    target: Target,
    importance: np.ndarray,
    *,
    baseline: str = "mean",
    num_points: int = 15,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    batch_size: int = 8,
    on_progress: OnProgress | None = None,
) -> Faithfulness:
    """Deletion and insertion of a picture's cells by their importance (rows, columns), which ``pooled`` makes of an attribution.

    Of equal cells the earlier one goes first. At most ``num_points`` shares are looked at, ends included:
    2 + 2 (1 + seeds) (num_points - 2) pictures go through the network, ``batch_size`` at a time.

    Source: Petsiuk et al. 2018. Differs: cells in place of pixels, the same baseline for both.
    Raises: Problem, a ValueError, with fewer than two points, no seed or a grid finer than the picture; Cancelled.
    """
    if num_points < 2 or not len(seeds):
        raise Problem(f"num_points={num_points} must be at least 2, with at least one seed")
    rows, columns = importance.shape
    if rows > images.shape[2] or columns > images.shape[3]:
        raise Problem(f"a grid of {rows} x {columns} is finer than the picture")
    number = importance.size
    counts = np.unique(np.linspace(0, number, num_points).round().astype(int))
    orders = [np.argsort(-importance.ravel(), kind="stable")]
    orders += [np.random.default_rng(seed).permutation(number) for seed in seeds]
    values = _values(model, images, target, _kept(orders, counts, importance.shape), baseline, batch_size, on_progress)
    own, *random = _curves(values, counts / number, len(orders))
    recipe = f"{rows} x {columns} cells, {len(counts)} shares; a missing cell shows {BASELINES[baseline]}; {len(seeds)} controls"
    return Faithfulness(counts / number, own, tuple(random), target.quantity, recipe)


def _kept(orders: Sequence[np.ndarray], counts: np.ndarray, shape: tuple[int, int]) -> list[np.ndarray]:
    """Which cells are there, a bool array of ``shape`` each: all, none, then by order its deletions, its insertions."""
    kept = [np.ones(shape, bool), np.zeros(shape, bool)]
    for order in orders:
        rank = np.empty(order.size, int)
        rank[order] = np.arange(order.size)
        first = [(rank < count).reshape(shape) for count in counts[1:-1]]
        kept += [~one for one in first] + first
    return kept


def _values(
    model: nn.Module,
    images: Tensor,
    target: Target,
    kept: Sequence[np.ndarray],
    baseline: str,
    batch_size: int,
    on_progress: OnProgress | None,
) -> np.ndarray:
    """The target's value (n,) float64 of the picture with the cells of each of n masks."""
    import torch

    meter, found = Meter(on_progress, len(kept)), []
    with torch.inference_mode():
        gone = make_baseline(model, images, baseline)
        for masks in _pixel_masks(kept, images, batch_size):
            found.append(target.value(model, torch.where(masks, images, gone)).double().cpu().numpy())
            meter.advance(len(masks))
    return np.concatenate(found)


def _pixel_masks(kept: Sequence[np.ndarray], images: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Batches (b, 1, H, W) bool."""
    import torch

    (height, width), (rows, columns) = images.shape[2:], kept[0].shape
    down = np.searchsorted(cell_starts(height, rows), np.arange(height), side="right") - 1
    across = np.searchsorted(cell_starts(width, columns), np.arange(width), side="right") - 1
    for first in range(0, len(kept), batch_size):
        masks = np.stack(kept[first : first + batch_size])
        yield torch.from_numpy(masks[:, None, down][..., across]).to(images.device)


def _curves(values: np.ndarray, shares: np.ndarray, num_orders: int) -> list[Curves]:
    full, empty = values[:2]
    found = []
    for deletion, insertion in values[2:].reshape(num_orders, 2, -1):
        falling, rising = np.array([full, *deletion, empty]), np.array([empty, *insertion, full])
        areas = (float(np.trapezoid(curve, shares)) for curve in (falling, rising))
        found.append(Curves(falling.astype(np.float32), rising.astype(np.float32), *areas))
    return found


def _spread(areas: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(areas)), float(np.std(areas, ddof=1)) if len(areas) > 1 else 0.0
