"""From a picture to what a CoaT is fed: how it is resized and scaled, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.explain.coat_costs import stage_grids
from vitviz.explain.supertoken_features import as_fed

if TYPE_CHECKING:
    from torch import Tensor

    from vitviz.nn.coat import CoaT


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a model's input.

    Whole, the short side at img_size px, by antialiased bicubic resampling (longer than 3 to 1: squeezed to that); then
    (x / 255 - mean) / std of each channel. Runs of vitviz are trained with :data:`AS_TRAINED`, timm's weights with
    :data:`IMAGENET`.
    """

    name: str
    img_size: int = 224
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


AS_TRAINED = Preprocessing("scaled to -1..1")
IMAGENET = Preprocessing("ImageNet's mean and deviation", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def fit_picture(model: CoaT, pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """A picture (H, W, 3) uint8 at the size it is fed, (h, w, 3) uint8: its long side whole tokens of the second stage."""
    return as_fed(pixels, preprocessing.img_size, multiple_of=2 * model.patch_size)


def to_input(model: CoaT, images: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """Images (B, H, W, 3) uint8 at the size they are fed as a tensor (B, 3, H, W), where the model is and in its dtype."""
    import torch

    from vitviz.data.batches import to_tensor

    like = next(model.parameters())
    scaled = to_tensor(images, like.device)  # 2 x / 255 - 1
    mean, std = (torch.tensor(of, device=like.device)[:, None, None] for of in (preprocessing.mean, preprocessing.std))
    return ((scaled - (2 * mean - 1)) / (2 * std)).to(like.dtype)


def recipe_of(model: CoaT, fed: np.ndarray, preprocessing: Preprocessing) -> str:
    """How the picture (h, w, 3) was fed, for captions."""
    height, width = fed.shape[:2]
    rows, columns = (side * model.patch_size for side in stage_grids(model, height, width)[0])
    padded = "" if (rows, columns) == (height, width) else f", padded with zeros to {columns} x {rows}"
    return f"fed {width} x {height} px (bicubic, whole){padded}; {preprocessing.name}"
