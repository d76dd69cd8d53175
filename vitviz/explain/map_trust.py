"""How far to believe a map: per image, how many of its neighbours there are true ones, and how many true ones it has kept.

======================  ==========================================================================================
trustworthiness of i    1 - 2 / (k (2 M - 3 k + 1)) * sum over U(i) of (r(i, j) - k)
continuity of i         1 - 2 / (k (2 M - 3 k + 1)) * sum over V(i) of (s(i, j) - k)
======================  ==========================================================================================

U(i): the k nearest on the map that are not among the k nearest in the embedding; V(i) the other way round; r and s: the rank of j
as seen from i in the embedding and on the map, the nearest 1; M = N - 1 others. 1 is a faithful map, 0 the worst there is, and a
random one comes to about 0.5. The means over all images are the paper's M1 and M2.

Source: Venna & Kaski 2001, "Neighborhood preservation in nonlinear projection methods", equations 1 and 2, before their means.
"""

from dataclasses import dataclass

import numpy as np

from vitviz.clustering.projection import LEAST_IMAGES
from vitviz.errors import Problem
from vitviz.explain.film_strip import Film, nearest_rows
from vitviz.runs.compact import kept_embeddings
from vitviz.runs.folder import Run

NUM_NEIGHBORS = 15
EXACT_LIMIT = 5_000
"""Up to so many images every other image counts."""
NUM_CANDIDATES = 2_000
"""Above, ranks and neighbours are those among so many images drawn once."""
_CHUNK = 400


@dataclass(frozen=True)
class MapTrust:
    """Of every image, trustworthiness and continuity (N,) float32 in 0..1; k; how many images could be a neighbour."""

    trust: np.ndarray
    continuity: np.ndarray
    num_neighbors: int
    num_candidates: int


def trust_of_round(run: Run, index: int) -> MapTrust:
    """What the map of a round keeps of its embedding.

    Raises: Problem when the run has no map, no such round or no embeddings, or too few images to rank.
    """
    projection = run.projection()
    if projection is None or index >= min(run.num_rounds(), len(projection.points)):
        raise Problem(f"run '{run.name}' has no map of round {index}", "", "it is made at the end of the run")
    return measure_trust(kept_embeddings(run, index), projection.points[index])


def measure_trust(embeddings: np.ndarray, points: np.ndarray) -> MapTrust:
    """Compare places (N, 2) with embeddings (N, D): exactly up to ``EXACT_LIMIT`` images, above it by drawn candidates.

    Raises: Problem for fewer than ten images.
    """
    if len(points) < LEAST_IMAGES:
        raise Problem(f"{len(points)} images", f"a map of fewer than {LEAST_IMAGES} has no neighbourhoods to compare")
    candidates = _candidates(len(points))
    num_neighbors = min(NUM_NEIGHBORS, (len(candidates) - 1) // 2)
    high, low = (_centred(places) for places in (embeddings, points))
    trust, continuity = np.empty(len(points), np.float32), np.empty(len(points), np.float32)
    for start in range(0, len(points), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(points)))
        others = len(candidates) - np.isin(rows, candidates)
        true, drawn = (_distances(places, rows, candidates) for places in (high, low))
        trust[rows] = _kept(true, drawn, num_neighbors, others)
        continuity[rows] = _kept(drawn, true, num_neighbors, others)
    return MapTrust(trust, continuity, num_neighbors, len(candidates))


def links_of(run: Run, film: Film) -> list[tuple[list[int], list[int]]]:
    """Of the image of a film, at every round with a map: its true nearest rows, and those that are near on the map alone.

    Both are empty at rounds that the film leaves out.
    """
    projection = run.projection()
    num_rounds = 0 if projection is None else min(run.num_rounds(), len(projection.points))
    links: list[tuple[list[int], list[int]]] = [([], []) for _ in range(num_rounds)]
    for index, near in zip(film.rounds, film.neighbors, strict=True):
        if index < num_rounds:
            drawn = nearest_rows(projection.points[index], film.sample, len(near)).tolist()
            links[index] = (near.tolist(), [row for row in drawn if row not in near])
    return links


def _candidates(num: int) -> np.ndarray:
    if num <= EXACT_LIMIT:
        return np.arange(num)
    return np.sort(np.random.default_rng(0).choice(num, NUM_CANDIDATES, replace=False))


def _centred(places: np.ndarray) -> np.ndarray:
    floats = np.asarray(places, np.float32)
    return floats - floats.mean(axis=0)


def _distances(places: np.ndarray, rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Squared distances (m, C) from rows to candidates, infinite to themselves."""
    asked, known = places[rows], places[candidates]
    squared = (asked**2).sum(axis=1)[:, None] - 2 * asked @ known.T + (known**2).sum(axis=1)
    squared[rows[:, None] == candidates] = np.inf
    return squared


def _kept(true: np.ndarray, drawn: np.ndarray, num: int, others: np.ndarray) -> np.ndarray:
    """From squared distances (m, C): 1 less how far off, of the worst, the ``num`` nearest by ``drawn`` lie by ``true``."""
    near = np.argpartition(drawn, num - 1, axis=1)[:, :num]
    ordered, asked = np.sort(true, axis=1), np.take_along_axis(true, near, axis=1)
    ranks = 1 + np.stack([np.searchsorted(row, values) for row, values in zip(ordered, asked, strict=True)])
    return 1 - 2 * np.maximum(ranks - num, 0).sum(axis=1) / (num * (2 * others - 3 * num + 1))
