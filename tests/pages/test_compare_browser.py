"""The page that compares in a real Chromium: a deep link first, other tables, a telephone, and no other host."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vitviz.runs.folder import create_run
from vitviz.runs.records import Description, Samples

APP = Path(__file__).resolve().parents[2] / "app.py"
WIDTHS = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  return [[document.scrollingElement.scrollWidth, window.innerWidth], [main.scrollWidth, main.clientWidth]];
}"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(serve, tmp_path_factory):
    """A server over two seeds of t = 1 and t = 2, and of two channels without and with a gate."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITVIZ_RUNS", str(folder / "runs"))
        for iterations, scores in {1: (0.4, 0.42), 2: (0.6, 0.63)}.items():
            for seed, score in enumerate(scores):
                _write_run(iterations, seed, score)
        for attention, scores in {False: (0.91, 0.93), True: (0.87, 0.88)}.items():
            for seed, score in enumerate(scores):
                _write_clustering(attention, seed, score)
    return serve(APP, VITVIZ_RUNS=str(folder / "runs"), VITVIZ_CACHE=str(folder / "cache"))


def _write_run(iterations: int, seed: int, score: float) -> None:
    classes = np.array([0, 1, 2, 3] * 5, np.int32)
    about = Description(
        method="supertokens",
        preset="table8",
        variant=f"t{iterations}",
        settings={"seed": seed, "epochs": 3, "num_iterations": iterations},
        dataset="clothing",
        dataset_title="Clothing",
        dataset_fingerprint="feed" * 4,
        img_size=112,
        num_images=20,
        class_names=("a", "b", "c", "d"),
        num_clusters=4,
        seed=seed,
    )
    samples = Samples(np.arange(20, dtype=np.int32), classes, np.arange(20) >= 12)
    run = create_run(f"table8-t{iterations}-s{seed}", about, samples)
    for epoch, share in enumerate((0.5, 0.8, 1.0)):
        record = {"kind": "epoch", "index": epoch, "loss": 2.0 - share, "held_out_loss": 1.5 - share, "seconds": 7.0}
        run.append_metrics({**record, "held_out_top1": share * score})


def _write_clustering(attention: bool, seed: int, acc: float) -> None:
    classes = np.repeat(np.arange(4), 18).astype(np.int32)
    variant = "2ch-attention" if attention else "2ch"
    about = Description(
        method="subspace",
        preset="table2",
        variant=variant,
        settings={"seed": seed, "epochs": 1, "num_steps": 10, "channels": 2, "attention": attention},
        dataset="coil20",
        dataset_title="COIL-20",
        dataset_fingerprint="c011" * 4,
        img_size=32,
        num_images=72,
        class_names=("a", "b", "c", "d"),
        num_clusters=4,
        seed=seed,
    )
    samples = Samples(np.arange(72, dtype=np.int32), classes, np.arange(72) % 2 == 0)
    run = create_run(f"table2-{variant}-s{seed}", about, samples)
    for step in range(1, 11):
        scored = {"acc": acc - 0.01 * (10 - step), "nmi": 0.96} if step % 5 == 0 else {}
        run.append_metrics({"kind": "step", "index": step, "step": step, "loss": 20.0 - step, "seconds": 1.5, **scored})
    chosen = {"step": 10, "acc": acc, "nmi": 0.96}
    selection = {"rule": "fixed", "round": 0, **chosen, "marks": {"fixed": chosen, "oracle": chosen}}
    run.append_metrics({"kind": "round", "index": 0, **chosen, "selection": selection})


@pytest.fixture
def visit(open_at, server) -> Callable:
    """``visit("/compare?table=table8")``: that page; see ``open_at``."""
    return lambda path, **look: open_at(server.address + path, **look)


def test_a_deep_link_opens_its_table_and_another_can_be_chosen(visit, settle):
    page = visit("/compare?table=table8")
    heading = page.locator("[data-testid=stMain] h2")
    assert heading.first.inner_text() == "Table 8: how many iterations"
    order = page.get_by_text("In our runs the order is").inner_text()
    assert order.startswith(
        "In our runs the order is t = 2 (61.50 %) > t = 1 (41.00 %); the paper's is t = 3 (83.52 %)"
    )
    assert page.get_by_text("20.50 points, more than the 3.00 points that seeds differ by").is_visible()
    assert page.get_by_role("link", name="table8-t2-s1").get_attribute("href").endswith("?run=table8-t2-s1")
    page.locator(".js-plotly-plot .legend").first.wait_for()
    assert page.get_by_role("button", name=re.compile("Measure for about")).is_enabled()
    page.get_by_test_id("stMain").get_by_text("Table 6", exact=True).click()
    page.get_by_text("Table 6: three embeddings").first.wait_for()
    settle(page)
    assert "table=" not in page.url, "the first table is the one without an address of its own"
    missing = "python -m vitviz train supertokens --preset table6 --rows conv-1x1,earlyconv"
    assert page.get_by_text(missing, exact=True).is_visible(), "the other rows are shipped"


def test_table_2_judges_attention_over_steps_and_speaks_of_nothing_that_is_held_out(visit, settle):
    page = visit("/compare?table=table2")
    assert page.locator("[data-testid=stMain] h2").first.inner_text() == "Table 2: fewer channels, and attention"
    page.get_by_text("That channel attention helps is open here").first.wait_for()
    page.get_by_test_id("stSelectbox").filter(has_text="Our runs on").locator("div[role=button], input").first.click()
    page.get_by_role("option").filter(has_text="72 images").click()
    page.get_by_text("That channel attention helps is not borne out here").first.wait_for()
    settle(page)
    assert page.get_by_text("-4.50 points, more than the 2.00 points that seeds differ by").is_visible()
    page.locator(".js-plotly-plot .xtitle", has_text="step").first.wait_for()
    page.locator(".js-plotly-plot .ytitle", has_text="ACC over all images, percent").first.wait_for()
    main = page.get_by_test_id("stMain")
    assert "held-out" not in main.inner_text() and "multiply-adds" not in main.inner_text()
    assert page.get_by_role("button", name=re.compile("Measure for about")).count() == 0
    main.get_by_text("loss, all images", exact=True).click()
    page.locator(".js-plotly-plot .ytitle", has_text="loss, all images").first.wait_for()
    assert "beside=" in page.url


def test_the_pages_menu_leads_there_and_curves_change_their_axis(visit, settle):
    page = visit("/")
    page.get_by_test_id("stSidebar").get_by_text("Compare", exact=True).click()
    page.get_by_text("Table 6: three embeddings").first.wait_for()
    page.get_by_test_id("stMain").get_by_text("Table 8", exact=True).click()
    page.get_by_text("Learning curves").first.wait_for()
    settle(page)
    page.get_by_test_id("stMain").get_by_text("seconds", exact=True).click()
    page.locator(".js-plotly-plot .xtitle", has_text="seconds of training").first.wait_for()
    assert "over=seconds" in page.url


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("table", ["table6", "table7", "table8", "table2", "own"])
def test_a_telephone_shows_every_table_without_scrolling_sideways(visit, table, dark):
    page = visit(f"/compare?table={table}", size=(390, 844), dark=dark)
    for content, room in page.evaluate(WIDTHS):
        assert content <= room
