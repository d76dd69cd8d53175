"""Many maps as one picture: layers downwards, heads across, and the photograph under each of them."""

import numpy as np
from PIL import Image

_SHEET_SIDE = 1152  # px: twelve tiles of 96


def tile_maps(maps: np.ndarray) -> np.ndarray:
    """Maps (L, h, rows, columns) as one (L * rows, h * columns) float32; what is NaN, a head that is not there, is 0."""
    layers, heads, rows, columns = maps.shape
    return np.nan_to_num(maps).transpose(0, 2, 1, 3).reshape(layers * rows, heads * columns).astype(np.float32)


def tile_picture(pixels: np.ndarray, num_rows: int, num_columns: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 again and again in ``num_rows`` rows and ``num_columns`` columns.

    Each is shrunk so that the longer side of the sheet is about 1,152 px.
    """
    share = min(_SHEET_SIDE / max(num_rows * pixels.shape[0], num_columns * pixels.shape[1]), 1)
    height, width = (max(round(side * share), 1) for side in pixels.shape[:2])
    small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))
    return np.tile(small, (num_rows, num_columns, 1))


def number_tiles(num_rows: int, num_columns: int) -> np.ndarray:
    """(num_rows, num_columns) int64, counted row by row from 0: the tile under a place of the sheet."""
    return np.arange(num_rows * num_columns).reshape(num_rows, num_columns)


def tile_middle(row: int, column: int, num_rows: int, num_columns: int) -> tuple[float, float]:
    """x and y, 0..1 of the sheet, of the middle of a tile."""
    return (column + 0.5) / num_columns, (row + 0.5) / num_rows
