"""Where features come from: the right network, the right size, and a recipe that says what was done."""

import numpy as np
import pytest
import torch

from vitviz.data.batches import to_tensor
from vitviz.errors import Problem
from vitviz.explain.supertoken_features import as_fed, features_of_pixels, features_of_run, features_of_vit
from vitviz.explain.timm_models import load_timm
from vitviz.nn.embed import NormedPatchEmbed, SuperTokenEmbed, paper_vit
from vitviz.nn.vit import VisionTransformer, init_weights


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def seeded(model: VisionTransformer) -> VisionTransformer:
    return init_weights(model, torch.Generator().manual_seed(0)).eval()


@pytest.fixture(scope="module")
def supertoken_model() -> VisionTransformer:
    return seeded(paper_vit(SuperTokenEmbed(embed_dim=24, similarity="cosine"), img_size=32, depth=1, num_heads=2))


@pytest.fixture(scope="module")
def patch_model() -> VisionTransformer:
    return seeded(paper_vit(NormedPatchEmbed(embed_dim=24, patch_size=8), img_size=32, depth=3, num_heads=2))


@pytest.fixture(scope="module")
def timm_model():
    return load_timm("test_vit").model


@pytest.mark.parametrize(
    ("size", "fed"),
    [
        ((300, 300), (224, 224)),
        ((200, 300), (224, 336)),
        ((300, 200), (336, 224)),
        ((100, 900), (224, 672)),
        ((900, 100), (672, 224)),
        ((20, 21), (224, 240)),
    ],
)
def test_a_picture_is_fed_whole_with_its_short_side_at_the_network_s_size_and_at_most_three_to_one(size, fed):
    assert as_fed(photo(*size), 224).shape == (*fed, 3)


def test_a_picture_that_fits_is_fed_untouched():
    image = photo(32, 48)
    assert as_fed(image, 32) is image


def test_a_picture_fed_twice_as_large_has_four_times_the_super_tokens_at_half_the_stride(supertoken_model):
    image = photo(96, 192)
    once, twice = (features_of_run(supertoken_model, image, run_name="mine", zoom=zoom) for zoom in (1, 2))
    assert twice.values.shape[1:] == (2 * once.values.shape[1], 2 * once.values.shape[2])
    assert (twice.cell_size, twice.stride) == (once.cell_size, once.stride / 2)
    assert once.recipe != twice.recipe


def test_the_features_of_a_run_are_those_its_embedding_clusters(supertoken_model):
    image = photo(32, 64)
    features = features_of_run(supertoken_model, image, run_name="mine")
    expected = supertoken_model.patch_embed.embed(to_tensor(image[None], "cpu"), keep=("features",)).features[0]
    assert np.array_equal(features.values, expected.detach().numpy())
    assert features.values.shape == (64, 4, 8)
    assert (features.cell_size, features.stride, features.source) == (2, 8.0, "supertoken_embedding")
    assert (features.similarity, features.scale) == ("cosine", None)
    assert "mine" in features.recipe and "64 x 32" in features.recipe


def test_the_stride_is_told_in_pixels_of_the_picture_that_was_given(supertoken_model):
    assert features_of_run(supertoken_model, photo(96, 192), run_name="mine").stride == 24


def test_a_run_without_super_tokens_is_looked_at_post_hoc(patch_model):
    features = features_of_run(patch_model, photo(20, 40), run_name="plain")
    assert features.source == "post_hoc"
    assert "post hoc" in features.recipe and "plain" in features.recipe and "proportions changed" in features.recipe


@pytest.mark.parametrize("block", [-1, 0, 1])
def test_post_hoc_features_of_our_vit_are_its_patch_tokens_behind_the_norm(patch_model, block):
    image = photo(32, 32)
    features = features_of_vit(patch_model, image, name="plain", block=block)
    with torch.no_grad():
        out = patch_model(to_tensor(image[None], "cpu"), keep=("hidden", "tokens"))
        tokens = patch_model.norm(out.hidden[block])
    assert features.values.shape == (24, 4, 4)
    for row, column in np.ndindex(4, 4):
        assert np.allclose(features.values[:, row, column], tokens[0, 1 + 4 * row + column], atol=1e-6)
    assert (block == -1) == torch.equal(tokens, out.tokens)


def test_post_hoc_features_of_a_timm_vit_are_its_patch_tokens_without_the_prefix(timm_model):
    side = timm_model.patch_embed.img_size[0]
    image, about = photo(side, side), timm_model.pretrained_cfg
    features = features_of_vit(timm_model, image, name="test_vit", cell_size=3)
    scaled = (image / 255 - np.array(about["mean"])) / np.array(about["std"])
    with torch.no_grad():
        tokens = timm_model.forward_features(torch.tensor(scaled, dtype=torch.float32).permute(2, 0, 1)[None])
    patches = tokens[0, timm_model.num_prefix_tokens :].numpy()
    assert np.allclose(features.values.reshape(len(features.values), -1), patches.T, atol=1e-5)
    assert features.cell_size == 3
    assert features.recipe.startswith("post hoc: test_vit")


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3", "test_vit_relpos"])
def test_looking_at_a_timm_vit_leaves_no_hook_and_no_change_on_it(name):
    model = load_timm(name).model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    features = features_of_vit(model, photo(50, 90), name=name, block=0)
    assert np.isfinite(features.values).all() and features.values.std() > 0
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_timm_vit_that_takes_any_size_is_fed_the_picture_in_its_proportions():
    from vitviz.nn.torchvision_import import import_torchvision

    import_torchvision()
    import timm

    model = timm.create_model("test_vit", dynamic_img_size=True).eval()
    side, patch = model.patch_embed.img_size[0], model.patch_embed.patch_size[0]
    features = features_of_vit(model, photo(100, 200), name="test_vit")
    assert features.values.shape[1:] == (side // patch, 2 * side // patch)
    assert "proportions" not in features.recipe


@pytest.mark.parametrize("block", [3, -4])
def test_a_block_that_is_not_there_is_named(patch_model, block):
    with pytest.raises(Problem, match=f"block {block} of plain: it has 3 blocks; choose 0 to 2"):
        features_of_vit(patch_model, photo(32, 32), name="plain", block=block)


def test_a_model_that_is_no_vit_is_a_problem():
    with pytest.raises(Problem, match="a stem is no ViT"):
        features_of_vit(torch.nn.Conv2d(3, 4, 3), photo(32, 32), name="a stem")


@pytest.mark.parametrize("size", [(321, 481), (481, 321), (341, 512), (512, 512), (100, 100)])
def test_the_cells_of_pixels_are_about_196(size):
    features = features_of_pixels(photo(*size))
    height, width = features.values.shape[1:]
    assert (height, width) == size
    assert 0.85 < -(-height // features.cell_size) * -(-width // features.cell_size) / 196 < 1.15


def test_a_large_picture_is_shrunk_before_its_pixels_are_clustered():
    features = features_of_pixels(photo(768, 1024))
    assert features.values.shape == (5, 384, 512)
    assert features.stride == 2


def test_pixel_features_are_lab_and_places_in_cells_times_m():
    features = features_of_pixels(np.full((60, 80, 3), 255, np.uint8))
    assert np.allclose(features.values[0], 100, atol=1e-3) and np.allclose(features.values[1:3], 0, atol=1e-2)
    assert np.allclose(np.diff(features.values[3], axis=1), 30 / features.cell_size, atol=1e-4)
    assert np.allclose(np.diff(features.values[4], axis=0), 30 / features.cell_size, atol=1e-4)
    assert (features.source, features.similarity) == ("pixels", "neg_sq_distance")


@pytest.mark.parametrize("size", [(2, 2), (1, 40), (3, 700)])
def test_tiny_and_thin_pictures_have_features_too(size, supertoken_model, patch_model):
    image = photo(*size)
    for features in (
        features_of_pixels(image),
        features_of_run(supertoken_model, image, run_name="mine"),
        features_of_vit(patch_model, image, name="plain"),
    ):
        assert np.isfinite(features.values).all()
