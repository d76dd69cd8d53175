"""What can be taken away of one grouping: the label map as a picture of numbers, the tokens as a table."""

import io

import numpy as np
from PIL import Image

from vitviz.explain.supertokens import Grouping, at_pixels

COLUMNS = "id,row,column,soft_size,hard_size,x,y,red,green,blue"


def label_png(labels: np.ndarray) -> bytes:
    """A map (H, W) of ids 0..65535 as a grey PNG of 16 bits, one number a pixel. Raises ValueError past 65535."""
    if labels.min() < 0 or labels.max() > 65_535:
        raise ValueError(f"labels of {labels.min()}..{labels.max()} must be 0..65535")
    file = io.BytesIO()
    Image.fromarray(labels.astype(np.uint16)).save(file, "PNG", compress_level=4)
    return file.getvalue()


def token_csv(image: np.ndarray, grouping: Grouping, iteration: int) -> str:
    """One line a super token: id, place in the grid, sizes in feature pixels, centre (picture pixels) and mean colour.

    A token that is nobody's first choice has a hard size of 0 and no centre or colour. ``image``: (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    number = grouping.grid[0] * grouping.grid[1]
    hard = np.bincount(grouping.labels[iteration].ravel(), minlength=number)
    ids = at_pixels(grouping.labels[iteration], height, width).ravel()
    counts = np.bincount(ids, minlength=number)
    y, x = np.mgrid[:height, :width]
    values = [x.ravel() + 0.5, y.ravel() + 0.5, *image.reshape(-1, 3).T]
    means = np.stack([np.bincount(ids, one, number) for one in values]) / np.maximum(counts, 1)
    lines = [COLUMNS]
    for token in range(number):
        row, column = divmod(token, grouping.grid[1])
        start = f"{token},{row},{column},{grouping.sizes[iteration].flat[token]:.2f},{hard[token]}"
        lines.append(start + ("".join(f",{one:.1f}" for one in means[:, token]) if counts[token] else ",,,,,"))
    return "\n".join(lines) + "\n"
