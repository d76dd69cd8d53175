"""The first page and the table of runs: what is scored on which images, over runs of every method."""

import json

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from vitviz.explain.teasers import affinity_twice
from vitviz.runs.export import export_scores
from vitviz.runs.folder import Run, create_run, find_run, shipped_root
from vitviz.runs.records import Coefficients, Description, Round, Samples
from vitviz.ui.kept import find_kept

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
LABELS = np.array([0, 1, 2, 3] * 5, np.int32)

pytestmark = pytest.mark.usefixtures("own_folders", "fresh_caches")


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def express():
    """``express("name")``: a run of subspace clustering of two rounds, of which it chose the first: ACC .9, the last .7."""

    def make(name: str = "digits-subspace-steps") -> Run:
        description = Description(
            method="subspace",
            title="Made by hand",
            settings={"seed": 0, "num_steps": 20},
            dataset="digits",
            dataset_title="Digits",
            dataset_fingerprint="feed" * 4,
            img_size=8,
            num_images=20,
            class_names=("a", "b", "c", "d"),
            num_clusters=4,
            seed=0,
        )
        run = create_run(name, description, Samples(np.arange(20, dtype=np.int32), LABELS, np.arange(20) >= 12))
        for index in range(2):
            run.save_coefficients(_coefficients(index + 1))
            run.save_round(index, _round())
        for index, (acc, nmi) in enumerate(((0.9, 0.95), (0.7, 0.85))):
            step = 10 * (index + 1)
            chosen = {"rule": "eigengap", "round": 0, "step": 10, "acc": 0.9, "nmi": 0.95} if index else None
            shares = {"acc": acc, "nmi": nmi, "held_out_acc": 0.1, "held_out_nmi": 0.1, "within_share": acc / 2}
            run.append_metrics({"kind": "round", "index": index, "step": step, "selection": chosen, **shares})
        run.set_status("finished")
        return run

    return make


def _round() -> Round:
    none = np.zeros(20, np.float32)
    return Round(
        embeddings=np.zeros((20, 2), np.float16),
        labels=LABELS,
        matched_labels=LABELS,
        centers=np.zeros((4, 2), np.float32),
        distances=none,
        runner_up_distances=none,
        predictions=LABELS,
    )


def _coefficients(num_rounds: int) -> Coefficients:
    """Each image takes of those of its own cluster alone."""
    blocks = (LABELS[:, None] == LABELS[None]).astype(np.float16) - np.eye(20, dtype=np.float16)
    return Coefficients(
        matrices=(blocks,) * num_rounds,
        steps=np.arange(num_rounds, dtype=np.int32),
        orders=np.tile(np.argsort(LABELS, kind="stable").astype(np.int32), (num_rounds, 1)),
        embeddings=np.zeros((num_rounds, 20, 4), np.float16),
        eigenvalues=np.zeros((num_rounds, 6)),
        scores=np.ones((num_rounds, 3)),
        made_by={
            "solver": "adam",
            "affinity": "simple",
            "threshold": None,
            "subspace_dim": 2,
            "power": 8.0,
            "num_clusters": 4,
            "seed": 0,
        },
    )


def _open(page: str) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=60).run()
    app.switch_page(f"../../pages/{page}.py")
    app.run()
    assert not app.exception
    return app


def _links_to_runs(app: AppTest) -> list[str]:
    return [link.proto.query_string for link in app.get("page_link") if link.proto.query_string]


def _component(app: AppTest, key: str) -> dict:
    """What the component of that key was given."""
    (found,) = [one.proto for one in app.get("bidi_component") if one.proto.id.endswith(f"-{key}")]
    return json.loads(found.json)


def test_a_run_of_subspace_clustering_tells_the_chosen_step_over_all_images(express, nothing_shipped):
    express()
    app = _open("home")
    assert _links_to_runs(app) == ["run=digits-subspace-steps"]
    (score,) = [one.value for one in app.caption if "ACC" in one.value]
    assert score == "ACC 0.900 over all images after step 10, chosen without labels"


def test_c_is_shown_as_the_images_come_and_by_cluster(express, nothing_shipped):
    unsorted, sorted_ = (picture[..., 0] for picture in affinity_twice(express(), ("#000000", "#ffffff")))
    assert unsorted.shape == sorted_.shape == (20, 20) and unsorted.dtype == np.uint8
    within = np.kron(np.eye(4), np.ones((5, 5))) - np.eye(20)
    assert np.array_equal(sorted_ == 255, within.astype(bool))
    assert np.array_equal(np.sort(unsorted, axis=None), np.sort(sorted_, axis=None))
    assert not np.array_equal(unsorted, sorted_)


def test_the_papers_follow_each_other_with_their_shipped_runs(express):
    express()
    shipped = ("digits", "cifar10-laptop", "digits-half-trained", "clothing-supertoken", "digits-subspace-steps")
    assert _links_to_runs(_open("home")) == [f"run={name}" for name in (*shipped, "clothing-coat")]


def test_damaged_coefficients_cost_two_pictures_and_no_page(express, nothing_shipped):
    (express().path / "coefficients.npz").write_bytes(b"nothing")
    app = _open("home")
    assert "coefficients.npz of run 'digits-subspace-steps' cannot be read" in app.error[0].value.replace("\\", "")
    assert any(header.value == "Four papers" for header in app.header)
    assert [len(card["pictures"]) for card in _component(app, "teasers")["cards"]] == [0, 0, 0]


def test_the_first_page_shows_a_run_in_motion_and_three_ways_to_begin():
    app = _open("home")
    live = _component(app, "live")
    assert live["address"] == "deep_clustering?run=digits&round={round}"
    assert len(live["notes"]) == 7 and len(live["anchors"]) == len(live["palette"]) == 10
    classes = find_run("digits").samples().classes[live["anchors"]]
    assert sorted(classes) == list(range(10)), "the most central image of a cluster is of its class"
    assert live["notes"][1].startswith("Round 1 of 6. 16 images change cluster. Held-out NMI 0.8")
    lesson, photo, run = (card["address"] for card in _component(app, "ways")["cards"])
    assert lesson.startswith("deep_clustering?") and "lesson=1-feedback&at=1" in lesson
    assert (photo, run) == ("supertokens", "deep_clustering?run=digits")


def test_every_small_picture_has_words_and_leads_to_the_page_it_is_of():
    cards = _component(_open("home"), "teasers")["cards"]
    assert [card["address"] for card in cards] == [
        "supertokens?photo=coffee",
        "subspace?run=digits-subspace-steps",
        "attention?photo=cat",
    ]
    assert [card["note"].partition(":")[0] for card in cards] == [
        "Run clothing-supertoken",
        "Run digits-subspace-steps",
        "Run clothing-supertoken",
    ]
    pictures = [picture for card in cards for picture in card["pictures"]]
    assert len(pictures) == 6 and all(picture["alt"] and picture["caption"] for picture in pictures)
    kept = [find_kept(picture["url"].rpartition("/")[2]) for picture in pictures]
    assert all(0 < len(one.content) < 150_000 for one in kept)


def test_without_the_shipped_runs_the_newest_that_has_a_map_is_shown(copy_run, nothing_shipped):
    run = copy_run("mine")
    app = _open("home")
    assert _component(app, "live")["address"] == "deep_clustering?run=mine&round={round}"
    assert [card["pictures"] for card in _component(app, "teasers")["cards"]] == [[], [], []]
    assert _component(app, "ways")["cards"][0]["address"] == "lessons", "its runs are not here"
    (run.path / "projection.npz").unlink()
    assert "No run here has a map yet" in _open("home").info[0].value


def test_the_table_says_which_images_a_score_is_counted_on(express, copy_run):
    express("mine")
    (express("begun").path / "metrics.jsonl").unlink()
    copy_run("cut", num_rounds=1)
    table = _open("runs").dataframe[0].value.set_index("run")
    assert not any("held" in column for column in table.columns)
    assert table.loc["mine", ["NMI", "ACC", "W/T", "scored on"]].tolist() == [0.95, 0.9, 0.45, "all images"]
    assert table.loc["cut", "scored on"] == table.loc["digits", "scored on"] == "held-out images"
    assert table.loc["begun", "scored on"] == "–"


def test_scores_that_were_handed_on_alone_are_in_the_table_and_not_on_the_first_page(
    express, nothing_shipped, tmp_path
):
    run = express("whole")
    export_scores(run, tmp_path / "runs" / "digits-subspace-steps")
    app = _open("home")
    assert _links_to_runs(app) == ["run=whole"]
    table = _open("runs").dataframe[0].value.set_index("run")
    assert table.loc["digits-subspace-steps", ["NMI", "ACC"]].tolist() == [0.95, 0.9]
    assert table.loc["digits-subspace-steps", "open"] == "compare?table=own&runs=digits-subspace-steps"
