"""Groupings, cards, health and rebuilt pictures: what must hold for every picture, and small ones worked out by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from vitviz.errors import Problem
from vitviz.explain.segmentation import explained_variation, grid_labels
from vitviz.explain.supertokens import (
    MAX_ITERATIONS,
    Features,
    Grouping,
    at_pixels,
    explained_by,
    features_of_pixels,
    group_features,
    health,
    reconstruct,
    soft_share,
    token_card,
)
from vitviz.nn.supertokens import cluster_pixels, hard_labels

CASES = [
    (12, 12, 3, "dot", "masked"),
    (11, 14, 3, "cosine", "masked"),
    (9, 7, 2, "neg_sq_distance", "masked"),
    (5, 6, 4, "neg_sq_distance", "stvit"),
]


def features(height: int, width: int, cell_size: int, similarity: str = "neg_sq_distance", **changes) -> Features:
    values = np.random.default_rng(0).normal(size=(6, height, width)).astype(np.float32)
    given = {"stride": 8.0, "source": "pixels", "recipe": "by hand", "similarity": similarity, "scale": 0.7}
    return Features(values, cell_size, **{**given, **changes})


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 7 + y / 11), np.cos(y / 5 - x / 17), np.sin(x * y / 400)]
    return np.rint(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request) -> tuple[Features, str]:
    """Features and a border."""
    *size, similarity, border = request.param
    return features(*size, similarity), border


@pytest.fixture
def grouping(case) -> Grouping:
    return group_features(case[0], num_iterations=4, border=case[1])


def num_cells(grouping: Grouping) -> int:
    return grouping.grid[0] * grouping.grid[1]


def test_every_iteration_is_the_one_the_network_s_clustering_gives(case, grouping):
    given, border = case
    for iteration in range(5):
        clusters = cluster_pixels(
            torch.tensor(given.values)[None],
            cell_size=given.cell_size,
            num_iterations=iteration,
            scale=0.7,
            similarity=given.similarity,
            border=border,
            keep=("association", "sizes"),
        )
        assert np.array_equal(grouping.labels[iteration], hard_labels(clusters.association, given.cell_size)[0])
        assert np.allclose(grouping.association[iteration], clusters.association[0], atol=1e-3)
        assert np.allclose(grouping.sizes[iteration], clusters.sizes[0], atol=1e-4)


def test_shapes_and_types_are_as_promised(grouping):
    height, width = grouping.labels.shape[1:]
    assert grouping.labels.dtype == np.int32
    assert grouping.association.dtype == np.float16 and grouping.association.shape == (5, 9, height, width)
    assert grouping.sizes.dtype == np.float32 and grouping.sizes.shape == (5, *grouping.grid)
    assert grouping.changes.shape == (4,) and (grouping.changes >= 0).all()
    assert grouping.grid == (-(-height // grouping.cell_size), -(-width // grouping.cell_size))


def test_the_first_change_is_the_step_away_from_the_mean_of_each_cell():
    given = features(8, 8, 2)
    grouping = group_features(given, num_iterations=2)
    batch = torch.tensor(given.values)[None]
    tokens = [
        cluster_pixels(batch, cell_size=2, num_iterations=t, scale=0.7, similarity="neg_sq_distance").tokens[0]
        for t in range(3)
    ]
    steps = [np.linalg.norm(after - before, axis=0).mean() for before, after in pairwise(tokens)]
    assert grouping.changes == pytest.approx(steps, rel=1e-4)


def test_before_the_first_iteration_the_map_is_the_grid_of_cells():
    grouping = group_features(features(12, 15, 3), num_iterations=0)
    assert np.array_equal(grouping.labels[0], grid_labels(12, 15, (4, 5)))
    assert grouping.changes.shape == (0,)


def test_the_shares_of_a_pixel_sum_to_one_over_all_cells_and_those_of_a_cell_to_its_size(case, grouping):
    for iteration in range(5):
        shares = np.stack([soft_share(grouping, iteration, cell) for cell in range(num_cells(grouping))])
        assert shares.min() >= 0 and shares.max() <= 1
        assert np.allclose(shares.sum(axis=(1, 2)), grouping.sizes[iteration].ravel(), atol=2e-2)
        if case[1] == "masked":
            assert np.allclose(shares.sum(axis=0), 1, atol=5e-3)


def test_a_share_is_largest_where_the_map_has_the_cell(grouping):
    shares = np.stack([soft_share(grouping, 4, cell) for cell in range(num_cells(grouping))])
    chosen = np.take_along_axis(shares, grouping.labels[4][None].astype(int), axis=0)
    assert (chosen >= shares.max(axis=0) - 1e-3).all()


def test_a_share_lies_in_the_nine_cells_around(grouping):
    size, columns = grouping.cell_size, grouping.grid[1]
    for cell in range(num_cells(grouping)):
        y, x = np.nonzero(soft_share(grouping, 3, cell))
        assert (abs(y // size - cell // columns) <= 1).all() and (abs(x // size - cell % columns) <= 1).all()


@pytest.mark.parametrize("cell", [-1, 16])
def test_a_cell_that_is_not_there_is_named(cell):
    grouping = group_features(features(8, 8, 2), num_iterations=1)
    with pytest.raises(Problem, match=f"no super token {cell}; choose 0 to 15"):
        soft_share(grouping, 1, cell)
    with pytest.raises(Problem, match=f"no super token {cell}"):
        token_card(grouping, photo(8, 8), 1, cell)


def test_with_one_pixel_a_cell_every_iteration_is_the_same():
    grouping = group_features(features(5, 6, 1), num_iterations=3)
    assert np.array_equal(grouping.labels, np.broadcast_to(np.arange(30).reshape(5, 6), (4, 5, 6)))
    assert (grouping.changes == 0).all() and grouping.association.shape == (4, 9, 5, 6)
    assert "nothing to cluster" in grouping.recipe


@pytest.mark.parametrize("num_iterations", [-1, MAX_ITERATIONS + 1])
def test_too_many_iterations_are_refused(num_iterations):
    with pytest.raises(Problem, match=f"num_iterations={num_iterations}"):
        group_features(features(4, 4, 2), num_iterations=num_iterations)


def test_another_similarity_comes_with_its_own_scale_and_the_recipe_says_so():
    given = features(8, 8, 2)
    assert "negative squared distance x 0.7" in group_features(given, num_iterations=1).recipe
    assert "dot product x 0.408" in group_features(given, num_iterations=1, similarity="dot").recipe
    assert "cosine x 3" in group_features(given, num_iterations=1, similarity="cosine", scale=3.0).recipe
    plain = group_features(replace(given, similarity="dot", scale=None), num_iterations=1)
    asked = group_features(given, num_iterations=1, similarity="dot", scale=6**-0.5)
    assert np.array_equal(plain.association, asked.association)


def test_the_map_follows_an_edge_that_runs_through_cells():
    image = np.zeros((56, 56, 3), np.uint8)
    image[:, 29:] = (250, 120, 30)
    grouping = group_features(features_of_pixels(image), num_iterations=5)
    assert grouping.cell_size == 4
    left, right = (set(np.unique(part)) for part in (grouping.labels[5][:, :29], grouping.labels[5][:, 29:]))
    assert not left & right
    assert set(grouping.labels[0][:, 28]) & set(grouping.labels[0][:, 29])
    assert np.array_equal(reconstruct(image, grouping, 5, soft=False), image)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_map_of_a_mirrored_picture_is_the_mirrored_map(axis):
    image = smooth(56, 56)
    plain, mirrored = (
        group_features(features_of_pixels(one), num_iterations=4) for one in (image, np.flip(image, axis))
    )
    ids = np.flip(np.arange(num_cells(plain)).reshape(plain.grid), axis).ravel()
    assert np.mean(ids[np.flip(mirrored.labels[4], axis)] == plain.labels[4]) > 0.999
    assert np.allclose(np.flip(mirrored.sizes[4], axis), plain.sizes[4], atol=1e-2)


@pytest.mark.parametrize("size", [(6, 9), (7, 10), (2, 3), (13, 3)])
def test_every_picture_pixel_takes_the_feature_pixel_its_middle_lies_in(size):
    values = np.arange(12).reshape(3, 4)
    shown = at_pixels(values, *size)
    for y, x in np.ndindex(size):
        assert shown[y, x] == values[int((y + 0.5) * 3 / size[0]), int((x + 0.5) * 4 / size[1])]
    assert np.array_equal(at_pixels(np.stack([values, -values]), *size), np.stack([shown, -shown]))


def test_health_starts_decided_and_at_home_and_keeps_to_its_ranges(grouping):
    first, *later = health(grouping)
    assert (first.effective_candidates, first.own_cell_share) == (1, 1)
    assert first.labels_used == first.num_labels == first.components == num_cells(grouping)
    for one in later:
        assert 1 <= one.effective_candidates <= 9
        assert 0 <= one.own_cell_share <= 1
        assert 1 <= one.labels_used <= one.num_labels == num_cells(grouping)
        assert one.components >= one.labels_used


def test_pixels_that_cannot_decide_have_as_many_candidates_as_there_are():
    given = replace(features(9, 9, 3), values=np.ones((2, 9, 9), np.float32))
    expected = np.mean([[4, 6, 4], [6, 9, 6], [4, 6, 4]])
    assert health(group_features(given, num_iterations=2))[2].effective_candidates == pytest.approx(expected, rel=2e-3)


def test_the_card_of_a_cell_before_the_first_iteration_is_the_cell():
    image = photo(36, 48)
    grouping = group_features(features(9, 12, 3), num_iterations=0)
    card = token_card(grouping, image, 0, 5)
    assert (card.row, card.column, card.size, card.hard_size, card.entropy_bits) == (1, 1, 9, 9, 0)
    assert card.area_share == pytest.approx(9 / 108)
    assert card.position == pytest.approx((18, 18))
    assert card.mean_color == tuple(np.rint(image[12:24, 12:24].mean(axis=(0, 1))).astype(int))
    assert card.shares.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert sorted(card.neighbors) == [1, 4, 6, 9]


def test_cards_share_the_picture_out_among_them(grouping):
    image = photo(40, 50)
    cards = [token_card(grouping, image, 4, cell) for cell in range(num_cells(grouping))]
    height, width = grouping.labels.shape[1:]
    assert sum(card.hard_size for card in cards) == height * width
    assert sum(card.area_share for card in cards) == pytest.approx(grouping.sizes[4].sum() / (height * width), rel=1e-3)
    for card in cards:
        assert card.shares.shape == (3, 3) and card.shares.sum() == pytest.approx(1, abs=1e-3)
        assert 0 <= card.entropy_bits <= np.log2(9) + 1e-3
        assert 0 <= card.position[0] <= 50 and 0 <= card.position[1] <= 40
        assert all(card.cell in cards[other].neighbors for other in card.neighbors)


def test_a_super_token_to_which_nothing_is_given_has_a_card():
    grouping = group_features(features(2, 4, 2), num_iterations=1)
    association = np.zeros((2, 9, 2, 4), np.float16)
    association[:, 4, :, 2:] = association[:, 5, :, :2] = 1
    emptied = replace(grouping, association=association, labels=np.ones((2, 2, 4), np.int32))
    card = token_card(emptied, np.full((20, 40, 3), 7, np.uint8), 1, 0)
    assert (card.size, card.hard_size, card.entropy_bits, card.neighbors) == (0, 0, 0, ())
    assert card.position == (10, 10) and card.mean_color == (7, 7, 7)
    assert card.shares.sum() == 0


@pytest.mark.parametrize("soft", [False, True])
def test_a_picture_that_is_plain_in_every_cell_is_rebuilt_to_itself_at_the_start(soft):
    image = at_pixels(photo(4, 5).transpose(2, 0, 1), 24, 30).transpose(1, 2, 0)
    grouping = group_features(features(12, 15, 3), num_iterations=0)
    assert np.array_equal(reconstruct(image, grouping, 0, soft=soft), image)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("size", [(40, 50), (11, 14), (3, 4), (31, 5)])
def test_a_picture_of_one_colour_stays_that_whatever_its_size(grouping, soft, size):
    image = np.broadcast_to(np.array([10, 200, 90], np.uint8), (*size, 3))
    rebuilt = reconstruct(image, grouping, 4, soft=soft)
    assert np.array_equal(rebuilt, image)
    assert explained_by(image, rebuilt) == 1


def test_the_soft_picture_equals_a_slow_one(grouping):
    height, width = grouping.labels.shape[1:]
    image = photo(2 * height, 3 * width)
    blocks = image.reshape(height, 2, width, 3, 3).mean(axis=(1, 3))
    shares = np.stack([soft_share(grouping, 4, cell) for cell in range(num_cells(grouping))]).astype(np.float64)
    colors = np.einsum("khw,hwc->kc", shares, blocks) / shares.sum(axis=(1, 2))[:, None]
    expected = np.einsum("khw,kc->hwc", shares / shares.sum(axis=0), colors)
    rebuilt = reconstruct(image, grouping, 4, soft=True)
    assert np.abs(rebuilt - np.repeat(np.repeat(expected, 2, axis=0), 3, axis=1)).max() <= 0.51


def test_explained_variation_is_that_of_the_map_for_mean_colours_and_none_for_the_mean_of_all(grouping):
    image = photo(33, 28)
    labels = at_pixels(grouping.labels[4], 33, 28)
    hard = reconstruct(image, grouping, 4, soft=False)
    assert explained_by(image, hard) == pytest.approx(explained_variation(image, labels), abs=1e-3)
    assert explained_by(image, image) == 1
    assert explained_by(image, np.broadcast_to(image.mean(axis=(0, 1)), image.shape)) == pytest.approx(0, abs=1e-9)
