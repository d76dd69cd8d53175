"""The ledger of the movers: what was repaired and broken in every class, and whether the movers' neighbourhood bears it out.

Right and wrong are read off clusters, which a new naming of two clusters can turn round. The nearest images in the embedding
have no names, so they are asked beside it: what share of them is of the mover's class, before and after.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vitviz.explain.deep_clustering import Movers, Part, classes_of_clusters, find_movers, part_of
from vitviz.runs.compact import has_embeddings
from vitviz.runs.folder import Run

NUM_NEIGHBORS = 15
MOST_DISTANCES = 30_000_000
"""Each mover costs its distance to every image: of more than this in a round, a fixed sample of the movers is measured."""
_CHUNK_VALUES = 2**24


@dataclass(frozen=True)
class Kin:
    """Of each of M movers, the share (M,) float32 in 0..1 of its nearest images that are of its class; NaN: not measured."""

    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class Ledger:
    """What two rounds of a run did to every class that has images in a part.

    classes (C,) ids; images, right_before, repaired, broken, right_after and moved (C,) int64 counts, where
    ``right_before + repaired - broken == right_after``; kin_before and kin_after (C,) float32: mean of the movers' shares, NaN
    without a measured mover. before and after: the rounds.
    """

    run: str
    before: int
    after: int
    classes: np.ndarray
    images: np.ndarray
    right_before: np.ndarray
    repaired: np.ndarray
    broken: np.ndarray
    right_after: np.ndarray
    moved: np.ndarray
    kin_before: np.ndarray
    kin_after: np.ndarray


def measure_kin(run: Run, movers: Movers, before: int, after: int) -> Kin:
    """Look up the true neighbours of the movers in the embeddings of both rounds; exact, over all images of the run."""
    chosen, most = np.arange(len(movers.samples)), max(MOST_DISTANCES // len(run.samples().classes), 1)
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, most, replace=False))
    shares = []
    for index in (before, after):
        values = np.full(len(movers.samples), np.nan, np.float32)
        values[chosen] = kin_shares(run, index, movers.samples[chosen])
        shares.append(values)
    return Kin(*shares)


def kin_shares(run: Run, index: int, rows: np.ndarray, num_neighbors: int = NUM_NEIGHBORS) -> np.ndarray:
    """The share of the nearest images (Euclidean, themselves left out) of ``rows`` (M,) that are of their class: (M,) float32.

    NaN where the run was handed on without embeddings.
    """
    if not has_embeddings(run):
        return np.full(len(rows), np.nan, np.float32)
    classes, known = run.samples().classes, np.asarray(run.round(index).embeddings, np.float32)
    num = min(num_neighbors, len(known) - 1)
    near = np.concatenate([np.zeros((0, num), int), *_nearest(known, rows, num)])
    return (classes[near] == classes[rows][:, None]).mean(axis=1, dtype=np.float32)


def write_ledger(run: Run, before: int, after: int, part: Part, *, kin: Kin | None = None) -> Ledger:
    """The ledger of a run between two rounds, a round it does not have taken as its last.

    ``kin`` is what :func:`measure_kin` says of these movers, where it is known already.

    Raises: Problem without labels.
    """
    last = run.num_rounds() - 1
    before, after = min(before, last), min(after, last)
    movers = find_movers(run, before, after, part)
    kin, samples = kin or measure_kin(run, movers, before, after), run.samples()
    labels, standing = samples.classes, classes_of_clusters(run)
    asked = part_of(run, part) & (labels >= 0)
    classes = np.unique(labels[asked])

    def count(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(chosen, minlength=classes[-1] + 1)[classes]

    def right(index: int) -> np.ndarray:
        return count(labels[asked & (standing[index][run.round(index).matched_labels] == labels)])

    kinds = {kind: count(movers.classes[movers.kinds == kind]) for kind in ("repaired", "broken", "moved")}
    return Ledger(
        run=run.name,
        before=before,
        after=after,
        classes=classes,
        images=count(labels[asked]),
        right_before=right(before),
        right_after=right(after),
        kin_before=_mean_by_class(kin.before, movers.classes, classes),
        kin_after=_mean_by_class(kin.after, movers.classes, classes),
        **kinds,
    )


def _nearest(known: np.ndarray, rows: np.ndarray, num: int) -> Iterator[np.ndarray]:
    """Rows of the ``num`` nearest of ``known`` (N, D) to each of ``rows``, in no order, some rows at a time: (m, num)."""
    norms = (known**2).sum(axis=1)
    step = max(_CHUNK_VALUES // len(known), 1)
    for start in range(0, len(rows), step):
        asked = rows[start : start + step]
        squared = norms - 2 * known[asked] @ known.T
        squared[np.arange(len(asked)), asked] = np.inf
        yield np.argpartition(squared, num - 1, axis=1)[:, :num]


def _mean_by_class(values: np.ndarray, of: np.ndarray, classes: np.ndarray) -> np.ndarray:
    means = [values[(of == one) & ~np.isnan(values)] for one in classes]
    return np.array([part.mean() if len(part) else np.nan for part in means], np.float32)
