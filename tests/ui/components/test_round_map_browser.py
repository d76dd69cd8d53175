"""The two components in a real Chromium over a fake run of 300 points and 4 rounds."""

import io
import re
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image

from vitviz.figures.theme import CLUSTER_COLORS

pytestmark = pytest.mark.browser

RESTED = "[data-testid=stApp][data-test-script-state=notRunning]"
HIDE_WEBGL = """
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === "webgl2" ? null : original.call(this, kind, ...rest);
};
"""
# Where a point is on the page, and the point that has the most room around it.
POINT_PLACES = """
root => {
  const map = root.map, view = map.view.now(), box = map.parts.surface.getBoundingClientRect();
  return Array.from({ length: map.map.numPoints }, (_, i) => {
    const [x, y] = map.placeOf(i);
    return [box.left + view.width / 2 + (x - view.x) * view.scale, box.top + view.height / 2 - (y - view.y) * view.scale];
  });
}
"""

# The hint is there for a moment only.
NOTICE = """
hint => new MutationObserver(() => hint.classList.contains("shown") && (hint.dataset.seen = "true"))
  .observe(hint, { attributes: true, attributeFilter: ["class"] })
"""


@pytest.fixture
def opened(page, server):
    """Open an address of the fake app and wait for the map; returns the map's root."""

    def open_page(query: str = ""):
        page.goto(f"{server}/{query}")
        page.wait_for_selector(".round-map[data-ready]")
        page.wait_for_selector(RESTED)
        page.locator(".image-grid[data-ready]").nth(1).wait_for()
        page.wait_for_function("() => !document.querySelector('[data-testid=stSkeleton]')")
        return page.locator(".round-map")

    return open_page


def _share_of_color(screenshot: bytes, color: str) -> float:
    """The share of pixels of nearly that colour; points are drawn a little transparent on white."""
    pixels = np.asarray(Image.open(io.BytesIO(screenshot)).convert("RGB"), int)
    wanted = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)])
    return (np.abs(pixels - (0.82 * wanted + 0.18 * 255)).max(axis=-1) < 8).mean()


def _traffic(page, act) -> list[str]:
    """Requests and websocket frames sent while ``act`` runs. Headless Chromium asks for the icon at any new address."""
    sent = []
    page.on("request", lambda request: request.url.endswith("/favicon.png") or sent.append(request.url))
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.webSocketFrameSent", lambda event: sent.append("frame"))
    act()
    session.detach()
    return sent


def _drag_round(page, root) -> None:
    box = root.locator(".surface").bounding_box()
    x, y, step = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 110
    page.mouse.move(x, y)
    page.mouse.down()
    for dx, dy in [(step, 20), (step + 30, -step), (0, -step), (-20, -30)]:
        page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()


def _lonely_point(root) -> tuple[int, float, float]:
    places = root.evaluate(POINT_PLACES)

    def room(index: int) -> float:
        x, y = places[index]
        return min((x - u) ** 2 + (y - v) ** 2 for k, (u, v) in enumerate(places) if k != index)

    index = max(range(len(places)), key=room)
    return index, *places[index]


def test_the_map_is_drawn_with_webgl_and_asks_no_other_host(page, opened, server):
    hosts = set()
    page.on("request", lambda request: hosts.add(urlparse(request.url).netloc))
    root = opened()
    assert root.get_attribute("data-painter") == "GlPainter"
    assert _share_of_color(root.locator(".surface").screenshot(), CLUSTER_COLORS[0]) > 0.002
    assert root.locator("canvas.points").get_attribute("aria-label").startswith("Map of 300 images in 5 clusters")
    assert hosts - {""} == {urlparse(server).netloc}


def test_scrubbing_by_keys_moves_the_points_and_asks_the_server_nothing(page, opened):
    root = opened()
    before = root.evaluate(POINT_PLACES)

    def scrub():
        root.locator(".surface").focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End"):
            page.keyboard.press(key)
        page.wait_for_selector(".round-map[data-round='3']")

    assert _traffic(page, scrub) == []
    assert root.evaluate(POINT_PLACES) != before
    assert root.locator("output").inner_text() == "Round 3 of 3"


def test_a_copied_link_opens_the_same_round_and_colours(page, opened):
    root = opened()
    root.get_by_role("button", name="Moved").click()
    page.keyboard.press("End")
    page.wait_for_function("location.search.includes('round=3')")
    copied = page.url
    page.get_by_role("button", name="Run again").click()
    page.wait_for_selector(RESTED)
    assert page.url == copied
    root = opened("?" + urlparse(copied).query)
    assert root.locator("output").inner_text() == "Round 3 of 3"
    assert root.get_by_role("button", name="Moved").first.get_attribute("aria-pressed") == "true"


def test_playing_ends_at_the_last_round(page, opened):
    page.emulate_media(reduced_motion="no-preference")
    root = opened("?round=1")
    root.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_selector(".round-map[data-round='3']")
    root.get_by_role("button", name="Play", exact=True).wait_for()


def test_a_lasso_dims_the_rest_and_python_names_the_same_points(page, opened):
    root = opened("?round=2")

    def select():
        _drag_round(page, root)
        page.get_by_text(re.compile(r"inside \d")).wait_for()

    asked = {
        one for one in _traffic(page, select) if "/tile-" not in one
    }  # a pointer that rests before it drags sees a card
    assert asked == {"frame"}
    kept = root.evaluate("root => [...root.map.selected].flatMap((one, i) => one ? [i] : [])")
    assert page.get_by_text("inside").inner_text() == "inside " + " ".join(map(str, kept))
    assert root.get_attribute("data-dimmed") == str(300 - len(kept))
    assert root.locator(".chip").inner_text().startswith(f"{len(kept)} selected")
    page.keyboard.press("Escape")
    page.get_by_text(re.compile(r"^inside *$")).wait_for()
    assert root.get_attribute("data-dimmed") == "0"


def test_a_box_is_drawn_with_shift_and_the_view_is_selected_by_key(page, opened):
    root = opened()
    page.keyboard.down("Shift")
    _drag_round(page, root)
    page.keyboard.up("Shift")
    page.get_by_text(re.compile(r"inside \d")).wait_for()
    assert len(root.evaluate("root => root.map.selection.polygon")) == 4
    root.locator(".surface").focus()
    page.keyboard.press("a")
    page.wait_for_selector(".round-map[data-selected='300']")


def test_changing_the_colours_asks_the_server_nothing(page, opened):
    root = opened()

    def recolor():
        root.get_by_role("button", name="Class", exact=True).click()
        root.locator(".legend button", has_text="Unlabelled").wait_for()
        root.get_by_role("button", name="Right / wrong").click()
        root.locator(".legend button", has_text="Wrong").click()

    assert _traffic(page, recolor) == []
    assert int(root.get_attribute("data-dimmed")) > 0


def test_margins_are_fetched_only_when_they_are_chosen(page, opened):
    root = opened()
    sent = _traffic(page, lambda: _choose_margins(page, root))
    assert [urlparse(url).path for url in sent] == ["/vitviz/runs/fake/margin.bin"]


def _choose_margins(page, root) -> None:
    root.get_by_role("button", name="Margin").click()
    page.wait_for_function("root => root.map.columns.peek('margin', 0) !== null", arg=root.element_handle())


def test_the_held_out_filter_leaves_only_held_out_points(page, opened):
    root = opened()
    held_out = root.evaluate("root => root.map.map.heldOut.reduce((sum, one) => sum + one, 0)")
    assert (
        root.locator(".legend .name").first.inner_text()
        == f"Cluster 0 ({root.evaluate('root => root.map.data.class_names[0]')})"
    )
    root.get_by_role("button", name="Held out").click()
    counts = root.locator(".legend .count").all_inner_texts()
    assert sum(map(int, counts)) == held_out


def test_the_hover_card_names_the_image_and_a_click_picks_it(page, opened):
    root = opened()
    index, x, y = _lonely_point(root)
    page.mouse.move(x + 2, y + 1)
    card = root.locator(".card")
    card.wait_for()
    assert card.locator("strong").inner_text() == f"Image {index * 3}"
    page.mouse.click(x, y)
    page.get_by_text(f"picked {index} at 0").wait_for()


def test_a_rerun_keeps_the_round_the_selection_and_one_canvas(page, opened):
    root = opened()
    page.keyboard.press("Tab")
    root.locator(".surface").focus()
    page.keyboard.press("End")
    page.wait_for_selector(".round-map[data-round='3']")
    _drag_round(page, root)
    page.get_by_text(re.compile(r"inside \d")).wait_for()
    chosen = root.get_attribute("data-selected")
    page.get_by_role("button", name="Run again").click()
    page.wait_for_selector(RESTED)
    assert root.count() == 1
    assert (root.get_attribute("data-round"), root.get_attribute("data-selected")) == ("3", chosen)


def test_leaving_the_page_gives_the_webgl_context_back(page, opened):
    root = opened()
    context = root.evaluate_handle("root => root.map.painter.gl")
    assert not context.evaluate("gl => gl.isContextLost()")
    page.get_by_text("Map", exact=True).click()
    root.wait_for(state="detached")
    page.wait_for_function("gl => gl.isContextLost()", arg=context)


def test_without_webgl_a_flat_canvas_draws(page, opened):
    page.add_init_script(HIDE_WEBGL)
    root = opened()
    assert root.get_attribute("data-painter") == "FlatPainter"
    assert _has_paint(root)


def test_a_lost_context_is_replaced_by_a_flat_canvas(page, opened):
    root = opened()
    root.evaluate("root => root.map.painter.gl.getExtension('WEBGL_lose_context').loseContext()")
    page.wait_for_selector(".round-map[data-painter=FlatPainter]")
    page.wait_for_function(f"root => ({PAINTED})(root)", arg=root.element_handle())


PAINTED = """root => {
  const canvas = root.querySelector("canvas.points");
  return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
}"""


def _has_paint(root) -> bool:
    return root.evaluate(PAINTED)


def test_the_grid_shows_240_thumbnails_and_tells_the_one_picked(page, opened):
    opened()
    grid = page.locator(".image-grid").first
    assert grid.locator("button").count() == 240
    assert grid.get_by_role("status").inner_text() == "showing 240 of 300"
    grid.get_by_role("button", name="image 17", exact=True).press("Enter")
    page.get_by_text("grid 17").wait_for()


def test_the_keyboard_stays_in_a_grid_whose_images_change_with_the_pick(page, opened):
    opened()
    grid = page.locator(".image-grid").last
    cell = grid.get_by_role("button", name="image 2", exact=True)
    cell.press("Enter")
    grid.get_by_role("button", name="image 6", exact=True).wait_for()
    assert cell.evaluate("cell => cell === cell.getRootNode().activeElement")


def test_the_grid_shows_the_first_letters_where_there_are_no_tiles(page, opened):
    opened()
    cells = page.locator(".image-grid").nth(1).locator(".thumb")
    assert cells.all_inner_texts() == ["ima", "ima"]


def test_trails_are_offered_for_few_points_only(page, opened):
    root = opened("?round=3")
    _drag_round(page, root)
    root.get_by_role("button", name="Trails").click()
    root.locator(".surface").focus()
    page.keyboard.press("a")
    page.wait_for_selector(".round-map[data-selected='300']")
    assert root.get_by_role("button", name="Trails").count() == 0
    assert root.evaluate("root => root.map.trails") is False


def test_the_wheel_scrolls_the_page_until_the_map_is_touched(page, opened):
    root = opened()
    box = root.locator(".surface").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 200)
    root.locator(".hint").evaluate(NOTICE)
    page.mouse.wheel(0, -100)
    root.locator(".hint[data-seen]").wait_for(state="attached")
    assert root.evaluate("root => root.map.view.zoom") == 1
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function("root => root.map.view.zoom > 1", arg=root.element_handle())
    page.mouse.dblclick(box["x"] + 30, box["y"] + 200)
    page.wait_for_function("root => root.map.view.zoom === 1", arg=root.element_handle())
