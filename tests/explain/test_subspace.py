"""What the coefficients of a run show, against the run's own files and slow references."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from vitviz.clustering.affinity import AffinitySettings, make_affinity, threshold_columns, without_diagonal
from vitviz.errors import Problem
from vitviz.explain.subspace import (
    coefficients_of,
    describe_pair,
    layer_of,
    mass_within,
    order_images,
    own_threshold,
    shares_before,
    take_snapshot,
)
from vitviz.runs.folder import Run

RHOS = (0.01, 0.04, 0.08, 0.25, 0.5, 0.9, 1.0)


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def both(matrix: np.ndarray) -> list:
    return [matrix, sparse.csr_array(matrix)]


# A round of a run


@pytest.mark.parametrize("name", ["steps", "ridge", "neighbors"])
def test_a_snapshot_is_what_the_run_kept(subspace_runs, name):
    run = subspace_runs[name]
    kept, last = run.coefficients(), run.num_rounds() - 1
    shot = take_snapshot(run, last)
    assert (shot.run, shot.round, shot.solver, shot.affinity) == (name, last, kept.made_by["solver"], "ji")
    changed = {"threshold": 0.5, "count_diagonal": True} if name == "ridge" else {}
    assert shot.settings == AffinitySettings(dim=4, **changed) and (shot.num_clusters, shot.seed) == (10, 0)
    assert sparse.issparse(shot.coefficients) == (name == "neighbors") and shot.coefficients.dtype == np.float32
    assert np.array_equal(dense(shot.coefficients), dense(kept.matrices[last]).astype(np.float32))
    assert shot.step == run.round_metrics()[last]["step"]
    assert np.array_equal(shot.labels, run.round(last).matched_labels)
    assert np.array_equal(shot.classes, run.samples().classes)
    assert shot.embedding.shape == (150, 10) and shot.embedding.dtype == np.float32
    assert (shot.gate is None) == (name != "steps")


def test_each_round_has_its_own_snapshot(subspace_runs):
    shots = [take_snapshot(subspace_runs["steps"], index) for index in range(3)]
    assert [shot.step for shot in shots] == [2, 4, 6]
    assert not np.array_equal(shots[0].coefficients, shots[2].coefficients)
    assert shots[2].gate.shape == (150, 3)


def test_a_run_without_coefficients_and_a_round_that_is_not_there_are_refused(subspace_runs, make_run):
    with pytest.raises(Problem, match="run 'hand' kept no coefficients"):
        take_snapshot(make_run(), 0)
    with pytest.raises(Problem, match="has no round 3"):
        take_snapshot(subspace_runs["steps"], 3)


def test_a_damaged_file_is_named(subspace_runs, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(subspace_runs["steps"].path, path)
    content = (path / "coefficients.npz").read_bytes()
    (path / "coefficients.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(Problem, match=r"coefficients\.npz of run 'copy' cannot be read"):
        take_snapshot(Run(path), 0)
    shutil.copy(subspace_runs["ridge"].path / "coefficients.npz", path)
    with pytest.raises(Problem, match="does not fit round 2"):
        take_snapshot(Run(path), 2)


# Orders


@pytest.mark.parametrize("order", ["cluster", "class", "data"])
def test_an_order_is_a_permutation(subspace_runs, order):
    assert sorted(order_images(take_snapshot(subspace_runs["steps"], 1), order)) == list(range(150))


def test_clusters_are_blocks_by_matched_id_each_inside_as_the_run_kept_it(subspace_runs):
    shot = take_snapshot(subspace_runs["steps"], 2)
    order = order_images(shot, "cluster")
    assert (np.diff(shot.labels[order]) >= 0).all()
    for label in np.unique(shot.labels):
        kept = [row for row in shot.cluster_order if shot.labels[row] == label]
        assert order[shot.labels[order] == label].tolist() == kept


def test_classes_are_blocks_in_the_order_of_the_data_and_the_unknown_come_last(make_snapshot):
    shot = make_snapshot(np.zeros((6, 6)), classes=np.array([2, -1, 0, 2, -1, 0]))
    assert order_images(shot, "class").tolist() == [2, 5, 0, 3, 1, 4]
    assert order_images(shot, "data").tolist() == [0, 1, 2, 3, 4, 5]


# The threshold


@pytest.mark.parametrize("count_diagonal", [False, True])
@pytest.mark.parametrize("rho", RHOS)
def test_an_entry_is_kept_just_where_its_share_is_at_most_rho(scattered, rho, count_diagonal):
    counted = scattered if count_diagonal else without_diagonal(scattered)
    expected = without_diagonal(threshold_columns(counted.astype(float), rho))
    for matrix in both(scattered):
        shares = shares_before(matrix, count_diagonal=count_diagonal)
        kept = without_diagonal(matrix)
        if sparse.issparse(kept):
            assert np.array_equal(kept.indices, shares.indices) and np.array_equal(kept.indptr, shares.indptr)
            kept.data = np.where(shares.data <= rho, kept.data, 0)
        else:
            kept = np.where(shares <= rho, kept, 0)
        assert np.array_equal(dense(kept), expected)


def test_shares_lie_in_0_to_1_and_equal_magnitudes_count_from_above():
    column = np.array([0, 3.0, -3, 1, 3])
    shares = shares_before(np.stack([column] + [np.zeros(5)] * 4, axis=1))
    assert shares[1:, 0].tolist() == [0, 0.3, 0.9, 0.6]
    assert (shares[:, 1:] == 0).all(), "a column of zeros"


def test_a_run_keeps_all_of_a_sparse_c_and_by_the_simple_rule(make_snapshot, scattered):
    dense_shot, sparse_shot = (make_snapshot(matrix) for matrix in both(scattered))
    assert (own_threshold(dense_shot), own_threshold(sparse_shot)) == (0.04, 1.0)
    assert own_threshold(replace(dense_shot, settings=AffinitySettings(threshold=0.2))) == 0.2
    assert own_threshold(replace(dense_shot, affinity="simple")) == 1.0


# Layers


def test_the_plain_layer_is_both_magnitudes_without_the_diagonal(make_snapshot, scattered):
    expected = np.abs(scattered) + np.abs(scattered.T)
    np.fill_diagonal(expected, 0)
    for matrix in both(scattered):
        layer = layer_of(make_snapshot(matrix), "plain")
        assert layer.dtype == np.float32 and sparse.issparse(layer) == sparse.issparse(matrix)
        np.testing.assert_allclose(dense(layer), expected)


@pytest.mark.parametrize("count_diagonal", [False, True])
@pytest.mark.parametrize("rho", [None, *RHOS])
def test_the_kept_layer_is_the_plain_one_of_what_the_threshold_leaves(make_snapshot, scattered, rho, count_diagonal):
    settings = AffinitySettings(threshold=0.5, count_diagonal=count_diagonal)
    for matrix in both(scattered):
        shot = make_snapshot(matrix, settings=settings)
        counted = matrix.astype(float) if count_diagonal else without_diagonal(matrix)
        left = np.abs(dense(without_diagonal(threshold_columns(counted, rho or 0.5))))
        for shares in (None, shares_before(matrix, count_diagonal=count_diagonal)):
            layer = layer_of(shot, "kept", rho=rho, shares=shares)
            assert layer.dtype == np.float32 and sparse.issparse(layer) == sparse.issparse(matrix)
            np.testing.assert_allclose(dense(layer), left + left.T, rtol=1e-6)


@pytest.mark.parametrize("rho", [None, 0.3])
def test_the_processed_layer_is_the_runs_own_affinity_at_another_threshold_when_asked(make_snapshot, scattered, rho):
    for matrix in both(scattered):
        shot = make_snapshot(matrix, num_clusters=3, settings=AffinitySettings(dim=2, power=4))
        layer = layer_of(shot, "processed", rho=rho)
        expected = make_affinity(matrix, "ji", 3, AffinitySettings(threshold=rho, dim=2, power=4))
        assert layer.dtype == np.float32
        np.testing.assert_allclose(dense(layer), dense(expected), rtol=1e-5, atol=1e-7)
    with pytest.raises(Problem, match="threshold=2"):
        layer_of(shot, "processed", rho=2)


def test_no_layer_changes_the_coefficients(make_snapshot, scattered):
    for matrix in both(scattered):
        shot = make_snapshot(matrix)
        for layer in ("plain", "kept", "processed"):
            layer_of(shot, layer, rho=0.1)
        assert np.array_equal(dense(shot.coefficients), scattered)
        coefficients_of(shot, 0)[:] = 7
        assert np.array_equal(dense(shot.coefficients), scattered)


# Pairs and masses


def test_a_pair_is_read_from_both_sides(make_snapshot):
    matrix = np.array([[9.0, -2, 1, 0], [3, 0, 0, 0], [0, 0, 0, 0], [0, 1, -1, 5]])
    latent = np.array([[1, 0], [1, 1], [0, 2], [0, 0]], np.float16)
    for one in both(matrix):
        shot = make_snapshot(one, labels=[0, 0, 1, 1], classes=np.array([0, 1, 0, -1]))
        pair = describe_pair(shot, latent, 0, 2)
        assert (pair.first, pair.second, pair.coefficient, pair.reverse, pair.affinity) == (0, 2, 1, 0, 1)
        assert (pair.rank, pair.same_cluster, pair.same_class) == (2, False, True)
        pair = describe_pair(shot, latent, 0, 1)
        assert (pair.coefficient, pair.reverse, pair.affinity, pair.rank) == (-2, 3, 5, 1), "the diagonal is no rival"
        assert pair.cosine == pytest.approx(2**-0.5) and (pair.same_cluster, pair.same_class) == (True, False)
        pair = describe_pair(shot, latent, 2, 3)
        assert (pair.coefficient, pair.reverse, pair.rank, pair.same_class, pair.cosine) == (0, -1, None, None, 0)


def test_an_image_is_no_partner_of_itself(make_snapshot):
    pair = describe_pair(make_snapshot(np.eye(3) * 4), np.ones((3, 2)), 1, 1)
    assert (pair.coefficient, pair.reverse, pair.affinity, pair.rank) == (4, 4, 0, None)
    assert pair.cosine == pytest.approx(1)


def test_the_mass_in_blocks_stands_beside_that_of_random_ids(make_snapshot):
    rng = np.random.default_rng(0)
    ids = np.repeat([0, 1, 2, 4], [3, 9, 12, 6])
    weights = rng.random((30, 30)) ** 4
    affinity = weights + weights.T
    dealt = []
    for _ in range(4000):
        shuffled = rng.permutation(ids)
        same = (shuffled[:, None] == shuffled) & ~np.eye(30, dtype=bool)
        dealt.append(affinity[same].sum() / affinity[~np.eye(30, dtype=bool)].sum())
    for matrix in both(affinity):
        masses = mass_within(make_snapshot(np.eye(30), labels=ids.tolist()), matrix)
        assert masses["cluster_random"] == masses["class_random"] == pytest.approx(np.mean(dealt), abs=2e-3)
        same = (ids[:, None] == ids) & ~np.eye(30, dtype=bool)
        expected = affinity[same].sum() / affinity[~np.eye(30, dtype=bool)].sum()
        assert masses["cluster"] == masses["class"] == pytest.approx(expected)


def test_without_all_classes_there_is_no_mass_of_classes(make_snapshot):
    shot = make_snapshot(np.ones((4, 4)), labels=[0, 0, 1, 1], classes=np.array([0, 0, 1, -1]))
    masses = mass_within(shot, layer_of(shot, "plain"))
    assert masses["class"] is masses["class_random"] is None
    assert masses["cluster_random"] == pytest.approx(1 / 3)
    assert masses["cluster"] == pytest.approx(1 / 3), "all pairs alike: chance itself"
