"""The clustering algorithms of a round, one dict: embeddings (N, D) -> ids of the fitted images and centers.

Every algorithm gives centers (the means of its clusters where it has none of its own), so that any image, seen in
the fit or held out, gets the id of its nearest center... see :func:`cluster`.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vitviz.clustering.kmeans import KMeansResult, assign, check_points, kmeans, sums_of
from vitviz.errors import Problem
from vitviz.ranks import SOLO, Ranks


@dataclass(frozen=True)
class Clustering:
    """labels (N,) int32 of all images; centers (K, D) float32, zeros for an empty cluster; Euclidean distances (N,) to the
    own and the nearest other center (the own again where there is no other); how often an empty cluster was seeded anew.
    """

    labels: np.ndarray
    centers: np.ndarray
    distances: np.ndarray
    runner_up_distances: np.ndarray
    num_reseeded: int = 0


def cluster(
    embeddings: Tensor,
    fitted: np.ndarray,
    algorithm: str,
    num_clusters: int,
    *,
    seed: int,
    num_restarts: int = 10,
    ranks: Ranks = SOLO,
) -> Clustering:
    """Fit ``ALGORITHMS[algorithm]`` on the ``fitted`` (N,) bool part of ``embeddings`` (N, D) and place the rest.

    Fitted images keep the id the algorithm gave them; the others take the id of the nearest center, so that their ids
    depend on nothing but their embedding. ``ranks`` that have the same embeddings share the work of k-means; of another
    algorithm each does all of it.
    """
    part = embeddings[torch.from_numpy(fitted).to(embeddings.device)]
    check_points(part, num_clusters)
    fit = ALGORITHMS[algorithm]
    fit = partial(_kmeans, ranks=ranks) if fit is _kmeans else fit
    found = fit(part, num_clusters, seed, num_restarts)
    if not isinstance(found, KMeansResult):
        return place_around_means(embeddings, fitted, found, num_clusters)
    placed = place_around_means(embeddings, fitted, found.labels, num_clusters)
    return dataclasses.replace(placed, num_reseeded=found.num_reseeded)


def place_around_means(embeddings: Tensor, fitted: np.ndarray, fitted_labels: Tensor, num_clusters: int) -> Clustering:
    """The clustering whose centers are the means of the ``fitted`` (N,) bool part, of given ids (n,) int64."""
    part = embeddings[torch.from_numpy(fitted).to(embeddings.device)]
    centers = _cluster_means(part, fitted_labels, num_clusters)
    used = fitted_labels.unique()  # an empty cluster has no place, and draws nobody
    found, nearest, runner_up = assign(embeddings, centers[used])
    nearest_labels = used[found]
    labels = nearest_labels.clone()
    labels[torch.from_numpy(fitted).to(labels.device)] = fitted_labels
    own = (embeddings.float() - centers[labels]).norm(dim=1)
    runner_up = torch.where(labels == nearest_labels, runner_up, nearest) if len(used) > 1 else own
    return Clustering(
        labels=labels.cpu().numpy().astype(np.int32),
        centers=centers.cpu().numpy(),
        distances=own.cpu().numpy(),
        runner_up_distances=runner_up.cpu().numpy(),
    )


def _kmeans(points: Tensor, num_clusters: int, seed: int, num_restarts: int, ranks: Ranks = SOLO) -> KMeansResult:
    generator = torch.Generator().manual_seed(seed)
    return kmeans(points, num_clusters, generator=generator, num_restarts=num_restarts, ranks=ranks)


def _mini_batch_kmeans(points: Tensor, num_clusters: int, seed: int, num_restarts: int) -> Tensor:
    from sklearn.cluster import MiniBatchKMeans

    return _fit(MiniBatchKMeans(num_clusters, n_init=num_restarts, random_state=seed), points)


def _gaussian_mixture(points: Tensor, num_clusters: int, seed: int, num_restarts: int) -> Tensor:
    from sklearn.mixture import GaussianMixture

    # diagonal covariances: a full one has D (D + 1) / 2 numbers a cluster, more than a class has images
    model = GaussianMixture(num_clusters, covariance_type="diag", n_init=num_restarts, random_state=seed)
    # in float32, or far from the origin, the variances of tight clusters come out negative
    centered = points.double() - points.double().mean(dim=0)
    return _fit(model, centered)


def _spectral(points: Tensor, num_clusters: int, seed: int, num_restarts: int) -> Tensor:
    from sklearn.cluster import SpectralClustering

    model = SpectralClustering(
        num_clusters,
        affinity="nearest_neighbors",
        n_neighbors=min(10, len(points) - 1),
        n_init=num_restarts,
        random_state=seed,
    )
    return _fit(model, points)


def _agglomerative(points: Tensor, num_clusters: int, seed: int, num_restarts: int) -> Tensor:
    from sklearn.cluster import AgglomerativeClustering

    return _fit(AgglomerativeClustering(num_clusters), points)


ALGORITHMS: dict[str, Callable[[Tensor, int, int, int], Tensor | KMeansResult]] = {
    "kmeans": _kmeans,
    "mini_batch_kmeans": _mini_batch_kmeans,
    "gaussian_mixture": _gaussian_mixture,
    "spectral": _spectral,
    "agglomerative": _agglomerative,
}


def _fit(model, points: Tensor) -> Tensor:
    points = points if points.dtype == torch.float64 else points.float()
    try:
        labels = model.fit_predict(points.cpu().numpy())
    except ValueError as error:
        raise Problem(f"{type(model).__name__} found no clusters", str(error)) from error
    return torch.from_numpy(np.asarray(labels, dtype=np.int64)).to(points.device)


def _cluster_means(points: Tensor, labels: Tensor, num_clusters: int) -> Tensor:
    counts = torch.bincount(labels, minlength=num_clusters).clamp(min=1)
    return sums_of(points.float(), labels, num_clusters) / counts[:, None]
