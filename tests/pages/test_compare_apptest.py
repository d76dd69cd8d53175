"""The page that compares, over runs written by hand: with all rows, with some, with none, with bad links and hostile names."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from vitviz.explain.embedding_costs import Throughput
from vitviz.explain.paper_claims import COMPARISONS
from vitviz.runs.folder import Run, create_run, shipped_root
from vitviz.runs.records import Description, Samples
from vitviz.ui import compare_costs

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
HOSTILE = '[x](https://evil.example/1) <a href="https://evil.example/2">z</a> $a^2$'
WITHOUT_CLAIMS = ("table7", "coat-cifar10")
CLASSES = np.array([0, 1, 2, 3] * 5, np.int32)

pytestmark = pytest.mark.usefixtures("own_folders", "nothing_shipped", "fresh_caches", "sizes_are_counted_once")


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def classify() -> Callable[..., Run]:
    """``classify("patch", seed=1, scores=[0.2, 0.5])``: a classifier's run with that held-out top-1 epoch by epoch."""

    def make(
        variant: str,
        *,
        preset: str = "table6",
        seed: int = 0,
        scores: Sequence[float] = (0.3, 0.5),
        epochs: int = 2,
        name: str = "",
        **about,
    ) -> Run:
        varied = {"t1": {"num_iterations": 1}, "t2": {"num_iterations": 2}}.get(variant, {"embedding": variant})
        known = {"dataset_title": "CIFAR-10", "dataset_fingerprint": "feed" * 4, "img_size": 32, "num_images": 20}
        description = Description(
            method="supertokens",
            preset=preset,
            variant=variant,
            settings={"seed": seed, "epochs": epochs, **varied},
            dataset="cifar10",
            class_names=("a", "b", "c", "d"),
            num_clusters=4,
            seed=seed,
            **{**known, **about},
        )
        samples = Samples(np.arange(20, dtype=np.int32), CLASSES, np.arange(20) >= 12)
        run = create_run(name or f"{preset}-{variant}-s{seed}", description, samples)
        for epoch, score in enumerate(scores):
            record = {"kind": "epoch", "index": epoch, "loss": 2.0, "held_out_loss": 1.5, "seconds": 10.0}
            run.append_metrics({**record, "held_out_top1": score})
        return run

    return make


def _open(**query: str) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=60).run()
    app.switch_page("../../pages/compare.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception, f"{query}: {app.exception}"
    return app


def _texts(elements) -> str:
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def _scores(app: AppTest) -> dict[str, list[str]]:
    """The table of scores, row by row."""
    return {row[0].replace("\\", ""): row[1:] for row in app.table[0].value.to_numpy().tolist()}


@pytest.fixture
def express() -> Callable[..., Run]:
    """``express("1ch", seed=1, acc=0.9)``: a run of subspace clustering of two steps, whose last one its rule chose.

    The step before scores .05 more, which only labels tell.
    """

    def make(variant: str, *, seed: int = 0, acc: float = 0.9, name: str = "", preset: str = "table2", **about) -> Run:
        varied = {"channels": int(variant.split("ch")[0]), "attention": variant.endswith("attention")}
        known = {"dataset_title": "COIL-20", "dataset_fingerprint": "c011" * 4, "img_size": 32, "num_images": 20}
        description = Description(
            method="subspace",
            preset=preset,
            variant=variant,
            settings={"seed": seed, "epochs": 1, "num_steps": 2, **varied},
            dataset="coil20",
            class_names=("a", "b", "c", "d"),
            num_clusters=4,
            seed=seed,
            **{**known, **about},
        )
        samples = Samples(np.arange(20, dtype=np.int32), CLASSES, np.arange(20) >= 12)
        run = create_run(name or f"{preset}-{variant}-s{seed}", description, samples)
        for step, found in ((1, acc + 0.05), (2, acc)):
            record = {"kind": "step", "index": step, "step": step, "loss": 3.0 - step, "seconds": 2.0}
            run.append_metrics({**record, "acc": found, "nmi": 0.97})
        chosen = {"step": 2, "acc": acc, "nmi": 0.97}
        marks = {"fixed": chosen, "oracle": {"step": 1, "acc": acc + 0.05, "nmi": 0.97}}
        selection = {"rule": "fixed", "round": 0, **chosen, "marks": marks}
        run.append_metrics({"kind": "round", "index": 0, "selection": selection, "acc": acc, "nmi": 0.97})
        return run

    return make


@pytest.mark.parametrize("table", COMPARISONS)
def test_without_a_run_a_table_shows_the_claims_and_the_line_that_makes_runs(table):
    app = _open(table=table)
    assert app.segmented_control(key="table").value == table
    comparison = COMPARISONS[table]
    assert [code.value for code in app.code] == [f"python -m vitviz train {comparison.method} --preset {table}"]
    assert "No two rows have a finished run of ours yet" in _texts(app.markdown)
    claims = [
        "not known" if table in WITHOUT_CLAIMS else f"{row.score:.2f} %" if row.score else "no claim"
        for row in comparison.rows
    ]
    assert [row[0] for row in _scores(app).values()] == claims
    assert {row[1] for row in _scores(app).values()} == {"no run yet"}
    assert len(app.get("plotly_chart")) == (table not in WITHOUT_CLAIMS)


def test_sizes_are_those_of_the_built_models_beside_the_claims():
    sizes = {row[0]: row[1:4] for row in _open(table="table6").table[1].value.to_numpy().tolist()}
    assert sizes["patches"] == ["0.30 M", "297,600", "18,162,916"]
    assert sizes["super tokens"] == ["0.09 M", "132,192", "17,997,508"]


def test_ours_stand_beside_the_claims_with_spread_seeds_controls_and_links(classify):
    for seed, score in enumerate((0.5, 0.6)):
        classify("patch", seed=seed, scores=[0.3, score])
        classify("supertoken", seed=seed, scores=[0.3, score + 0.3])
    app = _open(table="table6")
    assert _scores(app)["patches"] == ["78.44 %", "55.00 % (50.00 to 60.00)", "2", "2"]
    assert _scores(app)["convolutions"][1:] == ["no run yet", "0", "–"]
    text = _texts(app.markdown)
    assert "super tokens (85.00 %) > patches (55.00 %)" in text and "**The same order among the 2 rows" in text
    assert "30.00 points, more than the 10.00 points that seeds differ by" in text
    assert "[table6-patch-s1](" in text and "?run=table6-patch-s1)" in text
    assert "Guessing scores 25.0 %" in _texts(app.caption)
    assert app.code[0].value == "python -m vitviz train supertokens --preset table6 --rows conv,conv-1x1,earlyconv"
    assert any("`python -m vitviz runs NAME` prints the scores" in caption.value for caption in app.caption)
    assert len(app.get("plotly_chart")) == 4


def test_a_run_that_is_still_training_says_how_far_it_is(classify):
    classify("patch", scores=[0.3])
    app = _open(table="table6")
    assert "(epoch 1 of 2)" in _texts(app.markdown)
    assert _scores(app)["patches"][1] == "no run yet"


def test_runs_on_other_images_are_chosen_and_not_mixed(classify):
    classify("patch")
    classify("conv")
    classify("patch", name="other", dataset_title="Clothing", dataset_fingerprint="beef" * 4, scores=[0.1, 0.9])
    app = _open(table="table6")
    chosen = app.selectbox(key="setup")
    assert chosen.options == ["CIFAR-10, 32 px, 20 images, 2 epochs", "Clothing, 32 px, 20 images, 2 epochs"]
    assert _scores(app)["patches"][1] == "50.00 %"
    chosen.set_value(chosen.options[1]).run()
    assert not app.exception
    assert _scores(app)["patches"][1] == "90.00 %"
    assert _scores(_open(table="table6", setup=chosen.options[1]))["patches"][1] == "90.00 %"


def test_any_runs_are_chosen_one_by_one(classify):
    classify("patch")
    classify("conv", scores=[0.1, 0.9])
    app = _open(table="own")
    assert {name: row[0] for name, row in _scores(app).items()} == {"patch": "50.00 %", "conv": "90.00 %"}
    app.multiselect(key="runs").set_value(["table6-conv-s0"]).run()
    assert list(_scores(app)) == ["conv"]
    assert list(_scores(_open(table="own", runs="table6-patch-s0"))) == ["patch"]
    app.multiselect(key="runs").set_value([]).run()
    assert not app.exception and not app.table


def test_any_runs_of_none_say_how_to_make_one():
    app = _open(table="own")
    assert "There is no run to compare yet" in _texts(app.info)
    assert app.code[0].value.startswith("python -m vitviz train supertokens --preset ")


def test_a_preset_that_is_no_table_is_offered_too(classify):
    classify("big", preset="widths")
    app = _open(table="widths")
    assert app.segmented_control(key="table").value == "widths"
    assert list(_scores(app)) == ["big"]


# Subspace clustering


def test_table_2_is_scored_by_the_chosen_step_and_judges_attention_pair_by_pair(express):
    for seed in (0, 1):
        express("15ch", seed=seed, acc=0.92)
        express("2ch", seed=seed, acc=0.90 + 0.01 * seed)
        express("2ch-attention", seed=seed, acc=0.88 + 0.01 * seed)
    app = _open(table="table2")
    assert not app.error
    ours = "88.50 % (88.00 to 89.00)"
    assert _scores(app)["2 channels, attention"] == ["94.10 %", ours, "97.00 %", "93.50 %", "2", "2"]
    assert _scores(app)["3 channels"] == ["92.01 %", "no run yet", "–", "–", "0", "–"]
    assert list(app.table[0].value.columns)[4:] == ["ACC, oracle: mean", "seeds", "at step"]
    text, captions = _texts(app.markdown), _texts(app.caption)
    assert "15 channels (92.00 %) > 2 channels (90.50 %) > 2 channels, attention (88.50 %)" in text
    assert "**That channel attention helps is not borne out here**" in text
    assert "-2.00 points, more than the 1.00 points that seeds differ by; the paper claims +6.88" in text
    assert "89.2 and 91.0 %" in text and "(subspace?run=table2-2ch-s0)" in text
    assert "20 images, all of them clustered and none held out, 4 classes" in captions
    assert "held-out" not in captions and "Mixup" not in captions
    assert (
        app.code[0].value
        == "python -m vitviz train subspace --preset table2 --rows 1ch,3ch,1ch-attention,3ch-attention"
    )


def test_table_2_draws_scores_over_steps_and_never_over_epochs(express):
    express("1ch")
    specs = [chart.proto.spec for chart in _open(table="table2").get("plotly_chart")]
    assert len(specs) == 4
    assert "ACC in percent, ours on all images" in specs[1]
    assert "ACC over all images, percent" in specs[2] and '"step"' in specs[2] and "epoch" not in specs[2]
    assert "NMI over all images, percent" in specs[3] and '"chance"' not in specs[2]
    specs = [
        chart.proto.spec
        for chart in _open(table="table2", over="seconds", beside="loss, all images").get("plotly_chart")
    ]
    assert "seconds of fine-tuning" in specs[2] and "loss, all images" in specs[3]


def test_table_2_counts_encoders_and_gates_and_offers_no_speed(express):
    app = _open(table="table2")
    assert not app.button
    columns = list(app.table[1].value.columns)
    assert columns == [
        "row",
        "encoder",
        "gate",
        "decoder",
        "Z",
    ]
    sizes = {row[0]: row[1:] for row in app.table[1].value.to_numpy().tolist()}
    assert sizes["15 channels"] == ["150", "none", "136", "3,840"]
    assert sizes["2 channels, attention"] == ["20", "7", "19", "512"]


def test_any_runs_of_subspace_clustering_are_compared_too(express, classify):
    classify("patch")
    express("2ch", preset="", name="mine")
    app = _open(table="own", setup="COIL-20, 32 px, 20 images: ACC of all images")
    assert _scores(app)["2ch"][0] == "90.00 %"
    assert "none held out" in _texts(app.caption)


def test_a_link_to_a_run_opens_the_setup_it_belongs_to(express, classify):
    for variant in ("patch", "conv"):
        classify(variant)
    express("1ch")
    app = _open(table="own", runs="table2-1ch-s0")
    assert app.selectbox(key="setup").value == "COIL-20, 32 px, 20 images: ACC of all images"
    assert list(_scores(app)) == ["1ch"]
    app.selectbox(key="setup").set_value("CIFAR-10, 32 px, 20 images: top-1 of held-out images").run()
    assert not app.exception
    assert app.selectbox(key="setup").value == "CIFAR-10, 32 px, 20 images: top-1 of held-out images"
    assert set(_scores(app)) == {"patch", "conv"}


def test_one_of_two_tables_after_the_other_keeps_what_is_drawn_apart(express, classify):
    classify("patch")
    express("1ch")
    app = _open(table="table6", over="epoch", beside="loss, held-out images")
    app.segmented_control(key="table").set_value("table2").run()
    assert not app.exception
    specs = [chart.proto.spec for chart in app.get("plotly_chart")]
    assert "ACC over all images, percent" in specs[2] and "NMI over all images, percent" in specs[3]


def test_curves_go_over_epochs_or_seconds_of_training_or_of_held_out_images(classify):
    classify("patch")
    app = _open(table="table6", over="seconds", beside="loss, held-out images")
    specs = [chart.proto.spec for chart in app.get("plotly_chart")][-2:]
    assert all("seconds of training" in spec for spec in specs) and "loss, held-out images" in specs[1]
    app.segmented_control(key="over").set_value("epoch").run()
    assert not app.exception
    assert "seconds of training" not in app.get("plotly_chart")[-1].proto.spec


# Speed


@pytest.fixture
def stand_in(monkeypatch) -> list[tuple]:
    """Instead of the measurement: known rates; returns what it was asked."""
    asked = []

    def measure(*, iterations, batch_size, seconds):
        asked.append((tuple(iterations), seconds))
        return tuple(Throughput(number, 10.0 - number, 0.1, 9) for number in iterations)

    monkeypatch.setattr("vitviz.explain.embedding_costs.measure_throughput", measure)
    return asked


def test_speed_is_measured_when_asked_for_and_kept(stand_in):
    app = _open(table="table8")
    assert "t = 1: 766, t = 2: 749, t = 3: 737, t = 4: 718" in _texts(app.caption)
    assert stand_in == []
    app.button[0].click().run()
    assert not app.exception
    assert [iterations for iterations, _ in stand_in] == [(1, 2, 3, 4)]
    assert stand_in[0][1] <= 20
    assert "loses 33.3% (9.0 to 6.0 images a second)" in _texts(app.caption)
    app.segmented_control(key="table").set_value("table6").run()
    app.segmented_control(key="table").set_value("table8").run()
    assert "loses 33.3%" in _texts(app.caption) and len(stand_in) == 1


def test_two_measurements_do_not_run_at_a_time(stand_in):
    app = _open(table="table8")
    with compare_costs._measuring():
        app.button[0].click().run()
    assert "Another measurement is under way" in _texts(app.warning)
    assert stand_in == []
    app.button[0].click().run()
    assert len(stand_in) == 1


def test_a_measurement_that_fails_lets_the_next_one_in(monkeypatch, stand_in):
    def fail(**asked):
        raise MemoryError

    app = _open(table="table8")
    with monkeypatch.context() as patched:
        patched.setattr("vitviz.explain.embedding_costs.measure_throughput", fail)
        app.button[0].click().run()
    app.button[0].click().run()
    assert len(stand_in) == 1


def test_only_a_table_that_claims_speed_offers_to_measure_it():
    assert not _open(table="table6").button


# Links that lie, names that mean harm, files that are broken


@pytest.mark.parametrize(
    "query",
    [
        {"table": "nonsense"},
        {"table": ""},
        {"table": "table6", "over": "miles", "beside": "x"},
        {"table": "table6", "over": "", "beside": "", "setup": ""},
        {"table": "table6", "setup": "no such setup"},
    ],
    ids=str,
)
def test_a_link_that_asks_for_what_there_is_not_falls_back(query, classify):
    classify("patch")
    app = _open(**query)
    assert not app.error
    assert app.header[0].value == "Table 6: three embeddings"
    assert "seconds of training" not in app.get("plotly_chart")[-1].proto.spec
    assert "loss, training images" in app.get("plotly_chart")[-1].proto.spec


def test_a_link_to_runs_there_are_not_breaks_nothing(classify):
    classify("patch")
    app = _open(table="own", runs="no-such-run")
    assert not app.error


def test_names_from_outside_are_taken_literally(classify):
    classify(HOSTILE, dataset_title=HOSTILE, name="hostile")
    classify("patch", dataset_title=HOSTILE)
    app = _open(table="table6")
    texts = [str(element.value) for element in (*app.markdown, *app.caption)]
    assert [text for text in texts if "[x](" in text or re.search(r"(?<!\\)<a ", text)] == []
    assert not any("](" in str(cell) for cell in app.table[0].value.to_numpy().ravel())


def test_a_damaged_run_breaks_no_comparison(classify):
    classify("patch")
    (classify("conv").path / "run.json").write_text("{")
    app = _open(table="table6")
    assert not app.error
    assert _scores(app)["patches"][1] == "50.00 %"


def test_samples_that_cannot_be_read_are_told_in_one_sentence(classify):
    (classify("patch").path / "samples.npz").write_bytes(b"nothing")
    (error,) = _open(table="table6").error
    assert "samples.npz of run 'table6-patch-s0' cannot be read" in error.value.replace("\\", "")


def test_a_run_that_kept_its_scores_alone_is_linked_to_the_comparison(classify):
    classify("patch", seed=1).set_status("finished")
    text = " ".join(one.value for one in _open().markdown)
    assert "(compare?table=own&runs=" in text and "(supertokens?run=" not in text


def test_a_run_that_is_still_training_is_linked_to_its_page(classify):
    classify("patch", seed=1).set_status("running")
    assert "(supertokens?run=" in " ".join(one.value for one in _open().markdown)
