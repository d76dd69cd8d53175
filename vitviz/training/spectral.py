"""Spectral clustering over growing neighbourhoods (Ng, Jordan and Weiss 2001): who is near whom decides who belongs together.

The fifth method, and the pattern for a sixth: this file, one line in each half of the registry, one preset, one test.
No network and no label. Round r joins every image to its 3, 6, 12, ... nearest by the cosine of its pixels, takes the
eigenvectors of the graph, and clusters them: L = I - D^-1/2 A D^-1/2, as in :mod:`vitviz.clustering.spectral`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vitviz.errors import Problem
from vitviz.training.deep_clustering_config import ProjectionEngine, check_at_least

if TYPE_CHECKING:
    from scipy import sparse

    from vitviz.runs.folder import Run

_NEAREST_FOR_NEW = 10


@dataclass(frozen=True, kw_only=True)
class SpectralConfig:
    """Spectral clustering of the pixels, once for each size of neighbourhood. Raises: Problem for values outside their range."""

    dataset: str = "digits"
    img_size: int | None = None
    limit: int | None = None
    held_out_fraction: float = 0.5
    seed: int = 0
    device: str = "auto"
    first_neighbors: int = 3
    max_rounds: int = 5
    num_clusters: int = 10
    num_restarts: int = 20
    projection: ProjectionEngine = "auto"
    epochs: ClassVar[int] = 0

    def __post_init__(self):
        check_at_least(self, 1, "num_clusters num_restarts first_neighbors")
        check_at_least(self, 0, "seed max_rounds")
        if not 0 < self.held_out_fraction < 1:
            raise Problem(f"held_out_fraction={self.held_out_fraction} must lie between 0 and 1")
        if self.max_rounds > 20:
            raise Problem(f"max_rounds={self.max_rounds} must be at most 20: each doubles the neighbours")

    def neighbors(self, index: int) -> int:
        """How many neighbours an image is joined to in round ``index``: twice as many as in the one before."""
        return self.first_neighbors * 2**index


def train_spectral(config: SpectralConfig, run: "Run") -> Iterator[dict[str, Any]]:
    """One round for each number of neighbours; goes on after the last complete one.

    All images are seen, labels never. Raises: Problem when there are too few images for the neighbours or the clusters.
    """
    from vitviz.clustering.kmeans import check_counts
    from vitviz.training.setup import load_images

    images = load_images(run)
    check_counts(len(images), config.num_clusters)
    if (most := config.neighbors(config.max_rounds)) >= len(images):
        why = f"round {config.max_rounds} would join each to {most:,} others"
        raise Problem(f"{len(images):,} images are too few", why, "lower max_rounds or first_neighbors")
    done = len(run.round_metrics())
    run.rewind(num_records=done, num_rounds=done)
    for index in range(done, config.max_rounds + 1):
        yield _round(config, run, index, images)


def neighbor_graph(points: np.ndarray, number: int) -> "sparse.csr_array":
    """Affinity (N, N), symmetric: 1 for mutual nearest neighbours, 1/2 where only one of the two holds the other for near."""
    from scipy import sparse
    from sklearn.neighbors import kneighbors_graph

    graph = sparse.csr_array(kneighbors_graph(points, number, mode="connectivity", metric="cosine"))
    return ((graph + graph.T) / 2).tocsr()


def embed_with(run: "Run", round_index: int, images: np.ndarray) -> np.ndarray:
    """Embeddings (M, K) float32 of ``images`` (M, H, W, 3) uint8 at a round: the mean of the ten nearest images of the run."""
    from sklearn.neighbors import NearestNeighbors

    from vitviz.training.setup import load_images

    known = np.asarray(run.round(round_index).embeddings, np.float32)
    search = NearestNeighbors(n_neighbors=min(_NEAREST_FOR_NEW, len(known)), metric="cosine").fit(
        _pixels(load_images(run))
    )
    return known[search.kneighbors(_pixels(images), return_distance=False)].mean(axis=1)


def _round(config: SpectralConfig, run: "Run", index: int, images: np.ndarray) -> dict[str, Any]:
    import time

    import torch

    from vitviz.clustering.algorithms import place_around_means
    from vitviz.clustering.spectral import cluster_affinity
    from vitviz.training.rounds import RoundInputs, save_and_score
    from vitviz.training.stopping import warnings

    start = time.perf_counter()
    graph = neighbor_graph(_pixels(images), config.neighbors(index))
    found = cluster_affinity(graph, config.num_clusters, seed=config.seed, num_restarts=config.num_restarts)
    embeddings, everything = torch.from_numpy(found.embedding.astype(np.float32)), np.ones(len(images), bool)
    inputs = RoundInputs(
        embeddings=embeddings,
        clustering=place_around_means(embeddings, everything, torch.from_numpy(found.labels), config.num_clusters),
        logits=None,
        images=images,
        samples=run.samples(),
        fitted=everything,
        weights=None,
    )
    record = save_and_score(run, index, inputs, seed=config.seed + index)
    seconds = time.perf_counter() - start
    record |= {"neighbors": config.neighbors(index), "eigengap": found.eigengap}
    # what the relaxed normalised cut costs: the sum of the eigenvalues that are used
    record |= {"loss": float(found.eigenvalues[: config.num_clusters].sum()), "cluster_loss": None, "stop": None}
    record |= {"seconds": seconds, "images_per_second": len(images) / seconds}
    if index == 0:
        record["raw_kmeans_nmi"] = _nmi_of_raw_pixels(config, run, images)
    record |= {"warnings": record["warnings"] + warnings([*run.round_metrics(), record])}
    run.append_metrics(record)
    return record


def _nmi_of_raw_pixels(config: SpectralConfig, run: "Run", images: np.ndarray) -> float | None:
    """What k-means on the pixels scores on held-out images: the control."""
    import torch

    from vitviz.clustering.algorithms import cluster
    from vitviz.clustering.metrics import scores

    samples, everything = run.samples(), np.ones(len(images), bool)
    found = cluster(torch.from_numpy(_pixels(images)), everything, "kmeans", config.num_clusters, seed=config.seed)
    return scores(samples.classes[samples.held_out], found.labels[samples.held_out])["nmi"]


def _pixels(images: np.ndarray) -> np.ndarray:
    from vitviz.training.rounds import small_pixels

    return small_pixels(images).numpy()
