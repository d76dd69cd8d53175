import itertools

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.explain.segmentation import (
    color_segments,
    count_components,
    enforce_connectivity,
    explained_variation,
    grid_labels,
    mean_colors,
    score_segments,
    slic_as_requested,
    slic_labels,
)

RNG_MAPS = [
    np.random.default_rng(seed).integers(0, number, shape)
    for seed, (number, shape) in enumerate([(2, (6, 9)), (4, (12, 7)), (9, (15, 15)), (30, (10, 13))])
]


def blocks(height: int = 24, width: int = 30) -> np.ndarray:
    """Four true regions of unequal size."""
    truth = np.zeros((height, width), np.int32)
    truth[:10, 12:], truth[10:, :20], truth[10:, 20:] = 1, 2, 3
    return truth


def picture(height: int = 24, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flood_pieces(labels: np.ndarray) -> list[set[tuple[int, int]]]:
    """4-connected pieces, by walking from pixel to pixel."""
    left = set(itertools.product(*map(range, labels.shape)))
    pieces = []
    while left:
        stack = [left.pop()]
        piece = set(stack)
        while stack:
            row, column = stack.pop()
            for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if near in left and labels[near] == labels[row, column]:
                    left.remove(near)
                    piece.add(near)
                    stack.append(near)
        pieces.append(piece)
    return pieces


def touching_pairs(labels: np.ndarray) -> set[tuple[int, int]]:
    """Ids that touch, corners included, pixel by pixel."""
    height, width = labels.shape
    pairs = set()
    for row, column, down, right in itertools.product(range(height), range(width), (-1, 0, 1), (-1, 0, 1)):
        other = (row + down, column + right)
        if 0 <= other[0] < height and 0 <= other[1] < width and labels[row, column] != labels[other]:
            pairs.add((int(labels[row, column]), int(labels[other])))
    return pairs


def slow_scores(labels: np.ndarray, truth: np.ndarray, tolerance: int) -> tuple[float, float, float, float]:
    """ASA, undersegmentation error, boundary recall and precision, as their definitions read."""
    right = error = 0
    for segment in np.unique(labels):
        inside = [int(((labels == segment) & (truth == region)).sum()) for region in np.unique(truth)]
        right += max(inside)
        error += sum(min(part, sum(inside) - part) for part in inside)
    edges = [set(zip(*np.nonzero(slow_boundary(ids)), strict=True)) for ids in (truth, labels)]
    shares = []
    for ours, others in (edges, edges[::-1]):
        near = [any(max(abs(a - c), abs(b - d)) <= tolerance for c, d in others) for a, b in ours]
        shares.append(sum(near) / len(near) if near else 1.0)
    return right / labels.size, error / labels.size, *shares


def slow_boundary(labels: np.ndarray) -> np.ndarray:
    padded = np.pad(labels, 1, mode="edge")
    shifted = [padded[1 + a : 1 + a + labels.shape[0], 1 + b : 1 + b + labels.shape[1]] for a, b in ((0, 1), (1, 0))]
    shifted += [padded[1 + a : 1 + a + labels.shape[0], 1 + b : 1 + b + labels.shape[1]] for a, b in ((0, -1), (-1, 0))]
    return np.any([other != labels for other in shifted], axis=0)


def test_the_patch_grid_runs_row_by_row_and_its_rectangles_differ_by_a_pixel_at_most():
    labels = grid_labels(23, 31, (4, 7))
    assert labels.shape == (23, 31) and labels.dtype == np.int32
    assert labels[0, 0] == 0 and labels[0, -1] == 6 and labels[-1, 0] == 21 and labels[-1, -1] == 27
    assert set(np.bincount(labels.ravel())) <= {height * width for height in (5, 6) for width in (4, 5)}
    np.testing.assert_array_equal(grid_labels(4, 6, (2, 3)), np.kron([[0, 1, 2], [3, 4, 5]], np.ones((2, 2))))


@pytest.mark.parametrize("grid", [(0, 3), (3, 0), (25, 3), (3, 31)])
def test_a_grid_with_empty_rectangles_is_refused(grid):
    with pytest.raises(Problem, match="must lie between 1 x 1"):
        grid_labels(24, 30, grid)


def test_slic_comes_nearer_to_the_count_than_its_own_request_and_numbers_without_gaps():
    rows, columns = np.mgrid[:90, :120]
    image = np.stack([rows * 2, columns * 2, 60 * (rows // 30 + columns // 40)], axis=-1).astype(np.uint8)
    labels, asked_once = slic_labels(image, 60), slic_as_requested(image, 60)
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert labels.shape == (90, 120) and labels.dtype == np.int32
    assert abs(labels.max() + 1 - 60) <= abs(asked_once.max() + 1 - 60)
    assert abs(labels.max() + 1 - 60) <= 6
    assert count_components(labels) == labels.max() + 1
    with pytest.raises(Problem, match="num_segments=0"):
        slic_labels(image, 0)


@pytest.mark.parametrize("labels", [*RNG_MAPS, blocks()], ids=str)
def test_pieces_are_counted_as_by_walking_from_pixel_to_pixel(labels):
    assert count_components(labels) == len(flood_pieces(labels))


@pytest.mark.parametrize("min_size", [None, 0, 5, 1000])
@pytest.mark.parametrize("labels", [*RNG_MAPS, blocks()], ids=str)
def test_enforcing_connectivity_leaves_one_piece_an_id_and_no_pixel_without_one(labels, min_size):
    before = labels.copy()
    joined = enforce_connectivity(labels, min_size=min_size)
    assert joined.shape == labels.shape and joined.dtype == np.int32
    np.testing.assert_array_equal(np.unique(joined), np.arange(joined.max() + 1))
    assert count_components(joined) == joined.max() + 1
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("labels", RNG_MAPS, ids=str)
def test_every_id_keeps_its_largest_piece_when_no_size_is_too_small(labels):
    joined = enforce_connectivity(labels, min_size=0)
    assert joined.max() + 1 == len(np.unique(labels))
    for new, old in enumerate(np.unique(labels)):
        own = [piece for piece in flood_pieces(labels) if labels[next(iter(piece))] == old]
        size = max(len(piece) for piece in own)
        assert any(len(piece) == size and all(joined[pixel] == new for pixel in piece) for piece in own)


def test_a_loose_piece_joins_the_neighbour_with_the_longest_border():
    labels = np.array([[0, 0, 0, 1, 1], [0, 2, 0, 1, 1], [0, 2, 1, 1, 1], [0, 0, 1, 2, 1], [0, 0, 1, 1, 1]])
    expected = np.where(labels == 2, [[0, 0, 0, 1, 1]] * 5, labels)
    np.testing.assert_array_equal(enforce_connectivity(labels, min_size=3), expected)
    kept = enforce_connectivity(labels, min_size=1)
    assert kept[3, 3] == 1 and kept[1, 1] == kept[2, 1] == 2


def test_pieces_that_touch_only_loose_pieces_are_joined_through_them():
    labels = np.zeros((9, 9), np.int32)
    labels[2:7, 2:7], labels[3:6, 3:6], labels[4, 4] = 1, 2, 3
    np.testing.assert_array_equal(enforce_connectivity(labels, min_size=20), np.zeros((9, 9)))


def test_a_connected_map_of_large_segments_stays_as_it_is():
    np.testing.assert_array_equal(enforce_connectivity(blocks()), blocks())


def test_each_segment_is_painted_with_the_mean_of_its_pixels():
    labels, image = grid_labels(24, 30, (3, 5)) * 2, picture()
    painted = mean_colors(image, labels)
    assert painted.dtype == np.uint8
    for segment in np.unique(labels):
        mean = image[labels == segment].mean(axis=0)
        assert (np.abs(painted[labels == segment] - mean) <= 0.5 + 1e-9).all()


@pytest.mark.parametrize("labels", [*RNG_MAPS[2:], blocks(), grid_labels(30, 40, (7, 9)) * 3], ids=str)
def test_touching_regions_differ_in_colour_while_colours_suffice(labels):
    pairs = touching_pairs(labels)
    enough = 1 + max(sum(a == segment for a, _ in pairs) for segment in np.unique(labels))
    colors = color_segments(labels, enough)
    assert colors.shape == (labels.max() + 1,) and colors.min() >= 0 and colors.max() < enough
    assert all(colors[a] != colors[b] for a, b in pairs)
    assert not colors[np.setdiff1d(np.arange(len(colors)), labels)].any()
    np.testing.assert_array_equal(colors, color_segments(labels, enough))


def test_a_grid_whose_corners_touch_takes_four_colours_and_a_large_palette_is_used_whole():
    labels = grid_labels(28, 28, (14, 14))
    colors = color_segments(labels, 4)
    assert all(colors[a] != colors[b] for a, b in touching_pairs(labels))
    counts = np.bincount(color_segments(labels, 10), minlength=10)
    assert counts.min() > 10


def test_with_too_few_colours_every_region_gets_one_and_clashes_are_few():
    labels = grid_labels(28, 28, (14, 14))
    pairs = touching_pairs(labels)
    colors = color_segments(labels, 2)
    assert set(colors) == {0, 1}
    assert sum(colors[a] == colors[b] for a, b in pairs) < len(pairs) / 2
    assert not color_segments(labels, 1).any()
    with pytest.raises(Problem, match="num_colors=0"):
        color_segments(labels, 0)


def test_the_truth_itself_scores_best():
    scores = score_segments(blocks(), [blocks()], picture())
    assert (scores.asa, scores.undersegmentation_error) == (1, 0)
    assert (scores.boundary_recall, scores.boundary_precision) == (1, 1)
    assert (scores.num_labels, scores.num_components) == (4, 4)


def test_one_segment_is_right_about_the_largest_region_only():
    one = np.zeros((24, 30), np.int32)
    scores = score_segments(one, [blocks()], picture())
    assert scores.asa == np.bincount(blocks().ravel()).max() / one.size
    assert scores.explained_variation == 0
    assert (scores.boundary_recall, scores.boundary_precision) == (0, 1)


def test_every_pixel_its_own_segment_makes_no_mistake_and_explains_all():
    labels = np.arange(24 * 30).reshape(24, 30)
    scores = score_segments(labels, [blocks()], picture())
    assert (scores.asa, scores.undersegmentation_error, scores.boundary_recall) == (1, 0, 1)
    assert scores.explained_variation == 1
    assert scores.num_labels == scores.num_components == 720


@pytest.mark.parametrize("tolerance", [0, 1, 2])
@pytest.mark.parametrize("number", range(len(RNG_MAPS)))
def test_scores_are_what_their_definitions_say(number, tolerance):
    labels = RNG_MAPS[number]
    truth = grid_labels(*labels.shape, (2, 3))
    scores = score_segments(labels, [truth], picture(*labels.shape), tolerance=tolerance)
    found = (scores.asa, scores.undersegmentation_error, scores.boundary_recall, scores.boundary_precision)
    assert found == pytest.approx(slow_scores(labels, truth, tolerance))


def test_a_boundary_off_by_more_than_the_tolerance_is_not_found():
    truth, shifted = (np.broadcast_to(np.arange(20) >= at, (10, 20)).astype(int) for at in (8, 11))
    image = picture(10, 20)
    recalls = [score_segments(shifted, [truth], image, tolerance=n).boundary_recall for n in (1, 2, 3)]
    assert recalls == [0, 0.5, 1]


def test_scores_are_means_over_annotators_and_blind_to_the_names_of_segments():
    truths, image = [blocks(), grid_labels(24, 30, (2, 2))], picture()
    labels = grid_labels(24, 30, (5, 4))
    both = score_segments(labels, truths, image)
    each = [score_segments(labels, [truth], image) for truth in truths]
    assert both.asa == pytest.approx((each[0].asa + each[1].asa) / 2)
    assert both.boundary_recall == pytest.approx((each[0].boundary_recall + each[1].boundary_recall) / 2)
    renamed = np.random.default_rng(0).permutation(50)[labels]
    again = score_segments(renamed, truths, image)
    assert (again.asa, again.num_labels) == pytest.approx((both.asa, both.num_labels))


def test_a_segment_within_one_region_adds_no_error_and_a_split_never_lowers_the_accuracy():
    image = picture()
    coarse, fine = (score_segments(grid_labels(24, 30, grid), [blocks()], image) for grid in ((3, 3), (6, 9)))
    assert fine.asa >= coarse.asa and fine.explained_variation >= coarse.explained_variation
    assert coarse.undersegmentation_error >= 1 - coarse.asa


def test_explained_variation_is_the_share_of_the_variance_between_segments():
    labels, image = grid_labels(24, 30, (4, 3)), picture().astype(float)
    within = sum(((image[labels == k] - image[labels == k].mean(axis=0)) ** 2).sum() for k in range(12))
    total = ((image - image.mean(axis=(0, 1))) ** 2).sum()
    assert explained_variation(picture(), labels) == pytest.approx(1 - within / total)
    assert explained_variation(np.full((24, 30, 3), 9, np.uint8), labels) == 1


def test_maps_and_pictures_of_different_sizes_are_refused():
    with pytest.raises(Problem, match="the picture of 30 x 23 pixels and the segments of 30 x 24"):
        score_segments(blocks(), [blocks()], picture(23, 30))
    with pytest.raises(Problem, match="the ground truth of 29 x 24"):
        score_segments(blocks(), [blocks()[:, 1:]], picture())
    with pytest.raises(Problem, match="no ground truth"):
        score_segments(blocks(), [], picture())
