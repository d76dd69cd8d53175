"""The page of subspace clustering in a real Chromium: click a pair, drag a block, walk round a ring, a telephone."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlparse

import pytest

READY = ".matrix-canvas[data-ready]"
PLOTTED = "[data-testid=stPlotlyChart] .main-svg"
HEAT = "root => root.canvas.cells?.address"
VIEWS = ("Affinity", "Loom", "One image", "Ring", "Steps", "Spectrum", "Channels", "Equaliser", "What if")

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(open_at, shipped_server) -> Callable:
    """``visit("step=30", size=(390, 844), dark=True)``: the page of the shipped digits as that link shows it; see ``open_at``."""
    return lambda query="", **look: open_at(
        f"{shipped_server.address}/subspace?run=digits-subspace-steps&{query}", **look
    )


def _query(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def _click(page, x: float, y: float) -> None:
    page.wait_for_selector(READY)
    surface = page.locator(".matrix-canvas .surface").first
    box = surface.bounding_box()
    surface.click(position={"x": x * box["width"], "y": y * box["height"]})


def test_a_click_on_the_matrix_opens_the_two_images_and_the_address_keeps_them(visit, settle):
    page = visit()
    _click(page, 0.3, 0.6)
    title = page.get_by_text(re.compile(r"^Image \d+ and image \d+$"))
    title.wait_for()
    page.wait_for_function("location.search.includes('pair=')")
    first, second = title.inner_text(), _query(page)["pair"]
    page.reload()
    settle(page)
    title.wait_for()
    assert (title.inner_text(), _query(page)["pair"]) == (first, second)
    page.locator(".matrix-canvas .surface").first.focus()
    page.keyboard.press("Escape")
    page.get_by_text("Click a cell to see").first.wait_for()
    page.wait_for_function("!location.search.includes('pair=')")


def test_a_drag_selects_a_block_and_the_keyboard_does_both(visit, settle):
    page = visit()
    page.wait_for_selector(READY)
    box = page.locator(".matrix-canvas .surface").first.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.3 * box["height"], steps=5)
    page.mouse.up()
    title = page.get_by_text(re.compile(r"^Block of \d+ x \d+ images$"))
    title.wait_for()
    page.wait_for_function("location.search.includes('block=')")
    top, bottom, left, right = map(int, _query(page)["block"].split("_"))
    assert (bottom - top, right - left) == (pytest.approx(140, abs=8), pytest.approx(280, abs=8)), "of 700 images"
    page.locator(".block, .image-grid .cell").first.wait_for()
    surface = page.locator(".matrix-canvas .surface").first
    surface.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.get_by_text(re.compile(r"^Image \d+ and image \d+$")).first.wait_for()
    page.wait_for_function("!location.search.includes('block=') && location.search.includes('pair=')")
    surface.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.get_by_text(re.compile(r"^Block of [2-4] x [2-4] images$")).first.wait_for()
    settle(page)
    surface.focus()
    page.keyboard.press("Escape")
    page.get_by_text("Click a cell to see").first.wait_for()
    page.wait_for_function("!location.search.includes('block=')")


def test_a_view_of_the_ring_opens_its_pair_by_a_click_and_by_the_keyboard(open_at, shipped_server, settle):
    page = open_at(f"{shipped_server.address}/subspace?run=coil20-gated&view=Ring&object=1")
    page.wait_for_selector(".turn-ring[data-ready]")
    stops = page.locator(".turn-ring .stop")
    assert stops.count() == 72
    stops.nth(9).click()
    page.mouse.move(0, 0)  # a page that moves under a resting pointer would show that card
    page.get_by_text(re.compile(r"^Image 9 and image (8|10)$")).first.wait_for()
    page.wait_for_function("new URLSearchParams(location.search).get('pair')?.startsWith('9_')")
    settle(page)
    page.locator(".turn-ring .stop[tabindex='0']").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_text(re.compile(r"^Image 1 and image \d+$")).first.wait_for()
    assert page.locator(".turn-ring .stop[tabindex='0']").count() == 1
    assert page.locator(".turn-ring .card").inner_text().startswith("5°")


def test_a_threshold_changes_the_picture_and_what_the_colour_bar_is_called(visit, settle):
    page = visit()
    page.wait_for_selector(READY)
    root = page.locator(".matrix-canvas").first
    first = root.evaluate(HEAT)
    page.get_by_role("radio", name="thresholded").click()
    page.get_by_text("of the entries that hold 0.1 of their column").first.wait_for()
    settle(page)
    page.wait_for_selector(READY)
    page.wait_for_function(f"([root, first]) => ({HEAT})(root) !== first", arg=[root.element_handle(), first])
    heat = root.evaluate(HEAT)
    assert page.locator(".heat-bar .heat-title").inner_text() == "|C| + |Cᵀ|, kept"
    page.get_by_role("slider", name=re.compile("rho")).press("ArrowRight")
    page.get_by_text("of the entries that hold 0.12 of their column").first.wait_for()
    page.wait_for_function(f"root => ({HEAT})(root) !== '{heat}'", arg=root.element_handle())
    assert _query(page)["rho"] == "0.12"


def test_zooming_keeps_the_pair_that_is_pinned(visit, settle):
    page = visit("pair=10_11")
    page.get_by_role("radio", name="8x").click()
    page.get_by_text(re.compile(r"images [\d,]+ to [\d,]+ of the order")).first.wait_for()
    settle(page)
    assert _query(page)["pair"] == "10_11" and _query(page)["zoom"] == "8x"


def test_scrubbing_the_steps_changes_the_matrix_and_is_kept_between_views(visit, settle):
    page = visit()
    page.get_by_role("slider", name="Step of the fine-tuning").press("Home")
    page.wait_for_function("location.search.includes('step=')")
    step = _query(page)["step"]
    assert step == "10"
    page.get_by_text(re.compile(f"Run digits-subspace-steps, step {step}, solver adam")).first.wait_for()
    page.get_by_role("radio", name="Spectrum").click()
    page.wait_for_selector(PLOTTED)
    settle(page)
    assert _query(page)["step"] == step


def test_another_image_is_chosen_by_its_picture(visit, settle):
    page = visit("view=One image&image=0")
    page.get_by_text("Choose by picture").click()
    cells = page.locator(".image-grid").first.locator(".cell")
    cells.nth(3).wait_for()
    cells.nth(3).click()
    page.wait_for_function("new URLSearchParams(location.search).get('image') > 0")
    settle(page)
    chosen = int(_query(page)["image"])
    page.get_by_text(re.compile(r"^Image \d+, class 3, cluster")).first.wait_for()
    assert page.get_by_role("spinbutton").input_value() == str(chosen)


def test_a_part_of_an_image_leads_to_the_view_of_that_part(visit, settle):
    page = visit("view=One image&image=0")
    cell = page.locator("[class*='st-key-subspace_parts_'] .image-grid[data-ready] .cell").nth(1)
    row = cell.get_attribute("data-id")
    cell.click()
    page.wait_for_function(f"new URLSearchParams(location.search).get('image') === '{row}'")
    settle(page)
    assert page.get_by_role("spinbutton").input_value() == row


def test_clustering_again_with_another_solver_says_how_long_it_took(visit, settle):
    page = visit("view=What if")
    page.get_by_role("radio", name="ridge").click()
    page.wait_for_function("location.search.includes('solver=ridge')")
    settle(page)
    page.get_by_text(re.compile(r"^Clustered in \d+\.\d s on this machine$")).first.wait_for()
    assert page.get_by_text("against the run").count() == 3


@pytest.mark.parametrize(("size", "dark"), [((390, 844), True), ((1440, 900), False)], ids=["telephone", "desktop"])
def test_every_view_fits_its_screen(visit, size, dark, settle, fits_its_screen):
    page = visit(size=size, dark=dark)
    for view in VIEWS:
        page.get_by_role("radio", name=view, exact=True).click()
        page.wait_for_function(f"location.search.includes('view={view.split()[0]}') || '{view}' === 'Affinity'")
        settle(page)
        fits_its_screen(page, view)
