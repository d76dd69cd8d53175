"""From settings to a run: what is written down before the first step."""

import dataclasses
from types import MappingProxyType

import numpy as np
import pytest

from vitviz import __version__
from vitviz.config import to_plain
from vitviz.data.sets import open_image_set
from vitviz.data.sketches import sketch
from vitviz.errors import Problem
from vitviz.runs.compact import export_compact
from vitviz.runs.folder import Run, find_run, list_runs
from vitviz.training.methods import METHODS, config_of, find_method
from vitviz.training.planned_records import count_records
from vitviz.training.setup import load_images, load_shown_images, start_run


@pytest.fixture
def fake_set(monkeypatch):
    """``fake_set(held_out=..., labels=...)``: the digits with other fields, opened by whatever name."""

    def make(**changes):
        fake = dataclasses.replace(open_image_set("digits", limit=200), **changes)
        monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, **__: fake)
        return fake

    return make


@pytest.fixture
def handed_on(train, tmp_path):
    """A small copy of a tiny run, with the sketches of its images."""
    run = train("first")
    images = load_images(run)
    export_compact(run, tmp_path / "handed-on", num_components=4, sketches=sketch(images))
    return Run(tmp_path / "handed-on")


def test_images_in_another_order_are_shown_at_their_places_and_not_trained_on(handed_on, fake_set):
    known = open_image_set("digits", limit=200)
    order = np.random.default_rng(0).permutation(200)
    fake_set(images=known.images[order], labels=known.labels[order], fingerprint="another order")
    assert np.array_equal(load_shown_images(handed_on), known.images)
    with pytest.raises(Problem, match="changed since it began"):
        load_images(handed_on)


def test_other_images_are_not_shown_for_those_of_a_run(handed_on, fake_set):
    known = open_image_set("digits", limit=200)
    fake_set(images=255 - known.images[::-1], labels=known.labels, fingerprint="others")
    with pytest.raises(Problem, match="data set is another one"):
        load_shown_images(handed_on)


def test_without_sketches_only_the_same_data_set_is_shown(train, fake_set):
    run = train("first")
    assert np.array_equal(load_shown_images(run), load_images(run))
    fake_set(fingerprint="another")
    with pytest.raises(Problem, match="changed since it began"):
        load_shown_images(run)


@pytest.mark.parametrize("method", METHODS)
def test_everything_that_was_decided_is_written_down(start, tiny, method):
    config = tiny(method, seed=3)
    about = start("noted", method, seed=3).description()
    assert about.settings == to_plain(config) and config_of(find_run("noted")) == config
    assert (about.method, about.dataset, about.dataset_title) == (method, "digits", "Handwritten digits")
    assert (about.num_images, about.img_size, about.num_clusters, about.seed) == (200, 32, 10, 3)
    assert about.class_names == tuple("0123456789")
    assert about.dataset_fingerprint == open_image_set("digits", limit=200).fingerprint
    assert about.versions["vitviz"] == __version__ and about.versions["torch"][0].isdigit()
    assert "threads" in about.device or "CUDA" in about.device or "MPS" in about.device
    assert any("100 of 200 images are held out" in note for note in about.notes)


def test_samples_are_every_image_with_its_class_and_a_stratified_half_held_out(start):
    run = start()
    samples, images = run.samples(), open_image_set("digits", limit=200)
    assert np.array_equal(samples.indices, np.arange(200))
    assert np.array_equal(samples.classes, images.labels)
    for label in range(10):
        assert samples.held_out[samples.classes == label].mean() == pytest.approx(0.5, abs=0.06)
    assert np.array_equal(load_images(run), images.images)


def test_the_seed_decides_which_images_are_held_out(start):
    first, same, other = (start(name, seed=seed).samples().held_out for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_a_data_set_with_a_test_part_keeps_it(start, fake_set):
    own = np.arange(200) < 30
    fake_set(held_out=own)
    assert np.array_equal(start().samples().held_out, own)


def test_a_test_part_that_is_empty_is_drawn(start, fake_set):
    fake_set(held_out=np.zeros(200, bool))
    assert start().samples().held_out.sum() == 100


@pytest.mark.parametrize("changes", [{"held_out_fraction": 0.001}, {"held_out_fraction": 0.999}])
def test_a_split_that_leaves_one_part_empty_is_refused_and_makes_no_run(start, changes):
    with pytest.raises(Problem, match=r"of 200 images would be held out.*change held_out_fraction"):
        start(**changes)
    assert list_runs() == []


def test_a_data_set_that_is_all_test_part_is_refused(start, fake_set):
    fake_set(held_out=np.ones(200, bool))
    with pytest.raises(Problem, match="200 of 200 images would be held out"):
        start()


def test_a_data_set_that_does_not_exist_makes_no_run(start):
    with pytest.raises(Problem, match="did you mean 'digits'"):
        start(dataset="digit")
    assert list_runs() == []


def test_the_choice_of_precision_is_made_once(start, monkeypatch):
    for gains, chosen in ((True, "on"), (False, "off")):
        monkeypatch.setattr("vitviz.training.setup.gains_from_bfloat16", lambda device, gains=gains: gains)
        assert start(f"auto-{chosen}", bfloat16="auto").description().settings["bfloat16"] == chosen


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(Problem, match="unknown method 'idek': did you mean 'idec'"):
        find_method("idek")


@pytest.mark.parametrize("method", METHODS)
def test_a_run_yields_no_more_records_than_counted(train, tiny, method):
    run = train("counted", method)
    assert len(run.metrics()) == count_records(tiny(method))


def test_settings_may_be_any_mapping_but_are_written_plain(start):
    assert type(start().description().settings) is dict
    assert MappingProxyType(start("again").description().settings)["limit"] == 200


def test_a_taken_name_is_refused(start, tiny):
    start("taken")
    with pytest.raises(Problem, match="run 'taken' exists"):
        start_run("taken", "deep_clustering", tiny())
