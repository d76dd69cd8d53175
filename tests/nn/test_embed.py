"""The three embeddings: the paper's sizes, one interface, and a ViT behind each."""

import pytest
import torch

from vitviz.nn.embed import KEEP, TIERS, ConvEmbed, NormedPatchEmbed, SuperTokenEmbed, Tier, paper_vit
from vitviz.nn.supertokens import cluster_pixels
from vitviz.nn.vit import init_weights

MAKERS = [
    NormedPatchEmbed,
    ConvEmbed,
    lambda **kw: ConvEmbed(stem="table4_1x1", **kw),
    lambda **kw: ConvEmbed(stem="earlyconv", **kw),
    SuperTokenEmbed,
]
NAMES = ["patch", "conv 3x3", "conv 1x1", "EarlyConv", "super token"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(number: int = 2, size: int = 64, seed: int = 1) -> torch.Tensor:
    return torch.rand(number, 3, size, size, generator=seeded(seed)) * 2 - 1


def small_vit(make, size: int = 64):
    return init_weights(paper_vit(make(embed_dim=48), img_size=size, num_classes=7, depth=2), seeded())


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("make", "embedding", "total"),
    [
        (MAKERS[0], 297_600, 18_162_916),
        (MAKERS[1], 3_490_560, 21_355_876),
        (MAKERS[2], 2_310_912, 20_176_228),
        (MAKERS[3], 1_021_488, 18_886_804),
        (MAKERS[4], 132_192, 17_997_508),
    ],
    ids=NAMES,
)
def test_the_parameters_are_as_many_as_in_the_paper(make, embedding, total):
    with torch.device("meta"):
        patch_embed = make()
        assert (num_parameters(patch_embed), num_parameters(paper_vit(patch_embed))) == (embedding, total)


def test_the_convolutions_of_early_conv_alone_are_1_019_664():
    convolutions = [module for module in ConvEmbed(stem="earlyconv").modules() if isinstance(module, torch.nn.Conv2d)]
    assert sum(module.weight.numel() for module in convolutions) == 1_019_664


@torch.no_grad()
@pytest.mark.parametrize(
    ("tier", "shape"),
    [
        ("without_conv", (1, 3, 224, 224)),
        ("module1", (1, 16, 224, 224)),
        ("modules12", (1, 32, 112, 112)),
        ("modules14", (1, 64, 56, 56)),
        ("modules16", (1, 64, 28, 28)),
        ("extra", (1, 64, 14, 14)),
    ],
)
def test_every_tier_clusters_the_map_of_table_7_into_196_tokens(tier, shape):
    out = SuperTokenEmbed(tier=tier).eval().embed(images(1, 224), keep=("features", "association"))
    assert out.features.shape == shape and out.association.shape == (1, 9, *shape[2:])
    assert out.tokens.shape == (1, 196, 384) and out.grid == (14, 14)
    assert TIERS[tier].stride == 16


@torch.no_grad()
@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
def test_all_have_one_interface(make):
    embedding = make(embed_dim=48).eval()
    out = embedding.embed(images(2, 64))
    assert out.tokens.shape == (2, 16, 48) and out.grid == (4, 4)
    assert torch.equal(embedding(images(2, 64)), out.tokens)
    assert [name for name in KEEP if getattr(out, name) is not None] == []
    alone = torch.cat([embedding(image[None]) for image in images(2, 64)])
    assert torch.allclose(alone, out.tokens, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("keep", [(), *((name,) for name in KEEP), KEEP])
def test_a_field_that_was_not_asked_for_is_none(keep):
    out = SuperTokenEmbed(embed_dim=48).eval().embed(images(1, 32), keep=keep)
    assert {name for name in KEEP if getattr(out, name) is not None} == set(keep)


@torch.no_grad()
def test_the_tokens_are_the_projected_super_tokens_row_by_row():
    embedding = SuperTokenEmbed(embed_dim=48, num_iterations=2).eval()
    out = embedding.embed(images(2, 64), keep=("features",))
    clusters = cluster_pixels(out.features, cell_size=2, num_iterations=2)
    assert torch.allclose(out.tokens[:, 1 * 4 + 2], embedding.proj(clusters.tokens[:, :, 1, 2]), atol=1e-5)


@torch.no_grad()
def test_patches_are_read_row_by_row():
    embedding, batch = NormedPatchEmbed(embed_dim=48), torch.zeros(1, 3, 64, 64)
    empty = embedding(batch)
    batch[0, 0, 16:32, 32:40] = 1  # in the patch in row 1, column 2
    assert (embedding(batch) - empty).abs().sum(dim=2)[0].nonzero().flatten().tolist() == [1 * 4 + 2]


@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
def test_a_vit_behind_it_learns_every_parameter(make):
    model = small_vit(make).train()
    torch.nn.functional.cross_entropy(model(images(6)).logits, torch.arange(6)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@torch.no_grad()
def test_a_tier_of_ones_own_suits_small_images():
    embedding = SuperTokenEmbed(embed_dim=48, tier=Tier((8, 16), (1, 2), 2))
    model = paper_vit(embedding, img_size=32, num_classes=7, depth=1).eval()
    assert embedding.stride == 4 and model.grid == (8, 8)
    assert model(images(2, 32)).logits.shape == (2, 7)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: SuperTokenEmbed(tier="modules15"), "tier='modules15' must be one of without_conv, module1"),
        (lambda: ConvEmbed(stem="early"), "stem='early' must be one of table4, table4_1x1, earlyconv"),
        (lambda: ConvEmbed(embed_dim=100), "embed_dim=100 must be divisible by 8"),
        (lambda: NormedPatchEmbed()(images(1, 40)), "an image of 40 x 40 pixels must be a multiple of patch_size=16"),
        (lambda: paper_vit(NormedPatchEmbed(), img_size=225), "img_size=225 must be a multiple of patch_size=16"),
        (lambda: NormedPatchEmbed().embed(images(1), keep=("labels",)), "labels"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_rule(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
