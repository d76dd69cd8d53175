"""The page of attention under AppTest: views, networks, weights, pictures of all kinds, links in and out, bad links."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from vitviz.data.photographs import list_photographs
from vitviz.errors import Problem
from vitviz.runs.folder import shipped_root
from vitviz.ui import tasks

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
VIEWS = ("Attention", "Through layers", "Attribution", "Patches", "Logit lens", "Side by side")
CANVASES = {
    "Attention": ["attention_sheet", "attention_map"],
    "Through layers": ["attention_flow", "attention_last"],
    "Attribution": ["attribution_map"],
    "Patches": ["attention_pca", "attention_similar"],
    "Logit lens": [],
    "Side by side": ["attention_first", "attention_second"],
}
TIMM = {"network": "Any timm ViT", "timm": "test_vit"}
RUN = {"network": "Trained run", "run": "digits"}

pytestmark = pytest.mark.usefixtures("own_folders", "fresh_caches", "at_once")


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def at_once(monkeypatch) -> None:
    """What is done beside the page is done when it is asked for."""

    def start(self, key: str, work: Callable) -> tasks.Task:
        task = tasks.Task()
        task.run(work)
        self._tasks[key] = task
        return task

    monkeypatch.setattr(tasks.Desk, "start", start)
    monkeypatch.setattr(tasks, "_PATIENCE", float("inf"))  # nobody asks again while it is done


def _open(**query: str) -> AppTest:
    """The page as a link with that query shows it, by way of the router."""
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/attention.py")
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


def _links(app: AppTest) -> list[str]:
    return [link.proto.query_string for link in app.get("page_link") if link.proto.query_string]


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _weights(**changes: np.ndarray) -> bytes:
    """A file of safetensors for test_vit, as a training script wraps it, with these tensors instead."""
    import torch
    from safetensors.torch import save

    from vitviz.explain.timm_models import load_model_by_name

    own = load_model_by_name("test_vit", seed=1).model.state_dict()
    own |= {name: torch.tensor(value) for name, value in changes.items()}
    return save({f"module.{name}": value.clone() for name, value in own.items()})


# Views


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_drawn_of_a_shipped_run(view):
    app = _open(view=view, run="clothing-supertoken", photo="cat", pin="300_400")
    assert len(app.title) == 1 and not app.error and not app.warning, _texts(app.error)
    assert app.selectbox(key="network").value == "Trained run"
    assert "run clothing-supertoken; 14 x 14 grid + 1 CLS" in _texts(app.caption)
    assert _canvases(app) == CANVASES[view]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_an_untrained_vit_says_loudly_that_it_is_untrained(view):
    app = _open(view=view, photo="coffee", **TIMM)
    assert not app.error, _texts(app.error)
    assert "This network is untrained" in _texts(app.warning)
    assert "test_vit, untrained (random weights of seed 0)" in _texts(app.caption)
    assert _canvases(app) == CANVASES[view]


@pytest.mark.parametrize("view", VIEWS)
def test_a_run_of_small_images_begins_with_one_of_its_own_held_out_images(view):
    app = _open(view=view, **RUN)
    assert not app.error and _canvases(app) == CANVASES[view]
    assert app.session_state["picture"] == "An image of the run"
    assert "of run digits, class" in _texts(app.main.caption) and "held out" in _texts(app.main.caption)


def test_without_a_run_the_page_opens_a_vit_by_name(nothing_shipped):
    app = _open(timm="test_vit")
    assert app.selectbox(key="network").value == "Any timm ViT" and not app.error
    assert "no run to look into" in _texts(_open(network="Trained run").info)


# Attention


def test_the_caption_names_layer_heads_query_and_normalisation_and_what_even_attention_would_be():
    said = _texts(_open(run="clothing-supertoken", photo="cat", layer="2", heads="head 1", norm="max").caption)
    assert "Layer 2 of 0-3 (blocks.2.attn, global), head 1, query CLS; relative to the map's largest value" in said
    assert "Spread evenly each of 197 tokens would get 0.51%" in said and "falls on CLS" in said


def test_a_pin_is_the_query_and_the_layer_begins_at_the_last():
    app = _open(run="clothing-supertoken", photo="cat", pin="500_250")
    assert "Layer 3 of 0-3" in _texts(app.caption) and "query row 3, column 7" in _texts(app.caption)
    assert "query CLS" in _texts(_open(run="clothing-supertoken", photo="cat").caption)


def test_the_largest_share_of_any_head_is_not_called_a_share_of_one_query():
    said = _texts(_open(run="clothing-supertoken", photo="cat", heads="max").caption)
    assert "the largest share of any head, 0 to 1; these need not sum to 1" in said and "falls on CLS" not in said


def test_in_a_window_the_even_share_is_that_of_the_window():
    app = _open(network="Any timm ViT", timm="swin_tiny_patch4_window7_224", layer="0", pin="500_500")
    assert not app.error and "Spread evenly each of 49 tokens would get 2.04%" in _texts(app.caption)
    assert "Where the photo is bare the layer has no such head" in _texts(app.caption)


@pytest.mark.parametrize("view", ["Attention", "Side by side"])
def test_where_a_patch_is_no_query_the_network_s_own_is_shown_and_the_pin_can_be_taken_away(view):
    app = _open(network="Any timm ViT", timm="xcit_nano_12_p16_224", pin="500_500", view=view, beside="another picture")
    assert not app.error, _texts(app.error)
    assert "has row 7, column 7 as a query: CLS is shown" in _texts(app.caption)
    assert _canvases(app) == CANVASES[view]


def test_less_mass_is_said():
    assert "only the heaviest patches that hold 50%" in _texts(_open(mass="50", **RUN).caption).lower()


@pytest.mark.parametrize(
    ("view", "what"), [("Attention", "Layer 2 of 0-2"), ("Through layers", "rollout, heads fused by mean")]
)
def test_the_recipe_names_what_how_the_picture_the_network_and_the_version(view, what):
    from vitviz import __version__

    *_, line = [code.value for code in _open(view=view, sample="1000", **RUN).main.get("code")]
    for part in (what, "picture: image 1000 of run digits", "run digits, round 6", "mean 0.5", f"vitviz {__version__}"):
        assert part in line and "\\" not in line


# Flow and attribution


def test_relevance_asks_for_a_class_or_a_cluster_and_names_it():
    app = _open(view="Through layers", flow="relevance", **RUN)
    options = app.selectbox(key="target").options
    assert len(options) == 20 and options[0].startswith("class ") and options[-1].startswith("cluster ")
    app = _open(view="Through layers", flow="relevance", target=options[-1], **RUN)
    assert not app.error and "cosine with the embedding" in _texts(app.caption)


@pytest.mark.parametrize("target", ["class 3: 3", "cluster 3"])
@pytest.mark.parametrize("method", ["saliency", "layer_grad_cam", "integrated_gradients", "gradient_shap", "occlusion"])
def test_every_method_attributes_a_class_and_a_cluster_and_is_tested_against_chance(method, target):
    app = _open(view="Attribution", method=method, target=target, sample="1000", **RUN)
    if method not in ("saliency", "layer_grad_cam"):
        assert _charts(app) == 0
        next(one for one in app.main.button if one.label.startswith("Compute ")).click().run()
    assert not app.exception and not app.error, _texts(app.error)
    assert target.partition(":")[0] in _texts(app.main.markdown)
    names = [metric.label for metric in app.metric]
    assert names[-2:] == ["Deletion area, small is faithful", "Insertion area, large is faithful"]
    assert all(metric.delta.startswith("chance ") for metric in app.metric[-2:])
    assert _charts(app) == 1 and ("Missing from the sum" in names) == (
        method in ("integrated_gradients", "gradient_shap")
    )


def test_integrated_gradients_of_the_shipped_run_add_up_to_within_one_percent():
    app = _open(view="Attribution", method="integrated_gradients", run="clothing-supertoken", photo="cat")
    next(one for one in app.main.button if one.label.startswith("Compute ")).click().run()
    (missing,) = [metric.value for metric in app.metric if metric.label == "Missing from the sum"]
    assert float(missing.rstrip("%")) < 1


def test_a_network_without_a_classifier_says_what_works_without_one(nothing_shipped):
    from safetensors.torch import load, save

    headless = {name: value for name, value in load(_weights()).items() if ".head." not in name}
    app = _open(view="Attribution", weights="a file of mine", **TIMM)
    app.file_uploader(key="file").upload("w.safetensors", save(headless), "application/octet-stream").run()
    assert not app.exception and not app.error
    assert "classifier of this network is random" in _texts(app.caption)


# Patches, lens, pairs


def test_the_last_row_of_the_logit_lens_is_the_answer():
    app = _open(view="Logit lens", sample="1000", **RUN)
    assert not app.error and _charts(app) == 2
    answer = _open(view="Attribution", sample="1000", **RUN).selectbox(key="target").options[0].partition(": ")[2]
    assert f"The final answer, {answer}, is on top from block" in _texts(app.caption)


def test_a_pin_tells_the_patch_whose_likeness_is_shown():
    said = _texts(_open(view="Patches", run="clothing-supertoken", photo="cat", pin="10_990", block="1").caption)
    assert "Tokens after block 1 of 0-3, behind the final norm: cosine with the patch at row 13, column 0" in said


def test_beside_stands_the_same_network_untrained_on_one_scale():
    app = _open(view="Side by side", run="clothing-supertoken", photo="cat")
    assert "before training (random weights of seed 0)" in _texts(app.caption)
    first, second = (element.proto.json for element in app.get("bidi_component") if element.key != "frame")
    assert _value(first, "heat_max") == _value(second, "heat_max") and first != second
    (apart,) = [metric.value for metric in app.metric]
    assert 0 < float(apart) <= 1


def test_two_rounds_of_a_run_and_two_pictures_stand_side_by_side():
    rounds = _open(view="Side by side", beside="another network", b_run="digits", b_round="0", **RUN)
    assert not rounds.error and "run digits, round 0" in _texts(rounds.caption)
    pictures = _open(view="Side by side", beside="another picture", b_photo="coffee", photo="cat", **TIMM)
    assert not pictures.error and len(_canvases(pictures)) == 2


def test_layers_are_paired_by_their_depth():
    query = {"b_network": "Any timm ViT", "b_timm": "vit_tiny_patch16_224", "beside": "another network", "side": "224"}
    app = _open(view="Side by side", photo="cat", **query, **TIMM)
    captions = [text for text in (element.value for element in app.caption) if "Layer" in text]
    assert "Layer 5 of 0-5" in captions[0] and "Layer 11 of 0-11" in captions[1]
    assert "This network is untrained" in _texts(app.warning[1:])


def test_networks_of_other_grids_are_shown_and_not_subtracted():
    query = {"b_network": "Any timm ViT", "b_timm": "test_vit", "beside": "another network"}
    app = _open(view="Side by side", run="clothing-supertoken", photo="cat", pin="900_900", **query)
    assert not app.error and [metric.value for metric in app.metric] == ["different grids"]


def _value(text: str, name: str) -> float:
    import json

    return json.loads(text)[name]


# Networks and weights


@pytest.mark.parametrize("name", ["test_vit3", "deit_tiny_distilled_patch16_224", "eva02_tiny_patch14_224"])
def test_families_of_vits_open_by_name(name):
    app = _open(network="Any timm ViT", timm=name)
    assert not app.error and _canvases(app) == CANVASES["Attention"]


def test_a_network_without_a_map_says_why_and_attribution_still_works():
    app = _open(network="Any timm ViT", timm="xcit_nano_12_p16_224", view="Attention")
    assert "has a map" in _texts(app.error) or _canvases(app) == CANVASES["Attention"]
    assert not _open(network="Any timm ViT", timm="xcit_nano_12_p16_224", view="Attribution").error


def test_weights_of_ones_own_are_mapped_and_every_name_is_reported():
    app = _open(weights="a file of mine", **TIMM)
    app.file_uploader(key="file").upload("w.safetensors", _weights(), "application/octet-stream").run()
    assert not app.exception and not app.error and not app.warning
    assert "tensors loaded from 'module'" in _texts(app.sidebar.caption)
    assert "weights of w.safetensors, sha256" in _texts(app.main.caption)
    assert len(app.sidebar.dataframe) == 1 and len(app.sidebar.dataframe[0].value) > 10


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x80\x04K\x01.", "w.safetensors is a pickle: opening one can run code"),
        (b"I am a text.", "not a safetensors file"),
        (_weights(**{"blocks.0.attn.qkv.weight": np.full((192, 64), np.nan, np.float32)}), "NaN or infinite"),
        (_weights(**{"pos_embed": np.zeros((1, 3, 64), np.float32)}), "do not fit test_vit"),
    ],
    ids=["pickle", "text", "NaN", "another shape"],
)
def test_weights_that_cannot_be_used_are_one_sentence(content, sentence):
    app = _open(weights="a file of mine", **TIMM)
    app.file_uploader(key="file").upload("w.safetensors", content, "application/octet-stream").run()
    assert not app.exception and len(app.error) == 1
    assert sentence in _texts(app.error) and _canvases(app) == []


def test_published_weights_are_named_and_nothing_is_fetched_before_the_button(monkeypatch):
    asked = []

    def no_network(place, name):
        asked.append(str(place))
        raise Problem(f"{place} could not be fetched", "there is no network")

    monkeypatch.setattr("vitviz.explain.model_hub._download", no_network)
    app = _open(network="Any timm ViT", timm="vit_tiny_patch16_224", weights="published: augreg_in21k_ft_in1k")
    assert "is not on this machine" in _texts(app.error)
    assert [one.label for one in app.sidebar.button] == ["Download its weights"] and asked == []
    app.sidebar.button[0].click().run()
    assert not app.exception and "could not be fetched" in _texts(app.error)
    assert asked == ["timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"]


def test_a_hub_name_is_checked_before_anything_else():
    app = _open(weights="by name on the hub", **TIMM)
    assert "no model is named yet" in _texts(app.error)
    assert "names no model of the hub" in _texts(_open(weights="by name on the hub", hub="../etc", **TIMM).error)


def test_a_size_that_does_not_fit_is_one_sentence():
    assert "must be a multiple of 16" in _texts(_open(side="392", **TIMM).error)
    assert not _open(side="224", **TIMM).error


# Pictures and links


@pytest.mark.parametrize(
    "query",
    [
        {"pin": "x_y"},
        {"pin": "99999_1"},
        {"layer": "99"},
        {"heads": "head 77"},
        {"query": "register 9"},
        {"norm": "loud"},
        {"mass": "-4"},
        {"round": "99"},
        {"sample": "999999"},
        {"view": ""},
        {"run": "none"},
        {"given": "0000"},
        {"framing": "x"},
    ],
    ids=str,
)
def test_a_bad_link_falls_back(query):
    app = _open(**{**RUN, **query})
    assert not app.error
    assert _canvases(app) == CANVASES["Attention"]


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
def test_odd_pictures_go_through_every_view(pixels, view):
    app = _open(view=view, pin="990_990", **TIMM)
    app.file_uploader(key="attention_file").upload("odd.png", _png(pixels), "image/png").run()
    assert not app.exception and not app.error, _texts(app.error)
    assert _canvases(app) == CANVASES[view]


def test_what_is_no_picture_is_one_sentence():
    app = _open(**TIMM)
    app.file_uploader(key="attention_file").upload("odd.png", b"I am a text.", "image/png").run()
    assert not app.exception and len(app.error) == 1 and _canvases(app) == []


def test_how_the_picture_is_fed_is_said_in_numbers():
    said = _texts(_open(photo="cat", **TIMM).sidebar.caption)
    assert "of that the centre" in said and "mean 0.5 0.5 0.5" in said
    squeezed = _texts(_open(photo="cat", framing="Whole picture", **TIMM).sidebar.caption)
    assert "stretched to" in squeezed


@pytest.mark.parametrize("photo", [one.name for one in list_photographs()][:2])
def test_a_super_token_opens_here_with_its_place_and_its_network(photo):
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/supertokens.py")
    app.query_params.update({"photo": photo, "pin": "300_400", "run": "clothing-supertoken"})
    app.run()
    (link,) = [one for one in _links(app) if "pin=" in one]
    assert f"photo={photo}" in link and "pin=300_400" in link and "run=clothing-supertoken" in link
    assert "framing=Whole+picture" in link


def test_an_uploaded_picture_goes_along_from_its_super_token():
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/supertokens.py")
    app.query_params.update({"model": "Pixels"})
    app.run()
    pixels = np.full((60, 90, 3), 200, np.uint8)
    app.file_uploader(key="supertokens_file").upload("mine.png", _png(pixels), "image/png").run()
    (link,) = [one for one in _links(app) if "given=" in one]
    given = dict(part.split("=") for part in link.split("&"))["given"]
    opened = _open(given=given, **TIMM)
    assert not opened.error and "mine.png, from another page" in _texts(opened.sidebar.caption)


def test_another_photograph_lets_go_of_the_one_that_was_handed_over():
    from vitviz.ui.photos import link_to
    from vitviz.ui.pickers import PickedImage

    given = link_to(PickedImage(np.full((9, 9, 3), 9, np.uint8), "mine.png", (), "k1"))
    app = _open(**given, **TIMM)
    assert "mine.png, from another page" in _texts(app.sidebar.caption)
    app.selectbox(key="photo").select("coffee").run()
    assert "mine.png" not in _texts(app.sidebar.caption) and "A cup of coffee" in _texts(app.sidebar.caption)


def test_a_missing_data_set_leaves_photographs(tmp_path, copy_run):
    copy_run("away", num_rounds=2, dataset="coil20")
    app = _open(network="Trained run", run="away")
    assert not app.error and "picture" not in app.session_state
    assert Path(tmp_path / "runs" / "away").exists()
