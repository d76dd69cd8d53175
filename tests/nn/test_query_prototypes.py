"""Groups of tokens, their means, and attention by prototypes, against sums written out."""

import itertools

import pytest
import torch

from vitviz.nn import query_prototypes
from vitviz.nn.query_prototypes import (
    QueryGroups,
    attention_weights,
    broadcast,
    make_groups,
    mean_of_groups,
    mix_factorised,
    mix_prototypes,
    mix_softmax,
    prototypes_of,
    spread_to_members,
)

KINDS = ("factorised", "softmax")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def groups_of(batch: int = 2, heads: int = 3, num: int = 12, slots: int = 5, *, sort: bool = False) -> QueryGroups:
    """Random ids; the last slot is empty everywhere, and more of them in the first row."""
    ids = torch.randint(slots - 1, (batch, heads, num), generator=seeded())
    ids[0, 0] = ids[0, 0].clamp(max=1)
    return make_groups(ids, slots, ids.argsort(dim=2) if sort else None)


def plain_means(q: torch.Tensor, groups: QueryGroups) -> torch.Tensor:
    """The mean of every group, one after the other."""
    out = q.new_zeros(*groups.sizes.shape, q.shape[3])
    for at in itertools.product(*map(range, groups.sizes.shape)):
        members = q[at[0], at[1]][groups.ids[at[0], at[1]] == at[2]]
        out[at] = members.mean(dim=0) if len(members) else 0
    return out


def both(check):
    return pytest.mark.parametrize("sort", [False, True], ids=["unsorted", "sorted"])(check)


@both
def test_sizes_and_counts_are_those_of_the_ids(sort):
    groups = groups_of(sort=sort)
    for image, head, slot in itertools.product(range(2), range(3), range(5)):
        assert groups.sizes[image, head, slot] == (groups.ids[image, head] == slot).sum()
    assert groups.sizes[0, 0, 2:].eq(0).all() and groups.counts[0, 0] == 2
    assert groups.counts.eq((groups.sizes > 0).sum(dim=2)).all() and groups.num_slots == 5
    assert groups.sizes.sum(dim=2).eq(12).all()


@both
def test_a_prototype_is_the_mean_of_its_members_and_an_empty_one_is_zero(sort):
    groups, q = groups_of(sort=sort), values(2, 3, 12, 4)
    assert torch.allclose(mean_of_groups(q, groups), plain_means(q, groups), atol=1e-12)
    assert mean_of_groups(q, groups)[:, :, 4].eq(0).all()


@both
def test_members_get_what_their_group_holds(sort):
    groups, held = groups_of(sort=sort), values(2, 3, 5, 4)
    spread = spread_to_members(held, groups)
    for image, head, token in itertools.product(range(2), range(3), range(12)):
        assert torch.equal(spread[image, head, token], held[image, head, groups.ids[image, head, token]])
    used = groups.sizes > 0
    assert torch.allclose(mean_of_groups(spread, groups)[used], held[used], atol=1e-12)


@both
def test_strides_do_not_matter(sort):
    groups, packed = groups_of(sort=sort), values(2, 13, 3, 3, 4)
    q = packed.permute(2, 0, 3, 1, 4)[0][:, :, 1:]
    assert not q.is_contiguous()
    assert torch.equal(mean_of_groups(q, groups), mean_of_groups(q.contiguous(), groups))
    held = values(2, 5, 3, 4).transpose(1, 2)
    assert torch.equal(spread_to_members(held, groups), spread_to_members(held.contiguous(), groups))


@both
def test_the_gradients_are_what_the_formulas_say(sort):
    groups = groups_of(sort=sort)
    q, held = values(2, 3, 12, 4).requires_grad_(), values(2, 3, 5, 4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mean_of_groups(x, groups), q)
    assert torch.autograd.gradcheck(lambda x: spread_to_members(x, groups), held)
    above, below = values(2, 3, 5, 4, seed=3), values(2, 3, 12, 4, seed=4)
    mean_of_groups(q, groups).backward(above)
    spread_to_members(held, groups).backward(below)
    for image, head, token in itertools.product(range(2), range(3), range(12)):
        slot = groups.ids[image, head, token]
        by_hand = above[image, head, slot] / groups.sizes[image, head, slot]
        assert torch.allclose(q.grad[image, head, token], by_hand, atol=1e-12)
    by_hand = plain_means(below, groups) * groups.sizes[..., None]
    assert torch.allclose(held.grad, by_hand, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@both
def test_sixteen_bits_cost_rounding_only(sort, dtype):
    ids = torch.zeros(1, 1, 4096, dtype=torch.int64)
    groups = make_groups(ids, 1, ids.argsort(dim=2) if sort else None)
    q = (values(1, 1, 4096, 4) + 100).to(dtype).requires_grad_()  # the sum is beyond float16
    mean = mean_of_groups(q, groups)
    assert mean.dtype == dtype
    assert torch.allclose(mean.double(), q.detach().double().mean(dim=2, keepdim=True), rtol=0.005)
    mean.sum().backward()
    assert q.grad.dtype == dtype and torch.allclose(q.grad.double(), torch.full((), 1 / 4096).double())


@both
def test_the_factorised_form_gives_the_cluster_mean_of_the_exact_output(sort):
    groups = groups_of(sort=sort)
    q, k, v = (values(2, 3, 13, 4, seed=seed) for seed in range(3))
    exact = mix_factorised(q, k, v)
    clustered = broadcast(mix_prototypes(prototypes_of(q, groups), k, v, groups, "factorised"), groups)
    means = spread_to_members(plain_means(exact[:, :, 1:], groups), groups)
    assert torch.allclose(clustered[:, :, 1:], means, rtol=0, atol=1e-10)
    assert torch.allclose(clustered[:, :, :1], exact[:, :, :1], rtol=0, atol=1e-10)
    assert (clustered - exact).abs().max() > 0.1


def test_singletons_give_the_exact_output():
    order = torch.randperm(12, generator=seeded()).expand(2, 3, -1)
    groups = make_groups(order, 12)
    q, k, v = (values(2, 3, 13, 4, seed=seed) for seed in range(3))
    for kind, exact in (("factorised", mix_factorised), ("softmax", mix_softmax)):
        clustered = broadcast(mix_prototypes(prototypes_of(q, groups), k, v, groups, kind), groups)
        assert torch.allclose(clustered, exact(q, k, v), atol=1e-12)


@pytest.mark.parametrize("kind", [*KINDS, "unclustered", "full softmax"])
def test_the_weights_are_what_the_mixing_applies(kind):
    q, k, v = (values(2, 3, 13, 4, seed=seed) for seed in range(3))
    weights = attention_weights(q, k, kind)
    assert weights.shape == (2, 3, 13, 13)
    mixed = mix_softmax(q, k, v) if "softmax" in kind else mix_factorised(q, k, v)
    assert torch.allclose(weights @ v, mixed, atol=1e-12)
    sums_to_one = torch.allclose(weights.sum(dim=3), torch.ones(2, 3, 13, dtype=torch.float64))
    assert sums_to_one == ("softmax" in kind)


@pytest.mark.parametrize("kind", KINDS)
@both
def test_the_gradient_of_the_core_passes_gradcheck_with_the_groups_fixed(sort, kind):
    groups = groups_of(1, 2, 6, 4, sort=sort)

    def core(q, k, v):
        return broadcast(mix_prototypes(prototypes_of(q, groups), k, v, groups, kind), groups)

    assert torch.autograd.gradcheck(core, [values(1, 2, 7, 3, seed=seed).requires_grad_() for seed in range(3)])


@pytest.mark.parametrize("kind", KINDS)
def test_members_of_a_group_get_the_same_gradient_from_the_core(kind):
    groups = groups_of()
    q, k, v = (values(2, 3, 13, 4, seed=seed).requires_grad_() for seed in range(3))
    mixed = broadcast(mix_prototypes(prototypes_of(q, groups), k, v, groups, kind), groups)
    (mixed * values(2, 3, 13, 4, seed=5)).sum().backward()
    grad = q.grad[:, :, 1:]
    assert torch.allclose(grad, spread_to_members(mean_of_groups(grad, groups), groups), atol=1e-12)
    assert grad.flatten(0, 1).std(dim=1).min() > 0  # but not to all alike


def test_buckets_change_nothing(monkeypatch):
    ids = torch.stack([torch.arange(40) % count for count in (1, 2, 3, 5, 8, 40, 1, 13)]).reshape(2, 4, 40)
    groups = make_groups(ids, 40)
    extents = []
    original = query_prototypes.mix_softmax

    def recorded(q, k, v):
        extents.append(q.shape[1] * q.shape[2])
        return original(q, k, v)

    monkeypatch.setattr(query_prototypes, "mix_softmax", recorded)
    results, gradients = [], []
    for waste in (1.25, 1e9):
        monkeypatch.setattr(query_prototypes, "_WASTE", waste)
        q, k, v = (values(2, 4, 41, 4, seed=seed).requires_grad_() for seed in range(3))
        mixed = mix_prototypes(prototypes_of(q, groups), k, v, groups, "softmax")
        results.append(broadcast(mixed, groups))
        (results[-1] * values(2, 4, 41, 4, seed=5)).sum().backward()
        gradients.append(torch.cat([q.grad, k.grad, v.grad]))
    assert torch.allclose(*results, atol=1e-12) and torch.allclose(*gradients, atol=1e-12)
    assert len(extents) == 4 + 1 and sum(extents[:4]) < 0.5 * 8 * 41
