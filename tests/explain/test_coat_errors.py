"""Errors of clustered attention: laws that hold for every method, and a slow reference."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vitviz.errors import Problem
from vitviz.explain import coat_errors
from vitviz.explain.coat import ClusteredBlock, CoatLook, GroupMap
from vitviz.explain.coat_errors import METHODS, errors, quality_cost
from vitviz.nn.coat_block import Clustering
from vitviz.nn.query_groups import Grouping, group_queries

GRID, HEADS, DIM = (12, 15), 2, 4
NUM = GRID[0] * GRID[1]


def look_of(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> CoatLook:
    """A block with given queries, keys and values (h, 1 + N, d); of its groups only the counts are read, if at all."""
    ids = np.zeros((HEADS, *GRID), np.int32)
    groups = GroupMap(ids, np.full((HEADS, 1), NUM), np.zeros((HEADS, 1), np.float32))
    block = ClusteredBlock(
        "by hand", 1, "softmax", 4, GRID, GRID, groups, queries[:, :2], (queries, keys, values), None
    )
    return CoatLook(np.zeros((48, 60, 3), np.uint8), "", Clustering(), (block, replace(block, qkv=None)))


@pytest.fixture(scope="module")
def seen() -> CoatLook:
    """Queries in 20 clouds, each of a square of the picture."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: GRID[0], : GRID[1]]
    cloud = (y // 3 * 5 + x // 3).ravel()
    centers = rng.normal(size=(HEADS, 20, DIM)) * 3
    queries = np.concatenate(
        [rng.normal(size=(HEADS, 1, DIM)), centers[:, cloud] + 0.3 * rng.normal(size=(HEADS, NUM, DIM))], 1
    )
    keys, values = rng.normal(size=(2, HEADS, 1 + NUM, DIM))
    return look_of(*(part.astype(np.float32) for part in (queries, keys, values)))


@pytest.fixture(scope="module")
def judged(seen) -> dict[str, coat_errors.GroupingError]:
    return {one.method: one for one in errors(seen, 0, num_bits=4)}


def test_all_methods_are_judged_at_about_as_many_prototypes(judged):
    assert list(judged) == list(METHODS)
    number = judged["sign"].prototypes
    for method in ("kmeans", "sign+lloyd", "e2lsh", "random"):
        assert judged[method].prototypes == pytest.approx(number, rel=0.15), method
    assert 0.7 * number <= judged["blocks"].prototypes <= number + 0.5
    assert judged["singletons"].prototypes == NUM


def test_k_means_is_the_best_chance_the_worst_and_a_query_by_itself_exact(judged):
    for kind in ("softmax", "factorised"):
        by_method = {method: getattr(one, kind) for method, one in judged.items()}
        assert by_method["singletons"] == pytest.approx(0, abs=1e-6)
        rest = {method: value for method, value in by_method.items() if method != "singletons"}
        assert min(rest, key=rest.get) == "kmeans" and max(rest, key=rest.get) == "random"
        assert rest["kmeans"] <= rest["sign+lloyd"] < rest["sign"]
        assert rest["kmeans"] > 1e-3


def test_the_factorised_output_is_a_mean_so_that_its_error_is_at_most_one(judged):
    assert all(0 <= one.factorised <= 1 for one in judged.values())


@pytest.mark.parametrize("method", ["sign", "blocks", "random"])
def test_errors_are_those_of_a_slow_reference(seen, judged, method):
    one = judged[method]
    grouping = Grouping(method=method, num_bits=4, num_clusters=round(judged["sign"].prototypes))
    queries, keys, values = (torch.from_numpy(part).double() for part in seen.blocks[0].qkv)
    ids = group_queries(queries[None, :, 1:].float(), grouping, grid=GRID).ids[0]
    off, size = {"softmax": 0.0, "factorised": 0.0}, {"softmax": 0.0, "factorised": 0.0}
    for head in range(HEADS):
        summary = keys[head].softmax(dim=0).T @ values[head]
        for token in range(NUM):
            members = queries[head, 1:][ids[head] == ids[head, token]]
            for kind in off:
                outcomes = []
                for query in (queries[head, 1 + token], members.mean(dim=0)):
                    softmax = (keys[head] @ query * DIM**-0.5).softmax(dim=0) @ values[head]
                    outcomes.append(softmax if kind == "softmax" else query @ summary * DIM**-0.5)
                off[kind] += float((outcomes[1] - outcomes[0]).square().sum())
                size[kind] += float(outcomes[0].square().sum())
    for kind, total in off.items():
        assert getattr(one, kind) == pytest.approx((total / size[kind]) ** 0.5, rel=1e-3)


def test_looking_at_fewer_tokens_gives_about_the_same_with_the_same_prototypes(seen, judged, monkeypatch):
    monkeypatch.setattr(coat_errors, "_MOST_TOKENS", 90)
    for one in errors(seen, 0, num_bits=4):
        whole = judged[one.method]
        assert one.prototypes == whole.prototypes
        assert one.softmax == pytest.approx(whole.softmax, rel=0.3, abs=1e-6)
    monkeypatch.setattr(coat_errors, "_MOST_TOKENS", 5)  # fewer than there are prototypes
    assert 0 < errors(seen, 0, ("kmeans",), num_bits=4)[0].softmax < 2 * judged["kmeans"].softmax


def test_multiply_adds_are_the_formulas_with_the_clustering(judged):
    sign, alone = judged["sign"], judged["singletons"]
    hashing = NUM * (HEADS * DIM * 4 + HEADS * 4)
    assert sign.softmax_macs == round(hashing + 2 * (1 + sign.prototypes) * (1 + NUM) * HEADS * DIM)
    assert sign.factorised_macs == round(hashing + (1 + NUM + 1 + sign.prototypes) * HEADS * DIM**2)
    assert alone.softmax_macs == 2 * (1 + NUM) ** 2 * HEADS * DIM


def test_quality_falls_and_cost_falls_as_the_knob_turns(seen):
    points = quality_cost(seen, 0, widths=(0.5, 2, 8), bits=(1, 3, 6))
    assert [(one.method, one.setting) for one in points] == [
        ("e2lsh", "r = 0.5"),
        ("e2lsh", "r = 2"),
        ("e2lsh", "r = 8"),
        ("sign", "b = 1"),
        ("sign", "b = 3"),
        ("sign", "b = 6"),
        ("sign+lloyd", "b = 1"),
        ("sign+lloyd", "b = 3"),
        ("sign+lloyd", "b = 6"),
    ]
    for coarser, finer in ((2, 0), (3, 5), (6, 8)):
        assert points[coarser].prototypes < points[finer].prototypes
        assert points[coarser].softmax > points[finer].softmax and points[coarser].factorised > points[finer].factorised
        assert points[coarser].softmax_macs < points[finer].softmax_macs


@pytest.mark.parametrize("method", METHODS)
def test_queries_that_are_all_alike_lose_nothing(method):
    rng = np.random.default_rng(1)
    queries = np.broadcast_to(rng.normal(size=(HEADS, 1, DIM)), (HEADS, 1 + NUM, DIM))
    keys, values = rng.normal(size=(2, HEADS, 1 + NUM, DIM))
    alike = look_of(*(np.ascontiguousarray(part, np.float32) for part in (queries, keys, values)))
    (one,) = errors(alike, 0, (method,))
    assert one.softmax == pytest.approx(0, abs=1e-5) and one.factorised == pytest.approx(0, abs=1e-5)


def test_nothing_at_all_is_no_error():
    nothing = np.zeros((HEADS, 1 + NUM, DIM), np.float32)
    assert all(one.factorised == 0 == one.softmax for one in errors(look_of(nothing, nothing, nothing), 0))


def test_what_cannot_be_judged_is_named(seen):
    with pytest.raises(Problem, match=r"methods=\['magic'\] must be among kmeans"):
        errors(seen, 0, ("sign", "magic"))
    with pytest.raises(Problem, match="num_bits=9 must be 1 to 8"):
        errors(seen, 0, num_bits=9)
    with pytest.raises(Problem, match="by hand does not cluster its queries"):
        errors(seen, 1)
    with pytest.raises(Problem, match="by hand does not cluster its queries"):
        quality_cost(seen, 1)
