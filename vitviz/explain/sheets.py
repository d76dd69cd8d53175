"""Many small pictures as one: a sheet with transparent gaps that suits a light and a dark page."""

from collections.abc import Sequence

import numpy as np


def contact_sheet(images: np.ndarray, *, columns: int, cell: int = 64, gap: int = 4) -> np.ndarray:
    """Images (M, H, W, 3) uint8 in rows of ``columns``, each enlarged without smoothing to about ``cell`` pixels.

    Returns: (rows, width, 4) uint8, RGBA, clear between the images. No image gives one clear pixel.
    """
    if len(images) == 0:
        return np.zeros((1, 1, 4), dtype=np.uint8)
    scale = max(cell // images.shape[1], 1)
    tiles = images.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = tiles.shape[1:3]
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width, :3] = tile
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet


def map_thumbnail(points: np.ndarray, labels: np.ndarray, colors: Sequence[str], *, size: int = 200) -> np.ndarray:
    """A map as a small picture: points (N, 2) as dots in the colour (``#rrggbb``) of their label (N,), clear elsewhere.

    Returns: (size, size, 4) uint8, RGBA. The scale is that of these points alone.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - (low + high) / 2) / max((high - low).max(), 1e-9) * 0.92 + 0.5
    columns, rows = np.clip((scaled * [1, -1] + [0, 1]) * size, 1, size - 2).astype(int).T
    palette = np.array([[int(color[start : start + 2], 16) for start in (1, 3, 5)] for color in colors], dtype=np.uint8)
    picture = np.zeros((size, size, 4), dtype=np.uint8)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        picture[rows + down, columns + right, :3] = palette[labels]
        picture[rows + down, columns + right, 3] = 255
    return picture
