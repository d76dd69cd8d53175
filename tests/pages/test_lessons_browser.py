"""Lessons in a real Chromium: walked by pressing Next from first to last step, and presented with the keys of a remote."""

from urllib.parse import parse_qs, urlencode, urlparse

import pytest

from vitviz.lessons.reading import SHIPPED, find_lesson

NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
PANEL, NEXT = ".st-key-lesson_panel", ".st-key-lesson_next button"

pytestmark = pytest.mark.browser


def _address(server: str, name: str, at: int, language: str) -> str:
    step = find_lesson(name).steps[at - 1]
    return f"{server}/{step.page}?" + urlencode({"lesson": name, "at": at, "lang": language})


def _query(page) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlparse(page.url).query).items()}


def _wait_for_step(page, settle, number: int, last: int, language: str) -> None:
    place = f"step {number} of {last}" if language == "EN" else f"{last}단계 중 {number}단계"
    page.locator(f"{PANEL} >> text={place}").wait_for()
    settle(page)


def _walk(page, settle, name: str, language: str) -> None:
    """From the first step to the last: each on its page, with its run and view, its question answered."""
    lesson = find_lesson(name)
    for number, step in enumerate(lesson.steps, 1):
        _wait_for_step(page, settle, number, len(lesson.steps), language)
        assert urlparse(page.url).path.strip("/") == step.page
        shown = _query(page)
        assert shown.get("view", "Map") == step.view["view"] or step.view["view"] not in page.url
        assert shown.get("run", step.view.get("run")) == step.view.get("run")
        assert page.locator("[data-testid=stException], [data-testid=stAlertContentError]").count() == 0, number
        if step.question is not None:
            folder = {"EN": "en", "KO": "ko"}[language]
            page.locator(PANEL).get_by_text(step.question.choices[folder][step.question.right], exact=True).click()
            page.locator(f"{PANEL} [data-testid=stAlertContentSuccess]").wait_for()
            settle(page)
        page.locator(NEXT).click()
    page.wait_for_selector(PANEL, state="detached")


@pytest.mark.parametrize(("name", "language"), [("2-frozen-mistakes", "EN"), ("5-affinity", "KO")])
def test_a_lesson_is_walked_from_first_to_last_step(open_at, settle, shipped_server, name, language):
    _walk(open_at(_address(shipped_server.address, name, 1, language)), settle, name, language)


@pytest.mark.full
@pytest.mark.parametrize("language", ["EN", "KO"])
@pytest.mark.parametrize("name", NAMES)
def test_every_lesson_is_walked_in_both_languages(open_at, settle, shipped_server, name, language):
    _walk(open_at(_address(shipped_server.address, name, 1, language)), settle, name, language)


def test_a_step_comes_back_after_looking_around_and_after_a_reload(open_at, settle, shipped_server):
    page = open_at(_address(shipped_server.address, "1-feedback", 6, "EN"))
    _wait_for_step(page, settle, 6, 7, "EN")
    page.get_by_text("Curves", exact=True).click()
    page.wait_for_url("**view=Curves**")
    settle(page)
    page.locator(".st-key-lesson_again button").click()
    page.wait_for_url("**view=Movers**")
    settle(page)
    assert _query(page)["run"] == "digits-control"
    page.reload()
    _wait_for_step(page, settle, 6, 7, "EN")
    assert _query(page)["run"] == "digits-control" and _query(page)["view"] == "Movers"


@pytest.mark.parametrize("size", [(1280, 720), (853, 480)], ids=["projector", "zoomed"])
def test_before_a_class_the_text_stands_beside_the_picture_that_it_speaks_of(open_at, settle, shipped_server, size):
    page = open_at(f"{_address(shipped_server.address, '1-feedback', 1, 'KO')}&present=1", size=size)
    for number in (1, 2):
        _wait_for_step(page, settle, number, 7, "KO")
        page.wait_for_function("document.querySelector('.st-key-view').getBoundingClientRect().top < 80")
        panel, view = (page.locator(one).bounding_box() for one in (PANEL, ".round-map .surface"))
        assert panel["x"] + panel["width"] < view["x"] and panel["y"] + panel["height"] <= size[1]
        assert view["y"] < size[1] / 2
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("ArrowRight")


def test_a_presenter_steps_by_keys_in_large_type_without_the_frame(open_at, settle, shipped_server):
    page = open_at(_address(shipped_server.address, "1-feedback", 1, "EN"))
    _wait_for_step(page, settle, 1, 7, "EN")
    small = page.locator(f"{PANEL} p").nth(1).evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
    page.locator(".st-key-lesson_present button").click()
    page.wait_for_url("**present=1**")
    settle(page)
    page.locator("[data-testid=stSidebar]").wait_for(state="hidden")
    large = page.locator(f"{PANEL} p").nth(1).evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
    assert large > 1.4 * small
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("PageDown")
    _wait_for_step(page, settle, 2, 7, "EN")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    _wait_for_step(page, settle, 1, 7, "EN")
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-testid=stSidebar]", state="visible")
    assert "present" not in _query(page)
