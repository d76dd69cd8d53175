"""Every page and view under AppTest: over the shipped runs, over none, over damaged ones, with pictures and bad links."""

import io
import json
import shutil

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from vitviz.runs.folder import Run, find_run, own_root, shipped_root
from vitviz.ui import navigation

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
SHIPPED = sorted(path.parent.name for path in shipped_root().glob("*/run.json"))
CLUSTERED = [name for name in SHIPPED if Run(shipped_root() / name).description().method in ("deep_clustering", "idec")]
PLACING = [name for name in CLUSTERED if Run(shipped_root() / name).has_weights(0)]
WITHOUT_MAP = ("cifar10-laptop-s1", "cifar10-laptop-s2")
PAGES = [name for entries in navigation.SECTIONS.values() for name, _, _ in entries]
VIEWS = ("Map", "River", "Curves", "Clusters", "Movers", "Your image")
CHARTS = {"Map": 0, "River": 0, "Curves": 5, "Clusters": 2, "Movers": 2, "Your image": 0}

pytestmark = pytest.mark.usefixtures("own_folders", "fresh_caches")


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of the runs of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


def _open(page: str, **query: str) -> AppTest:
    """The page as a link with that query shows it, by way of the router."""
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page(f"../../pages/{page}.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception, f"{page} {query}: {app.exception}"
    return app


def _view(view: str, run: str = "digits", **query: str) -> AppTest:
    return _open("deep_clustering", run=run, view=view, **query)


def _texts(elements) -> str:
    return "\n".join(str(element.value) for element in elements)


def _components(app: AppTest) -> list[str]:
    return [element.key for element in app.get("bidi_component") if element.key != "frame"]


def _png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def _upload(content: bytes, name: str = "seven.png", run: str = "digits") -> AppTest:
    app = _view("Your image", run)
    app.file_uploader[0].upload(name, content, "image/png").run()
    assert not app.exception
    return app


@pytest.fixture(scope="module")
def digit() -> np.ndarray:
    """A seven (8, 8, 3) uint8 that the shipped runs know."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = digits.images[np.flatnonzero(digits.target == 7)[0]]
    return (grey[:, :, None].repeat(3, 2) * 255 / 16).astype(np.uint8)


# All pages, all views


def test_the_shipped_runs_are_there():
    assert {"digits", "digits-control", "digits-half-trained", "digits-half-trained-control"} <= set(SHIPPED)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_under_one_title(page):
    assert len(_open(page).title) == 1


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("run", CLUSTERED)
def test_every_view_of_every_shipped_run_is_drawn(run, view):
    app = _view(view, run)
    assert app.sidebar.selectbox(key="run").value == run
    assert app.segmented_control(key="view").value == view
    assert not app.error
    assert len(app.metric) == 4
    assert len(app.get("plotly_chart")) == CHARTS[view]
    assert (f"map_{run}" in _components(app)) == (view == "Map" and run not in WITHOUT_MAP)
    assert len(app.file_uploader) == (view == "Your image" and run in PLACING)


def test_the_home_page_leads_to_the_runs_that_are_shipped():
    app = _open("home")
    clustered = ("digits", "cifar10-laptop", "digits-half-trained")
    others = ("clothing-supertoken", "digits-subspace-steps", "clothing-coat")
    begun = [run for run in (*clustered, *others) if run in SHIPPED]
    links = [link.proto.query_string for link in app.get("page_link") if link.proto.query_string]
    assert links == [f"run={run}" for run in begun]


def test_the_table_lists_every_run_with_its_scores(copy_run):
    copy_run("mine", title="My own")
    table = _open("runs").dataframe[0].value.set_index("run")
    assert set(table.index) == {*SHIPPED, "mine"}
    assert table.loc["digits", "state"] == "shipped"
    assert table.loc["mine", "state"] == "finished"
    assert table.loc["mine", "open"] == "deep_clustering?run=mine"
    assert table.loc["mine", "NMI"] == table.loc["digits", "NMI"] > 0.5


def test_the_views_keep_their_run_when_they_are_changed():
    app = _view("Map", "digits-half-trained")
    for view in VIEWS[1:]:
        app.segmented_control(key="view").set_value(view).run()
        assert not app.exception
        assert app.sidebar.selectbox(key="run").value == "digits-half-trained"


@pytest.mark.parametrize("view", VIEWS)
def test_a_run_of_fewer_rounds_may_be_chosen_after_one_of_many(view, copy_run):
    copy_run("short", num_rounds=2)
    app = _view(view, "digits", round_a="5", round_b="6", confusion_round="6", round="6")
    app.sidebar.selectbox(key="run").set_value("short").run()
    assert not app.exception
    assert "has no round" not in _texts(app.error)
    assert {slider.max for slider in app.slider} <= {1}
    assert len(app.metric) == 4


def test_a_run_of_other_clusters_may_be_chosen_after_one_was_picked(copy_run):
    names = [f"klasse {index}" for index in range(10)]
    copy_run("renamed", class_names=names)
    app = _view("Clusters")
    app.selectbox(key="cluster").set_value(app.selectbox(key="cluster").options[9]).run()
    app.sidebar.selectbox(key="run").set_value("renamed").run()
    assert not app.exception
    box = app.selectbox(key="cluster")
    assert "klasse" in box.options[int(box.value)]


# What the views say


def test_curves_are_those_of_the_run_and_its_control():
    app = _view("Curves")
    assert app.metric[3].value == _view("Curves", "digits-control").metric[0].value
    app.segmented_control(key="score").set_value("AMI").run()
    assert "chance" in _texts(app.caption)


def test_the_stop_rule_answers_to_its_epsilon():
    app = _view("Curves", rule="absolute")
    app.select_slider(key="epsilon").set_value(0.5).run()
    assert "would have stopped after round 1 of" in _texts(app.caption)
    app.select_slider(key="epsilon").set_value(0.001).run()
    assert "With ε = 0.001" in _texts(app.caption)


def test_a_cluster_at_two_rounds_is_told_in_three_groups_that_add_up():
    app = _view("Clusters", round_a="0", round_b="6")
    counts = {line.split()[1]: int(line.split()[0][2:].replace(",", "")) for line in _groups(app)}
    change = _change_of_first_cluster(0, 6)
    assert counts == {"stayed**": len(change.stayed), "left": len(change.left), "joined": len(change.joined)}


def _groups(app: AppTest) -> list[str]:
    return [text.value for text in app.markdown if text.value.startswith("**") and text.value[2].isdigit()]


def _change_of_first_cluster(before: int, after: int):
    from vitviz.explain.deep_clustering import change_of_cluster

    return change_of_cluster(find_run("digits"), 0, before, after)


def test_between_a_round_and_itself_nobody_is_shown_as_moved():
    app = _view("Movers", round_a="3", round_b="3")
    assert "between round 3 and round 3" in _texts(app.info)
    assert not app.get("plotly_chart")


def test_movers_are_shown_by_kind_and_as_a_table():
    app = _view("Movers", "digits-half-trained", part="all")
    shown = sum(int(line.split()[0][2:].replace(",", "")) for line in _groups(app))
    assert shown == len(app.dataframe[1].value) > 50


# Nothing there yet, and things broken


@pytest.mark.usefixtures("nothing_shipped")
def test_without_a_run_every_page_says_how_to_make_one():
    app = _open("deep_clustering")
    assert "There is no run to show yet" in _texts(app.info)
    assert app.code[0].value == "python -m vitviz train deep_clustering --preset digits"
    assert "There is no run yet" in _texts(_open("home").info)
    assert "There is no run yet" in _texts(_open("runs").info)
    assert "python -m vitviz train" in _texts(_open("runs").code)


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"schema": 99}', '{"schema": 1, "method": "deep_clustering"}']
)
def test_a_damaged_run_is_named_in_the_table_and_breaks_no_page(content, copy_run):
    (copy_run("damaged").path / "run.json").write_text(content)
    table = _open("runs").dataframe[0].value
    assert table.loc[0, "run"] == "damaged"
    assert table.loc[0, "state"].startswith("cannot be read")
    assert "There is no run to show yet" in _texts(_open("deep_clustering", run="damaged").info)
    assert "Make your own" in _texts(_open("home").header)


def test_a_damaged_run_does_not_hide_the_others(copy_run):
    (copy_run("damaged").path / "run.json").write_text("{")
    assert _view("Map", "damaged").sidebar.selectbox(key="run").options == CLUSTERED
    assert len(_open("runs").dataframe[0].value) == 1 + len(SHIPPED)


@pytest.mark.usefixtures("nothing_shipped")
def test_a_run_of_a_method_that_is_not_known_here_breaks_no_page(copy_run):
    copy_run("foreign", method="somebody_elses")
    assert "foreign" in set(_open("runs").dataframe[0].value["run"])
    assert "Make your own" in _texts(_open("home").header)
    assert "There is no run to show yet" in _texts(_open("deep_clustering").info)


def test_a_run_handed_on_without_embeddings_leads_to_the_map_of_another_seed():
    app = _view("Map", "cifar10-laptop-s1")
    assert not app.error and "handed on without its embeddings" in _texts(app.info)
    links = [link.proto for link in app.get("page_link")]
    assert [(link.label, link.query_string) for link in links if "seed" in link.label] == [
        ("The map of seed 0", "run=cifar10-laptop")
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_a_running_run_shows_how_far_it_is_and_the_rounds_there_are(view, copy_run, tell_status):
    tell_status(copy_run("live", num_rounds=3), "running")
    app = _view(view, "live")
    assert app.get("progress")[0].proto.text.startswith("running")
    assert len(app.metric) == 4
    assert ("has no map yet" in _texts(app.error).replace("\\", "")) == (view == "Map")


def test_a_run_before_its_first_round_says_so_in_one_sentence(copy_run, tell_status):
    tell_status(copy_run("fresh", num_rounds=0), "running")
    app = _view("Map", "fresh")
    assert "The first round is not finished yet" in _texts(app.info)
    assert not app.metric and not app.error


def test_a_round_that_is_saved_but_not_yet_scored_counts_as_not_finished(copy_run, tell_status):
    run = copy_run("cut", num_rounds=1)
    _forget_score(run, 0)
    tell_status(run, "running")
    assert "The first round is not finished yet" in _texts(_view("Curves", "cut").info)


@pytest.mark.parametrize("view", VIEWS)
def test_a_later_round_that_is_saved_but_not_yet_scored_breaks_no_view(view, copy_run):
    _forget_score(copy_run("cut", num_rounds=3), 2)
    assert len(_view(view, "cut").metric) == 4


def test_a_control_that_is_not_yet_scored_counts_as_none(copy_run):
    settings = {**find_run("digits").description().settings, "cluster_weight": 0.0}
    _forget_score(copy_run("digits-control", num_rounds=1, settings=settings), 0)
    without_control = _view("Curves", "digits-half-trained-control").metric[3].value
    assert _view("Curves").metric[3].value == without_control != _view("Curves", "digits-half-trained").metric[3].value


def _forget_score(run: Run, index: int) -> None:
    """As it is for a moment in every round: its arrays are written and its record is not."""
    kept = [record for record in run.metrics() if (record["kind"], record["index"]) != ("round", index)]
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in kept))


@pytest.mark.parametrize("view", VIEWS)
def test_a_run_of_one_round_is_drawn(view, copy_run):
    app = _view(view, copy_run("one", num_rounds=1).name)
    assert len(app.metric) == 4
    assert not [metric for metric in app.metric[:3] if metric.delta]


@pytest.mark.parametrize(
    ("state", "is_alive", "sentence"),
    [
        ("running", False, "This run was interrupted. `python -m vitviz train deep_clustering --run mine --resume`"),
        ("cancelled", True, "This run was cancelled."),
    ],
)
def test_a_run_that_stopped_says_how_it_goes_on(copy_run, tell_status, state, is_alive, sentence):
    tell_status(copy_run("mine", num_rounds=2), state, is_alive=is_alive)
    app = _view("Curves", "mine")
    assert sentence in _texts(app.warning)
    assert not app.error


def test_a_run_that_failed_says_why_and_its_words_are_taken_literally(copy_run, tell_status):
    tell_status(copy_run("mine", num_rounds=2), "failed", error="the loss is [NaN](https://evil.example) at step 7")
    error = _texts(_view("Curves", "mine").error)
    assert error.startswith("This run failed\\: the loss is")
    assert "](" not in error


@pytest.mark.parametrize("view", VIEWS)
def test_a_run_without_labels_is_drawn_and_says_what_needs_them(view, copy_run):
    copy_run("bare", classes=-1, class_names=[])
    lines = (own_root() / "bare" / "metrics.jsonl").read_text().replace('"held_out_nmi": 0.', '"without_nmi": 0.')
    (own_root() / "bare" / "metrics.jsonl").write_text(lines.replace('"held_out_acc": 0.', '"without_acc": 0.'))
    app = _view(view, "bare")
    assert [metric.value for metric in app.metric[:2]] == ["not defined", "not defined"]
    sentence = "has no labelled image there" in _texts(app.error)
    assert sentence == (view in ("Clusters", "Movers"))
    assert len(app.error) == sentence, _texts(app.error)


@pytest.mark.parametrize("view", VIEWS)
def test_a_run_whose_images_are_gone_shows_all_that_needs_none(view, copy_run):
    copy_run("moved", dataset="no/such/folder", dataset_fingerprint="feedfeedfeedfeed")
    app = _view(view, "moved")
    assert len(app.get("plotly_chart")) == CHARTS[view]
    assert all("no/such/folder" in error.value.replace("\\", "") for error in app.error)
    assert len(app.error) == (view == "Clusters")


def test_a_run_without_weights_says_before_a_picture_is_given_how_to_keep_them(copy_run):
    run = copy_run("light")
    for weights in run.path.glob("rounds/*/weights.safetensors"):
        weights.unlink()
    app = _view("Your image", "light")
    assert "keep-round-weights=true" in _texts(app.info).replace("\\", "")
    assert not app.file_uploader and not app.error


# Pictures that somebody gives


@pytest.mark.parametrize("run", PLACING)
def test_a_digit_that_is_given_is_named_and_placed(run, digit):
    app = _upload(_png(digit), run=run)
    assert not app.error
    assert "after the last round" in _texts(app.markdown)
    assert len(app.get("plotly_chart")) == 2
    assert any("neighbors" in key for key in _components(app))


def test_a_digit_that_is_given_falls_into_the_cluster_of_its_class(digit):
    (line,) = [text.value for text in _upload(_png(digit)).markdown if "after the last round" in text.value]
    assert line.replace("\\", "").startswith("**cluster 7**")


def test_a_picture_that_was_given_stands_in_the_address_so_a_reload_places_it_again(digit):
    before = _upload(_png(digit))
    again = _view("Your image", given=before.query_params["given"])
    assert [one.value for one in again.markdown if "after the last round" in one.value] == [
        one.value for one in before.markdown if "after the last round" in one.value
    ]
    assert r"seven\.png, from another page or from before" in _texts(again.caption)


def test_what_decoding_did_to_a_picture_is_told(digit):
    clear = np.dstack([digit, np.full(digit.shape[:2], 128, np.uint8)])
    assert "transparency placed on white" in _texts(_upload(_png(clear)).caption)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"I am a text and not a picture.", "it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image"),
        (_png(np.zeros((1, 1, 3), np.uint8)), "1 x 1 pixels; at least 2 x 2 are needed"),
        (_png(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), "JPEG")[:900], "ends too early"),
        (b"", "it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image"),
    ],
    ids=["text", "one-pixel", "truncated", "empty"],
)
def test_what_is_no_picture_is_refused_in_one_sentence_with_its_name(content, reason):
    app = _upload(content, "my [seven](https://evil.example).png")
    (error,) = app.error
    sentence = error.value.replace("\\", "").replace("\u2060", "")
    assert sentence.startswith("my [seven](https://evil.example).png")
    assert reason in sentence
    assert "](" not in error.value
    assert len(app.metric) == 4


def test_a_good_picture_after_a_bad_one_is_placed(digit):
    app = _upload(b"no picture")
    app.file_uploader[0].upload("seven.png", _png(digit), "image/png").run()
    assert not app.error and not app.exception
    assert "after the last round" in _texts(app.markdown)


# Links that lie


@pytest.mark.parametrize(
    "query",
    [
        {"run": "../../etc"},
        {"run": "no-such-run"},
        {"run": ""},
        {"view": "nonsense"},
        {"view": "Map", "round": "999"},
        {"view": "Map", "round": "-1"},
        {"view": "Map", "round": "٣"},
        {"view": "Map", "color": "javascript:alert(1)"},
        {"view": "Map", "selected": "garbage"},
        {"view": "Map", "selected": "0_123"},
        {"view": "Map", "selected": "９_100100900100900900"},
        {"view": "Map", "selected": "²_100100900100900900"},
        {"view": "Map", "selected": "99999999999999999999_100100900100900900"},
        {"view": "Curves", "epsilon": "abc", "rule": "none", "score": "F1"},
        {"view": "Clusters", "cluster": "cluster 99", "round_a": "x", "round_b": "-3", "part": "half"},
        {"view": "Movers", "round_a": "1e9", "round_b": "", "part": "held%20out"},
    ],
    ids=str,
)
def test_a_link_that_asks_for_what_there_is_not_falls_back(query):
    app = _open("deep_clustering", **query)
    assert not app.error
    assert app.sidebar.selectbox(key="run").value == "digits"
    assert app.segmented_control(key="view").value == (query.get("view") if query.get("view") in VIEWS else "Map")
    assert len(app.metric) == 4


def test_a_link_to_a_selection_names_the_images_inside():
    app = _view("Map", selected="2_000000999000999999000999")
    assert "**1,797 images selected at round 2**" in _texts(app.markdown)
    assert app.query_params["selected"] == "2_000000999000999999000999"
    app = _view("Map", selected="6_000000001000001001000001")
    assert "**0 images selected at round 6**" in _texts(app.markdown)


def test_a_selection_of_a_round_that_is_gone_is_taken_at_the_last_one(copy_run):
    copy_run("mine")
    app = _view("Map", "mine", selected="12_000000999000999999000999")
    assert "1,797 images selected at round 6" in _texts(app.markdown)


def test_an_own_run_of_a_shipped_name_is_the_one_that_is_shown(copy_run):
    copy_run("digits", title="Mine now")
    assert "Mine now" in _texts(_view("Map").sidebar.caption)
    shutil.rmtree(own_root() / "digits")
    assert "Mine now" not in _texts(_view("Map").sidebar.caption)


@pytest.mark.parametrize("empty", ["view", "score", "rule"])
def test_an_empty_value_in_a_link_is_the_first_choice(empty):
    app = _open("deep_clustering", **{"view": "Curves", empty: ""})
    assert not app.error and not app.exception
