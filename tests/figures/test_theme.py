"""The colours and the layout that all figures share."""

import numpy as np
import plotly.graph_objects as go
import pytest

from vitviz.figures import theme


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)])


def test_the_first_ten_colours_are_the_fixed_ones():
    assert theme.cluster_colors(10) == theme.CLUSTER_COLORS
    assert len(set(theme.CLUSTER_COLORS)) == 10


@pytest.mark.parametrize("num", [0, 1, 9, 11, 20, 40])
def test_fewer_colours_are_the_first_of_more(num):
    assert len(theme.cluster_colors(num)) == num
    assert theme.cluster_colors(41)[:num] == theme.cluster_colors(num)


def test_sixty_colours_can_be_told_apart():
    colors = np.stack([_rgb(color) for color in theme.cluster_colors(60)])
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=2) + 999 * np.eye(60)
    assert distances.min() > 20


def test_a_negative_number_of_colours_is_refused():
    with pytest.raises(ValueError, match="num=-1"):
        theme.cluster_colors(-1)


def test_the_layout_lets_the_page_shine_through_and_says_no_colour_of_text():
    figure = theme.layout(go.Figure(), height=123)
    assert figure.layout.height == 123
    assert (figure.layout.paper_bgcolor, figure.layout.plot_bgcolor) == ("rgba(0,0,0,0)", "rgba(0,0,0,0)")
    assert figure.layout.font.color is None
    assert figure.layout.colorway == theme.CLUSTER_COLORS


def test_words_from_outside_are_taken_literally_by_plotly():
    assert theme.literal('<a href="http://x">a & b</a>') == '&lt;a href="http://x"&gt;a &amp; b&lt;/a&gt;'
