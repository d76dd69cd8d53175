"""What a CoaT costs: the parts sum to what the whole is counted at, and clustering pays below its break-even and not above."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from vitviz.errors import Problem
from vitviz.explain.coat_costs import (
    CORES,
    PARTS,
    break_even,
    core_lines,
    count_parts,
    fixed_groups,
    stage_grids,
)
from vitviz.explain.embedding_costs import count_macs
from vitviz.nn.coat import SIZES, CoaT, coat_lite, init_weights
from vitviz.nn.coat_block import UNCLUSTERED, Clustering
from vitviz.nn.query_groups import METHODS, Grouping, group_queries

SMALL = {
    "patch_size": 2,
    "num_classes": 7,
    "embed_dims": (16, 24, 32, 40),
    "serial_depths": (2, 1, 1, 2),
    "mlp_ratios": (2, 3, 2, 1),
}
TOTALS = {"tiny": 1.598, "mini": 1.997, "small": 3.960, "medium": 9.807}
"""GMAC at 224 px as a counter gives them that counts LayerNorm too, with 5 for each number."""
FULL = Clustering(attention=("full softmax",) * 4)


def small(**changes) -> CoaT:
    return init_weights(CoaT(**{**SMALL, **changes}), torch.Generator().manual_seed(0)).eval()


def on_meta(size: str) -> CoaT:
    with torch.device("meta"):
        return coat_lite(size).eval()


def norm_macs(model: CoaT, height: int, width: int) -> int:
    """Five operations a number that passes through a LayerNorm."""
    found = 0
    for stage, (rows, columns) in enumerate(stage_grids(model, height, width), 1):
        dim, depth = model.get_parameter(f"cls_token{stage}").shape[2], len(getattr(model, f"serial_blocks{stage}"))
        found += 5 * dim * (rows * columns + 2 * depth * (1 + rows * columns))
        found += 5 * dim * (1 + rows * columns) if stage == 4 else 0
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("height", "width"), [(224, 224), (250, 97)])
@pytest.mark.parametrize("clustering", [UNCLUSTERED, FULL], ids=["own", "full"])
def test_the_parts_of_the_four_sizes_sum_to_the_whole_as_counted(size, height, width, clustering):
    model = on_meta(size)
    model.clustering = clustering
    found = count_parts(model, height, width)
    assert found.total == count_macs(model, torch.empty(1, 3, height, width, device="meta"))
    assert sum(sum(stage.values()) for stage in found.stages) == found.total


@pytest.mark.parametrize("size", SIZES)
def test_the_totals_are_those_published_once_layer_norms_are_counted_too(size):
    model = on_meta(size)
    found = count_parts(model, 224, 224, UNCLUSTERED).total + norm_macs(model, 224, 224)
    assert found / 1e9 == pytest.approx(TOTALS[size], abs=5e-4)


def test_the_mlp_is_most_of_the_tiny_one_and_what_queries_touch_next_to_nothing():
    found = count_parts(on_meta("tiny"), 224, 224, UNCLUSTERED)
    shares = {part: 100 * number / found.total for part, number in found.parts.items()}
    assert shares["MLP"] == pytest.approx(69.9, abs=0.1) and shares["qkv"] == pytest.approx(16.5, abs=0.1)
    assert shares["K^T V"] == pytest.approx(0.7, abs=0.05) and shares["Q M"] == pytest.approx(0.7, abs=0.05)
    assert list(found.parts) == [part for part in PARTS if part in found.parts]


@torch.no_grad()
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["softmax", "factorised"])
def test_with_clusters_the_parts_sum_to_the_whole_as_counted(method, kind):
    grouping = Grouping(method=method, num_bits=2, num_clusters=6, r_rel=4.0)
    chosen = Clustering(attention=(kind, kind, "unclustered", kind), grouping=grouping, mlp_stages=(1, 3))
    chosen = replace(chosen, mlp_grouping=replace(grouping, num_clusters=3))
    model, images = small(), torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    blocks = model(images, keep=("groups", "mlp_groups"), clustering=chosen).blocks
    queries, tokens = (
        [found for block in blocks if (found := getattr(block, name))] for name in ("groups", "mlp_groups")
    )
    model.clustering = chosen
    used = [int(groups.counts) for groups in tokens]
    padded, as_they_are = (
        count_parts(model, 64, 96, prototypes=numbers, mlp_prototypes=used).total
        for numbers in ([groups.num_slots for groups in queries], [float(g.counts.float().mean()) for g in queries])
    )
    with sdpa_kernel(SDPBackend.MATH):
        counted = count_macs(model, images)
    assert as_they_are <= counted <= padded  # heads are padded to the fullest, or to that of their bucket
    if method == "e2lsh":
        assert as_they_are < counted
    elif kind == "factorised":
        assert counted == padded == count_parts(model, 64, 96).total
    if method in ("kmeans", "blocks", "random"):
        assert as_they_are == counted == count_parts(model, 64, 96).total


@torch.no_grad()
def test_a_budget_leaves_fewer_groups_and_their_number_is_known_beforehand():
    queries = torch.randn(1, 2, 40, 4, generator=torch.Generator().manual_seed(0))
    for method in set(METHODS) - {"e2lsh"}:
        for most in (None, 5, 100):
            grouping = Grouping(method=method, num_bits=3, num_clusters=20, max_clusters=most)
            slots = group_queries(queries, grouping, grid=(5, 8)).num_slots
            assert slots <= fixed_groups(grouping, 40) <= (most or 20)
            assert slots == fixed_groups(grouping, 40) or method == "blocks"
    assert fixed_groups(Grouping(), 40) is None


def test_how_many_groups_a_picture_asks_for_must_be_told():
    model = small()
    with pytest.raises(Problem, match="prototypes must be given: e2lsh makes as many as the picture asks for"):
        count_parts(model, 32, 32)
    with pytest.raises(Problem, match="prototypes of 2 blocks were given: 3 are clustered"):
        count_parts(model, 32, 32, prototypes=[5, 6])
    with pytest.raises(Problem, match="mlp_prototypes must be given"):
        count_parts(model, 32, 32, Clustering(mlp_stages=(1,)), prototypes=5)
    assert count_parts(model, 32, 32, prototypes=5).total == count_parts(model, 32, 32, prototypes=[5, 5, 5]).total


def test_below_the_break_even_a_stage_costs_less_and_above_it_more():
    model = small(embed_dims=(64, 64, 96, 128), mlp_ratios=(4, 4, 4, 4))
    found = 0
    for grouping in (Grouping(num_hashes=2), Grouping(method="kmeans", num_iterations=1), Grouping(method="random")):
        asked = Clustering(attention=("unclustered",) * 4, grouping=grouping, mlp_grouping=grouping)
        rows = break_even(model, 64, 48, asked)
        assert [(row.stage, row.num_tokens) for row in rows] == [(1, 768), (2, 192), (3, 48), (4, 12)]
        for row, kind, rival, name in (
            *((row, "softmax", "full softmax", "softmax_full") for row in rows),
            *((row, "softmax", "unclustered", "softmax_factorised") for row in rows),
            *((row, "factorised", "unclustered", "factorised") for row in rows),
            *((row, "mlp", "mlp", "mlp") for row in rows),
        ):
            at = getattr(row, name)
            assert 0 <= at <= row.num_tokens
            gains = [_gain(model, row.stage, asked, kind, rival, count) for count in (at * 0.99, at * 1.01 + 0.01)]
            assert gains[1] < 0 if at < row.num_tokens else gains[0] > 0
            assert gains[0] > 0 if at > 0 else True
            found += 0 < at < row.num_tokens
    assert found >= 20


def _gain(model: CoaT, stage: int, asked: Clustering, kind: str, rival: str, count: float) -> int:
    """Multiply-adds that clustering into ``count`` groups saves in a stage."""
    if kind == "mlp":
        clusterings = (asked, replace(asked, mlp_stages=(stage,)))
    else:
        kinds = [tuple(one if at == stage else "unclustered" for at in range(1, 5)) for one in (rival, kind)]
        clusterings = [replace(asked, attention=one) for one in kinds]
    before, after = (count_parts(model, 64, 48, one, prototypes=count, mlp_prototypes=count) for one in clusterings)
    return before.total - after.total


def test_clustering_never_pays_in_the_first_stage_of_coat_unless_attention_was_a_softmax():
    first, *later = break_even(on_meta("tiny"), 224, 224)
    assert first.factorised == 0 and first.softmax_factorised == pytest.approx(3, abs=0.01)
    assert first.softmax_full == pytest.approx(3132, abs=0.01)
    assert first.mlp > 0.99 * first.num_tokens
    assert [row.head_dim for row in (first, *later)] == [8, 16, 32, 40]


def test_the_lines_are_the_formulas_and_meet_where_every_query_is_a_prototype():
    counts = [1, 10, 100]
    lines = core_lines(counts, Grouping(method="random"), num_tokens=100, num_heads=4, head_dim=8)
    assert list(lines) == list(CORES)
    assert lines["full softmax"].tolist() == [2 * 101**2 * 32] * 3
    assert lines["unclustered"].tolist() == [2 * 101 * 32 * 8] * 3
    assert lines["softmax"].tolist() == [2 * (1 + count) * 101 * 32 for count in counts]
    assert lines["factorised"].tolist() == [(101 + 1 + count) * 32 * 8 for count in counts]
    assert lines["softmax"][-1] == lines["full softmax"][-1] and lines["factorised"][-1] == lines["unclustered"][-1]
    hashed = core_lines(counts, Grouping(num_hashes=5), num_tokens=100, num_heads=4, head_dim=8)
    assert np.array_equal(hashed["softmax"] - lines["softmax"], [100 * 32 * 5] * 3)
    assert np.array_equal(hashed["full softmax"], lines["full softmax"])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (32, 48), (33, 49), (224, 336)])
def test_grids_are_those_of_the_model(height, width):
    model = small()
    with torch.no_grad():
        blocks = model(torch.zeros(1, 3, height, width), clustering=UNCLUSTERED).blocks
    grids = stage_grids(model, height, width)
    assert all(block.grid == grids[block.stage - 1] for block in blocks)


def test_a_head_that_is_not_there_costs_nothing():
    assert "head" not in count_parts(small(num_classes=0), 32, 32, UNCLUSTERED).parts
