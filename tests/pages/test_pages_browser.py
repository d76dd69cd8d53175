"""The main walks in a real Chromium: links, the map and its grid, an uploaded picture, two tabs, a telephone."""

import io
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlparse

import numpy as np
import psutil
import pytest
from PIL import Image

from vitviz.runs.folder import find_run, own_root

APP = Path(__file__).resolve().parents[2] / "app.py"
VIEWS = ("Map", "River", "Curves", "Clusters", "Movers", "Your image")
RESTED = "[data-testid=stApp][data-test-script-state=notRunning]"
DRAWN = "() => !document.querySelector('[data-testid=stSkeleton]')"
HOSTILE = '[x](https://evil.example/1) ![y](https://evil.example/2.png) <a href="https://evil.example/3">z</a> $a^2$'
WIDTHS = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  return [[document.scrollingElement.scrollWidth, window.innerWidth], [main.scrollWidth, main.clientWidth]];
}"""
# a place on the screen where nothing lies over a band
OPEN_PLACE = """band => {
  const box = band.getBoundingClientRect();
  for (let step = 1; step < 400; step += 1) {
    const place = [box.left + box.width * (step % 20) / 20, box.top + box.height * Math.floor(step / 20) / 20];
    if (band.getRootNode().elementFromPoint(...place) === band) return place;
  }
  throw new Error("something lies over all of the band");
}"""
# found and read in one go: between the two, a rerun may take a caption out of the page, and then it has no colours
LOOKS = """
() => [...document.querySelectorAll("[data-testid=stCaptionContainer] p")].map(caption => {
  let ground = null, opacity = 1;
  for (let one = caption; one; one = one.parentElement) {
    const style = getComputedStyle(one);
    opacity *= Number(style.opacity);
    if (!ground && style.backgroundColor !== "rgba(0, 0, 0, 0)") ground = style.backgroundColor;
  }
  return [getComputedStyle(caption).color, ground, opacity];
})
"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def start(serve, tmp_path_factory) -> Callable:
    """``start()``: a fresh server of the app that sees only the shipped runs and those in its own empty folder."""

    def make(runs: Path | None = None):
        folder = tmp_path_factory.mktemp("home")
        return serve(APP, VITVIZ_RUNS=str(runs or folder / "runs"), VITVIZ_CACHE=str(folder / "cache"))

    return make


@pytest.fixture(scope="module")
def copy_there(copy_run, tmp_path_factory) -> Iterator[Callable]:
    """``copy_there("name", ...)``: a run in the folder of the server."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITVIZ_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield copy_run


@pytest.fixture(scope="module")
def server(start, copy_there):
    """A server with one run more, whose every name is hostile."""
    copy_there(
        "hostile",
        title=HOSTILE,
        dataset_title=HOSTILE,
        device=HOSTILE,
        notes=[HOSTILE],
        class_names=[f"{index} {HOSTILE}" for index in range(10)],
    )
    return start(own_root())


@pytest.fixture(scope="module")
def context_of(chromium) -> Iterator[Callable]:
    """``context_of((390, 844), True)``: a profile with that screen, dark or not; one for all tests that share it."""
    kept = {}

    def get(size: tuple[int, int], dark: bool):
        if (size, dark) not in kept:
            kept[size, dark] = chromium.new_context(
                viewport={"width": size[0], "height": size[1]},
                color_scheme="dark" if dark else "light",
                reduced_motion="reduce",
            )
        return kept[size, dark]

    yield get
    for context in kept.values():
        context.close()


@pytest.fixture
def visit(context_of, server) -> Iterator[Callable]:
    """``visit("/runs", dark=True)``: a page at that address, drawn to its end.

    At the end of a test no page may have asked another host or complained on its console.
    """
    pages, asked, complaints = [], set(), []

    def open_page(path: str, *, size: tuple[int, int] = (1440, 900), dark: bool = False, at=None):
        page = context_of(size, dark).new_page()
        pages.append(page)
        page.on("request", lambda request: asked.add(urlparse(request.url).hostname))
        page.on("websocket", lambda socket: asked.add(urlparse(socket.url).hostname))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.extend(_complaint(message)))
        page.goto((at or server).address + path)
        page.wait_for_selector("[data-testid=stMain] h1")
        _wait_until_drawn(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert asked - {None, ""} == {"127.0.0.1"}
    assert complaints == []


def _complaint(message) -> list[str]:
    """An error on the console. Streamlit looks for its server beside every address before it looks at the root."""
    is_probe = "/_stcore/" in message.location.get("url", "") and "404" in message.text
    return [f"{message.text} {message.location}"] if message.type == "error" and not is_probe else []


def _wait_until_drawn(page) -> None:
    page.wait_for_selector(RESTED, timeout=60_000)
    page.wait_for_function(DRAWN)
    page.wait_for_selector(RESTED)


def _query(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def _map_of(page):
    page.wait_for_selector(".round-map[data-ready]")
    return page.locator(".round-map")


def _draw_lasso(page, root) -> None:
    """A loop round the upper left part of the map."""
    box = root.locator(".surface").bounding_box()
    corners = [(0.1, 0.1), (0.6, 0.08), (0.62, 0.55), (0.3, 0.6), (0.1, 0.5)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def _digit(label: int) -> dict:
    """A picture of a digit as the browser uploads it."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = digits.images[np.flatnonzero(digits.target == label)[3]] * 255 / 16
    file = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(file, "PNG")
    return {"name": f"{label}.png", "mimeType": "image/png", "buffer": file.getvalue()}


# A fresh server


def test_a_deep_link_as_the_first_request_shows_its_page_with_the_navigation(visit, start):
    page = visit("/deep_clustering?run=digits&view=Curves", at=start())
    assert page.locator("h1").inner_text() == "Deep clustering"
    assert page.title() == "Deep clustering · vitviz"
    names = page.locator("[data-testid=stSidebarNavLink]").all_inner_texts()
    explore = ["Super tokens", "Attention", "Deep clustering", "Subspace clustering", "Clustering CoaT", "Compare"]
    listed = ["Home", "Lessons", "Glossary", *explore, "Train", "Runs"]
    assert [name.split("\n")[-1] for name in names] == listed
    page.wait_for_selector("[data-testid=stPlotlyChart] .main-svg")
    assert page.locator("[data-testid=stPlotlyChart]").count() == 5
    assert page.get_by_role("radio", name="Curves").get_attribute("aria-checked") == "true"


def test_home_and_map_load_no_heavy_library_and_nobody_else_can_reach_the_server(visit, start):
    server = start()
    assert "Digits, step by step" in visit("/", at=server).locator("[data-testid=stMain]").inner_text()
    _map_of(visit("/deep_clustering", at=server))
    process = psutil.Process(server.pid)
    listening = [one.laddr.ip for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert listening == ["127.0.0.1"]
    assert process.children() == []
    maps = Path(f"/proc/{server.pid}/maps")
    if not maps.exists():
        pytest.skip("this system does not say which libraries a process has loaded")
    loaded = maps.read_text()
    assert "numpy" in loaded
    assert [name for name in ("libtorch", "llvmlite", "torchvision", "captum") if name in loaded] == []


# The map


def test_arrow_keys_scrub_the_rounds_and_the_server_hears_nothing(visit):
    page = visit("/deep_clustering")
    root, frames = _map_of(page), []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.webSocketFrameSent", lambda event: frames.append(event))
    root.locator(".surface").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    page.wait_for_selector(".round-map[data-round='2']")
    page.wait_for_function("location.search.includes('round=2')")
    assert root.locator("output").inner_text() == "Round 2 of 6"
    assert frames == []


def test_a_lasso_lists_its_images_and_the_address_gives_them_back(visit):
    page = visit("/deep_clustering?round=4")
    root = _map_of(page)
    _draw_lasso(page, root)
    heading = page.get_by_text(re.compile(r"^[\d,]+ images selected at round 4$"))
    heading.wait_for()
    page.wait_for_function("location.search.includes('selected=4_')")
    page.wait_for_selector(".image-grid[data-ready] .cell")
    text, address = heading.inner_text(), _query(page)
    count = int(root.get_attribute("data-selected"))
    assert text.startswith(f"{count:,} images") and 0 < count < 1797
    assert address["round"] == "4"
    page.reload()
    _map_of(page)
    heading.wait_for()
    assert heading.inner_text() == text
    assert root.get_attribute("data-selected") == str(count)
    assert root.locator("output").inner_text() == "Round 4 of 6"
    assert _query(page) == address


def test_a_selection_is_cleared_from_page_and_address(visit):
    page = visit("/deep_clustering?selected=6_000000999000999999000999&round=6")
    root = _map_of(page)
    page.get_by_text("1,797 images selected at round 6").first.wait_for()
    root.locator(".surface").focus()
    page.keyboard.press("Escape")
    page.wait_for_function("!location.search.includes('selected=')")
    page.get_by_text("images selected").wait_for(state="hidden")


def test_an_image_of_the_grid_is_followed_through_the_rounds(visit):
    page = visit("/deep_clustering?selected=6_000000999000999999000999&round=6")
    _map_of(page)
    cell = page.locator(".image-grid .cell").nth(4)
    cell.wait_for()
    note = cell.get_attribute("aria-label")
    cell.click()
    head = page.get_by_text(re.compile(r"^Image \d+, class"))
    strip = page.locator(".film-strip[data-ready=true]")
    strip.get_by_text(re.compile("^round 6:")).first.wait_for()
    assert re.search(r"image (\d+)", note).group(1) in head.inner_text()
    assert [int(one) for one in re.findall(r"round (\d)\s*:", strip.inner_text())] == list(range(7))
    assert strip.locator("canvas, .picture").count() == 14
    assert strip.locator(".near .thumb").count() == 42
    row = int(parse_qs(urlparse(page.url).query)["image"][0])
    page.get_by_role("button", name="Look where the network of each round looks").click()
    strip.locator(".picture[aria-label^='What the network looks at']").nth(6).wait_for(timeout=60_000)
    assert int(parse_qs(urlparse(page.url).query)["image"][0]) == row
    page.get_by_role("button", name="Close", exact=True).click()
    strip.wait_for(state="detached")
    page.wait_for_function("!location.search.includes('image=')")


def test_the_map_is_coloured_by_its_trust_and_asks_for_the_round_in_view_alone(visit):
    page = visit("/deep_clustering?round=2&image=100")
    root, asked = _map_of(page), []
    page.on("request", lambda request: asked.append(urlparse(request.url).path.rpartition("/")[2]))
    root.get_by_role("button", name="Trust").click()
    root.locator(".legend .entry", has_text="0.996 – 1.000").wait_for()
    counts = [int(one.replace(",", "")) for one in root.locator(".legend .count").all_inner_texts()]
    assert sum(counts) == 1797 and len([count for count in counts if count]) > 2
    assert [name for name in asked if name.startswith("trust")] == ["trust-2.bin"]
    sample = root.evaluate("root => root.map.data.links.sample")
    ring = root.evaluate("root => root.map.pointing.ring()")
    assert sample == 100 and ring == root.evaluate("(root, row) => root.map.placeOf(row)", sample)


def test_a_band_of_the_river_shows_its_images_by_pointer_and_by_keys(visit):
    page = visit("/deep_clustering?run=digits-half-trained&view=River&part=all")
    river = page.locator(".cluster-river[data-ready=true]")
    band = river.locator(".band.moves[data-at='1_9_3']")
    said = band.get_attribute("aria-label")
    count = int(re.match(r"(\d+) images go from 9 ", said).group(1))
    drawing = river.locator("svg").element_handle()
    band.focus()
    page.keyboard.press("Enter")
    page.get_by_text(re.compile(f"^{count} images go from cluster 9 .* at round 2$")).first.wait_for()
    page.wait_for_function("location.search.includes('flow=1_9_3')")
    page.locator(".image-grid .cell").nth(count - 1).wait_for()
    assert page.locator(".image-grid .cell").count() == count
    page.keyboard.press("ArrowLeft")
    held = river.locator("[data-at][tabindex='0']")
    assert re.fullmatch(r"1_\d", held.get_attribute("data-at")), "left of a band is a block of its round"
    page.keyboard.press("Escape")
    page.wait_for_function("!location.search.includes('flow=')")
    page.locator(".image-grid").wait_for(state="detached")
    assert drawing.evaluate("svg => svg.isConnected"), "the river was drawn anew under the pointer"
    page.mouse.click(*band.evaluate(OPEN_PLACE))
    page.wait_for_function("location.search.includes('flow=1_9_3')")
    page.get_by_text(re.compile(f"^{count} images go from cluster 9")).first.wait_for()
    river.locator(".block[data-at='6_0']").click()
    page.get_by_text(re.compile("images in cluster 0 .*at round 6$")).first.wait_for()
    assert river.locator("[aria-pressed=true]").get_attribute("data-at") == "6_0"
    link = page.url.split("/", 3)[3]
    again = visit(f"/{link}")
    again.get_by_text(re.compile("images in cluster 0 .*at round 6$")).first.wait_for()


def test_the_selection_can_be_taken_away_as_a_table(visit):
    page = visit("/deep_clustering?selected=6_000000999000999999000999&round=6")
    page.get_by_text("1,797 images selected at round 6").first.wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Selection as CSV").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert waiting.value.suggested_filename == "digits-round-6.csv"
    assert lines[0] == "dataset_index,class,cluster,held_out"
    assert len(lines) == 1 + 1797


# Other walks


def test_run_round_and_image_go_along_from_page_to_page(visit):
    page = visit("/deep_clustering?run=digits-supertoken&image=1658")
    page.get_by_role("link", name="Open in super tokens").click()
    page.get_by_text("Image 1658 of run digits-supertoken").first.wait_for(timeout=120_000)
    page = visit("/supertokens?model=Trained+run&run=digits-supertoken&round=2&sample=1658")
    page.get_by_role("link", name="Open in attention").click()
    page.get_by_text("Network: run digits-supertoken, round 2").first.wait_for(timeout=120_000)
    page.get_by_text("Image 1658 of run digits-supertoken").first.wait_for()
    query = _query(page)
    assert (query["run"], query["round"], query["sample"]) == ("digits-supertoken", "2", "1658")


def test_the_timm_model_goes_along_from_super_tokens_to_attention(visit):
    page = visit("/supertokens?model=Any+timm+ViT&timm=deit_tiny_patch16_224")
    page.get_by_role("link", name="Open in attention").click()
    page.wait_for_url("**/attention?*")
    page.get_by_text("Network: deit_tiny_patch16_224").first.wait_for(timeout=120_000)
    assert _query(page)["timm"] == "deit_tiny_patch16_224"


def test_a_run_of_a_paper_on_the_home_page_opens_it(visit):
    page = visit("/")
    page.get_by_role("link", name="Digits, started too early").click()
    page.wait_for_url("**/deep_clustering?run=digits-half-trained*")
    page.get_by_text("warnings").first.wait_for()
    assert "Digits, started too early" in page.locator("[data-testid=stSidebar]").inner_text()


def test_a_picture_that_is_given_is_named_by_its_cluster(visit):
    page = visit("/deep_clustering?view=Your+image")
    page.locator("input[type=file]").set_input_files(_digit(7))
    page.get_by_text(re.compile("after the last round")).first.wait_for(timeout=120_000)
    assert page.get_by_text(re.compile("after the last round")).inner_text().startswith("cluster 7")
    page.wait_for_selector("[data-testid=stPlotlyChart] .main-svg")
    page.wait_for_selector(".image-grid[data-ready] .cell")


def test_what_is_no_picture_is_refused_and_the_page_goes_on(visit):
    page = visit("/deep_clustering?view=Your+image")
    page.locator("input[type=file]").set_input_files({**_digit(7), "buffer": b"I am a text."})
    error = page.locator("[data-testid=stAlert]")
    error.wait_for()
    assert "7.png could not be read: it is not a JPEG" in error.inner_text()
    page.get_by_role("radio", name="Curves").click()
    page.wait_for_selector("[data-testid=stPlotlyChart] .main-svg")


def test_a_page_follows_a_run_that_is_being_written_until_it_is_finished(visit, copy_there, tell_status):
    run, whole = copy_there("live", num_rounds=2), find_run("digits")
    tell_status(run, "running")
    page = visit("/deep_clustering?run=live&view=Movers")
    page.get_by_text(re.compile("^running: ")).first.wait_for()
    _wait_for_last_round(page, 1)
    run.save_round(2, whole.round(2))
    run.append_metrics(whole.round_metrics()[2])
    _wait_for_last_round(page, 2)
    tell_status(run, "finished")
    page.get_by_text(re.compile("^running: ")).wait_for(state="detached")


def _wait_for_last_round(page, index: int) -> None:
    page.locator("[data-testid=stSliderThumbValue]", has_text=re.compile(f"^{index}$")).nth(-1).wait_for()


def test_two_tabs_keep_their_own_views(visit):
    first = visit("/deep_clustering?view=Curves")
    second = visit("/deep_clustering?run=digits-half-trained&round=5")
    _map_of(second)
    first.get_by_role("radio", name="ACC").click()
    first.wait_for_function("location.search.includes('score=ACC')")
    second.get_by_role("button", name="Right / wrong").click()
    second.wait_for_function("location.search.includes('color=right')")
    _wait_until_drawn(first)
    assert _query(first) == {"view": "Curves", "score": "ACC"}
    assert _query(second) == {"run": "digits-half-trained", "round": "5", "color": "right"}
    assert second.locator(".round-map output").inner_text() == "Round 5 of 6"


def test_a_link_reproduces_a_view_with_all_its_controls(visit):
    query = {"run": "digits-half-trained", "view": "Movers", "round_a": "2", "round_b": "4", "part": "all"}
    page = visit("/deep_clustering?" + urlencode(query, quote_via=quote))
    assert _query(page) == query
    assert page.get_by_role("radio", name="all", exact=True).get_attribute("aria-checked") == "true"
    assert page.locator("[data-testid=stSliderThumbValue]").all_inner_texts() == ["2", "4"]


@pytest.mark.parametrize(("size", "dark"), [((390, 844), True), ((1440, 900), False)], ids=["telephone", "desktop"])
def test_every_page_and_view_fits_its_screen_and_can_be_read_by_all(visit, size, dark):
    for path in ("/", "/runs", "/subspace", "/deep_clustering"):
        page = visit(path, size=size, dark=dark)
        _fits_and_is_readable(page)
    for view in VIEWS[1:]:
        page.get_by_role("radio", name=view).click()
        page.wait_for_function(f"location.search.includes('view={view.split()[0]}')")
        _wait_until_drawn(page)
        _fits_and_is_readable(page)


def _fits_and_is_readable(page) -> None:
    for content, screen in page.evaluate(WIDTHS):
        assert content <= screen + 1, page.url
    assert page.locator("img:not([alt])").count() == 0, page.url
    levels = [int(name[1]) for name in page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(h => h.tagName)")]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels)), page.url
    captions = page.evaluate(LOOKS)
    assert captions and min(_contrast(*look) for look in captions) >= 4.5, page.url


def _contrast(ink: str, ground: str, opacity: float) -> float:
    """The contrast ratio of two colours like ``rgb(1, 2, 3)``, the first of them not quite opaque. Source: WCAG 2.2."""
    above, below = ([int(one) for one in re.findall(r"\d+", color)] for color in (ink, ground))
    mixed = [opacity * one + (1 - opacity) * other for one, other in zip(above, below, strict=True)]
    light, dark = sorted((_luminance(mixed), _luminance(below)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(rgb: list[float]) -> float:
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in (part / 255 for part in rgb)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_hostile_names_become_no_link_no_picture_and_no_formula_in_any_view(visit):
    page = visit("/deep_clustering?run=hostile&selected=6_000000999000999999000999")
    _map_of(page)
    page.locator(".image-grid .cell").first.click()
    page.get_by_text(re.compile("^round 6:")).first.wait_for()
    _is_harmless(page)
    for view in ("Curves", "Clusters", "Movers"):
        page.get_by_role("radio", name=view).click()
        page.wait_for_function(f"location.search.includes('view={view}')")
        page.wait_for_selector("[data-testid=stPlotlyChart] .main-svg")
        _wait_until_drawn(page)
        _is_harmless(page)
    page.get_by_role("radio", name="Your image").click()
    page.locator("input[type=file]").set_input_files(_digit(3))
    page.get_by_text(re.compile("after the last round")).first.wait_for(timeout=120_000)
    page.wait_for_selector("[data-testid=stPlotlyChart] .main-svg")
    _is_harmless(page)


def _is_harmless(page) -> None:
    assert "evil.example" in page.locator("[data-testid=stSidebar]").inner_text()
    assert page.locator("img[src*=evil], image[href*=evil], .katex").count() == 0
    assert [link for link in page.locator("a").evaluate_all("all => all.map(a => a.outerHTML)") if "evil" in link] == []
