"""The river, the ledger, the film strip and the layers of trust and of seeds on the page of deep clustering."""

import json
import threading

import numpy as np
import pytest
from starlette.requests import Request
from streamlit.testing.v1 import AppTest

from vitviz.config import to_plain
from vitviz.data.sets import data_folder
from vitviz.explain.map_trust import trust_of_round
from vitviz.explain.seed_stability import stability, version_with
from vitviz.runs.folder import find_run, shipped_root
from vitviz.training.spectral import SpectralConfig
from vitviz.ui.routes import routes
from vitviz.ui.tasks import downloads

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"

pytestmark = pytest.mark.usefixtures("own_folders")


def _view(view: str, run: str = "digits", **query: str) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/deep_clustering.py")
    app.query_params.update({"view": view, "run": run, **query})
    app.run()
    assert not app.exception
    return app


def _texts(elements) -> str:
    return "\n".join(str(element.value) for element in elements)


def _data(app: AppTest, key: str) -> dict:
    return next(json.loads(one.proto.json) for one in app.get("bidi_component") if one.key == key)


def test_a_link_to_a_band_shows_the_images_that_went_that_way():
    app = _view("River", "digits-half-trained", flow="1_9_3", part="all")
    river = _data(app, "river_digits-half-trained")
    count = next(band[3] for band in river["bands"] if band[:3] == [1, 9, 3])
    assert river["picked"] == "1_9_3"
    assert f"**{count} images go from cluster 9 \\(8\\) at round 1 to cluster 3 at round 2**" in _texts(app.markdown)
    assert len(_data(app, "river_images_digits-half-trained")["items"]) == min(count, 240)


def test_only_what_moves_is_drawn_when_it_is_asked_for():
    app = _view("River", drawn="only those that move")
    assert all(source != target for _, source, target, *_ in _data(app, "river_digits")["bands"])
    assert _data(_view("River"), "river_digits")["sizes"][0] != _data(app, "river_digits")["sizes"][0]


@pytest.mark.parametrize("flow", ["9_0", "6_0_1", "1_99", "x", "1_2_3_4", "-1_0", "1__2"])
def test_a_link_to_a_band_that_there_is_not_shows_the_river_alone(flow):
    app = _view("River", flow=flow)
    assert not app.error
    assert not [text for text in app.markdown if "images in" in text.value or "images go" in text.value]


def test_a_run_of_one_round_says_what_a_river_needs(copy_run):
    assert "A river needs two rounds" in _texts(_view("River", copy_run("one", num_rounds=1).name).info)


@pytest.mark.parametrize("view", ["Map", "River", "Clusters", "Movers"])
def test_an_image_is_followed_from_view_to_view_until_it_is_closed(view):
    app = _view(view, image="12")
    film = _data(app, "film_digits")
    assert [frame["round"] for frame in film["frames"]] == list(range(7))
    assert all(len(frame["neighbors"]) == 6 and 0 <= frame["margin"] <= 1 for frame in film["frames"])
    app.button(key="close_film").click().run()
    assert "film_digits" not in [one.key for one in app.get("bidi_component")]
    assert "image" not in app.query_params


def _links_to_supertokens(app: AppTest) -> list[str]:
    links = [one.proto for one in app.get("page_link")]
    return [one.query_string for one in links if one.label == "Open in super tokens"]


@pytest.mark.usefixtures("at_once")
def test_a_run_on_super_tokens_shows_them_in_every_round_and_leads_to_their_page():
    app = _view("Map", "digits-supertoken", image="100")
    assert _data(app, "film_digits-supertoken")["supertokens_url"] == ""
    ask = next(button for button in app.button if button.label == "Look where the network of each round looks")
    ask.click().run(timeout=60)
    film = _data(app, "film_digits-supertoken")
    assert film["supertokens_url"] and film["attention_url"]
    assert [frame["look"] for frame in film["frames"]] == list(range(7))
    assert "each in its mean colour" in _texts(app.caption)
    (link,) = _links_to_supertokens(app)
    assert "run=digits-supertoken" in link and "sample=100" in link
    assert not _links_to_supertokens(_view("Map", "digits", image="100"))


@pytest.mark.parametrize("image", ["99999", "-1", "x", "1797", ""])
def test_an_image_that_there_is_not_is_not_followed(image):
    assert "film_digits" not in [one.key for one in _view("Map", image=image).get("bidi_component")]


def test_a_strip_without_attention_maps_or_pictures_says_what_is_missing(copy_run):
    app = _view("Map", "digits-unsupervised", image="3")
    assert "No attention is shown" in _texts(app.caption)
    copy_run("gone", num_rounds=2, dataset="no/such/folder", dataset_fingerprint="feedfeedfeedfeed")
    app = _view("Movers", "gone", image="3", part="all")
    assert "the images of this data set are not on this machine" in _texts(app.caption)
    assert _data(app, "film_gone")["map_url"] == ""


def test_the_ledger_balances_and_stands_beside_its_control():
    app = _view("Movers", "digits", part="all")
    ledger = app.dataframe[0].value
    assert (ledger["right at round 0"] + ledger["repaired"] - ledger["broken"] == ledger["right at round 6"]).all()
    assert {"repaired, α = 0", "broken, α = 0", "kin before", "kin after"} <= set(ledger.columns)
    assert "**Its control, α = 0**" in _texts(app.markdown)
    movers = app.dataframe[1].value
    assert (movers["what"] == "repaired").sum() == ledger["repaired"].sum()
    assert (movers["what"] == "broken").sum() == ledger["broken"].sum()
    assert movers["kin after"].between(0, 1).all()


def test_a_ledger_without_a_control_says_so():
    app = _view("Movers", "digits-unsupervised")
    assert "There is no control of this run here" in _texts(app.markdown)
    assert "repaired, α = 0" not in app.dataframe[0].value.columns


@pytest.mark.parametrize("view", ["Curves", "Movers"])
def test_a_method_without_a_pull_is_told_of_no_control_and_no_stop_rule(copy_run, view):
    copy_run("plain", method="spectral", settings=to_plain(SpectralConfig(max_rounds=6)))
    app = _view(view, "plain")
    said = _texts([*app.caption, *app.markdown])
    assert "The dashed line" not in said and "Hollow" not in said and "compare the control" not in said
    assert "NMI at α = 0" not in [metric.label for metric in app.metric]
    assert ("has no stop rule" in said) == (view == "Curves") and not list(app.select_slider)
    assert ("there is no control with α = 0" in said) == (view == "Movers")


def test_without_another_seed_curves_and_map_say_how_to_make_one():
    alone = "digits-half-trained"
    command = f"python -m vitviz train deep_clustering --run {alone}-s1 --preset {alone} --set seed=1"
    app = _view("Curves", alone)
    assert "There is no band" in _texts(app.caption)
    assert command in [code.value for code in app.code]
    assert command in [code.value for code in _view("Map", alone).code]
    assert _data(_view("Map", alone), f"map_{alone}")["stability_url"] == ""


def test_other_seeds_make_a_band_and_a_colour():
    app = _view("Curves")
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    names = [trace["name"] for trace in figure["data"]]
    assert names[:4] == ["lowest to highest of 3 seeds"] * 2 + ["seed 1", "seed 2"]
    assert "mean of 3 seeds" in names
    assert "The band reaches from the lowest" in _texts(app.caption)
    assert "stability.bin?v=" in _data(_view("Map"), "map_digits")["stability_url"]
    assert "Seeds agree" in _texts(_view("Map").markdown)


def _ask(name: str, run: str, query: str = "", **path: int):
    """What the route of that file answers, undone."""
    found = next(route for route in routes() if route.path.endswith(f"/{name}"))
    scope = {"type": "http", "path_params": {"run": run, **path}, "headers": [], "query_string": query.encode()}
    answer = found.endpoint(Request(scope))
    return answer, np.frombuffer(answer.body, np.uint8) if answer.status_code == 200 else None


def test_the_browser_is_given_the_stability_of_every_image_and_round():
    others = [find_run("digits-s1"), find_run("digits-s2")]
    version = version_with(find_run("digits"), others)
    answer, levels = _ask("stability.bin", "digits", f"v={version}")
    assert "immutable" in answer.headers["Cache-Control"]
    sent = levels.reshape(7, 1797).cumsum(axis=0, dtype=np.uint8)
    assert np.abs(sent / 255 - stability(find_run("digits"), others)).max() <= 0.5 / 255 + 1e-6
    assert sent.min() < 20 < 120 < sent.max()


def test_the_browser_is_given_the_trust_of_a_round():
    expected = trust_of_round(find_run("digits"), 3)
    for name, values in (("trust", expected.trust), ("continuity", expected.continuity)):
        _, levels = _ask(f"{name}-{{round:int}}.bin", "digits", round=3)
        assert np.abs(levels / 255 - values).max() <= 0.5 / 255 + 1e-6


def test_a_layer_that_there_is_not_is_not_found():
    assert _ask("stability.bin", "digits-half-trained")[0].status_code == 404
    assert _ask("trust-{round:int}.bin", "digits", round=7)[0].status_code == 404


def test_a_followed_image_has_its_true_and_its_drawn_neighbours_on_the_map():
    links = _data(_view("Map", image="100"), "map_digits")["links"]
    assert links["sample"] == 100
    assert [[len(true), set(true) & set(drawn)] for true, drawn in links["rounds"]] == [[6, set()]] * 7
    assert _data(_view("Map"), "map_digits")["links"] is None


def test_images_that_are_missing_are_said_and_one_click_brings_them(copy_run, monkeypatch):
    def fetch(name, progress):
        assert name == "cifar10" and progress(1_000_000, 2_000_000)
        here = data_folder() / "cifar10"
        here.mkdir(parents=True)
        (here / "train.parquet").write_bytes(b"")

    monkeypatch.setattr("vitviz.ui.missing_images.download", fetch)
    run = copy_run("far", dataset="cifar10", dataset_title="CIFAR-10").name
    app = _view("Clusters", run)
    assert not app.error
    assert "The images of CIFAR-10 are not on this machine" in _texts(app.caption)
    assert "the images have to be on this machine" in _texts(app.info)
    app.button(key="begin_Images of CIFAR-10").click().run()
    while downloads().find("download-cifar10").state != "finished":
        threading.Event().wait(0.01)
    app.run()
    assert "are not on this machine" not in _texts(app.caption)


def test_images_of_a_folder_that_is_gone_are_said_without_a_button(copy_run):
    app = _view("Map", copy_run("gone", dataset="coil20", dataset_title="COIL-20").name)
    assert "`python -m vitviz data get coil20` says how they come here." in _texts(app.caption)
    assert not [button for button in app.button if button.label == "Get them"]


def test_a_ledger_has_no_column_of_what_is_not_known():
    assert not [name for name in _view("Movers", "cifar10-laptop-control").dataframe[0].value if "kin" in name]
    columns = list(_view("Movers", "cifar10-laptop").dataframe[0].value)
    assert "change of kin" in columns and columns[-1] == "broken, α = 0"
