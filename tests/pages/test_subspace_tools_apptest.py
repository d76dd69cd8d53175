"""Ring, loom, blocks and equaliser under AppTest: of the shipped run of COIL-20 without its images, and of tiny runs."""

import json
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from vitviz.config import from_plain
from vitviz.explain.subspace import order_images, take_snapshot
from vitviz.runs.folder import Run, find_run, own_root, shipped_root
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS
from vitviz.training.setup import start_run

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
TINY = {
    "dataset": "digits",
    "img_size": 16,
    "limit": 120,
    "channels": 3,
    "epochs": 2,
    "solver": "neighbors",
    "num_restarts": 2,
    "seed": 1,
}

NOT_THE_RUN = "Hold your setting against as trained, not against the run."

pytestmark = pytest.mark.usefixtures("own_folders", "at_once")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITVIZ_RUNS", str(tmp_path_factory.mktemp("runs")))
        run = start_run("tiny", "subspace", from_plain(METHODS["subspace"].config, TINY))
        drive(run)
    return run


@pytest.fixture
def tiny(trained) -> Run:
    return Run(shutil.copytree(trained.path, own_root() / "tiny"))


def _open(run: str, **query: str) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/subspace.py")
    app.query_params.update({"run": run, **query})
    app.run()
    assert not app.exception, f"{query}: {app.exception}"
    return app


def _texts(elements) -> str:
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def _component(app: AppTest, key: str) -> dict:
    found = next(one for one in app.get("bidi_component") if one.key == key)
    return json.loads(found.proto.json)


def _metrics(app: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in app.metric}


# The ring


def test_the_ring_of_an_object_is_drawn_from_coefficients_alone(monkeypatch):
    app = _open("coil20-gated", view="Ring", object="3")
    ring = _component(app, "subspace_turn")
    assert len(ring["views"]) == 72 and ring["degrees"] == 5 and ring["tile_url"] == ""
    assert ring["views"][9]["title"].startswith("45°, image ")
    assert len(ring["strangers"]) == 36 and "Of the neighbours 36 are of other objects" in _texts(app.markdown)
    assert _metrics(app)["Taken of the same object"][1] == "taken evenly: 4.9%"
    assert "data get coil20` says how" in _texts(app.caption)


def test_a_view_that_is_picked_stands_beside_the_one_it_takes_most_of():
    run = find_run("coil20-gated")
    row = int(np.flatnonzero(run.samples().classes == 4)[10])
    app = _open("coil20-gated", view="Ring", object="5", pair=f"{row}_{row + 1}")
    assert _component(app, "subspace_turn")["picked"] == [row, row + 1]
    assert f"Image {row} and image {row + 1}" in _texts(app.markdown)
    assert app.query_params["pair"] == f"{row}_{row + 1}"
    other = _open("coil20-gated", view="Ring", object="6", pair=f"{row}_{row + 1}")
    assert _component(other, "subspace_turn")["picked"] is None, "that view is of another object"


def test_the_ring_says_what_it_needs_of_images_without_an_angle(tiny):
    app = _open("tiny", view="Ring")
    assert "whose images have no angle" in _texts(app.info)
    assert "--preset coil20" in _texts(app.code)


# Blocks


@pytest.mark.parametrize("view", ["Affinity", "Loom"])
def test_a_block_in_the_address_tells_of_its_images_and_stays(tiny, view):
    app = _open("tiny", view=view, block="0_10_5_30")
    shown = _metrics(app)
    assert "Block of 10 x 25 images" in _texts(app.markdown)
    assert "of 245 pairs joined" in shown["Share of all affinity"][1], "5 of the 250 are an image and itself"
    assert app.query_params["block"] == "0_10_5_30" and "pair" not in app.query_params
    canvas = "subspace_affinity" if view == "Affinity" else "subspace_affinity_loom"
    assert _component(app, canvas)["block"] == [0, 10, 5, 30]


def test_the_mean_of_a_block_is_that_of_the_matrix_that_is_shown(tiny):
    shot = take_snapshot(tiny, 0)
    sizes = np.abs(shot.coefficients.toarray())
    np.fill_diagonal(sizes, 0)
    order = order_images(shot, "cluster")
    expected = (sizes + sizes.T)[np.ix_(order[:10], order[50:70])].mean()
    value, _ = _metrics(_open("tiny", block="0_10_50_70"))["Mean affinity"]
    assert float(value) == pytest.approx(float(expected), rel=5e-3, abs=1e-9)


@pytest.mark.parametrize("block", ["0_0_0_1", "1_2_3", "0_9_0_999", "a_b_c_d", "-1_2_0_3"])
def test_a_block_that_is_not_there_falls_back(tiny, block):
    app = _open("tiny", block=block)
    assert not app.error and "block" not in app.query_params


# The loom


def test_the_loom_begins_as_the_run_and_follows_its_sliders(tiny):
    app = _open("tiny", view="Loom")
    assert [metric.delta for metric in app.metric][4:7] == ["as the run"] * 3
    assert app.slider(key="dim").value == 12
    app.slider(key="dim").set_value(1).run()
    app.slider(key="power").set_value(2.0).run()
    assert not app.exception and not app.error
    assert "d = 1, alpha = 2" in _texts(app.caption)
    link = _open("tiny", view="Loom", dim="1", power="2")
    assert [metric.value for metric in link.metric] == [metric.value for metric in app.metric]


def test_the_loom_tells_the_strength_of_every_block_beside_chance(tiny):
    app = _open("tiny", view="Loom")
    assert "The weakest is cluster" in _texts(app.caption)
    assert "by chance" in _texts(app.caption)


def test_the_simple_rule_has_no_sliders(tiny):
    app = _open("tiny", view="Loom", affinity="simple")
    assert "has nothing to set" in _texts(app.caption)
    assert not [slider for slider in app.slider if slider.key in ("dim", "power")]


# The equaliser


def test_the_equaliser_begins_as_trained_and_needs_no_images(tiny, monkeypatch):
    monkeypatch.setattr("vitviz.training.setup.load_images", lambda run: 1 / 0)
    app = _open("tiny", view="Equaliser")
    assert not app.error
    assert [metric.delta for metric in app.metric][4:7] == ["as trained"] * 3
    keys = [one.key for one in app.get("bidi_component") if one.key != "frame"]
    assert keys == ["subspace_equaliser_Your setting", "subspace_equaliser_As trained"]
    assert app.metric[4].help.startswith("random gates: ")
    assert NOT_THE_RUN not in _texts(app.caption)


def test_where_features_and_coefficients_were_trained_together_the_equaliser_says_why_scores_differ():
    app = _open("digits-subspace-steps", view="Equaliser")
    assert NOT_THE_RUN in _texts(app.caption)


def test_a_slider_changes_the_clusters_and_one_button_brings_them_back(tiny):
    app = _open("tiny", view="Equaliser", gain_1="0.0", gain_2="2.0")
    assert (app.slider(key="gain_1").value, app.slider(key="gain_2").value) == (0.0, 2.0)
    assert "against as trained" in "".join(metric.delta for metric in app.metric if metric.delta)
    app.button(key="gains_reset").click().run()
    assert app.slider(key="gain_1").value == 1.0
    assert [metric.delta for metric in app.metric][4:7] == ["as trained"] * 3


def test_muting_everything_is_one_sentence(tiny):
    app = _open("tiny", view="Equaliser", gain_1="0", gain_2="0", gain_3="0")
    assert "every channel that says anything is muted" in _texts(app.error)


def test_without_labels_the_equaliser_shows_the_mass(tiny):
    samples = tiny.samples()
    np.savez(
        tiny.path / "samples.npz",
        indices=samples.indices,
        classes=np.full_like(samples.classes, -1),
        held_out=samples.held_out,
    )
    app = _open("tiny", view="Equaliser")
    assert not app.error and "these images have none" in _texts(app.caption)
    assert app.metric[4].label == "mass"
