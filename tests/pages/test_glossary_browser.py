"""Terms explained where they stand, in a real Chromium: by pointer, by keyboard, and while React changes the page under them."""

import pytest

BUBBLE = ".vitviz-bubble"
# the middle of the first term that is written so
PLACE = """written => {
  for (const range of CSS.highlights.get("vitviz-term")) {
    const live = document.createRange();
    live.setStart(range.startContainer, range.startOffset);
    live.setEnd(range.endContainer, range.endOffset);
    const box = live.getClientRects()[0];
    if (live.toString() === written && box) return [box.left + box.width / 2, box.top + box.height / 2];
  }
  throw new Error(`${written} is no term here`);
}"""
WRITTEN = """written => [...CSS.highlights.get("vitviz-term") ?? []].some(
  range => range.startContainer.isConnected
    && range.startContainer.data.slice(range.startOffset, range.endOffset) === written
)"""
NOW = """() => [...CSS.highlights.get("vitviz-term-now") ?? []].map(range => range.startContainer.data.slice(
  range.startOffset, range.endOffset
))"""

pytestmark = pytest.mark.browser


def test_a_term_is_explained_with_its_equation_by_pointer_and_by_keyboard(open_at, settle, shipped_server):
    page = open_at(f"{shipped_server.address}/lessons")
    page.wait_for_function(WRITTEN, arg="embedding")
    bubble = page.locator(BUBBLE)
    page.clock.install()
    page.mouse.move(*page.evaluate(PLACE, "embedding"))
    page.clock.run_for(1_000)
    assert "ViT deep clustering, eq. (4)" in bubble.inner_text()
    box = bubble.bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30, steps=4)
    page.clock.run_for(1_000)
    assert bubble.is_visible()
    page.mouse.move(5, 5)
    page.clock.run_for(1_000)
    assert bubble.is_hidden()
    page.mouse.move(*page.evaluate(PLACE, "embedding"))
    page.clock.run_for(1_000)
    assert bubble.is_visible()
    page.keyboard.press("Escape")
    assert bubble.is_hidden()
    left, top = page.evaluate(PLACE, "embedding")
    page.mouse.move(left + 2, top)
    page.clock.run_for(1_000)
    assert bubble.is_hidden()

    page.clock.resume()
    button = page.locator(".vitviz-terms")
    button.focus()
    page.keyboard.press("Enter")
    first = page.evaluate(NOW)
    page.keyboard.press("ArrowRight")
    assert bubble.is_visible() and page.evaluate(NOW) not in ([], first)
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(NOW) == first
    assert bubble.locator("p").nth(1).inner_text() in page.locator(".vitviz-told").inner_text()
    page.keyboard.press("Escape")
    assert bubble.is_hidden()

    page.get_by_role("radio", name="KO").click()
    page.wait_for_selector("html[lang=ko]", state="attached")
    settle(page)
    page.wait_for_function(WRITTEN, arg="임베딩")
    page.mouse.move(*page.evaluate(PLACE, "임베딩"))
    bubble.wait_for()
    assert "ViT 딥 클러스터링, 식 (4)" in bubble.inner_text()
