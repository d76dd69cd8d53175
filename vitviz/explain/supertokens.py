"""Super tokens of one picture as arrays: one token's card, the health of a grouping, the picture rebuilt from it.

Where the features come from is :mod:`vitviz.explain.supertoken_features`, how they are clustered
:mod:`vitviz.explain.supertoken_grouping`; the names a page needs are offered here too.
"""

from dataclasses import dataclass

import numpy as np

from vitviz.explain.segmentation import count_components, mean_colors
from vitviz.explain.supertoken_features import (
    Features,
    as_fed,
    features_of_pixels,
    features_of_run,
    features_of_vit,
)
from vitviz.explain.supertoken_grouping import (
    MAX_ITERATIONS,
    Grouping,
    at_pixels,
    candidate_cells,
    group_features,
    own_cells,
    pixels_of_cell,
    place_of,
    soft_share,
)

__all__ = [
    "MAX_ITERATIONS",
    "Features",
    "Grouping",
    "Health",
    "TokenCard",
    "as_fed",
    "at_pixels",
    "explained_by",
    "features_of_pixels",
    "features_of_run",
    "features_of_vit",
    "group_features",
    "health",
    "reconstruct",
    "soft_share",
    "token_card",
]


@dataclass(frozen=True)
class TokenCard:
    """One super token at one iteration.

    cell: its id; row, column: its place in the grid; size: soft size in feature pixels; area_share: of the picture, 0..1;
    hard_size: feature pixels that go to it most; entropy_bits: how undecided the pixels that give to it are, the mean entropy of
    their 9 shares weighted by what they give, 0..log2 9; mean_color (3,) 0..255 and position (x, y) in picture pixels, weighted
    alike (those of its cell when nothing is given to it); shares (3, 3): which of the 3x3 cells around it its mass comes from,
    sums to 1 (or to 0 without mass); neighbors: ids whose regions share a border with its own, the longest first.
    """

    cell: int
    row: int
    column: int
    size: float
    area_share: float
    hard_size: int
    entropy_bits: float
    mean_color: tuple[int, int, int]
    position: tuple[float, float]
    shares: np.ndarray
    neighbors: tuple[int, ...]


@dataclass(frozen=True)
class Health:
    """How a grouping fares after one iteration.

    effective_candidates: 2 to the entropy of a pixel's shares, the mean over pixels, 1 (decided) to 9 (undecided), with the zeros
    beyond the border where they take part; own_cell_share: feature pixels that stay with their own cell, 0..1; labels_used of
    num_labels; components: 4-connected pieces of the map, labels_used when no label is torn.
    """

    effective_candidates: float
    own_cell_share: float
    labels_used: int
    num_labels: int
    components: int


def token_card(grouping: Grouping, image: np.ndarray, iteration: int, cell: int) -> TokenCard:
    """Everything about one super token; ``image`` (H, W, 3) uint8, the picture at any size.

    Raises: Problem when there is no such cell.
    """
    row, column = place_of(grouping, cell)
    share = soft_share(grouping, iteration, cell)
    mass = float(share.sum())
    weights = share if mass > 0 else (own_cells(grouping) == cell).astype(np.float32)
    colors, counts = _colors_at_features(image, share.shape)
    labels = grouping.labels[iteration]
    return TokenCard(
        cell=cell,
        row=row,
        column=column,
        size=mass,
        area_share=mass / share.size,
        hard_size=int((labels == cell).sum()),
        entropy_bits=float(np.average(_entropy(grouping, iteration), weights=weights)) if mass > 0 else 0.0,
        mean_color=_mean_color(colors, weights * counts),
        position=_center(weights, image.shape[:2]),
        shares=_shares_by_cell(grouping, share, row, column),
        neighbors=_neighbors(labels, cell),
    )


def health(grouping: Grouping) -> tuple[Health, ...]:
    """How the grouping fares, one :class:`Health` an iteration."""
    own = own_cells(grouping)
    return tuple(
        Health(
            effective_candidates=float(np.exp2(_entropy(grouping, iteration)).mean()),
            own_cell_share=float((labels == own).mean()),
            labels_used=len(np.unique(labels)),
            num_labels=grouping.grid[0] * grouping.grid[1],
            components=count_components(labels),
        )
        for iteration, labels in enumerate(grouping.labels)
    )


def reconstruct(image: np.ndarray, grouping: Grouping, iteration: int, *, soft: bool) -> np.ndarray:
    """The picture (H, W, 3) uint8 from one mean colour per super token: of its hard region, or shared out by the association.

    Soft: every token has the mean colour weighted by what pixels give to it, and gives it back in the same shares.
    """
    height, width = image.shape[:2]
    if not soft:
        return mean_colors(image, at_pixels(grouping.labels[iteration], height, width))
    colors, counts = _colors_at_features(image, grouping.labels.shape[1:])
    ids, inside = candidate_cells(grouping)
    shares = grouping.association[iteration].astype(np.float32) * inside
    given_back = shares / np.maximum(shares.sum(axis=0), 1e-12)
    number = grouping.grid[0] * grouping.grid[1]
    mass = np.bincount(ids.ravel(), (shares * counts).ravel(), number)
    rebuilt = np.empty_like(colors)
    for channel in range(3):
        sums = np.bincount(ids.ravel(), (shares * counts * colors[..., channel]).ravel(), number)
        rebuilt[..., channel] = (given_back * (sums / np.maximum(mass, 1e-12))[ids]).sum(axis=0)
    return (
        np.rint(at_pixels(rebuilt.transpose(2, 0, 1), height, width).transpose(1, 2, 0)).clip(0, 255).astype(np.uint8)
    )


def explained_by(image: np.ndarray, rebuilt: np.ndarray) -> float:
    """The share of the colour variance of a picture (H, W, 3) that ``rebuilt`` explains, at most 1; 1 for one plain colour.

    Source: explained variation (Moore et al. 2008, equation 12), over RGB. Differs: 1 less the residual's share of the variance,
    which is the same for mean colours and holds for the soft reconstruction too.
    """
    colors = image.reshape(-1, 3).astype(np.float64)
    total = np.square(colors - colors.mean(axis=0)).sum()
    return float(1 - np.square(colors - rebuilt.reshape(-1, 3)).sum() / total) if total > 0 else 1.0


def _entropy(grouping: Grouping, iteration: int) -> np.ndarray:
    """How undecided each feature pixel is, in bits: (h, w) float32, 0..log2 9."""
    shares = grouping.association[iteration].astype(np.float32)
    return -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=0)


def _colors_at_features(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The mean colour (h, w, 3) float64 of the picture pixels in each feature pixel, and their number (h, w)."""
    enlarged = image.transpose(2, 0, 1)
    if image.shape[0] < size[0] or image.shape[1] < size[1]:
        enlarged = at_pixels(enlarged, max(size[0], image.shape[0]), max(size[1], image.shape[1]))
    rows, columns = (
        np.searchsorted(at_pixels(np.arange(number)[None], 1, side)[0], np.arange(number))
        for number, side in zip(size, enlarged.shape[1:], strict=True)
    )
    sums = np.add.reduceat(np.add.reduceat(enlarged.astype(np.float64), rows, axis=1), columns, axis=2)
    heights, widths = np.diff(rows, append=enlarged.shape[1]), np.diff(columns, append=enlarged.shape[2])
    counts = heights[:, None] * widths
    return (sums / counts).transpose(1, 2, 0), counts


def _mean_color(colors: np.ndarray, weights: np.ndarray) -> tuple[int, int, int]:
    mean = np.average(colors.reshape(-1, 3), axis=0, weights=weights.ravel())
    return tuple(int(value) for value in np.rint(mean))


def _center(weights: np.ndarray, size: tuple[int, int]) -> tuple[float, float]:
    """The centre of mass (x, y) of (h, w) in pixels of a picture of ``size`` = (height, width)."""
    y, x = (np.average(np.arange(n) + 0.5, weights=weights.sum(axis=1 - axis)) for axis, n in enumerate(weights.shape))
    return float(x * size[1] / weights.shape[1]), float(y * size[0] / weights.shape[0])


def _shares_by_cell(grouping: Grouping, share: np.ndarray, row: int, column: int) -> np.ndarray:
    """Which of the 3x3 cells around it a super token's mass comes from: (3, 3), sums to 1, or to 0 without mass."""
    around = [
        [share[pixels_of_cell(grouping, row + down, column + right)].sum() for right in (-1, 0, 1)]
        for down in (-1, 0, 1)
    ]
    return np.array(around) / max(share.sum(), 1e-12)


def _neighbors(labels: np.ndarray, cell: int) -> tuple[int, ...]:
    """Ids that share a side of a pixel with ``cell``, the longest border first."""
    sides = [(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])]
    found = [there[here == cell] for pair in sides for here, there in (pair, pair[::-1])]
    ids, lengths = np.unique(np.concatenate(found), return_counts=True)
    ordered = ids[np.argsort(-lengths, kind="stable")]
    return tuple(ordered[ordered != cell].tolist())
