"""Scores over steps and seeds, marks, jumps, and the spectrum."""

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.explain.subspace import take_snapshot
from vitviz.explain.subspace_scores import (
    chosen_round,
    find_seeds,
    gap_of,
    largest_jump,
    marks_of,
    mass_steps,
    pretraining_curve,
    score_steps,
    spectral_points,
)


@pytest.fixture
def make_scored(make_run):
    """``make_scored("name", seed, {step: acc})``: a run with those scored steps."""

    def make(name: str, seed: int, values: dict[int, float | None], **settings):
        run = make_run(name, method="subspace", settings={"seed": seed, **settings}, matched=[])
        for step, value in values.items():
            run.append_metrics({"kind": "step", "index": step, "step": step, "loss": 9.0 - step, "acc": value})
        return run

    return make


def points_of(curve) -> list[tuple]:
    return list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))


# Curves


def test_a_curve_is_what_the_steps_recorded(subspace_runs):
    run = subspace_runs["steps"]
    steps = [record for record in run.metrics() if record["kind"] == "step"]
    for key in ("acc", "nmi", "ari", "in_block_mass", "class_mass", "eigengap", "loss"):
        (curve,) = score_steps(run, key)
        assert (curve.role, curve.run) == ("main", "steps") and "seed 0" in curve.name
        assert points_of(curve) == [(record["step"], record[key]) for record in steps]


def test_a_value_that_only_rounds_have_is_read_from_them(subspace_runs):
    run = subspace_runs["neighbors"]
    (curve,) = score_steps(run, "acc")
    assert points_of(curve) == [(0, run.round_metrics()[0]["acc"])]
    (curve,) = score_steps(subspace_runs["steps"], "reconstruction_error")
    assert curve.steps.tolist() == [2, 4, 6]
    assert len(score_steps(run, "no such thing")[0].steps) == 0


def test_the_band_is_the_least_and_largest_of_all_seeds_where_all_are_scored(make_scored):
    run = make_scored("a", 0, {1: 0.5, 2: 0.9, 3: 0.7, 4: 0.1})
    others = [make_scored("b", 1, {1: 0.6, 3: 0.2, 4: None}), make_scored("c", 2, {1: 0.4, 2: 0.0, 3: 0.9, 4: 0.3})]
    low, high, *lines = score_steps(run, "acc", others)
    assert (low.role, points_of(low)) == ("band_low", [(1, 0.4), (3, 0.2)])
    assert (high.role, points_of(high)) == ("band_high", [(1, 0.6), (3, 0.9)])
    assert [(line.role, line.run) for line in lines] == [("seed", "b"), ("seed", "c"), ("main", "a")]
    assert points_of(lines[2]) == [(1, 0.5), (2, 0.9), (3, 0.7), (4, 0.1)]
    assert np.isnan(lines[0].values[2]), "an undefined score is a gap"


def test_seeds_that_share_no_step_have_no_band(make_scored):
    run, other = make_scored("a", 0, {1: 0.5}), make_scored("b", 1, {2: 0.5})
    assert [curve.role for curve in score_steps(run, "acc", [other])] == ["seed", "main"]
    unscored = make_scored("c", 2, {})
    assert [curve.role for curve in score_steps(run, "acc", [unscored])] == ["main"]


# Seeds


def test_other_seeds_differ_in_nothing_that_counts(subspace_runs, make_run):
    runs = [*reversed(subspace_runs.values()), make_run()]
    assert [run.name for run in find_seeds(subspace_runs["steps"], runs)] == ["steps-s1", "steps-s2"]
    assert [run.name for run in find_seeds(subspace_runs["steps-s2"], runs)] == ["steps", "steps-s1"]
    assert find_seeds(subspace_runs["ridge"], runs) == find_seeds(subspace_runs["narrow"], runs) == []


def test_a_seed_counts_once_and_also_for_its_scores_alone(make_run):
    def make(name, seed, **settings):
        run = make_run(name, method="subspace", settings={"seed": seed, **settings}, matched=[])
        run.append_metrics({"kind": "round", "index": 0, "step": 0, "acc": 0.5})
        return run

    run = _without_cluster_weight(make("a", 0))
    others = [_without_cluster_weight(make(name, seed)) for name, seed in (("b", 1), ("c", 1), ("d", 0))]
    other = _without_cluster_weight(make("e", 2, channels=3))
    defaults = _without_cluster_weight(make("f", 3, channels=15, loss="squared"))
    assert all(one.num_rounds() == 0 for one in others)
    assert [one.name for one in find_seeds(run, [*others, other, defaults])] == ["b", "f"]
    untold = _without_cluster_weight(make_run("g", method="subspace", settings={"seed": 4}, matched=[]))
    assert find_seeds(run, [untold]) == []


def _without_cluster_weight(run):
    """The runs made by hand are those of deep clustering."""
    run.description().settings.pop("cluster_weight")
    return run


# Which step


def test_marks_and_the_chosen_round_are_those_of_the_last_record(subspace_runs):
    run = subspace_runs["steps"]
    marks = marks_of(run)
    assert set(marks) == {"fixed", "eigengap", "oracle"} and marks["fixed"]["step"] == 4
    assert marks["oracle"]["acc"] == max(score_steps(run, "acc")[0].values)
    assert chosen_round(run) == run.round_metrics()[-1]["selection"]["round"] == 1


def test_before_its_last_round_a_run_has_no_marks_and_its_last_round_counts(make_run):
    run = make_run()
    assert marks_of(run) == {} and chosen_round(run) == 2
    bare = make_run("bare", matched=[])
    assert marks_of(bare) == {}
    with pytest.raises(Problem, match="run 'bare' has no round yet"):
        chosen_round(bare)


def test_the_largest_jump_of_accuracy_lies_between_neighbouring_scored_steps(make_scored):
    run = make_scored("a", 0, {2: 0.5, 4: 0.6, 6: None, 8: 0.25, 10: 0.5})
    before, after, change = largest_jump(run)
    assert (before, after) == (4, 8) and change == pytest.approx(-0.35)
    assert largest_jump(make_scored("b", 0, {2: 0.5, 4: None})) is None


def test_the_pretraining_curve_counts_epochs_from_one(subspace_runs):
    epochs, losses = pretraining_curve(subspace_runs["neighbors"])
    assert epochs.tolist() == list(range(1, 9)) and losses[-1] < losses[0]


# The spectrum


def test_the_gap_is_found_and_measured():
    values = np.array([0, 0.01, 0.02, 0.5, 0.6, 0.9])
    found, gap = gap_of(values, 2)
    assert found == 3 and gap == pytest.approx(0.01)
    assert gap_of(values, 3)[1] == pytest.approx(0.48)
    assert gap_of(values, 6)[1] == gap_of(values, 9)[1] == 0, "the next eigenvalue is not stored"
    assert gap_of(np.array([0.0]), 1) == (1, 0)


def test_the_gap_of_a_run_is_its_eigengap(subspace_runs):
    run = subspace_runs["steps"]
    for index, record in enumerate(run.round_metrics()):
        shot = take_snapshot(run, index)
        assert gap_of(shot.eigenvalues, shot.num_clusters)[1] == pytest.approx(record["eigengap"])


def test_the_mass_inside_classes_stands_beside_that_inside_clusters(subspace_runs):
    *_, clusters, classes = mass_steps(subspace_runs["steps"])
    records = [record for record in subspace_runs["steps"].metrics() if record["kind"] == "step"]
    assert (clusters.role, classes.role) == ("main", "second")
    assert classes.values.tolist() == [record["class_mass"] for record in records if "class_mass" in record]
    assert clusters.values.tolist() == [record["in_block_mass"] for record in records if "class_mass" in record]


@pytest.mark.parametrize("dims", [2, 3])
def test_spectral_points_are_the_main_axes_of_the_unit_rows(subspace_runs, dims):
    from sklearn.decomposition import PCA

    embedding = take_snapshot(subspace_runs["steps"], 2).embedding
    points, share = spectral_points(3 * embedding, dims)
    assert points.shape == (150, dims) and points.dtype == np.float32
    rows = embedding.astype(float) / np.linalg.norm(embedding.astype(float), axis=1, keepdims=True)
    oracle = PCA(dims, svd_solver="full").fit(rows)
    expected = oracle.transform(rows)
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-5)
    assert share == pytest.approx(oracle.explained_variance_ratio_.sum())
    assert np.array_equal(points, spectral_points(embedding[:, ::1].copy(), dims)[0])


def test_the_sign_of_an_axis_does_not_depend_on_the_order_of_images():
    embedding = np.random.default_rng(0).normal(size=(30, 4))
    order = np.random.default_rng(1).permutation(30)
    points, _ = spectral_points(embedding)
    np.testing.assert_allclose(spectral_points(embedding[order])[0], points[order], atol=1e-5)


def test_points_that_coincide_or_lie_on_fewer_axes_are_placed():
    points, share = spectral_points(np.ones((5, 4)), 3)
    assert not points.any() and share == 1
    points, share = spectral_points(np.array([[1.0], [-2.0]]), 2)
    assert points.tolist() == [[1, 0], [-1, 0]] and share == 1
