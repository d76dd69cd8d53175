"""The four cores timed: who is measured, how often, and that each computes what it is named for."""

import pytest
import torch

from vitviz.errors import Problem
from vitviz.explain import coat_times
from vitviz.explain.coat_costs import CORES
from vitviz.explain.coat_times import mix, time_cores
from vitviz.nn.query_groups import Grouping


def test_every_core_is_timed_and_only_the_clustered_ones_cluster():
    found = time_cores(65, 8, num_heads=2, head_dim=4, seconds=0.02)
    assert [core.kind for core in found.cores] == list(CORES)
    assert all(core.milliseconds > 0 and core.num_runs >= 1 for core in found.cores)
    assert [core.clustering_ms > 0 for core in found.cores] == [False, True, False, True]
    assert found.num_threads == torch.get_num_threads()
    hashing = 64 * (8 * 3 + 2 * 3)
    assert [core.macs for core in found.cores] == [
        2 * 65**2 * 8,
        hashing + 2 * 9 * 65 * 8,
        2 * 65 * 8 * 4,
        hashing + (65 + 9) * 8 * 4,
    ]


def test_each_core_is_what_it_is_called():
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = torch.randn(3, 1, 2, 17, 4, generator=generator, dtype=torch.float64)
    singletons = Grouping(r_rel=1e-5)
    softmax = (queries @ keys.mT / 2).softmax(dim=3) @ values
    factorised = queries @ (keys.softmax(dim=2).mT @ values) / 2
    for kind, expected in zip(CORES, (softmax, softmax, factorised, factorised), strict=True):
        assert torch.allclose(mix(kind, queries, keys, values, singletons), expected)
    coarse = Grouping(method="sign", num_bits=1)
    changed = [
        kind
        for kind in CORES
        if not torch.allclose(mix(kind, queries, keys, values, coarse), mix(kind, queries, keys, values, singletons))
    ]
    assert changed == ["softmax", "factorised"]


@pytest.fixture
def clock(monkeypatch) -> dict[str, float]:
    """A clock that stands still but for what runs add to it."""
    now = {"seconds": 0.0}
    monkeypatch.setattr(coat_times.time, "perf_counter", lambda: now["seconds"])
    return now


def test_runs_take_turns_until_their_shares_are_spent_and_a_slow_one_runs_once(clock):
    calls = []

    def make(name: str, seconds: float):
        def run():
            calls.append(name)
            clock["seconds"] += seconds

        return run

    runs = {"slow": make("slow", 1.5), "middle": make("middle", 0.25), "fast": make("fast", 0.125)}
    times = coat_times._take_turns(runs, seconds=3.0)
    assert times == {"slow": [1.5], "middle": [0.25] * 2, "fast": [0.125] * 6}  # a warm-up is spent, but not kept
    assert calls[:7] == ["slow", "middle", "fast", "middle", "fast", "middle", "fast"]


@pytest.mark.parametrize(
    ("num_tokens", "num_clusters", "changes", "rule"),
    [
        (1, 4, {}, "num_tokens=1 must be 2 to 20,000"),
        (20_001, 4, {}, "num_tokens=20,001"),
        (100, 6, {}, "num_clusters=6 must be a power of two, 2 to 4,096"),
        (100, 1, {}, "num_clusters=1 must"),
        (100, 8192, {}, "num_clusters=8192"),
        (100, 4, {"seconds": -1.0}, "seconds=-1.0 not below 0"),
        (100, 4, {"head_dim": 0}, "head_dim=0"),
    ],
)
def test_sizes_out_of_range_are_refused(num_tokens, num_clusters, changes, rule):
    with pytest.raises(Problem, match=rule):
        time_cores(num_tokens, num_clusters, **changes)
