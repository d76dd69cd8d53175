"""The river of a run of known labels: every band is counted by hand, and by a loop over images."""

import numpy as np
import pytest

from vitviz.explain.cluster_river import (
    count_river,
    images_of_band,
    images_of_cluster,
    largest_moves,
    moved_shares,
    sizes_of_moves,
)
from vitviz.explain.deep_clustering import classes_of_clusters, cluster_sizes, find_movers


@pytest.fixture
def run(make_run):
    return make_run()


def _band(river, *where) -> list[int]:
    return next(row[3:].tolist() for row in river.bands if tuple(row[:3]) == where)


def test_bands_are_counted_with_their_repaired_and_broken_images(run):
    river = count_river(run, "all")
    assert _band(river, 0, 1, 0) == [1, 1, 0]
    assert _band(river, 0, 2, 1) == [1, 0, 1]
    assert (river.num_images, river.num_travellers) == (13, 6)


@pytest.mark.parametrize("part", ["all", "held out", "train"])
def test_bands_are_those_of_a_loop_over_images(run, part):
    river, held_out = count_river(run, part), run.samples().held_out
    chosen = {"all": held_out | ~held_out, "held out": held_out, "train": ~held_out}[part]
    counted: dict = {}
    for index in range(run.num_rounds() - 1):
        pairs = zip(run.round(index).matched_labels, run.round(index + 1).matched_labels, chosen, strict=True)
        for source, target, is_in in pairs:
            if is_in:
                counted[index, int(source), int(target)] = counted.get((index, int(source), int(target)), 0) + 1
    assert {tuple(row[:3]): row[3] for row in river.bands.tolist()} == counted
    assert river.bands[:, 3].tolist() == sorted(river.bands[:, 3], reverse=True)


def test_what_leaves_and_enters_a_block_is_what_it_holds(run):
    river = count_river(run, "all")
    assert river.sizes.tolist() == cluster_sizes(run).tolist()
    for index in range(2):
        step = river.bands[river.bands[:, 0] == index]
        for column, held in ((1, river.sizes[index]), (2, river.sizes[index + 1])):
            assert np.bincount(step[:, column], step[:, 3], minlength=3).tolist() == held.tolist()


def test_repaired_and_broken_images_of_a_step_are_those_of_the_movers(run):
    river, movers = count_river(run, "all", standing=classes_of_clusters(run)), find_movers(run, 0, 1, "all")
    step = river.bands[river.bands[:, 0] == 0]
    assert step[:, 4].sum() == (movers.kinds == "repaired").sum()
    assert step[:, 5].sum() == (movers.kinds == "broken").sum()


def test_a_block_of_movers_is_as_tall_as_the_larger_of_both_ways(run):
    river = count_river(run, "all")
    tall = sizes_of_moves(river)
    assert tall[0].tolist() == [1, 1, 1]
    assert (tall <= river.sizes + river.sizes.max()).all()
    entering = sum(row[3] for row in river.moves().tolist() if row[0] == 1 and row[2] == 2)
    assert tall[2, 2] == entering


def test_images_of_a_band_and_of_a_block_are_the_nearest_first(run):
    before, after = run.round(0).matched_labels, run.round(1).matched_labels
    rows = images_of_band(run, 0, 0, 0, "all")
    assert sorted(rows) == np.flatnonzero((before == 0) & (after == 0)).tolist()
    assert (np.diff(run.round(1).distances[rows]) >= 0).all()
    assert sorted(images_of_cluster(run, 2, 1, "all")) == np.flatnonzero(run.round(2).matched_labels == 1).tolist()
    held_out = images_of_cluster(run, 2, 1, "held out")
    assert run.samples().held_out[held_out].all()


def test_a_run_of_one_round_has_blocks_and_no_bands(make_run):
    river = count_river(make_run("one", matched=[[0, 0, 1]], classes=[0, 0, 1]), "all")
    assert river.sizes.tolist() == [[2, 1, 0]]
    assert river.bands.shape == (0, 6)
    assert river.num_travellers == 0


def test_without_labels_nothing_is_repaired_or_broken(make_run):
    river = count_river(make_run("bare", classes=[-1] * 13), "all")
    assert river.bands[:, 4:].sum() == 0


def test_of_many_moves_every_step_keeps_its_largest(run):
    river = count_river(run, "all")
    drawn = largest_moves(river, 4)
    assert len(largest_moves(river, 1_000)) == len(river.moves())
    for index in range(2):
        step = river.moves()[river.moves()[:, 0] == index]
        assert drawn[drawn[:, 0] == index].tolist() == step[:2].tolist()


def test_the_share_that_moves_at_a_step_is_counted_over_images(run):
    labels = [run.round(index).matched_labels for index in range(3)]
    expected = [(labels[index] != labels[index + 1]).mean() for index in range(2)]
    assert moved_shares(count_river(run, "all")).tolist() == pytest.approx(expected)
