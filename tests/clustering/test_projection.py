"""Maps over rounds: shapes, PCA, turning one map onto another, and placing images by their neighbours."""

import threading

import numpy as np
import pytest
import torch

from vitviz.clustering.projection import ENGINES, pca_maps, place_by_neighbors, procrustes, project_rounds


def rounds(num_rounds: int = 3, num_images: int = 40, dim: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(num_images, dim)) * np.arange(dim, 0, -1)
    return [(first + 0.1 * index * rng.normal(size=first.shape)).astype(np.float16) for index in range(num_rounds)]


def rotation(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize(("num_images", "dim"), [(40, 6), (40, 1), (3, 6), (1, 4), (2, 2)])
def test_pca_gives_a_finite_map_a_round(num_images, dim):
    points = pca_maps(rounds(3, num_images, dim))
    assert points.shape == (3, num_images, 2) and points.dtype == np.float32
    assert np.isfinite(points).all()


def test_pca_is_that_of_the_last_round_seen_in_every_round():
    embeddings = [array.astype(np.float64) for array in rounds()]
    points = pca_maps(embeddings)
    _, directions = np.linalg.eigh(np.cov(embeddings[-1].T))
    plane = directions[:, [-1, -2]]
    for made, array in zip(points, embeddings, strict=True):
        expected = (array - embeddings[-1].mean(axis=0)) @ plane
        assert np.allclose(np.abs(made), np.abs(expected), atol=1e-3)
    assert points[-1].var(axis=0)[0] >= points[-1].var(axis=0)[1]


@pytest.mark.parametrize("mirror", [1, -1])
def test_procrustes_undoes_a_turn_a_shift_and_a_mirroring(mirror):
    points = np.random.default_rng(0).normal(size=(30, 2)) * (3, 1)
    moved = (points * (1, mirror)) @ rotation(130) + (5, -2)
    assert np.allclose(procrustes(moved, points), points, atol=1e-9)


def test_procrustes_never_stretches():
    rng = np.random.default_rng(0)
    points, reference = rng.normal(size=(30, 2)), 7 * rng.normal(size=(30, 2))
    turned = procrustes(points, reference)
    lengths = [np.linalg.norm(array - array[0], axis=1) for array in (points, turned)]
    assert np.allclose(*lengths, atol=1e-9)
    assert np.allclose(turned.mean(axis=0), reference.mean(axis=0))


def test_a_known_image_is_placed_where_it_is():
    known = rounds(1)[0]
    points = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)
    assert np.allclose(place_by_neighbors(known, points, known[:7]), points[:7], atol=1e-5)


def test_a_new_image_is_placed_among_its_neighbours_nearer_to_the_nearer():
    known, points = np.array([[0.0], [1.0], [100.0]]), np.array([[0.0, 0.0], [1.0, 1.0], [50.0, 50.0]])
    (place,) = place_by_neighbors(known, points, np.array([[0.25]]), num_neighbors=2)
    assert place == pytest.approx([0.25, 0.25])
    assert place_by_neighbors(known, points, np.zeros((1, 1)), num_neighbors=9).shape == (1, 2)


@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_fewer_than_ten_images_are_placed_by_pca(engine):
    points, used, _ = project_rounds(rounds(2, 9), engine, seed=0)
    assert used == "pca" and points.shape == (2, 9, 2)


@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
def test_a_warm_started_umap_moves_little_from_round_to_round_and_repeats_itself():
    embeddings = rounds(2, 60)
    points, engine, settings = project_rounds(embeddings, "warm_umap", seed=0)
    assert engine == "warm_umap" and settings["fitted_on"] == 60
    assert points.shape == (2, 60, 2) and points.dtype == np.float32
    radius = np.linalg.norm(points[0] - points[0].mean(axis=0), axis=1).mean()
    assert np.linalg.norm(points[1] - points[0], axis=1).mean() < 0.5 * radius
    again, _, _ = project_rounds(embeddings, "warm_umap", seed=0)
    assert np.array_equal(points, again)


def test_images_beyond_the_sample_are_placed_by_their_neighbours(monkeypatch):
    monkeypatch.setattr("vitviz.clustering.projection.SAMPLE_LIMIT", 20)
    monkeypatch.setitem(ENGINES, "flat", lambda parts, seed: np.stack([part[:, :2] for part in parts]))
    embeddings = rounds(2, 40)
    points, _, settings = project_rounds(embeddings, "flat", seed=0)
    assert points.shape == (2, 40, 2) and settings["fitted_on"] == 20
    exact = (points == np.stack([array[:, :2].astype(np.float32) for array in embeddings])).all(axis=(0, 2))
    assert exact.sum() >= 20
    assert np.isfinite(points).all()


def test_a_fit_leaves_torch_with_as_many_threads_as_before(monkeypatch):
    def greedy(parts, seed):
        torch.set_num_threads(3)
        return np.stack([part[:, :2] for part in parts])

    monkeypatch.setitem(ENGINES, "greedy", greedy)
    before = torch.get_num_threads()
    project_rounds(rounds(2), "greedy", seed=0)
    assert torch.get_num_threads() == before


def test_one_fit_at_a_time_even_when_asked_twice_at_once(monkeypatch):
    running, most = [], []

    def slow(parts, seed):
        running.append(1)
        most.append(len(running))
        threading.Event().wait(0.05)
        running.pop()
        return np.stack([part[:, :2] for part in parts])

    monkeypatch.setitem(ENGINES, "slow", slow)
    threads = [threading.Thread(target=project_rounds, args=(rounds(2), "slow"), kwargs={"seed": 0}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
