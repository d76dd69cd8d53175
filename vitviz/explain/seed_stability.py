"""What other seeds say of a run: the band of their scores, and how far each image keeps the same company.

Two runs of the same settings name their clusters as they like, so images are compared by their company. C_s(i): the images that
share a cluster with image i in the run of seed s, i left out.

    stability of i = mean over all pairs of runs s, t of |C_s(i) and C_t(i)| / |C_s(i) or C_t(i)|

1: in every pair of runs exactly the same company. Two independent groupings into K clusters of equal size come to about
1 / (2 K - 1). Counted from the table of both runs' clusters, so no pair of images is ever looked at.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from vitviz.explain.deep_clustering import Curve, series
from vitviz.runs.folder import Run


@dataclass(frozen=True)
class Band:
    """A score of held-out images over rounds of S runs: low, mean and high (R,), NaN where fewer than two have it."""

    low: np.ndarray
    mean: np.ndarray
    high: np.ndarray
    num_seeds: int


def seed_band(run: Run, others: Sequence[Run], key: str) -> Band | None:
    """The band of ``nmi``, ``acc``, ``ari`` or ``ami`` of a run and its other seeds; None without another."""
    if not others:
        return None
    found = [series(one, f"held_out_{key}") for one in (run, *others)]
    table = np.full((len(found), max(len(one) for one in found)), np.nan)
    for row, values in zip(table, found, strict=True):
        row[: len(values)] = values
    table[:, (~np.isnan(table)).sum(axis=0) < 2] = np.nan
    defined = ~np.isnan(table).all(axis=0)
    low, mean, high = (np.full(table.shape[1], np.nan) for _ in range(3))
    for values, summary in ((low, np.nanmin), (mean, np.nanmean), (high, np.nanmax)):
        values[defined] = summary(table[:, defined], axis=0)
    return Band(low, mean, high, len(found))


def mean_curve(band: Band, run: Run) -> Curve:
    """The mean of a band as a line."""
    return Curve(f"mean of {band.num_seeds} seeds", run.name, band.mean, "mean")


def stability(run: Run, others: Sequence[Run]) -> np.ndarray:
    """(R, N) float32 in 0..1 for every round and image of ``run``; NaN where no pair of runs has the image.

    A run with fewer rounds answers with its last one.
    """
    runs = [run, *others]
    places = [_places(run, other) for other in runs]
    result = [_stability_of_round(runs, places, index) for index in range(run.num_rounds())]
    return np.stack(result).astype(np.float32)


def shared_company(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """|C and D| / |C or D| of the company C and D that each image has in two groupings (N,): (N,) float64; alone in both is 1."""
    first, second = (np.unique(labels, return_inverse=True)[1] for labels in (first, second))
    pairs = first * (second.max() + 1) + second
    of_first, of_second, both = (np.bincount(labels)[labels] for labels in (first, second, pairs))
    union = of_first + of_second - both - 1
    return np.where(union > 0, (both - 1) / np.maximum(union, 1), 1.0)


def version_with(run: Run, others: Sequence[Run]) -> str:
    """Changes whenever the run or one of its other seeds does."""
    told = "\n".join(sorted(f"{one.name} {one.version()}" for one in (run, *others)))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _places(run: Run, other: Run) -> np.ndarray:
    """For every row of ``run`` the row of ``other`` with the same image (N,), -1 for none."""
    wanted, there = run.samples().indices, other.samples().indices
    order = np.argsort(there, kind="stable")
    at = np.minimum(np.searchsorted(there[order], wanted), len(there) - 1)
    return np.where(there[order][at] == wanted, order[at], -1)


def _stability_of_round(runs: Sequence[Run], places: Sequence[np.ndarray], index: int) -> np.ndarray:
    labels = [np.asarray(one.round(min(index, one.num_rounds() - 1)).matched_labels) for one in runs]
    total, count = np.zeros(len(places[0])), np.zeros(len(places[0]))
    for one, other in combinations(range(len(runs)), 2):
        rows = np.flatnonzero((places[one] >= 0) & (places[other] >= 0))
        if len(rows):
            total[rows] += shared_company(labels[one][places[one][rows]], labels[other][places[other][rows]])
            count[rows] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
