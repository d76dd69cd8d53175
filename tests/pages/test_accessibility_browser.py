"""Every page and view by axe's rules, by keyboard, and in the words that a screen reader is given for its figures."""

import pytest

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/glossary",
    "/runs",
    "/train",
    "/compare",
    "/deep_clustering",
    "/subspace",
    "/supertokens",
    "/attention",
    "/coat",
)
VIEWS = {
    "/deep_clustering": ("Curves", "Clusters", "Movers", "Your image"),
    "/subspace": ("One image", "Steps", "Spectrum", "Channels", "What if"),
    "/supertokens": ("Iterations", "Reconstruction", "Beside grid and SLIC", "Embeddings"),
    "/attention": ("Through layers", "Attribution", "Patches", "Logit lens", "Side by side"),
    "/coat": ("How many", "Errors", "Cost", "Same answer?"),
}
"""Page to its views beside the first, which its bare address shows."""
KOREAN = (
    *("/?lang=KO", "/lessons?lang=KO", "/runs?lang=KO", "/train?lang=KO", "/compare?table=table2&lang=KO"),
    *("/deep_clustering?view=Curves&lang=KO", "/subspace?view=Steps&lang=KO", "/supertokens?view=Iterations&lang=KO"),
    *("/attention?view=Logit+lens&lang=KO", "/coat?view=Cost&lang=KO"),
)
"""Of every page a view in Korean, one with tables and figures where it has them."""
TELEPHONE, DESK = (390, 844), (1440, 900)
FOLD = "[data-testid=stNavSectionHeader] [role=button]"
MENDED = "[data-testid=stSidebarNavItems][role=presentation]"


@pytest.fixture
def visit(open_at, shipped_server):
    """``visit("/coat?view=Cost", size, dark=True)``: that page drawn to its end, its frame mended."""

    def open_page(path: str, size: tuple[int, int] = DESK, *, dark: bool = False):
        page = open_at(shipped_server.address + path, size=size, dark=dark)
        page.wait_for_selector(MENDED, state="attached")
        return page

    return open_page


def _violations(page) -> list[str]:
    """What axe finds of impact serious or critical, as ``rule selector``."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{rule['id']} {node['target']}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_breaks_a_rule_of_axe(visit, path):
    assert _violations(visit(path)) == []


@pytest.mark.parametrize("path", ["/deep_clustering?view=Curves"])
def test_no_page_breaks_a_rule_of_axe_in_the_dark_on_a_telephone(visit, path):
    assert _violations(visit(path, TELEPHONE, dark=True)) == []


def _all_views() -> list[str]:
    views = [f"{page}?view={name.replace(' ', '+').replace('?', '%3F')}" for page in VIEWS for name in VIEWS[page]]
    return [*PAGES, *views, "/deep_clustering?round=6&selected=6_000000999000999999000999"]


@pytest.mark.full
@pytest.mark.parametrize("path", _all_views())
def test_no_view_breaks_a_rule_of_axe_on_any_screen(visit, path):
    looks = [(size, dark) for size in (DESK, TELEPHONE) for dark in (False, True)]
    assert {(size, dark): _violations(visit(path, size, dark=dark)) for size, dark in looks} == {
        look: [] for look in looks
    }


@pytest.mark.full
@pytest.mark.parametrize("path", KOREAN)
def test_no_page_breaks_a_rule_of_axe_in_korean(visit, path):
    page = visit(path)
    assert page.locator("html").get_attribute("lang") == "ko"
    assert _violations(page) == []


def test_axe_finds_what_is_wrong(visit):
    page = visit("/runs")
    page.evaluate("document.querySelector('h1').parentElement.append(document.createElement('img'))")
    page.locator("h1").evaluate("one => { one.parentElement.lastElementChild.src = 'data:,'; }")
    assert [one.partition(" ")[0] for one in _violations(page)] == ["image-alt"]


def test_every_figure_has_words_for_who_cannot_see_it(visit):
    page = visit("/deep_clustering?view=Curves")
    page.wait_for_selector("[data-testid=stPlotlyChart] .main-svg")
    charts = page.locator("[data-testid=stPlotlyChart]").count()
    told = page.locator("[data-testid=stPlotlyChart] [role=img][aria-label], [data-testid=stPlotlyChart][aria-label]")
    words = told.evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert len(words) == charts == 5
    assert all("over round." in text and " last." in text for text in words)


def test_the_sections_of_the_navigation_fold_and_unfold_by_keyboard(visit):
    page = visit("/runs")
    section = page.get_by_role("button", name="Explore")
    section.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Attention").wait_for(state="detached")
    page.wait_for_selector(f"{FOLD}[aria-expanded=false]")
    page.keyboard.press(" ")
    page.get_by_role("link", name="Attention").wait_for()
    page.wait_for_selector(f"{FOLD}[aria-expanded=false]", state="detached")


def test_the_page_says_which_language_it_speaks_and_breaks_lines_as_it_does(visit):
    page = visit("/runs?lang=KO")
    assert page.locator("html").get_attribute("lang") == "ko"
    breaks = "one => getComputedStyle(one).wordBreak"
    caption = page.locator("[data-testid=stCaptionContainer] p").first
    assert caption.evaluate(breaks) == "keep-all"
    page.get_by_test_id("stSidebar").get_by_text("EN", exact=True).click()
    page.wait_for_selector("html[lang=en]", state="attached")
    assert caption.evaluate(breaks) != "keep-all"
    assert visit("/runs").locator("html").get_attribute("lang") == "en"
