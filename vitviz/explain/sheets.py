"""Many small pictures as one: a sheet with transparent gaps that suits a light and a dark page."""

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
