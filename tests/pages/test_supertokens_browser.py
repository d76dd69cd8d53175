"""The page of super tokens in a real Chromium: open, click, scrub, upload, take away, deep link, a telephone."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from PIL import Image

READY = ".image-canvas[data-ready]"
VIEWS = ("Map", "Iterations", "Reconstruction", "Beside grid and SLIC", "Embeddings")

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(open_at, shipped_server) -> Callable:
    """``visit("t=3", size=(390, 844), dark=True)``: the page as that link shows it; see ``open_at``."""
    return lambda query="", **look: open_at(f"{shipped_server.address}/supertokens?model=Pixels&{query}", **look)


def _query(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def _canvas(page):
    page.wait_for_selector(READY)
    return page.locator(".image-canvas").first


def _click(page, x: float, y: float) -> None:
    surface = _canvas(page).locator(".surface")
    box = surface.bounding_box()
    surface.click(position={"x": x * box["width"], "y": y * box["height"]})


def _card(page) -> str:
    title = page.get_by_text(re.compile(r"^Super token \d+, row \d+, column \d+$"))
    title.wait_for()
    return title.inner_text()


def _picture(width: int = 320, height: int = 200) -> bytes:
    y, x = np.mgrid[:height, :width]
    pixels = np.where(((x - width / 2) ** 2 + (y - height / 2) ** 2 < 60**2)[..., None], (230, 60, 40), (30, 90, 160))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_click_opens_the_card_of_the_super_token_under_it(visit):
    page = visit("photo=cat&t=3")
    _click(page, 0.5, 0.5)
    page.wait_for_selector(".image-canvas .heat-bar:not([hidden])")
    title = _card(page)
    number = re.search(r"\d+", title).group()
    assert _canvas(page).locator(".readout").inner_text().startswith(f"super token {number}, share ")
    page.wait_for_function("location.search.includes('pin=')")
    page.wait_for_function("document.querySelector('[data-testid=stPlotlyChart] .main-svg')")
    page.keyboard.press("Escape")
    page.get_by_text("Click a super token").first.wait_for()
    page.wait_for_function("!location.search.includes('pin=')")


def test_scrubbing_fetches_nothing_and_the_address_follows(visit):
    page = visit("photo=cat&t=3")
    root = _canvas(page)
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    root.locator(".surface").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(".image-canvas[data-step='6']")
    assert [url for url in fetched if "/vitviz/" in url] == []
    page.wait_for_function("location.search.includes('t=6')")
    page.get_by_text(re.compile(r"t = 6\. Lines part")).first.wait_for()


def test_a_copied_link_shows_the_same_super_token_at_the_same_step(visit):
    page = visit("photo=coffee&t=4")
    _click(page, 0.3, 0.6)
    title = _card(page)
    page.wait_for_function("location.search.includes('pin=')")
    query = _query(page)
    again = visit("&".join(f"{name}={query[name]}" for name in ("photo", "t", "pin")))
    assert _card(again) == title
    assert _canvas(again).locator(".count").inner_text() == "t = 4 / 10"


def test_an_uploaded_picture_is_grouped_and_one_that_is_none_is_refused(visit):
    page = visit("photo=cat")
    upload = page.locator("input[type=file]").first
    upload.set_input_files({"name": "disc.png", "mimeType": "image/png", "buffer": _picture()})
    page.get_by_text("320 x 200 px").first.wait_for()
    root = _canvas(page)
    page.wait_for_function("root => root.canvas.data.width === 320 && root.dataset.ready", arg=root.element_handle())
    _click(page, 0.5, 0.5)
    page.get_by_text(re.compile(r"Mean colour 2\d\d, \d+, \d+")).first.wait_for()
    upload.set_input_files({"name": "text.png", "mimeType": "image/png", "buffer": b"I am a text."})
    error = page.locator("[data-testid=stAlert]")
    error.wait_for()
    assert "text.png could not be read: it is not a JPEG" in error.inner_text()


def test_labels_and_tokens_can_be_taken_away(visit):
    page = visit("photo=cat&t=5")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Labels as PNG").click()
    labels = np.asarray(Image.open(waiting.value.path()))
    assert labels.shape == (300, 451) and labels.max() == 203
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Tokens as CSV").click()
    assert waiting.value.suggested_filename == "super-tokens-t5.csv"
    assert len(Path(waiting.value.path()).read_text().splitlines()) == 1 + 204


def test_the_views_follow_each_other_and_keep_the_step(visit, settle):
    page = visit("photo=flower&t=2")
    for view in ("Iterations", "Reconstruction", "Beside grid and SLIC"):
        page.get_by_role("radio", name=view).click()
        page.wait_for_function(f"location.search.includes('view={view.split()[0]}')")
        settle(page)
        page.wait_for_selector(READY)
        assert _query(page)["t"] == "2"
    page.locator(READY).nth(2).wait_for()
    page.get_by_role("radio", name="Embeddings").click()
    page.get_by_text("3,490,560").first.wait_for()


def test_the_blink_key_shows_the_photo_instead_of_the_mean_colours(visit):
    page = visit("photo=cat&view=Reconstruction")
    root = _canvas(page)
    source = "root => root.querySelector('img').getAttribute('src')"
    hard = root.evaluate(source)
    root.locator(".surface").focus()
    page.keyboard.down("b")
    page.wait_for_selector(".image-canvas[data-bare=true]")
    assert root.evaluate(source) == root.evaluate("root => root.canvas.data.bases[0].url") != hard
    page.keyboard.up("b")
    page.wait_for_selector(".image-canvas[data-bare=false]")
    assert root.evaluate(source) == hard


@pytest.mark.parametrize(("size", "dark"), [((390, 844), True), ((1440, 900), False)], ids=["telephone", "desktop"])
def test_every_view_fits_its_screen_and_every_picture_has_words(visit, size, dark, choose_view, fits_its_screen):
    page = visit("photo=temple&t=3&pin=400_500", size=size, dark=dark)
    for view in VIEWS:
        choose_view(page, view, VIEWS[0])
        fits_its_screen(page, view)
