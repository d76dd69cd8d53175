"""Milliseconds of CoaT's four attention cores, measured live on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitviz.errors import Problem
from vitviz.explain.coat_costs import CLUSTERED, CORES, core_lines

if TYPE_CHECKING:
    from torch import Tensor

    from vitviz.nn.query_groups import Grouping

MAX_TOKENS = 20_000
MAX_CLUSTERS = 2**12


@dataclass(frozen=True)
class CoreTime:
    """One core: milliseconds, the median of num_runs; clustering_ms of them, 0 where nothing is clustered; macs, all included."""

    kind: str
    milliseconds: float
    clustering_ms: float
    macs: int
    num_runs: int


@dataclass(frozen=True)
class CoreTimes:
    """The four cores at one size; num_tokens with CLS; num_threads: of the processor, as torch was allowed."""

    num_tokens: int
    num_clusters: int
    num_heads: int
    head_dim: int
    num_threads: int
    cores: tuple[CoreTime, ...]


def time_cores(
    num_tokens: int, num_clusters: int, *, num_heads: int = 8, head_dim: int = 8, seconds: float = 3.0, seed: int = 0
) -> CoreTimes:
    """The four cores on normal random queries, keys and values of one picture, clustered by ``sign``.

    They take turns within about ``seconds``, each for its equal share; one that is slower than that runs a single time.

    Args:
        num_tokens: T with CLS: 3,137 in the first stage at 224 px, 16,385 at 512 px.
        num_clusters: a power of two.

    Raises: Problem, a ValueError, on sizes out of range.
    """
    import torch

    from vitviz.nn.query_groups import Grouping, group_queries

    _check(num_tokens, num_clusters, num_heads, head_dim, seconds)
    grouping = Grouping(method="sign", num_bits=num_clusters.bit_length() - 1, seed=seed)
    layer = torch.randn(1, num_tokens, 3, num_heads, head_dim, generator=torch.Generator().manual_seed(seed))
    qkv = layer.permute(2, 0, 3, 1, 4)  # in memory as a model's one layer for all three leaves them
    runs = {kind: lambda kind=kind: mix(kind, *qkv, grouping) for kind in CORES}
    runs["clustering"] = lambda: group_queries(qkv[0, :, :, 1:], grouping, grid=(1, num_tokens - 1))
    with torch.inference_mode():
        times = _take_turns(runs, seconds)
    middle = {name: statistics.median(taken) * 1e3 for name, taken in times.items()}
    macs = core_lines([num_clusters], grouping, num_tokens=num_tokens - 1, num_heads=num_heads, head_dim=head_dim)
    cores = tuple(
        CoreTime(
            kind=kind,
            milliseconds=middle[kind],
            clustering_ms=middle["clustering"] if kind in CLUSTERED else 0.0,
            macs=round(macs[kind][0]),
            num_runs=len(times[kind]),
        )
        for kind in CORES
    )
    return CoreTimes(num_tokens, num_clusters, num_heads, head_dim, torch.get_num_threads(), cores)


def mix(kind: str, queries: Tensor, keys: Tensor, values: Tensor, grouping: Grouping) -> Tensor:
    """What one core of :data:`vitviz.explain.coat_costs.CORES` makes of tensors (B, h, 1 + N, d), CLS first: the same shape.

    The clustered kinds group the queries first, as if they lay in one row.
    """
    from vitviz.nn.query_groups import group_queries
    from vitviz.nn.query_prototypes import broadcast, mix_factorised, mix_prototypes, mix_softmax, prototypes_of

    if kind not in CLUSTERED:
        return (mix_factorised if kind == "unclustered" else mix_softmax)(queries, keys, values)
    groups = group_queries(queries[:, :, 1:], grouping, grid=(1, queries.shape[2] - 1))
    return broadcast(mix_prototypes(prototypes_of(queries, groups), keys, values, groups, kind), groups)


def _take_turns(runs: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Seconds of every run, which take turns until the share of each is spent.

    The first time warms up and is not kept, unless it alone spends the share.
    """
    share = seconds / len(runs)
    first = {name: _timed(run) for name, run in runs.items()}
    times = {name: [taken] if taken >= share else [] for name, taken in first.items()}
    waiting = [name for name, taken in first.items() if taken < share]
    while waiting:
        for name in waiting:
            times[name].append(_timed(runs[name]))
        waiting = [name for name in waiting if first[name] + sum(times[name]) + times[name][-1] < share]
    return times


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _check(num_tokens: int, num_clusters: int, num_heads: int, head_dim: int, seconds: float) -> None:
    if not 2 <= num_tokens <= MAX_TOKENS:
        raise Problem(f"num_tokens={num_tokens:,} must be 2 to {MAX_TOKENS:,}")
    if not 2 <= num_clusters <= MAX_CLUSTERS or num_clusters.bit_count() != 1:
        raise Problem(f"num_clusters={num_clusters} must be a power of two, 2 to {MAX_CLUSTERS:,}")
    if min(num_heads, head_dim) < 1 or max(num_heads, head_dim) > 128 or seconds < 0:
        raise Problem(
            f"num_heads={num_heads} and head_dim={head_dim} must be 1 to 128 and seconds={seconds} not below 0"
        )
