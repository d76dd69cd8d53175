"""Which queries of an image may share one prototype: six ways to group the tokens of every image and head.

Source: "Clustering CoaT", after the Adaptive Clustering Transformer (ACT, Zheng et al. 2020).

The locality hash, :func:`_hash_buckets`: floor((q a + b) / r), L times; queries of equal codes are one group.

Differs: r is given relative to the spread of the queries of that image and head, so that one number fits every block; the random
directions are drawn from ``seed`` in every call and are no part of a model (ACT's released code draws new ones each time).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.nn.query_prototypes import QueryGroups, make_groups, mean_of_groups

Method = Literal["e2lsh", "sign", "sign+lloyd", "kmeans", "blocks", "random"]
_SAME = 1e-5  # queries that differ by less than this, relative to their size, are one and the same
_GROWTH = 1.15  # of r between two attempts to stay inside a budget, at least
_ATTEMPTS = 40
_CHUNK = 2**22  # similarities of tokens and centers at a time


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How queries are grouped.

    method: ``e2lsh``: as many groups as the image asks for; ``sign``: 2^b by the signs of b centred projections, no sort;
        ``sign+lloyd``: then steps of k-means; ``kmeans``: from k-means++ starts, about the best that can be had; ``blocks``:
        rectangles of the grid and ``random``: chance, both blind to the content.
    r_rel: bucket width of ``e2lsh`` in standard deviations of a query's channel; more means fewer groups.
    num_hashes: L of ``e2lsh``. num_bits: b of ``sign``. num_clusters: of ``kmeans``, ``blocks`` and ``random``.
    num_iterations: k-means steps of ``sign+lloyd`` and ``kmeans``.
    max_clusters: at most so many groups per image and head; None is no bound. ``e2lsh`` widens its buckets until they fit.

    Raises: Problem, a ValueError, on an unknown method or a number out of range.
    """

    method: Method = "e2lsh"
    r_rel: float = 4.0
    num_hashes: int = 8
    num_bits: int = 6
    num_clusters: int = 64
    num_iterations: int = 2
    max_clusters: int | None = None
    seed: int = 0

    def __post_init__(self):
        if self.method not in METHODS:
            raise Problem(f"method={self.method!r} must be one of {', '.join(METHODS)}")
        if not 1e-6 <= self.r_rel <= 1e6:
            raise Problem(f"r_rel={self.r_rel} must be 1e-6 to 1e6")
        if not 1 <= self.num_bits <= 12:
            raise Problem(f"num_bits={self.num_bits} must be 1 to 12")
        for name in ("num_hashes", "num_clusters", "num_iterations"):
            if getattr(self, name) < 1:
                raise Problem(f"{name}={getattr(self, name)} must be at least 1")
        if self.max_clusters is not None and self.max_clusters < 1:
            raise Problem(f"max_clusters={self.max_clusters} must be at least 1")


@torch.no_grad()
def group_queries(queries: Tensor, grouping: Grouping, *, grid: tuple[int, int]) -> QueryGroups:
    """Group the queries (B, h, N, d) of patches, N = rows x columns of ``grid``, row by row; no CLS token among them.

    Every image and head by itself, in float32 or better whatever autocast says; no gradient. The same seed and queries give
    the same groups.

    Raises: Problem, a ValueError, when the queries do not fill the grid.
    """
    if queries.ndim != 4 or queries.shape[2] != grid[0] * grid[1] or 0 in queries.shape[2:]:
        raise Problem(f"queries of shape {tuple(queries.shape)} must be (B, h, N, d) with N = {grid[0]} x {grid[1]}")
    wide = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        found = METHODS[grouping.method](queries.flatten(0, 1).to(wide), grouping, grid)
    ids, order = (rows if rows is None else rows.unflatten(0, queries.shape[:2]) for rows in (found.ids, found.order))
    return make_groups(ids, found.num_slots, order)


@dataclass(frozen=True)
class _Found:
    """ids (R, N) of all images and heads, 0..num_slots - 1; order (R, N): tokens by id, where a sort gave it anyway."""

    ids: Tensor
    num_slots: int
    order: Tensor | None = None


def _hash_buckets(queries: Tensor, grouping: Grouping, grid: tuple[int, int]) -> _Found:
    """``e2lsh``, the ids dense in every row."""
    generator = torch.Generator().manual_seed(grouping.seed)
    projected = _project(_standardise(queries), grouping.num_hashes, generator)
    offsets = torch.rand(grouping.num_hashes, 1, generator=generator, dtype=torch.float64).to(queries)
    odd = 2 * torch.randint(-(2**62), 2**62, (grouping.num_hashes, 1), generator=generator).to(queries.device) + 1
    widths = torch.full_like(projected[:, :1, :1], grouping.r_rel)
    ids, order = _number((projected / widths).add_(offsets), odd)
    for attempt in range(_ATTEMPTS if grouping.max_clusters else 0):
        counts = 1 + ids.amax(dim=1)
        over = (counts > grouping.max_clusters).nonzero().flatten()
        if not len(over):
            break
        growth = (counts[over] / grouping.max_clusters).sqrt().clamp(min=_GROWTH)[:, None, None]
        # the last time into one bucket, so that the bound holds whatever the queries
        widths[over] *= torch.inf if attempt == _ATTEMPTS - 1 else growth
        ids[over], order[over] = _number((projected[over] / widths[over]).add_(offsets), odd)
    return _Found(ids, 1 + int(ids.max()) if len(ids) else 1, order)


def _number(values: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
    """Codes floor(values) (R, L, N) to ids (R, N), equal for equal codes, 0.. in every row, and the tokens by id (R, N)."""
    keys, order = (values.floor_().long() * odd).sum(dim=1).sort(dim=1)
    ranks = F.pad(keys[:, 1:] != keys[:, :-1], (1, 0)).cumsum(dim=1)
    return torch.empty_like(ranks).scatter_(1, order, ranks), order


def _sign_bits(queries: Tensor, grouping: Grouping, grid: tuple[int, int]) -> _Found:
    """``sign``: on which side of b planes through the mean a query lies, as a number of b bits."""
    return _side_of_planes(_standardise(queries), grouping)


def _side_of_planes(points: Tensor, grouping: Grouping) -> _Found:
    num_bits = min(grouping.num_bits, int(math.log2(grouping.max_clusters or 2**grouping.num_bits)))
    projected = _project(points, grouping.num_bits, torch.Generator().manual_seed(grouping.seed))[:, :num_bits]
    values = 2 ** torch.arange(num_bits, device=points.device, dtype=points.dtype)
    return _Found((values @ (projected > 0).to(points.dtype)).long(), 2**num_bits)


def _sign_then_lloyd(queries: Tensor, grouping: Grouping, grid: tuple[int, int]) -> _Found:
    points = _standardise(queries)
    start = _side_of_planes(points, grouping)
    nowhere = points.new_full((len(points), start.num_slots, points.shape[2]), torch.inf)
    return _lloyd(points, start.ids, nowhere, grouping.num_iterations)


def _kmeans(queries: Tensor, grouping: Grouping, grid: tuple[int, int]) -> _Found:
    points = _standardise(queries)
    centers = _spread_starts(points, _fixed(grouping, queries.shape[1]), torch.Generator().manual_seed(grouping.seed))
    return _lloyd(points, _nearest(points, centers), centers, grouping.num_iterations)


def _lloyd(points: Tensor, ids: Tensor, centers: Tensor, num_iterations: int) -> _Found:
    """Steps of k-means from ``ids`` (R, N); an empty group stays at its center (R, K, d), or, where that is inf, nowhere."""
    for _ in range(num_iterations):
        groups = make_groups(ids[None], centers.shape[1])
        means = mean_of_groups(points[None], groups)[0]
        centers = torch.where((groups.sizes[0] > 0)[..., None], means, centers)
        ids = _nearest(points, centers)
    return _Found(ids, centers.shape[1])


def _grid_blocks(queries: Tensor, grouping: Grouping, grid: tuple[int, int]) -> _Found:
    """Rectangles about as high as wide, at most ``num_clusters`` of them, the same in every row."""
    most = _fixed(grouping, queries.shape[1])
    down = min(max(round(math.sqrt(most * grid[0] / grid[1])), 1), most)
    across = min(most // down, grid[1])
    rows = torch.arange(grid[0], device=queries.device) * down // grid[0]
    columns = torch.arange(grid[1], device=queries.device) * across // grid[1]
    return _Found((rows[:, None] * across + columns).flatten().expand(len(queries), -1), down * across)


def _chance(queries: Tensor, grouping: Grouping, grid: tuple[int, int]) -> _Found:
    """Groups of equal size drawn from the seed, the same in every row."""
    num, num_slots = queries.shape[1], _fixed(grouping, queries.shape[1])
    places = torch.randperm(num, generator=torch.Generator().manual_seed(grouping.seed)).to(queries.device)
    return _Found((places * num_slots // num).expand(len(queries), -1), num_slots)


METHODS: dict[str, Callable[[Tensor, Grouping, tuple[int, int]], _Found]] = {
    "e2lsh": _hash_buckets,
    "sign": _sign_bits,
    "sign+lloyd": _sign_then_lloyd,
    "kmeans": _kmeans,
    "blocks": _grid_blocks,
    "random": _chance,
}


def _fixed(grouping: Grouping, num: int) -> int:
    return min(grouping.num_clusters, grouping.max_clusters or num, num)


def _project(points: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Points (R, N, d) on random directions, (R, number, N); these are the same on every device and in every precision."""
    directions = torch.randn(points.shape[2], number, generator=generator, dtype=torch.float64).to(points)
    return directions.T @ points.mT


def _standardise(queries: Tensor) -> Tensor:
    """Every row of (R, N, d) with mean 0 and mean square 1; 0 where its queries are all alike."""
    means = queries.mean(dim=1, keepdim=True)
    centred = queries - means
    variance = centred.square().mean(dim=(1, 2), keepdim=True)
    size = means.square().mean(dim=2, keepdim=True) + variance
    return centred / torch.where(variance > _SAME**2 * size, variance.sqrt(), torch.inf)


def _nearest(points: Tensor, centers: Tensor) -> Tensor:
    """Ids (R, N) of the nearest of the centers (R, K, d); one that is inf is nobody's."""
    # argmin |x - c|^2 = argmax x c - |c|^2 / 2
    real = centers.isfinite()
    bias = torch.where(real, centers.square() / -2, -torch.inf).sum(dim=2)[:, None]
    centers = torch.where(real, centers, 0).mT
    step = max(_CHUNK // max(bias.numel(), 1), 1)
    return torch.cat([torch.baddbmm(bias, part, centers).argmax(dim=2) for part in points.split(step, dim=1)], dim=1)


def _spread_starts(points: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii 2007) in all rows at once: centers (R, number, d)."""
    draws = torch.rand(number, generator=generator, dtype=torch.float64).to(points.device)
    chosen = (draws[:1] * points.shape[1]).long().expand(len(points))[:, None]
    nearest, centers = torch.full_like(points[..., 0], torch.inf), []
    for following in range(1, number + 1):
        centers.append(points.take_along_dim(chosen[..., None], dim=1))
        if following < number:
            nearest = torch.minimum(nearest, (points - centers[-1]).square().sum(dim=2))
            mass = nearest.double().cumsum(dim=1)
            chosen = torch.searchsorted(mass, mass[:, -1:] * draws[following]).clamp(max=points.shape[1] - 1)
    return torch.cat(centers, dim=1)
