"""The first page in a real Chromium: its picture plays, stops and leads on; where motion is to be reduced it stands still."""

import pytest

pytestmark = pytest.mark.browser
# every place that the map is drawn at from now on, in rounds
WATCH = """root => {
  root.seen = [];
  new MutationObserver(() => root.seen.push(Number(root.dataset.place))).observe(root, { attributeFilter: ["data-place"] });
}"""


@pytest.fixture
def visit(new_page, shipped_server, settle):
    """``visit(reduced_motion="reduce")``: the first page and its live map, drawn."""

    def open_page(**media):
        page = new_page((1440, 900), **media)
        page.goto(shipped_server.address)
        live = page.locator(".live-map[data-ready=true]")
        live.wait_for()
        settle(page)
        return page, live

    return open_page


def _wait(page, live, condition: str) -> None:
    page.wait_for_function(f"root => {condition}", arg=live.element_handle())


def test_images_travel_by_themselves_until_they_are_stopped_and_a_press_opens_the_round(visit):
    page, live = visit(reduced_motion="no-preference")
    live.evaluate(WATCH)
    _wait(page, live, "root.seen.some((place) => place % 1 > 0.1)")
    play = live.locator(".play")
    assert play.get_attribute("aria-label") == "Pause"
    play.focus()
    page.keyboard.press("Enter")
    assert play.get_attribute("aria-label") == "Play"
    _wait(page, live, "root.live.motion.travel === null && !root.live.motion.playing")
    place = float(live.get_attribute("data-place"))
    assert place == int(place) >= 1
    live.locator("input").focus()
    page.keyboard.press("End")
    _wait(page, live, "root.dataset.place === '6.000'")
    assert live.locator(".note").inner_text().startswith("Round 6 of 6. 8 images change cluster.")
    live.locator("a").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/deep_clustering?*round=6*")
    page.wait_for_selector(".round-map output:has-text('Round 6 of 6')")


def test_nothing_moves_by_itself_where_motion_is_to_be_reduced(visit):
    page, live = visit(reduced_motion="reduce")
    assert live.get_attribute("data-place") == "6.000"
    assert live.locator(".note").inner_text().startswith("From round 0 to 6.")
    assert live.evaluate("root => root.live.leg()") == {"from": 0, "to": 6, "progress": 1}
    live.evaluate(WATCH)
    live.locator(".play").click()
    _wait(page, live, "root.seen.includes(2)")
    assert live.evaluate("root => root.seen.filter((place) => place % 1 !== 0)") == []
    page.locator(".link-cards a[href^=subspace]").click()
    page.wait_for_url("**/subspace*")
    page.get_by_role("heading", name="Subspace clustering").wait_for()
