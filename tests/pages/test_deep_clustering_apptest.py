"""The river, the ledger, the film strip and the layers of trust and of seeds on the page of deep clustering."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from vitviz.runs.folder import shipped_root

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"

pytestmark = pytest.mark.usefixtures("own_folders")


def _view(view: str, run: str = "digits", **query: str) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=60).run()
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
