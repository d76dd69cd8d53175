"""The page of Clustering CoaT in a real Chromium: pin a token, choose another head, reload, deep link, weights, a telephone."""

import io
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlparse

import numpy as np
import pytest
from PIL import Image

READY = ".image-canvas[data-ready]"
VIEWS = ("Clusters", "How many", "Errors", "Cost", "Same answer?")

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(open_at, shipped_server) -> Callable:
    """``visit("head=3", size=(390, 844), dark=True)``: the page as that link shows it; see ``open_at``."""
    return lambda query="", **look: open_at(f"{shipped_server.address}/coat?network=CoaT-Lite&{query}", **look)


def _query(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items() if name != "network"}


def _canvas(page):
    page.wait_for_selector(READY)
    return page.locator(".image-canvas").first


def _click(page, x: float, y: float) -> None:
    surface = _canvas(page).locator(".surface")
    box = surface.bounding_box()
    surface.click(position={"x": x * box["width"], "y": y * box["height"]})


def _sentence(page) -> str:
    said = page.get_by_text(re.compile(r"^The token at row \d+, column \d+ "))
    said.wait_for()
    return said.inner_text()


def _token(sentence: str) -> str:
    return re.match(r"The token at row \d+, column \d+", sentence).group()


def _picture(width: int, height: int) -> bytes:
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60)
    return file.getvalue()


def test_a_click_tells_the_group_and_both_maps_and_a_copied_link_shows_the_same(visit):
    page = visit("photo=cat&head=2&weights=softmax")
    page.get_by_text("This network is untrained").first.wait_for()
    _click(page, 0.506, 0.508)
    sentence = _sentence(page)
    assert "row 28, column 42" in sentence
    page.wait_for_function("document.querySelectorAll('[data-testid=stPlotlyChart] .heatmaplayer image').length === 2")
    size = re.search(r"prototype with ([\d,]+) others|stands alone", sentence).group(1)
    group = re.search(r"group (\d+)", sentence).group(1)
    readout = _canvas(page).locator(".readout").inner_text()
    members = int(size.replace(",", "")) + 1 if size else 1
    assert readout.startswith(f"group {group}, tokens: {members}, place along the axis ")
    page.wait_for_function("location.search.includes('pin=')")
    again = visit(urlencode(_query(page)))
    assert _sentence(again) == sentence
    again.reload()
    assert _sentence(again) == sentence


def test_another_head_keeps_the_pin_and_escape_takes_it_away(visit, settle):
    page = visit("photo=flower&pin=300_600")
    first = _sentence(page)
    page.get_by_role("radio", name="5", exact=True).click()
    page.wait_for_function("location.search.includes('head=5')")
    page.get_by_text("head 5, factorised").first.wait_for()
    settle(page)
    _canvas(page).locator(".surface[aria-label*='head 5']").wait_for()
    second = _sentence(page)
    assert second != first
    assert _token(second) == _token(first)
    page.wait_for_selector(".image-canvas[data-pins='1']")
    _canvas(page).locator(".surface").focus()
    page.keyboard.press("Escape")
    page.get_by_text("Click a token: its group is outlined").first.wait_for()
    page.wait_for_function("!location.search.includes('pin=')")


def test_a_large_upload_is_shown_and_wrong_weights_are_refused(visit):
    page = visit("photo=cat")
    uploads = page.locator("input[type=file]")
    picture = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": _picture(6000, 4000)}
    uploads.nth(0).set_input_files(picture)
    root = _canvas(page)
    page.wait_for_function("root => root.canvas.data.width === 1024 && root.dataset.ready", arg=root.element_handle())
    page.get_by_text("fed 336 x 224 px").first.wait_for()
    wrong = {"name": "w.safetensors", "mimeType": "application/octet-stream", "buffer": b"I am a text."}
    page.locator("input[type=file]").nth(1).set_input_files(wrong)
    error = page.locator("[data-testid=stAlert]").filter(has_text="the weights could not be read")
    error.wait_for()
    assert "it is not a safetensors file" in error.inner_text()


@pytest.mark.parametrize(("size", "dark"), [((390, 844), True), ((1440, 900), False)], ids=["telephone", "desktop"])
def test_every_view_fits_its_screen_and_every_picture_has_words(visit, size, dark, choose_view, fits_its_screen):
    page = visit("photo=temple&pin=400_500&mlp=true&by=sign", size=size, dark=dark)
    for view in VIEWS:
        choose_view(page, view, VIEWS[0])
        fits_its_screen(page, view)
