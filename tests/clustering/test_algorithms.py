"""Every clustering algorithm behind one door: ids of all images from a fit on some of them."""

from typing import get_args

import numpy as np
import pytest
import torch

from vitviz.clustering.algorithms import ALGORITHMS, cluster
from vitviz.clustering.metrics import clustering_accuracy
from vitviz.clustering.projection import ENGINES
from vitviz.errors import Problem
from vitviz.training.augment import AUGMENTATIONS
from vitviz.training.deep_clustering_config import Algorithm, Augmentation, ProjectionEngine

# blobs far apart are not connected in the neighbour graph of spectral clustering; that is the point of them
pytestmark = pytest.mark.filterwarnings("ignore:Graph is not fully connected:UserWarning")

PLACES = 8 * torch.eye(4, 6)


def planted(seed: int = 0) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Embeddings (160, 6) of four blobs, the blob of each, and which are fitted: all but every fourth."""
    classes = np.arange(160) // 4 % 4
    noise = torch.randn(160, 6, generator=torch.Generator().manual_seed(seed))
    return PLACES[classes] + 0.3 * noise, classes, np.arange(160) % 4 != 0


@pytest.fixture(params=ALGORITHMS)
def algorithm(request) -> str:
    return request.param


def test_planted_blobs_are_found_in_fitted_and_held_out_images(algorithm):
    embeddings, classes, fitted = planted()
    found = cluster(embeddings, fitted, algorithm, 4, seed=0, num_restarts=2)
    assert clustering_accuracy(classes, found.labels) == 1
    assert found.labels.dtype == np.int32 and found.centers.dtype == np.float32


def test_centers_are_the_means_of_the_fitted_images(algorithm):
    embeddings, _, fitted = planted()
    found = cluster(embeddings, fitted, algorithm, 4, seed=0, num_restarts=2)
    for label, center in enumerate(found.centers):
        assert np.allclose(center, embeddings[fitted & (found.labels == label)].mean(dim=0), atol=1e-5)


def test_distances_are_to_the_own_and_the_nearest_other_center(algorithm):
    embeddings, _, fitted = planted()
    embeddings = 0.05 * embeddings + 30  # tight clusters far from the origin
    found = cluster(embeddings, fitted, algorithm, 4, seed=0, num_restarts=2)
    exact = np.linalg.norm(embeddings.double().numpy()[:, None] - found.centers.astype(float), axis=2)
    own = exact[np.arange(160), found.labels]
    exact[np.arange(160), found.labels] = np.inf
    assert np.allclose(found.distances, own, atol=1e-5)
    assert np.allclose(found.runner_up_distances, exact.min(axis=1), atol=1e-3)


def test_the_id_of_a_held_out_image_depends_on_its_embedding_alone(algorithm):
    embeddings, _, fitted = planted()
    before = cluster(embeddings, fitted, algorithm, 4, seed=0, num_restarts=2)
    row = int(np.flatnonzero(~fitted)[3])
    others = embeddings.clone()
    others[~fitted] = 5 * torch.randn(int((~fitted).sum()), 6, generator=torch.Generator().manual_seed(9))
    others[row] = embeddings[row]
    after = cluster(others, fitted, algorithm, 4, seed=0, num_restarts=2)
    assert np.array_equal(after.labels[fitted], before.labels[fitted])
    assert after.labels[row] == before.labels[row]
    alone = np.append(np.flatnonzero(fitted), row)
    picked = cluster(embeddings[alone], fitted[alone], algorithm, 4, seed=0, num_restarts=2)
    assert picked.labels[-1] == before.labels[row]


def test_the_same_seed_gives_the_same_ids(algorithm):
    embeddings = torch.randn(120, 6, generator=torch.Generator().manual_seed(3))
    fitted = np.ones(120, bool)
    first, second = (cluster(embeddings, fitted, algorithm, 5, seed=7, num_restarts=2) for _ in range(2))
    assert np.array_equal(first.labels, second.labels)


def test_what_cannot_be_clustered_is_refused_in_words(algorithm):
    embeddings, _, fitted = planted()
    with pytest.raises(Problem, match=r"num_clusters=121 must be at most the number of points \(120\)"):
        cluster(embeddings, fitted, algorithm, 121, seed=0)
    embeddings[1, 0] = float("nan")
    with pytest.raises(Problem, match="not finite"):
        cluster(embeddings, fitted, algorithm, 4, seed=0)


def test_an_empty_cluster_draws_no_held_out_image(monkeypatch):
    embeddings = torch.cat([torch.full((6, 2), 3.0), torch.full((6, 2), 5.0), torch.zeros(1, 2)])
    monkeypatch.setitem(ALGORITHMS, "lopsided", lambda points, *rest: (points[:, 0] > 4).long() * 2)
    fitted = np.arange(13) < 12
    found = cluster(embeddings, fitted, "lopsided", 4, seed=0)
    assert found.labels.tolist() == [0] * 6 + [2] * 6 + [0]
    assert found.runner_up_distances[-1] == pytest.approx(50**0.5)


def test_an_image_whose_cluster_is_not_the_nearest_has_the_nearest_as_runner_up(monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "odd", lambda points, *rest: torch.tensor([0, 0, 0, 1, 1, 1, 0, 2]))
    embeddings = torch.tensor([[0.0], [0], [0], [9], [9], [9], [8], [100]])
    found = cluster(embeddings, np.ones(8, bool), "odd", 3, seed=0)
    assert found.labels[6] == 0 and found.distances[6] == pytest.approx(6)
    assert found.runner_up_distances[6] == pytest.approx(1)
    assert found.runner_up_distances[0] == pytest.approx(9)


def test_points_in_their_own_center_keep_the_next_center_as_runner_up():
    embeddings = torch.tensor([[7.0, 7.0], [7.0, 7.0], [7.1, 7.0], [7.1, 7.0]])
    found = cluster(embeddings, np.ones(4, bool), "kmeans", 2, seed=0)
    assert found.distances == pytest.approx(np.zeros(4), abs=1e-6)
    assert found.runner_up_distances == pytest.approx(np.full(4, 0.1), rel=1e-2)


@pytest.mark.parametrize(
    ("literal", "names"),
    [
        (Algorithm, list(ALGORITHMS)),
        (Augmentation, list(AUGMENTATIONS)),
        (ProjectionEngine, ["auto", *ENGINES, "pca", "none"]),
    ],
    ids=["algorithms", "augmentations", "engines"],
)
def test_the_choices_of_a_setting_are_those_there_are(literal, names):
    assert sorted(get_args(literal)) == sorted(names)
