"""Relevance: weights times gradients are those of a network written out by hand, and the shared model is left as it was."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vitviz.errors import Problem
from vitviz.explain import attention_relevance
from vitviz.explain.attention_flow import flow_row
from vitviz.explain.attention_relevance import relevance
from vitviz.nn.attention_capture import watch_attention
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer, init_weights

CENTER = np.linspace(-1, 1, 12, dtype=np.float32) ** 3


def picture(side: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, side, side)).astype(np.float32)


def ours(**arguments) -> VisionTransformer:
    arguments = {"num_classes": 3, **arguments}
    made = VisionTransformer(img_size=16, patch_size=4, embed_dim=12, depth=4, num_heads=3, **arguments)
    made = init_weights(made, torch.Generator().manual_seed(0)).eval()
    for name, parameter in made.named_parameters():
        if parameter.ndim == 2:
            parameter.data.mul_(40 if "qkv" in name else 15)
    return made


def timm_model(name: str, **arguments) -> nn.Module:
    """Untrained, no network; queries, keys and the classifier so large that attention matters."""
    import_torchvision()
    import timm

    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = timm.create_model(name, pretrained=False, num_classes=10, **arguments).eval().requires_grad_(False)
        for key, parameter in made.named_parameters():
            if parameter.ndim == 2 and any(part in key for part in ("qkv", ".q.", ".k.", ".kv.", "proj_l")):
                parameter.normal_(std=1.5 * parameter.shape[1] ** -0.5)
            if key == "head.weight":
                parameter.normal_()
            if "gamma" in key:
                parameter.fill_(0.5)
    return made


def written_out(model: VisionTransformer, images: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Weights of every block, logits and embedding of one image, in the model's own precision, nothing fused."""
    x, weights = model._embed_patches(images), []
    for block in model.blocks:
        given = block.norm1(x)
        q, k, v = (part.unflatten(2, (3, -1)).transpose(1, 2) for part in block.attn.qkv(given).chunk(3, dim=2))
        attention = (q @ k.mT / 2).softmax(dim=3)
        weights.append(attention)
        x = x + block.attn.proj((attention @ v).transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    tokens = model.norm(x)
    embedding = tokens[0, 0] if model.pool == "cls" else tokens[0, 1:].mean(dim=0)
    return weights, model.head(embedding), embedding


@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("target", [None, 0, 2, CENTER], ids=["largest", "0", "2", "vector"])
def test_relevance_is_that_of_a_network_written_out_in_float64(pool, target):
    model, image = ours(pool=pool).double(), picture(16)
    weights, logits, embedding = written_out(model, torch.from_numpy(image)[None].double())
    if target is None:
        score = logits.max()
    elif isinstance(target, int):
        score = logits[target]
    else:
        center = torch.from_numpy(target).double()
        score = (embedding @ center) / (embedding.norm() * center.norm())
    expected = torch.eye(17, dtype=torch.float64)
    for attention, gradient in zip(weights, torch.autograd.grad(score, weights), strict=True):
        positive = torch.relu(attention * gradient)[0].sum(dim=0) / 3
        expected = expected + positive @ expected
    expected = (expected - torch.eye(17, dtype=torch.float64)).detach().numpy()
    found = relevance(model, image, target)
    assert expected.max() > 1e-3
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-6, atol=1e-9)
    assert found.score == pytest.approx(float(score.detach()), rel=1e-6)
    row = flow_row(found)
    assert row.query == {"cls": "CLS", "mean": "mean"}[pool]
    assert row.map.shape == (4, 4) and row.map.dtype == np.float32 and row.map.min() >= 0


def hooked(model: nn.Module, image: np.ndarray, number: int) -> list[tuple[Tensor, Tensor]]:
    """Weights and gradients of timm's own unfused attention, by hooks on a copy; where talking heads mix them, before that."""
    twin, weights = copy.deepcopy(model), []
    for name, module in twin.named_modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
        if name.endswith("proj_w"):
            module.register_forward_pre_hook(lambda _, given: weights.append(given[0]))
        elif name.endswith("attn_drop") and not hasattr(twin.get_submodule(name.rpartition(".")[0]), "proj_w"):
            module.register_forward_hook(lambda _, given, __: weights.append(given[0]))
    images = torch.from_numpy(image)[None].double().requires_grad_()
    gradients = torch.autograd.grad(twin(images)[0, number], weights)
    pairs = zip(weights, gradients, strict=True)
    # heads last is how proj_w is given them
    return [
        tuple(part.permute(0, 3, 1, 2) if part.shape[1] == part.shape[2] else part for part in pair) for pair in pairs
    ]


@pytest.mark.parametrize(
    ("name", "size"),
    [("deit_tiny_distilled_patch16_224", 64), ("vit_small_patch14_reg4_dinov2", 56), ("eva02_tiny_patch14_224", 56)],
)
def test_relevance_of_a_timm_model_is_that_of_hooks_on_a_copy(name, size):
    model, image = timm_model(name, img_size=size, depth=3).double(), picture(size)
    everyone = 0.0
    for weights, gradient in hooked(model, image, 4):
        positive = (weights * gradient).clamp(min=0)[0].mean(dim=0).detach()
        identity = torch.eye(len(positive), dtype=torch.float64)
        everyone = (identity + positive) @ (identity + everyone) - identity
    assert everyone.max() > 1e-3
    np.testing.assert_allclose(relevance(model, image, 4).matrix, everyone.numpy(), rtol=1e-5, atol=1e-9)


def test_a_class_token_that_joins_late_is_relevant_in_its_own_row_alone():
    model, image = timm_model("cait_xxs24_224", img_size=64, depth=2).double(), picture(64)
    matrices = [(w * g).clamp(min=0)[0].mean(dim=0).detach() for w, g in hooked(model, image, 4)]
    everyone = torch.eye(17, dtype=torch.float64)
    for patches in matrices[:2]:
        everyone[1:, 1:] += patches @ everyone[1:, 1:]
    for cls in matrices[2:]:
        everyone[:1] += cls @ everyone
    expected = (everyone - torch.eye(17)).numpy()
    assert expected[0, 1:].max() > 1e-3 and expected[1:].max() > 1e-6
    np.testing.assert_allclose(relevance(model, image, 4).matrix, expected, rtol=1e-5, atol=1e-9)


def test_single_precision_is_enough():
    exact, found = relevance(ours().double(), picture(16), 1).matrix, relevance(ours(), picture(16), 1).matrix
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-3 * exact.max())


def test_a_pooling_by_attention_reads_what_tokens_became():
    model = timm_model("vit_base_patch16_siglip_224", img_size=64, depth=2, embed_dim=192)
    image, seen = picture(64), []
    images = torch.from_numpy(image)[None].requires_grad_()
    logits = watch_attention(lambda: model(images), model, lambda call: seen.append(call.rows()), through=True)
    gradients = torch.autograd.grad(logits[0, 4], seen)
    *layers, pooling = ((w * g).clamp(min=0)[0].mean(dim=0).detach() for w, g in zip(seen, gradients, strict=True))
    everyone = torch.eye(16)
    for patches in layers:
        everyone = everyone + patches @ everyone
    row = flow_row(relevance(model, image, 4))
    assert row.query == "learned query" and row.map.max() > 0
    np.testing.assert_allclose(row.map.ravel(), (pooling @ everyone)[0].numpy(), rtol=1e-4)


@pytest.mark.parametrize("around", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("trainable", [True, False])
def test_relevance_works_wherever_it_is_called_and_leaves_no_gradient(around, trainable):
    model, image = ours().requires_grad_(trainable), picture(16)
    expected = relevance(ours(), image).matrix
    with around():
        found = relevance(model, image).matrix
    assert np.array_equal(found, expected)
    assert all(parameter.grad is None and parameter.requires_grad == trainable for parameter in model.parameters())


def test_many_threads_on_one_model_get_each_their_own_relevance():
    model, images = ours(), [picture(16, seed) for seed in range(20)]
    alone = [relevance(model, image, 1).matrix for image in images]
    assert all(not np.array_equal(alone[0], other) for other in alone[1:])
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(lambda image: relevance(model, image, 1).matrix, images * 3))
    assert all(np.array_equal(found, expected) for found, expected in zip(together, alone * 3, strict=True))


def test_a_target_that_there_is_not_is_named():
    with pytest.raises(Problem, match="there is no class 3: the model tells 3 apart"):
        relevance(ours(), picture(16), 3)
    with pytest.raises(Problem, match="there is no class -1"):
        relevance(ours(), picture(16), -1)
    with pytest.raises(Problem, match=r"a vector of shape \(5,\) is no target: the model's embeddings have 12 numbers"):
        relevance(ours(), picture(16), np.ones(5, np.float32))
    with pytest.raises(Problem, match="no classifier"):
        relevance(ours(num_classes=0), picture(16))
    assert relevance(ours(num_classes=0), picture(16), CENTER).score is not None


def test_what_would_not_fit_or_cannot_be_followed_is_refused(monkeypatch):
    swin = timm_model("swin_tiny_patch4_window7_224", img_size=64, depths=(1, 1, 1, 1), embed_dim=24)
    with pytest.raises(Problem, match=r"cannot be followed through this model: layer 0 .* is window attention"):
        relevance(swin, picture(64))
    monkeypatch.setattr(attention_relevance, "MAX_BYTES", 3 * 8 * 3 * 17 * 17)
    with pytest.raises(Problem, match="too large for relevance"):
        relevance(ours(), picture(16))
