"""CoaT-Lite against timm's, and what one forward pass returns, with and without clusters."""

import dataclasses
from types import ModuleType

import pytest
import torch
from torch.nn import functional as F

from vitviz.nn.coat import SIZES, CoaT, coat_lite, init_weights, pad_to_tokens
from vitviz.nn.coat_block import KEEP, UNCLUSTERED, Clustering
from vitviz.nn.query_groups import METHODS, Grouping, group_queries
from vitviz.nn.torchvision_import import import_torchvision

SMALL = {
    "patch_size": 2,
    "num_classes": 7,
    "embed_dims": (16, 16, 24, 32),
    "serial_depths": (2, 1, 1, 1),
    "mlp_ratios": (2, 2, 2, 2),
}
PARAMETERS = {"tiny": 5_721_960, "mini": 11_011_560, "small": 19_838_504, "medium": 44_571_048}
SINGLETONS = Clustering(
    attention=("factorised",) * 4,
    grouping=Grouping(r_rel=1e-4),
    mlp_stages=(1, 2, 3, 4),
    mlp_grouping=Grouping(r_rel=1e-4),
)
COARSE = Clustering(attention=("factorised",) * 4, grouping=Grouping(method="sign", num_bits=1))
KINDS = ("unclustered", "factorised", "softmax", "full softmax")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(number: int = 3, height: int = 32, width: int = 32, seed: int = 1) -> torch.Tensor:
    """Coarse patches of colour under a little noise."""
    coarse = torch.rand(number, 3, 4, 4, generator=seeded(seed))
    fine = F.interpolate(coarse, size=(height, width), mode="bilinear")
    return fine * 2 - 1 + 0.1 * torch.randn(fine.shape, generator=seeded(seed + 1))


def loud(model: torch.nn.Module) -> torch.nn.Module:
    """Queries, keys and values thirty times as large: fresh ones are so small that attention could be anything."""
    for name, parameter in model.named_parameters():
        if "qkv" in name:
            parameter.data.mul_(30)
    return model.eval()


def small(**changes) -> CoaT:
    return loud(init_weights(CoaT(**{**SMALL, **changes}), seeded()))


def import_timm() -> ModuleType:
    import_torchvision()
    import timm

    return timm


@pytest.fixture(scope="module", params=SIZES)
def pair(request) -> tuple[torch.nn.Module, CoaT, str]:
    """timm's model for 64 pixels, and ours with its weights, of which none is left at 0 or 1."""
    theirs = import_timm().create_model(f"coat_lite_{request.param}", pretrained=False, img_size=64)
    for name, parameter in theirs.named_parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn(parameter.shape, generator=seeded(len(name))), alpha=0.1)
    ours = coat_lite(request.param)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(loud(theirs).state_dict(), strict=True)
    return theirs.eval(), ours.eval(), request.param


@torch.no_grad()
def test_singletons_give_the_result_of_timm_and_groups_another(pair):
    theirs, ours, _ = pair
    batch = images(2, 64, 64)
    features, logits = theirs.forward_features(batch), theirs(batch)
    for clustering in (UNCLUSTERED, SINGLETONS):
        output = ours(batch, keep=("tokens", "groups", "mlp_groups"), clustering=clustering)
        assert (output.tokens - features).abs().max() <= 1e-5
        assert (output.embedding - theirs.forward_head(features, pre_logits=True)).abs().max() <= 1e-5
        assert (output.logits - logits).abs().max() <= 1e-5
    for block in output.blocks:
        assert block.groups.counts.eq(block.grid[0] * block.grid[1]).all()
        assert block.mlp_groups.counts.eq(block.grid[0] * block.grid[1]).all()
    assert (ours(batch, clustering=COARSE).logits - logits).abs().max() > 0.1


def test_the_sizes_are_those_published_and_weights_go_back_to_timm(pair):
    theirs, ours, size = pair
    assert sum(parameter.numel() for parameter in ours.parameters()) == PARAMETERS[size]
    theirs.load_state_dict(ours.state_dict(), strict=True)


@torch.no_grad()
def test_other_shapes_of_image_give_the_result_of_timm_built_for_them():
    theirs = import_timm().create_model("coat_lite_tiny", pretrained=False, img_size=(96, 32), num_classes=5).eval()
    ours = coat_lite("tiny", num_classes=5, clustering=UNCLUSTERED).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    batch = images(2, 96, 32)
    output = ours(batch, keep=("tokens",))
    assert torch.allclose(output.logits, theirs(batch), atol=1e-5)
    assert [block.grid for block in output.blocks] == [(24, 8)] * 2 + [(12, 4)] * 2 + [(6, 2)] * 2 + [(3, 1)] * 2


@torch.no_grad()
@pytest.mark.parametrize("without", [{"num_classes": 0}, {"qkv_bias": False}])
def test_leaving_something_out_is_as_in_timm(without):
    names = {**SMALL, "patch_size": 4, **without}
    theirs = loud(import_timm().models.coat.CoaT(img_size=32, **names))
    ours = CoaT(**names, clustering=UNCLUSTERED).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert torch.allclose(ours(images()).logits, theirs(images()), atol=1e-5)


def test_clusters_leave_no_trace_in_the_state():
    plain = small(clustering=UNCLUSTERED)
    for method in METHODS:
        chosen = Clustering(grouping=Grouping(method=method), mlp_stages=(1, 2), gate="prototype")
        model = small(clustering=chosen)
        model(images())
        assert list(model.state_dict()) == list(plain.state_dict()) and not list(model.buffers())
        plain.load_state_dict(model.state_dict(), strict=True)


@torch.no_grad()
@pytest.mark.parametrize("patch_size", [1, 2, 4])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (1, 1), (5, 70)])
def test_an_image_of_any_size_is_padded_to_whole_tokens(patch_size, height, width):
    model, batch = small(patch_size=patch_size, embed_dims=(32, 64, 96, 128)), images(2, height, width)
    padded = pad_to_tokens(batch, patch_size)
    step = 8 * patch_size
    assert padded.shape[2] % step == 0 == padded.shape[3] % step
    assert padded.shape[2] - height < step and padded.shape[3] - width < step
    assert torch.equal(padded[..., :height, :width], batch) and padded.count_nonzero() == batch.count_nonzero()
    output = model(batch, keep=("tokens",))
    assert torch.equal(output.logits, model(padded).logits)
    rows, columns = padded.shape[2] // step, padded.shape[3] // step
    assert [block.grid for block in output.blocks[-1:]] == [(rows, columns)]
    assert output.tokens.shape == (2, 1 + rows * columns, 128)


@torch.no_grad()
def test_what_is_kept_has_the_shapes_that_are_promised():
    output = small(clustering=Clustering(grouping=Grouping(method="sign"), mlp_stages=(1, 2)))(images(5), keep=KEEP)
    assert (output.logits.shape, output.embedding.shape, output.tokens.shape) == ((5, 7), (5, 32), (5, 5, 32))
    assert [block.stage for block in output.blocks] == [1, 1, 2, 3, 4]
    for block, dim, side in zip(output.blocks, (16, 16, 16, 24, 32), (16, 16, 8, 4, 2), strict=True):
        assert block.grid == (side, side) and block.hidden.shape == (5, 1 + side**2, dim)
        assert {part.shape for part in (*block.qkv, block.mixed)} == {(5, 8, 1 + side**2, dim // 8)}
        assert (block.groups is not None) == (block.mlp_groups is not None) == (block.stage < 3)
        if block.groups is not None:
            assert block.groups.ids.shape == (5, 8, side**2) and block.mlp_groups.ids.shape == (5, 1, side**2)
            assert block.prototypes.shape == (5, 8, 1 + 64, dim // 8)


@torch.no_grad()
def test_keeping_something_changes_nothing():
    model = small()
    plain, kept = model(images()), model(images(), keep=KEEP)
    assert torch.equal(plain.logits, kept.logits)
    assert torch.equal(model.norm4(kept.blocks[-1].hidden), kept.tokens)
    for block in plain.blocks:
        assert all(getattr(block, field) is None for field in set(KEEP) - {"tokens"})
    assert plain.tokens is None


@torch.no_grad()
def test_what_if_is_another_argument_and_leaves_the_model_as_it_was():
    model, other = small(), Clustering(attention=("softmax", "softmax", "full softmax", "unclustered"), gate="value")
    before, settings = model(images()).logits, model.clustering
    if_so = model(images(), clustering=other).logits
    assert torch.equal(if_so, small(clustering=other)(images()).logits)
    assert (if_so - before).abs().max() > 1e-3
    assert model.clustering is settings and torch.equal(model(images()).logits, before)


@torch.no_grad()
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["factorised", "softmax"])
def test_an_image_is_embedded_the_same_whatever_stands_beside_it(method, kind):
    grouping = Grouping(method=method, num_clusters=16, num_bits=4)
    chosen = Clustering(attention=(kind,) * 4, grouping=grouping, mlp_stages=(1, 2), mlp_grouping=grouping)
    model, batch = small(clustering=chosen).double(), images(4).double()
    together = model(batch, keep=("groups",))
    for row in range(4):
        alone = model(batch[row : row + 1], keep=("groups",))
        assert torch.allclose(alone.logits[0], together.logits[row], atol=1e-9)
        assert torch.equal(alone.blocks[0].groups.ids[0], together.blocks[0].groups.ids[row])


@torch.no_grad()
def test_the_same_images_give_the_same_bits_and_another_seed_others():
    model = small()
    torch.manual_seed(1)
    first = model(images()).logits
    torch.manual_seed(2)
    assert torch.equal(model(images()).logits, first)
    reseeded = dataclasses.replace(model.clustering, grouping=Grouping(seed=1))
    assert not torch.equal(model(images(), clustering=reseeded).logits, first)


@torch.no_grad()
@pytest.mark.parametrize("method", METHODS)
def test_a_constant_image_and_a_single_token_are_clustered_too(method):
    grouping = Grouping(method=method, num_bits=8, num_clusters=500)
    chosen = Clustering(attention=("softmax",) * 4, grouping=grouping, mlp_stages=(1, 2, 3, 4), mlp_grouping=grouping)
    model = small(clustering=chosen)
    assert model(torch.full((2, 3, 32, 32), 0.5)).logits.isfinite().all()
    output = model(torch.zeros(1, 3, 1, 1), keep=("groups",))
    assert output.logits.isfinite().all() and output.blocks[-1].groups.counts.eq(1).all()


@torch.no_grad()
def test_the_budget_holds_in_every_block():
    chosen = Clustering(grouping=Grouping(r_rel=0.5, max_clusters=9))
    output, free = (small(clustering=c)(images(), keep=("groups",)) for c in (chosen, Clustering()))
    counts = torch.stack([block.groups.counts for block in output.blocks if block.groups])
    assert counts.max() <= 9 < torch.stack([block.groups.counts for block in free.blocks if block.groups]).max()


@torch.no_grad()
def test_under_autocast_queries_are_hashed_in_float32():
    model = small()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(images(), keep=("groups", "qkv"))
    assert output.logits.isfinite().all()
    for block in output.blocks[:3]:
        queries = block.qkv[0][:, :, 1:]
        assert queries.dtype == torch.bfloat16
        again = group_queries(queries.float(), model.clustering.grouping, grid=block.grid)
        assert torch.equal(again.ids, block.groups.ids)


@pytest.mark.parametrize("gate", ["query", "value", "prototype"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(kind, gate):
    chosen = Clustering(attention=(kind,) * 4, gate=gate, mlp_stages=(1, 2), mlp_grouping=Grouping(r_rel=8.0))
    model = small(clustering=chosen, serial_depths=(1, 1, 1, 2)).train()  # the last block's patches are read by nobody
    F.cross_entropy(model(images(8)).logits, torch.arange(8) % 7).backward()
    lacking = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert lacking == set()


def test_the_start_is_a_function_of_the_generator_alone():
    model = CoaT(**SMALL)
    torch.manual_seed(123)
    first = {name: value.clone() for name, value in init_weights(model, seeded(5)).state_dict().items()}
    for value in model.parameters():
        value.data.fill_(7)
    torch.manual_seed(456)
    second = init_weights(model, seeded(5)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    third = init_weights(model, seeded(6)).state_dict()
    assert not torch.equal(first["serial_blocks1.0.mlp.fc1.weight"], third["serial_blocks1.0.mlp.fc1.weight"])


@pytest.mark.parametrize("num_heads", [1, 2, 3, 4, 8])
@torch.no_grad()
def test_other_numbers_of_heads_have_windows_too(num_heads):
    model = small(num_heads=num_heads, embed_dims=(24, 24, 24, 48))
    assert sum(model.crpe1.splits) == 24
    assert model(images()).logits.shape == (3, 7)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"embed_dims": (16, 16, 24, 33)}, r"embed_dims=\(16, 16, 24, 33\) must be divisible by num_heads=8"),
        ({"embed_dims": (16, 16, 24)}, r"embed_dims=\(16, 16, 24\) must be four numbers"),
        ({"serial_depths": (1, 1, 0, 1)}, r"serial_depths=\(1, 1, 0, 1\) must be four numbers greater than 0"),
        ({"patch_size": 0}, "patch_size=0 and num_heads=8 must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_the_rule(changes, rule):
    with pytest.raises(ValueError, match=rule):
        CoaT(**{**SMALL, **changes})


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="size='huge' must be one of tiny, mini, small, medium"):
        coat_lite("huge")
    with pytest.raises(ValueError, match="must be among tokens, hidden"):
        small()(images(), keep=("attention",))
