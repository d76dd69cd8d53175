"""The picture of a matrix, against a slow double loop, and the way back from a place in it."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from vitviz.errors import Problem
from vitviz.explain.subspace_weave import Woven, pair_at, weave, weave_blocks

SIZE = 37
CUTS = [(0, SIZE, 360), (0, SIZE, 10), (0, SIZE, 36), (5, 30, 7), (36, 37, 4), (3, 4, 1), (0, SIZE, 1)]


@pytest.fixture
def matrix() -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.random((SIZE, SIZE)) * (rng.random((SIZE, SIZE)) < 0.15)).astype(np.float32)


@pytest.fixture
def order() -> np.ndarray:
    return np.random.default_rng(2).permutation(SIZE)


def cells_of(woven: Woven) -> list[range]:
    """The positions of each cell: as even as whole numbers allow, none empty."""
    size, count = woven.stop - woven.start, len(woven.values)
    edges = [woven.start + cell * size // count for cell in range(count + 1)]
    return [range(*pair) for pair in pairwise(edges)]


@pytest.mark.parametrize(("start", "stop", "side"), CUTS)
def test_a_cell_is_the_largest_value_of_its_block(matrix, order, start, stop, side):
    woven = weave(matrix, order, start=start, stop=stop, side=side, ceiling=1.0)
    count = min(side, stop - start)
    assert woven.values.shape == (count, count) and woven.values.dtype == np.float32
    assert (woven.start, woven.stop, woven.cell, woven.ceiling) == (start, stop, (stop - start) / count, 1)
    cells = cells_of(woven)
    assert sorted(place for cell in cells for place in cell) == list(range(start, stop))
    for i, rows in enumerate(cells):
        for j, columns in enumerate(cells):
            assert woven.values[i, j] == max(matrix[order[row], order[column]] for row in rows for column in columns)


@pytest.mark.parametrize(("start", "stop", "side"), CUTS)
def test_a_sparse_matrix_looks_the_same(matrix, order, start, stop, side):
    cut = {"start": start, "stop": stop, "side": side}
    dense, thin = weave(matrix, order, **cut), weave(sparse.csr_array(matrix), order, **cut)
    np.testing.assert_array_equal(dense.values, thin.values)
    assert dense.ceiling == thin.ceiling


def test_the_ceiling_is_that_of_the_whole_matrix_and_cuts_off_above(matrix, order):
    whole, part = weave(matrix, order), weave(matrix, order, start=4, stop=9)
    assert whole.ceiling == part.ceiling == pytest.approx(np.percentile(matrix[matrix > 0], 99.5))
    assert whole.values.max() == 1 and whole.values.min() == 0
    ordered = matrix[order][:, order]
    np.testing.assert_allclose(whole.values, np.minimum(ordered / whole.ceiling, 1), rtol=1e-6)
    low = weave(matrix, order, ceiling=0.1)
    assert low.ceiling == 0.1 and ((low.values == 1) == (ordered >= np.float32(0.1))).all()


def test_a_matrix_of_zeros_is_black(order):
    for empty in (np.zeros((SIZE, SIZE)), sparse.csr_array((SIZE, SIZE))):
        woven = weave(empty, order, side=5)
        assert woven.ceiling == 0 and not woven.values.any()


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 5), (6, 5), (0, SIZE + 1)])
def test_positions_that_are_not_there_are_refused(matrix, order, start, stop):
    with pytest.raises(Problem, match=f"start={start} and stop={stop}"):
        weave(matrix, order, start=start, stop=stop)


def test_outlines_are_blocks_of_one_id_and_0_elsewhere(matrix, order):
    ids = np.sort(np.random.default_rng(3).integers(-1, 4, SIZE))
    for cut in ({}, {"side": 9}, {"start": 3, "stop": 20, "side": 6}):
        woven = weave(matrix, order, **cut)
        labels = weave_blocks(ids, woven)
        assert labels.shape == woven.values.shape and labels.dtype == np.int32
        most = [np.bincount(ids[list(cell)] + 1).argmax() for cell in cells_of(woven)]
        for i, row in enumerate(most):
            assert labels[i].tolist() == [row if row == column else 0 for column in most]


def test_the_pair_at_a_place_has_the_largest_value_of_its_cell(matrix, order):
    for cut in ({}, {"side": 6}, {"start": 5, "stop": 30, "side": 7}):
        woven = weave(matrix, order, **cut, ceiling=1.0)
        count, places = len(woven.values), {row: place for place, row in enumerate(order.tolist())}
        cells = cells_of(woven)
        for i in range(count):
            for j in range(count):
                y, x = (i + 0.5) / count, (j + 0.5) / count
                row, column = pair_at(matrix, order, woven, x, y)
                assert places[row] in cells[i] and places[column] in cells[j]
                assert matrix[row, column] == woven.values[i, j]
                assert pair_at(sparse.csr_array(matrix), order, woven, x, y) == (row, column)


def test_x_is_the_column_and_y_the_row():
    matrix = np.zeros((4, 4))
    matrix[3, 0] = 1
    woven = weave(matrix, np.arange(4), side=2)
    assert pair_at(matrix, np.arange(4), woven, 0.1, 0.9) == (3, 0)
    assert pair_at(matrix, np.arange(4), woven, 0.9, 0.1) == (1, 3), "nothing there: the middle of the cell"


def test_a_place_on_or_beyond_the_edge_belongs_to_the_last_cell(matrix, order):
    woven = weave(matrix, order)
    assert pair_at(matrix, order, woven, 1.0, 1.0) == (order[-1], order[-1])
    assert pair_at(matrix, order, woven, -0.1, 7.0) == (order[-1], order[0])
