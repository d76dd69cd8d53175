"""What a reader takes away of a chart, in Chromium: numbers and pictures that say how they were made."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

INSIDE = """([words, chart]) => {
  const [inner, outer] = [words, chart].map(one => one.getBoundingClientRect());
  return inner.height > 0 && inner.bottom <= outer.bottom;
}"""
RECIPE = "figure scores of page deep_clustering; run digits (deep_clustering, "


@pytest.fixture
def opened_files(open_at, shipped_server):
    page = open_at(f"{shipped_server.address}/deep_clustering?run=digits&view=Curves")
    page.get_by_role("button", name="Recipe and files").first.click()
    page.get_by_text(RECIPE).first.wait_for()
    return page


def fetched(page, click) -> str:
    with page.expect_download() as told:
        click()
    return Path(told.value.path()).read_text()


def test_numbers_and_picture_carry_the_recipe(opened_files, settle):
    page = opened_files
    table = fetched(page, lambda: page.get_by_role("button", name="CSV").click())
    recipe, head, first = table.splitlines()[:3]
    assert recipe.startswith(f"# {RECIPE}"), recipe
    assert "seed=0" in recipe
    assert head.startswith("trace,x,y")
    assert float(first.split(",")[1]) == 0

    page.get_by_text("The recipe under the picture").click()
    settle(page)
    page.keyboard.press("Escape")
    chart = page.locator("[data-testid=stPlotlyChart]").first
    recipe_under = chart.locator(".annotation", has_text="weight_decay=0.05")
    recipe_under.wait_for(state="attached")
    page.wait_for_function(INSIDE, arg=[recipe_under.element_handle(), chart.element_handle()])
    chart.hover()
    picture = fetched(page, lambda: chart.locator("[data-title^='Download plot']").click())
    assert picture.startswith("<svg")
    assert all(part in picture for part in (RECIPE, "weight_decay=0.05"))
