"""Six ways to group queries: the laws they share, and each against its definition."""

import typing

import pytest
import torch

from vitviz.nn import query_groups
from vitviz.nn.query_groups import METHODS, Grouping, Method, group_queries
from vitviz.nn.query_prototypes import QueryGroups, mean_of_groups, spread_to_members

GRID = (8, 12)
BY_CONTENT = ("e2lsh", "sign", "sign+lloyd", "kmeans")
BY_VALUE_ALONE = ("e2lsh", "sign", "sign+lloyd")  # k-means starts from places


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def queries(
    batch: int = 3, heads: int = 2, grid=GRID, dim: int = 4, seed: int = 1, dtype=torch.float64
) -> torch.Tensor:
    """Smooth fields and a little noise, as the queries of an image are."""
    coarse = torch.randn(batch * heads, dim, 3, 3, generator=seeded(seed), dtype=torch.float64)
    fine = torch.nn.functional.interpolate(coarse, size=grid, mode="bilinear", align_corners=True)
    fine = fine + 0.1 * torch.randn(fine.shape, generator=seeded(seed + 1), dtype=torch.float64)
    return fine.flatten(2).mT.unflatten(0, (batch, heads)).to(dtype)


def grouped(q: torch.Tensor, method: str = "e2lsh", grid=GRID, **settings) -> QueryGroups:
    return group_queries(q, Grouping(method=method, **{"num_clusters": 16, "num_bits": 4, **settings}), grid=grid)


def partition(row: torch.Tensor) -> torch.Tensor:
    """Who stands with whom (N, N), whatever the groups are called."""
    return row[..., :, None] == row[..., None, :]


def error(q: torch.Tensor, groups: QueryGroups) -> float:
    return (q - spread_to_members(mean_of_groups(q, groups), groups)).square().sum().item()


def test_the_methods_are_those_that_the_settings_name():
    assert tuple(METHODS) == typing.get_args(Method)


@pytest.mark.parametrize("method", METHODS)
def test_every_token_is_in_one_group_and_the_books_agree(method):
    groups = grouped(queries(), method)
    assert groups.ids.shape == (3, 2, 96) and groups.ids.dtype == torch.int64
    assert groups.ids.min() >= 0 and groups.ids.max() < groups.num_slots
    assert groups.sizes.sum(dim=2).eq(96).all()
    for row, sizes, count in zip(
        groups.ids.flatten(0, 1), groups.sizes.flatten(0, 1), groups.counts.flatten(), strict=True
    ):
        assert torch.equal(torch.bincount(row, minlength=groups.num_slots), sizes) and len(row.unique()) == count
    if groups.order is not None:
        assert groups.ids.gather(2, groups.order).diff(dim=2).ge(0).all()
        assert torch.equal(groups.order.sort(dim=2).values, torch.arange(96).expand(3, 2, -1))


@pytest.mark.parametrize("method", METHODS)
def test_groups_are_a_function_of_the_seed_alone(method):
    q = queries()
    state = torch.get_rng_state()
    first = grouped(q, method)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(123)
    assert torch.equal(grouped(q, method).ids, first.ids)
    same = torch.equal(partition(grouped(q, method, seed=1).ids), partition(first.ids))
    assert same == (method == "blocks")


@pytest.mark.parametrize("method", METHODS)
def test_an_image_and_head_is_grouped_the_same_whatever_stands_beside_it(method):
    q = queries()
    together = grouped(q, method)
    for image in range(3):
        for head in range(2):
            alone = grouped(q[image : image + 1, head : head + 1], method)
            assert torch.equal(alone.ids[0, 0], together.ids[image, head])


@pytest.mark.parametrize("most", [1, 2, 3, 10, 50])
@pytest.mark.parametrize("method", METHODS)
def test_a_budget_is_kept_and_no_row_below_it_is_touched(method, most):
    q, settings = queries(), {"r_rel": 2.0, "num_clusters": 60, "num_bits": 6}
    free, bound = grouped(q, method, **settings), grouped(q, method, **settings, max_clusters=most)
    assert free.counts.max() > 10  # or there would be nothing to bound
    assert bound.counts.max() <= most and bound.num_slots <= most and bound.counts.min() >= 1
    assert bound.sizes.sum(dim=2).eq(96).all()
    if method == "e2lsh":
        inside = free.counts <= most
        assert torch.equal(bound.ids[inside], free.ids[inside])
        assert bound.ids.gather(2, bound.order).diff(dim=2).ge(0).all()


def test_a_budget_holds_even_when_widening_has_to_end(monkeypatch):
    monkeypatch.setattr(query_groups, "_ATTEMPTS", 1)
    assert grouped(queries(), r_rel=1e-3, max_clusters=5).counts.eq(1).all()


def test_a_budget_is_used_and_not_only_kept():
    counts = grouped(queries(), r_rel=1.0, max_clusters=20).counts
    assert counts.min() >= 7


@pytest.mark.parametrize("method", BY_VALUE_ALONE)
def test_tokens_may_be_shuffled(method):
    q, order = queries(), torch.randperm(96, generator=seeded())
    assert torch.equal(grouped(q[:, :, order], method).ids, grouped(q, method).ids[:, :, order])


@pytest.mark.parametrize("method", BY_CONTENT)
def test_a_common_offset_and_scale_are_not_seen(method):
    q = queries()
    offset = torch.randn(3, 2, 1, 4, generator=seeded(9), dtype=torch.float64)
    assert torch.equal(grouped(100 * q + offset, method).ids, grouped(q, method).ids)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [0.0, 1.0, -7.3e4])
def test_queries_that_are_all_alike_are_one_group(method, dtype, level):
    q = (level + torch.zeros(2, 2, 96, 4)).to(dtype)
    groups = grouped(q, method, r_rel=1e-3, max_clusters=40)
    assert groups.counts.eq(1).all() or method in ("blocks", "random")
    assert mean_of_groups(q, groups)[groups.sizes > 0].sub(level).abs().max() <= 1e-6 * abs(level)


@pytest.mark.parametrize("method", BY_CONTENT)
def test_queries_that_differ_by_rounding_only_are_one_group(method):
    q = 3 + 1e-6 * torch.randn(2, 2, 96, 4, generator=seeded())
    assert q.std() > 0 and grouped(q, method).counts.eq(1).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_token_is_one_group(method):
    groups = grouped(queries(grid=(1, 1)), method, grid=(1, 1))
    assert groups.counts.eq(1).all() and groups.ids.shape == (3, 2, 1)


@pytest.mark.parametrize("method", METHODS)
def test_more_groups_than_tokens_may_be_asked_for(method):
    q = queries(grid=(2, 3))
    groups = grouped(q, method, grid=(2, 3), num_clusters=1000, num_bits=12, r_rel=1e-4)
    assert groups.counts.max() <= 6 and groups.sizes.sum(dim=2).eq(6).all()
    if method != "sign+lloyd":  # two of the six may lie on the same side of all planes, and there they stay
        assert groups.counts.eq(6).all()
    assert mean_of_groups(q, groups).isfinite().all()


@pytest.mark.parametrize("method", METHODS)
def test_duplicates_stand_together_and_leave_slots_empty(method):
    q = queries(grid=(1, 4)).repeat(1, 1, 24, 1)
    groups = grouped(q, method)
    if method in BY_CONTENT:
        assert groups.counts.max() <= 4
        assert torch.equal(groups.ids[..., :4].repeat(1, 1, 24), groups.ids)
    assert spread_to_members(mean_of_groups(q, groups), groups).isfinite().all()


@pytest.mark.parametrize("method", METHODS)
def test_no_images_are_welcome(method):
    groups = grouped(queries()[:0], method)
    assert groups.ids.shape == (0, 2, 96) and mean_of_groups(queries()[:0], groups).shape[:2] == (0, 2)


@pytest.mark.parametrize("method", METHODS)
def test_autocast_and_sixteen_bits_do_not_touch_the_arithmetic(method):
    q = queries(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(grouped(q, method).ids, grouped_outside(q, method))
        assert torch.equal(grouped(q.bfloat16(), method).ids, grouped_outside(q.bfloat16().float(), method))


def grouped_outside(q: torch.Tensor, method: str) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return grouped(q, method).ids


@pytest.mark.parametrize("method", METHODS)
def test_the_choice_of_a_group_has_no_gradient(method):
    groups = grouped(queries().requires_grad_(), method)
    assert not groups.ids.requires_grad and not groups.sizes.requires_grad


def test_the_hash_is_the_floor_of_shifted_projections():
    q = queries(batch=1)
    groups, generator = grouped(q, r_rel=3.0, num_hashes=5, seed=4), seeded(4)
    directions = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    offsets = torch.rand(5, generator=generator, dtype=torch.float64)
    for row, found in zip(q[0], groups.ids[0], strict=True):
        centred = row - row.mean(dim=0)
        codes = (centred / centred.square().mean().sqrt() @ directions / 3 + offsets).floor().tolist()
        names = {}
        expected = torch.tensor([names.setdefault(tuple(code), len(names)) for code in codes])
        assert len(names) > 5 and torch.equal(partition(found), partition(expected))


def test_wider_buckets_make_fewer_groups_from_singletons_to_one():
    counts = [grouped(queries(), r_rel=r_rel).counts.double().mean() for r_rel in (1e-3, 1, 2, 4, 8, 16)]
    assert counts == sorted(counts, reverse=True) and counts[0] == 96 and counts[-1] < 20
    assert grouped(queries(), r_rel=1e6).counts.eq(1).all()


def test_smoother_images_ask_for_fewer_groups():
    smooth = queries(dim=8)
    noise = torch.randn(smooth.shape, generator=seeded(), dtype=torch.float64)
    assert grouped(smooth, r_rel=8.0).counts.max() < grouped(noise, r_rel=8.0).counts.min()


def test_a_sign_group_lies_on_one_side_of_every_plane_through_the_mean():
    q = queries(batch=1)
    groups = grouped(q, "sign", num_bits=5, seed=2)
    assert groups.num_slots == 32
    directions = torch.randn(4, 5, generator=seeded(2), dtype=torch.float64)
    sides = (q - q.mean(dim=2, keepdim=True)) @ directions > 0
    assert torch.equal(groups.ids, (sides * 2 ** torch.arange(5)).sum(dim=3))


def test_steps_of_kmeans_only_help():
    q = queries()
    errors = [error(q, grouped(q, "sign"))]
    errors += [error(q, grouped(q, "sign+lloyd", num_iterations=steps)) for steps in (1, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True) and errors[2] < 0.8 * errors[0]
    errors = [error(q, grouped(q, "kmeans", num_iterations=steps)) for steps in (1, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True)


def test_an_empty_group_draws_nobody_to_itself():
    q = queries(dim=2)
    before, after = grouped(q, "sign", num_bits=6), grouped(q, "sign+lloyd", num_bits=6)
    assert before.counts.max() < 32  # six lines cannot cut a plane into 64
    assert ((after.sizes > 0) <= (before.sizes > 0)).all()


def test_the_controls_stand_where_they_should():
    q = queries(dim=8)
    settings = {"num_clusters": 16, "num_bits": 4, "num_iterations": 8}
    of = {method: error(q, grouped(q, method, **settings)) for method in METHODS if method != "e2lsh"}
    assert of["kmeans"] < of["sign+lloyd"] < of["sign"] < of["random"]
    assert of["kmeans"] < of["blocks"] < of["random"]


def test_kmeans_finds_groups_that_lie_apart():
    truth = torch.randint(6, (3, 2, 96), generator=seeded())
    centers = 20 * torch.randn(3, 2, 6, 4, generator=seeded(1), dtype=torch.float64)
    q = centers.take_along_dim(truth[..., None], dim=2) + 0.1 * queries()
    found = grouped(q, "kmeans", num_clusters=6).ids
    agree = (partition(found) == partition(truth)).double().mean(dim=(2, 3))
    assert agree.min() > 0.9 and agree.eq(1).sum() >= 4  # k-means++ may start twice in one of six


def test_nearest_centers_are_found_in_parts_too(monkeypatch):
    q = queries()
    whole = grouped(q, "kmeans").ids
    monkeypatch.setattr(query_groups, "_CHUNK", 6 * 16 * 7)
    assert torch.equal(grouped(q, "kmeans").ids, whole)


@pytest.mark.parametrize("grid", [(8, 12), (1, 96), (96, 1), (7, 5), (2, 10), (56, 56)])
@pytest.mark.parametrize("most", [1, 5, 11, 16, 64])
def test_blocks_are_rectangles_that_cover_the_grid(grid, most):
    groups = grouped(torch.zeros(1, 1, grid[0] * grid[1], 2), "blocks", grid=grid, num_clusters=most)
    ids = groups.ids.reshape(grid)
    assert 0.5 * min(most, ids.numel()) <= groups.counts.item() <= most or most == 1
    assert groups.counts == groups.num_slots
    for slot in range(groups.num_slots):
        rows, columns = (ids == slot).nonzero(as_tuple=True)
        assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)


def test_chance_makes_groups_of_equal_size():
    sizes = grouped(queries(), "random", num_clusters=36).sizes
    assert sizes.min() == 2 and sizes.max() == 3


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"method": "lsh"}, "method='lsh' must be one of e2lsh, sign"),
        ({"r_rel": 0.0}, "r_rel=0.0 must be 1e-6 to 1e6"),
        ({"r_rel": float("nan")}, "r_rel=nan must be 1e-6 to 1e6"),
        ({"num_bits": 13}, "num_bits=13 must be 1 to 12"),
        ({"num_hashes": 0}, "num_hashes=0 must be at least 1"),
        ({"num_clusters": 0}, "num_clusters=0 must be at least 1"),
        ({"num_iterations": 0}, "num_iterations=0 must be at least 1"),
        ({"max_clusters": 0}, "max_clusters=0 must be at least 1"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_rule(settings, rule):
    with pytest.raises(ValueError, match=rule):
        Grouping(**settings)


@pytest.mark.parametrize("shape", [(2, 96, 4), (1, 2, 97, 4), (1, 2, 96, 0)])
def test_queries_that_do_not_fill_the_grid_are_refused(shape):
    with pytest.raises(ValueError, match=r"must be \(B, h, N, d\) with N = 8 x 12"):
        grouped(torch.zeros(shape))
