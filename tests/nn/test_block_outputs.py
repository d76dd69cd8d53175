"""What blocks put out is what timm says they do, and the model that was looked into is as it was."""

import math

import pytest
import torch

from vitviz.errors import Problem
from vitviz.nn.block_outputs import (
    block_names,
    block_outputs,
    grid_of,
    pick_block,
    replay_blocks,
    split_tokens,
    tap_blocks,
    tokens_in,
    with_modules,
)
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer

import_torchvision()
import timm  # noqa: E402

SMALL = {"embed_dim": 48, "num_heads": 3, "depth": 3, "num_classes": 7}
WINDOWED = {"window_size": 2, "embed_dim": 24, "depths": (1, 1, 2, 1), "num_classes": 7, "img_size": 64}
MODELS = {
    "vit_tiny_patch16_224": {**SMALL, "img_size": 64},
    "deit_tiny_distilled_patch16_224": {**SMALL, "img_size": 64},
    "vit_small_patch14_reg4_dinov2": {**SMALL, "img_size": 56},
    "eva02_tiny_patch14_224": {**SMALL, "img_size": 56},
    "beit_base_patch16_224": {**SMALL, "img_size": 64},
    "vit_relpos_small_patch16_224": {**SMALL, "img_size": 64},
}
PREFIX = dict(zip(MODELS, (1, 2, 5, 1, 1, 0), strict=True))


def build(name: str, **settings) -> torch.nn.Module:
    model = timm.create_model(name, **settings).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 or name.endswith("bias"):
            parameter.normal_(std=0.1, generator=generator)
        elif "gamma" in name:  # of a layer's scale: as it begins, blocks do next to nothing
            parameter.fill_(0.5)
    return model


def frame(name: str) -> torch.nn.Module:
    """A model without memory for its tensors."""
    with torch.device("meta"):
        return timm.create_model(name)


def picture(height: int, width: int | None = None) -> torch.Tensor:
    return torch.randn(1, 3, height, width or height, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", MODELS)
def test_tokens_are_those_of_timm_s_own_intermediates(name):
    model, images = build(name, **MODELS[name]), picture(MODELS[name]["img_size"])
    theirs = model.forward_intermediates(images, output_fmt="NLC", intermediates_only=True)
    for output, wanted in zip(block_outputs(model, images), theirs, strict=True):
        prefix, patches, grid = split_tokens(model, tokens_in(output), *images.shape[2:])
        torch.testing.assert_close(patches, wanted)
        assert prefix.shape[1] == PREFIX[name] and grid == grid_of(model, *images.shape[2:]) == (4, 4)


def test_tokens_of_ours_are_those_it_keeps():
    model = VisionTransformer(img_size=32, patch_size=8, num_classes=5, embed_dim=16, depth=3, num_heads=2).eval()
    images = picture(32)
    outputs = block_outputs(model, images)
    with torch.no_grad():
        kept = model(images, keep=("hidden",)).hidden
    assert all(torch.equal(tokens_in(output), tokens) for output, tokens in zip(outputs, kept, strict=True))
    assert split_tokens(model, kept[0], 32, 32)[0].shape[1] == 1 and grid_of(model, 32, 32) == (4, 4)


@pytest.mark.parametrize(
    ("name", "settings", "num_blocks", "grid"),
    [
        ("cait_xxs24_224", {**SMALL, "img_size": 64}, 3, (4, 4)),
        ("xcit_nano_12_p16_224", {**SMALL, "img_size": 64}, 3, (4, 4)),
        ("swin_tiny_patch4_window7_224", WINDOWED, 5, (2, 2)),
        ("vit_medium_patch16_gap_240", {**SMALL, "img_size": (48, 64)}, 3, (3, 4)),
    ],
)
def test_models_that_add_no_prefix_before_these_blocks_have_none_there(name, settings, num_blocks, grid):
    model, size = build(name, **settings), settings["img_size"]
    images = picture(*(size if isinstance(size, tuple) else (size, size)))
    outputs = block_outputs(model, images)
    prefix, patches, found = split_tokens(model, tokens_in(outputs[-1]), *images.shape[2:])
    assert len(outputs) == num_blocks and prefix.shape[1] == 0
    assert found == grid == grid_of(model, *images.shape[2:]) and patches.shape[1] == math.prod(grid)


def test_lists_of_lists_of_blocks_and_stages_are_walked_in_order():
    assert block_names(frame("twins_svt_small"))[:4] == [f"blocks.{i}.{j}" for i in (0, 1) for j in (0, 1)]
    assert block_names(build("swin_tiny_patch4_window7_224", **WINDOWED)) == [
        f"layers.{stage}.blocks.{index}" for stage, index in ((0, 0), (1, 0), (2, 0), (2, 1), (3, 0))
    ]


def test_a_map_with_channels_first_is_read_row_by_row():
    model, grid = torch.nn.Module(), torch.arange(2 * 3 * 8.0).reshape(1, 2, 3, 8)
    by_row, by_channel = (split_tokens(model, one, 20, 30) for one in (grid, grid.permute(0, 3, 1, 2)))
    assert by_row[2] == by_channel[2] == (2, 3)
    assert torch.equal(by_row[1], by_channel[1]) and torch.equal(by_row[1], grid.reshape(1, 6, 8))


def test_the_model_looked_into_is_as_it_was():
    model, images = build("vit_tiny_patch16_224", **MODELS["vit_tiny_patch16_224"]), picture(64)
    modules, wanted = dict(model.named_modules()), model(images)
    before = {name: {**vars(module)} for name, module in modules.items()}
    block_outputs(model, images)
    replay_blocks(model, torch.zeros(1, 17, 48))(images)
    assert all(module is modules[name] for name, module in model.named_modules())
    for name, module in modules.items():
        assert vars(module).keys() == before[name].keys()
        assert all(value is before[name][key] for key, value in vars(module).items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules.values())
    assert torch.equal(model(images), wanted)


def test_an_exchanged_module_is_new_only_in_the_copy_and_no_tensor_is_copied():
    model = build("swin_tiny_patch4_window7_224", **WINDOWED)
    twin = with_modules(model, {"layers.2.blocks.1": torch.nn.Identity(), "layers.0.blocks.0": torch.nn.Identity()})
    assert isinstance(twin.layers[2].blocks[1], torch.nn.Identity)
    assert not isinstance(model.layers[2].blocks[1], torch.nn.Identity)
    assert twin.layers[1] is model.layers[1] and twin.layers[2].blocks[0] is model.layers[2].blocks[0]
    known = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in twin.parameters()} < known


def test_a_change_of_a_block_s_output_reaches_the_blocks_after_it():
    model, images = build("vit_tiny_patch16_224", **MODELS["vit_tiny_patch16_224"]), picture(64)
    changed = tap_blocks(model, {"blocks.1": lambda tokens: tokens * 0})
    after = block_outputs(changed, images)
    assert torch.equal(after[2], model.blocks[2](torch.zeros(1, 17, 48)))


def test_blocks_that_replay_what_the_last_one_gave_leave_the_answer():
    model, images = build("beit_base_patch16_224", **MODELS["beit_base_patch16_224"]), picture(64)
    torch.testing.assert_close(replay_blocks(model, block_outputs(model, images)[-1])(images), model(images))


@pytest.mark.parametrize("block", [3, -4])
def test_a_block_that_is_not_there_is_a_problem(block):
    with pytest.raises(Problem, match=f"no block {block}: the model has 3; choose 0 to 2"):
        pick_block(build("vit_tiny_patch16_224", **MODELS["vit_tiny_patch16_224"]), block)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_what_does_not_fill_a_patch_is_cut_off_as_timm_does(name):
    with torch.device("meta"):
        model = timm.create_model(name, img_size=58 if "vit" in name else 226)
    size = model.patch_embed.img_size
    assert grid_of(model, *size, stage=0) == tuple(model.patch_embed.grid_size)


def test_a_network_without_blocks_or_a_picture_s_order_is_a_problem():
    with pytest.raises(Problem, match="ResNet is no ViT"):
        block_outputs(frame("resnet18"), picture(64))
    with pytest.raises(Problem, match="ordered by windows"):
        split_tokens(frame("hiera_tiny_224"), torch.zeros(1, 16, 8), 64, 64)
    with pytest.raises(Problem, match="7 tokens make no grid"):
        split_tokens(torch.nn.Module(), torch.zeros(1, 7, 8), 64, 64)
    with pytest.raises(Problem, match="how many pixels"):
        grid_of(torch.nn.Module(), 64, 64)
