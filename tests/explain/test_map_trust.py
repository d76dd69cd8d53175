"""Trustworthiness per image beside scikit-learn's and beside a loop over ranks; candidates; the links of one image."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from vitviz.errors import Problem
from vitviz.explain import map_trust
from vitviz.explain.film_strip import film_of
from vitviz.explain.map_trust import links_of, measure_trust, trust_of_round
from vitviz.runs.folder import Run, shipped_root

DIGITS = Run(shipped_root() / "digits")


def _places(num: int = 60, dim: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    high = np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float32)
    return high, high[:, :2] + 0.3 * np.random.default_rng(seed + 1).normal(size=(num, 2)).astype(np.float32)


def _ranks(places: np.ndarray) -> np.ndarray:
    distances = np.linalg.norm(places[:, None] - places[None], axis=2).astype(np.float64)
    np.fill_diagonal(distances, -1)
    return distances.argsort(axis=1).argsort(axis=1)


def _by_hand(high: np.ndarray, low: np.ndarray, k: int) -> np.ndarray:
    true, drawn, num = _ranks(high), _ranks(low), len(high)
    values = []
    for i in range(num):
        near = [j for j in range(num) if 0 < drawn[i, j] <= k]
        off = sum(true[i, j] - k for j in near if true[i, j] > k)
        values.append(1 - 2 / (k * (2 * num - 3 * k - 1)) * off)
    return np.array(values)


def test_the_mean_of_trust_is_that_of_scikit_learn():
    high, low = _places()
    found = measure_trust(high, low)
    assert found.trust.mean() == pytest.approx(trustworthiness(high, low, n_neighbors=15), abs=1e-6)
    assert found.continuity.mean() == pytest.approx(trustworthiness(low, high, n_neighbors=15), abs=1e-6)


def test_trust_and_continuity_of_each_image_are_those_of_a_loop():
    high, low = _places(seed=3)
    found = measure_trust(high, low)
    assert found.trust == pytest.approx(_by_hand(high, low, 15), abs=1e-6)
    assert found.continuity == pytest.approx(_by_hand(low, high, 15), abs=1e-6)


def test_a_round_of_a_run_agrees_with_scikit_learn():
    found, projection = trust_of_round(DIGITS, 2), DIGITS.projection()
    expected = trustworthiness(np.asarray(DIGITS.round(2).embeddings, float), projection.points[2], n_neighbors=15)
    assert found.trust.mean() == pytest.approx(expected, abs=1e-4)
    assert (found.num_neighbors, found.num_candidates) == (15, 1797)


def test_a_faithful_map_comes_to_one_and_a_random_one_to_a_half():
    places = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    faithful = measure_trust(places, 3 * places + 5)
    assert faithful.trust.min() == faithful.continuity.min() == 1
    assert measure_trust(places, places[::-1].copy()).trust.mean() == pytest.approx(0.5, abs=0.06)


def test_among_few_images_fewer_neighbours_are_compared():
    high, low = _places(num=12)
    found = measure_trust(high, low)
    assert found.num_neighbors == 5
    assert found.trust == pytest.approx(_by_hand(high, low, 5), abs=1e-6)
    with pytest.raises(Problem, match="9 images"):
        measure_trust(high[:9], low[:9])


def test_of_many_images_drawn_candidates_come_near_the_exact_answer(monkeypatch):
    exact = trust_of_round(DIGITS, 0)
    monkeypatch.setattr(map_trust, "EXACT_LIMIT", 1000)
    monkeypatch.setattr(map_trust, "NUM_CANDIDATES", 900)
    drawn = trust_of_round(DIGITS, 0)
    assert drawn.num_candidates == 900
    assert drawn.trust.mean() == pytest.approx(exact.trust.mean(), abs=0.01)
    assert np.corrcoef(drawn.trust, exact.trust)[0, 1] > 0.7
    assert trust_of_round(DIGITS, 0).trust.tolist() == drawn.trust.tolist()


def test_a_round_without_a_map_is_refused(make_run):
    with pytest.raises(Problem, match="no map of round 7"):
        trust_of_round(DIGITS, 7)
    with pytest.raises(Problem, match="no map of round 0"):
        trust_of_round(make_run(), 0)


def test_links_are_the_true_neighbours_and_those_of_the_map_alone(make_run):
    true, drawn = links_of(DIGITS, film_of(DIGITS, 100))[4]
    high = np.asarray(DIGITS.round(4).embeddings, np.float64)
    distances = np.linalg.norm(high - high[100], axis=1)
    assert true == np.argsort(distances)[1:7].tolist()
    low = np.linalg.norm(DIGITS.projection().points[4] - DIGITS.projection().points[4][100], axis=1)
    assert drawn == [row for row in np.argsort(low)[1:7].tolist() if row not in true]
    assert links_of(make_run(), film_of(make_run("b"), 0)) == []
