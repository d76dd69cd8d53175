"""Where the tokens of a ViT lie: the grid, what stands before it, and the windows of a Swin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.nn.block_outputs import grid_of, patch_sides

if TYPE_CHECKING:
    import torch

Size = tuple[int, int]


@dataclass(frozen=True)
class TokenLayout:
    """What a picture becomes: grid = (rows, columns) of patch tokens; prefix: names of the tokens before them.

    patch_size: pixels along a side of a patch; size = (height, width) of the picture as fed. ``str()`` is e.g.
    "14 x 14 grid + 1 CLS + 4 registers". In a model whose grid shrinks these are the tokens of its first stage.
    """

    grid: Size
    prefix: tuple[str, ...]
    patch_size: int
    size: Size

    def __str__(self) -> str:
        registers = sum(name.startswith("register") for name in self.prefix)
        parts = [f"1 {name}" for name in self.prefix if not name.startswith("register")]
        parts += [f"{registers} register{'s' if registers > 1 else ''}"] if registers else []
        return " + ".join([f"{self.grid[0]} x {self.grid[1]} grid", *parts])


def layout_of(model: torch.nn.Module, size: Size | None = None) -> TokenLayout:
    """The tokens of a picture of ``size`` = (height, width) px; None: the size that a timm model was made for.

    Raises: Problem when the model does not tell its patch size, or its picture size when none is given.
    """
    prefix = _prefix_of(model)
    if isinstance(getattr(model, "grid", None), tuple):  # vitviz's own: one size only
        size = size or _own_size(model)
        return TokenLayout(model.grid, prefix, size[0] // model.grid[0], size)
    side = patch_sides(model)[0][0]
    size = size or _own_size(model)
    return TokenLayout(grid_of(model, *size, stage=0), prefix, side, size)


def grid_covering(num_tokens: int, layout: TokenLayout) -> Size | None:
    """The grid that so many tokens cover the whole picture with; None when there is none.

    Either the layout's own, or that of a stage whose tokens stand a whole number of pixels apart, or of a square picture
    any square.
    """
    if num_tokens == math.prod(layout.grid):
        return layout.grid
    height, width = layout.size
    for stride in range(layout.patch_size, max(height, width) + 1):
        for grid in ((-(-height // stride), -(-width // stride)), (height // stride, width // stride)):
            if math.prod(grid) == num_tokens:
                return grid
    side = math.isqrt(num_tokens)
    return (side, side) if height == width and num_tokens and side * side == num_tokens else None


def find_query(query: str | int | tuple[int, int], layout: TokenLayout) -> str | tuple[int, int]:
    """A query as the name of a prefix token, "mean", or (row, column) on ``layout.grid``; an int counts all tokens from 0.

    Raises: Problem when there is no such token.
    """
    rows, columns = layout.grid
    if isinstance(query, str):
        if query in ("mean", *layout.prefix):
            return query
        raise Problem(f"there is no token {query!r}", f"the model has a {layout}", "ask for a (row, column) or 'mean'")
    if isinstance(query, Integral):
        if 0 <= query < len(layout.prefix):
            return layout.prefix[query]
        place = divmod(query - len(layout.prefix), columns)
    else:
        place = query
    if not (0 <= place[0] < rows and 0 <= place[1] < columns):
        raise Problem(f"there is no token {query}", f"the model has a {layout}")
    return int(place[0]), int(place[1])


def place_on(grid: Size, place: tuple[int, int], layout: TokenLayout) -> tuple[int, int]:
    """The token of a coarser ``grid`` that covers the middle of a place of ``layout.grid``."""
    return tuple((2 * at + 1) * side // (2 * full) for at, side, full in zip(place, grid, layout.grid, strict=True))


@dataclass(frozen=True)
class Windows:
    """Attention within windows of a grid that was rolled by ``shift`` up and left, then padded below and right.

    Source: Liu et al. 2021 (Swin), section 3.2.
    """

    grid: Size
    size: Size
    shift: Size

    @property
    def count(self) -> int:
        """How many windows there are, those that are partly padding included."""
        return math.prod(-(-side // window) for side, window in zip(self.grid, self.size, strict=True))

    def tokens(self) -> np.ndarray:
        """The token, row by row, at each place of each window: (count, window area) int64; -1 for padding."""
        ids = np.arange(math.prod(self.grid)).reshape(self.grid)
        rolled = np.roll(ids, (-self.shift[0], -self.shift[1]), axis=(0, 1))
        fill = [(0, -side % window) for side, window in zip(self.grid, self.size, strict=True)]
        padded = np.pad(rolled, fill, constant_values=-1)
        down, across = (side // window for side, window in zip(padded.shape, self.size, strict=True))
        cut = padded.reshape(down, self.size[0], across, self.size[1]).transpose(0, 2, 1, 3)
        return cut.reshape(self.count, -1)


def windows_around(model: torch.nn.Module, name: str) -> Windows | None:
    """The windows of an attention module by its name in ``model``, as the Swins of timm tell them; None when they do not."""
    block = model.get_submodule(name.rpartition(".")[0])
    grid = getattr(block, "input_resolution", None) or getattr(block, "feat_size", None)
    size, shift = getattr(block, "window_size", None), getattr(block, "shift_size", None)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in (grid, size, shift)):
        return None
    return Windows(grid, size, shift)


def _prefix_of(model: torch.nn.Module) -> tuple[str, ...]:
    """Names in timm's order: class token, distillation token, registers; what is left of its count is called so."""
    names = ["CLS"] if getattr(model, "cls_token", None) is not None else []
    if getattr(model, "dist_token", None) is not None:
        names.append("distillation")
    registers = getattr(model, "reg_token", None)
    names += [f"register {number + 1}" for number in range(0 if registers is None else registers.shape[1])]
    total = getattr(model, "num_prefix_tokens", len(names))
    return (*names, *(f"prefix {number + 1}" for number in range(len(names), total)))


def _own_size(model: torch.nn.Module) -> Size:
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if size is None and getattr(model, "default_cfg", None):
        size = model.default_cfg["input_size"][1:]
    if size is None:
        raise Problem(f"{type(model).__name__} does not tell the size of its pictures", "", "give one")
    return (int(size[0]), int(size[1]))
