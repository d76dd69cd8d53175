"""The page of super tokens under AppTest: views, sources of features, pictures of all kinds, ground truth, bad links."""

import io

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from vitviz.config import from_plain
from vitviz.data.photographs import list_photographs
from vitviz.runs.folder import Run, shipped_root
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS
from vitviz.training.setup import start_run

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
VIEWS = ("Map", "Iterations", "Reconstruction", "Beside grid and SLIC", "Embeddings")
CANVASES = {"Map": 1, "Iterations": 1, "Reconstruction": 1, "Beside grid and SLIC": 3, "Embeddings": 0}
TINY_VIT = "test_vit"

pytestmark = pytest.mark.usefixtures("own_folders", "fresh_caches")


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of the runs of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def trained_run(own_folders) -> Run:
    """A tiny super-token classifier of handwritten digits, trained for one epoch with t = 2."""
    settings = {
        "dataset": "digits",
        "img_size": 32,
        "limit": 200,
        "held_out_fraction": 0.5,
        "stride": 8,
        "num_iterations": 2,
        "embed_dim": 16,
        "depth": 1,
        "num_heads": 2,
        "epochs": 1,
        "batch_size": 32,
        "rand_augment": 0,
        "num_restarts": 1,
        "projection": "none",
    }
    run = start_run("tiny", "supertokens", from_plain(METHODS["supertokens"].config, settings))
    drive(run)
    return run


def _open(**query: str) -> AppTest:
    """The page as a link with that query shows it, by way of the router."""
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/supertokens.py")
    app.query_params.update({"model": "Pixels", **query})
    app.run()
    assert not app.exception, f"{query}: {app.exception}"
    return app


def _texts(elements) -> str:
    return "\n".join(str(element.value) for element in elements).replace("\\", "")


def _canvases(app: AppTest) -> list[str]:
    return [element.key for element in app.get("bidi_component") if element.key != "frame"]


def _png(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def _halves(height: int = 60, width: int = 90) -> np.ndarray:
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[:, width // 2 :] = (220, 120, 30)
    return pixels


def _upload(content: bytes, name: str = "halves.png", **query: str) -> AppTest:
    app = _open(**query)
    app.file_uploader(key="supertokens_file").upload(name, content, "image/png").run()
    assert not app.exception, app.exception
    return app


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_drawn_of_a_bundled_photograph(view):
    app = _open(view=view, photo="cat")
    assert len(app.title) == 1
    assert not app.error and not app.warning
    assert len(_canvases(app)) == CANVASES[view]
    if view != "Embeddings":
        assert "Colour (Lab) and place of every pixel, nothing learned" in _texts(app.caption)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_drawn_of_an_uploaded_picture(view):
    app = _upload(_png(_halves()), view=view)
    assert not app.error
    assert len(_canvases(app)) == CANVASES[view]


@pytest.mark.parametrize("photo", [one.name for one in list_photographs()])
def test_every_bundled_photograph_opens_and_says_whose_it_is(photo):
    app = _open(photo=photo)
    assert not app.error
    found = next(one for one in list_photographs() if one.name == photo)
    assert found.credit in _texts(app.sidebar.caption)


def test_a_pin_in_the_address_opens_its_card_and_keeps_the_address():
    app = _open(photo="cat", t="4", pin="500_400")
    assert "Super token" in _texts(app.markdown)
    assert app.query_params["t"] == "4" and app.query_params["pin"] == "500_400"
    assert {metric.label for metric in app.metric} == {"Soft size", "Entropy"}


@pytest.mark.parametrize(
    "query",
    [
        {"t": "99"},
        {"t": "-1"},
        {"t": "x"},
        {"pin": "1"},
        {"pin": "x_y"},
        {"pin": "99999_1"},
        {"photo": "../../etc"},
        {"scale": "-3"},
    ],
    ids=str,
)
def test_a_bad_link_falls_back(query):
    app = _open(**query)
    assert not app.error
    assert _canvases(app) == ["supertokens_map"]


def test_without_a_run_the_page_begins_with_pixels_and_says_how_to_make_one(nothing_shipped):
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/supertokens.py").run()
    assert app.selectbox(key="model").value == "Pixels"
    app.selectbox(key="model").set_value("Trained run").run()
    assert not app.exception
    assert "vitviz train supertokens --preset clothing-supertoken" in _texts(app.code)
    assert _canvases(app) == []


def test_the_paper_s_dot_product_on_untrained_features_is_warned_of_in_every_view():
    for view in VIEWS[:4]:
        app = _open(view=view, similarity="dot")
        assert ".867 at t = 3" in _texts(app.warning) and ".8995" in _texts(app.warning)


def test_an_untrained_timm_vit_is_said_to_be_one():
    app = _open(model="Any timm ViT", timm=TINY_VIT, photo="flower")
    assert "untrained" in _texts(app.warning)
    assert f"Post hoc: {TINY_VIT}, untrained" in _texts(app.caption)
    assert _canvases(app) == ["supertokens_map"]


def test_weights_of_one_s_own_are_loaded_and_reported():
    from safetensors.torch import save

    from vitviz.explain.timm_models import load_timm

    content = save(load_timm(TINY_VIT, seed=1).model.state_dict())
    app = _open(model="Any timm ViT", timm=TINY_VIT)
    app.file_uploader(key="timm_weights").upload("w.safetensors", content, "application/octet-stream").run()
    assert not app.exception and not app.error and not app.warning
    assert "tensors loaded" in _texts(app.sidebar.caption)


def test_weights_that_do_not_fit_are_one_sentence():
    app = _open(model="Any timm ViT", timm=TINY_VIT)
    app.file_uploader(key="timm_weights").upload("w.safetensors", b"PK..", "application/octet-stream").run()
    assert not app.exception
    assert "the weights are a pickle" in _texts(app.error)


def test_the_page_begins_with_the_run_that_is_shipped():
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/supertokens.py").run()
    assert not app.exception and not app.error and not app.warning
    assert app.selectbox(key="run").value == "clothing-supertoken"
    assert "Run clothing-supertoken: features before clustering, fed 336 x 224 px" in _texts(app.caption)


def test_a_deep_clustering_on_super_tokens_is_looked_at_round_by_round_in_an_image_of_its_own():
    app = _open(model="Trained run", run="digits-supertoken", round="2", sample="100")
    assert not app.error and not app.warning
    assert app.select_slider(key="round").value == 2
    assert app.number_input(key="sample").value == 100
    assert "Run digits-supertoken, round 2: features before clustering, fed 32 x 32 px" in _texts(app.caption)
    assert "Image 100 of run digits-supertoken, class 4, held out" in _texts(app.main.caption)
    (link,) = [one.proto.query_string for one in app.get("page_link") if "sample=" in one.proto.query_string]
    assert "run=digits-supertoken" in link and "round=2" in link and "sample=100" in link
    assert "picture=An+image+of+the+run" in link


def test_a_deep_clustering_on_patches_is_not_a_run_of_this_page():
    app = _open(model="Trained run", run="digits")
    assert app.selectbox(key="run").value == "clothing-supertoken"
    assert "digits" not in app.selectbox(key="run").options and "digits-supertoken" in app.selectbox(key="run").options
    assert not app.info


def test_a_run_without_its_network_says_so():
    app = _open(model="Trained run", run="digits-supertoken-control")
    (said,) = [one.value.replace("\\", "") for one in app.info]
    assert said == "Run digits-supertoken-control was handed on without what is shown here, its network or its rounds."
    assert app.selectbox(key="run").value == "clothing-supertoken"


def test_a_run_of_ones_own_is_shown_as_it_was_trained(trained_run):
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/supertokens.py")
    app.query_params["run"] = trained_run.name
    app.run()
    assert not app.exception and not app.error and not app.warning
    assert app.selectbox(key="run").value == trained_run.name
    assert f"Run {trained_run.name}: features before clustering" in _texts(app.caption)
    assert "t" not in app.query_params
    assert "x 0.125; t = 2. Lines" in _texts(app.caption), "as many iterations as it was trained with"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"I am a text.", "it is not a JPEG"),
        (_png(np.zeros((1, 1, 3), np.uint8)), "too small: 1 x 1 pixels"),
        (_png(_halves())[:60], "could not be read"),
    ],
    ids=["text", "1x1", "cut"],
)
def test_what_is_no_picture_is_one_sentence(content, sentence):
    app = _upload(content)
    assert len(app.error) == 1
    assert sentence.replace(" ", "") in _texts(app.error).replace(" ", "")
    assert _canvases(app) == []


@pytest.mark.parametrize(
    "pixels",
    [
        _halves(2, 2),
        _halves(2000, 8),
        _halves(8, 2000),
        np.full((64, 64, 3), 99, np.uint8),
        np.tile(np.arange(0, 65_536, 1024, dtype=np.uint16), (30, 1)),
        np.dstack([_halves(), np.full((60, 90), 100, np.uint8)]),
    ],
    ids=["2x2", "narrow", "flat", "one colour", "16 bit", "alpha"],
)
@pytest.mark.parametrize("view", VIEWS[:4])
def test_odd_pictures_are_grouped_in_every_view(pixels, view):
    app = _upload(_png(pixels), view=view)
    assert not app.error, _texts(app.error)
    assert len(_canvases(app)) == CANVASES[view]


def test_a_ground_truth_scores_the_three_maps():
    truth = np.zeros((60, 90), np.uint8)
    truth[:, 45:] = 1
    app = _upload(_png(_halves()), view="Beside grid and SLIC")
    app.file_uploader(key="truth").upload("truth.png", _png(truth), "image/png").run()
    assert not app.exception and not app.error
    table = app.dataframe[0].value.set_index("map")
    assert list(table.index) == ["Super tokens", "Patch grid", "SLIC"]
    assert table.loc["Super tokens", "ASA"] == 1.0
    assert 0.9 < table["ASA"].min() <= 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(_png(np.zeros((20, 30), np.uint8)), "do not fit together"), (b"x" * 50, "could not be read")],
    ids=["size", "text"],
)
def test_a_ground_truth_that_does_not_fit_is_one_sentence(content, sentence):
    app = _upload(_png(_halves()), view="Beside grid and SLIC")
    app.file_uploader(key="truth").upload("truth.png", content, "image/png").run()
    assert not app.exception
    assert sentence in _texts(app.error)
    assert len(_canvases(app)) == 3


def test_the_embeddings_are_counted_as_they_are_and_not_as_they_are_claimed():
    app = _open(view="Embeddings")
    table = app.table[0].value
    counted = dict(zip(table["embedding"], table["parameters, counted"], strict=True))
    assert (counted["patch"], counted["conv (Table 4)"], counted["super-token"]) == ("297,600", "3,490,560", "132,192")
    assert list(table["the paper's claim"]) == ["0.30 M", "1.00 M", "1.00 M", "0.09 M"]
    assert set(table["tokens"]) == {"196"}
    assert "1,019,664" in _texts(app.markdown)


def test_an_empty_view_in_a_link_is_the_first_view():
    app = _open(view="")
    assert not app.error and "supertokens_map" in _canvases(app)
