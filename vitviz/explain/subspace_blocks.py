"""How strong the blocks of an affinity are, each beside chance, and what lies in a rectangle of its picture.

An affinity (N, N) is symmetric, >= 0, dense or sparse; its diagonal counts nowhere. Rows = images.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from vitviz.clustering.affinity import without_diagonal
from vitviz.clustering.eigenpairs import Matrix
from vitviz.errors import Problem
from vitviz.explain.subspace_weave import Woven, edges_of


@dataclass(frozen=True)
class BlockStrengths:
    """One entry a cluster, by id: ids (K,), sizes (K,) of images, share (K,) of the affinity of the cluster's images that stays
    inside it, 0..1, and chance (K,), the share that would stay if the affinity were dealt evenly over all pairs,
    (n - 1) / (N - 1). isolated: the number of images that have no affinity to any other.
    """

    ids: np.ndarray
    sizes: np.ndarray
    share: np.ndarray
    chance: np.ndarray
    isolated: int


@dataclass(frozen=True)
class Block:
    """A rectangle of a matrix in an order: rows (P,) and columns (Q,) of the run, in that order.

    mean: of the affinity of the pairs in it that are of two images, 0 without such pairs; mean_all: of all pairs of the matrix,
    its control; share: of the whole sum that lies in it, 0..1; num_joined of num_pairs are above 0; same_cluster, same_class:
    the share of the pairs that are of one cluster, or class, 0..1, None where a class is unknown or there is no pair.
    """

    rows: np.ndarray
    columns: np.ndarray
    mean: float
    mean_all: float
    share: float
    num_joined: int
    num_pairs: int
    same_cluster: float | None
    same_class: float | None


def block_strengths(matrix: Matrix, labels: np.ndarray) -> BlockStrengths:
    """The strength of the block of every id of ``labels`` (N,) in ``matrix`` (N, N); a cluster without affinity has share 0."""
    ids, place = np.unique(labels, return_inverse=True)
    sizes = np.bincount(place)
    pairs = sparse.coo_array(without_diagonal(matrix))
    first, second = pairs.coords
    touching = np.bincount(place[first], weights=pairs.data, minlength=len(ids))
    is_inside = place[first] == place[second]
    inside = np.bincount(place[first[is_inside]], weights=pairs.data[is_inside], minlength=len(ids))
    share = np.divide(inside, touching, out=np.zeros(len(ids)), where=touching > 0)
    degrees = np.bincount(first, weights=pairs.data, minlength=len(labels))
    chance = (sizes - 1) / max(len(labels) - 1, 1)
    return BlockStrengths(ids, sizes, share, chance, int((degrees == 0).sum()))


def block_at(
    matrix: Matrix,
    order: np.ndarray,
    span: tuple[int, int, int, int],
    *,
    labels: np.ndarray,
    classes: np.ndarray,
) -> Block:
    """What lies in a rectangle of ``matrix`` in ``order`` (N,).

    Args:
        span: the positions (top, bottom, left, right) of the order; bottom and right are left out.

    Raises: Problem for a rectangle that is empty or not inside the matrix.
    """
    top, bottom, left, right = span
    if not (0 <= top < bottom <= len(order) and 0 <= left < right <= len(order)):
        raise Problem(f"the block {span} must lie in 0..{len(order)}, one row and one column at least")
    rows, columns = order[top:bottom], order[left:right]
    values = _values_between(matrix, rows, columns)
    num_pairs = len(rows) * len(columns) - len(np.intersect1d(rows, columns))
    whole = _values_between(matrix, order, order)
    known = min(classes[rows].min(), classes[columns].min()) >= 0
    return Block(
        rows=rows,
        columns=columns,
        mean=float(values.sum()) / max(num_pairs, 1),
        mean_all=float(whole.sum()) / max(len(order) * (len(order) - 1), 1),
        share=float(values.sum() / whole.sum()) if whole.sum() > 0 else 0.0,
        num_joined=int((values > 0).sum()),
        num_pairs=num_pairs,
        same_cluster=_same(labels, rows, columns),
        same_class=_same(classes, rows, columns) if known else None,
    )


def span_of_cells(woven: Woven, cells: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The positions of the order (top, bottom, left, right) that cells (top, bottom, left, right) of a picture hold; bottom and
    right are left out in both. Cells outside are brought to the edge, and one cell at least is held.
    """
    edges = edges_of(woven)
    last = len(edges) - 1
    top, left = (min(max(cells[at], 0), last - 1) for at in (0, 2))
    bottom, right = (min(max(cells[at], low + 1), last) for at, low in ((1, top), (3, left)))
    return tuple(int(edges[cell]) for cell in (top, bottom, left, right))


def cells_of_span(woven: Woven, span: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """The cells (top, bottom, left, right) of the picture that hold positions of the order; None where none is in it."""
    edges = edges_of(woven)
    top, bottom, left, right = span
    if bottom <= edges[0] or top >= edges[-1] or right <= edges[0] or left >= edges[-1]:
        return None
    firsts = [int(np.searchsorted(edges, at, side="right")) - 1 for at in (top, left)]
    lasts = [int(np.searchsorted(edges, at, side="left")) for at in (bottom, right)]
    size = len(edges) - 1
    (low, start), (high, stop) = (max(at, 0) for at in firsts), (min(at, size) for at in lasts)
    return low, high, start, stop


def _values_between(matrix: Matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The stored entries of the rectangle, float64, without those of an image and itself; of a sparse matrix no N x N is made."""
    pairs = sparse.coo_array(matrix[rows][:, columns])
    first, second = pairs.coords
    return pairs.data[rows[first] != columns[second]].astype(np.float64)


def _same(ids: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> float | None:
    """The share of the pairs of two images that are of one id; None without a pair."""
    both = np.intersect1d(rows, columns)
    num_pairs = len(rows) * len(columns) - len(both)
    if not num_pairs:
        return None
    size = int(ids.max()) + 1
    counts = [np.bincount(ids[some] + 1, minlength=size + 1) for some in (rows, columns)]
    return float((counts[0] @ counts[1] - len(both)) / num_pairs)
