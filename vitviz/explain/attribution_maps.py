"""An attribution as an array: summed over patches, scaled to be drawn, and the picture without content it is measured from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

BASELINES = {
    "black": "a black picture",
    "mean": "the picture's mean colour",
    "blur": "the picture, blurred",
}
NORMALISATIONS = {
    "positive": "positive part / 99th percentile",
    "signed": "signed, symmetric, / 99th percentile of the magnitude",
}
_QUANTILE = 0.99
_BLUR_SHARE = 1 / 16  # standard deviation over the short side: 14 px of 224
_BLUR_REACH = 3  # standard deviations


@dataclass(frozen=True)
class Attribution:
    """How much each place of one picture counts for a score.

    map (H, W) of pixels or (rows, columns) of tokens, float32, signed; method: its name in ``METHODS``; target: in words; score,
    baseline_score: the target's score of the picture, and of what it is compared with (None where nothing is); completeness: how
    far the sum of the map is from score - baseline_score, over the magnitude of that, 0 is perfect (None where no such sum is
    promised); recipe: method, target and settings in words, for captions.
    """

    method: str
    map: np.ndarray
    target: str
    score: float
    baseline_score: float | None
    completeness: float | None
    recipe: str


@dataclass(frozen=True)
class Scaled:
    """An attribution to be drawn.

    values float32, 0..1 (``positive``) or -1..1 (``signed``), cut off there; scale: what 1 stands for; words: what was done.
    """

    values: np.ndarray
    scale: float
    words: str


def pooled(attribution: Attribution, grid: tuple[int, int]) -> np.ndarray:
    """The map summed over each cell of a grid (rows, columns), float32 of that shape: the sum of the whole stays.

    Raises: Problem when the map is coarser than the grid.
    """
    (height, width), (rows, columns) = attribution.map.shape, grid
    if height < rows or width < columns:
        raise Problem(f"a map of {height} x {width} is coarser than a grid of {rows} x {columns}")
    down, across = cell_starts(height, rows), cell_starts(width, columns)
    by_row = np.add.reduceat(attribution.map.astype(np.float64), down, axis=0)
    return np.add.reduceat(by_row, across, axis=1).astype(np.float32)


def scaled(values: np.ndarray, how: str = "signed", *, scale: float | None = None) -> Scaled:
    """A map of any shape as a picture wants it; ``scale`` of another's :class:`Scaled` puts both on one.

    Raises: Problem, a ValueError, when ``how`` is not in :data:`NORMALISATIONS`.
    """
    if how not in NORMALISATIONS:
        raise Problem(f"normalisation {how!r} must be one of {', '.join(NORMALISATIONS)}")
    kept = np.maximum(values, 0) if how == "positive" else values
    if scale is None:
        magnitudes = np.abs(kept[kept != 0])
        scale = float(np.quantile(magnitudes, _QUANTILE)) if magnitudes.size else 1.0
    return Scaled(np.clip(kept / scale, -1, 1).astype(np.float32), scale, NORMALISATIONS[how])


def make_baseline(model: nn.Module, images: Tensor, kind: str) -> Tensor:
    """A picture (B, 3, H, W) without what ``images``, normalised for ``model``, show: see :data:`BASELINES`.

    Blurred is by a Gaussian whose standard deviation is 1/16 of the short side, mirrored at the border.

    Raises: Problem, a ValueError, on an unknown ``kind``.
    """
    if kind not in BASELINES:
        raise Problem(f"baseline {kind!r} must be one of {', '.join(BASELINES)}")
    if kind == "blur":
        return _blur(images)
    if kind == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images).contiguous()
    return images.new_tensor(_black(model))[:, None, None].expand_as(images).contiguous()


def cell_starts(length: int, number: int) -> np.ndarray:
    """Where each of ``number`` cells along ``length`` pixels begins, int64, the first at 0; as even as can be."""
    return np.arange(number) * length // number


def _black(model: nn.Module) -> list[float]:
    """Black as the model is fed it: by timm's mean and deviation, else -1 as runs of vitviz are trained."""
    about = getattr(model, "pretrained_cfg", None)
    if not about:
        return [-1.0, -1.0, -1.0]
    return [-mean / std for mean, std in zip(about["mean"], about["std"], strict=True)]


def _blur(images: Tensor) -> Tensor:
    import torch
    from torch.nn import functional as F

    height, width = images.shape[2:]
    sigma = min(height, width) * _BLUR_SHARE
    reach = min(round(_BLUR_REACH * sigma), min(height, width) - 1)
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = (-0.5 * (offsets / sigma) ** 2).exp()
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    down = F.conv2d(padded, kernel[..., None], groups=images.shape[1])
    return F.conv2d(down, kernel[:, :, None], groups=images.shape[1])
