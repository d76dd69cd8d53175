"""k-means against scikit-learn's from the same starts, and where clusters run empty or points coincide."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from vitviz.clustering.kmeans import assign, kmeans, plus_plus_centers
from vitviz.clustering.metrics import clustering_accuracy
from vitviz.errors import Problem


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(*, num_blobs: int, num_points: int = 40, dim: int = 8, spread: float = 0.3, seed: int = 0):
    """Points (num_blobs * num_points, dim) around far centers, and the blob of each."""
    places = 10 * torch.nn.functional.one_hot(torch.arange(num_blobs), max(dim, num_blobs))[:, :dim].float()
    labels = torch.arange(num_blobs).repeat_interleave(num_points)
    return places[labels] + spread * torch.randn(len(labels), dim, generator=seeded(seed)), labels


@pytest.mark.parametrize(
    ("num_points", "dim", "num_clusters"), [(2000, 32, 10), (500, 2, 7), (300, 48, 20), (50, 3, 1), (12, 3, 12)]
)
def test_from_the_same_centers_it_ends_where_scikit_learn_does(num_points, dim, num_clusters):
    points = torch.randn(num_points, dim, generator=seeded(dim)) * 3 + 1
    centers = points[:num_clusters].clone()
    ours = kmeans(points, num_clusters, centers=centers)
    theirs = KMeans(num_clusters, init=centers.numpy(), n_init=1, algorithm="lloyd").fit(points.numpy())
    assert np.array_equal(ours.labels.numpy(), theirs.labels_)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-5)
    assert np.allclose(ours.centers.numpy(), theirs.cluster_centers_, atol=1e-4)
    assert ours.num_reseeded == 0


def test_it_does_not_change_the_points_or_the_centers_it_is_given():
    points, _ = blobs(num_blobs=3)
    centers = points[:3].clone()
    before = points.clone()
    kmeans(points, 3, centers=centers)
    assert torch.equal(points, before) and torch.equal(centers, points[:3])


@pytest.mark.parametrize("seed", range(5))
def test_far_starts_find_planted_blobs(seed):
    points, labels = blobs(num_blobs=8, seed=seed)
    found = kmeans(points, 8, generator=seeded(seed))
    assert clustering_accuracy(labels.numpy(), found.labels.numpy()) == 1


@pytest.mark.parametrize("seed", range(5))
def test_starts_are_points_one_in_every_blob(seed):
    points, labels = blobs(num_blobs=6, spread=0.01, seed=seed)
    starts = plus_plus_centers(points, 6, seeded(seed))
    rows = torch.cdist(starts, points).argmin(dim=1)
    assert torch.equal(starts, points[rows])
    assert sorted(labels[rows].tolist()) == list(range(6))


def test_more_restarts_are_never_worse_and_the_first_is_among_them():
    points = torch.randn(300, 4, generator=seeded())
    one, ten = (kmeans(points, 12, generator=seeded(1), num_restarts=n).inertia for n in (1, 10))
    assert ten <= one


def test_the_same_seed_gives_the_same_ids():
    points = torch.randn(400, 6, generator=seeded())
    first, second = (kmeans(points, 9, generator=seeded(5)) for _ in range(2))
    assert torch.equal(first.labels, second.labels) and torch.equal(first.centers, second.centers)


def test_the_result_is_a_fixed_point():
    points = torch.randn(500, 5, generator=seeded()).double()
    found = kmeans(points, 6, generator=seeded(), tolerance=0)
    means = torch.stack([points[found.labels == label].mean(dim=0) for label in range(6)])
    assert torch.allclose(found.centers, means, atol=1e-12)
    assert torch.equal(torch.cdist(points, found.centers).argmin(dim=1), found.labels)
    assert found.inertia == pytest.approx((points - means[found.labels]).square().sum().item(), rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_it_is_blind_to_where_the_points_lie(offset):
    points, labels = blobs(num_blobs=5)
    found = kmeans(points + offset, 5, generator=seeded())
    assert clustering_accuracy(labels.numpy(), found.labels.numpy()) == 1
    assert torch.equal(assign(points + offset, found.centers)[0], found.labels)


def test_an_empty_cluster_is_seeded_again_with_the_farthest_point_of_the_largest_and_counted():
    points = torch.tensor([[0.0, 0], [0.1, 0], [0, 0.1], [5, 5], [20, 0], [20, 0.1]])
    centers = torch.tensor([[1.0, 1], [20, 0], [500, 500]])
    found = kmeans(points, 3, centers=centers)
    assert found.num_reseeded == 1
    assert found.labels.tolist() == [0, 0, 0, 2, 1, 1]
    assert found.centers[2].tolist() == pytest.approx([5, 5], abs=1e-5)


def test_more_empty_clusters_than_the_largest_has_points_do_no_harm():
    points = torch.tensor([[0.0, 0], [0, 0], [9, 0], [9, 0], [0, 9], [0, 9]])
    centers = torch.cat([points[[0, 2, 4]], torch.full((3, 2), 100.0)])
    found = kmeans(points, 6, centers=centers)
    assert found.inertia == pytest.approx(0, abs=1e-9)
    assert torch.isfinite(found.centers).all()


@pytest.mark.parametrize("num_clusters", [1, 2, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_points_that_coincide_give_finite_centers_and_no_inertia_once_each_has_one(num_clusters, seed):
    places = torch.tensor([[1.0, 2], [3, 4], [-5, 0]])
    points = places[torch.arange(20) % 3]
    found = kmeans(points, num_clusters, generator=seeded(seed))
    assert torch.isfinite(found.centers).all()
    assert found.labels.min() >= 0 and found.labels.max() < num_clusters
    if num_clusters >= 3:
        assert found.inertia == pytest.approx(0, abs=1e-9)


def test_as_many_clusters_as_points_leave_every_point_alone():
    points = torch.randn(15, 4, generator=seeded())
    found = kmeans(points, 15, generator=seeded())
    assert sorted(found.labels.tolist()) == list(range(15))
    assert found.inertia == pytest.approx(0, abs=1e-9)


def test_one_cluster_is_the_mean():
    points = torch.randn(40, 4, generator=seeded())
    found = kmeans(points, 1, generator=seeded())
    assert torch.allclose(found.centers[0], points.mean(dim=0), atol=1e-6)
    assert found.inertia == pytest.approx(points.var(dim=0, unbiased=False).sum().item() * 40, rel=1e-5)


@pytest.mark.parametrize(
    ("points", "num_clusters", "rule"),
    [
        (torch.zeros(3, 2), 4, r"num_clusters=4 must be at most the number of points \(3\)"),
        (torch.zeros(3, 2), 0, "num_clusters=0 must be at least 1"),
        (torch.zeros(0, 2), 1, "must be at most the number of points"),
        (torch.tensor([[0.0], [float("nan")]]), 1, "not finite"),
        (torch.tensor([[0.0], [float("inf")]]), 1, "not finite"),
    ],
)
def test_what_cannot_be_clustered_is_refused(points, num_clusters, rule):
    with pytest.raises(Problem, match=rule):
        kmeans(points, num_clusters, generator=seeded())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_points_are_computed_in_float32(dtype):
    points = torch.randn(200, 8, generator=seeded()).to(dtype)
    half, full = (kmeans(p, 5, generator=seeded()) for p in (points, points.float()))
    assert half.centers.dtype == torch.float32
    assert torch.equal(half.labels, full.labels)


def test_storing_embeddings_in_float16_keeps_the_ids():
    points, _ = blobs(num_blobs=10, num_points=200, dim=48, spread=3.0)
    found = kmeans(points, 10, generator=seeded())
    stored = points.half().float()
    again = kmeans(stored, 10, centers=found.centers)
    assert (assign(stored, found.centers)[0] == found.labels).float().mean() >= 0.999
    assert (again.labels == found.labels).float().mean() >= 0.999


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_assigning_tells_the_nearest_and_the_second_nearest_center(offset):
    points = torch.randn(50, 6, generator=seeded()) + offset
    centers = torch.randn(4, 6, generator=seeded(1)) + offset
    labels, nearest, runner_up = assign(points, centers)
    expected = torch.cdist(points.double(), centers.double()).sort(dim=1)
    assert torch.equal(labels, expected.indices[:, 0])
    assert torch.allclose(nearest.double(), expected.values[:, 0], atol=1e-3)
    assert torch.allclose(runner_up.double(), expected.values[:, 1], atol=1e-3)


def test_with_one_center_the_second_nearest_is_infinitely_far():
    _, _, runner_up = assign(torch.zeros(3, 2), torch.ones(1, 2))
    assert torch.isinf(runner_up).all()
