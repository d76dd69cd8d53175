"""A grey picture of 64 x 96 pixels, four labels in three steps, and a heat: small enough to know every pixel."""

import numpy as np

COLORS = ("#ff0000", "#00ff00", "#0000ff")
HEIGHT, WIDTH = 64, 96
ROWS, COLUMNS, STEPS = 8, 12, 3


def photo(other: bool = False) -> np.ndarray:
    """(64, 96, 3) uint8: left half 60, right half 180; the other is 40 pixels wide."""
    pixels = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    pixels[:, WIDTH // 2 :] = 180
    return pixels[:, :40] if other else pixels


def labels(other: bool = False) -> np.ndarray:
    """(3, 8, 12): four quarters; at every step the upright boundary moves one cell to the right. The other has one step."""
    steps = np.zeros((STEPS, ROWS, COLUMNS), np.int32)
    for step in range(STEPS):
        steps[step, :, COLUMNS // 2 + step :] += 1
        steps[step, ROWS // 2 :] += 2
    return steps[:1] if other else steps


def heat() -> np.ndarray:
    """(8, 12): 1 in the first row, 0.5 in the second, 0 elsewhere."""
    values = np.zeros((ROWS, COLUMNS), np.float32)
    values[0], values[1] = 1, 0.5
    return values
