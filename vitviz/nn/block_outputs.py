"""What each block of a ViT puts out, and its network run on from there, without a hook: the shared model is never touched.

A call works on a copy of the modules on the way to the blocks, in which blocks are exchanged for ones that watch or replay; all
other modules and every tensor are shared with the model. A hook on the model itself would catch other sessions' images.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.errors import Problem

_STAGES = ("layers", "stages")


def block_names(model: nn.Module) -> list[str]:
    """The dotted names of the blocks of attention in the order they run, e.g. ``blocks.0`` or ``layers.1.blocks.0``.

    Raises: Problem when ``model`` has neither blocks nor stages of blocks.
    """
    for name in ("blocks", *_STAGES):
        found = [
            inner
            for index, part in enumerate(getattr(model, name, ()))
            for inner in _blocks_in(part, f"{name}.{index}", is_block=name == "blocks")
        ]
        if found:
            return found
    raise Problem(f"{type(model).__name__} is no ViT that can be looked into", "it has no list of blocks")


def pick_block(model: nn.Module, block: int) -> int:
    """A block by its place, 0..depth - 1.

    Raises: Problem when there is no block ``block``; -1 is the last one, as in a list.
    """
    depth = len(block_names(model))
    if not -depth <= block < depth:
        raise Problem(f"there is no block {block}", f"the model has {depth}", f"choose 0 to {depth - 1}")
    return block % depth


def with_modules(model: nn.Module, exchanged: Mapping[str, nn.Module]) -> nn.Module:
    """A model as ``model`` but for the modules of these dotted names; ``model`` stays as it is and shares all else with it."""
    twin = _twin(model)
    own = {"": twin}
    for name, module in exchanged.items():
        parents, _, leaf = name.rpartition(".")
        _own_parent(own, parents)._modules[leaf] = module
    return twin


def block_outputs(model: nn.Module, images: Tensor) -> list[Any]:
    """What every block returns for images (B, 3, H, W), in order; a block of ours returns (tokens, None). No gradient.

    Raises: as :func:`block_names`.
    """
    names = block_names(model)
    found: list[Any] = []

    def keep(output: Any) -> Any:
        found.append(output)
        return output

    with torch.inference_mode():
        tap_blocks(model, dict.fromkeys(names, keep))(images)
    return found


def tap_blocks(model: nn.Module, changes: Mapping[str, Callable[[Any], Any]]) -> nn.Module:
    """A copy of ``model`` in which the output of each of these blocks goes through its function."""
    return with_modules(model, {name: _Tap(model.get_submodule(name), change) for name, change in changes.items()})


def replay_blocks(model: nn.Module, output: Any) -> nn.Module:
    """A copy of ``model`` whose blocks all return ``output``, whatever they are given: the network after its last block."""
    return with_modules(model, dict.fromkeys(block_names(model), _Replay(output)))


def tokens_in(output: Any) -> Tensor:
    """The tokens in what a block returned."""
    return output[0] if isinstance(output, tuple) else output


def with_tokens(output: Any, tokens: Tensor) -> Any:
    """What a block returned, with other tokens."""
    return (tokens, *output[1:]) if isinstance(output, tuple) else tokens


def grid_of(model: nn.Module, height: int, width: int, *, stage: int = -1) -> tuple[int, int]:
    """Rows and columns of patch tokens after a stage, the last unless told, for pictures of ``height`` x ``width`` px.

    What does not fill a patch is cut off unless the model pads it; between stages it is padded. A model of one stage, or of
    one size as ours, has one grid.

    Raises: Problem when the model does not say how many pixels a token stands for.
    """
    if isinstance(getattr(model, "grid", None), tuple):
        return model.grid
    sides = patch_sides(model)
    pads = getattr(getattr(model, "patch_embed", None), "dynamic_img_pad", False)
    first = tuple(
        -(-length // side) if pads else length // side for length, side in zip((height, width), sides[0], strict=True)
    )
    return tuple(
        math.ceil(number * fine / side) for number, fine, side in zip(first, sides[0], sides[stage], strict=True)
    )


def patch_sides(model: nn.Module) -> list[tuple[int, int]]:
    """Pixels that a token stands for after each stage, downwards and across.

    Raises: Problem when the model does not say so.
    """
    known = [one.get("reduction") for one in getattr(model, "feature_info", None) or ()]
    if not known or None in known:
        raise Problem(
            f"{type(model).__name__} has no grid of patches", "it does not say how many pixels a token stands for"
        )
    return [(int(one[0]), int(one[1])) if isinstance(one, tuple | list) else (int(one), int(one)) for one in known]


def split_tokens(model: nn.Module, tokens: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Tokens of a block as prefix (B, P, D), patches (B, N, D) row by row, and their grid (rows, columns).

    ``height``, ``width``: of the picture, in pixels. ``tokens`` are (B, P + N, D), or a map: (B, rows, columns, D) where
    that has the picture's proportions, else (B, D, rows, columns).

    Raises: Problem when they make no grid, or one in another order than the picture's.
    """
    if hasattr(model, "unroll"):
        raise Problem(f"the tokens of {type(model).__name__} are no picture", "they are ordered by windows")
    if tokens.ndim == 4:
        is_by_row = abs(tokens.shape[1] * width - tokens.shape[2] * height) < max(height, width)
        by_row = tokens if is_by_row else tokens.permute(0, 2, 3, 1)
        return by_row[:, :0, 0], by_row.flatten(1, 2), tuple(by_row.shape[1:3])
    prefix = 1 if hasattr(model, "grid") else getattr(model, "num_prefix_tokens", 0)
    for count in (prefix, 0):  # CaiT and XCiT add their CLS token after these blocks
        number = tokens.shape[1] - count
        rows = round(math.sqrt(number * height / width))
        if rows and number % rows == 0 and abs(rows * width - number // rows * height) < max(height, width):
            return tokens[:, :count], tokens[:, count:], (rows, number // rows)
    raise Problem(f"{tokens.shape[1]} tokens make no grid", f"the picture is {width} x {height} px")


def _blocks_in(part: nn.Module, name: str, *, is_block: bool) -> list[str]:
    """The blocks in one entry of ``blocks`` (itself, or a list of them as in Twins) or in one stage, by dotted name."""
    if is_block and not isinstance(part, nn.ModuleList):
        return [name]
    inside, name = (part, name) if is_block else (getattr(part, "blocks", ()), f"{name}.blocks")
    return [f"{name}.{index}" for index in range(len(inside))]


def _twin(module: nn.Module) -> nn.Module:
    """The same module, with a table of children of its own."""
    twin = copy.copy(module)
    twin.__dict__["_modules"] = dict(module._modules)
    return twin


def _own_parent(own: dict[str, nn.Module], name: str) -> nn.Module:
    """The copy of the module ``name``, made if there is none yet, its parents likewise."""
    if name not in own:
        parents, _, leaf = name.rpartition(".")
        parent = _own_parent(own, parents)
        own[name] = parent._modules[leaf] = _twin(parent._modules[leaf])
    return own[name]


class _Tap(nn.Module):
    def __init__(self, block: nn.Module, change: Callable[[Any], Any]):
        super().__init__()
        self.block, self.change = block, change

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.change(self.block(*args, **kwargs))


class _Replay(nn.Module):
    def __init__(self, output: Any):
        super().__init__()
        self.output = output

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.output
