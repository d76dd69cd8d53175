"""Where a picture that no run has seen falls: its cluster, place on the map and restored self, in every round."""

from dataclasses import dataclass

import numpy as np

from vitviz.clustering.projection import place_by_neighbors
from vitviz.errors import Problem
from vitviz.explain.restoration import restore
from vitviz.runs.compact import coordinates, kept_embeddings, whole_centers
from vitviz.runs.folder import Run


@dataclass(frozen=True)
class Placement:
    """One picture through the R rounds whose weights the run kept.

    rounds (R,) which those are; clusters (R,) matched ids; distances (R, K) Euclidean to every center, columns by matched id
    (inf where there is none); points (R, 2) on the map, or None without one; neighbors (R, k) samples nearest in the
    embedding; restored (R, H, W, 3) uint8 or None.
    """

    rounds: np.ndarray
    clusters: np.ndarray
    distances: np.ndarray
    points: np.ndarray | None
    neighbors: np.ndarray
    restored: np.ndarray | None


def check_placeable(run: Run) -> None:
    """Raises Problem when no picture can be placed in ``run``: it kept no weights, or was handed on without embeddings."""
    if not _rounds_with_weights(run):
        raise Problem(f"run '{run.name}' kept no weights", "", "train it with keep-round-weights=true")
    kept_embeddings(run, 0)


def _rounds_with_weights(run: Run) -> list[int]:
    return [index for index in range(run.num_rounds()) if run.has_weights(index)]


def place_image(run: Run, pixels: np.ndarray, *, num_neighbors: int = 8) -> Placement:
    """Embed ``pixels`` (img_size, img_size, 3) uint8 with the network of every round that was kept, and look it up there.

    Raises: Problem as :func:`check_placeable` does, or when the picture is not of the run's size.
    """
    from vitviz.training.methods import find_method

    about = run.description()
    if pixels.shape != (about.img_size, about.img_size, 3):
        raise Problem(
            f"the picture is {pixels.shape[1]} x {pixels.shape[0]}",
            f"run '{run.name}' sees {about.img_size} px squares",
        )
    check_placeable(run)
    rounds = _rounds_with_weights(run)
    embed, projection = find_method(about.method).embed, run.projection()
    clusters, distances, points, neighbors, restored = [], [], [], [], []
    for index in rounds:
        arrays = run.round(index)
        whole = embed(run, index, pixels[None])
        embedding = coordinates(arrays, whole)
        to_centers = _distances_by_matched_id(arrays, whole[0], about.num_clusters)
        clusters.append(int(to_centers.argmin()))
        distances.append(to_centers)
        known = kept_embeddings(run, index)
        neighbors.append(np.argsort(((known - embedding) ** 2).sum(axis=1), kind="stable")[:num_neighbors])
        if projection is not None and index < len(projection.points):
            points.append(place_by_neighbors(known, projection.points[index], embedding)[0])
        if arrays.decoder is not None:
            restored.append(restore(run, index, embedding)[0])
    return Placement(
        rounds=np.array(rounds),
        clusters=np.array(clusters),
        distances=np.stack(distances),
        points=np.stack(points) if len(points) == len(rounds) else None,
        neighbors=np.stack(neighbors),
        restored=np.stack(restored) if len(restored) == len(rounds) else None,
    )


def _distances_by_matched_id(arrays, embedding: np.ndarray, num_clusters: int) -> np.ndarray:
    labels, matched = np.asarray(arrays.labels), np.asarray(arrays.matched_labels)
    result = np.full(max(num_clusters, matched.max() + 1), np.inf, dtype=np.float32)
    to_raw = np.sqrt(((whole_centers(arrays) - embedding) ** 2).sum(axis=1))
    for raw in np.unique(labels):
        result[matched[np.argmax(labels == raw)]] = to_raw[raw]
    return result
