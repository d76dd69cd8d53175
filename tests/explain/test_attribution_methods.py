"""Attributions against their definitions: finite differences, sums that must come out, patches covered by hand."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from vitviz.errors import Problem
from vitviz.explain.attribution_maps import make_baseline
from vitviz.explain.attribution_methods import (
    Cancelled,
    gradient_shap,
    integrated_gradients,
    layer_grad_cam,
    occlusion,
    saliency,
)
from vitviz.explain.attribution_targets import center_target, class_target, embedding_of
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer

import_torchvision()
import timm  # noqa: E402

METHODS = (saliency, integrated_gradients, gradient_shap, occlusion, layer_grad_cam)
IMAGES = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 0.5


def spread(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    model.eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 or name.endswith("bias"):
            parameter.normal_(std=0.1, generator=generator)
    return model


@pytest.fixture(scope="module")
def ours() -> nn.Module:
    return spread(VisionTransformer(img_size=32, patch_size=8, num_classes=5, embed_dim=16, depth=3, num_heads=2))


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "num_heads": 3, "depth": 3, "num_classes": 5}
    return spread(timm.create_model("vit_tiny_patch16_224", **sizes))


class Linear(nn.Module):
    """A score that is a weighted sum of pixels, in patches of 8."""

    grid = (4, 4)

    def __init__(self):
        super().__init__()
        self.register_buffer("weights", torch.randn(2, 3 * 32 * 32, generator=torch.Generator().manual_seed(2)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weights.T


LINEAR = Linear()
BY_PIXEL = (IMAGES * LINEAR.weights[1].reshape(1, 3, 32, 32))[0].sum(dim=0).numpy()
GREY = nn.Module()
GREY.pretrained_cfg = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
LINEAR.pretrained_cfg = GREY.pretrained_cfg  # black is 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["ours", "theirs"])
def test_every_method_gives_a_finite_map_of_its_shape_for_a_class_and_for_a_center(method, name, request):
    model = request.getfixturevalue(name)
    center = embedding_of(model, IMAGES.flip(3))[0].numpy()
    for target in (class_target(2, "cat"), center_target(center)):
        found = method(model, IMAGES, target)
        assert found.map.shape == ((4, 4) if method in (occlusion, layer_grad_cam) else (32, 32))
        assert found.map.dtype == np.float32 and np.isfinite(found.map).all() and np.ptp(found.map) > 0
        assert found.method == method.__name__ and found.target == target.label
        assert found.score == pytest.approx(target.score(model, IMAGES).item(), rel=1e-5)
        assert target.label in found.recipe and method.__name__ in found.recipe


def test_the_score_of_a_center_is_minus_the_squared_distance(ours, theirs):
    center = np.linspace(-1, 1, 16, dtype=np.float32)
    embedding = ours(IMAGES).embedding[0]
    found = center_target(center).score(ours, IMAGES)
    assert found.item() == pytest.approx(-((embedding.numpy() - center) ** 2).sum(), rel=1e-5)
    unit = center_target(center, normalised=True).score(ours, IMAGES).item()
    assert unit == pytest.approx(-(((embedding / embedding.norm()).numpy() - center) ** 2).sum(), rel=1e-5)
    pooled = theirs.forward_head(theirs.forward_features(IMAGES), pre_logits=True)[0].numpy()
    assert center_target(pooled).score(theirs, IMAGES).item() == pytest.approx(0, abs=1e-9)
    assert center_target(center[:3], embed=lambda _, images: images[:, :, 0, 0]).score(ours, IMAGES).shape == (1,)


def test_a_class_or_a_center_that_does_not_fit_is_a_problem(ours, theirs):
    with pytest.raises(Problem, match="no class 5: the model has 5"):
        saliency(theirs, IMAGES, class_target(5))
    with pytest.raises(Problem, match=r"shape \(3,\): embeddings have \(16,\)"):
        saliency(ours, IMAGES, center_target(np.zeros(3)))
    with pytest.raises(Problem, match="2 pictures cannot"):
        saliency(ours, IMAGES.expand(2, -1, -1, -1), class_target(0))


def test_saliency_is_the_largest_magnitude_of_a_finite_difference(ours):
    double = copy.deepcopy(ours).double()
    found = saliency(ours, IMAGES, class_target(1))
    for row, column in ((0, 0), (13, 27)):
        slopes = []
        for channel in range(3):
            step = torch.zeros_like(IMAGES, dtype=torch.float64)
            step[0, channel, row, column] = 1e-4
            up, down = (double(IMAGES.double() + sign * step).logits[0, 1] for sign in (1, -1))
            slopes.append(abs(up - down).item() / 2e-4)
        assert found.map[row, column] == pytest.approx(max(slopes), rel=1e-3)


@pytest.mark.parametrize("method", [integrated_gradients, gradient_shap])
def test_of_a_linear_score_every_pixel_has_its_own_part(method):
    settings = {"baseline": "black", "num_steps": 2} if method is integrated_gradients else {"num_samples": 3}
    found = method(LINEAR, IMAGES, class_target(1), **settings)
    if method is integrated_gradients:
        np.testing.assert_allclose(found.map, BY_PIXEL, atol=1e-4)
        assert found.baseline_score == 0 and found.completeness < 1e-4
    else:
        exact = gradient_shap(LINEAR, IMAGES, class_target(1), num_samples=3, noise=0)
        starts = torch.cat([make_baseline(LINEAR, IMAGES, kind) for kind in ("black", "mean", "blur")]).mean(dim=0)
        wanted = ((IMAGES[0] - starts) * LINEAR.weights[1].reshape(3, 32, 32)).sum(dim=0).numpy()
        np.testing.assert_allclose(exact.map, wanted, atol=1e-4)
        assert exact.completeness < 1e-4 < found.completeness


@pytest.mark.parametrize("baseline", ["black", "mean", "blur"])
@pytest.mark.parametrize("name", ["ours", "theirs"])
def test_integrated_gradients_add_up_to_the_difference_of_the_scores(name, baseline, request):
    model = request.getfixturevalue(name)
    for target in (class_target(3), center_target(embedding_of(model, IMAGES.flip(2))[0].numpy())):
        found = integrated_gradients(model, IMAGES, target, baseline=baseline)
        difference = found.score - found.baseline_score
        assert found.baseline_score == pytest.approx(
            target.score(model, make_baseline(model, IMAGES, baseline)).item(), rel=1e-4
        )
        assert abs(found.map.sum() - difference) <= 0.01 * abs(difference)
        assert found.completeness == pytest.approx(abs(found.map.sum() - difference) / abs(difference), abs=1e-4)
        assert "64 steps" in found.recipe


class Curved(nn.Module):
    """A score that bends sharply on the way from black, so that few steps miss it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (200 * (images.mean(dim=(1, 2, 3)) - 0.31)).sigmoid()[:, None] * 3


def test_steps_are_doubled_until_the_sum_comes_out_and_no_further_than_the_bound():
    Curved.pretrained_cfg = GREY.pretrained_cfg
    bright, told = torch.ones(1, 3, 8, 8), []
    rough = integrated_gradients(Curved(), bright, class_target(0), num_steps=4, max_steps=4)
    assert rough.completeness > 0.05 and "4 steps" in rough.recipe
    fine = integrated_gradients(
        Curved(), bright, class_target(0), num_steps=4, on_progress=lambda done, total: told.append((done, total))
    )
    assert fine.completeness <= 0.01 and "4 steps" not in fine.recipe.replace("64 steps", "")
    assert told[-1][0] == told[-1][1] > 8
    loose = integrated_gradients(Curved(), bright, class_target(0), num_steps=4, tolerance=10.0)
    assert loose.completeness == rough.completeness


def test_where_the_scores_do_not_differ_the_steps_still_end(ours):
    grey = torch.zeros_like(IMAGES)
    found = integrated_gradients(ours, grey, class_target(0), baseline="mean", num_steps=4, max_steps=8)
    assert not found.map.any() and found.score == found.baseline_score and found.completeness == 0


def test_shap_is_a_function_of_its_seed_and_not_of_its_batches(ours):
    target = class_target(1)
    found = gradient_shap(ours, IMAGES, target, num_samples=10, batch_size=10)
    for batch_size in (3, 4, 10):
        again = gradient_shap(ours, IMAGES, target, num_samples=10, batch_size=batch_size)
        np.testing.assert_allclose(again.map, found.map, rtol=1e-3, atol=np.abs(found.map).max() * 1e-5)
    assert (gradient_shap(ours, IMAGES, target, num_samples=10, seed=1).map != found.map).any()


def test_shap_tends_to_the_mean_of_integrated_gradients(ours):
    target, kinds = class_target(1), ("black", "mean", "blur")
    wanted = np.mean([integrated_gradients(ours, IMAGES, target, baseline=kind).map for kind in kinds], axis=0)
    many = gradient_shap(ours, IMAGES, target, num_samples=300, noise=0, batch_size=60)
    few = gradient_shap(ours, IMAGES, target, num_samples=6, noise=0)
    assert np.corrcoef(many.map.ravel(), wanted.ravel())[0, 1] > 0.99
    assert np.linalg.norm(many.map - wanted) < 0.4 * np.linalg.norm(few.map - wanted)


@pytest.mark.parametrize("num_samples", [30, 31, 32])
def test_shap_without_noise_all_but_adds_up_for_its_places_are_spread_evenly(ours, num_samples):
    found = gradient_shap(ours, IMAGES, class_target(1), num_samples=num_samples, noise=0)
    difference = found.score - found.baseline_score
    assert found.completeness == pytest.approx(abs(found.map.sum() / difference - 1), abs=1e-3)
    assert found.completeness < 0.03


def test_shap_leaves_the_global_randomness_as_it_was(ours):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    gradient_shap(ours, IMAGES, class_target(0), num_samples=4)
    assert torch.equal(before, torch.get_rng_state()) and (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


def test_occlusion_is_the_fall_of_the_score_when_a_patch_is_covered(theirs):
    found, cover = occlusion(theirs, IMAGES, class_target(2)), make_baseline(theirs, IMAGES, "mean")
    for row in range(4):
        for column in range(4):
            covered, place = IMAGES.clone(), (..., slice(row * 8, row * 8 + 8), slice(column * 8, column * 8 + 8))
            covered[place] = cover[place]
            fall = (theirs(IMAGES) - theirs(covered))[0, 2].item()
            assert found.map[row, column] == pytest.approx(fall, abs=1e-5)
    assert found.baseline_score == pytest.approx(theirs(cover)[0, 2].item(), abs=1e-5)


@pytest.mark.parametrize(("window", "stride"), [(2, 1), (3, 2), (2, 2), (4, 3)])
def test_overlapping_windows_are_averaged(window, stride):
    found = occlusion(LINEAR, IMAGES, class_target(1), window=window, stride=stride, baseline="black", batch_size=3)
    worth = BY_PIXEL.reshape(4, 8, 4, 8).sum(axis=(1, 3))
    total, count = np.zeros((4, 4)), np.zeros((4, 4))
    starts = [*range(0, 4 - window, stride), (4 - window + stride - 1) // stride * stride]
    for row in starts:
        for column in starts:
            place = slice(row, row + window), slice(column, column + window)
            total[place] += worth[place].sum()
            count[place] += 1
    np.testing.assert_allclose(found.map, total / count, atol=1e-3)


@pytest.mark.parametrize(("window", "stride"), [(5, 1), (1, 2), (0, 0), (2, 0)])
def test_windows_that_leave_gaps_or_the_picture_are_a_problem(window, stride):
    with pytest.raises(Problem, match="the window has 1 to 4 patches, and moves by at least one and at most all"):
        occlusion(LINEAR, IMAGES, class_target(1), window=window, stride=stride)


@pytest.mark.parametrize("block", [0, 1])
def test_grad_cam_is_the_gradient_by_tokens_written_out(ours, block):
    hidden = ours(IMAGES, keep=("hidden",)).hidden[block].requires_grad_()
    tokens = hidden
    for later in ours.blocks[block + 1 :]:
        tokens = later(tokens)[0]
    slope = torch.autograd.grad(ours.head(ours.norm(tokens)[:, 0])[0, 3], hidden)[0][0, 1:]
    wanted = (hidden[0, 1:].detach() * slope.mean(dim=0)).sum(dim=1).reshape(4, 4)
    found = layer_grad_cam(ours, IMAGES, class_target(3), block=block)
    np.testing.assert_allclose(found.map, wanted, rtol=1e-4, atol=1e-7)
    assert found.completeness is None and f"block {block} of 0-2" in found.recipe


def test_grad_cam_counts_blocks_from_the_end_and_says_where_patches_count_for_nothing(theirs):
    last_but_one = layer_grad_cam(theirs, IMAGES, class_target(0))
    assert (last_but_one.map == layer_grad_cam(theirs, IMAGES, class_target(0), block=1).map).all()
    with pytest.raises(Problem, match="after block 2: the score takes nothing from them; choose an earlier block"):
        layer_grad_cam(theirs, IMAGES, class_target(0), block=-1)


@pytest.mark.parametrize("method", METHODS)
def test_a_no_ends_every_method_and_leaves_the_model_as_it_was(method, theirs):
    state = {name: value.clone() for name, value in theirs.state_dict().items()}
    told = []
    with pytest.raises(Cancelled):
        method(
            theirs, IMAGES, class_target(0), batch_size=2, on_progress=lambda done, total: told.append(done) or False
        )
    assert len(told) == 1 and told[0] <= 2
    assert all(torch.equal(value, state[name]) for name, value in theirs.state_dict().items())
    assert not any(module._forward_hooks or module._backward_hooks for module in theirs.modules())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in theirs.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_progress_ends_at_its_total_and_none_goes_on(method, theirs):
    told = []
    method(theirs, IMAGES, class_target(0), on_progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] and [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("method", METHODS)
def test_no_batch_is_larger_than_asked_for(method, theirs):
    sizes = []

    def score(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return class_target(0).score(model, images)

    target = class_target(0)
    target = type(target)("counted", score, target.value, target.quantity)
    method(theirs, IMAGES, target, batch_size=3)
    assert max(sizes) <= 3


def test_a_caller_in_inference_mode_gets_the_same(ours):
    alone = [method(ours, IMAGES, class_target(0)).map for method in METHODS]
    with torch.inference_mode():
        inside = [method(ours, IMAGES * 1, class_target(0)).map for method in METHODS]
    assert all((one == other).all() for one, other in zip(alone, inside, strict=True))
