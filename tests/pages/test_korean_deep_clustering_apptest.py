"""Every view of deep clustering in Korean: nothing is left in English but names."""

import io

import numpy as np
import pytest
from PIL import Image

from vitviz.languages.phrases import phrase_book
from vitviz.runs.folder import Run, shipped_root
from vitviz.ui.components import cluster_river, film_strip, round_map

NAMES = ("digits", "attention")
"""The run that a link names, and the page that it leads to."""
VIEWS = {
    "Map": {"selected": "2_000000999000999000999000", "image": "12"},
    "River": {"flow": "1_9_3", "drawn": "only those that move", "image": "12"},
    "Curves": {"score": "ACC", "rule": "absolute"},
    "Clusters": {"part": "all", "image": "12"},
    "Movers": {"part": "train", "image": "12"},
    "Your image": {},
}

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.mark.parametrize("run", ["digits", "digits-unsupervised"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_korean(korean, view, run):
    app = korean.open_korean("deep_clustering", view=view, run=run, **VIEWS[view])
    assert korean.untranslated(app, names=NAMES) == []


@pytest.mark.parametrize("view", ["Map", "Movers", "Your image"])
def test_a_run_handed_on_without_embeddings_is_korean(korean, view):
    names = (*NAMES, *Run(shipped_root() / "cifar10-laptop-s1").description().class_names)
    app = korean.open_korean("deep_clustering", view=view, run="cifar10-laptop-s1")
    assert korean.untranslated(app, names=names) == []


def test_warnings_and_every_score_are_korean(korean):
    for score in ("NMI", "ARI", "AMI"):
        app = korean.open_korean("deep_clustering", view="Curves", run="digits-half-trained", score=score)
        assert korean.untranslated(app, names=NAMES) == []


def test_a_change_begins_with_its_sign_which_says_where_its_arrow_points(korean):
    app = korean.open_korean("deep_clustering", run="digits-half-trained")
    assert [metric.delta[0] for metric in app.metric[:3]] == ["-", "-", "-"]


def test_a_picture_that_is_given_is_placed_in_korean(korean):
    pixels, file = np.zeros((8, 8, 3), np.uint8), io.BytesIO()
    pixels[1:7, 3:5] = 255
    Image.fromarray(pixels).save(file, "PNG")
    app = korean.open_korean("deep_clustering", view="Your image")
    app.file_uploader[0].upload("one.png", file.getvalue(), "image/png").run()
    assert not app.exception
    assert korean.untranslated(app, names=NAMES) == []


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_missing_is_said_in_korean(korean, copy_run, tell_status, view):
    run = copy_run("bare", num_rounds=1, classes=-1, class_names=[], dataset="gone", dataset_fingerprint="f" * 16)
    tell_status(run, "cancelled")
    app = korean.open_korean("deep_clustering", view=view, run="bare", image="3")
    known = ("cifar10", "clothing", "coil20")
    assert korean.untranslated(app, names=(*NAMES, *known, "bare", "gone")) == []


def test_a_page_without_a_run_is_korean(korean, nothing_shipped):
    assert korean.untranslated(korean.open_korean("deep_clustering"), names=NAMES) == []


def test_another_seed_is_spoken_of_in_korean(korean, copy_run):
    from vitviz.runs.folder import Run

    settings = {**Run(shipped_root() / "digits").description().settings, "seed": 1}
    copy_run("digits-s1", settings=settings, seed=1)
    for view in ("Map", "Curves"):
        app = korean.open_korean("deep_clustering", view=view, run="digits")
        assert korean.untranslated(app, names=(*NAMES, "digits-s1")) == []


@pytest.mark.parametrize(
    "words", [round_map.LABELS, cluster_river.WORDS, film_strip.WORDS], ids=["map", "river", "film"]
)
def test_the_components_have_a_phrase_for_every_word(words):
    known = phrase_book("ko").phrases
    assert [text for name, text in words.items() if name != "locale" and text not in known] == []
