"""The page of attention in a real Chromium: enlarge a map, ask a patch, copy the link, stop a task, weights, a telephone."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlparse

import pytest

VIEWS = ("Attention", "Through layers", "Attribution", "Patches", "Logit lens", "Side by side")

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(open_at, shipped_server) -> Callable:
    """``visit("head=3", size=(390, 844), dark=True)``: the page as that link shows it; see ``open_at``."""
    return lambda query="", **look: open_at(f"{shipped_server.address}/attention?{query}", **look)


def _query(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def _canvas(page, place: int):
    root = page.locator(".image-canvas").nth(place)
    root.and_(page.locator("[data-ready]")).wait_for()
    return root


def _click(page, place: int, x: float, y: float) -> None:
    surface = _canvas(page, place).locator(".surface")
    box = surface.bounding_box()
    surface.click(position={"x": x * box["width"], "y": y * box["height"]})


def _caption(page, text: str) -> str:
    said = page.get_by_text(re.compile(text)).first
    said.wait_for()
    return said.inner_text()


def test_a_map_is_enlarged_a_patch_is_asked_and_the_link_shows_the_same(visit):
    page = visit("run=clothing-supertoken&photo=cat")
    _caption(page, "Layer 3 of 0-3 .*mean of all heads, query CLS")
    _click(page, 0, 0.5, 0.3)
    _caption(page, "Layer 1 of 0-3 .*head 1, query CLS")
    _click(page, 1, 0.506, 0.256)
    said = _caption(page, "Layer 1 of 0-3 .*head 1, query row 3, column 7")
    page.wait_for_function("location.search.includes('pin=')")
    assert _query(page)["layer"] == "1" and _query(page)["heads"] == "head 1"
    again = visit(urlencode(_query(page)))
    assert _caption(again, "Layer 1 of 0-3") == said
    again.reload()
    assert _caption(again, "Layer 1 of 0-3") == said


def test_arrows_go_through_maps_and_patches_and_escape_returns_to_cls(visit):
    page = visit("run=clothing-supertoken&photo=cat&layer=0&heads=head+0&pin=500_250")
    _caption(page, "Layer 0 of 0-3 .*head 0, query row 3, column 7")
    _canvas(page, 0).locator(".surface").focus()
    page.keyboard.press("ArrowDown")
    _caption(page, "Layer 1 of 0-3 .*head 0, query row 3, column 7")
    _canvas(page, 1).locator(".surface").focus()
    page.keyboard.press("ArrowRight")
    _caption(page, "Layer 1 of 0-3 .*head 0, query row 3, column 8")
    page.keyboard.press("Escape")
    _caption(page, "Layer 1 of 0-3 .*head 0, query CLS")


def test_a_long_attribution_shows_progress_is_stopped_and_begun_again(visit):
    page = visit("view=Attribution&method=gradient_shap&num_samples=512&run=clothing-supertoken&photo=coffee")
    page.get_by_role("button", name="Compute GradientSHAP").click()
    page.get_by_text(re.compile(r"GradientSHAP: [1-9][\d,]* of 512 pictures")).first.wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("GradientSHAP: stopped.").first.wait_for()
    page.get_by_role("button", name="Compute GradientSHAP").click()
    page.get_by_role("button", name="Stop").wait_for()
    page.get_by_role("spinbutton", name="Samples").fill("8")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Compute GradientSHAP").click()
    page.get_by_text("Missing from the sum").first.wait_for(timeout=60_000)
    page.get_by_text("Deletion area").first.wait_for(timeout=120_000)


def test_wrong_weights_are_refused_by_name_and_nothing_else_is_lost(visit):
    page = visit("network=Any+timm+ViT&timm=test_vit&weights=a+file+of+mine&photo=cat")
    _canvas(page, 1)
    wrong = {"name": "mine.pth", "mimeType": "application/octet-stream", "buffer": b"I am a text."}
    page.locator("[data-testid=stSidebar] input[type=file]").first.set_input_files(wrong)
    error = page.locator("[data-testid=stAlert]").filter(has_text="mine.pth could not be read")
    error.wait_for()
    page.locator("[data-testid=stSidebar]").get_by_label("Remove mine.pth").or_(
        page.locator("[data-testid=stFileUploaderDeleteBtn] button")
    ).first.click()
    _canvas(page, 1)


@pytest.mark.parametrize(("size", "dark"), [((390, 844), True), ((1440, 900), False)], ids=["telephone", "desktop"])
def test_every_view_fits_its_screen_and_every_picture_has_words(visit, size, dark, choose_view, fits_its_screen):
    page = visit("run=digits&sample=7&pin=400_500", size=size, dark=dark)
    for view in VIEWS:
        choose_view(page, view, VIEWS[0])
        fits_its_screen(page, view)
