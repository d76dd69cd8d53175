"""The page of subspace clustering under AppTest: every view of a run with steps and of one without, bad links, missing things."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from vitviz.config import from_plain
from vitviz.explain.subspace import order_images, take_snapshot
from vitviz.runs.export import export_scores
from vitviz.runs.folder import Run, own_root, shipped_root
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS
from vitviz.training.setup import start_run

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
VIEWS = ("Affinity", "One image", "Steps", "Spectrum", "Channels", "What if")
CANVASES = {"Affinity": 1, "What if": 1}
STEPS = {
    "dataset": "digits",
    "img_size": 16,
    "limit": 150,
    "channels": 3,
    "attention": True,
    "epochs": 3,
    "num_steps": 6,
    "fixed_step": 4,
    "score_every": 1,
    "round_every": 2,
    "subspace_dim": 4,
    "num_restarts": 2,
}
SPARSE = {
    "dataset": "digits",
    "img_size": 16,
    "limit": 150,
    "channels": 2,
    "epochs": 3,
    "solver": "neighbors",
    "num_restarts": 2,
}

pytestmark = pytest.mark.usefixtures("own_folders", "fresh_caches")


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of the runs of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Iterator[dict[str, Run]]:
    """A tiny run with steps and a gate, the same with another seed, and one with a sparse C and neither."""
    made = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITVIZ_RUNS", str(tmp_path_factory.mktemp("runs")))
        for name, settings in (("steps", STEPS), ("steps-s1", {**STEPS, "seed": 1}), ("sparse", SPARSE)):
            made[name] = start_run(name, "subspace", from_plain(METHODS["subspace"].config, settings))
            drive(made[name])
    return made


@pytest.fixture
def mine(trained, own_folders) -> dict[str, Run]:
    """Copies of the trained runs among the test's own."""
    return {name: Run(shutil.copytree(run.path, own_root() / name)) for name, run in trained.items()}


def _open(run: str | None = "steps", **query: str) -> AppTest:
    """The page as a link with that query shows it, by way of the router."""
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/subspace.py")
    app.query_params.update({**({"run": run} if run else {}), **query})
    app.run()
    assert not app.exception, f"{query}: {app.exception}"
    return app


def _texts(elements) -> str:
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def _canvases(app: AppTest) -> list[str]:
    return [element.key for element in app.get("bidi_component") if "affinity" in element.key or "again" in element.key]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("run", ["steps", "sparse"])
def test_every_view_is_drawn_of_a_run_with_steps_and_of_one_without(mine, run, view):
    app = _open(run, view=view)
    assert len(app.title) == 1 and not app.error
    assert len(_canvases(app)) == CANVASES.get(view, 0)
    assert "none held out" in _texts(app.caption)


def test_the_headline_is_of_the_step_fixed_before_training_and_never_of_the_oracle(mine):
    app = _open()
    fixed = next(one for one in mine["steps"].round_metrics() if one["step"] == 4)
    assert [metric.value for metric in app.metric][:3] == [f"{fixed[key]:.3f}" for key in ("acc", "nmi", "ari")]
    assert "step 4, the step fixed before training, solver adam" in _texts(app.caption)


def test_a_pair_in_the_address_opens_its_two_images_and_stays(mine):
    app = _open(pair="3_7", step="6")
    indices = mine["steps"].samples().indices
    assert f"Image {indices[3]} and image {indices[7]}" in _texts(app.markdown)
    assert app.query_params["pair"] == "3_7" and app.query_params["step"] == "6"
    matrix = mine["steps"].coefficients().matrices[2]
    shown = {metric.label: metric.value for metric in app.metric}
    assert float(shown["First takes of second"]) == pytest.approx(float(matrix[3, 7]), rel=0.01)
    assert float(shown["Second takes of first"]) == pytest.approx(float(matrix[7, 3]), rel=0.01)


@pytest.mark.parametrize("layer", ["coefficients", "thresholded", "affinity"])
@pytest.mark.parametrize("order", ["clusters", "classes", "as in the data"])
def test_every_layer_can_be_seen_in_every_order_and_says_which_it_is(mine, layer, order):
    app = _open(layer=layer, order=order)
    assert not app.error
    assert f"all 150 images, by {order}; one cell an image" in _texts(app.caption)


def test_a_zoom_is_centred_on_the_row_of_the_pair(mine):
    shot = take_snapshot(mine["steps"], 1)
    row = int(order_images(shot, "class")[100])
    app = _open(order="classes", zoom="4x", pair=f"{row}_{row}")
    assert "images 83 to 119 of the order" in _texts(app.caption)


def test_a_threshold_of_one_shows_what_the_coefficients_are(mine):
    masses = [
        [metric.value for metric in _open(layer=layer, rho="1.0").metric if metric.label.startswith("Mass inside cl")]
        for layer in ("coefficients", "thresholded")
    ]
    assert masses[0] == masses[1]


def test_an_image_chosen_in_the_address_is_the_one_that_is_told_of(mine):
    app = _open(view="One image", image="42")
    assert app.number_input(key="image").value == 42
    assert f"Image {mine['steps'].samples().indices[42]}, class" in _texts(app.caption)


def test_a_band_over_seeds_is_drawn_where_there_are_several(mine):
    assert "lowest to the highest of 2 seeds" in _texts(_open(view="Steps").caption)
    shutil.rmtree(mine["steps-s1"].path)
    assert "One seed is here" in _texts(_open(view="Steps").caption)


def test_the_oracle_stands_in_the_table_under_its_own_name_only(mine):
    table = _open(view="Steps").dataframe[0].value
    assert list(table["rule"].str.split(":").str[0]) == ["fixed", "eigengap", "oracle"]
    assert "no result" in table["rule"][2]


def test_a_run_without_steps_says_so_and_how_to_get_them(mine):
    app = _open("sparse", view="Steps")
    assert "there are no steps to go through" in _texts(app.info)
    assert "--set solver=adam" in _texts(app.code)


def test_a_run_without_a_gate_says_so(mine):
    assert "no channel attention" in _texts(_open("sparse", view="Channels").info)
    assert "no channel attention" not in _texts(_open("steps", view="Channels").info)


@pytest.mark.parametrize("solver", ["neighbors", "ridge", "stored"])
def test_another_solver_clusters_the_same_features_again(mine, solver):
    app = _open(view="What if", solver=solver, clusters="7")
    assert not app.error
    assert "against the run" in "".join(str(metric.delta) for metric in app.metric)
    assert app.slider(key="clusters").value == 7


def test_without_the_images_every_view_is_drawn_and_says_how_to_get_them(mine, monkeypatch):
    def nowhere(run):
        from vitviz.errors import Problem

        raise Problem("the data set is not on this machine")

    monkeypatch.setattr("vitviz.training.setup.load_images", nowhere)
    for view in ("One image", "Channels"):
        app = _open(view=view)
        assert not app.error
        assert "are not on this machine" in _texts(app.caption)
    assert "are not on this machine" in _texts(_open(pair="1_2").caption)


@pytest.mark.parametrize(
    "query",
    [
        {"step": "5"},
        {"step": "x"},
        {"pair": "1"},
        {"pair": "1_999999"},
        {"pair": "x_y"},
        {"layer": "nothing"},
        {"layer": ""},
        {"zoom": "8x", "pair": "-1_2"},
        {"image": "9999", "view": "One image"},
        {"rho": "7", "layer": "thresholded"},
        {"view": ""},
    ],
    ids=str,
)
def test_a_bad_link_falls_back(mine, query):
    app = _open(**query)
    assert not app.error


def test_without_a_run_the_page_says_how_to_make_one(nothing_shipped):
    app = _open(None)
    assert "vitviz train subspace --preset digits-subspace" in _texts(app.code)


def test_a_run_kept_for_its_scores_alone_is_not_offered(mine, tmp_path):
    export_scores(mine["sparse"], tmp_path / "scores")
    shutil.copytree(tmp_path / "scores", own_root() / "only-scores")
    assert "only-scores" not in _open().selectbox(key="run").options


def test_images_without_labels_are_clustered_and_shown_without_scores(mine):
    run = mine["steps"]
    samples = run.samples()
    np.savez(
        run.path / "samples.npz",
        indices=samples.indices,
        classes=np.full_like(samples.classes, -1),
        held_out=samples.held_out,
    )
    app = _open()
    assert not app.error
    assert "classes" not in app.get("button_group")[1].options
    assert "Mass inside classes" not in [metric.label for metric in app.metric]


def test_damaged_coefficients_are_one_sentence(mine):
    (mine["steps"].path / "coefficients.npz").write_bytes(b"PK\x03\x04nothing")
    app = _open()
    assert "coefficients.npz" in _texts(app.error)
