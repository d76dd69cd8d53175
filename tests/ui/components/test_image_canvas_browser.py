"""The image canvas in a real Chromium, over pictures and labels of which every pixel is known."""

import io
import os
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser

RESTED = "[data-testid=stApp][data-test-script-state=notRunning]"
MARK = (255, 212, 0)
# The pixels of the canvas of lines, as the browser has drawn them: alpha of every one.
INK = """root => {
  const canvas = root.querySelector("canvas.lines");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.width, canvas.height, Array.from(pixels).filter((_, place) => place % 4 === 3)];
}"""

PRESS = """(one, keys) => {
  for (const key of keys) one.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def server(serve) -> str:
    """The address of a server of the fake page."""
    here = Path(__file__).parent
    return serve(here / "fake_canvas_app.py", PYTHONPATH=f"{here}{os.pathsep}{here.parents[2]}").address


@pytest.fixture
def opened(page, server):
    """Open the fake page and wait for its first canvas; returns the canvas's root."""

    def open_page(query: str = "", at=page):
        at.goto(f"{server}/{query}")
        at.wait_for_selector(RESTED)
        root = at.locator(".image-canvas").first
        root.and_(at.locator("[data-ready]")).wait_for()
        at.locator(".image-canvas").nth(4).wait_for()
        return root

    return open_page


def _click(root, x: float, y: float) -> None:
    box = root.locator(".surface").bounding_box()
    root.locator(".surface").click(position={"x": x * box["width"], "y": y * box["height"]})


def _heard(page, text: str) -> None:
    page.get_by_text(text, exact=True).wait_for()


def _ink(root) -> np.ndarray:
    """Alpha (height, width) of the lines over the picture."""
    width, height, alpha = root.evaluate(INK)
    return np.array(alpha).reshape(height, width)


def _shot(root) -> np.ndarray:
    """(H, W, 3) of the picture and what lies over it."""
    return np.asarray(Image.open(io.BytesIO(root.locator(".surface").screenshot())).convert("RGB"), int)


def _traffic(page, act) -> list[str]:
    """Requests and websocket frames sent while ``act`` runs."""
    sent = []
    page.on("request", lambda request: request.url.endswith("/favicon.png") or sent.append(request.url))
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.webSocketFrameSent", lambda event: sent.append("frame"))
    act()
    session.detach()
    return sent


def test_a_click_tells_python_the_place_and_the_label(page, opened):
    root = opened()
    _click(root, 0.25, 0.75)
    _heard(page, "pins [(0.25, 0.75, 2)] step 0")
    _click(root, 0.75, 0.25)
    _heard(page, "pins [(0.75, 0.25, 1)] step 0")
    assert root.locator(".readout").inner_text().startswith("region 1")
    page.keyboard.press("Escape")
    _heard(page, "pins [] step 0")


def test_a_third_pin_replaces_the_oldest_of_two(page, opened):
    root = opened("?pins=2")
    for x, y in [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75)]:
        _click(root, x, y)
    _heard(page, "pins [(0.75, 0.25, 1), (0.75, 0.75, 3)] step 0")
    root.get_by_role("button", name="Clear the pin").click()
    _heard(page, "pins [] step 0")


def test_boundaries_are_drawn_where_labels_differ_and_nowhere_else(page, opened):
    root = opened("?mode=lines")
    page.mouse.move(0, 0)
    ink = _ink(root)
    height, width = ink.shape
    assert (ink[height // 2, :] > 200).all() and (ink[:, width // 2] > 200).all()
    away = ink.copy()
    away[height // 2 - 3 : height // 2 + 3] = 0
    away[:, width // 2 - 3 : width // 2 + 3] = 0
    assert away.max() == 0
    root.locator(".surface").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".image-canvas[data-step='1']")
    page.wait_for_function(
        f"root => ({INK})(root)[2][10 * {width} + {round(width * 7 / 12)}] > 200", arg=root.element_handle()
    )
    assert _ink(root)[10, width // 2] == 0


def test_colours_lie_over_the_photo_with_their_opacity(page, opened):
    root = opened("?mode=colors")
    page.mouse.move(0, 0)
    shot = _shot(root)
    height, width = shot.shape[:2]
    for place, base, color in [
        ((0.25, 0.25), 60, (255, 0, 0)),
        ((0.25, 0.75), 180, (0, 255, 0)),
        ((0.75, 0.25), 60, (0, 0, 255)),
    ]:
        found = shot[round(place[0] * height), round(place[1] * width)]
        assert np.abs(found - (0.7 * base + 0.3 * np.array(color))).max() <= 2
    root.get_by_role("slider", name="Opacity").fill("1")
    page.wait_for_function("root => root.canvas.fillAlpha === 1", arg=root.element_handle())
    assert np.abs(_shot(root)[height // 4, width // 4] - (255, 0, 0)).max() <= 1


def test_holding_b_and_the_button_show_the_picture_alone(page, opened):
    root = opened()
    page.mouse.move(0, 0)
    root.locator(".surface").focus()
    page.keyboard.down("b")
    page.wait_for_selector(".image-canvas[data-bare=true]")
    shot = _shot(root)[8:-8, 8:-8]
    assert set(np.unique(shot)) == {60, 180}
    page.keyboard.up("b")
    page.wait_for_selector(".image-canvas[data-bare=false]")
    root.get_by_role("button", name="See the photo alone").click()
    page.wait_for_selector(".image-canvas[data-bare=true]")


def test_heat_is_viridis_with_a_bar_and_leaves_zero_clear(page, opened):
    root = opened("?mode=none")
    page.locator("[data-testid=stCheckbox]", has_text="Heat").click()
    root.locator(".heat-bar").wait_for()
    root.get_by_role("slider", name="Opacity").fill("1")
    page.mouse.move(0, 0)
    page.wait_for_function("root => root.canvas.heatAlpha === 1", arg=root.element_handle())
    shot = _shot(root)
    height, width = shot.shape[:2]
    assert np.abs(shot[height // 16, width // 4] - (253, 231, 37)).max() <= 2
    assert np.abs(shot[height * 3 // 16, width // 4] - (33, 145, 140)).max() <= 2
    assert np.abs(shot[height // 2, width // 4] - 60).max() <= 1
    assert root.locator(".heat-bar").inner_text().split() == ["share", "0", "0.5", "1"]
    _click(root, 0.25, 0.2)
    root.locator(".readout", has_text="region 0, row 1, column 3, share 0.50").wait_for()


def test_what_is_changed_in_the_browser_makes_no_server_call(page, opened):
    root = opened("?tell=no")

    def change() -> None:
        root.locator(".surface").focus()
        for key in ("ArrowRight", "End", "Home", "ArrowRight"):
            page.keyboard.press(key)
        root.get_by_role("button", name="Boundaries").click()
        root.get_by_role("button", name="Colours").click()
        root.get_by_role("slider", name="Opacity").fill("0.6")
        page.wait_for_selector(".image-canvas[data-step='1'][data-mode=colors]")
        page.wait_for_function("root => root.canvas.told.step === 1", arg=root.element_handle())  # settled

    assert _traffic(page, change) == []
    assert root.locator(".count").inner_text() == "t = 1 / 2"


def test_scrubbing_tells_python_once_it_settles(page, opened):
    root = opened()
    keys = ["ArrowRight", "ArrowLeft", "ArrowRight", "ArrowRight"]

    def scrub() -> None:
        root.locator(".surface").evaluate(PRESS, keys)  # in one go: a pause between two would tell Python twice
        _heard(page, "pins [] step 2")

    assert _traffic(page, scrub) == ["frame"]


def test_playing_ends_at_the_last_step(page, opened):
    root = opened()
    root.get_by_role("button", name="Play").click()
    page.wait_for_selector(".image-canvas[data-step='2']")
    root.get_by_role("button", name="Play").wait_for()
    _heard(page, "pins [] step 2")


def test_every_cell_can_be_reached_by_keys(page, opened):
    root = opened()
    root.locator(".surface").focus()
    page.keyboard.press("Shift+ArrowUp")
    _heard(page, "pins [(0.54, 0.56, 3)] step 0")
    for key in ["Shift+ArrowLeft"] * 9 + ["Shift+ArrowUp"] * 9:
        page.keyboard.press(key)
    _heard(page, "pins [(0.04, 0.06, 0)] step 0")


def test_a_rerun_keeps_pins_step_and_opacity_and_one_canvas(page, opened):
    root = opened()
    _click(root, 0.25, 0.75)
    root.get_by_role("button", name="Boundaries").click()
    page.keyboard.press("Tab")
    root.locator(".surface").focus()
    page.keyboard.press("End")
    _heard(page, "pins [(0.25, 0.75, 2)] step 2")
    page.get_by_role("button", name="Run again").click()
    page.wait_for_selector(RESTED)
    chosen = [root.get_attribute(f"data-{name}") for name in ("step", "mode", "pins")]
    assert chosen == ["2", "lines", "1"]
    assert page.locator(".image-canvas").count() == 5


def test_another_picture_starts_afresh_but_keeps_the_look(page, opened):
    root = opened()
    _click(root, 0.25, 0.75)
    _heard(page, "pins [(0.25, 0.75, 2)] step 0")
    root.get_by_role("button", name="Boundaries").click()
    page.get_by_text("Other picture").click()
    _heard(page, "pins [] step 0")
    root.and_(page.locator("[data-pins='0'][data-mode=lines][data-ready]")).wait_for()
    root.locator(".player").wait_for(state="hidden")
    size = root.locator(".surface").bounding_box()
    assert size["width"] / size["height"] == pytest.approx(40 / 64, rel=0.01)


def test_another_base_picture_is_shown_in_place(page, opened):
    root = opened("?mode=none")
    root.get_by_role("button", name="Inverted").click()
    page.wait_for_function("root => root.querySelector('img').complete", arg=root.element_handle())
    page.mouse.move(0, 0)
    shot = _shot(root)
    assert np.abs(shot[shot.shape[0] // 2, shot.shape[1] // 4] - 195).max() <= 1


def test_what_is_pinned_is_marked_in_both_themes(new_page, opened):
    for scheme in ("light", "dark"):
        page = new_page((900, 900), color_scheme=scheme)
        root = opened("?mode=none", at=page)
        _click(root, 0.25, 0.25)
        _heard(page, "pins [(0.25, 0.25, 0)] step 0")
        shot = _shot(root)
        assert (np.abs(shot - MARK).max(axis=-1) < 8).mean() > 0.003


def test_a_telephone_shows_the_whole_canvas_and_a_tap_pins(chromium, opened):
    context = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True, device_scale_factor=2)
    page = context.new_page()
    root = opened(at=page)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    box = root.locator(".surface").bounding_box()
    assert 250 < box["width"] <= 360
    assert _ink(root).shape == (round(box["height"] * 2), round(box["width"] * 2))
    page.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.75)
    _heard(page, "pins [(0.75, 0.75, 3)] step 0")
    context.close()


def test_a_picture_too_narrow_to_click_is_drawn_stretched_and_says_so(page, opened):
    opened()
    bare = page.locator(".image-canvas").nth(1)
    box = bare.locator(".surface").bounding_box()
    assert (round(box["width"]), round(box["height"])) == (48, 640)
    bare.get_by_text("8 x 2000 pixels").wait_for()


def test_what_is_lost_says_so(page, opened):
    opened()
    lost = page.locator(".image-canvas").nth(2)
    lost.get_by_text("could not be loaded").wait_for()


def test_the_picture_has_its_words_and_no_other_host_is_asked(page, opened, server):
    hosts = set()
    page.on("request", lambda request: hosts.add(urlparse(request.url).netloc))
    root = opened()
    assert root.get_by_role("application").locator("img").get_attribute("alt") == "two grey halves"
    assert hosts - {""} == {urlparse(server).netloc}


# A map of 200 x 300 cells, 400 x 600 CSS pixels: one cell of 2 x 2 pixels, and a square of 20 x 20 cells.
SPECK_AND_SQUARE = """root => {
  const { canvas } = root, rows = 200, columns = 300, plane = new Uint16Array(rows * columns);
  plane[50 * columns + 50] = 1;
  for (let row = 100; row < 120; row += 1) plane.fill(2, row * columns + 100, row * columns + 120);
  canvas.layers.labels = { steps: 1, rows, columns, planes: [plane] };
  canvas.refresh();
  canvas.drawing.drawLines();
}"""


def test_a_speck_has_no_outline_and_a_small_square_has(page, opened):
    root = opened("?mode=lines")
    page.mouse.move(0, 0)
    root.evaluate(SPECK_AND_SQUARE)
    ink = _ink(root)
    scale = ink.shape[1] / 300
    around = slice(round(48 * scale), round(53 * scale))
    assert ink[around, around].max() == 0
    assert ink[round(110 * scale), round(100 * scale)] > 200
    assert ink[round(110 * scale), round(110 * scale)] == 0


def test_heat_without_labels_is_read_by_its_cells_with_its_own_numbers_and_step_names(page, opened):
    opened()
    root = page.locator(".st-key-matrix .image-canvas")
    page.wait_for_selector(".st-key-matrix .image-canvas[data-ready]")
    assert root.locator(".heat-bar").inner_text().split() == ["affinity", "0", "0.01", "0.02"]
    assert root.locator("[data-mode]:visible").count() == 0
    signed = page.locator(".st-key-signed .image-canvas")
    assert signed.locator("[data-mode]:visible").all_inner_texts() == ["Boundaries", "None"]
    assert root.locator(".count").inner_text() == "step 10"
    _click(root, 0.3125, 0.3125)
    _heard(page, "matrix [(0.31, 0.31, 492)] step 0")
    assert root.locator(".readout").inner_text() == "row 12, column 12, affinity 0.02"
    root.get_by_role("button", name="Next step").click()
    _heard(page, "matrix [(0.31, 0.31, 492)] step 1")
    assert root.locator(".count").inner_text() == "step 30"
    assert root.locator(".readout").inner_text() == "row 12, column 12, affinity 0.00502"


def test_the_button_that_clears_stays_where_it_is_while_the_text_beside_it_changes(page, opened):
    root = opened("?pins=2")
    for x, y in [(0.25, 0.25), (0.75, 0.75)]:
        _click(root, x, y)
    button = root.get_by_role("button", name="Clear the pin")
    over_the_picture = button.bounding_box()
    page.mouse.move(0, 0)
    page.wait_for_function("root => root.canvas.hover === null", arg=root.element_handle())
    page.wait_for_function(
        "root => root.querySelector('.readout').textContent.includes(' · ')", arg=root.element_handle()
    )
    assert button.bounding_box() == over_the_picture


def _signed(page):
    page.locator(".st-key-signed .image-canvas").and_(page.locator("[data-ready]")).wait_for()
    return page.locator(".st-key-signed .image-canvas")


def test_heat_of_either_sign_has_its_own_colours_and_numbers_and_names(page, opened):
    opened()
    root = _signed(page)
    assert root.locator(".heat-bar").inner_text().split() == ["gain", "-2", "0", "2"]
    shot = _shot(root)
    height, width = shot.shape[:2]
    assert np.abs(shot[height // 2, width // 8] - (0, 0, 255)).max() <= 2
    assert np.abs(shot[height // 2, width * 7 // 8] - (255, 0, 0)).max() <= 2
    root.locator(".surface").hover(position={"x": width * 0.3, "y": height * 0.5})
    page.get_by_text("the left half, gain -0.996", exact=True).wait_for()
    root.locator(".surface").hover(position={"x": width * 0.9, "y": height * 0.5})
    page.get_by_text("the right half, gain 2", exact=True).wait_for()


def test_smoothing_blends_cells_in_the_browser_alone_and_only_where_it_is_offered(page, opened):
    first = opened()
    root = _signed(page)
    assert first.get_by_role("button", name="Smooth").count() == 0
    button = root.get_by_role("button", name="Smooth the map between cells")
    assert button.get_attribute("aria-pressed") == "false"
    plain = _shot(root)

    def smooth() -> None:
        button.click()
        root.locator("canvas.heat.blended").wait_for()

    assert _traffic(page, smooth) == []
    page.mouse.move(0, 0)
    blended = _shot(root)
    middle = plain.shape[0] // 2
    assert len(np.unique(plain[middle], axis=0)) <= 8 < 20 < len(np.unique(blended[middle], axis=0))
    button.click()
    root.locator("canvas.heat:not(.blended)").wait_for()
    assert button.get_attribute("aria-pressed") == "false"


def test_a_reader_who_changes_the_language_keeps_pin_and_step_and_hears_the_new_one(page, opened):
    root = opened()
    _click(root, 0.1, 0.1)
    root.get_by_role("button", name="Next step").click()
    _heard(page, "pins [(0.1, 0.1, 0)] step 1")
    page.get_by_text("Korean", exact=True).click()
    root.get_by_role("button", name="다음 단계").wait_for()
    root.and_(page.locator("[data-step='1'][data-pins='1'][data-ready]")).wait_for()
    surface = root.locator(".surface")
    assert surface.get_attribute("aria-label") == "two grey halves. 그림. Shift와 화살표 키로 핀을 옮깁니다"
    assert "화살표" in surface.get_attribute("aria-description")
    root.get_by_role("button", name="사진만 보기").focus()
    page.keyboard.press("Tab")
    assert surface.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
    surface.press("ArrowLeft")
    _heard(page, "pins [(0.1, 0.1, 0)] step 0")
    assert "영역 0" in root.locator(".readout").inner_text() and _ink(root).max() > 0
