"""Maps as files: what is in them is what was drawn, and how it was made."""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitviz.explain.map_files import color_ramp, npy, overlay_pixels, png, svg
from vitviz.figures.theme import DIVERGING_COLORS, SEQUENTIAL_COLORS

RECIPE = 'layer 3, "head" 2 <script>&lt; héads; ' + "a long line " * 20
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


@pytest.fixture
def heat() -> np.ndarray:
    return np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)


def test_an_array_comes_back_as_it_was(heat):
    found = np.load(io.BytesIO(npy(heat)), allow_pickle=False)
    assert found.dtype == np.float32 and np.array_equal(found, heat)


def test_a_clear_overlay_is_the_picture_and_a_solid_one_the_colours(picture, heat):
    assert np.array_equal(overlay_pixels(picture, heat, SEQUENTIAL_COLORS, alpha=0, side=8), picture)
    solid = overlay_pixels(picture, heat, SEQUENTIAL_COLORS, alpha=1, side=8)
    wanted = color_ramp(SEQUENTIAL_COLORS)[np.rint(heat * 255).astype(int)]
    assert np.array_equal(solid[::2, ::2], np.rint(wanted).astype(np.uint8))
    assert np.array_equal(solid[::2], solid[1::2])


def test_where_heat_is_zero_the_picture_shows_if_it_is_to(picture):
    heat = np.array([[0, 1], [1, 0]], np.float32)
    drawn = overlay_pixels(picture, heat, SEQUENTIAL_COLORS, alpha=1, hides_zero=True, side=8)
    assert np.array_equal(drawn[:4, :4], picture[:4, :4]) and np.array_equal(drawn[4:, 4:], picture[4:, 4:])
    assert (drawn[:4, 4:] == [253, 231, 37]).all()


def test_half_an_overlay_lies_halfway(picture, heat):
    half, solid = (overlay_pixels(picture, heat, SEQUENTIAL_COLORS, alpha=alpha, side=8) for alpha in (0.5, 1))
    assert np.abs(half - (picture / 2 + solid / 2)).max() <= 1


def test_smoothing_blends_between_cells_and_nearest_does_not(picture):
    heat = np.array([[0, 1]], np.float32)
    wide = np.zeros((16, 32, 3), np.uint8)
    plain, blended = (overlay_pixels(wide, heat, ("#000000", "#ffffff"), alpha=1, smooth=one) for one in (False, True))
    assert len(np.unique(plain)) == 2 and len(np.unique(blended)) > 50


@pytest.mark.parametrize("colors", [SEQUENTIAL_COLORS, DIVERGING_COLORS], ids=["sequential", "diverging"])
def test_the_ramp_passes_through_its_colours(colors):
    ramp = color_ramp(colors)
    assert ramp.shape == (256, 3)
    for place, color in zip(np.linspace(0, 255, len(colors)), colors, strict=True):
        wanted = [int(color[at : at + 2], 16) for at in (1, 3, 5)]
        assert np.abs(ramp[round(place)] - wanted).max() < 4
    assert np.array_equal(ramp[[0, -1]], [[int(c[a : a + 2], 16) for a in (1, 3, 5)] for c in (colors[0], colors[-1])])


def test_white_stands_for_zero_where_values_have_a_sign():
    middle = color_ramp(DIVERGING_COLORS)[127:129]
    assert middle.min() > 240


def test_the_recipe_travels_in_the_png(picture):
    opened = Image.open(io.BytesIO(png(picture, RECIPE)))
    assert opened.text["Description"] == RECIPE
    assert np.array_equal(np.asarray(opened), picture)


def test_an_svg_holds_picture_numbers_and_recipe_and_escapes_what_it_is_given(picture):
    content = svg(picture, SEQUENTIAL_COLORS, title="a <b> share", low=-0.25, high=0.125, recipe=RECIPE)
    root = ElementTree.fromstring(content)
    assert root.tag == f"{SVG}svg" and not list(root.iter(f"{SVG}script"))
    assert root.find(f"{SVG}desc").text == RECIPE
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert words[:3] == ["-0.25", "a <b> share", "0.125"] and " ".join(words[3:]) == RECIPE.strip()
    address = root.find(f"{SVG}image").get("href")
    inside = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(inside), picture)
    assert len(list(root.iter(f"{SVG}stop"))) == len(SEQUENTIAL_COLORS)
    assert b"http" not in content.replace(b"http://www.w3.org/2000/svg", b"")


def test_the_browser_blends_its_colours_the_same_way():
    source = Path(__file__).resolve().parents[2] / "vitviz/ui/components/image_canvas_data.js"
    assert re.search(r"\(level / 255\) \* \(stops\.length - 1\)", source.read_text())
