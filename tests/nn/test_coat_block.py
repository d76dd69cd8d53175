"""The parts of a CoaT block: attention with its gates, the clustered MLP, and what a block keeps."""

import pytest
import torch
from torch.nn import functional as F

from vitviz.nn.coat_block import (
    KEEP,
    UNCLUSTERED,
    Clustering,
    ConvAttention,
    ConvPosEnc,
    ConvRelPosEnc,
    SerialBlock,
    mlp_of_prototypes,
)
from vitviz.nn.query_groups import Grouping
from vitviz.nn.query_prototypes import mean_of_groups, mix_factorised, mix_softmax, spread_to_members
from vitviz.nn.vit import Mlp

GRID = (6, 5)
WINDOW = {3: 1, 5: 2, 7: 1}
SINGLETONS = Grouping(r_rel=1e-4)
COARSE = Grouping(method="sign", num_bits=2)
KINDS = ("unclustered", "factorised", "softmax", "full softmax")
GATES = ("query", "value", "prototype")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fill(module: torch.nn.Module, std: float = 0.3) -> torch.nn.Module:
    for parameter in module.double().parameters():
        torch.nn.init.normal_(parameter, std=std, generator=seeded(parameter.numel()))
    return module.eval()


def tokens(batch: int = 3, dim: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, 31, dim, generator=seeded(seed), dtype=torch.float64)


def attention() -> ConvAttention:
    return fill(ConvAttention(16, 4, True, ConvRelPosEnc(4, WINDOW)))


def block() -> SerialBlock:
    return fill(SerialBlock(16, 4, 2.0, True, 0.0, ConvPosEnc(16), ConvRelPosEnc(4, WINDOW)))


def encoded(module: ConvAttention, v: torch.Tensor) -> torch.Tensor:
    """DWConv(V) of the patches (B, h, N, d), one head at a time."""
    sizes = [size for size, heads in WINDOW.items() for _ in range(heads)]
    weights = torch.cat([F.pad(conv.weight, [(7 - conv.kernel_size[0]) // 2] * 4) for conv in module.crpe.conv_list])
    bias = torch.cat([conv.bias for conv in module.crpe.conv_list])
    heads = []
    for head in range(4):
        image = v[:, head, 1:].mT.unflatten(2, GRID)
        own = slice(4 * head, 4 * head + 4)
        assert weights[own].count_nonzero() == 4 * sizes[head] ** 2
        heads.append(F.conv2d(image, weights[own], bias[own], padding=3, groups=4).flatten(2).mT)
    return torch.stack(heads, dim=1)


@torch.no_grad()
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_what_the_formulas_say(kind, gate):
    module, x = attention(), tokens()
    out, mixed = module(x, GRID, kind=kind, gate=gate, grouping=COARSE)
    q, k, v = module.qkv(x).unflatten(2, (3, 4, 4)).permute(2, 0, 3, 1, 4)
    asked = torch.cat([q[:, :, :1], averaged(q, mixed)], dim=2)
    core = mix_softmax(asked, k, v) if "softmax" in kind else mix_factorised(asked, k, v)
    gates = {"query": q[:, :, 1:], "value": v[:, :, 1:], "prototype": asked[:, :, 1:]}
    core[:, :, 1:] += gates[gate] * encoded(module, v)
    assert torch.allclose(mixed.values, core, atol=1e-10)
    assert torch.allclose(out, module.proj(core.transpose(1, 2).flatten(2)), atol=1e-10)
    assert all(torch.equal(*pair) for pair in zip((mixed.queries, mixed.keys, mixed.values_in), (q, k, v), strict=True))


def averaged(q: torch.Tensor, mixed) -> torch.Tensor:
    """The patches' queries, each in the place of which stands the mean of its group."""
    if mixed.groups is None:
        return q[:, :, 1:]
    return spread_to_members(mean_of_groups(q[:, :, 1:], mixed.groups), mixed.groups)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_clustered_kinds_have_groups_and_the_cls_token_is_its_own_prototype(kind):
    _, mixed = attention()(tokens(), GRID, kind=kind, gate="query", grouping=COARSE)
    if kind in ("unclustered", "full softmax"):
        assert mixed.groups is None and mixed.prototypes is None
    else:
        assert mixed.groups.ids.shape == (3, 4, 30) and mixed.prototypes.shape == (3, 4, 1 + 4, 4)
        assert torch.equal(mixed.prototypes[:, :, 0], mixed.queries[:, :, 0])
        means = mean_of_groups(mixed.queries[:, :, 1:], mixed.groups)
        assert torch.equal(mixed.prototypes[:, :, 1:], means)


@torch.no_grad()
@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(("clustered", "exact"), [("factorised", "unclustered"), ("softmax", "full softmax")])
def test_singletons_give_the_exact_attention(clustered, exact, gate):
    module, x = attention(), tokens()
    ours, mixed = module(x, GRID, kind=clustered, gate=gate, grouping=SINGLETONS)
    assert mixed.groups.counts.eq(30).all()
    theirs, _ = module(x, GRID, kind=exact, gate=gate, grouping=SINGLETONS)
    assert torch.allclose(ours, theirs, atol=1e-10)
    coarse, _ = module(x, GRID, kind=clustered, gate=gate, grouping=COARSE)
    assert (coarse - theirs).abs().max() > 0.1


@torch.no_grad()
def test_the_clustered_mlp_gives_every_member_what_the_mean_gets():
    mlp, x = fill(Mlp(16, 32, 0.0)), tokens()
    changed, groups = mlp_of_prototypes(mlp, x, Grouping(method="sign", num_bits=3), GRID)
    assert groups.ids.shape == (3, 1, 30) and groups.counts.max() < 30
    for image, ids in enumerate(groups.ids[:, 0]):
        assert torch.allclose(changed[image, 0], mlp(x[image, 0]), atol=1e-12)
        for slot in ids.unique():
            members = (ids == slot).nonzero().flatten() + 1
            expected = mlp(x[image, members].mean(dim=0)).expand(len(members), -1)
            assert torch.allclose(changed[image, members], expected, atol=1e-12)
    alone, _ = mlp_of_prototypes(mlp, x, SINGLETONS, GRID)
    assert torch.allclose(alone, mlp(x), atol=1e-12) and (changed - mlp(x)).abs().max() > 0.1


@torch.no_grad()
def test_the_clustered_mlp_runs_over_prototypes_only():
    mlp, x, rows = fill(Mlp(16, 32, 0.0)), tokens(), []
    handle = mlp.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    _, groups = mlp_of_prototypes(mlp, x, Grouping(method="sign", num_bits=5), GRID)
    handle.remove()
    assert groups.counts.min() < groups.num_slots and rows == [3 + int(groups.counts.sum())]


@pytest.mark.parametrize("method", ["e2lsh", "sign"])
def test_the_clustered_mlp_passes_the_gradient_of_its_prototypes_on(method):
    mlp, x = fill(Mlp(16, 32, 0.0)), tokens().requires_grad_()
    changed, groups = mlp_of_prototypes(mlp, x, Grouping(method=method, num_bits=3, r_rel=24.0), GRID)
    assert 1 < groups.counts.min() <= groups.counts.max() < 20
    changed.backward(tokens(seed=4))
    y = x.detach().clone().requires_grad_()
    share = (groups.ids[:, 0, :, None] == groups.ids[:, 0, None]).double()
    means = share / share.sum(dim=2, keepdim=True) @ y[:, 1:]
    torch.cat([mlp(y[:, :1]), mlp(means)], dim=1).backward(tokens(seed=4))
    assert torch.allclose(x.grad, y.grad, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("keep", [(), *((name,) for name in KEEP), KEEP])
def test_a_block_keeps_what_was_asked_for(keep):
    clustering = Clustering(grouping=COARSE, mlp_stages=(1,), mlp_grouping=COARSE)
    x, kept = block()(tokens(), GRID, 1, keep, clustering)
    fields = set(KEEP) - {"tokens"}
    assert {name for name in fields if getattr(kept, name) is not None} == set(keep) & fields
    assert kept.stage == 1 and kept.grid == GRID
    assert kept.hidden is None or torch.equal(kept.hidden, x)
    if kept.qkv is not None and kept.mixed is not None:
        assert {part.shape for part in (*kept.qkv, kept.mixed)} == {(3, 4, 31, 4)}


@torch.no_grad()
def test_a_block_clusters_in_the_stages_named_only():
    clustering = Clustering(grouping=COARSE, mlp_stages=(2,), mlp_grouping=Grouping(method="sign", num_bits=3))
    found = [block()(tokens(), GRID, stage, KEEP, clustering)[1] for stage in (1, 2, 3, 4)]
    assert [output.groups is not None for output in found] == [True, True, False, False]
    assert [output.mlp_groups is not None for output in found] == [False, True, False, False]
    assert (found[1].groups.num_slots, found[1].mlp_groups.num_slots) == (4, 8)


def test_random_depth_drops_whole_branches_only_in_training_and_keeps_the_mean():
    module, x = block(), torch.ones(4000, 1, 16)
    module.drop_path = 0.5
    torch.manual_seed(0)
    assert torch.equal(module._drop_path(x), x)
    dropped = module.train()._drop_path(x)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped.amin(dim=2), dropped.amax(dim=2))
    assert dropped.mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"attention": ("factorised",) * 3}, "must be four of unclustered, factorised, softmax, full softmax"),
        ({"attention": ("linear",) * 4}, "must be four of unclustered"),
        ({"gate": "key"}, "gate='key' must be one of query, value, prototype"),
        ({"mlp_stages": (0, 1)}, r"mlp_stages=\(0, 1\) must be among 1, 2, 3, 4"),
    ],
)
def test_settings_that_do_not_exist_are_refused_with_the_rule(settings, rule):
    with pytest.raises(ValueError, match=rule):
        Clustering(**settings)


def test_the_settings_without_clusters_have_none():
    assert set(UNCLUSTERED.attention) == {"unclustered"} and UNCLUSTERED.mlp_stages == ()
