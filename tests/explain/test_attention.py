"""Maps of attention: each weight at its place on the picture, for every kind of layer, and for many threads at once."""

import copy
import math
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from torch import nn

from vitviz.errors import Problem
from vitviz.explain.attention import (
    NORMALISATIONS,
    attend,
    birds_eye,
    difference,
    fuse,
    keep_mass,
    layers_of,
    layout_of,
    normalise,
)
from vitviz.explain.attention_layers import Layer
from vitviz.nn.attention_capture import watch_attention
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer


def picture(height: int, width: int = 0, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, height, width or height)).astype(np.float32)


def timm_model(name: str, **arguments) -> nn.Module:
    """Untrained, no network; queries and keys so large that no attention is near uniform."""
    import_torchvision()
    import timm

    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = timm.create_model(name, pretrained=False, num_classes=10, **arguments).eval().requires_grad_(False)
        for key, parameter in made.named_parameters():
            if parameter.ndim == 2 and any(part in key for part in ("qkv", ".q.", ".k.", ".kv.", "proj_l")):
                parameter.normal_(std=1.5 * parameter.shape[1] ** -0.5)
    return made


@pytest.fixture(scope="module")
def registers() -> nn.Module:
    return timm_model("vit_small_patch14_reg4_dinov2", img_size=56, depth=3, dynamic_img_size=True)


def all_weights(model: nn.Module, image: np.ndarray) -> list[np.ndarray]:
    """(h, Nq, Nk) of every attention; with windows (W, h, Nq, Nk)."""
    found = []
    with torch.inference_mode():
        images = torch.from_numpy(image)[None]
        watch_attention(
            lambda: model(images), model, lambda call: found.append(call.rows().squeeze(0).numpy()) and None
        )
    return found


def test_the_layout_is_told_in_words(registers):
    assert str(layout_of(registers)) == "4 x 4 grid + 1 CLS + 4 registers"
    assert str(layout_of(registers, (56, 84))) == "4 x 6 grid + 1 CLS + 4 registers"
    assert layout_of(registers).prefix == ("CLS", "register 1", "register 2", "register 3", "register 4")
    distilled = timm_model("deit_tiny_distilled_patch16_224", depth=1)
    assert str(layout_of(distilled)) == "14 x 14 grid + 1 CLS + 1 distillation"
    assert str(layout_of(timm_model("vit_wee_patch16_reg1_gap_256", depth=1))) == "16 x 16 grid + 1 register"
    assert (
        str(layout_of(timm_model("swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=24))) == "56 x 56 grid"
    )
    ours = VisionTransformer(img_size=32, patch_size=4, embed_dim=12, depth=1, num_heads=3)
    assert str(layout_of(ours, (32, 32))) == "8 x 8 grid + 1 CLS" and layout_of(ours, (32, 32)).patch_size == 4


def test_one_layer_s_maps_are_the_model_s_weights_of_that_query(registers):
    image = picture(56, 84)
    weights = all_weights(registers, image)
    for query, index in (("CLS", 0), ("register 3", 3), ((2, 5), 5 + 2 * 6 + 5), (5 + 7, 5 + 7), (None, 0)):
        row = attend(registers, image, 1, query)
        assert row.maps.shape == (6, 4, 6) and row.maps.dtype == row.prefix.dtype == np.float32
        found = np.concatenate([row.prefix, row.maps.reshape(6, -1)], axis=1)
        np.testing.assert_allclose(found, weights[1][:, index], atol=1e-6)
    assert (
        attend(registers, image, 1, (2, 5)).place == (2, 5)
        and attend(registers, image, 1, 12).query == "row 1, column 1"
    )
    mean = attend(registers, image, 2, "mean")
    np.testing.assert_allclose(mean.maps.reshape(6, -1), weights[2][:, 5:, 5:].mean(axis=1), atol=1e-6)


def test_all_layers_at_once_are_each_layer_alone(registers):
    image = picture(56)
    for query in (None, (1, 2), "mean", "register 1"):
        seen = birds_eye(registers, image, query)
        assert seen.maps.shape == (3, 6, 4, 4) and seen.maps.dtype == np.float32 and seen.left_out == ()
        for index, row in enumerate(seen.rows):
            alone = attend(registers, image, index, query)
            assert np.array_equal(seen.maps[index], alone.maps) and np.array_equal(row.prefix, alone.prefix)
            np.testing.assert_allclose(row.maps.sum(axis=(1, 2)) + row.prefix.sum(axis=1), 1, atol=1e-5)


ROWS_OF = {
    "swin_tiny_patch4_window7_224": {"img_size": 72, "depths": (2, 2, 1, 1), "embed_dim": 24},
    "swinv2_tiny_window8_256": {"img_size": 64, "window_size": 4, "depths": (2, 2, 1, 1), "embed_dim": 24},
    "pvt_v2_b0": {},
    "cait_xxs24_224": {"img_size": 64, "depth": 2},
    "xcit_nano_12_p16_224": {"depth": 2},
    "vit_base_patch16_siglip_224": {"img_size": 64, "depth": 2, "embed_dim": 192},
}


@pytest.mark.parametrize("name", ROWS_OF)
@pytest.mark.parametrize("query", [None, "mean", (1, 2)])
def test_weights_are_shares_that_sum_to_1_in_every_head(name, query):
    model = timm_model(name, **ROWS_OF[name])
    image = picture(ROWS_OF[name].get("img_size", 64))
    if name.startswith("xcit") and query is not None:
        with pytest.raises(Problem, match="no query of any layer with a map: those with maps are class attention"):
            birds_eye(model, image, query)
        return
    for row in birds_eye(model, image, query).rows:
        assert row.maps.min() >= 0
        np.testing.assert_allclose(row.maps.sum(axis=(1, 2)) + row.prefix.sum(axis=1), 1, atol=1e-5)


KINDS = {
    "cait_xxs24_224": ["global", "global", "class attention", "class attention"],
    "xcit_nano_12_p16_224": ["channel", "channel", "class attention", "class attention"],
    "vit_base_patch16_siglip_224": ["global", "global", "pooling"],
    "swin_tiny_patch4_window7_224": ["window"] * 6,
    "pvt_v2_b0": ["reduced"] * 6 + ["global"] * 2,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_layer_is_called_by_its_name(name):
    model = timm_model(name, **ROWS_OF[name])
    layers = layers_of(model, picture(ROWS_OF[name].get("img_size", 64)))
    assert [layer.kind for layer in layers] == KINDS[name]
    assert [layer.index for layer in layers] == list(range(len(layers)))
    assert [layer.has_map for layer in layers] == [layer.kind != "channel" for layer in layers]
    if name == "pvt_v2_b0":
        assert [layers[index].query_grid for index in (0, 2, 4, 6)] == [(16, 16), (8, 8), (4, 4), (2, 2)]
        assert [layer.grid for layer in layers] == [(2, 2)] * 8


def test_tokens_in_an_order_of_their_own_are_no_map():
    model = timm_model("hiera_tiny_224", stages=(1, 1, 1, 1))
    layers = layers_of(model, picture(224))
    assert [layer.kind for layer in layers] == ["other"] * 4
    with pytest.raises(Problem, match="grid that covers the picture"):
        attend(model, picture(224), 2)


def brute_force_row(weights: np.ndarray, layer: Layer, place: tuple[int, int]) -> np.ndarray:
    """The map (h, rows, columns) of one query, by walking over every window and every place in it."""
    (rows, columns), (high, wide), (down, right) = layer.grid, layer.windows.size, layer.windows.shift
    across = math.ceil(columns / wide)
    at_y, at_x = (place[0] - down) % rows, (place[1] - right) % columns
    window, query = at_y // high * across + at_x // wide, at_y % high * wide + at_x % wide
    found = np.zeros((layer.num_heads, rows, columns))
    for key in range(high * wide):
        y, x = window // across * high + key // wide, window % across * wide + key % wide
        if y < rows and x < columns:
            found[:, (y + down) % rows, (x + right) % columns] = weights[window, :, query, key]
    return found


def test_windows_are_put_back_where_they_were_cut_shifted_and_padded():
    name = "swin_tiny_patch4_window7_224"
    model, image = timm_model(name, **ROWS_OF[name]), picture(72)
    weights, layers = all_weights(model, image), layers_of(model, image)
    assert [layer.windows.shift for layer in layers[:2]] == [(0, 0), (3, 3)] and layers[1].prefix == ("padding",)
    for layer in layers[:4]:
        for place in ((0, 0), (3, 4), (layer.grid[0] - 1, 1)):
            fine = tuple((2 * at + 1) * 18 // (2 * side) for at, side in zip(place, layer.grid, strict=True))
            row = attend(model, image, layer.index, fine)
            assert row.place == place
            of_layer = weights[layer.index]
            np.testing.assert_allclose(row.maps, brute_force_row(of_layer, layer, place), atol=1e-6)
        every = [brute_force_row(of_layer, layer, place) for place in np.ndindex(layer.grid)]
        np.testing.assert_allclose(attend(model, image, layer.index).maps, np.mean(every, axis=0), atol=1e-6)


@pytest.mark.parametrize("index", [0, 1])
def test_a_map_covers_exactly_the_tokens_that_the_block_s_output_depends_on(index):
    """Independent of how windows are cut and shifted: the support of a gradient through the block itself."""
    model = timm_model("swin_tiny_patch4_window7_224", **ROWS_OF["swin_tiny_patch4_window7_224"])
    block = model.layers[0].blocks[index]
    for place in ((0, 0), (2, 16), (17, 17), (9, 4)):
        tokens = torch.randn(1, 18, 18, 24, generator=torch.Generator().manual_seed(0)).requires_grad_()
        gradient = torch.autograd.grad(block(tokens)[0, place[0], place[1], 0], tokens)[0]
        depends = gradient[0].abs().sum(dim=-1).numpy() > 1e-12
        assert np.array_equal(attend(model, picture(72), index, place).maps.sum(axis=0) > 1e-12, depends)
        assert 3 < depends.sum() <= 49


def test_a_coarser_layer_takes_the_token_that_covers_the_place():
    model = timm_model("pvt_v2_b0")
    places = [row.place for row in birds_eye(model, picture(64), (5, 14)).rows]
    assert places == [(5, 14)] * 2 + [(2, 7)] * 2 + [(1, 3)] * 2 + [(0, 1)] * 2


def test_layers_with_other_heads_and_grids_stand_in_one_array():
    model = timm_model("swin_tiny_patch4_window7_224", **ROWS_OF["swin_tiny_patch4_window7_224"])
    seen = birds_eye(model, picture(72), (3, 4))
    assert seen.maps.shape == (6, 24, 18, 18)
    assert np.isnan(seen.maps[0, 3:]).all() and not np.isnan(seen.maps[0, :3]).any()
    coarse = seen.rows[2].maps
    assert coarse.shape == (6, 9, 9) and np.array_equal(seen.maps[2, :6, ::2, 1::2], coarse)


def test_only_layers_that_have_the_query_are_shown():
    cait = timm_model("cait_xxs24_224", **ROWS_OF["cait_xxs24_224"])
    assert [row.layer.index for row in birds_eye(cait, picture(64), "CLS").rows] == [2, 3]
    assert [layer.index for layer in birds_eye(cait, picture(64), (0, 1)).left_out] == [2, 3]
    assert [row.query for row in birds_eye(cait, picture(64)).rows] == ["mean of all patches"] * 2 + ["CLS"] * 2
    siglip = timm_model("vit_base_patch16_siglip_224", **ROWS_OF["vit_base_patch16_siglip_224"])
    assert birds_eye(siglip, picture(64)).rows[2].query == "learned query"


@pytest.mark.parametrize(
    ("layer", "query", "words"),
    [
        (3, None, "there is no layer 3: the model has 3; choose 0 to 2"),
        (-1, None, "there is no layer -1"),
        (0, (4, 0), r"there is no token \(4, 0\): the model has a 4 x 4 grid \+ 1 CLS \+ 4 registers"),
        (0, (0, -1), "there is no token"),
        (0, 21, "there is no token 21"),
        (0, "cls", "there is no token 'cls'"),
    ],
)
def test_what_there_is_not_is_named(registers, layer, query, words):
    with pytest.raises(Problem, match=words):
        attend(registers, picture(56), layer, query)


def test_a_map_that_cannot_be_is_refused_with_the_reason():
    xcit = timm_model("xcit_nano_12_p16_224", **ROWS_OF["xcit_nano_12_p16_224"])
    with pytest.raises(Problem, match=r"layer 0 .* has no map: it attends over channels, not over places"):
        attend(xcit, picture(64), 0)
    with pytest.raises(Problem, match=r"\(0, 0\) is no query of layer 2 .*: its attention is class attention"):
        attend(xcit, picture(64), 2, (0, 0))


def test_a_picture_or_a_model_that_cannot_be_looked_at_is_refused(registers):
    fixed = timm_model("vit_tiny_patch16_224", img_size=64, depth=1)
    with pytest.raises(Problem, match="does not take a picture of 3 x 32 x 32: Input height"):
        layers_of(fixed, picture(32))
    with pytest.raises(Problem, match="one picture"):
        layers_of(fixed, np.zeros((2, 3, 64, 64), np.float32))
    with pytest.raises(Problem, match="training mode"):
        layers_of(copy.deepcopy(fixed).train(), picture(64))
    with pytest.raises(Problem, match="Linear has no grid of patches"):
        layers_of(nn.Linear(2, 2).eval(), picture(64))
    with pytest.raises(Problem, match="ResNet shows no attention"):
        layers_of(timm_model("test_resnet"), picture(64))


def state_of(model: nn.Module) -> list:
    """All that a look could leave on a model: attributes, hooks, parameters, buffers, gradients."""
    found = []
    for name, module in model.named_modules():
        for key, value in sorted(vars(module).items()):
            if isinstance(value, dict):
                value = {inner: id(of) for inner, of in value.items()}
            found.append((name, key, value if isinstance(value, (dict, bool, int, float, str)) else id(value)))
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return [found, [(name, id(of), of._version, of.requires_grad, of.grad) for name, of in tensors]]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_twenty_threads_on_one_model_get_each_their_own_maps_and_leave_it_as_it_was(name):
    arguments = {"depths": (2, 1, 1, 1), "embed_dim": 24} if "swin" in name else {"depth": 4}
    model = timm_model(name, img_size=64, **arguments)
    images = [picture(64, seed=seed) for seed in range(20)]
    alone, before = [birds_eye(model, image, (1, 2)).maps for image in images], state_of(model)
    assert all(not np.array_equal(alone[0], other, equal_nan=True) for other in alone[1:])
    barrier = Barrier(20)

    def look(image: np.ndarray) -> list[np.ndarray]:
        barrier.wait()
        return [birds_eye(model, image, (1, 2)).maps for _ in range(3)]

    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(look, images))
    for expected, found in zip(alone, together, strict=True):
        assert all(np.array_equal(expected, maps, equal_nan=True) for maps in found)
    assert state_of(model) == before


def test_heads_are_fused_by_name_or_one_is_taken():
    maps = np.random.default_rng(0).random((3, 2, 4)).astype(np.float32)
    assert np.array_equal(fuse(maps), maps.mean(axis=0)) and np.array_equal(fuse(maps, "min"), maps.min(axis=0))
    assert np.array_equal(fuse(maps, "max"), maps.max(axis=0)) and np.array_equal(fuse(maps, head=2), maps[2])
    with pytest.raises(Problem, match="no head 3"):
        fuse(maps, head=3)
    with pytest.raises(Problem, match="cannot be fused by 'median'"):
        fuse(maps, "median")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_no_smaller_set_of_tokens_holds_the_mass(share):
    weights = np.random.default_rng(0).random((5, 6)).astype(np.float32) ** 4
    kept = keep_mass(weights, share)
    total, held = weights.astype(float).sum(), weights[kept].astype(float).sum()
    assert kept.dtype == bool and kept.shape == (5, 6)
    assert held >= share * total * (1 - 1e-9)
    if kept.any():
        assert held - weights[kept].min() < share * total
        assert weights[kept].min() >= weights[~kept].max(initial=0)
    assert kept.any() == (share > 0)


def test_mass_is_counted_exactly_and_the_first_of_equals_is_kept():
    assert keep_mass(np.full((2, 5), 0.1), 0.3).ravel().tolist() == [True] * 3 + [False] * 7
    assert keep_mass(np.full((3, 4), 0.1), 7 / 12).sum() == 7
    assert keep_mass(np.array([[0.0, 0.5, 0.5]]), 1.0).tolist() == [[False, True, True]]
    assert not keep_mass(np.zeros((2, 2)), 1.0).any()
    with pytest.raises(Problem, match=r"share=1.5 must be in 0..1"):
        keep_mass(np.ones((2, 2)), 1.5)


def test_each_normalisation_does_what_its_name_says():
    weights = np.array([[0.1, 0.2], [0.3, 0.2]], np.float32)
    assert np.array_equal(normalise(weights, "none"), weights)
    assert normalise(weights, "sum").sum() == pytest.approx(1)
    np.testing.assert_allclose(normalise(weights, "max"), [[1 / 3, 2 / 3], [1, 2 / 3]], rtol=1e-6)
    ranged = normalise(weights, "range")
    assert ranged.min() == 0 and ranged.max() == 1
    assert all(not normalise(np.zeros((2, 2)), how).any() for how in NORMALISATIONS)
    with pytest.raises(Problem, match="no normalisation 'log'"):
        normalise(weights, "log")


# How far apart two maps are


def test_the_difference_of_two_maps_is_the_total_variation_of_what_they_share_out():
    chance = np.random.default_rng(0)
    first, second = chance.random((2, 5, 7)).astype(np.float32)
    assert difference(first, first) == 0 and difference(first, 3 * first) == pytest.approx(0, abs=1e-7)
    apart = difference(first, second)
    assert 0 < apart < 1 and apart == difference(second, first)
    assert apart == pytest.approx(np.abs(first / first.sum() - second / second.sum()).sum() / 2, rel=1e-5)


def test_maps_that_share_nothing_are_one_apart_and_other_grids_are_not_compared():
    left, right = np.eye(2, dtype=np.float32)[:, None]
    assert difference(left, right) == 1
    assert difference(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)) == 0
    assert difference(left, np.ones((2, 2), np.float32)) is None
