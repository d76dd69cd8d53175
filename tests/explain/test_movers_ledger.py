"""The ledger balances, and its neighbours are those of a loop over all distances."""

import numpy as np
import pytest

from vitviz.explain import movers_ledger
from vitviz.explain.deep_clustering import classes_of_clusters, find_movers
from vitviz.explain.movers_ledger import kin_shares, measure_kin, write_ledger
from vitviz.runs.folder import Run, shipped_root

SHIPPED = shipped_root()


@pytest.fixture
def run(make_run):
    return make_run()


@pytest.mark.parametrize("part", ["all", "held out", "train"])
@pytest.mark.parametrize(("before", "after"), [(0, 1), (0, 2), (2, 0)])
def test_the_books_balance_in_every_class(run, before, after, part):
    ledger = write_ledger(run, before, after, part)
    assert (ledger.right_before + ledger.repaired - ledger.broken).tolist() == ledger.right_after.tolist()
    assert (ledger.repaired <= ledger.images - ledger.right_before).all()
    assert (ledger.broken <= ledger.right_before).all()


def test_a_ledger_counts_the_movers_of_each_class(run):
    ledger, movers = write_ledger(run, 0, 2, "all"), find_movers(run, 0, 2, "all")
    assert ledger.classes.tolist() == [0, 1, 2]
    assert ledger.images.tolist() == [4, 4, 4]
    for kind in ("repaired", "broken", "moved"):
        counted = [((movers.kinds == kind) & (movers.classes == one)).sum() for one in range(3)]
        assert getattr(ledger, kind).tolist() == counted


def test_a_round_that_a_control_does_not_have_is_taken_as_its_last(make_run):
    short = make_run("short", matched=[[0, 0, 1], [0, 1, 1]], classes=[0, 0, 1])
    ledger = write_ledger(short, 0, 9, "all")
    assert (ledger.before, ledger.after) == (0, 1)


def test_kin_is_the_share_of_the_nearest_images_that_are_of_the_class():
    rows, run = np.array([0, 5, 700, 1796]), Run(SHIPPED / "digits")
    classes, known = run.samples().classes, np.asarray(run.round(3).embeddings, np.float64)
    expected = []
    for row in rows:
        distances = np.linalg.norm(known - known[row], axis=1)
        distances[row] = np.inf
        expected.append((classes[np.argsort(distances)[:15]] == classes[row]).mean())
    assert kin_shares(run, 3, rows) == pytest.approx(expected)


def test_kin_does_not_depend_on_how_many_rows_are_looked_up_at_once(monkeypatch):
    rows, run = np.arange(40), Run(SHIPPED / "digits")
    whole = kin_shares(run, 1, rows)
    monkeypatch.setattr(movers_ledger, "_CHUNK_VALUES", 7 * 1797)
    assert kin_shares(run, 1, rows).tolist() == whole.tolist()


def test_of_many_movers_a_fixed_sample_is_measured(monkeypatch):
    run = Run(SHIPPED / "digits-half-trained")
    movers = find_movers(run, 0, 4, "all")
    monkeypatch.setattr(movers_ledger, "MOST_DISTANCES", 20 * 1797 + 5)
    kin = measure_kin(run, movers, 0, 4)
    assert len(movers.samples) > 20 == (~np.isnan(kin.before)).sum() == (~np.isnan(kin.after)).sum()
    assert measure_kin(run, movers, 0, 4).after.tolist() == pytest.approx(kin.after.tolist(), nan_ok=True)


def test_the_mean_kin_of_a_class_is_that_of_its_movers(run):
    movers = find_movers(run, 0, 2, "all")
    kin, ledger = measure_kin(run, movers, 0, 2), write_ledger(run, 0, 2, "all")
    of_two = movers.classes == 2
    assert of_two.any()
    assert ledger.kin_after[2] == pytest.approx(kin.after[of_two].mean())


def test_right_images_are_those_whose_cluster_stands_for_their_class(run):
    standing, ledger = classes_of_clusters(run), write_ledger(run, 0, 2, "all")
    for index, counts in ((0, ledger.right_before), (2, ledger.right_after)):
        right = standing[index][run.round(index).matched_labels] == run.samples().classes
        assert counts.sum() == (right & (run.samples().classes >= 0)).sum()
