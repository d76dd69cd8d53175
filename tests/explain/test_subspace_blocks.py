"""The strength of blocks and what a rectangle holds, against loops over all pairs."""

import numpy as np
import pytest
from scipy import sparse

from vitviz.errors import Problem
from vitviz.explain.subspace_blocks import block_at, block_strengths, cells_of_span, span_of_cells
from vitviz.explain.subspace_weave import edges_of, weave


def affinity_of(scattered: np.ndarray) -> np.ndarray:
    sizes = np.abs(scattered)
    affinity = sizes + sizes.T
    np.fill_diagonal(affinity, 5)  # counts nowhere
    return affinity


@pytest.fixture(params=["dense", "sparse"])
def as_stored(request):
    return (lambda matrix: matrix) if request.param == "dense" else sparse.csr_array


def test_the_strength_of_a_block_is_the_share_that_stays_in_it_beside_chance(scattered, as_stored):
    affinity, labels = affinity_of(scattered), np.arange(40) % 3 + np.where(np.arange(40) < 4, 5, 0)
    found = block_strengths(as_stored(affinity), labels)
    for at, one in enumerate(found.ids):
        inside = touching = 0.0
        for i in range(40):
            for j in range(40):
                if i != j and labels[i] == one:
                    touching += affinity[i, j]
                    inside += affinity[i, j] if labels[j] == one else 0.0
        assert found.share[at] == pytest.approx(inside / touching if touching else 0.0)
        assert found.chance[at] == pytest.approx(((labels == one).sum() - 1) / 39)
    assert found.sizes.sum() == 40 and found.isolated == 0


def test_even_affinity_is_as_strong_as_chance_and_planted_blocks_are_whole():
    labels = np.repeat([0, 1], [3, 5])
    even = block_strengths(np.ones((8, 8)), labels)
    assert np.allclose(even.share, even.chance)
    planted = block_strengths((labels[:, None] == labels).astype(float), labels)
    assert planted.share.tolist() == [1, 1]


def test_images_without_affinity_are_counted_and_make_no_share():
    matrix = np.zeros((4, 4))
    matrix[0, 1] = matrix[1, 0] = 1
    found = block_strengths(matrix, np.array([0, 0, 1, 1]))
    assert (found.share.tolist(), found.isolated) == ([1, 0], 2)


@pytest.mark.parametrize("span", [(0, 40, 0, 40), (3, 9, 20, 31), (5, 6, 5, 6), (10, 20, 15, 25)])
def test_a_rectangle_tells_what_a_loop_over_its_pairs_tells(scattered, as_stored, span):
    affinity, order = affinity_of(scattered), np.random.default_rng(1).permutation(40)
    labels, classes = np.arange(40) % 3, np.arange(40) % 4
    block = block_at(as_stored(affinity), order, span, labels=labels, classes=classes)
    pairs = [(i, j) for i in order[span[0] : span[1]] for j in order[span[2] : span[3]] if i != j]
    values = [affinity[pair] for pair in pairs]
    everything = [affinity[i, j] for i in range(40) for j in range(40) if i != j]
    assert (block.num_pairs, block.num_joined) == (len(pairs), sum(value > 0 for value in values))
    assert block.mean == pytest.approx(np.mean(values) if values else 0)
    assert block.mean_all == pytest.approx(np.mean(everything))
    assert block.share == pytest.approx(sum(values) / sum(everything))
    for ids, found in ((labels, block.same_cluster), (classes, block.same_class)):
        assert found == (pytest.approx(np.mean([ids[i] == ids[j] for i, j in pairs])) if pairs else None)
    assert np.array_equal(block.rows, order[span[0] : span[1]])


def test_a_rectangle_with_an_unknown_class_says_nothing_of_classes(scattered):
    classes = np.zeros(40, int)
    classes[3] = -1
    block = block_at(affinity_of(scattered), np.arange(40), (0, 5, 8, 9), labels=np.zeros(40, int), classes=classes)
    assert block.same_class is None and block.same_cluster == 1


@pytest.mark.parametrize("span", [(2, 2, 0, 1), (0, 1, 5, 4), (-1, 1, 0, 1), (0, 41, 0, 1)])
def test_a_rectangle_that_is_not_there_is_refused(scattered, span):
    with pytest.raises(Problem, match="block"):
        block_at(scattered, np.arange(40), span, labels=np.zeros(40, int), classes=np.zeros(40, int))


@pytest.mark.parametrize(("start", "stop", "side"), [(0, 40, 7), (0, 40, 60), (11, 30, 8)])
def test_cells_lead_to_positions_and_back(scattered, start, stop, side):
    woven = weave(np.abs(scattered), np.arange(40), start=start, stop=stop, side=side)
    size = len(woven.values)
    for cells in ((0, 1, 0, 1), (1, 3, 2, size), (0, size, 0, size)):
        assert cells_of_span(woven, span_of_cells(woven, cells)) == cells
    assert span_of_cells(woven, (-5, 99, size + 3, -1)) == (start, stop, int(edges_of(woven)[-2]), stop)


def test_a_rectangle_outside_of_a_zoom_has_no_cells(scattered):
    woven = weave(np.abs(scattered), np.arange(40), start=10, stop=20, side=5)
    assert cells_of_span(woven, (0, 10, 12, 14)) is None
    assert cells_of_span(woven, (0, 11, 0, 40)) == (0, 1, 0, 5)
