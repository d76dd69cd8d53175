"""Attention watched in the forward pass: the weights are those of the unfused model, and the pass is what it was."""

import copy
import threading

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.nn.attention_capture import watch_attention
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer, init_weights

ARCHITECTURES = {
    "vit_tiny_patch16_224": {"img_size": 64, "depth": 3},
    "deit_tiny_distilled_patch16_224": {"img_size": 64, "depth": 3},
    "deit3_small_patch16_224": {"img_size": 64, "depth": 2},
    "vit_small_patch14_reg4_dinov2": {"img_size": 56, "depth": 2},
    "vit_tiny_patch16_dinov3_qkvb": {"img_size": 64, "depth": 3},
    "vit_wee_patch16_reg1_gap_256": {"img_size": 64, "depth": 3},
    "vit_pwee_patch16_reg1_gap_256": {"img_size": 64, "depth": 3},
    "vit_base_patch16_siglip_224": {"img_size": 64, "depth": 2, "embed_dim": 192},
    "eva02_tiny_patch14_224": {"img_size": 56, "depth": 3},
    "beit_base_patch16_224": {"img_size": 64, "depth": 2, "embed_dim": 192},
    "vit_relpos_small_patch16_224": {"img_size": 64, "depth": 2},
    "swin_tiny_patch4_window7_224": {"img_size": 72, "depths": (2, 2, 1, 1), "embed_dim": 24},
    "swinv2_tiny_window8_256": {"img_size": 64, "window_size": 4, "depths": (2, 2, 1, 1), "embed_dim": 24},
    "swinv2_cr_tiny_224": {"img_size": 96, "depths": (2, 2, 1, 1), "embed_dim": 24},
    "cait_xxs24_224": {"img_size": 64, "depth": 2},
    "xcit_nano_12_p16_224": {"img_size": 64, "depth": 2},
    "pvt_v2_b0": {"img_size": 64},
}
NO_SIZE = ("pvt_v2_b0", "xcit_nano_12_p16_224")
"""Architectures that take pictures of any size, and no argument for it."""


@pytest.fixture(params=ARCHITECTURES)
def model(request) -> nn.Module:
    """Untrained, no network; queries and keys so large that no attention is near uniform. ``side``: of its pictures."""
    import_torchvision()
    import timm

    arguments = dict(ARCHITECTURES[request.param])
    side = arguments.pop("img_size") if request.param in NO_SIZE else arguments["img_size"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = timm.create_model(request.param, pretrained=False, num_classes=10, **arguments)
        made = made.eval().requires_grad_(False)
        for name, parameter in made.named_parameters():
            if parameter.ndim == 2 and any(part in name for part in ("qkv", ".q.", ".k.", ".kv.", "in_proj", "proj_l")):
                parameter.normal_(std=1.5 * parameter.shape[1] ** -0.5)
            if name.endswith("latent"):
                parameter.normal_()
    made.side = side
    return made


def picture(side: int, seed: int = 1) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def watched(model: nn.Module, images: Tensor, **options) -> tuple[dict[str, Tensor], Tensor]:
    """All weights by the name of their module, and what the model returned."""
    weights = {}
    output = watch_attention(
        lambda: model(images), model, lambda call: weights.update({call.name: call.rows().clone()}), **options
    )
    return weights, output


def unfused(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The weights as timm's own unfused code makes them, by hooks on a copy: what its dropout of attention is given.

    Talking heads mix the weights once more before that, so theirs are taken before; a pooling has no such dropout, and its
    weights are computed from what its layers for queries and keys return.
    """
    twin, weights, parts = copy.deepcopy(model), {}, {}
    for name, module in twin.named_modules():
        owner, _, last = name.rpartition(".")
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
        if hasattr(module, "proj_w"):
            module.proj_w.register_forward_pre_hook(
                lambda _, given, name=name: weights.update({name: given[0].permute(0, 3, 1, 2)})
            )
        elif last == "attn_drop" and not hasattr(twin.get_submodule(owner), "proj_w"):
            module.register_forward_hook(lambda _, given, __, owner=owner: weights.update({owner: given[0]}))
        elif hasattr(module, "latent"):
            for part in ("q", "kv"):
                twin.get_submodule(f"{name}.{part}").register_forward_hook(
                    lambda _, __, made, part=part: parts.update({part: made})
                )
    twin(images)
    if parts:
        weights["attn_pool"] = pooling_weights(parts["q"], parts["kv"], twin.attn_pool.num_heads)
    return weights


def pooling_weights(queries: Tensor, keys_and_values: Tensor, num_heads: int) -> Tensor:
    q = queries.unflatten(2, (num_heads, -1)).transpose(1, 2)
    k = keys_and_values.unflatten(2, (2, num_heads, -1))[:, :, 0].transpose(1, 2)
    return (q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1)


def test_weights_are_those_of_timm_s_own_unfused_attention(model):
    images = picture(model.side)
    with torch.inference_mode():
        expected, (found, _) = unfused(model, images), watched(model, images)
    assert list(found) == list(expected) and len(found) > 1
    for name, weights in expected.items():
        assert weights.amax(dim=-1).mean() > 1.5 / weights.shape[-1], (
            "an attention that is all but uniform proves nothing"
        )
        torch.testing.assert_close(found[name], weights, rtol=0, atol=1e-5)
        torch.testing.assert_close(found[name].sum(dim=-1), torch.ones(weights.shape[:-1]), rtol=0, atol=1e-5)


def test_the_pass_is_what_it_was_and_through_the_weights_to_1e_5(model):
    images = picture(model.side)
    with torch.inference_mode():
        plain = model(images)
        assert torch.equal(watched(model, images)[1], plain)
        torch.testing.assert_close(watched(model, images, through=True)[1], plain, rtol=1e-5, atol=1e-5)


def test_rows_asked_for_are_rows_of_the_whole(model):
    rows, whole = {}, {}
    images, asked = picture(model.side), torch.tensor([0, -1])

    def visit(call):
        rows[call.name], whole[call.name] = call.rows(asked), call.rows()
        assert call.shape == tuple(whole[call.name].shape)

    watch_attention(lambda: model(images), model, visit)
    for name, weights in whole.items():
        torch.testing.assert_close(rows[name], weights[..., asked, :], rtol=0, atol=1e-6)


class Bare(nn.Module):
    """An attention of any making: ``attend(q, k, v)``, with the names by which a module of attention is known."""

    def __init__(self, attend, num_heads: int = 2):
        super().__init__()
        self.num_heads, self.attend = num_heads, attend
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(*self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4))


def scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT * q.shape[-1] ** -0.5


SOFTMAXES = {
    "method": lambda s: s.softmax(dim=-1),
    "method, by place": lambda s: s.softmax(3),
    "function": lambda s: F.softmax(s, dim=-1),
    "torch": lambda s: torch.softmax(s, -1),
    "special": lambda s: torch.special.softmax(s, -1),
    "module": nn.Softmax(dim=-1),
}


@pytest.mark.parametrize("softmax", SOFTMAXES)
@pytest.mark.parametrize("gradients", [False, True])
def test_a_softmax_is_seen_however_it_is_written(softmax, gradients):
    module = Bare(lambda q, k, v: SOFTMAXES[softmax](scores(q, k)) @ v)
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(not gradients):
        found, output = watched(module, x)
        q, k, v = module.qkv(x).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        weights = scores(q, k).softmax(dim=-1)
        torch.testing.assert_close(found[""], weights)
        torch.testing.assert_close(output, weights @ v)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Bare(lambda q, k, v: scores(q, k).softmax(dim=2) @ v), (1, 5, 8)),
        (Bare(lambda q, k, v: scores(q, k)[:, 0].softmax(dim=-1)), (1, 5, 8)),
        (nn.Sequential(nn.Linear(8, 8), nn.Softmax(dim=-1)), (1, 2, 5, 8)),
    ],
    ids=["over queries", "without heads", "in no module of attention"],
)
def test_a_softmax_that_is_no_attention_is_not_seen(module, shape):
    assert watched(module, torch.randn(shape))[0] == {}


MASKS = {
    "none": {},
    "bool": {"attn_mask": torch.tensor([[True, True, False, True, False]]).expand(5, 5)},
    "bool, one row": {"attn_mask": torch.tensor([[[[True, True, False, True, False]]]])},
    "bias a head": {"attn_mask": torch.arange(50.0).reshape(1, 2, 5, 5).sin() * 3},
    "causal": {"is_causal": True},
    "scale": {"scale": 2.0},
}


@pytest.mark.parametrize("name", MASKS)
def test_the_fused_weights_are_those_of_a_float64_reference(name):
    options = MASKS[name]
    module = Bare(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options))
    x = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, plain = watched(module, x)
        _, through = watched(module, x, through=True)
        rows = {}
        watch_attention(
            lambda: module(x), module, lambda call: rows.update(some=call.rows(torch.tensor([3, 1]))) and None
        )
        q, k, v = module.qkv(x).double().unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    logits = q @ k.mT * options.get("scale", 4**-0.5)
    mask = torch.ones(5, 5).tril().bool() if "is_causal" in options else options.get("attn_mask", torch.zeros(1))
    logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
    expected = logits.softmax(dim=-1)
    torch.testing.assert_close(found[""].double(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(rows["some"].double(), expected[:, :, [3, 1]], rtol=0, atol=1e-6)
    for output in (plain, through):
        torch.testing.assert_close(output.double(), expected @ v, rtol=0, atol=1e-6)


def test_keys_that_serve_several_heads_are_understood():
    module = Bare(lambda q, k, v: F.scaled_dot_product_attention(q, k[:, ::2], v[:, ::2], enable_gqa=True), num_heads=4)
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    found, plain = watched(module, x)
    _, through = watched(module, x, through=True)
    q, k, _ = module.qkv(x).unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)
    torch.testing.assert_close(found[""], scores(q, k[:, [0, 0, 2, 2]]).softmax(dim=-1))
    torch.testing.assert_close(through, plain)


def test_half_precision_is_read_in_single():
    module = Bare(F.scaled_dot_product_attention).bfloat16()
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    found, _ = watched(module, x)
    assert found[""].dtype == torch.float32
    q, k, _ = module.qkv(x).double().unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    torch.testing.assert_close(found[""].double(), scores(q, k).softmax(dim=-1), rtol=0, atol=1e-5)
    assert watched(module, x, through=True)[1].dtype == torch.bfloat16


def ours() -> VisionTransformer:
    made = VisionTransformer(img_size=16, patch_size=4, num_classes=3, embed_dim=12, depth=3, num_heads=3)
    made = init_weights(made, torch.Generator().manual_seed(0)).eval()
    for name, parameter in made.named_parameters():
        if "qkv.weight" in name:
            parameter.data.mul_(40)
    return made


def test_our_own_vit_is_seen_and_says_the_same_of_itself():
    made, images = ours(), picture(16)
    found, output = watched(made, images)
    kept = made(images, keep=("attention",)).attention
    assert list(found) == [f"blocks.{index}.attn" for index in range(3)]
    for weights, own in zip(found.values(), kept, strict=True):
        torch.testing.assert_close(weights, own, rtol=0, atol=1e-5)
    assert torch.equal(output.logits, made(images).logits)


def test_gradients_reach_the_weights_only_when_the_values_go_through_them():
    made, images = ours(), picture(16)
    seen = []
    output = watch_attention(lambda: made(images), made, lambda call: seen.append(call.rows()), through=True)
    gradients = torch.autograd.grad(output.logits[0, 0], seen)
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    assert all(parameter.grad is None for parameter in made.parameters())
    seen.clear()
    output = watch_attention(lambda: made(images), made, lambda call: seen.append(call.rows()))
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(output.logits[0, 0], seen)


def test_a_visit_that_has_enough_ends_the_pass():
    made, seen = ours(), []
    reached = watch_attention(lambda: made(picture(16)), made, lambda call: seen.append(call.index) or call.index == 1)
    assert reached is None and seen == [0, 1]


def test_an_error_of_the_model_or_of_the_visit_comes_out_as_it_is_and_leaves_nothing_behind():
    made = ours()
    with pytest.raises(ZeroDivisionError):
        watch_attention(lambda: made(picture(16)), made, lambda call: 1 // 0)
    with pytest.raises(RuntimeError, match="channels"):
        watch_attention(lambda: made(torch.zeros(1, 5, 16, 16)), made, lambda call: None)
    assert torch.overrides._get_current_function_mode_stack() == []
    assert made(picture(16)).logits.shape == (1, 3)


def test_what_a_visit_computes_is_not_itself_watched():
    made, count = ours(), []

    def visit(call):
        count.append(call.index)
        F.scaled_dot_product_attention(*torch.zeros(3, 1, 1, 2, 2))

    watch_attention(lambda: made(picture(16)), made, visit)
    assert count == [0, 1, 2]


def test_other_threads_are_not_seen_while_one_watches():
    made, seen = ours(), []

    def visit(call):
        seen.append(call.index)
        other = threading.Thread(target=lambda: made(picture(16)))
        other.start()
        other.join()

    watch_attention(lambda: made(picture(16)), made, visit)
    assert seen == [0, 1, 2]


def test_a_parameter_that_two_modules_share_names_neither():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Bare(F.scaled_dot_product_attention), Bare(F.scaled_dot_product_attention)
            self.first.table = self.second.table = nn.Parameter(torch.zeros(1))
            for bare in (self.first, self.second):
                bare.attend = lambda q, k, v, bare=bare: F.scaled_dot_product_attention(q, k, v * (1 + bare.table))

        def forward(self, x: Tensor) -> Tensor:
            self.first(x)
            return self.second(x)

    assert list(watched(Pair(), torch.randn(1, 5, 8))[0]) == ["first", "second"]
