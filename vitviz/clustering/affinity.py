"""Coefficients C to an affinity between images, one dict.

Rows = images, Z = C Z: row i of C says what image i is made of, column j where image j is used. An affinity (N, N) is symmetric
and >= 0 with a zero diagonal; from a dense C it is dense, from a sparse C sparse, on the pairs that express each other.

Source: equation ``A = |C| + |C^T|`` of the paper, and the post-processing of DSC-Net (Ji et al., NIPS 2017).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from vitviz.clustering.eigenpairs import Matrix, leading_eigenpairs
from vitviz.errors import Problem

DENSE_THRESHOLD = 0.04
_FLOOR = 1e-12
_CHUNK_NUMBERS = 2**23


@dataclass(frozen=True, kw_only=True)
class AffinitySettings:
    """What ``ji`` needs; ``simple`` needs nothing.

    threshold: the share rho of each column's sum of magnitudes that is kept; 1 keeps all; None is .04 for a dense C and 1 for a
        sparse one, which a threshold ruins.
    count_diagonal: whether what an image takes of itself is part of that sum and of that share, as in DSC-Net's code, and is
        dropped only afterwards: fewer others stay, and none in a column whose diagonal alone exceeds the share.
    dim: d, the dimensions of a cluster's subspace, for the rank d K + 1.
    power: alpha, of the cosines.
    """

    threshold: float | None = None
    count_diagonal: bool = False
    dim: int = 12
    power: float = 8.0

    def __post_init__(self):
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise Problem(f"threshold={self.threshold} must be over 0 and at most 1")
        if self.dim < 1:
            raise Problem(f"dim={self.dim} must be at least 1")
        if not 0 < self.power < math.inf:
            raise Problem(f"power={self.power} must be positive")


def make_affinity(
    coefficients: Matrix, affinity: str, num_clusters: int, settings: AffinitySettings | None = None
) -> Matrix:
    """The affinity (N, N) float64 of C (N, N), rows = images and Z = C Z, by ``AFFINITIES[affinity]``.

    Raises: Problem when C is not square or not finite.
    """
    if affinity not in AFFINITIES:
        raise Problem(f"affinity={affinity!r} must be one of {', '.join(AFFINITIES)}")
    if num_clusters < 1:
        raise Problem(f"num_clusters={num_clusters} must be at least 1")
    if coefficients.ndim != 2 or coefficients.shape[0] != coefficients.shape[1]:
        raise Problem(f"the coefficients of shape {coefficients.shape} must be square")
    if not np.isfinite(coefficients.sum(dtype=np.float64)):
        raise Problem("the coefficients hold values that are not finite")
    return AFFINITIES[affinity](coefficients, num_clusters, settings or AffinitySettings())


def simple_affinity(coefficients: Matrix, num_clusters: int = 0, settings: AffinitySettings | None = None) -> Matrix:
    """``|C| + |C^T|`` without its diagonal, (N, N): the paper's rule. Rows = images, Z = C Z."""
    sizes = abs(without_diagonal(coefficients))
    total = sizes + sizes.T
    return total.tocsr() if sparse.issparse(total) else total


def ji_affinity(coefficients: Matrix, num_clusters: int, settings: AffinitySettings | None = None) -> Matrix:
    """DSC-Net's post-processing of C (N, N), rows = images and Z = C Z, to cosines (N, N) in 0..1.

    Threshold the columns, drop the diagonal (before that, unless it is to count), symmetrise, add the identity, keep the rank
    d K + 1, and raise the cosines between the rows of that square root, where positive, to the power alpha.

    Differs: the diagonal counts only with ``count_diagonal``; eigenvectors of the symmetric matrix instead of a truncated SVD; an
    image that shares nothing gets a row of zeros instead of a division by zero; of a sparse C only the cosines of pairs that
    express each other are computed, so that no N x N array is made.
    """
    settings = settings or AffinitySettings()
    kept = _strongest(coefficients, settings)
    symmetric = (kept + kept.T) / 2
    rows = _low_rank_rows(symmetric, settings.dim * num_clusters + 1)
    if sparse.issparse(symmetric):
        return _cosines_on(symmetric, rows, settings.power)
    cosines = rows @ rows.T
    affinity = np.maximum((cosines + cosines.T) / 2, 0) ** settings.power
    np.fill_diagonal(affinity, 0)
    return affinity


AFFINITIES: dict[str, Callable[[Matrix, int, AffinitySettings | None], Matrix]] = {
    "simple": simple_affinity,
    "ji": ji_affinity,
}


def threshold_columns(coefficients: Matrix, share: float) -> Matrix:
    """C (N, N) with only the largest magnitudes of each column: the fewest whose sum exceeds ``share`` of the column's.

    All of a column where no fewer do, and so all of C at ``share`` = 1. Of equal magnitudes the upper rows come first.
    """
    if sparse.issparse(coefficients):
        return _threshold_sparse(coefficients, share)
    sizes = np.abs(coefficients)
    order = np.argsort(-sizes, axis=0, kind="stable")
    running = np.take_along_axis(sizes, order, axis=0).cumsum(axis=0)
    keep = np.zeros(sizes.shape, dtype=bool)
    # an entry stays while those before it do not exceed the share
    keep_sorted = np.vstack([np.ones((1, len(sizes)), dtype=bool), running[:-1] <= share * running[-1]])
    np.put_along_axis(keep, order, keep_sorted, axis=0)
    return np.where(keep, coefficients, 0)


def without_diagonal(matrix: Matrix) -> Matrix:
    """A float64 copy of a matrix (N, N), dense or sparse, with zeros on its diagonal."""
    if not sparse.issparse(matrix):
        copy = np.array(matrix, dtype=np.float64)
        np.fill_diagonal(copy, 0)
        return copy
    pairs = sparse.coo_array(matrix, dtype=np.float64)
    rows, columns = pairs.coords
    off = rows != columns
    return sparse.csr_array((pairs.data[off], (rows[off], columns[off])), shape=pairs.shape)


def in_block_mass(affinity: Matrix, labels: np.ndarray) -> float:
    """The share, 0..1, of an affinity's sum off the diagonal that lies between images of one label (N,); 0 if all is 0."""
    pairs = sparse.coo_array(affinity)
    rows, columns = pairs.coords
    off = rows != columns
    total = pairs.data[off].sum()
    return float(pairs.data[off & (labels[rows] == labels[columns])].sum() / total) if total > 0 else 0.0


def _strongest(coefficients: Matrix, settings: AffinitySettings) -> Matrix:
    """C (N, N) float64 without its diagonal, and of each column what the threshold keeps."""
    rho = settings.threshold or (1.0 if sparse.issparse(coefficients) else DENSE_THRESHOLD)
    if rho < 1 and settings.count_diagonal:
        return without_diagonal(threshold_columns(coefficients.astype(np.float64), rho))
    kept = without_diagonal(coefficients)
    return threshold_columns(kept, rho) if rho < 1 else kept


def _threshold_sparse(coefficients: sparse.csr_array, share: float) -> sparse.csr_array:
    columns = sparse.csc_array(coefficients, copy=True)
    columns.sort_indices()
    for start, stop in zip(columns.indptr[:-1], columns.indptr[1:], strict=True):
        sizes = np.abs(columns.data[start:stop])
        order = np.argsort(-sizes, kind="stable")
        running = sizes[order].cumsum()
        dropped = order[1:][running[:-1] > share * running[-1:]]
        columns.data[start + dropped] = 0
    columns.eliminate_zeros()
    return columns.tocsr()


def _low_rank_rows(symmetric: Matrix, rank: int) -> np.ndarray:
    """Unit rows (N, rank) of the root of I + S at that rank; zeros for a row without neighbours."""
    degrees = np.asarray(abs(symmetric).sum(axis=1)).ravel()
    size = len(degrees)
    identity = sparse.eye_array(size, format="csr") if sparse.issparse(symmetric) else np.eye(size)
    # a square root needs eigenvalues >= 0, and the identity lifts nearly all of them there
    # Gershgorin: no eigenvalue is larger than the largest sum of a row
    bound = (1 + degrees.max()) * (1 + 1e-4)
    values, vectors = leading_eigenpairs(symmetric + identity, rank, above=bound)
    rows = vectors * np.sqrt(np.maximum(values, 0))
    rows[degrees == 0] = 0
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _FLOOR)


def _cosines_on(symmetric: sparse.csr_array, rows: np.ndarray, power: float) -> sparse.csr_array:
    pairs = sparse.triu(symmetric, k=1, format="coo")
    first, second = pairs.coords
    step = max(1, _CHUNK_NUMBERS // rows.shape[1])
    parts = [
        np.einsum("ij,ij->i", rows[first[at : at + step]], rows[second[at : at + step]])
        for at in range(0, len(first), step)
    ]
    cosines = np.concatenate([np.zeros(0), *parts])
    upper = sparse.csr_array((np.maximum(cosines, 0) ** power, (first, second)), shape=symmetric.shape)
    affinity = (upper + upper.T).tocsr()
    affinity.eliminate_zeros()
    return affinity
