"""The Vision Transformer against timm's, and what one forward pass returns."""

from types import ModuleType

import pytest
import torch

from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import KEEP, Attention, VisionTransformer, init_weights

TINY = {"img_size": 32, "patch_size": 8, "num_classes": 7, "embed_dim": 24, "depth": 3, "num_heads": 4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(**changes) -> VisionTransformer:
    return init_weights(VisionTransformer(**{**TINY, **changes}), seeded()).eval()


def images(number: int = 3, size: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.rand(number, 3, size, size, generator=seeded(seed)) * 2 - 1


def import_timm() -> ModuleType:
    import_torchvision()
    import timm

    return timm


def timm_tiny() -> tuple[torch.nn.Module, VisionTransformer]:
    theirs = import_timm().create_model("vit_tiny_patch16_224", pretrained=False, img_size=64, num_classes=10)
    shape = {"img_size": 64, "patch_size": 16, "num_classes": 10, "embed_dim": 192, "depth": 12, "num_heads": 3}
    return theirs, VisionTransformer(**shape)


def timm_patch_8() -> tuple[torch.nn.Module, VisionTransformer]:
    shape = {**TINY, "mlp_ratio": 2.0, "qkv_bias": False}
    return import_timm().models.VisionTransformer(**shape), VisionTransformer(**shape)


def timm_mean_pool() -> tuple[torch.nn.Module, VisionTransformer]:
    return import_timm().models.VisionTransformer(**TINY, global_pool="avg", fc_norm=False), VisionTransformer(
        **TINY, pool="mean"
    )


def timm_without_head() -> tuple[torch.nn.Module, VisionTransformer]:
    shape = {**TINY, "num_classes": 0}
    return import_timm().models.VisionTransformer(**shape), VisionTransformer(**shape)


@pytest.mark.parametrize("make", [timm_tiny, timm_patch_8, timm_mean_pool, timm_without_head])
def test_weights_go_from_and_to_timm_and_give_the_same_result(make):
    theirs, ours = make()
    for parameter in theirs.parameters():  # timm starts with zero biases, which would hide a bias gone missing
        torch.nn.init.normal_(parameter, std=0.2, generator=seeded(parameter.numel()))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.eval(), ours.eval()
    batch = images(size=ours.grid[0] * theirs.patch_embed.patch_size[0])
    with torch.no_grad():
        output, features = ours(batch, keep=("tokens",)), theirs.forward_features(batch)
        assert torch.allclose(output.logits, theirs(batch), rtol=1e-5, atol=1e-5)
        assert torch.allclose(output.tokens, features, rtol=1e-5, atol=1e-5)
        assert torch.allclose(output.embedding, theirs.forward_head(features, pre_logits=True), rtol=1e-5, atol=1e-5)
    theirs.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("keep", [(), *((name,) for name in KEEP), KEEP])
def test_a_field_that_was_not_asked_for_is_none(keep):
    output = small()(images(), keep=keep)
    assert {name for name in KEEP if getattr(output, name) is not None} == set(keep)


@torch.no_grad()
def test_what_is_kept_has_the_shapes_that_are_promised():
    output = small()(images(5), keep=KEEP)
    assert (output.logits.shape, output.embedding.shape, output.tokens.shape) == ((5, 7), (5, 24), (5, 17, 24))
    assert [part.shape for part in output.attention] == [(5, 4, 17, 17)] * 3
    assert [part.shape for part in output.hidden] == [(5, 17, 24)] * 3


@torch.no_grad()
def test_keeping_something_changes_nothing():
    model, batch = small(), images()
    plain, kept = model(batch), model(batch, keep=KEEP)
    assert torch.allclose(plain.logits, kept.logits, atol=1e-5)
    assert torch.allclose(model.norm(kept.hidden[-1]), kept.tokens, atol=1e-6)


@torch.no_grad()
def test_attention_rows_sum_to_one_and_are_what_the_fused_path_applies():
    attention = Attention(24, 4, qkv_bias=True)
    tokens = torch.randn(2, 9, 24, generator=seeded())
    fused, nothing = attention(tokens)
    mixed, weights = attention(tokens, keep_attention=True)
    assert nothing is None
    assert (weights >= 0).all() and torch.allclose(weights.sum(dim=-1), torch.ones(2, 4, 9), atol=1e-6)
    assert torch.allclose(fused, mixed, atol=1e-5)
    values = attention.qkv(tokens)[..., 48:].reshape(2, 9, 4, 6).transpose(1, 2)
    by_hand = attention.proj((weights @ values).transpose(1, 2).reshape(2, 9, 24))
    assert torch.allclose(fused, by_hand, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("stem", ["linear", "conv"])
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_an_image_is_embedded_the_same_whatever_stands_beside_it(stem, pool):
    model, batch = small(stem=stem, pool=pool), images(6)
    together = model(batch, keep=("attention",))
    for row in range(6):
        alone = model(batch[row : row + 1], keep=("attention",))
        assert torch.allclose(alone.embedding[0], together.embedding[row], atol=1e-5)
        assert torch.allclose(alone.attention[1][0], together.attention[1][row], atol=1e-5)


@torch.no_grad()
def test_patches_are_read_row_by_row():
    model, batch = small(), torch.zeros(1, 3, 32, 32)
    empty = model.patch_embed(batch)
    batch[0, :, 8:16, 16:24] = 1  # the patch in row 1, column 2
    changed = (model.patch_embed(batch) - empty).abs().sum(dim=2)[0].nonzero().flatten()
    assert changed.tolist() == [1 * model.grid[1] + 2]


@torch.no_grad()
@pytest.mark.parametrize("patch_size", [2, 4, 8, 16])
@pytest.mark.parametrize("embed_dim", [4, 24, 64])
def test_the_convolutional_stem_ends_on_the_patch_grid(patch_size, embed_dim):
    model = small(patch_size=patch_size, embed_dim=embed_dim, stem="conv", depth=1)
    assert model.patch_embed(images()).shape == (3, (32 // patch_size) ** 2, embed_dim)
    assert model(images()).logits.shape == (3, 7)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"img_size": 225, "patch_size": 16}, "img_size=225 must be a multiple of patch_size=16"),
        ({"patch_size": 0}, "img_size=32 must be a multiple of patch_size=0"),
        ({"patch_size": -8}, "img_size=32 must be a multiple of patch_size=-8"),
        ({"embed_dim": 25}, "embed_dim=25 must be divisible by num_heads=4"),
        ({"num_heads": 0}, "embed_dim=24 must be divisible by num_heads=0"),
        ({"img_size": 36, "patch_size": 6, "stem": "conv"}, "patch_size=6 must be a power of two"),
        ({"patch_size": 1, "stem": "conv"}, "patch_size=1 must be a power of two, 2 or more"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_the_rule(changes, rule):
    with pytest.raises(ValueError, match=rule):
        VisionTransformer(**{**TINY, **changes})


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_the_start_is_a_function_of_the_generator_alone(stem):
    model = VisionTransformer(**TINY, stem=stem)
    torch.manual_seed(123)
    first = {name: value.clone() for name, value in init_weights(model, seeded(5)).state_dict().items()}
    for value in model.parameters():
        value.data.fill_(7)
    torch.manual_seed(456)
    second = init_weights(model, seeded(5)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    third = init_weights(model, seeded(6)).state_dict()
    assert not torch.equal(first["blocks.0.mlp.fc1.weight"], third["blocks.0.mlp.fc1.weight"])


def test_a_start_takes_nothing_from_the_global_generator():
    state = torch.get_rng_state()
    init_weights(VisionTransformer(**TINY), seeded())
    before = torch.rand(1)
    torch.set_rng_state(state)
    VisionTransformer(**TINY)
    assert torch.equal(torch.rand(1), before)


def test_every_parameter_gets_a_gradient():
    model = small(stem="conv").train()
    output = model(images(8))
    torch.nn.functional.cross_entropy(output.logits, torch.arange(8) % 7).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_random_depth_drops_whole_branches_only_in_training_and_keeps_the_mean():
    model = small(drop_path_rate=0.5)
    block, tokens = model.blocks[-1], torch.ones(4000, 1, 24)
    torch.manual_seed(0)
    assert torch.equal(block._drop_path(tokens), tokens)
    dropped = block.train()._drop_path(tokens)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped.amin(dim=2), dropped.amax(dim=2))
    assert dropped.mean().item() == pytest.approx(1, abs=0.1)
