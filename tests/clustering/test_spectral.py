"""Spectral clustering: planted blocks, graphs in pieces, images without neighbours, and what the eigenvalues say."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.csgraph import laplacian

from vitviz.clustering.affinity import AffinitySettings, make_affinity
from vitviz.clustering.metrics import clustering_accuracy
from vitviz.clustering.self_expression import SOLVERS, express
from vitviz.clustering.spectral import cluster_affinity, normalize_affinity, spectral_order
from vitviz.errors import Problem

WAYS = {
    "dense": lambda affinity, k, **kw: cluster_affinity(affinity, k, **kw),
    "sparse": lambda affinity, k, **kw: cluster_affinity(sparse.csr_array(affinity), k, dense_limit=0, **kw),
}


@pytest.fixture(params=WAYS)
def cluster(request):
    return WAYS[request.param]


def blocks(*, num_blocks: int = 6, size: int = 15, leak: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An affinity (N, N) of random blocks, ``leak`` times as strong between them, and the block of each row, shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(num_blocks * size) % num_blocks)
    values = rng.random((len(labels),) * 2)
    values = np.where(labels[:, None] == labels, values, leak * values)
    affinity = values + values.T
    np.fill_diagonal(affinity, 0)
    return affinity, labels


@pytest.mark.parametrize("leak", [0.0, 1e-9, 1e-4, 0.02])
@pytest.mark.parametrize("seed", range(3))
def test_planted_blocks_are_found_whole_even_when_nothing_joins_them(cluster, leak, seed):
    affinity, labels = blocks(leak=leak, seed=seed)
    found = cluster(affinity, 6, seed=seed)
    assert clustering_accuracy(labels, found.labels) == 1
    assert found.labels.dtype == np.int32 and set(found.labels) == set(range(6))


@pytest.mark.parametrize("seed", range(3))
def test_many_equal_pieces_are_told_apart(cluster, seed):
    ring = np.roll(np.eye(20), 1, axis=0)
    affinity, labels = np.kron(np.eye(40), ring + ring.T), np.arange(800) // 20
    assert clustering_accuracy(labels, cluster(affinity, 40, seed=seed).labels) == 1


def test_the_eigenvalues_are_those_of_the_laplacian_with_a_zero_for_every_piece(cluster):
    affinity, _ = blocks()
    found = cluster(affinity, 6, seed=0)
    expected = np.linalg.eigvalsh(laplacian(affinity, normed=True))[:16]
    assert np.allclose(found.eigenvalues, expected, atol=1e-9)
    assert np.abs(found.eigenvalues[:6]).max() < 1e-9 < found.eigenvalues[6]
    assert found.eigengap == pytest.approx(expected[6] - expected[5], abs=1e-9)


def test_the_embedding_has_a_row_of_length_one_for_every_image(cluster):
    affinity, labels = blocks()
    embedding = cluster(affinity, 6, seed=0).embedding
    assert embedding.shape == (90, 6)
    assert np.allclose(np.linalg.norm(embedding, axis=1), 1)
    assert np.allclose(embedding @ embedding.T, labels[:, None] == labels, atol=1e-6)


def test_dense_and_sparse_give_the_same_clusters():
    affinity, _ = blocks(leak=0.05)
    first, second = (way(affinity, 6, seed=0) for way in WAYS.values())
    assert np.allclose(first.eigenvalues, second.eigenvalues, atol=1e-9)
    assert clustering_accuracy(first.labels, second.labels) == 1


def test_the_same_seed_gives_the_same_labels(cluster):
    affinity, _ = blocks(leak=0.6)
    first, second = (cluster(affinity, 6, seed=4) for _ in range(2))
    assert np.array_equal(first.labels, second.labels) and np.array_equal(first.embedding, second.embedding)


def test_images_without_neighbours_take_no_cluster_of_their_own(cluster):
    affinity, labels = blocks()
    lonely = [3, 40, 41]
    affinity[lonely], affinity[:, lonely] = 0, 0
    affinity[3, 3] = 5  # itself is no neighbour
    found = cluster(affinity, 6, seed=0)
    joined = np.delete(np.arange(90), lonely)
    assert clustering_accuracy(labels[joined], found.labels[joined]) == 1
    assert not found.embedding[lonely].any()


def test_tiny_affinities_count_as_much_as_large_ones(cluster):
    affinity, labels = blocks(leak=0.02)
    affinity[0], affinity[:, 0] = affinity[0] * 1e-30, affinity[:, 0] * 1e-30
    for scale in (1e-40, 1.0):
        assert clustering_accuracy(labels, cluster(scale * affinity, 6, seed=0).labels) == 1


def test_what_an_image_shares_with_itself_does_not_matter(cluster):
    affinity, _ = blocks(leak=0.05)
    plain, heavy = cluster(affinity, 6, seed=0), cluster(affinity + 9 * np.eye(90), 6, seed=0)
    assert np.allclose(plain.eigenvalues, heavy.eigenvalues, atol=1e-9)
    assert clustering_accuracy(plain.labels, heavy.labels) == 1


@pytest.mark.parametrize("num_clusters", [1, 2, 4])
def test_no_affinity_at_all_and_few_images_raise_nothing(cluster, num_clusters):
    found = cluster(np.zeros((4, 4)), num_clusters, seed=0)
    assert found.labels.shape == (4,) and found.labels.min() >= 0 and found.labels.max() < num_clusters
    assert found.eigengap == 0


def test_the_affinity_stays_as_it_was(cluster):
    affinity, _ = blocks(leak=0.1)
    kept = affinity.copy()
    cluster(affinity, 6, seed=0)
    normalize_affinity(affinity)
    assert np.array_equal(affinity, kept)


@pytest.mark.parametrize("affinity", ["simple", "ji"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_from_points_in_planted_subspaces_to_their_labels(solver, affinity):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    bases = torch.randn(3, 3, 60, generator=generator)
    points = torch.rand(60, 1, 3, generator=generator) + 0.2
    coefficients = express((points @ bases[labels]).squeeze(1), solver)
    coefficients = coefficients if sparse.issparse(coefficients) else coefficients.numpy()
    # 4 % of a column of so few images would be a single one
    settings = AffinitySettings(threshold=0.5 if solver != "neighbors" else 1.0, dim=3)
    found = cluster_affinity(make_affinity(coefficients, affinity, 3, settings), 3, seed=0)
    assert clustering_accuracy(labels.numpy(), found.labels) == 1


@pytest.mark.parametrize(
    ("affinity", "num_clusters", "rule"),
    [
        (np.zeros((2, 3)), 2, r"\(2, 3\) must be square"),
        (np.ones((3, 3)), 4, r"num_clusters=4 must be 1 to the number of images \(3\)"),
        (np.ones((3, 3)), 0, "num_clusters=0"),
        (np.full((3, 3), np.inf), 2, "not finite"),
        (-np.ones((3, 3)), 2, "negative"),
        (np.triu(np.ones((3, 3))), 2, "not symmetric"),
    ],
)
def test_what_is_no_affinity_is_refused(affinity, num_clusters, rule):
    with pytest.raises(Problem, match=rule):
        cluster_affinity(affinity, num_clusters, seed=0)


def test_the_order_keeps_labels_together_and_follows_a_path_within_one():
    angles = np.random.default_rng(0).permutation(np.linspace(0, 1, 30))
    arc = np.stack([np.cos(angles), np.sin(angles), np.zeros(30)], axis=1)
    embedding = np.concatenate([arc, np.tile([0.0, 0.0, 1.0], (5, 1))])
    labels = np.repeat([1, 0], [30, 5])
    order = spectral_order(labels, embedding)
    assert sorted(order) == list(range(35)) and (np.diff(labels[order]) >= 0).all()
    along = angles[order[5:]]
    assert (np.diff(along) > 0).all() or (np.diff(along) < 0).all()
