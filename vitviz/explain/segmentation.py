"""Maps of segments (H, W): baselines to compare with, repair of torn segments, colours to paint them with, and scores.

A map holds one id of 0 or more for each pixel; ids that do not occur are allowed everywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitviz.errors import Problem


def grid_labels(height: int, width: int, grid: tuple[int, int]) -> np.ndarray:
    """The patch grid: (height, width) int32, ``grid`` = (rows, columns) of rectangles as equal as whole pixels allow.

    Ids run row by row, 0..rows * columns - 1. Raises: Problem when a rectangle would be empty.
    """
    rows, columns = grid
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise Problem(f"grid={rows} x {columns} must lie between 1 x 1 and the picture's {height} x {width} pixels")
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    return (row[:, None] * columns + column).astype(np.int32)


def slic_labels(image: np.ndarray, num_segments: int, *, compactness: float = 20.0, max_tries: int = 5) -> np.ndarray:
    """SLIC of scikit-image on an image (H, W, 3) uint8: (H, W) int32, ids 0..K-1, K as near to ``num_segments`` as was found.

    SLIC returns fewer segments than it is asked for, so the request is corrected by the ratio, at most ``max_tries`` times.

    Raises: Problem when ``num_segments`` is not between 1 and the number of pixels.
    Source: Achanta et al. 2012, "SLIC superpixels compared to state-of-the-art superpixel methods".
    """
    if not 1 <= num_segments <= image.shape[0] * image.shape[1]:
        raise Problem(f"num_segments={num_segments} must lie between 1 and the number of pixels")
    request, tried, best = num_segments, set(), None
    while request not in tried and len(tried) < max_tries:
        tried.add(request)
        labels = slic_as_requested(image, request, compactness=compactness)
        count = int(labels.max()) + 1
        if best is None or abs(count - num_segments) < abs(int(best.max()) + 1 - num_segments):
            best = labels
        if count == num_segments:
            break
        request = min(_next_request(request, num_segments / count), image.shape[0] * image.shape[1])
    return best


def slic_as_requested(image: np.ndarray, num_segments: int, *, compactness: float = 20.0) -> np.ndarray:
    """SLIC of scikit-image asked once for ``num_segments``: (H, W) int32, ids 0..K-1, K often a good deal smaller."""
    from skimage.segmentation import slic

    found = slic(image, n_segments=num_segments, compactness=compactness, start_label=0, channel_axis=-1)
    return _renumber(found)


def enforce_connectivity(labels: np.ndarray, *, min_size: float | None = None) -> np.ndarray:
    """A map (H, W) in which every id is one 4-connected piece: (H, W) int32, ids 0..K-1 in the order of the old ones.

    Every id keeps its largest piece (the first of equals). The other pieces, and pieces of fewer than ``min_size`` pixels (a
    quarter of the mean size of an id when None), join the neighbour with which they share the longest border. The largest
    piece of all always stays, so no pixel is ever without an id.
    """
    pieces, old_ids = _pieces(labels)
    sizes = np.bincount(pieces.ravel())
    if min_size is None:
        min_size = pieces.size / len(np.unique(old_ids)) / 4
    order = np.lexsort((np.arange(len(sizes)), -sizes, old_ids))
    largest = order[np.unique(old_ids[order], return_index=True)[1]]
    stays = np.zeros(len(sizes), bool)
    stays[largest] = sizes[largest] >= min_size
    stays[sizes.argmax()] = True
    owners = _join_neighbours(pieces, stays)
    return _renumber((old_ids[owners])[pieces])


def count_components(labels: np.ndarray) -> int:
    """The 4-connected pieces of a map (H, W): as many as it has ids when none is torn."""
    return len(_pieces(labels)[1])


def mean_colors(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each segment of (H, W) painted with the mean colour of ``image`` (H, W, 3) uint8: (H, W, 3) uint8."""
    return np.rint(_segment_means(image, labels)[labels]).astype(np.uint8)


def color_segments(labels: np.ndarray, num_colors: int) -> np.ndarray:
    """A palette index for each id: (K,) int64 in 0..num_colors - 1, K = largest id + 1; ids that do not occur get 0.

    Ids whose regions touch, at a corner too, get different colours as long as a colour is left; else the one that the fewest
    of their neighbours have. Always the same for the same map.

    Source: Brélaz 1979 (DSATUR): next comes the id whose neighbours have the most colours. Differs: of the free colours it takes
    the one used least, so that a large palette is used evenly; where that ends in a clash, the first free one.
    """
    if num_colors < 1:
        raise Problem(f"num_colors={num_colors} must be at least 1")
    neighbours = _touching(labels)
    even, clashes = _color_greedily(neighbours, num_colors, even=True)
    if clashes == 0:
        return even
    thrifty, fewer = _color_greedily(neighbours, num_colors, even=False)
    return thrifty if fewer < clashes else even


def explained_variation(image: np.ndarray, labels: np.ndarray) -> float:
    """The share of the colour variance that the segments' mean colours explain, 0..1: image (H, W, 3), map (H, W).

    0 for one segment, 1 when every segment has one colour, and 1 for a picture of one colour.

    Source: Moore et al. 2008, "Superpixel lattices", equation 12, over RGB.
    """
    colors = image.reshape(-1, image.shape[-1]).astype(np.float64)
    total = np.square(colors - colors.mean(axis=0)).sum()
    means = _segment_means(image, labels)[labels].reshape(colors.shape)
    return float(1 - np.square(colors - means).sum() / total) if total > 0 else 1.0


@dataclass(frozen=True)
class SegmentScores:
    """How well a map fits a human's, see :func:`score_segments`: shares in 0..1, of the errors 0 is best, of the rest 1."""

    asa: float
    undersegmentation_error: float
    boundary_recall: float
    boundary_precision: float
    explained_variation: float
    num_labels: int
    num_components: int


def score_segments(
    labels: np.ndarray, truths: Sequence[np.ndarray], image: np.ndarray, *, tolerance: int = 2
) -> SegmentScores:
    """Scores of a map (H, W) against one or more maps of the truth (H, W), each score the mean over the truths.

    ==========================  =========================================================================================
    asa                         share of pixels that are right when each segment takes the true region it shares most
                                pixels with (achievable segmentation accuracy; Liu et al. 2011)
    undersegmentation_error     over true regions and the segments they meet: the smaller of the segment's parts inside and
                                outside, summed, by the number of pixels (Neubert and Protzel 2012, the min form)
    boundary_recall             share of true boundary pixels with a boundary pixel of the map at most ``tolerance`` rows and
                                columns away
    boundary_precision          the same with the roles exchanged
    explained_variation         see :func:`explained_variation`
    num_labels, num_components  ids that occur, and their 4-connected pieces
    ==========================  =========================================================================================

    A boundary pixel has a 4-neighbour of another id. A map without boundary has precision 1, a truth without one recall 1.

    Raises: Problem when the maps and the picture differ in size, or there is no truth.
    Source: see the table; boundaries after Martin et al. 2004. Differs: boundary pixels are not matched one to one.
    """
    _check_sizes(labels, truths, image)
    edges = _boundary(labels)
    per_truth = np.array([_scores(labels, edges, truth, tolerance) for truth in truths])
    asa, error, recall, precision = per_truth.mean(axis=0).tolist()
    return SegmentScores(
        asa=asa,
        undersegmentation_error=error,
        boundary_recall=recall,
        boundary_precision=precision,
        explained_variation=explained_variation(image, labels),
        num_labels=len(np.unique(labels)),
        num_components=count_components(labels),
    )


def _next_request(request: int, ratio: float) -> int:
    """The request times the ratio wanted / found, moved by at least 1."""
    wanted = round(request * ratio)
    if wanted == request:
        wanted += 1 if ratio > 1 else -1
    return max(wanted, 1)


def _renumber(labels: np.ndarray) -> np.ndarray:
    """The same map with ids 0..K-1, in the order of the old ones."""
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def _pieces(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """4-connected pieces of a map: their map (H, W), 0..P-1 row by row, and the id of each (P,)."""
    from skimage.measure import label

    pieces = label(labels, connectivity=1, background=-1) - 1
    old_ids = np.empty(int(pieces.max()) + 1, np.int64)
    old_ids[pieces] = labels
    return pieces, old_ids


def _join_neighbours(pieces: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """For each piece the staying piece it ends up in: sweep by sweep, along the longest border with what is settled."""
    owners = np.where(stays, np.arange(len(stays)), -1)
    (here, there), lengths = _borders(pieces)
    while (owners < 0).any():
        settles = (owners[here] < 0) & (owners[there] >= 0)
        joins, which = np.unique(here[settles] * len(stays) + owners[there[settles]], return_inverse=True)
        shared = np.bincount(which, weights=lengths[settles])
        loose, owner = joins // len(stays), joins % len(stays)
        order = np.lexsort((owner, -shared, loose))
        first = order[np.unique(loose[order], return_index=True)[1]]
        owners[loose[first]] = owner[first]
    return owners


def _borders(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of pieces with a common border, both ways round (2, E), and its length in pixel sides (E,)."""
    return _count_pairs([(pieces[:, :-1], pieces[:, 1:]), (pieces[:-1], pieces[1:])])


def _touching(labels: np.ndarray) -> list[np.ndarray]:
    """For each id 0..K-1 the other ids that a pixel of it touches, corners included."""
    slants = [(labels[:-1, :-1], labels[1:, 1:]), (labels[:-1, 1:], labels[1:, :-1])]
    (here, there), _ = _count_pairs([(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:]), *slants])
    return np.split(there, np.searchsorted(here, np.arange(1, int(labels.max()) + 1)))


def _count_pairs(neighbours: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of different ids that lie side by side, both ways round, sorted (2, E), and how often (E,)."""
    here, there = (np.concatenate([pair[side].ravel() for pair in neighbours]).astype(np.int64) for side in (0, 1))
    here, there = here[here != there], there[here != there]
    number = int(max(here.max(), there.max())) + 1 if here.size else 1
    codes, counts = np.unique(np.concatenate([here * number + there, there * number + here]), return_counts=True)
    return np.stack([codes // number, codes % number]), counts


def _color_greedily(neighbours: list[np.ndarray], num_colors: int, *, even: bool) -> tuple[np.ndarray, int]:
    """Colours (K,) of ids by DSATUR, and how many pairs of neighbours ended up with the same."""
    number = len(neighbours)
    around = np.zeros((number, num_colors), np.int64)  # how many neighbours of an id have a colour
    degrees = np.array([len(ids) for ids in neighbours])
    urgency = degrees / (number + 1)
    colors, used, clashes = np.zeros(number, np.int64), np.zeros(num_colors), 0
    for _ in range(np.count_nonzero(degrees)):
        chosen = int(urgency.argmax())
        order = (used, around[chosen]) if even else (around[chosen],)
        color = int(np.lexsort(order)[0])
        clashes += int(around[chosen, color])
        colors[chosen], urgency[chosen] = color, -math.inf
        used[color] += 1
        near = neighbours[chosen]
        urgency[near] += around[near, color] == 0
        around[near, color] += 1
    return colors, clashes


def _segment_means(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean colour of each id 0..K-1, (K, 3) float64; 0 for ids that do not occur."""
    ids = labels.ravel()
    sizes = np.maximum(np.bincount(ids), 1)
    return np.stack([np.bincount(ids, weights=image[..., c].ravel()) / sizes for c in range(image.shape[-1])], axis=-1)


def _scores(labels: np.ndarray, edges: np.ndarray, truth: np.ndarray, tolerance: int) -> tuple[float, ...]:
    """(asa, undersegmentation error, boundary recall, boundary precision) against one truth."""
    rows, common = _common_pixels(labels, truth)
    sizes = np.bincount(rows, weights=common)
    largest = np.zeros(len(sizes))
    np.maximum.at(largest, rows, common)
    true_edges = _boundary(truth)
    return (
        largest.sum() / labels.size,
        np.minimum(common, sizes[rows] - common).sum() / labels.size,
        _share_near(true_edges, edges, tolerance),
        _share_near(edges, true_edges, tolerance),
    )


def _common_pixels(labels: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every segment and true region that meet: the segment's id (M,), and their common pixels (M,)."""
    number = int(truth.max()) + 1
    pairs, common = np.unique(labels.astype(np.int64) * number + truth, return_counts=True)
    return pairs // number, common


def _boundary(labels: np.ndarray) -> np.ndarray:
    """Where a pixel has a 4-neighbour of another id: (H, W) bool."""
    edges = np.zeros(labels.shape, bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def _share_near(edges: np.ndarray, others: np.ndarray, tolerance: int) -> float:
    """The share of ``edges`` that have one of ``others`` within a square of ``tolerance`` pixels around; 1 of none."""
    from scipy.ndimage import maximum_filter

    near = maximum_filter(others, size=2 * tolerance + 1, mode="constant")
    return float(near[edges].mean()) if edges.any() else 1.0


def _check_sizes(labels: np.ndarray, truths: Sequence[np.ndarray], image: np.ndarray) -> None:
    if not truths:
        raise Problem("there is no ground truth to score against")
    for what, array in [("the picture", image), *(("the ground truth", truth) for truth in truths)]:
        if array.shape[:2] != labels.shape:
            sizes = [f"{shape[1]} x {shape[0]}" for shape in (array.shape, labels.shape)]
            raise Problem(f"{what} of {sizes[0]} pixels and the segments of {sizes[1]} do not fit together")
