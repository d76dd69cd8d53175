"""The small pictures of the first page: what is stored is what the network says, and what is drawn is what is stored."""

import numpy as np
import pytest

from benchmarks import teasers as maker
from vitviz.data.photographs import list_photographs
from vitviz.explain import teasers
from vitviz.explain.mosaic import mosaic
from vitviz.figures.theme import SEQUENTIAL_COLORS
from vitviz.runs.folder import Run, shipped_root

SHIPPED = shipped_root()
RAMP = ("#000000", "#ffffff")


def test_what_is_stored_is_what_the_shipped_network_says(monkeypatch):
    monkeypatch.setattr(maker, "find_run", lambda name: Run(SHIPPED / name))
    if {"coffee", "cat"} - {photo.name for photo in list_photographs()}:
        pytest.skip("the photographs are not on this machine")
    stored, told = teasers.read_told(), maker.tell()
    for noun in ("supertokens", "attention"):
        assert (stored[noun].run, stored[noun].photo, stored[noun].step) == (
            told[noun].run,
            told[noun].photo,
            told[noun].step,
        )
    # another machine's sums may send a pixel that is torn between two tokens to the other one
    assert (stored["supertokens"].values == told["supertokens"].values).mean() > 0.99
    np.testing.assert_allclose(stored["attention"].values, told["attention"].values, atol=1e-3)


def test_writing_what_was_read_gives_the_same_file(tmp_path, monkeypatch):
    before, told = teasers.FILE.read_text(), teasers.read_told()
    monkeypatch.setattr(teasers, "FILE", tmp_path / "teasers.json")
    teasers.write_told(told, maker.COMMAND)
    assert teasers.FILE.read_text() == before


def test_a_mosaic_has_one_colour_a_token_and_lines_between_them():
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[:, 30:] = 200
    picture = mosaic(photo, np.array([[0, 1]]), side=40)
    assert picture.shape == (40, 40, 3)
    assert (picture[:, :18] < 5).all() and (picture[:, 23:] > 195).all()
    assert (picture[:, 20] > photo[0, -1] * 0.9).all(), "the line is lighter than what it runs through"


def test_heat_is_brightest_at_the_largest_share():
    picture = teasers.heat(np.zeros((8, 12, 3), np.uint8), np.array([[0.1, 0.2], [0.4, 0.0]]), RAMP, side=8)
    assert picture.shape == (8, 8, 3)
    assert picture[6, 2, 0] == picture.max() and picture[6, 6, 0] == picture.min()


def test_an_affinity_by_cluster_has_the_same_values_in_blocks():
    run = Run(SHIPPED / "digits-subspace-steps")
    unsorted, by_cluster = teasers.affinity_twice(run, SEQUENTIAL_COLORS, side=run.description().num_images)
    assert unsorted.shape == by_cluster.shape == (700, 700, 3)
    same = [np.sort(one.reshape(-1, 3).view("u1,u1,u1"), axis=0) for one in (unsorted, by_cluster)]
    assert np.array_equal(*same)
    near = np.abs(np.subtract.outer(np.arange(700), np.arange(700))) < 20
    brightness = [one[..., 1].astype(float)[near].mean() for one in (unsorted, by_cluster)]
    assert brightness[1] > 1.3 * brightness[0]
