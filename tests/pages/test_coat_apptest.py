"""The page of Clustering CoaT under AppTest: views, networks, every way to cluster, pictures of all kinds, bad links."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from vitviz.config import from_plain
from vitviz.data.photographs import list_photographs
from vitviz.runs.export import export_scores
from vitviz.runs.folder import Run, shipped_root
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS
from vitviz.training.setup import start_run
from vitviz.ui.coat_sources import METHODS as GROUPINGS

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
VIEWS = ("Clusters", "How many", "Errors", "Cost", "Same answer?")
SETTINGS = {
    "dataset": "digits",
    "img_size": 32,
    "limit": 60,
    "held_out_fraction": 0.5,
    "patch_size": 2,
    "embed_dims": (16, 16, 24, 32),
    "serial_depths": (2, 1, 1, 1),
    "mlp_ratios": (2.0, 2.0, 2.0, 2.0),
    "num_heads": 2,
    "epochs": 1,
    "batch_size": 16,
    "rand_augment": 0,
    "num_restarts": 1,
    "projection": "none",
    "unclustered_share": 0.0,
}

pytestmark = pytest.mark.usefixtures("fresh_caches")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder of tiny runs on handwritten digits: ``tiny`` clusters its queries, ``exact`` nothing."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITVIZ_RUNS", str(root))
        for name, kind in (("tiny", "factorised"), ("exact", "unclustered")):
            settings = {**SETTINGS, "kind": kind}
            drive(start_run(name, "coat", from_plain(METHODS["coat"].config, settings)))
    return root


@pytest.fixture
def runs(trained, own_folders, monkeypatch) -> Path:
    """The page sees those runs, and nothing is shipped."""
    monkeypatch.setenv("VITVIZ_RUNS", str(trained))
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: trained / "shipped")
    return trained


@pytest.fixture
def no_runs(own_folders, nothing_shipped) -> None:
    """There is no run at all."""


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of the runs of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


def _open(**query: str) -> AppTest:
    """The page as a link with that query shows it, by way of the router."""
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/coat.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception, f"{query}: {app.exception}"
    return app


def _texts(elements) -> str:
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def _canvases(app: AppTest) -> list[str]:
    return [element.key for element in app.get("bidi_component") if element.key != "frame"]


def _charts(app: AppTest) -> int:
    return len(app.get("plotly_chart"))


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _weights(size: str) -> bytes:
    from safetensors.torch import save

    from vitviz.explain.coat_networks import load_lite

    return save({name: value.clone() for name, value in load_lite(size, seed=1).model.state_dict().items()})


# Networks


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_drawn_of_a_trained_run(runs, view):
    app = _open(view=view, run="tiny", pin="500_500", many="true")
    assert len(app.title) == 1 and not app.error and not app.warning
    assert app.selectbox(key="network").value == "Trained run"
    assert _charts(app) == {"Clusters": 1, "How many": 2, "Errors": 2, "Cost": 2, "Same answer?": 2}[view]
    assert "run tiny, trained at 32 px" in _texts(app.caption).lower()
    assert _canvases(app) == {"Clusters": ["coat_map"], "How many": ["coat_gallery"]}.get(view, [])


@pytest.mark.parametrize("view", VIEWS)
def test_without_a_run_every_view_is_drawn_of_an_untrained_coat_lite_and_says_that_it_is_one(no_runs, view):
    app = _open(view=view)
    assert not app.error
    assert app.selectbox(key="network").value == "CoaT-Lite"
    assert "This network is untrained" in _texts(app.warning)
    if view != "Same answer?":
        assert "CoaT-Lite Tiny, untrained (random weights of seed 0)" in _texts(app.caption)
        assert "fed 336 x 224 px" in _texts(app.caption) and "ImageNet" in _texts(app.caption)


def test_asking_for_a_run_where_there_is_none_shows_coat_lite_and_says_so(no_runs):
    app = _open(network="Trained run")
    assert "no trained run" in _texts(app.sidebar.info)
    assert _canvases(app) == ["coat_map"]


def test_a_run_that_kept_its_scores_alone_is_not_looked_through(runs, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    export_scores(Run(runs / "tiny"), tmp_path / "own" / "bare")
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "own"))
    assert _open().selectbox(key="network").value == "CoaT-Lite"


def test_a_run_opens_as_it_was_trained_and_one_that_clusters_nothing_by_the_paper_s_idea(runs):
    app = _open(run="tiny")
    assert app.session_state["kind"] == "as trained"
    assert "As at its last epoch: queries of stages 1 and 2, factorised, by e2lsh" in _texts(app.sidebar.caption)
    assert _open(run="exact").session_state["kind"] == "factorised"


def test_a_run_fed_larger_than_it_was_trained_says_that_it_never_saw_that(runs):
    app = _open(run="exact", zoom="4")
    assert "Fed at 128 px. The network was trained at 32 px and never saw" in _texts(app.sidebar.caption)
    assert "fed 192 x 128 px" in _texts(app.caption)
    assert "6,144" in app.table[0].value.to_string()


def test_weights_of_ones_own_are_loaded_reported_and_answer(no_runs):
    app = _open(view="Same answer?")
    app.file_uploader(key="coat_weights").upload("w.safetensors", _weights("tiny"), "application/octet-stream").run()
    assert not app.exception and not app.error and not app.warning
    assert "tensors loaded" in _texts(app.sidebar.caption)
    assert "KL divergence" in _texts(app.markdown) and _charts(app) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK..", "the weights are a pickle"),
        (b"I am a text.", "not a safetensors file"),
        (None, "do not fit CoaT-Lite Tiny"),
    ],
    ids=["pickle", "text", "another size"],
)
def test_weights_that_do_not_fit_are_one_sentence(no_runs, content, sentence):
    app = _open()
    content = content or _weights("mini")
    app.file_uploader(key="coat_weights").upload("w.safetensors", content, "application/octet-stream").run()
    assert not app.exception and len(app.error) == 1
    assert sentence in _texts(app.error)
    assert _canvases(app) == []


# What is clustered


@pytest.mark.parametrize("method", GROUPINGS)
def test_every_method_groups_queries_and_tokens_in_either_form(runs, method):
    for kind in ("factorised", "softmax"):
        app = _open(run="exact", kind=kind, by=method, mlp="true", bits="3", c="8", pin="300_600")
        assert not app.error
        table = app.table[0].value
        assert list(table["attention"]) == [kind, "–"] * 3
        if method not in ("e2lsh",):
            most = [int(text.split()[-1]) if "to" in text else 8 for text in table["fewest to most"]]
            assert max(most) <= 8


def test_the_other_form_than_the_one_trained_is_warned_of(runs):
    assert not _open(run="exact", kind="factorised").warning
    assert "lose by the change" in _texts(_open(run="exact", kind="softmax").warning)
    assert not _open(run="exact", kind="none", mlp="true").warning


@pytest.mark.parametrize("view", VIEWS[:3])
def test_with_nothing_clustered_a_view_says_what_to_choose(runs, view):
    app = _open(run="exact", kind="none", view=view)
    assert not app.error and "Choose **factorised**" in _texts(app.info)


def test_the_mlp_alone_is_shown_with_its_one_map(runs):
    app = _open(run="exact", kind="none", mlp="true", pin="500_500")
    assert not app.error and app.session_state["head"] == "MLP tokens"
    assert "tokens before the MLP by e2lsh, r = 16" in _texts(app.caption)
    assert _charts(app) == 0 and "The token at row" in _texts(app.markdown)
    assert _charts(_open(run="exact", kind="none", mlp="true", view="How many")) == 2


def test_a_method_with_a_fixed_number_is_said_not_to_adapt(runs):
    assert "sign does not adapt" in _texts(_open(run="exact", by="sign", bits="4", view="How many").info)
    assert "as many groups as the picture asks for" in _texts(_open(run="exact", view="How many").markdown)


# What is said


def test_a_pin_tells_its_group_and_how_far_its_prototype_is_off(runs):
    app = _open(run="exact", pin="500_400", weights="softmax", head="2")
    assert app.query_params["pin"] == "500_400"
    assert "The token at row 6, column 12" in _texts(app.markdown)
    assert "of the weight lies elsewhere" in _texts(app.caption) and "head 2" in _texts(app.caption)
    assert "of the weight lies elsewhere" not in _texts(_open(run="exact", pin="500_400").caption)


def test_the_gallery_stands_in_order_of_its_counts(runs):
    app = _open(run="exact", view="How many")
    (grid,) = (element for element in app.get("bidi_component") if element.key != "frame")
    labels = [int(one["label"]) for one in json.loads(grid.proto.json)["items"]]
    assert len(labels) == 30 and labels == sorted(labels) and labels[0] < labels[-1]
    assert "The first 30 held-out images of the run at 32 px" in _texts(app.caption)


def test_the_parts_of_coat_lite_tiny_are_those_that_the_headline_rests_on(no_runs):
    app = _open(view="Cost", photo="astronaut")
    table = app.table[0].value.set_index("part")
    shares = table.loc[["MLP", "qkv", "Kᵀ V", "Q M"], "as published"].tolist()
    assert shares == ["69.9%", "16.5%", "0.7%", "0.7%"]
    said = _texts(app.markdown)
    assert "It cannot make CoaT lighter" in said and "**0.69%** of this model's multiply-adds" in said
    assert "ours, not the paper's" in said
    pays = app.table[1].value.set_index("stage")
    assert pays.loc["1", "factorised beats CoaT's own"] == "never"


def test_the_four_cores_are_timed_when_asked_for(no_runs):
    app = _open(view="Cost", photo="astronaut", stage="3", clusters="16")
    assert "Nothing is measured yet" in _texts(app.caption)
    before = _charts(app)
    next(button for button in app.button if "Time the four cores" in button.label).click().run()
    assert not app.exception and not app.error
    assert "Here full softmax takes" in _texts(app.markdown)
    assert _charts(app) == before + 1 and "Nothing is measured yet" not in _texts(app.caption)


def test_the_way_to_less_data_is_there_when_such_runs_are(runs, trained):
    def links(app: AppTest) -> list[str]:
        return [link.proto.query_string for link in app.get("page_link") if link.proto.query_string]

    assert links(_open(run="exact", view="Same answer?")) == []
    record = trained / "exact" / "run.json"
    text = record.read_text()
    record.write_text(text.replace('"preset": ""', '"preset": "coat-cifar10"'))
    try:
        assert links(_open(run="exact", view="Same answer?")) == ["table=coat-cifar10"]
    finally:
        record.write_text(text)


def test_without_its_images_a_run_still_answers_for_this_picture(runs, trained):
    record = trained / "exact" / "run.json"
    text = record.read_text()
    record.write_text(text.replace('"dataset": "digits"', '"dataset": "coil20"'))
    try:
        app = _open(run="exact", view="Same answer?", many="true")
        assert not app.error and _charts(app) == 1
        assert "python -m vitviz data get coil20" in _texts(app.caption)
        app = _open(run="exact", view="How many")
        assert not app.error and "bundled photographs" in _texts(app.caption)
    finally:
        record.write_text(text)


# Links and pictures


@pytest.mark.parametrize(
    "query",
    [
        {"pin": "x_y"},
        {"pin": "99999_1"},
        {"block": "stage 9, block 1"},
        {"head": "99"},
        {"head": "MLP tokens"},
        {"r": "-1"},
        {"by": "magic"},
        {"kind": "x"},
        {"zoom": "3"},
        {"view": ""},
        {"photo": "../../etc"},
        {"run": "none"},
    ],
    ids=str,
)
def test_a_bad_link_falls_back(runs, query):
    app = _open(**query)
    assert not app.error
    assert _canvases(app) == ["coat_map"]


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((2, 2, 3), 40, np.uint8),
        np.tile(np.arange(250, dtype=np.uint8), (2, 2)),
        np.full((500, 2, 3), 99, np.uint8),
    ],
    ids=["2x2", "2x500", "500x2 of one colour"],
)
@pytest.mark.parametrize("view", VIEWS)
def test_odd_pictures_go_through_every_view(runs, pixels, view):
    app = _open(run="exact", view=view, pin="990_990")
    app.file_uploader(key="coat_file").upload("odd.png", _png(pixels), "image/png").run()
    assert not app.exception and not app.error, _texts(app.error)
    assert view != "Clusters" or _canvases(app) == ["coat_map"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"I am a text.", "it is not a JPEG"), (_png(np.zeros((1, 500), np.uint8)), "too small: 500 x 1 pixels")],
    ids=["text", "1x500"],
)
def test_what_is_no_picture_is_one_sentence(runs, content, sentence):
    app = _open(run="exact")
    app.file_uploader(key="coat_file").upload("odd.png", content, "image/png").run()
    assert not app.exception and len(app.error) == 1 and _canvases(app) == []
    assert sentence.replace(" ", "") in _texts(app.error).replace(" ", "")


@pytest.mark.parametrize("photo", [one.name for one in list_photographs()][:3])
def test_a_bundled_photograph_opens_and_says_whose_it_is(runs, photo):
    app = _open(run="exact", photo=photo)
    found = next(one for one in list_photographs() if one.name == photo)
    assert not app.error and found.credit in _texts(app.sidebar.caption)
