"""Where pixels and super tokens lie: tiles of 2x2 cells, each with the same 16 candidates, and no index arithmetic.

A cell is P x P pixels; a pixel chooses among the 3x3 cells around its own. The four cells of a 2x2 tile share 4x4 of them, so a
whole tile is one matrix, (2P)^2 pixels by 16 candidates, of which a mask shuts 7 per pixel. Super tokens live on a *canvas*
(B, 2 th + 2, 2 tw + 2, C): the grid with a ring around it. The candidates of all tiles are a strided view of the canvas
(:func:`window`); the transpose is four slice-additions (:func:`fold`).
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Tiling:
    """The tiling of an image of ``height`` x ``width`` pixels into cells of ``cell_size`` x ``cell_size``, the last ones cut."""

    height: int
    width: int
    cell_size: int

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells (h, w)."""
        return -(-self.height // self.cell_size), -(-self.width // self.cell_size)

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of 2x2 tiles (th, tw); T = th * tw."""
        return (self.grid[0] + 1) // 2, (self.grid[1] + 1) // 2


def cut(features: Tensor, tiling: Tiling) -> Tensor:
    """Features (B, C, H, W) to tiles (B * T, 4 P^2, C), zeros beyond the image. Inverse: :func:`paste`."""
    (rows, columns), side = tiling.tiles, 2 * tiling.cell_size
    padding = (0, columns * side - tiling.width, 0, rows * side - tiling.height)
    padded = F.pad(features, padding) if any(padding) else features
    split = padded.unflatten(3, (columns, side)).unflatten(2, (rows, side))
    return split.permute(0, 2, 4, 3, 5, 1).reshape(-1, side * side, features.shape[1])


def paste(pixels: Tensor, tiling: Tiling) -> Tensor:
    """Tiles (B * T, 4 P^2, C) back to features (B, C, H, W), a view: channels lie last in memory."""
    (rows, columns), side = tiling.tiles, 2 * tiling.cell_size
    split = pixels.reshape(-1, rows, columns, side, side, pixels.shape[-1]).transpose(2, 3)
    padded = split.reshape(len(split), rows * side, columns * side, -1)
    return padded[:, : tiling.height, : tiling.width].permute(0, 3, 1, 2)


def average(pixels: Tensor, tiling: Tiling) -> Tensor:
    """The mean of every cell's real pixels, ``avg_pool2d`` to the bit: tiles (B * T, 4 P^2, C) to super tokens (B, C, h, w)."""
    (rows, columns), (height, width), size = tiling.tiles, tiling.grid, tiling.cell_size
    channels_last = pixels.unflatten(1, (2 * size, 2 * size)).permute(0, 3, 1, 2)
    sums = F.avg_pool2d(channels_last, size, divisor_override=1).unflatten(0, (-1, rows, columns))
    merged = sums.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    counts = F.avg_pool2d(pixels.new_ones(1, 1, tiling.height, tiling.width), size, ceil_mode=True, divisor_override=1)
    return merged[:, :, :height, :width] / counts


def to_canvas(tokens: Tensor, tiling: Tiling) -> Tensor:
    """Super tokens (B, C, h, w) to a canvas (B, 2 th + 2, 2 tw + 2, C), zeros around the grid."""
    (rows, columns), (height, width) = tiling.tiles, tiling.grid
    ringed = F.pad(tokens, (1, 2 * columns + 1 - width, 1, 2 * rows + 1 - height))
    return ringed.permute(0, 2, 3, 1).contiguous()


def from_canvas(canvas: Tensor, tiling: Tiling) -> Tensor:
    """A canvas (B, 2 th + 2, 2 tw + 2, C) to super tokens (B, C, h, w), a view: channels lie last in memory."""
    height, width = tiling.grid
    return canvas[:, 1 : height + 1, 1 : width + 1].permute(0, 3, 1, 2)


def window(canvas: Tensor) -> Tensor:
    """The 16 candidates of every tile: canvas (B, 2 th + 2, 2 tw + 2, C) to (B * T, 16, C), 4x4 cells row by row."""
    return canvas.unfold(1, 4, 2).unfold(2, 4, 2).permute(0, 1, 2, 4, 5, 3).reshape(-1, 16, canvas.shape[-1])


def fold(candidates: Tensor, tiling: Tiling) -> Tensor:
    """The transpose of :func:`window`: sums (B * T, 16, C) over the tiles that share a cell, on a canvas."""
    rows, columns = tiling.tiles
    parts = candidates.reshape(-1, rows, columns, 2, 2, 2, 2, candidates.shape[-1]).transpose(2, 4)
    canvas = candidates.new_zeros(len(parts), rows + 1, 2, columns + 1, 2, candidates.shape[-1])
    for down, right in product(range(2), repeat=2):
        canvas[:, down : rows + down, :, right : columns + right] += parts[:, :, :, down, :, right]
    return canvas.flatten(3, 4).flatten(1, 2)


def neighbour_mask(tiling: Tiling, like: Tensor, *, inside_only: bool) -> Tensor:
    """What to add to the similarities: 0 for the 9 neighbours of a pixel's cell, -inf for the other 7; (T, 4 P^2, 16).

    ``inside_only`` also shuts the neighbours beyond the border. Every pixel, padding too, keeps at least one candidate.
    """
    rows, columns = (_near(*axis, inside_only) for axis in zip(tiling.grid, tiling.tiles, strict=True))
    near = rows[:, None, :, None, :, None] & columns[None, :, None, :, None, :]
    return _to_pixels(torch.zeros(near.shape).masked_fill_(~near, -torch.inf).to(like), tiling)


def own_cells(tiling: Tiling, like: Tensor) -> Tensor:
    """The association before the first iteration: 1 for a pixel's own cell, 0 for the others; (T, 4 P^2, 16)."""
    along = torch.eye(4)[1:3]
    own = along[:, None, :, None] * along[None, :, None, :]
    return _to_pixels(own.expand(*tiling.tiles, -1, -1, -1, -1).to(like), tiling)


def pixel_weights(tiling: Tiling, like: Tensor) -> Tensor:
    """1 for a pixel of the image, 0 for padding: (T, 1, 4 P^2)."""
    return cut(like.new_ones(1, 1, tiling.height, tiling.width), tiling).transpose(1, 2)


def inside_canvas(tiling: Tiling, like: Tensor) -> Tensor:
    """1 for a cell of the grid, 0 for the ring around it: (1, 2 th + 2, 2 tw + 2, 1)."""
    return to_canvas(like.new_ones(1, 1, *tiling.grid), tiling)


def nine_neighbours(association: Tensor, tiling: Tiling) -> Tensor:
    """Association (B * T, 4 P^2, 16) as (B, 9, H, W): the 3x3 cells around each pixel's own, row by row, 4 = its own."""
    (rows, columns), size = tiling.tiles, tiling.cell_size
    lanes = association.reshape(-1, rows, columns, 2, size, 2, size, 4, 4)
    nine = association.new_empty(len(lanes), 3, 3, rows, 2, size, columns, 2, size)
    for row, column in product(range(2), repeat=2):
        own = lanes[:, :, :, row, :, column, :, row : row + 3, column : column + 3]
        nine[:, :, :, :, row, :, :, column] = own.permute(0, 5, 6, 1, 3, 2, 4)
    flat = nine.reshape(-1, 9, 2 * size * rows, 2 * size * columns)
    return flat[:, :, : tiling.height, : tiling.width]


def _near(cells: int, tiles: int, inside_only: bool) -> Tensor:
    """Along one axis, which of a tile's 4 candidates are next to its 2 cells: bool (tiles, 2, 4)."""
    candidate, own = torch.arange(4), torch.arange(2)[:, None]
    position = 2 * torch.arange(tiles)[:, None, None] + candidate - 1
    inside = (position >= 0) & (position < cells)
    return (candidate >= own) & (candidate <= own + 2) & (inside | (not inside_only))


def _to_pixels(cells: Tensor, tiling: Tiling) -> Tensor:
    """What holds for a tile's cells, given to their pixels: (th, tw, 2, 2, 4, 4) to (T, 4 P^2, 16)."""
    size = tiling.cell_size
    pixels = cells.flatten(4)[:, :, :, None, :, None].expand(-1, -1, -1, size, -1, size, -1)
    return pixels.reshape(-1, (2 * size) ** 2, 16)
