"""Segmentations drawn by people: the .mat files of BSDS500, and label images."""

import io

import numpy as np
from PIL import Image

from vitviz.data.images import decode_image
from vitviz.data.mat_check import inflate_mat
from vitviz.errors import Problem

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 20_000_000
MAX_TRUTHS = 50

_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
_NEITHER = "it is neither a .mat file of BSDS500 nor a PNG, TIFF, BMP or GIF image of labels"


def read_ground_truth(content: bytes, *, name: str) -> tuple[np.ndarray, ...]:
    """The regions that people drew in one picture, one map (H, W) int32 of ids of 0 or more for each annotator.

    ``content`` is a .mat file of BSDS500 (a cell array ``groundTruth`` of structs with ``Segmentation``), or an image with one
    number for each pixel: indexed or grey, 8 or 16 bits. ``name`` is what errors call it.

    Raises: Problem for anything else, and for more than 64 MB, 20 megapixels over all maps or 50 annotators.
    """
    if len(content) > MAX_BYTES:
        raise Problem(
            f"{name} is too large", f"{len(content) / 2**20:,.0f} MB, and at most {MAX_BYTES // 2**20} are read"
        )
    if content.startswith(b"MATLAB") or name.lower().endswith(".mat"):
        return _read_mat(content, name)
    return (_read_label_image(content, name),)


def _read_mat(content: bytes, name: str) -> tuple[np.ndarray, ...]:
    what = f"{name} could not be read"
    cells = _load_cells(content, what)
    if not isinstance(cells, np.ndarray) or cells.dtype != object:
        raise Problem(what, "it has no cell array 'groundTruth' as the files of BSDS500 do")
    if not 1 <= cells.size <= MAX_TRUTHS:
        raise Problem(what, f"'groundTruth' has {cells.size} cells and must have 1 to {MAX_TRUTHS}")
    truths = [_segmentation(cell, what) for cell in cells.ravel()]
    if len({truth.shape for truth in truths}) > 1:
        raise Problem(what, "its segmentations differ in size")
    if (pixels := sum(truth.size for truth in truths)) > MAX_PIXELS:
        raise Problem(
            f"{name} is too large", f"{pixels / 1e6:,.1f} megapixels, and at most {MAX_PIXELS / 1e6:.0f} are read"
        )
    return tuple(_as_map(truth, what) for truth in truths)


def _load_cells(content: bytes, what: str) -> object:
    """The variable ``groundTruth``, or None."""
    import scipy.io

    try:
        safe = inflate_mat(content, max_bytes=MAX_BYTES)
    except ValueError as error:
        raise Problem(what, str(error)) from error
    try:
        return scipy.io.loadmat(io.BytesIO(safe), variable_names=["groundTruth"]).get("groundTruth")
    except Exception as error:  # damaged files make the reader raise anything
        raise Problem(what, "it is not a MATLAB file, or it is damaged") from error


def _segmentation(cell: object, what: str) -> np.ndarray:
    """The matrix ``Segmentation`` of one annotator, as it is stored."""
    if not isinstance(cell, np.ndarray) or cell.size != 1 or "Segmentation" not in (cell.dtype.names or ()):
        raise Problem(what, "a cell of 'groundTruth' is no struct with 'Segmentation'")
    values = cell["Segmentation"].item()
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "biuf":
        raise Problem(what, "'Segmentation' is no matrix of numbers")
    return values


def _as_map(values: np.ndarray, what: str) -> np.ndarray:
    """Whole numbers as a map (H, W) int32."""
    if min(values.shape) < 2:
        raise Problem(what, f"it has {values.shape[1]} x {values.shape[0]} pixels and needs at least 2 x 2")
    if not (values.min() >= 0 and values.max() < 2**31 and (values == np.floor(values)).all()):
        raise Problem(what, "its labels must be whole numbers from 0 to 2,147,483,647")
    return values.astype(np.int32)


def _read_label_image(content: bytes, name: str) -> np.ndarray:
    what = f"{name} could not be read"
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.mode not in _MODES:
                raise Problem(what, "its pixels are colours and not one number each", "save it indexed or grey")
            decode_image(content, name=name, max_pixels=MAX_PIXELS)  # refuses what is damaged or too large
            return _as_map(np.asarray(image), what)
    except Problem:
        raise
    except Exception as error:  # damaged files make Pillow raise anything
        raise Problem(what, _NEITHER) from error
