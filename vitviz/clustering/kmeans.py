"""Lloyd's k-means on the device that holds the embeddings.

Differs from scikit-learn: an empty cluster is re-seeded with the point of the largest cluster that lies farthest from its
center, and counted.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.ranks import SOLO, Ranks


@dataclass(frozen=True)
class KMeansResult:
    """labels (N,) int64; centers (K, D); inertia: the sum of squared distances to the own center; how it was reached."""

    labels: Tensor
    centers: Tensor
    inertia: float
    num_iterations: int
    num_reseeded: int


def kmeans(
    points: Tensor,
    num_clusters: int,
    *,
    generator: torch.Generator | None = None,
    centers: Tensor | None = None,
    num_restarts: int = 10,
    max_iterations: int = 300,
    tolerance: float = 1e-4,
    ranks: Ranks = SOLO,
) -> KMeansResult:
    """The best of ``num_restarts`` runs from k-means++ starts, or the one from ``centers`` (K, D).

    Args:
        points: (N, D) floating; computed in float32 at least.
        generator: on the CPU; draws the starts. Needed unless ``centers`` are given.
        tolerance: stop when the centers moved by less than this times the mean variance of a column (as scikit-learn).
        ranks: the processes that have the same points and share the work; each comes to the same result.

    Raises: Problem, a ValueError, when there are fewer points than clusters, no cluster, or points that are not finite.
    """
    points = points.float() if points.dtype in (torch.float16, torch.bfloat16) else points
    check_points(points, num_clusters)
    # far from the origin the products below would lose the digits that tell centers apart
    middle = points.mean(dim=0)
    points = points - middle
    threshold = tolerance * _mean_variance(points)
    if centers is not None:
        starts = [centers.to(points) - middle]
    else:
        starts = (plus_plus_centers(points, num_clusters, generator) for _ in range(num_restarts))
    results = (_lloyd(points, ranks.first_of(start), max_iterations, threshold, ranks) for start in starts)
    best = min(results, key=lambda result: result.inertia)
    return dataclasses.replace(best, centers=best.centers + middle)


def plus_plus_centers(points: Tensor, num_clusters: int, generator: torch.Generator | None) -> Tensor:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007): of a few candidates drawn by D^2, keep the best. Returns (K, D)."""
    num_candidates = 2 + int(torch.tensor(float(num_clusters)).log().item())
    norms = points.square().sum(dim=1)
    first = _draw(torch.ones(len(points)), 1, generator).to(points.device)
    chosen = [first]
    nearest = _squared_distances(points, norms, points[first]).squeeze(1)
    for _ in range(num_clusters - 1):
        # drawn on the CPU: a cumulative sum is not added in one order on a GPU, and N numbers a center are little to move
        candidates = _draw(nearest.cpu(), num_candidates, generator).to(points.device)
        distances = torch.minimum(_squared_distances(points, norms, points[candidates]), nearest[:, None])
        best = distances.sum(dim=0).argmin()
        nearest = distances[:, best]
        chosen.append(candidates[best][None])
    return points[torch.cat(chosen)].clone()


def assign(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Labels (N,) of the nearest centers, and the distances (N,) to it and to the runner-up (inf when K = 1)."""
    points = points.float() if points.dtype in (torch.float16, torch.bfloat16) else points
    middle = centers.to(points).mean(dim=0)
    points, centers = points - middle, centers.to(points) - middle
    distances = _squared_distances(points, points.square().sum(dim=1), centers).clamp_(min=0).sqrt_()
    nearest, labels = distances.topk(min(2, len(centers)), dim=1, largest=False)
    runner_up = nearest[:, 1] if len(centers) > 1 else torch.full_like(nearest[:, 0], float("inf"))
    return labels[:, 0], nearest[:, 0], runner_up


def sums_of(points: Tensor, labels: Tensor, num_clusters: int) -> Tensor:
    """The sum (K, D) of the points (N, D) of every label (N,), added in one order on any device."""
    sums = points.new_zeros(num_clusters, points.shape[1])
    if points.device.type == "cpu":
        return sums.index_add_(0, labels, points)
    # index_add_ adds in another order every time on a GPU; a product with 0/1 rows does not
    step = max(2**22 // num_clusters, 1024)
    for part, ids in zip(points.split(step), labels.split(step), strict=True):
        members = points.new_zeros(len(part), num_clusters).scatter_(1, ids[:, None], 1.0)
        sums.addmm_(members.T, part)
    return sums


def check_points(points: Tensor, num_clusters: int) -> None:
    """Raises Problem unless ``points`` (N, D) are finite and at least as many as the clusters, which are at least one."""
    check_counts(len(points), num_clusters)
    if not torch.isfinite(points.sum(dtype=torch.float64)):
        raise Problem("the embeddings hold values that are not finite")


def check_counts(num_points: int, num_clusters: int) -> None:
    """Raises Problem unless there are at least as many points as clusters, and at least one cluster."""
    if num_clusters < 1:
        raise Problem(f"num_clusters={num_clusters} must be at least 1")
    if num_points < num_clusters:
        raise Problem(f"num_clusters={num_clusters} must be at most the number of points ({num_points})")


def _lloyd(points: Tensor, centers: Tensor, max_iterations: int, threshold: float, ranks: Ranks) -> KMeansResult:
    own = points[ranks.part(len(points))]
    half_norms = centers.new_empty(len(centers))
    labels = torch.full((len(own),), -1, device=points.device)
    num_reseeded, iteration = 0, 0
    for iteration in range(1, max_iterations + 1):
        previous, labels = labels, _nearest(own, centers, half_norms)
        counts, sums, is_settled = _totals(own, labels, previous, len(centers), ranks)
        moved_centers, reseeded = _means(points, labels, centers, counts, sums, ranks)
        num_reseeded += reseeded
        shift = (moved_centers - centers).square().sum().item()
        centers = moved_centers
        if is_settled:
            break
        if shift <= threshold or iteration == max_iterations:
            labels = _nearest(own, centers, half_norms)
            break
    inertia = ranks.add(F.mse_loss(own, centers[labels], reduction="sum")).item()
    return KMeansResult(ranks.gather(labels, len(points)), centers, inertia, iteration, num_reseeded)


def _totals(
    points: Tensor, labels: Tensor, previous: Tensor, num_clusters: int, ranks: Ranks
) -> tuple[Tensor, Tensor, bool]:
    """Counts (K,) and sums (K, D) over the points of all ranks, and whether no label changed, by one all-reduce."""
    counts, sums = torch.bincount(labels, minlength=num_clusters), sums_of(points, labels, num_clusters)
    is_settled = torch.equal(labels, previous)
    if ranks.size == 1:
        return counts, sums, is_settled
    changed = counts.new_full((1,), not is_settled)
    totals = ranks.add(torch.cat([sums.flatten().double(), counts.double(), changed.double()]))
    sums, counts = totals[: sums.numel()].view_as(sums).to(sums), totals[sums.numel() : -1].to(counts)
    return counts, sums, totals[-1].item() == 0


def _nearest(points: Tensor, centers: Tensor, half_norms: Tensor) -> Tensor:
    # argmin |x - c|^2 = argmax x.c - |c|^2 / 2: one matrix product, no square of the points
    torch.sum(centers.square(), dim=1, out=half_norms).mul_(-0.5)
    return torch.addmm(half_norms, points, centers.T).argmax(dim=1)


def _means(
    points: Tensor, labels: Tensor, centers: Tensor, counts: Tensor, sums: Tensor, ranks: Ranks
) -> tuple[Tensor, int]:
    means = torch.where((counts > 0)[:, None], sums / counts.clamp(min=1)[:, None], centers)
    empty = (counts == 0).nonzero().flatten()
    if not len(empty):
        return means, 0
    labels = ranks.gather(labels, len(points))
    largest = (labels == counts.argmax()).nonzero().flatten()
    num_reseeded = min(len(empty), len(largest))
    far = (points[largest] - means[counts.argmax()]).square().sum(dim=1)
    means[empty[:num_reseeded]] = points[largest[far.topk(num_reseeded).indices]]
    return means, num_reseeded


def _mean_variance(points: Tensor) -> float:
    # what scikit-learn measures its tolerance by; Tensor.var over rows is ten times slower on a CPU
    ones = points.new_ones(len(points)) / len(points)
    return F.mse_loss(points, (ones @ points).expand_as(points)).item()


def _squared_distances(points: Tensor, norms: Tensor, centers: Tensor) -> Tensor:
    return torch.addmm(centers.square().sum(dim=1), points, centers.T, alpha=-2).add_(norms[:, None])


def _draw(weights: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    weights = weights.double().clamp(min=0)
    cumulative = weights.cumsum(dim=0)
    if cumulative[-1] <= 0:
        cumulative = torch.ones_like(weights).cumsum(dim=0)
    drawn = torch.rand(number, generator=generator, dtype=torch.float64) * cumulative[-1]
    return torch.searchsorted(cumulative, drawn).clamp(max=len(weights) - 1)
