"""From a picture to what a CoaT is fed: whole, whatever its size; scaled as :mod:`vitviz.explain.preprocessing` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitviz.explain.coat_costs import stage_grids
from vitviz.explain.preprocessing import AS_TRAINED, IMAGENET, Preprocessing, to_input
from vitviz.explain.supertoken_features import as_fed

if TYPE_CHECKING:
    from vitviz.nn.coat import CoaT

__all__ = ["AS_TRAINED", "IMAGENET", "Preprocessing", "fit_picture", "recipe_of", "to_input"]


def fit_picture(model: CoaT, pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """A picture (H, W, 3) uint8 at the size it is fed, (h, w, 3) uint8: whole, its short side at img_size px.

    By antialiased bicubic resampling, the long side whole tokens of the second stage; longer than 3 to 1 it is squeezed to that.
    """
    return as_fed(pixels, preprocessing.img_size, multiple_of=2 * model.patch_size)


def recipe_of(model: CoaT, fed: np.ndarray, preprocessing: Preprocessing) -> str:
    """How the picture (h, w, 3) was fed, for captions."""
    height, width = fed.shape[:2]
    rows, columns = (side * model.patch_size for side in stage_grids(model, height, width)[0])
    padded = "" if (rows, columns) == (height, width) else f", padded with zeros to {columns} x {rows}"
    return f"fed {width} x {height} px (bicubic, whole){padded}; {preprocessing.name}"
