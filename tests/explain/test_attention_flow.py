"""Rollout: the product of all layers is that of a slow reference in float64, and each row of it stands on its grid."""

import numpy as np
import pytest
import torch
from torch import nn

from vitviz.errors import Problem
from vitviz.explain import attention_layers
from vitviz.explain.attention_flow import flow_row, rollout
from vitviz.nn.attention_capture import watch_attention
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer, init_weights

FUSE = {"mean": np.mean, "max": np.max, "min": np.min}


def picture(side: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, side, side)).astype(np.float32)


def ours(**arguments) -> VisionTransformer:
    made = VisionTransformer(img_size=16, patch_size=4, num_classes=3, embed_dim=12, depth=4, num_heads=3, **arguments)
    made = init_weights(made, torch.Generator().manual_seed(0)).eval()
    for name, parameter in made.named_parameters():
        if "qkv.weight" in name:
            parameter.data.mul_(40)
    return made


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


def weights_of(model: nn.Module, image: np.ndarray) -> list[np.ndarray]:
    """(h, Nq, Nk) float64 of every attention."""
    found = []
    with torch.inference_mode():
        images = torch.from_numpy(image)[None]
        watch_attention(
            lambda: model(images), model, lambda call: found.append(call.rows()[0].double().numpy()) and None
        )
    return found


def mixed_with_self(weights: np.ndarray, fusion: str, discard_ratio: float, residual: float) -> np.ndarray:
    """One layer's (h, Nq, Nk) as a matrix (Nq, Nk) whose rows sum to 1, row by row and key by key."""
    fused = FUSE[fusion](weights, axis=0)
    for row in fused:
        for key in np.argsort(row, kind="stable")[: int(discard_ratio * len(row) + 1e-9)]:
            row[key] = 0
        row /= row.sum()
    return residual * np.eye(*fused.shape) + (1 - residual) * fused


@pytest.mark.parametrize("fusion", FUSE)
@pytest.mark.parametrize(("discard_ratio", "residual"), [(0.0, 0.5), (0.3, 0.5), (0.9, 0.2), (0.0, 0.0)])
def test_rollout_is_that_of_a_slow_reference(fusion, discard_ratio, residual):
    model, image = ours(), picture(16)
    expected = np.eye(17)
    for weights in model(torch.from_numpy(image)[None], keep=("attention",)).attention:
        expected = mixed_with_self(weights[0].detach().double().numpy(), fusion, discard_ratio, residual) @ expected
    found = rollout(model, image, fusion=fusion, discard_ratio=discard_ratio, residual=residual)
    assert found.matrix.shape == (17, 17) and found.matrix.dtype == np.float32 and found.pooled is None
    np.testing.assert_allclose(found.matrix, expected, atol=1e-6)
    np.testing.assert_allclose(found.matrix.sum(axis=1), 1, atol=1e-5)
    assert fusion in found.recipe and f"{residual:g}" in found.recipe and f"{discard_ratio:.0%}" in found.recipe


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("deit_tiny_distilled_patch16_224", {"img_size": 64, "depth": 3}, 64),
        ("vit_small_patch14_reg4_dinov2", {"img_size": 56, "depth": 3}, 56),
    ],
)
def test_rollout_of_a_timm_model_is_the_product_of_its_layers(name, arguments, size):
    model, image = timm_model(name, **arguments), picture(size)
    layers = [mixed_with_self(weights, "max", 0.2, 0.5) for weights in weights_of(model, image)]
    found = rollout(model, image, fusion="max", discard_ratio=0.2)
    np.testing.assert_allclose(found.matrix, layers[2] @ layers[1] @ layers[0], atol=1e-5)
    assert found.readout == "CLS" and found.score is None


def test_a_class_token_that_joins_late_takes_from_what_patches_became():
    model, image = timm_model("cait_xxs24_224", img_size=64, depth=2), picture(64)
    first, second, third, fourth = (mixed_with_self(weights, "mean", 0, 0.5) for weights in weights_of(model, image))
    patches = second @ first
    cls = np.eye(17)[:1]
    for layer in (third, fourth):
        everyone = np.vstack([cls, np.hstack([np.zeros((16, 1)), patches])])
        cls = layer @ everyone
    found = rollout(model, image)
    np.testing.assert_allclose(found.matrix[1:, 1:], patches, atol=1e-6)
    np.testing.assert_allclose(found.matrix[:1], cls, atol=1e-6)
    assert found.prefix == ("CLS",) and flow_row(found).query == "CLS"


def test_a_pooling_by_attention_is_one_more_row():
    model = timm_model("vit_base_patch16_siglip_224", img_size=64, depth=2, embed_dim=192)
    image = picture(64)
    *layers, pooling = weights_of(model, image)
    product = mixed_with_self(layers[1], "mean", 0, 0.5) @ mixed_with_self(layers[0], "mean", 0, 0.5)
    found = rollout(model, image)
    expected = pooling.mean(axis=0) @ product
    row = flow_row(found)
    assert row.query == "learned query" and row.prefix.shape == (0,)
    np.testing.assert_allclose(row.map.ravel(), expected[0], atol=1e-6)


def test_the_product_does_not_depend_on_how_many_rows_are_read_at_once(monkeypatch):
    model, image = ours(), picture(16)
    whole = rollout(model, image, fusion="max").matrix
    monkeypatch.setattr(attention_layers, "_CHUNK_BYTES", 1)
    np.testing.assert_allclose(rollout(model, image, fusion="max").matrix, whole, atol=1e-6)


def test_the_row_of_any_query_stands_on_the_grid():
    found = rollout(ours(), picture(16))
    assert found.readout == "CLS" and found.grid == (4, 4)
    for query, index in ((None, 0), ("CLS", 0), (0, 0), ((1, 2), 7), (7, 7)):
        row = flow_row(found, query)
        assert np.array_equal(row.map, found.matrix[index, 1:].reshape(4, 4))
        assert np.array_equal(row.prefix, found.matrix[index, :1])
    assert flow_row(found, (1, 2)).place == (1, 2) and flow_row(found, (1, 2)).query == "row 1, column 2"
    np.testing.assert_allclose(flow_row(found, "mean").map.ravel(), found.matrix[1:, 1:].mean(axis=0), atol=1e-7)
    with pytest.raises(Problem, match=r"no token \(4, 0\)"):
        flow_row(found, (4, 0))


def test_what_is_read_out_is_what_the_classifier_reads():
    assert flow_row(rollout(ours(pool="mean"), picture(16))).query == "mean"
    averaging = timm_model("beit_base_patch16_224", img_size=64, depth=1, embed_dim=192)
    assert averaging.global_pool == "avg" and rollout(averaging, picture(64)).readout == "mean"


@pytest.mark.parametrize(
    ("name", "arguments", "size", "words"),
    [
        (
            "swin_tiny_patch4_window7_224",
            {"img_size": 64, "depths": (1, 1, 1, 1), "embed_dim": 24},
            64,
            "window attention",
        ),
        ("xcit_nano_12_p16_224", {"depth": 2}, 64, "channel attention"),
        ("pvt_v2_b0", {}, 64, "reduced attention"),
        ("pit_ti_224", {}, 224, r"global attention on another grid, 27 x 27"),
        ("vit_dwee_patch16_reg1_gap_256", {"img_size": 64, "depth": 1}, 64, "one of several softmaxes of a module"),
    ],
)
def test_a_model_that_attention_cannot_be_followed_through_is_refused(name, arguments, size, words):
    with pytest.raises(Problem, match=f"cannot be followed through this model: layer . .* is {words}"):
        rollout(timm_model(name, **arguments), picture(size))


@pytest.mark.parametrize(
    "settings", [{"fusion": "sum"}, {"discard_ratio": 1.0}, {"discard_ratio": -0.1}, {"residual": 1.1}]
)
def test_a_setting_out_of_range_is_refused(settings):
    with pytest.raises(Problem, match=next(iter(settings.values())) if "fusion" in settings else "must be in 0..1"):
        rollout(ours(), picture(16), **settings)
