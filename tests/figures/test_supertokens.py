"""Figures of super tokens: what was given is what is drawn."""

from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.figures import supertokens as figures


@pytest.fixture
def records() -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            effective_candidates=1 + t, own_cell_share=1 - t / 9, labels_used=20 - t, num_labels=20, components=20 + t
        )
        for t in range(4)
    ]


def test_changes_begin_at_the_first_iteration_and_the_shown_step_is_marked():
    figure = figures.changes(np.array([3.0, 2.0, 1.0]), step=2)
    (line,) = figure.data
    assert list(line.x) == [1, 2, 3] and list(line.y) == [3, 2, 1]
    assert [shape.x0 for shape in figure.layout.shapes] == [2]


def test_health_is_four_charts_over_all_iterations(records):
    figure = figures.health(records, step=1)
    assert [list(line.x) for line in figure.data] == [[0, 1, 2, 3]] * 4
    assert list(figure.data[0].y) == [1, 2, 3, 4]
    assert list(figure.data[2].y) == [20, 19, 18, 17]
    assert "of 20" in figure.layout.annotations[2].text
    assert len(figure.layout.shapes) == 4


def test_no_step_no_mark(records):
    assert not figures.health(records).layout.shapes
    assert not figures.changes(np.ones(3)).layout.shapes


def test_shares_lie_as_in_the_picture_and_on_one_scale():
    values = np.arange(9).reshape(3, 3) / 36
    figure = figures.shares(values)
    (squares,) = figure.data
    assert np.array_equal(squares.z, values)
    assert (squares.zmin, squares.zmax) == (0, 1)
    assert figure.layout.yaxis.autorange == "reversed"
    assert squares.text[2][2] == "22%"
