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


# Source: Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; linear RGB to linear RGB
_BLIND = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
_PALE = {"white": {"#ffa90e", "#94a4a2", "#b9ac70", "#92dadd"}, "dark": {"#832db6"}}
"""Colours with a contrast below 3 on a ground; names in legends and hover boxes stand in (docs/accessibility.md)."""


def _linear(colors) -> np.ndarray:
    values = np.stack([_rgb(color) for color in colors]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("kind", _BLIND)
def test_the_ten_colours_can_be_told_apart_by_the_colour_blind(kind):
    seen = np.clip(_linear(theme.CLUSTER_COLORS) @ np.array(_BLIND[kind]).T, 0, 1)
    srgb = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    places = theme._lab(srgb)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 999 * np.eye(10)
    assert distances.min() > 17


@pytest.mark.parametrize(("ground", "color"), [("white", "#ffffff"), ("dark", "#0e1117")])
def test_the_ten_colours_have_a_contrast_of_three_but_for_those_that_are_named(ground, color):
    weights = np.array([0.2126, 0.7152, 0.0722])
    below = (_linear([color]) @ weights)[0]
    pale = set()
    for one, light in zip(theme.CLUSTER_COLORS, _linear(theme.CLUSTER_COLORS) @ weights, strict=True):
        if (max(light, below) + 0.05) / (min(light, below) + 0.05) < 3:
            pale.add(one)
    assert pale == _PALE[ground]
