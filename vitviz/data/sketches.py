"""A few numbers an image, by which it is known again when its data set comes in another order or another encoding.

They are random projections of 8 x 8 block means: what compression changes least, and from which no image can be made again.
"""

import numpy as np

from vitviz.errors import Problem

NUM_NUMBERS = 8
_SIDE = 8
_NEARER = 0.5
"""An image is clearly known when it is so much nearer than the second nearest of its class."""
_MUST_BE_KNOWN = 0.99


def sketch(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, 3) uint8, H and W at least 8, as (N, 8) float16, in grey levels."""
    means = np.stack([_block_means(image) for image in images]).reshape(len(images), -1)
    return (means @ _projection()).astype(np.float16)


def find_again(sketches: np.ndarray, classes: np.ndarray, others: np.ndarray, other_classes: np.ndarray) -> np.ndarray:
    """For each of N sketches with its class the row among M others that is the same image: (N,) int64.

    Where none is clearly nearest, it is the nearest of the class among those left over.
    Raises: Problem when that happens for more than 1 %: then it is another data set.
    """
    found = np.full(len(sketches), -1)
    for one in np.unique(classes):
        ours, theirs = np.flatnonzero(classes == one), np.flatnonzero(other_classes == one)
        if len(theirs) > 1:
            distances, places = _nearest(sketches[ours], others[theirs], 2)
            is_clear = distances[:, 0] <= _NEARER * np.maximum(distances[:, 1], 1e-9)
            found[ours] = np.where(is_clear, theirs[places[:, 0]], -1)
    known = found >= 0
    if min(known.sum(), len(np.unique(found[known]))) < _MUST_BE_KNOWN * len(found):
        share = f"{known.mean():.0%} of the run's images are found in it"
        raise Problem("the data set is another one", share, "give the images that the run was trained on")
    for place in np.flatnonzero(~known):
        left = np.setdiff1d(np.flatnonzero(other_classes == classes[place]), found)
        candidates = left if len(left) else np.flatnonzero(other_classes == classes[place])
        found[place] = candidates[_nearest(sketches[place][None], others[candidates], 1)[1].item()]
    return found


def _nearest(asked: np.ndarray, known: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and places (M, number) of the nearest of ``known``."""
    from scipy.spatial import cKDTree

    return cKDTree(known.astype(np.float64)).query(asked.astype(np.float64), k=number)


def _block_means(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    rows, columns = (np.arange(_SIDE) * side // _SIDE for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0, dtype=np.float32), columns, axis=1, dtype=np.float32)
    counts = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    return sums / counts[..., None]


def _projection() -> np.ndarray:
    size = _SIDE * _SIDE * 3
    signs = np.random.default_rng(20_070).choice((-1.0, 1.0), (size, NUM_NUMBERS))
    return signs / np.sqrt(size)
