"""One picture's features clustered, every iteration kept: hard maps, soft shares, sizes, and how far the super tokens moved."""

import math
from dataclasses import dataclass

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.supertoken_features import Features

MAX_ITERATIONS = 10
_OFFSETS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))
_WORDS = {"dot": "dot product", "neg_sq_distance": "negative squared distance", "cosine": "cosine"}


@dataclass(frozen=True)
class Grouping:
    """All iterations 0..t of one clustering, at the resolution (h, w) of its features.

    labels (t + 1, h, w) int32, the cell each feature pixel goes to most, id = row * columns + column; association
    (t + 1, 9, h, w) float16, its shares in the 3x3 cells around its own, row by row; sizes (t + 1, rows, columns) float32, soft
    sizes in feature pixels; changes (t,), the mean Euclidean length of S_t - S_{t-1} over super tokens, t = 1 first, in units of
    the features; grid: rows and columns; cell_size, stride, source, recipe as in :class:`Features`, the recipe with what it was
    clustered by.
    """

    labels: np.ndarray
    association: np.ndarray
    sizes: np.ndarray
    changes: np.ndarray
    grid: tuple[int, int]
    cell_size: int
    stride: float
    source: str
    recipe: str


def group_features(
    features: Features,
    *,
    num_iterations: int,
    similarity: str | None = None,
    scale: float | None = None,
    border: str = "masked",
) -> Grouping:
    """Cluster a map ``num_iterations`` times and keep every iteration.

    ``similarity`` and its ``scale`` are the source's unless given; another similarity than the source's comes with 1 / sqrt(C).
    With one pixel a cell the map is left as it is, as the network leaves it.

    Raises: Problem, a ValueError, past 10 iterations or on an unknown similarity or border.
    """
    import torch

    from vitviz.nn.supertokens import cluster_pixels, hard_labels

    if not 0 <= num_iterations <= MAX_ITERATIONS:
        raise Problem(f"num_iterations={num_iterations} must be 0 to {MAX_ITERATIONS}")
    similarity = similarity or features.similarity
    if scale is None and similarity == features.similarity:
        scale = features.scale
    with torch.inference_mode():
        clusters = cluster_pixels(
            torch.tensor(features.values)[None],
            cell_size=features.cell_size,
            num_iterations=num_iterations,
            scale=scale,
            similarity=similarity,
            border=border,
            keep=("association", "sizes", "history"),
        )
        steps = clusters.history + clusters.history[-1:] * (num_iterations + 1 - len(clusters.history))
        tokens = torch.cat([step.tokens for step in steps])
        return Grouping(
            labels=np.stack([hard_labels(one.association, features.cell_size)[0].int().numpy() for one in steps]),
            association=np.concatenate([one.association.half().numpy() for one in steps]),
            sizes=np.concatenate([one.sizes.numpy() for one in steps]),
            changes=tokens.diff(dim=0).norm(dim=1).mean(dim=(1, 2)).numpy(),
            grid=tuple(tokens.shape[2:]),
            cell_size=features.cell_size,
            stride=features.stride,
            source=features.source,
            recipe=f"{features.recipe}; {_told(similarity, scale, features)}",
        )


def soft_share(grouping: Grouping, iteration: int, cell: int) -> np.ndarray:
    """The share (h, w) float32, 0..1, of each feature pixel that goes to ``cell``; 0 outside the 3x3 cells around it.

    Raises: Problem when there is no such cell.
    """
    row, column = place_of(grouping, cell)
    result = np.zeros(grouping.labels.shape[1:], np.float32)
    for index, (down, right) in enumerate(_OFFSETS):
        pixels = pixels_of_cell(grouping, row - down, column - right)
        result[pixels] = grouping.association[iteration, index][pixels]
    return result


def at_pixels(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Labels or shares (..., h, w) at (..., height, width): each picture pixel takes the feature pixel it lies in."""
    rows, columns = _nearest(values.shape[-2], height), _nearest(values.shape[-1], width)
    return values[..., rows[:, None], columns]


def own_cells(grouping: Grouping) -> np.ndarray:
    """The cell each feature pixel lies in, (h, w) int64: the map at iteration 0."""
    y, x = (np.arange(size) // grouping.cell_size for size in grouping.labels.shape[1:])
    return y[:, None] * grouping.grid[1] + x


def candidate_cells(grouping: Grouping) -> tuple[np.ndarray, np.ndarray]:
    """The 9 cells around each feature pixel's own: ids (9, h, w) int64, 0 beyond the border, and which are inside (9, h, w)."""
    y, x = (np.arange(size) // grouping.cell_size for size in grouping.labels.shape[1:])
    rows = y[:, None] + np.array([down for down, _ in _OFFSETS])[:, None, None]
    columns = x + np.array([right for _, right in _OFFSETS])[:, None, None]
    inside = (rows >= 0) & (rows < grouping.grid[0]) & (columns >= 0) & (columns < grouping.grid[1])
    return np.where(inside, rows * grouping.grid[1] + columns, 0), inside


def place_of(grouping: Grouping, cell: int) -> tuple[int, int]:
    """Row and column of a cell.

    Raises: Problem when there is no such cell.
    """
    rows, columns = grouping.grid
    if not 0 <= cell < rows * columns:
        raise Problem(f"there is no super token {cell}", "", f"choose 0 to {rows * columns - 1}")
    return divmod(cell, columns)


def pixels_of_cell(grouping: Grouping, row: int, column: int) -> tuple[slice, slice]:
    """Where a cell lies in the map; an empty place for a cell beyond the border."""
    size = grouping.cell_size
    return tuple(slice(max(at, 0) * size, (at + 1) * size if at >= 0 else 0) for at in (row, column))


def _nearest(number: int, size: int) -> np.ndarray:
    """Which of ``number`` feature pixels each of ``size`` picture pixels lies in."""
    return ((2 * np.arange(size) + 1) * number) // (2 * size)


def _told(similarity: str, scale: float | None, features: Features) -> str:
    if features.cell_size == 1:
        return "one pixel a cell, nothing to cluster"
    number = 1 / math.sqrt(len(features.values)) if scale is None else scale
    return f"cells of {features.cell_size} x {features.cell_size}, {_WORDS[similarity]} x {number:.3g}"
