"""Figures in words."""

import plotly.graph_objects as go
import pytest

from vitviz.figures.description import describe


def test_lines_are_told_with_their_axes_and_where_they_begin_and_end():
    figure = go.Figure(go.Scatter(x=[0, 1, 2], y=[0.5, None, 0.75], name="NMI"))
    figure.update_layout(xaxis_title="round", yaxis_title="score")
    assert describe(figure) == ["Lines or points: score over round.", "NMI: 0.5 first, 0.75 last."]


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (go.Heatmap(z=[[1, 2]]), ["Map of colours."]),
        (go.Bar(x=[3, 4], y=["a", "b"], orientation="h", name="share"), ["Bars."]),
        (go.Scatter(x=[0], y=[2.0], name="one"), ["Lines or points.", "one: 2."]),
        (go.Scatter(x=[0, 1], y=["a", "b"], name="names"), ["Lines or points."]),
    ],
)
def test_what_has_no_numbers_in_a_row_is_told_by_its_kind(trace, words):
    assert describe(go.Figure(trace)) == words


def test_many_traces_are_cut_and_an_empty_figure_says_so():
    figure = go.Figure([go.Scatter(y=[1.0, 2.0], name=str(number)) for number in range(20)])
    assert len(describe(figure)) == 14 and describe(figure)[-1] == "And 8 more."
    assert describe(go.Figure()) == ["Nothing is drawn."]
