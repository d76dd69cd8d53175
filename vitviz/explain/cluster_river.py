"""The river of clusters: how many images go from each matched cluster to each at every step from round to round, and which."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vitviz.explain.deep_clustering import Part, classes_of_clusters, count_clusters, part_of
from vitviz.runs.folder import Run


@dataclass(frozen=True)
class River:
    """Counts only, whatever the number of images.

    sizes (R, K) int64: images in a matched cluster at a round. bands (M, 6) int64, one row a band that is not empty, the
    largest first: round, cluster there, cluster at the round after, images, and how many of them were repaired (wrong, then
    right) and broken (right, then wrong). num_images N; num_travellers: images that change their cluster at least once.
    """

    sizes: np.ndarray
    bands: np.ndarray
    num_images: int
    num_travellers: int

    def moves(self) -> np.ndarray:
        """The bands between two different clusters."""
        return self.bands[self.bands[:, 1] != self.bands[:, 2]]


def count_river(run: Run, part: Part, *, standing: np.ndarray | None = None) -> River:
    """The river of a part of the images; ``standing`` is ``classes_of_clusters(run)`` where it is known already."""
    rows, classes = np.flatnonzero(part_of(run, part)), run.samples().classes
    standing = classes_of_clusters(run) if standing is None else standing
    num_clusters, num_rounds = count_clusters(run), run.num_rounds()
    labels = [np.asarray(run.round(index).matched_labels)[rows] for index in range(num_rounds)]
    right = [standing[index][one] == classes[rows] for index, one in enumerate(labels)]
    bands = [_bands_between(index, labels, right, num_clusters) for index in range(num_rounds - 1)]
    travels = np.zeros(len(rows), bool)
    for before, after in pairwise(labels):
        travels |= before != after
    found = np.concatenate(bands) if bands else np.zeros((0, 6), np.int64)
    return River(
        sizes=np.stack([np.bincount(one, minlength=num_clusters) for one in labels]),
        bands=found[np.argsort(-found[:, 3], kind="stable")],
        num_images=len(rows),
        num_travellers=int(travels.sum()),
    )


def sizes_of_moves(river: River) -> np.ndarray:
    """(R, K) int64: the larger of what enters a cluster at a round and what leaves it for the next."""
    entering, leaving = np.zeros_like(river.sizes), np.zeros_like(river.sizes)
    for index, source, target, count, _, _ in river.moves():
        leaving[index, source] += count
        entering[index + 1, target] += count
    return np.maximum(entering, leaving)


def largest_moves(river: River, most: int) -> np.ndarray:
    """About ``most`` of the bands between different clusters: the largest of every step, as many in each, so that no step looks
    quieter than it is.
    """
    moves, num_steps = river.moves(), max(len(river.sizes) - 1, 1)
    kept = [moves[moves[:, 0] == index][: max(most // num_steps, 1)] for index in range(num_steps)]
    return np.concatenate(kept)


def moved_shares(river: River) -> np.ndarray:
    """(R - 1,) float64: of all images, the share that change their cluster at a step."""
    moves = river.moves()
    counts = np.bincount(moves[:, 0], moves[:, 3], minlength=max(len(river.sizes) - 1, 0))
    return counts / max(river.num_images, 1)


def images_of_band(run: Run, index: int, source: int, target: int, part: Part) -> np.ndarray:
    """Rows of the images in ``source`` at a round and in ``target`` at the next, the surest of their new cluster first."""
    after = run.round(index + 1)
    chosen = (np.asarray(run.round(index).matched_labels) == source) & (np.asarray(after.matched_labels) == target)
    return _nearest_first(chosen & part_of(run, part), after.distances)


def images_of_cluster(run: Run, index: int, cluster: int, part: Part) -> np.ndarray:
    """Rows of the images in a matched cluster at a round, the nearest to its center first."""
    arrays = run.round(index)
    return _nearest_first((np.asarray(arrays.matched_labels) == cluster) & part_of(run, part), arrays.distances)


def _bands_between(index: int, labels: list, right: list, num_clusters: int) -> np.ndarray:
    """(M, 6) int64 of one step."""
    pairs = labels[index].astype(np.int64) * num_clusters + labels[index + 1]
    was, now = right[index], right[index + 1]
    counts, repaired, broken = (
        np.bincount(pairs[chosen], minlength=num_clusters**2)
        for chosen in (np.ones(len(pairs), bool), ~was & now, was & ~now)
    )
    there = np.flatnonzero(counts)
    columns = (there // num_clusters, there % num_clusters, counts[there], repaired[there], broken[there])
    return np.stack([np.full(len(there), index), *columns], axis=1).astype(np.int64)


def _nearest_first(chosen: np.ndarray, distances: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(np.asarray(distances)[rows], kind="stable")]
