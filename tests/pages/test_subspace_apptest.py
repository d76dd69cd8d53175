"""The page of subspace clustering under AppTest: every view of a run with steps and of one without, bad links, missing things."""

import json
import shlex
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
from vitviz.ui.subspace_words import image_title, steps_command

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
VIEWS = ("Affinity", "Loom", "One image", "Ring", "Steps", "Spectrum", "Channels", "Equaliser", "What if")
CANVASES = {"Affinity": 1, "Loom": 1, "What if": 1}
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


def _change_settings(run: Run, **changed) -> None:
    """The run as if it had been made by other settings."""
    about = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**about, "settings": {**about["settings"], **changed}}))


def _forget_labels(run: Run) -> None:
    """The run as if its images had no labels."""
    samples = run.samples()
    unknown = np.full_like(samples.classes, -1)
    np.savez(run.path / "samples.npz", indices=samples.indices, classes=unknown, held_out=samples.held_out)
    records = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record.update({name: None for name in ("acc", "nmi", "ari", "class_mass") if name in record})
        marks = (record.get("selection") or {}).get("marks", {})
        marks.pop("oracle", None)
        for mark in marks.values():
            mark.update(acc=None, nmi=None, ari=None)
    (run.path / "metrics.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))


def _canvases(app: AppTest) -> list[str]:
    return [element.key for element in app.get("bidi_component") if "affinity" in element.key or "again" in element.key]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("run", ["steps", "sparse"])
def test_every_view_is_drawn_of_a_run_with_steps_and_of_one_without(mine, run, view):
    app = _open(run, view=view)
    assert len(app.title) == 1 and not app.error
    assert len(_canvases(app)) == CANVASES.get(view, 0)
    assert "none held out" in _texts(app.caption)
    assert "are held out" not in _texts(app.caption)


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
    assert "data get digits` says how" in _texts(_open(pair="1_2").caption)
    about = json.loads((mine["steps"].path / "run.json").read_text())
    (mine["steps"].path / "run.json").write_text(json.dumps({**about, "dataset": "my/folder"}))
    assert "they were read from my/folder." in _texts(_open(pair="1_2").caption), "there is no command that gets it"


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


@pytest.mark.parametrize("solver", ["neighbors", "ridge"])
def test_three_images_can_be_clustered_again(own_folders, solver):
    tiny = {**SPARSE, "solver": solver, "limit": 3, "num_clusters": 2, "epochs": 1}
    run = start_run("tiny", "subspace", from_plain(METHODS["subspace"].config, tiny))
    drive(run)
    app = _open("tiny", view="What if")
    assert not app.error
    assert app.slider(key="clusters").value == 2


@pytest.mark.parametrize(("run", "solver"), [("steps", "adam"), ("sparse", "neighbors")])
def test_a_run_s_own_solver_can_be_taken_with_other_numbers(mine, run, solver):
    app = _open(run, view="What if", solver=solver)
    assert not app.error
    assert app.segmented_control(key="solver").value == solver


def test_clustering_again_begins_at_the_run_s_own_numbers():
    app = _open("digits-subspace-steps", view="What if", solver="stored")
    assert (app.slider(key="power").value, app.select_slider(key="rho_stored").value) == (4.0, 0.1)
    assert app.slider(key="clusters").value == 10


def test_the_same_scores_are_no_rise(mine):
    app = _open("sparse", view="What if", solver="stored")
    assert [metric.delta for metric in app.metric][4:7] == ["as the run"] * 3


def test_what_nobody_moved_goes_with_the_run(mine):
    app = _open("steps", layer="thresholded")
    assert (app.select_slider(key="step").value, app.select_slider(key="rho").value) == (4, 0.04)
    app.selectbox(key="run").select("sparse").run()
    assert app.select_slider(key="rho").value == 1.0, "a sparse C is not thresholded"
    app.selectbox(key="run").select("steps").run()
    app.select_slider(key="rho").set_value(0.3).run()
    app.selectbox(key="run").select("sparse").run()
    assert app.select_slider(key="rho").value == 0.3


def test_a_round_that_comes_while_the_page_is_drawn_breaks_nothing(mine, monkeypatch):
    monkeypatch.setattr("vitviz.ui.subspace_sources.chosen_round", lambda run: run.num_rounds())
    app = _open()
    assert not app.error
    assert app.select_slider(key="step").value == 6


def test_the_steps_of_images_without_labels_show_the_eigengap(mine):
    _forget_labels(mine["steps"])
    app = _open(view="Steps")
    assert not app.error
    assert app.segmented_control(key="score").options == ["eigengap"]
    assert "these images have none" in _texts(app.caption)
    assert list(app.dataframe[0].value.columns) == ["rule", "step", "eigengap"]


def test_an_image_beside_itself_is_said_to_be_one(mine):
    app = _open(pair="3_3")
    assert "and itself" in _texts(app.markdown)
    assert "takes nothing" not in _texts(app.caption)


@pytest.mark.parametrize(
    ("num_images", "limit", "expected"), [(5_000, None, 2_000), (300, 300, 300), (300, None, None)]
)
def test_the_command_for_steps_is_one_that_makes_steps_of_these_images(mine, num_images, limit, expected):
    run = mine["sparse"]
    _change_settings(run, dataset="my folder; rm x", limit=limit)
    about = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**about, "dataset": "my folder; rm x", "num_images": num_images}))
    words = shlex.split(steps_command(Run(run.path)))
    assert "dataset=my folder; rm x" in words
    assert [word for word in words if word.startswith("limit=")] == ([f"limit={expected}"] if expected else [])


def test_a_class_name_stands_as_it_is_in_what_is_no_markdown(mine):
    run, shot = mine["steps"], take_snapshot(mine["steps"], 0)
    about = json.loads((run.path / "run.json").read_text())
    names = ["*a* <b>" + "x" * 60] * len(about["class_names"])
    (run.path / "run.json").write_text(json.dumps({**about, "class_names": names}))
    assert "class *a* <b>xxx" in image_title(Run(run.path), shot, 0, str)
    assert r"\*a\*" in image_title(Run(run.path), shot, 0)
    assert len(image_title(Run(run.path), shot, 0, str)) < 80


def test_without_a_run_the_page_says_how_to_make_one(nothing_shipped):
    app = _open(None)
    assert "vitviz train subspace --preset digits-subspace" in _texts(app.code)


def test_a_run_kept_for_its_scores_alone_is_not_offered(mine, tmp_path):
    export_scores(mine["sparse"], tmp_path / "scores")
    shutil.copytree(tmp_path / "scores", own_root() / "only-scores")
    assert "only-scores" not in _open().selectbox(key="run").options


def test_images_without_labels_are_clustered_and_shown_without_scores(mine):
    _forget_labels(mine["steps"])
    app = _open()
    assert not app.error
    assert "classes" not in app.get("button_group")[1].options
    assert "Mass inside classes" not in [metric.label for metric in app.metric]


def test_damaged_coefficients_are_one_sentence(mine):
    (mine["steps"].path / "coefficients.npz").write_bytes(b"PK\x03\x04nothing")
    app = _open()
    assert "coefficients.npz" in _texts(app.error)
