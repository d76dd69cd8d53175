"""How well cluster ids agree with classes (or with other ids), from the contingency table alone.

All scores take two id arrays (N,) of integers >= 0 and are blind to renaming. Images without a label are the caller's to
leave out: :func:`scores` does so. With fewer than two images, or one class only, a score is not defined and is ``None``
(scikit-learn answers 1.0 there).
"""

import numpy as np
from scipy.optimize import linear_sum_assignment


def scores(classes: np.ndarray, labels: np.ndarray, *, prefix: str = "") -> dict[str, float | None]:
    """NMI, ACC, ARI and AMI of ``labels`` against ``classes`` (N,), as ``{prefix + "nmi": ...}``; class -1 is left out."""
    known = classes >= 0
    classes, labels = classes[known], labels[known]
    measures = {"nmi": nmi, "acc": clustering_accuracy, "ari": ari, "ami": ami}
    defined = len(np.unique(classes)) > 1
    return {prefix + name: measure(classes, labels) if defined else None for name, measure in measures.items()}


def contingency(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Counts (A, B) int64: how often id a of ``first`` meets id b of ``second``; A and B are the largest ids plus one."""
    rows, columns = int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1
    flat = first.astype(np.int64) * columns + second
    return np.bincount(flat, minlength=rows * columns).reshape(rows, columns)


def nmi(first: np.ndarray, second: np.ndarray) -> float:
    """Normalised mutual information, 0..1: 2 I(A; B) / (H(A) + H(B)); 0 when neither carries information."""
    table = contingency(first, second) / max(len(first), 1)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    entropies = _entropy(rows) + _entropy(columns)
    mutual = entropies - _entropy(table.ravel())
    return float(np.clip(2 * mutual / entropies, 0, 1)) if entropies > 0 else 0.0


def ari(first: np.ndarray, second: np.ndarray) -> float:
    """Adjusted Rand index, at most 1, 0 for chance (Hubert and Arabie 1985)."""
    table = contingency(first, second)
    together, rows, columns = (_pairs(counts).sum() for counts in (table, table.sum(axis=1), table.sum(axis=0)))
    expected = rows * columns / max(_pairs(np.array(len(first))), 1)
    span = (rows + columns) / 2 - expected
    return float((together - expected) / span) if span else 1.0


def ami(first: np.ndarray, second: np.ndarray) -> float:
    """Adjusted mutual information, at most 1, 0 for chance."""
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(first, second))


def clustering_accuracy(classes: np.ndarray, labels: np.ndarray) -> float:
    """ACC, 0..1: the share of images whose cluster is the one given to their class by the best one-to-one assignment."""
    table = contingency(classes, labels)
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum() / max(len(classes), 1))


def within_share(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """W/T, 0..1: the share of the variance of ``embeddings`` (N, D) that lies within clusters; 0 when all points coincide."""
    points = embeddings.astype(np.float64)
    total = ((points - points.mean(axis=0)) ** 2).sum()
    counts = np.bincount(labels)
    sums = np.zeros((len(counts), points.shape[1]))
    np.add.at(sums, labels, points)
    centers = sums / np.maximum(counts, 1)[:, None]
    within = ((points - centers[labels]) ** 2).sum()
    return float(within / total) if total > 0 else 0.0


def _entropy(shares: np.ndarray) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _pairs(counts: np.ndarray) -> np.ndarray:
    counts = counts.astype(np.float64)
    return counts * (counts - 1) / 2
