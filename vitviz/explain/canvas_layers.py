"""What is drawn over a picture, packed for the image canvas: label maps and heat maps, one or several steps of each.

A packed layer is gzipped: four letters, then steps, rows and columns as little-endian uint32, then the values row by row.
"""

import gzip
import struct

import numpy as np

from vitviz.explain.segmentation import color_segments

LABELS_MAGIC = b"VZLB"
HEAT_MAGIC = b"VZHT"
LARGEST_LABEL = 65_535
MAX_CELLS = 60_000_000

_COLORED_SIDE = 256
_GZIP_LEVEL = 2  # a native map of 11 steps packs in 30 ms; level 6 saves a tenth and takes three times as long


def pack_labels(labels: np.ndarray) -> bytes:
    """``labels`` (steps, rows, columns) of ids 0..65535, or (rows, columns), gzipped.

    Values are uint16, each step as its difference to the step before modulo 65536: most of a map stays from step to step.
    Raises ValueError when there is nothing to draw, too much, or an id that uint16 does not hold.
    """
    labels = _as_steps(labels, "labels")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() > LARGEST_LABEL:
        raise ValueError(
            f"labels of {labels.dtype}, {labels.min()}..{labels.max()}, must be integers 0..{LARGEST_LABEL}"
        )
    small = labels.astype("<u2")
    small[1:] -= labels[:-1].astype("<u2")
    return _pack(LABELS_MAGIC, small)


def pack_heat(heat: np.ndarray) -> bytes:
    """``heat`` (steps, rows, columns) or (rows, columns) of 0..1 as gzipped bytes 0..255, rounded.

    Raises ValueError when there is nothing to draw, too much, or a value that is not in 0..1.
    """
    heat = _as_steps(heat, "heat")
    if not (heat.min() >= 0 and heat.max() <= 1):  # NaN fails this too
        raise ValueError(f"heat of {heat.min()}..{heat.max()} must be in 0..1")
    return _pack(HEAT_MAGIC, np.rint(heat.astype(np.float32) * 255).astype(np.uint8))


def color_steps(labels: np.ndarray, num_colors: int) -> np.ndarray:
    """One palette index for each id (K,) that serves all steps of ``labels`` (steps, rows, columns): a region keeps its colour.

    The first, the middle and the last step decide, thinned to about 256 cells a side, so on large maps two regions that touch
    for a moment may share a colour.
    """
    shown = labels[sorted({0, len(labels) // 2, len(labels) - 1})]
    step = max(1, max(shown.shape[1:]) // _COLORED_SIDE)
    thinned = shown[:, ::step, ::step].astype(np.int64)
    nobody = int(labels.max()) + 1  # a row between two steps, so that their regions do not touch
    stacked = np.pad(thinned, ((0, 0), (0, 1), (0, 0)), constant_values=nobody).reshape(-1, thinned.shape[2])
    colors = np.zeros(nobody + 1, np.int64)
    found = color_segments(stacked, num_colors)
    colors[: len(found)] = found
    return colors[:nobody]


def label_at(labels: np.ndarray, x: float, y: float) -> int:
    """The label of ``labels`` (rows, columns) under a place in 0..1 of the picture: what the canvas reads there."""
    rows, columns = labels.shape
    return int(labels[min(max(int(y * rows), 0), rows - 1), min(max(int(x * columns), 0), columns - 1)])


def _as_steps(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values)
    steps = values[None] if values.ndim == 2 else values
    if steps.ndim != 3 or not 0 < steps.size <= MAX_CELLS:
        raise ValueError(f"{name} of shape {values.shape} must be (steps, rows, columns), 1 to {MAX_CELLS:,} values")
    return steps


def _pack(magic: bytes, steps: np.ndarray) -> bytes:
    return gzip.compress(
        struct.pack("<4s3I", magic, *steps.shape) + steps.tobytes(), compresslevel=_GZIP_LEVEL, mtime=0
    )
