"""Tokens as pictures: components against scikit-learn, cosines by hand, and a lens whose last line is the model's own answer."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from vitviz.errors import Problem
from vitviz.explain.token_views import Tokens, logit_lens, patch_pca, patch_similarity, tokens_of
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer

import_torchvision()
import timm  # noqa: E402

SMALL = {"embed_dim": 48, "num_heads": 3, "depth": 3, "num_classes": 7, "img_size": 64}
LENS_MODELS = {
    "vit_tiny_patch16_224": SMALL,
    "deit_tiny_distilled_patch16_224": SMALL,
    "vit_small_patch14_reg4_dinov2": {**SMALL, "img_size": 56},
    "vit_base_patch16_siglip_224": SMALL,
    "vit_base_patch16_siglip_gap_224": SMALL,
    "vit_medium_patch16_gap_240": SMALL,
    "eva02_tiny_patch14_224": {**SMALL, "img_size": 56},
    "beit_base_patch16_224": SMALL,
    "vit_relpos_medium_patch16_cls_224": SMALL,
    "cait_xxs24_224": SMALL,
    "xcit_nano_12_p16_224": SMALL,
}


def spread(model: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    model.eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 or name.endswith("bias"):
            parameter.normal_(std=0.1, generator=generator)
        elif "gamma" in name:  # of a layer's scale: as it begins, blocks do next to nothing
            parameter.fill_(0.5)
    return model


def build(name: str, **settings) -> torch.nn.Module:
    return spread(timm.create_model(name, **settings))


def ours(pool: str = "cls", num_classes: int = 5) -> VisionTransformer:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}
    return spread(VisionTransformer(**sizes, num_classes=num_classes, pool=pool))


def picture(size: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed))


def made(patches: np.ndarray, grid: tuple[int, int]) -> Tokens:
    return Tokens(patches.astype(np.float32), np.zeros((0, patches.shape[1]), np.float32), grid, 0, 1, False)


@pytest.fixture
def blob() -> Tokens:
    """Random tokens with three strong directions, on a grid of 6 x 8."""
    rng = np.random.default_rng(0)
    return made(rng.normal(size=(48, 12)) * np.array([9, 5, 3, *[0.3] * 9]) + 4, (6, 8))


@pytest.mark.parametrize("norm", [True, False])
def test_tokens_of_a_timm_model_are_its_own_intermediates(norm):
    model, images = build("vit_small_patch14_reg4_dinov2", **{**SMALL, "img_size": 56}), picture(56)
    patches, prefix = model.forward_intermediates(
        images, indices=[1], norm=norm, return_prefix_tokens=True, output_fmt="NLC", intermediates_only=True
    )[0]
    found = tokens_of(model, images, 1, norm=norm)
    np.testing.assert_allclose(found.patches, patches[0], atol=1e-6)
    np.testing.assert_allclose(found.prefix, prefix[0], atol=1e-6)
    assert (found.grid, found.block, found.depth, found.is_normed) == ((4, 4), 1, 3, norm)


def test_the_last_tokens_of_ours_are_those_it_classifies():
    model, images = ours(), picture(32)
    found, output = tokens_of(model, images), model(images, keep=("tokens",))
    np.testing.assert_allclose(found.patches, output.tokens[0, 1:], atol=1e-6)
    np.testing.assert_allclose(found.prefix, output.embedding, atol=1e-6)


def test_a_norm_of_another_width_is_left_out_and_said():
    settings = {"window_size": 2, "embed_dim": 24, "depths": (1, 1, 2, 1), "img_size": 64}
    model, images = build("swin_tiny_patch4_window7_224", **settings), picture(64)
    first, last = (tokens_of(model, images, block) for block in (0, -1))
    assert not first.is_normed and first.grid == (16, 16)
    assert last.is_normed and last.grid == (2, 2)


def test_components_and_their_shares_are_scikit_learn_s(blob):
    found, oracle = patch_pca(blob), PCA(3).fit(blob.patches.astype(np.float64))
    np.testing.assert_allclose(found.shares, oracle.explained_variance_ratio_, rtol=1e-6)
    places = oracle.transform(blob.patches.astype(np.float64))
    places *= np.sign(oracle.components_[np.arange(3), np.abs(oracle.components_).argmax(axis=1)])
    low, high = np.percentile(places, (2, 98), axis=0)
    wanted = np.clip((places - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(found.images[0].reshape(-1, 3), wanted, atol=0.51)
    assert found.images[0].dtype == np.uint8 and found.images[0].shape == (6, 8, 3)


def test_colours_do_not_depend_on_the_order_of_patches_or_of_features(blob):
    rng = np.random.default_rng(1)
    rows, features = rng.permutation(48), rng.permutation(12)
    mixed = patch_pca(made(blob.patches[rows][:, features], (6, 8))).images[0].reshape(-1, 3)
    plain = patch_pca(blob).images[0].reshape(-1, 3)[rows]
    np.testing.assert_allclose(mixed.astype(int), plain.astype(int), atol=1)


def test_two_pictures_share_their_components_and_one_patch_in_both_has_one_colour(blob):
    other = made(blob.patches[::-1][:40] + np.eye(12)[0] * 5, (5, 8))
    other.patches[7] = blob.patches[11]
    together = patch_pca(blob, other)
    assert [image.shape for image in together.images] == [(6, 8, 3), (5, 8, 3)]
    assert (together.images[1].reshape(-1, 3)[7] == together.images[0].reshape(-1, 3)[11]).all()
    assert (together.images[0] != patch_pca(blob).images[0]).any()


def test_the_foreground_is_one_side_of_the_first_component_and_the_rest_is_black(blob):
    object_patches = blob.patches.copy()
    object_patches[:20, 0] += 100
    view = made(object_patches, (6, 8))
    high, low = (patch_pca(view, foreground=side) for side in ("high", "low"))
    assert high.is_foreground[0].ravel().tolist() == [True] * 20 + [False] * 28
    assert (high.is_foreground[0] == ~low.is_foreground[0]).all()
    assert not high.images[0][~high.is_foreground[0]].any()
    assert (
        high.images[0].reshape(-1, 3)[:20] == patch_pca(made(object_patches[:20], (4, 5))).images[0].reshape(-1, 3)
    ).all()
    assert not patch_pca(view, foreground="high", threshold=2.0).is_foreground[0].any()


def test_patches_that_do_not_vary_are_grey():
    found = patch_pca(made(np.ones((6, 4)), (2, 3)))
    assert (found.images[0] == 128).all() and not found.shares.any()
    assert (patch_pca(made(np.arange(2)[:, None] * np.ones((1, 2)), (1, 2))).images[0][..., 1:] == 128).all()


def test_components_of_different_widths_or_an_unknown_side_are_a_problem(blob):
    with pytest.raises(Problem, match="widths"):
        patch_pca(blob, made(np.ones((4, 3)), (2, 2)))
    with pytest.raises(Problem, match="must be one of none, high, low"):
        patch_pca(blob, foreground="left")


def test_similarity_is_the_cosine(blob):
    found = patch_similarity(blob, 2, 3)
    one = blob.patches[19]
    wanted = [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for other in blob.patches]
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-6)
    assert found[2, 3] == pytest.approx(1) and found.shape == (6, 8) and found.dtype == np.float32


def test_a_patch_of_zeros_is_like_nothing(blob):
    blob.patches[5] = 0
    assert patch_similarity(blob, 0, 0)[0, 5] == 0
    assert not patch_similarity(blob, 0, 5).any()


@pytest.mark.parametrize("place", [(6, 0), (0, 8), (-1, 0)])
def test_a_patch_beyond_the_grid_is_a_problem(blob, place):
    with pytest.raises(Problem, match="the grid is 6 x 8"):
        patch_similarity(blob, *place)


@pytest.mark.parametrize("name", LENS_MODELS)
def test_the_lens_ends_with_the_model_s_own_answer(name):
    model, images = build(name, **LENS_MODELS[name]), picture(LENS_MODELS[name]["img_size"])
    lens, wanted = logit_lens(model, images, top=7), model(images)[0].softmax(dim=0)
    order = wanted.argsort(descending=True)
    assert lens.classes.shape == lens.probabilities.shape == (3, 7)
    assert lens.classes[-1].tolist() == order.tolist()
    np.testing.assert_allclose(lens.probabilities[-1], wanted[order], atol=1e-5)
    assert len(np.unique(lens.probabilities[:, 0])) == 3


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_lens_of_ours_is_its_norm_pooling_and_head_on_every_block(pool):
    model, images = ours(pool), picture(32)
    lens = logit_lens(model, images)
    for line, hidden in enumerate(model(images, keep=("hidden",)).hidden):
        tokens = model.norm(hidden)
        pooled = tokens[:, 0] if pool == "cls" else tokens[:, 1:].mean(dim=1)
        wanted = model.head(pooled)[0].softmax(dim=0)
        np.testing.assert_allclose(lens.probabilities[line], wanted[lens.classes[line]], atol=1e-5)
        assert (np.diff(lens.probabilities[line]) <= 0).all() and len(lens.classes[line]) == 5
        assert lens.entropy_bits[line] == pytest.approx(-(wanted * wanted.log2()).sum().item(), abs=1e-4)
        assert lens.final_probabilities[line] == pytest.approx(wanted[lens.classes[-1, 0]].item(), abs=1e-5)


def test_where_there_is_no_lens_it_is_said():
    with pytest.raises(Problem, match="has no classifier"):
        logit_lens(ours(num_classes=0), picture(32))
    with pytest.raises(Problem, match="has no classifier"):
        logit_lens(build("vit_tiny_patch16_224", **{**SMALL, "num_classes": 0}), picture(64))
    settings = {"window_size": 2, "embed_dim": 24, "depths": (1, 1, 1, 1), "img_size": 64}
    with pytest.raises(Problem, match="no logit lens: its blocks differ in width"):
        logit_lens(build("swin_tiny_patch4_window7_224", **settings), picture(64))


def test_eight_threads_on_one_model_each_see_their_own_picture():
    model, images = build("vit_tiny_patch16_224", **SMALL), [picture(64, seed) for seed in range(8)]

    def look(one: torch.Tensor) -> np.ndarray:
        return np.concatenate([tokens_of(model, one, 1).patches.ravel(), logit_lens(model, one).probabilities.ravel()])

    alone = [look(one) for one in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(look, images * 4))
    assert all((found == alone[index % 8]).all() for index, found in enumerate(together))
    assert len({found.tobytes() for found in alone}) == 8
