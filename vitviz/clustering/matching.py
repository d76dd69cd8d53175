"""One-to-one names: cluster ids between rounds, and the class each cluster stands for (Hungarian assignment on overlap)."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from vitviz.clustering.metrics import contingency


def match_labels(previous: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rename ``labels`` (N,) so that they overlap ``previous`` (N,) as much as one renaming can.

    ``previous`` may hold -1 (unknown): such an image has no say. Returns: names (K,) int32, so that ``names[labels]`` are
    the matched ids. It is a permutation of 0..K-1, with K one more than the largest id of either. Clusters that met
    nobody keep the ids left over, in order.
    """
    size = int(max(previous.max(initial=-1), labels.max(initial=-1))) + 1
    overlap = np.zeros((size, size), dtype=np.int64)
    known = previous >= 0
    table = contingency(labels[known], previous[known])
    overlap[: table.shape[0], : table.shape[1]] = table
    rows, columns = linear_sum_assignment(-overlap)
    names = np.empty(size, dtype=np.int32)
    names[rows] = columns
    return names


def cluster_classes(classes: np.ndarray, labels: np.ndarray, *, num_clusters: int) -> np.ndarray:
    """The class each cluster stands for when ACC is computed: (K,) int32, -1 for a cluster that got none.

    ``classes`` (N,) may hold -1 (unlabelled, left out). With more clusters than classes, a cluster left over by the
    one-to-one assignment stands for nothing.
    """
    known = classes >= 0
    result = np.full(num_clusters, -1, dtype=np.int32)
    if not known.any():
        return result
    table = contingency(classes[known], labels[known])
    rows, columns = linear_sum_assignment(-table)
    result[columns] = rows
    return result
