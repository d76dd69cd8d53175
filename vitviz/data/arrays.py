"""Data sets that come as arrays of pixels: MATLAB files with ``fea`` and ``gnd``, and scikit-learn's digits."""

import functools
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vitviz.data.listing import Listing, Source, number_classes
from vitviz.data.mat_check import inflate_mat
from vitviz.errors import Problem

_MAX_MAT_BYTES = 2**31  # 260,000 images of 32 x 32 in float64


def find_mat(path: Path, name: str) -> Source:
    """The MATLAB file at ``path``: ``fea`` (N, side * side), each row a grey image column by column, and ``gnd`` (N,)."""
    return Source(name, (path,), functools.partial(_list_mat, path))


def find_digits() -> Source:
    """scikit-learn's handwritten digits, which come with the package."""
    return Source("digits", (), _list_digits)


def list_arrays(
    pixels: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    *,
    held_out: np.ndarray | None = None,
    notes: tuple[str, ...] = (),
) -> Listing:
    """The listing of images that are pixels already: (N, H, W, 3) uint8 with labels (N,)."""
    names = [f"image {row}" for row in range(len(pixels))]
    return Listing(names, labels, held_out, class_names, lambda rows: _iterate(pixels, rows), notes)


def _iterate(pixels: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    return (pixels[row] for row in rows)


def _list_digits() -> Listing:
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return list_arrays(_three_channels(grey), digits.target.astype(np.int32), tuple("0123456789"))


def _list_mat(path: Path) -> Listing:
    arrays = _load_mat(path)
    if "fea" not in arrays:
        raise Problem(f"{path.name} could not be read", "it has no array 'fea' of images")
    grey = _grey_images(arrays["fea"], path)
    if "gnd" not in arrays:
        return list_arrays(_three_channels(grey), np.full(len(grey), -1, np.int32), ())
    values = np.ravel(arrays["gnd"])
    if len(values) != len(grey) or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise Problem(f"{path.name} could not be read", f"'gnd' must hold one number for each of {len(grey)} images")
    labels, class_names = number_classes(values.astype(np.int64).tolist())
    return list_arrays(_three_channels(grey), labels, class_names)


def _load_mat(path: Path) -> dict[str, np.ndarray]:
    import scipy.io

    try:
        safe = inflate_mat(path.read_bytes(), max_bytes=_MAX_MAT_BYTES)
        return scipy.io.loadmat(io.BytesIO(safe), variable_names=["fea", "gnd"])
    except ValueError as error:
        raise Problem(f"{path.name} could not be read", str(error)) from error
    except Exception as error:  # damaged files make the reader raise anything
        raise Problem(f"{path.name} could not be read", "it is not a MATLAB file, or it is damaged") from error


def _grey_images(features: np.ndarray, path: Path) -> np.ndarray:
    """Rows in 0..1 or 0..255 as grey images (N, side, side) uint8."""
    what = f"{path.name} could not be read"
    if not isinstance(features, np.ndarray) or features.ndim != 2 or features.dtype.kind not in "iuf":
        raise Problem(what, "'fea' is not a matrix of numbers with one image in each row")
    side = math.isqrt(features.shape[1])
    if side * side != features.shape[1] or side < 2:
        raise Problem(what, f"rows of {features.shape[1]} numbers in 'fea' are not square grey images")
    features = features.astype(np.float64)
    low, high = (features.min(), features.max()) if len(features) else (0.0, 0.0)
    if not (low >= 0 and high <= 255):
        raise Problem(what, f"'fea' must lie in 0..1 or 0..255 and lies in {low:g}..{high:g}")
    grey = np.rint(features * (255 if high <= 1 else 1)).astype(np.uint8)
    return grey.reshape(-1, side, side).transpose(0, 2, 1)


def _three_channels(grey: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(grey[..., None], (*grey.shape, 3)))
