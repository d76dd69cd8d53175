"""Figures of a clustered CoaT's pictures: both maps on one scale, counts and answers as they were given."""

from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.figures import coat_maps as figures


def test_both_maps_share_the_scale_of_the_larger_and_mark_the_token():
    clustered, exact = np.array([[0, 0.25], [0.5, 0]]), np.array([[0.75, 0], [0, 0.25]])
    figure = figures.attention_maps(clustered, exact, place=(1, 0), title="<b>weight")
    maps, marks = figure.data[::2], figure.data[1::2]
    assert [one.coloraxis for one in maps] == ["coloraxis", "coloraxis"]
    assert np.array_equal(maps[0].z, clustered) and np.array_equal(maps[1].z, exact)
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 0.75)
    assert all(list(mark.x) == [0] and list(mark.y) == [1] for mark in marks)
    assert "<b>" not in figure.layout.coloraxis.colorbar.title.text


def test_weights_of_both_signs_are_drawn_around_zero():
    axis = figures.attention_maps(np.array([[-2.0, 1]]), np.ones((1, 2)), place=(0, 0), title="w").layout.coloraxis
    assert (axis.cmin, axis.cmax) == (-2, 2)
    flat = figures.attention_maps(np.zeros((2, 2)), np.zeros((2, 2)), place=(0, 0), title="w").layout.coloraxis
    assert flat.cmax > flat.cmin == 0


def test_counts_are_shares_of_their_block_with_the_range_of_its_heads():
    blocks = [SimpleNamespace(name="<i>a", num_tokens=100, counts=np.array([10, 20, 60]))]
    bar, text = figures.block_counts(blocks).data
    assert (list(bar.y), list(bar.x), [one.strip() for one in text.text]) == (["&lt;i&gt;a"], [0.3], ["30 / 100"])
    assert list(text.x) == [0.6], "beside the whisker"
    assert bar.error_x.array == pytest.approx([0.3]) and bar.error_x.arrayminus == pytest.approx([0.2])


def test_answers_stand_side_by_side():
    figure = figures.answers(["cat", "<b>"], np.array([0.75, 0.25]), np.array([0.5, 0.5]))
    assert [list(bar.x) for bar in figure.data] == [[0.75, 0.25], [0.5, 0.5]]
    assert list(figure.data[0].y) == ["cat", "&lt;b&gt;"] and list(figure.data[0].text) == ["75.0%", "25.0%"]


def test_agreement_is_drawn_over_the_width_and_names_the_prototypes():
    figure = figures.agreement_lines([1, 4], {"queries": [(1.0, 0.9), (0.5, 0.3)]})
    (line,) = figure.data
    assert (list(line.x), list(line.y), list(line.customdata)) == ([1, 4], [1.0, 0.5], [0.9, 0.3])
    assert list(line.text) == ["100.0%", "50.0%"]
