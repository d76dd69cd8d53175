"""Company over seeds beside a loop over pairs of images, and the band beside plain numbers."""

import numpy as np
import pytest

from vitviz.explain.seed_stability import mean_curve, seed_band, shared_company, stability, version_with


def _company(labels, image) -> set[int]:
    return {other for other in range(len(labels)) if labels[other] == labels[image] and other != image}


def _by_hand(first, second) -> list[float]:
    shares = []
    for image in range(len(first)):
        one, other = _company(first, image), _company(second, image)
        shares.append(len(one & other) / len(one | other) if one | other else 1.0)
    return shares


@pytest.mark.parametrize("seed", range(3))
def test_shared_company_is_that_of_a_loop_over_images(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 5, 40), rng.integers(0, 7, 40)
    assert shared_company(first, second) == pytest.approx(_by_hand(first, second))


def test_company_is_blind_to_the_names_of_clusters_and_the_order_of_the_two():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, 30), rng.integers(0, 4, 30)
    assert shared_company(first, 9 - first).tolist() == [1.0] * 30
    assert shared_company(first, second).tolist() == shared_company(second, first).tolist()


def test_an_image_alone_in_both_keeps_its_company():
    assert shared_company(np.array([0, 1, 1]), np.array([5, 2, 2])).tolist() == [1, 1, 1]
    assert shared_company(np.array([0, 1, 1]), np.array([2, 2, 3])).tolist() == [0, 0, 0]


def test_independent_groupings_come_to_what_the_page_says():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 10, 20_000), rng.integers(0, 10, 20_000)
    assert shared_company(first, second).mean() == pytest.approx(1 / 19, rel=0.03)


def test_stability_is_the_mean_over_all_pairs_of_seeds(make_run):
    runs = [make_run("a")]
    for seed in (1, 2):
        moved = np.random.default_rng(seed).integers(0, 3, (3, 13)).tolist()
        runs.append(make_run(f"b{seed}", settings={"seed": seed}, matched=moved))
    found = stability(runs[0], runs[1:])
    assert found.shape == (3, 13)
    labels = [one.round(1).matched_labels for one in runs]
    pairs = [_by_hand(labels[one], labels[other]) for one, other in ((0, 1), (0, 2), (1, 2))]
    assert found[1] == pytest.approx(np.mean(pairs, axis=0), abs=1e-6)


def test_a_shorter_run_answers_with_its_last_round_and_images_are_matched_by_number(make_run):
    long = make_run("long")
    short = make_run("short", settings={"seed": 1}, matched=[[1, 1, 0]], classes=[0, 0, 1])
    found = stability(long, [short])
    assert np.isnan(found[:, 3:]).all()
    assert found[2, :3] == pytest.approx(_by_hand([0, 0, 0], [1, 1, 0]))
    assert found[0].tolist() == pytest.approx(found[1].tolist(), nan_ok=True)


def test_the_version_changes_with_that_of_any_seed(make_run):
    run, other = make_run("a"), make_run("b", settings={"seed": 1})
    before = version_with(run, [other])
    assert before == version_with(other, [run]) != version_with(run, [])
    other.save_round(3, make_round_like(other))
    assert version_with(run, [other]) != before


def make_round_like(run):
    from vitviz.runs.records import Round

    last = run.round(2)
    names = ("embeddings", "labels", "matched_labels", "centers", "distances", "runner_up_distances", "predictions")
    return Round(**{name: np.asarray(getattr(last, name)) for name in names})


def test_the_band_is_lowest_mean_and_highest_where_two_have_a_score(make_run):
    run, other = make_run("a"), make_run("b", settings={"seed": 1})
    other.append_metrics({"kind": "round", "index": 3, "loss": 1.0, "held_out_nmi": 0.9})
    band = seed_band(run, [other], "nmi")
    assert band.num_seeds == 2
    assert band.low.tolist() == pytest.approx([0.5, np.nan, 0.7, np.nan], nan_ok=True)
    assert band.low.tolist() == pytest.approx(band.high.tolist(), nan_ok=True)
    assert mean_curve(band, run).values[2] == pytest.approx(0.7)
    assert seed_band(run, [], "nmi") is None
