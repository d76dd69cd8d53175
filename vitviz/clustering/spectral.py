"""Spectral clustering of a given affinity (N, N), dense or sparse (Ng, Jordan and Weiss 2001).

``L = I - D^-1/2 A D^-1/2``; the K eigenvectors of its smallest eigenvalues, rows scaled to length 1, go to k-means.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from vitviz.clustering.affinity import without_diagonal
from vitviz.clustering.eigenpairs import DENSE_LIMIT, Matrix, leading_eigenpairs
from vitviz.clustering.kmeans import assign, kmeans
from vitviz.errors import Problem

NUM_SPARE = 10
"""Eigenvalues beyond the K that are used, to show the gap among its neighbours."""
_ABOVE = 1 + 1e-4
# cosines to a high power are tiny, and only their ratios matter; what rounding leaves of a cosine of 0 is less than this
_LEAST_DEGREE = 1e-100


@dataclass(frozen=True)
class SpectralClustering:
    """labels (N,) int32 in 0..K-1; eigenvalues (K + at most 10,) of L, ascending, 0..2, with a zero for each part of the graph;
    embedding (N, K), rows of length 1, or 0 for an image without neighbours; eigengap: eigenvalue K + 1 minus eigenvalue K.
    """

    labels: np.ndarray
    eigenvalues: np.ndarray
    embedding: np.ndarray
    eigengap: float


def cluster_affinity(
    affinity: Matrix, num_clusters: int, *, seed: int, num_restarts: int = 20, dense_limit: int = DENSE_LIMIT
) -> SpectralClustering:
    """The ``num_clusters`` clusters of an affinity (N, N), symmetric and >= 0; the same seed gives the same labels.

    Args:
        dense_limit: up to this many images a sparse affinity is solved in its dense form.

    Raises: Problem when the affinity is not square, finite, symmetric and >= 0, or there are fewer images than clusters.
    """
    _check_affinity(affinity, num_clusters)
    size = affinity.shape[0]
    count = min(num_clusters + NUM_SPARE, size)
    normalized, connected = normalize_affinity(affinity)
    values, vectors = leading_eigenpairs(normalized, count, above=_ABOVE, seed=seed, dense_limit=dense_limit)
    eigenvalues = np.maximum(1 - values, 0)
    embedding = _unit_rows(vectors[:, :num_clusters], connected)
    labels = _cluster_rows(embedding, connected, num_clusters, seed, num_restarts)
    gap = eigenvalues[num_clusters] - eigenvalues[num_clusters - 1] if count > num_clusters else 0.0
    return SpectralClustering(labels, eigenvalues, embedding, float(gap))


def spectral_order(labels: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """The images (N,) int32 in the order that shows an affinity in blocks: by ``labels`` (N,), and within a label along the
    direction in which its rows of the spectral ``embedding`` (N, K) vary most.
    """
    places = np.zeros(len(labels))
    for label in np.unique(labels):
        rows = embedding[labels == label] - embedding[labels == label].mean(axis=0)
        direction = np.linalg.eigh(rows.T @ rows)[1][:, -1]
        # an eigenvector has no sign of its own
        places[labels == label] = rows @ direction * (1 if direction[np.abs(direction).argmax()] > 0 else -1)
    return np.lexsort((places, labels)).astype(np.int32)


def normalize_affinity(affinity: Matrix) -> tuple[Matrix, np.ndarray]:
    """``D^-1/2 A D^-1/2`` (N, N) without the diagonal, eigenvalues in -1..1, and which images (N,) have neighbours at all.

    The row of an image without neighbours stays 0.
    """
    affinity = without_diagonal(affinity)
    degrees = np.asarray(affinity.sum(axis=1)).ravel()
    connected = degrees > _LEAST_DEGREE
    scales = np.where(connected, 1 / np.sqrt(np.maximum(degrees, _LEAST_DEGREE)), 0.0)
    if sparse.issparse(affinity):
        scaling = sparse.diags_array(scales)
        return (scaling @ affinity @ scaling).tocsr(), connected
    return scales[:, None] * affinity * scales, connected


def _unit_rows(vectors: np.ndarray, connected: np.ndarray) -> np.ndarray:
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.where(connected[:, None], rows, 0.0)


def _cluster_rows(
    embedding: np.ndarray, connected: np.ndarray, num_clusters: int, seed: int, num_restarts: int
) -> np.ndarray:
    """Labels (N,) int32. An image without neighbours draws no center; it takes the label of the nearest."""
    points = torch.from_numpy(embedding)
    fitted = points[connected] if connected.sum() >= num_clusters else points
    generator = torch.Generator().manual_seed(seed)
    centers = kmeans(fitted, num_clusters, generator=generator, num_restarts=num_restarts).centers
    return assign(points, centers)[0].numpy().astype(np.int32)


def _check_affinity(affinity: Matrix, num_clusters: int) -> None:
    if affinity.ndim != 2 or affinity.shape[0] != affinity.shape[1]:
        raise Problem(f"the affinity of shape {affinity.shape} must be square")
    if not 1 <= num_clusters <= affinity.shape[0]:
        raise Problem(f"num_clusters={num_clusters} must be 1 to the number of images ({affinity.shape[0]})")
    if not np.isfinite(affinity.sum(dtype=np.float64)):
        raise Problem("the affinity holds values that are not finite")
    if affinity.min() < 0:
        raise Problem("the affinity holds negative values")
    if abs(affinity - affinity.T).max() > 1e-6 * abs(affinity).max():
        raise Problem("the affinity is not symmetric")
