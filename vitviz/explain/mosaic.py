"""A picture in one mean colour a super token, cut to a square: small enough for a card or a frame of a film strip."""

import numpy as np
from PIL import Image

from vitviz.explain.segmentation import mean_colors

SIDE = 288
"""Pixels along a side: two for one on a dense screen."""

_OUTLINE = 0.55  # how white the lines between super tokens are, 0..1


def square(photo: np.ndarray, *, side: int = SIDE) -> np.ndarray:
    """The middle of a photo (H, W, 3) uint8 as (side, side, 3) uint8."""
    return _middle(_short_side_at(photo, side), side)


def mosaic(photo: np.ndarray, ids: np.ndarray, *, side: int = SIDE) -> np.ndarray:
    """The middle of a photo (H, W, 3) uint8 in one mean colour a super token, with outlines: (side, side, 3) uint8.

    ``ids`` (rows, columns) lie over the whole photo.
    """
    whole = _short_side_at(photo, side)
    down, across = (
        np.arange(length) * count // length for length, count in zip(whole.shape[:2], ids.shape, strict=True)
    )
    labels = ids[down[:, None], across]
    picture = mean_colors(whole, labels).astype(np.float32)
    edges = np.zeros(labels.shape, bool)
    edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edges[1:] |= labels[1:] != labels[:-1]
    picture[edges] += _OUTLINE * (255 - picture[edges])
    return _middle(np.rint(picture).astype(np.uint8), side)


def _short_side_at(photo: np.ndarray, side: int) -> np.ndarray:
    height, width = photo.shape[:2]
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))


def _middle(picture: np.ndarray, side: int) -> np.ndarray:
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
