"""A matrix of all pairs of images, (N, N), as a picture of fewer cells, and from a place in the picture back to a pair.

Each cell shows the largest value of its block: means would hide a sparse matrix. Rows = images.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from vitviz.clustering.eigenpairs import Matrix
from vitviz.errors import Problem

_CEILING_PERCENTILE = 99.5


@dataclass(frozen=True)
class Woven:
    """A matrix in an order as a picture: values (S, S) float32 in 0..1, block maxima over ``ceiling``.

    It shows the positions start..stop (stop left out) of the order, ``cell`` images a cell and side.
    """

    values: np.ndarray
    ceiling: float
    start: int
    stop: int
    cell: float


def weave(
    matrix: Matrix,
    order: np.ndarray,
    *,
    start: int = 0,
    stop: int | None = None,
    side: int = 360,
    ceiling: float | None = None,
) -> Woven:
    """``matrix`` (N, N) >= 0 in ``order`` (N,) at the positions start..stop, as at most ``side`` x ``side`` block maxima.

    Maxima, since means would hide a sparse C. ``ceiling`` is drawn as 1, and so is all above it; when None, the 99.5th percentile
    of the whole matrix's values over 0 (0 when there are none). Raises Problem for positions that are not there.
    """
    stop = len(order) if stop is None else stop
    if not 0 <= start < stop <= len(order) or side < 1:
        raise Problem(f"start={start} and stop={stop} must lie in 0..{len(order)}, one apart at least")
    if ceiling is None:
        values = matrix.data if sparse.issparse(matrix) else matrix.ravel()
        values = values[values > 0]
        ceiling = float(np.percentile(values, _CEILING_PERCENTILE)) if len(values) else 0.0
    edges = _edges(start, stop, side)
    maxima = (_sparse_maxima if sparse.issparse(matrix) else _dense_maxima)(matrix, order[start:stop], edges - start)
    values = np.minimum(maxima / np.float32(ceiling), 1) if ceiling > 0 else np.zeros_like(maxima)
    return Woven(values.astype(np.float32), ceiling, start, stop, (stop - start) / len(values))


def weave_blocks(ids_in_order: np.ndarray, woven: Woven) -> np.ndarray:
    """A label map (S, S) int32 of ``woven`` for outlines: id + 1 where most images of a cell's row and of its column have that
    id, else 0. ``ids_in_order`` (N,) are clusters or classes by position, -1 unknown; of equally many the least id.
    """
    most = weave_ids(ids_in_order, woven) + 1
    return np.where(most[:, None] == most, most, 0).astype(np.int32)


def weave_ids(ids_in_order: np.ndarray, woven: Woven) -> np.ndarray:
    """The id (S,) int32 that most images of each row, or column, of cells have; of equally many the least. -1 is unknown."""
    edges = edges_of(woven)
    ids = np.asarray(ids_in_order)[woven.start : woven.stop] + 1
    counts = np.zeros((len(edges) - 1, int(ids.max()) + 1), np.int64)
    np.add.at(counts, (np.repeat(np.arange(len(counts)), np.diff(edges)), ids), 1)
    return counts.argmax(axis=1).astype(np.int32) - 1


def pair_at(matrix: Matrix, order: np.ndarray, woven: Woven, x: float, y: float) -> tuple[int, int]:
    """The rows (i, j) of the run with the largest value in the cell at (x, y), 0..1 from the upper left: y is i, x is j.

    The middle of the cell where all its values are 0.
    """
    edges = edges_of(woven)
    rows, columns = (
        order[edges[cell] : edges[cell + 1]]
        for cell in (min(max(int(place * (len(edges) - 1)), 0), len(edges) - 2) for place in (y, x))
    )
    values = matrix[rows][:, columns]
    values = values.toarray() if sparse.issparse(values) else values
    if not values.any():
        return int(rows[len(rows) // 2]), int(columns[len(columns) // 2])
    row, column = np.unravel_index(values.argmax(), values.shape)
    return int(rows[row]), int(columns[column])


def edges_of(woven: Woven) -> np.ndarray:
    """The positions of the order where the cells of a picture begin, and the end of the last: (S + 1,)."""
    return _edges(woven.start, woven.stop, len(woven.values))


def _edges(start: int, stop: int, side: int) -> np.ndarray:
    count = min(side, stop - start)
    return start + np.arange(count + 1) * (stop - start) // count


def _dense_maxima(matrix: np.ndarray, rows: np.ndarray, edges: np.ndarray) -> np.ndarray:
    by_row = np.maximum.reduceat(matrix[rows], edges[:-1], axis=0)
    return np.maximum.reduceat(by_row[:, rows], edges[:-1], axis=1).astype(np.float32)


def _sparse_maxima(matrix: sparse.csr_array, rows: np.ndarray, edges: np.ndarray) -> np.ndarray:
    count = len(edges) - 1
    cells = np.full(matrix.shape[0], -1)
    cells[rows] = np.repeat(np.arange(count), np.diff(edges))
    pairs = matrix.tocoo()
    first, second = (cells[ids] for ids in pairs.coords)
    inside = (first >= 0) & (second >= 0)
    maxima = np.zeros(count * count, np.float32)
    np.maximum.at(maxima, first[inside] * count + second[inside], pairs.data[inside].astype(np.float32))
    return maxima.reshape(count, count)
