"""Spectral clustering as a method: its graph, its rounds beside scikit-learn, resuming, and new images."""

import numpy as np
import pytest
from sklearn.cluster import SpectralClustering

from vitviz.clustering.metrics import nmi
from vitviz.errors import Problem
from vitviz.runs.folder import Run
from vitviz.training.drive import drive
from vitviz.training.setup import load_images
from vitviz.training.spectral import SpectralConfig, embed_with, neighbor_graph

pytestmark = pytest.mark.usefixtures("same_signals")


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.abs(rng.normal(size=(60, 12)))


def test_the_graph_is_symmetric_and_counts_who_holds_whom_for_near(points):
    graph = neighbor_graph(points, 4).toarray()
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    nearness = unit @ unit.T - 2 * np.eye(len(points))
    is_near = np.zeros_like(graph)
    np.put_along_axis(is_near, np.argsort(-nearness, axis=1)[:, :4], 1, axis=1)
    assert np.array_equal(graph, (is_near + is_near.T) / 2)


def test_a_round_finds_what_scikit_learn_finds_on_the_same_graph(train):
    run = train("spectral", "spectral")
    pixels = load_images(run)[..., 0].reshape(200, -1) / 255
    for index, number in enumerate((5, 10, 20)):
        rival = SpectralClustering(10, affinity="precomputed", random_state=0, n_init=20)
        expected = rival.fit_predict(neighbor_graph(pixels, number).toarray())
        assert nmi(expected, run.round(index).labels) > 0.85


def test_a_run_has_a_round_a_neighbourhood_with_scores_and_what_the_cut_costs(train):
    run = train("spectral", "spectral")
    records = run.round_metrics()
    assert [record["neighbors"] for record in records] == [5, 10, 20]
    assert all(0 <= record["loss"] <= 10 and 0 <= record["held_out_nmi"] <= 1 for record in records)
    assert 0 < records[0]["raw_kmeans_nmi"] < 1
    assert run.round(2).embeddings.shape == (200, 10) and run.status().state == "finished"


def test_a_stopped_run_goes_on_to_the_same_rounds(train_and_stop):
    whole, stopped = train_and_stop("spectral")
    assert len(stopped) == 3
    for run in stopped:
        drive(Run(run.path))
        for index in range(3):
            assert np.array_equal(Run(run.path).round(index).labels, whole.round(index).labels)


def test_an_image_of_the_run_is_embedded_near_itself(train):
    run = train("spectral", "spectral")
    found = embed_with(run, 1, load_images(run)[:40])
    known = run.round(1).embeddings[:40].astype(np.float32)
    assert found.shape == (40, 10)
    assert np.median(np.linalg.norm(found - known, axis=1)) < 0.5


@pytest.mark.parametrize("changes", [{"first_neighbors": 0}, {"max_rounds": 21}, {"num_clusters": 0}])
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(Problem, match="must be at"):
        SpectralConfig(**changes)


def test_more_neighbours_than_images_are_refused_in_words(start):
    run = start("many", "spectral", max_rounds=6)
    with pytest.raises(Problem, match="200 images are too few: round 6 would join each to 320 others"):
        drive(run)
