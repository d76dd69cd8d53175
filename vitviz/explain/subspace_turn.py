"""An object on a turntable as a ring: what each of its views takes of the others, where the loop is open, and who stands out.

Rows = images, Z = C Z: C_ij is what image i takes of image j. A view is an image of the object; places are views in the order
of their angle. Only the order of the data set gives the angle.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from vitviz.explain.subspace import Snapshot
from vitviz.runs.folder import Run

FULL_TURN = {"coil20": 72}
"""Data sets whose classes are objects on a turntable, to the pictures of one turn."""
NEAR = 6
"""A link joins neighbours of the ring where it leads at most this many views on; one across says that two sides look alike."""


@dataclass(frozen=True)
class Turn:
    """One object: members (V,) rows of the run by angle; degrees from one view to the next.

    links (L, 2): places (from, to), the view and one of those it takes most of, where that is of the same object, and weights
    (L,), the share of the view's magnitudes, 0..1. strangers (S, 2): place and row of the run for those of other objects, with
    stranger_weights (S,). open_gaps (G,): place p where no link of neighbours spans the gap from p to p + 1. inside: the share
    of all the views' magnitudes that stays in the object, 0..1, and near, that stays within ``NEAR`` views; inside_random and
    near_random: what a row that takes evenly of all images would have there.
    """

    members: np.ndarray
    degrees: float
    links: np.ndarray
    weights: np.ndarray
    strangers: np.ndarray
    stranger_weights: np.ndarray
    open_gaps: np.ndarray
    inside: float
    near: float
    inside_random: float
    near_random: float


def turn_length(run: Run) -> int | None:
    """How many views one turn of an object has in the data set of ``run``; None where that has no turntable."""
    return FULL_TURN.get(run.description().dataset)


def objects_of(run: Run) -> list[int]:
    """The classes of which every view of the turn is in the run, ascending; empty where there is no turntable."""
    length = turn_length(run)
    classes = run.samples().classes
    return [int(one) for one in np.unique(classes[classes >= 0]) if length == int((classes == one).sum())]


def turn_of(snapshot: Snapshot, run: Run, chosen: int, *, most: int = 3) -> Turn:
    """The ring of the object ``chosen``, of each view the ``most`` images that it takes most of, zeros left out."""
    samples = run.samples()
    members = np.flatnonzero(samples.classes == chosen)
    members = members[np.argsort(samples.indices[members], kind="stable")]
    sizes = _shares(snapshot, members)
    place_of = np.full(sizes.shape[1], -1)
    place_of[members] = np.arange(len(members))
    links, weights, strangers, stranger_weights = _strongest(sizes, place_of, most)
    count, others = len(members), max(sizes.shape[1] - 1, 1)
    inside = sizes[:, members]
    steps = _steps(np.arange(count)[:, None], np.arange(count)[None], count)
    total = max(float(sizes.sum()), 1e-12)
    near = np.abs(steps) <= NEAR
    return Turn(
        members=members,
        degrees=360 / count,
        links=links,
        weights=weights,
        strangers=strangers,
        stranger_weights=stranger_weights,
        open_gaps=np.flatnonzero(_spans(links, count) == 0),
        inside=float(inside.sum()) / total,
        near=float(inside[near].sum()) / total,
        inside_random=(count - 1) / others,
        near_random=(float(near.sum()) / count - 1) / others,
    )


def open_objects(snapshot: Snapshot, run: Run, *, most: int = 3) -> dict[int, tuple[int, int]]:
    """Class to (open gaps, strangers) of those objects whose loop is open or whose views take much of other objects."""
    found = {one: turn_of(snapshot, run, one, most=most) for one in objects_of(run)}
    counted = {one: (len(turn.open_gaps), len(turn.strangers)) for one, turn in found.items()}
    return {one: counts for one, counts in counted.items() if any(counts)}


def taken_by(turn: Turn, place: int) -> list[int]:
    """The rows of the run that the view at ``place`` takes most of, the first most."""
    linked = zip(turn.links, turn.weights, strict=True)
    found = [(float(weight), int(turn.members[to])) for (at, to), weight in linked if at == place]
    strange = zip(turn.strangers, turn.stranger_weights, strict=True)
    found += [(float(weight), int(row)) for (at, row), weight in strange if at == place]
    return [row for _, row in sorted(found, key=lambda one: -one[0])]


def _shares(snapshot: Snapshot, members: np.ndarray) -> np.ndarray:
    """The magnitudes (V, N) of the members' rows of C without the diagonal, as shares of their sum; 0 for a row of zeros."""
    rows = snapshot.coefficients[members]
    sizes = np.abs(rows.toarray() if sparse.issparse(rows) else rows).astype(np.float64)
    sizes[np.arange(len(members)), members] = 0
    totals = sizes.sum(axis=1, keepdims=True)
    return np.divide(sizes, totals, out=np.zeros_like(sizes), where=totals > 0)


def _strongest(sizes: np.ndarray, place_of: np.ndarray, most: int) -> tuple[np.ndarray, ...]:
    """Links, their weights, strangers and theirs: of each row (a view) the ``most`` largest of all columns (images)."""
    columns = np.argsort(-sizes, axis=1, kind="stable")[:, :most]
    places = np.repeat(np.arange(len(sizes)), columns.shape[1])
    columns = columns.ravel()
    weights = sizes[places, columns]
    places, columns, weights = (one[weights > 0] for one in (places, columns, weights))
    is_own = place_of[columns] >= 0
    links = np.stack([places, place_of[columns]], axis=1)[is_own]
    return links, weights[is_own], np.stack([places, columns], axis=1)[~is_own], weights[~is_own]


def _steps(start: np.ndarray, stop: np.ndarray, count: int) -> np.ndarray:
    """From one place to another the shorter way round, -count/2..count/2 - 1."""
    return (stop - start + count // 2) % count - count // 2


def _spans(links: np.ndarray, count: int) -> np.ndarray:
    """How many links of neighbours span each gap (V,), that of place p being between p and p + 1."""
    spans = np.zeros(count, np.int64)
    steps = _steps(links[:, 0], links[:, 1], count)
    for (start, _), step in zip(links, steps, strict=True):
        if abs(step) <= NEAR:
            first = start + min(step, 0)
            spans[(first + np.arange(abs(step))) % count] += 1
    return spans
