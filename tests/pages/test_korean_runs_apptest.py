"""The pages of runs and of comparisons in Korean: every table, every curve, runs in every state, and what is measured."""

import json
import re
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st

from vitviz.explain.comparison import ComparedRow, TrainedRun
from vitviz.explain.embedding_costs import Throughput
from vitviz.explain.paper_claims import COMPARISONS
from vitviz.explain.scoring import SCORINGS
from vitviz.languages.phrases import phrase_book
from vitviz.runs.folder import Run, create_run
from vitviz.runs.records import Description, Samples
from vitviz.ui import compare_words as words
from vitviz.ui.language import say
from vitviz.ui.navigation import title_of_method

PAPERS = ("clustering convolutional embedding", "Deep subspace clustering with attention mechanism")
VARIANTS = ("conv", "supertoken", "patch", "big")
"""As the command line and the folders of runs call them."""
NAMES = (*PAPERS, *VARIANTS)
CLASSES = np.array([0, 1, 2, 3] * 5, np.int32)
CURVES = {
    key: [curve.title for curve in one.scoring.curves[1:]]
    for key, one in COMPARISONS.items()
    if key not in ("table7", "table8")  # no run of theirs is shipped
}

pytestmark = pytest.mark.usefixtures("own_folders", "sizes_are_counted_once", "fresh_caches")


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def classify() -> Callable[..., Run]:
    """``classify("patch", preset="table6", scores=[0.2, 0.5])``: a classifier's run with that held-out top-1 epoch by epoch."""

    def make(variant: str, *, preset: str = "table6", scores=(0.3, 0.5), **settings) -> Run:
        about = Description(
            method="supertokens",
            preset=preset,
            variant=variant,
            settings={"seed": 0, "epochs": 2, "embedding": variant, **settings},
            dataset="cifar10",
            dataset_title="CIFAR-10",
            dataset_fingerprint="feed" * 4,
            img_size=32,
            num_images=20,
            class_names=("a", "b", "c", "d"),
            num_clusters=4,
            seed=0,
        )
        samples = Samples(np.arange(20, dtype=np.int32), CLASSES, np.arange(20) >= 12)
        run = create_run(f"{preset}-{variant}-{len(settings)}", about, samples)
        for epoch, score in enumerate(scores):
            record = {"kind": "epoch", "index": epoch, "loss": 2.0, "held_out_loss": 1.5, "seconds": 10.0}
            run.append_metrics({**record, "held_out_top1": score})
        return run

    return make


# Runs


@pytest.mark.parametrize("state", ["queued", "running", "finished", "failed", "cancelled", "interrupted"])
def test_a_run_in_every_state_stands_in_the_table_in_korean(korean, copy_run, tell_status, state):
    run = copy_run("mine", num_rounds=2)
    told = "running" if state == "interrupted" else state
    tell_status(run, told, is_alive=state != "interrupted", error="no space left")
    assert run.status().state == state
    app = korean.open_korean("runs")
    assert korean.untranslated(app) == []
    table = app.dataframe[0].value.set_index("실행")
    words_of = ["상태", "방법", "데이터셋", "채점한 이미지"]
    cells = {str(cell) for name in words_of for cell in table[name]} - {"CIFAR-10", "IDEC", "–"}
    assert [cell for cell in cells if korean._is_english(cell, set())] == []
    assert table.loc["mine", "상태"] == phrase_book("ko").say(state) != state
    assert table.loc["digits", "상태"] == "함께 배포됨"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema": 99}'])
def test_a_damaged_run_says_in_korean_what_is_wrong(korean, copy_run, content):
    (copy_run("mine").path / "run.json").write_text(content)
    app = korean.open_korean("runs")
    assert korean.untranslated(app) == []
    state = app.dataframe[0].value.set_index("실행").loc["mine", "상태"]
    assert state.startswith("읽을 수 없음") and len(state) > len("읽을 수 없음: ")


def test_the_page_of_runs_without_a_run_is_korean(korean, nothing_shipped):
    app = korean.open_korean("runs")
    assert app.info and not app.dataframe
    assert korean.untranslated(app) == []


@pytest.mark.parametrize("method", [*SCORINGS, "deep_clustering", "spectral", "idec", "a fifth"])
def test_a_method_is_called_by_its_title_and_an_unknown_one_by_its_noun(method):
    known = method not in ("idec", "a fifth")
    assert phrase_book("ko").knows(title_of_method(method)) == known
    assert title_of_method("a fifth") == "a fifth"


# Compare


@pytest.mark.parametrize(("table", "beside"), [(table, one) for table in CURVES for one in CURVES[table]])
def test_a_table_with_its_runs_and_curves_is_korean(korean, table, beside):
    app = korean.open_korean("compare", table=table, beside=beside, over="seconds")
    assert len(app.get("plotly_chart")) >= 3
    assert korean.untranslated(app, names=NAMES) == []


@pytest.mark.parametrize("table", [*COMPARISONS, "own"])
def test_a_table_without_a_run_is_korean(korean, nothing_shipped, table):
    app = korean.open_korean("compare", table=table)
    assert app.info and app.code
    assert korean.untranslated(app, names=NAMES) == []


def test_any_runs_are_compared_in_korean_and_a_link_means_what_it_means_in_english(korean):
    setup = "COIL-20 objects, 32 px, 1,440 images: ACC of all images"
    app = korean.open_korean("compare", table="own", setup=setup)
    chosen = app.selectbox(key="setup")
    assert chosen.value == setup
    assert [one for one in chosen.options if "images" in one] == []
    assert korean.untranslated(app, names=NAMES) == []
    app.segmented_control(key="table").set_value("table2").run()
    assert not app.exception
    assert app.query_params["table"] == "table2"


def test_the_rows_of_a_figure_are_the_categories_of_its_axis(korean):
    app = korean.open_korean("compare", table="table6")
    for chart in app.get("plotly_chart")[:2]:
        figure = json.loads(chart.proto.spec)
        named = {name for trace in figure["data"] for name in trace["y"]}
        assert named and named <= set(figure["layout"]["yaxis"]["categoryarray"])


def test_a_run_that_is_still_training_and_one_of_no_row_are_spoken_of_in_korean(korean, nothing_shipped, classify):
    classify("patch", scores=[0.3])
    classify("big")
    app = korean.open_korean("compare", table="table6")
    text = "\n".join(one.value for one in app.markdown)
    assert "에폭 1 / 2" in text and "논문에 없는 행" in text
    assert korean.untranslated(app, names=NAMES) == []


def test_setups_that_differ_and_presets_that_are_no_table_are_spoken_of_in_korean(korean, nothing_shipped, classify):
    classify("big", preset="widths")
    classify("big", preset="widths", epochs=4, lr=0.1)
    app = korean.open_korean("compare", table="widths")
    assert korean.untranslated(app, names=(*NAMES, "widths", "epochs", "lr")) == []
    classify("patch")
    classify("patch", lr=0.1)
    app = korean.open_korean("compare", table="table6")
    assert len(app.selectbox(key="setup").options) == 2
    assert korean.untranslated(app, names=(*NAMES, "epochs", "lr")) == []


@pytest.mark.parametrize(
    ("rates", "spread", "num_rounds"),
    [
        ((10, 9, 8, 7), 0.1, 9),
        ((7, 8, 9, 10), 0.1, 9),
        ((10, 10, 10, 10), 0.1, 9),
        ((9, 9, 9, 8), 4, 9),
        ((9, 8, 8, 8), 0, 2),
    ],
    ids=["loses", "gains", "noise", "busy", "few"],
)
def test_a_measurement_is_spoken_of_in_korean(korean, monkeypatch, rates, spread, num_rounds):
    def measure(*, iterations, **_):
        return tuple(Throughput(one, rate, spread, num_rounds) for one, rate in zip(iterations, rates, strict=True))

    monkeypatch.setattr("vitviz.explain.embedding_costs.measure_throughput", measure)
    app = korean.open_korean("compare", table="table8")
    app.button[0].click().run()
    assert not app.exception and "→" in "\n".join(one.value for one in app.caption)
    assert korean.untranslated(app, names=NAMES) == []


# What a verdict can say, over rows made by hand


@pytest.fixture
def spoken_korean(monkeypatch) -> None:
    """Korean is chosen, without a page."""
    monkeypatch.setattr("vitviz.ui.language.language", lambda: "ko")


def _has_english(text: str) -> bool:
    return re.search("[a-z]{3,}", text) is not None


def _rows(table: str, scores: dict[str, tuple[float, ...]]) -> list[ComparedRow]:
    """The rows of a table with those scores, one a seed."""

    def run(seed: int, score: float) -> TrainedRun:
        about = {"num_planned": 2, "num_done": 2, "extras": {}, "curves": {}}
        return TrainedRun(name=f"run-s{seed}", method="", seed=seed, score=score, **about)

    return [
        ComparedRow(claim, tuple(run(*pair) for pair in enumerate(scores.get(claim.variant, ()))))
        for claim in COMPARISONS[table].rows
    ]


@pytest.mark.parametrize(
    ("table", "scores"),
    [
        ("table6", {"patch": (50,), "conv": (55,), "supertoken": (60,)}),
        ("table6", {"patch": (5, 9), "conv": (55, 56), "conv-1x1": (57, 57.5)}),
        ("table6", {"patch": (50,)}),
        ("table7", {"module1": (50, 51), "modules12": (50, 52)}),
        ("table2", {"15ch": (93,), "1ch": (90,)}),
        ("table2", {"1ch": (90,), "1ch-attention": (91,)}),
        ("table2", {"1ch": (90, 90.5), "1ch-attention": (92, 93)}),
        ("table2", {"1ch": (90, 90.5), "1ch-attention": (92, 93), "2ch": (92, 93), "2ch-attention": (90, 91)}),
        ("table2", {"1ch": (92, 93), "1ch-attention": (90, 90.5)}),
        ("table2", {"1ch": (90, 93), "1ch-attention": (90, 94), "2ch": (4, 5)}),
        ("coat-cifar10", {"unclustered-10": (40,), "softmax-10": (41,)}),
        ("coat-cifar10", {"unclustered-10": (40, 41), "softmax-10": (45, 46), "factorised-10": (40, 41.5)}),
    ],
    ids=str,
)
def test_whatever_a_verdict_says_is_korean(spoken_korean, table, scores):
    comparison = COMPARISONS[table]
    setup = SimpleNamespace(scoring=comparison.scoring, chance=10.0, largest_class=9.0)
    said = say(words.verdict(comparison, _rows(table, scores), setup))
    assert said.startswith(("우리 실행의 순서", "끝난 실행이 있는 행"))
    assert [line for line in said.splitlines() if line and _has_english(line)] == []


@pytest.mark.parametrize("scores", [(), (61.2,), (60.8, 61.5)])
def test_scores_over_seeds_are_korean(spoken_korean, scores):
    assert not _has_english(say(words.score_words(scores)))


@pytest.mark.parametrize("kind", ["epoch", "step"])
def test_how_far_a_run_is_is_korean(kind):
    assert phrase_book("ko").knows(f"{kind} 3 of 7")


@pytest.mark.parametrize("scoring", {id(one): one for one in SCORINGS.values()}.values(), ids=lambda one: one.name)
def test_every_word_of_a_scoring_is_a_phrase(scoring):
    book = phrase_book("ko")
    titles = (curve.title for curve in scoring.curves)
    axes = (f"seconds of {scoring.phase}", f"{scoring.name} in percent, ours on {scoring.images}")
    texts = (*titles, *axes, scoring.when, scoring.counted, scoring.chance, scoring.largest)
    assert [text for text in texts if not book.knows(text)] == []
