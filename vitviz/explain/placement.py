"""Where a picture that no run has seen falls: its cluster, place on the map and restored self, in every round."""

from dataclasses import dataclass

import numpy as np

from vitviz.clustering.projection import place_by_neighbors
from vitviz.errors import Problem
from vitviz.explain.restoration import restore
from vitviz.runs.compact import coordinates, kept_embeddings
from vitviz.runs.folder import Run


@dataclass(frozen=True)
class Placement:
    """One picture through R rounds.

    clusters (R,) matched ids; distances (R, K) Euclidean to every center, columns by matched id (inf where there is none);
    points (R, 2) on the map, or None without one; neighbors (R, k) samples nearest in the embedding; restored
    (R, H, W, 3) uint8 or None.
    """

    clusters: np.ndarray
    distances: np.ndarray
    points: np.ndarray | None
    neighbors: np.ndarray
    restored: np.ndarray | None


def place_image(run: Run, pixels: np.ndarray, *, num_neighbors: int = 8) -> Placement:
    """Embed ``pixels`` (img_size, img_size, 3) uint8 with the network of every round and look it up there.

    Raises: Problem when the run kept no weights for a round, or the picture is not of the run's size.
    """
    from vitviz.training.methods import find_method

    about, num_rounds = run.description(), run.num_rounds()
    if pixels.shape != (about.img_size, about.img_size, 3):
        raise Problem(
            f"the picture is {pixels.shape[1]} x {pixels.shape[0]}",
            f"run '{run.name}' sees {about.img_size} px squares",
        )
    if not all(run.has_weights(index) for index in range(num_rounds)):
        raise Problem(f"run '{run.name}' kept no weights", "", "train it with keep-round-weights=true")
    embed, projection = find_method(about.method).embed, run.projection()
    clusters, distances, points, neighbors, restored = [], [], [], [], []
    for index in range(num_rounds):
        arrays = run.round(index)
        embedding = coordinates(arrays, embed(run, index, pixels[None]))
        to_centers = _distances_by_matched_id(arrays, embedding[0], about.num_clusters)
        clusters.append(int(to_centers.argmin()))
        distances.append(to_centers)
        known = kept_embeddings(run, index)
        neighbors.append(np.argsort(((known - embedding) ** 2).sum(axis=1), kind="stable")[:num_neighbors])
        if projection is not None and index < len(projection.points):
            points.append(place_by_neighbors(known, projection.points[index], embedding)[0])
        if arrays.decoder is not None:
            restored.append(restore(run, index, embedding)[0])
    return Placement(
        clusters=np.array(clusters),
        distances=np.stack(distances),
        points=np.stack(points) if len(points) == num_rounds else None,
        neighbors=np.stack(neighbors),
        restored=np.stack(restored) if len(restored) == num_rounds else None,
    )


def _distances_by_matched_id(arrays, embedding: np.ndarray, num_clusters: int) -> np.ndarray:
    labels, matched = np.asarray(arrays.labels), np.asarray(arrays.matched_labels)
    result = np.full(max(num_clusters, matched.max() + 1), np.inf, dtype=np.float32)
    to_raw = np.sqrt(((np.asarray(arrays.centers) - embedding) ** 2).sum(axis=1))
    for raw in np.unique(labels):
        result[matched[np.argmax(labels == raw)]] = to_raw[raw]
    return result
