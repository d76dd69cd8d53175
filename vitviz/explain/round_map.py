"""The round map: every image a point in the plane, every round a picture, as one small buffer for the browser.

Layout of the buffer, gzipped as a whole, little endian (``ui/components/round_map_data.js`` undoes it):

==========  ======================================================================================================
bytes       what
==========  ======================================================================================================
0..3        ``VZRM``
4..7        format version, number of bytes of a cluster id (1 or 2): uint16 each
8..23       number of rounds R, of points N, of clusters K, of classes: uint32 each
24..39      min x, min y, max x, max y of the points as they came in: float32 each
then        planes of bytes (all low bytes, then all next higher ones): x (R N), y (R N), cluster (R N), class + 1 (N) as
            uint16, image number (N) as uint32, held out (N) as uint8
==========  ======================================================================================================

x, y and cluster are differences to the round before, image numbers to the point before, all modulo the width.
"""

import gzip
import struct

import numpy as np

MAGIC = b"VZRM"
FORMAT_VERSION = 1
MAX_VERTICES = 48

_GZIP_LEVEL = 5
_LARGEST = 65535
_FILLED = 0.96  # of the unit square, so that a lasso can go round the outermost point
_TEXT_STEPS = 999


def pack_round_map(
    points: np.ndarray, clusters: np.ndarray, classes: np.ndarray, held_out: np.ndarray, ids: np.ndarray
) -> bytes:
    """Everything the round map draws, gzipped.

    Args:
        points: (R, N, 2) float, any scale.
        clusters: (R, N) int in 0..65534, matched between rounds.
        classes: (N,) int in -1..65534, -1 = unlabelled.
        held_out: (N,) bool.
        ids: (N,) int, the image's number in its data set.

    Raises ValueError when shapes disagree, there are no points, or a coordinate is not finite.
    """
    num_rounds, num_points = _check_shapes(points, clusters, classes, held_out, ids)
    places = _quantised(points).astype(np.int64)
    num_clusters, num_classes = int(clusters.max()) + 1, int(classes.max()) + 1
    cluster_bytes = 1 if num_clusters <= 255 else 2
    parts = [
        struct.pack("<4sHH4I", MAGIC, FORMAT_VERSION, cluster_bytes, num_rounds, num_points, num_clusters, num_classes),
        struct.pack("<4f", *points.min(axis=(0, 1)), *points.max(axis=(0, 1))),
        _planes(_differences(places[..., 0]), 2),
        _planes(_differences(places[..., 1]), 2),
        _planes(_differences(clusters), cluster_bytes),
        _planes(np.asarray(classes) + 1, 2),
        _planes(_differences(ids), 4),
        _planes(held_out, 1),
    ]
    return gzip.compress(b"".join(parts), compresslevel=_GZIP_LEVEL, mtime=0)


def pack_column(values: np.ndarray) -> bytes:
    """``values`` (R, N) in 0..1 as gzipped bytes 0..255, differences to the round before modulo 256. NaN becomes 0."""
    levels = np.rint(np.clip(np.nan_to_num(values, nan=0.0), 0, 1) * 255)
    return gzip.compress(_planes(_differences(levels), 1), compresslevel=_GZIP_LEVEL, mtime=0)


def map_coordinates(points: np.ndarray) -> np.ndarray:
    """``points`` (R, N, 2) -> (R, N, 2) float32 in 0..1: exactly the places the browser draws, aspect kept.

    All rounds share one scale. Raises ValueError when there are no points or a coordinate is not finite.
    """
    return (_quantised(points).astype(np.float64) / _LARGEST).astype(np.float32)


def points_inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which of ``points`` (N, 2) lie in ``polygon`` (M, 2), by the even-odd rule -> (N,) bool; M < 3 holds none.

    The browser runs the same operations in the same order in float64, so both sides name the same points.
    """
    points, polygon = np.asarray(points, np.float64), np.asarray(polygon, np.float64).reshape(-1, 2)
    inside = np.zeros(len(points), bool)
    if len(polygon) < 3:
        return inside
    near = np.flatnonzero(((points >= polygon.min(axis=0)) & (points <= polygon.max(axis=0))).all(axis=1))
    x, y = points[near, 0], points[near, 1]
    odd = np.zeros(len(near), bool)
    for (x1, y1), (x0, y0) in zip(polygon, np.roll(polygon, 1, axis=0), strict=True):
        if y1 != y0:
            odd ^= ((y1 > y) != (y0 > y)) & (x < (x0 - x1) * (y - y1) / (y0 - y1) + x1)
    inside[near] = odd
    return inside


def polygon_to_text(polygon: np.ndarray) -> str:
    """``polygon`` (M, 2) in 0..1 as digits for an address: six a vertex, at most ``MAX_VERTICES`` of them."""
    steps = np.rint(np.clip(_simplified(polygon), 0, 1) * _TEXT_STEPS).astype(int)
    return "".join(f"{x:03d}{y:03d}" for x, y in steps)


def polygon_from_text(text: str | None) -> np.ndarray | None:
    """The polygon (M, 2) float64 in 0..1 of ``polygon_to_text``; None for anything that is not one."""
    if not text or not (text.isascii() and text.isdigit()) or len(text) % 6:
        return None
    if not 3 <= len(text) // 6 <= MAX_VERTICES:
        return None
    steps = [int(text[start : start + 3]) for start in range(0, len(text), 3)]
    return np.array(steps, np.float64).reshape(-1, 2) / _TEXT_STEPS


def _check_shapes(points, clusters, classes, held_out, ids) -> tuple[int, int]:
    if points.ndim != 3 or points.shape[2] != 2:
        raise ValueError(f"points of shape {points.shape} must be (rounds, points, 2)")
    num_rounds, num_points = points.shape[:2]
    wanted = {
        "clusters": (num_rounds, num_points),
        "classes": (num_points,),
        "held_out": (num_points,),
        "ids": (num_points,),
    }
    for name, value in zip(wanted, (clusters, classes, held_out, ids), strict=True):
        if value.shape != wanted[name]:
            raise ValueError(f"{name} of shape {value.shape} must be {wanted[name]} beside points {points.shape}")
    return num_rounds, num_points


def _quantised(points: np.ndarray) -> np.ndarray:
    """(R, N, 2) float -> uint16 on one common scale, the longer side filling ``_FILLED`` of the range."""
    points = np.asarray(points, np.float64)
    if not points.size or not np.isfinite(points).all():
        raise ValueError(f"points of shape {points.shape} must be at least one and finite")
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    span = (high - low).max() or 1.0
    return np.rint((0.5 + (points - (low + high) / 2) / span * _FILLED) * _LARGEST).astype(np.uint16)


def _differences(values: np.ndarray) -> np.ndarray:
    """Along the first axis, the first entry kept: int64 of the same shape."""
    return np.diff(np.asarray(values, np.int64), axis=0, prepend=0)


def _planes(values: np.ndarray, num_bytes: int) -> bytes:
    """All lowest bytes, then all next higher ones, of ``values`` modulo 256 ** num_bytes."""
    values = np.asarray(values, np.int64).ravel()
    return b"".join((values >> 8 * byte & 0xFF).astype(np.uint8).tobytes() for byte in range(num_bytes))


def _simplified(polygon: np.ndarray) -> np.ndarray:
    """Drop the vertex whose triangle is the smallest until ``MAX_VERTICES`` are left. Source: Visvalingam & Whyatt 1993."""
    polygon = np.asarray(polygon, np.float64).reshape(-1, 2)
    while len(polygon) > MAX_VERTICES:
        before, after = np.roll(polygon, 1, axis=0) - polygon, np.roll(polygon, -1, axis=0) - polygon
        areas = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0])
        polygon = np.delete(polygon, areas.argmin(), axis=0)
    return polygon
