"""Grouping the features of a round another way: the run's own way comes to the run's own clusters, and nothing is written."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from vitviz.clustering.affinity import AffinitySettings, make_affinity
from vitviz.clustering.metrics import clustering_accuracy, scores
from vitviz.clustering.self_expression import SolverSettings, express
from vitviz.clustering.spectral import cluster_affinity
from vitviz.config import from_plain
from vitviz.errors import Problem
from vitviz.explain.subspace import order_images, take_snapshot
from vitviz.explain.subspace_regroup import STAGES, Regrouping, check_solver, regroup, regrouping_of
from vitviz.runs.folder import Run
from vitviz.training.drive import drive
from vitviz.training.setup import start_run
from vitviz.training.subspace_config import SubspaceConfig

SCORES = ("nmi", "acc", "ari", "ami")


def sums(run) -> dict[str, str]:
    files = sorted(path for path in run.path.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def rounded(subspace_runs, tmp_path, monkeypatch) -> Run:
    """The run "ridge" again, but clustered after C was rounded as the file will hold it."""
    monkeypatch.setenv("VITVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("vitviz.training.subspace_solving.express", lambda *given: express(*given).half().float())
    settings = from_plain(SubspaceConfig, subspace_runs["ridge"].description().settings)
    run = start_run("rounded", "subspace", settings)
    drive(run)
    return run


@pytest.mark.parametrize("name", ["rounded", "neighbors"])
def test_the_stored_c_by_the_runs_own_rule_gives_the_runs_own_clusters(subspace_runs, rounded, name):
    """A threshold chooses among entries that may differ by less than a float16 does; so of the dense ones only "rounded"."""
    run = rounded if name == "rounded" else subspace_runs[name]
    before, stored, record = sums(run), take_snapshot(run, 0), run.round_metrics()[0]
    again, found = regroup(run, 0, regrouping_of(run, stored))
    assert clustering_accuracy(stored.labels, again.labels) == found["unchanged"] == 1
    assert np.array_equal(again.labels, stored.labels), "ids are matched to those of the round"
    assert {key: found[key] for key in SCORES} == {key: record[key] for key in SCORES}
    for key in ("eigengap", "in_block_mass", "class_mass"):
        assert found[key] == pytest.approx(record[key], rel=1e-2)
    np.testing.assert_allclose(again.eigenvalues, stored.eigenvalues, atol=2e-3)
    assert (again.solver, again.affinity, again.settings) == (stored.solver, stored.affinity, stored.settings)
    assert sums(run) == before, "nothing is written"


@pytest.mark.parametrize("name", ["steps", "ridge", "neighbors"])
def test_the_stored_c_is_clustered_as_it_is_and_named_after_the_round(subspace_runs, name):
    run, changed = subspace_runs[name], {"threshold": 0.5, "count_diagonal": True} if name == "ridge" else {}
    settings, index = AffinitySettings(dim=4, **changed), run.num_rounds() - 1
    stored, matrix = take_snapshot(run, index), run.coefficients().matrices[index]
    expected = cluster_affinity(make_affinity(matrix, "ji", 10, settings), 10, seed=0, num_restarts=3)
    again, found = regroup(run, index, regrouping_of(run, stored))
    assert clustering_accuracy(expected.labels, again.labels) == 1
    np.testing.assert_allclose(again.eigenvalues, expected.eigenvalues)
    assert found["unchanged"] == pytest.approx(clustering_accuracy(stored.labels, again.labels))
    assert found["acc"] == scores(stored.classes, expected.labels)["acc"] and found["eigengap"] == expected.eigengap
    ordered = again.labels[order_images(again, "cluster")]
    assert (np.diff(ordered) >= 0).all()


@pytest.mark.parametrize("solver", ["ridge", "neighbors"])
def test_a_solver_run_again_on_the_kept_latent_gives_the_kept_c(subspace_runs, solver):
    run = subspace_runs[solver]
    stored = take_snapshot(run, 0)
    again, _ = regroup(run, 0, replace(regrouping_of(run, stored), solver=solver))
    dense = [one.toarray() if sparse.issparse(one) else one for one in (again.coefficients, stored.coefficients)]
    assert dense[0].dtype == np.float32 and again.solver == solver
    np.testing.assert_allclose(*dense, atol=5e-3)
    assert clustering_accuracy(stored.labels, again.labels) > 0.9


def test_adam_takes_its_steps_on_c_alone(subspace_runs):
    run = subspace_runs["steps"]
    stored = take_snapshot(run, 2)
    again, _ = regroup(run, 2, replace(regrouping_of(run, stored), solver="adam", num_steps=7))
    latent = torch.from_numpy(run.round(2).embeddings.astype(np.float32))
    assert np.array_equal(again.coefficients, express(latent, "adam", SolverSettings(num_steps=7)).numpy())
    assert np.array_equal(again.gate, stored.gate) and again.step == stored.step


def test_each_setting_is_read(subspace_runs):
    run = subspace_runs["steps"]
    usual = Regrouping(solver="ridge", num_clusters=10, dim=4)
    first, usual_scores = regroup(run, 2, usual)
    changes = {"ridge_strength": 0.1, "affinity": "simple", "rho": 0.5, "dim": 2, "power": 2.0, "num_clusters": 6}
    for name, value in changes.items():
        again, found = regroup(run, 2, replace(usual, **{name: value}))
        assert (found["eigengap"], found["in_block_mass"]) != (
            usual_scores["eigengap"],
            usual_scores["in_block_mass"],
        ), name
        assert again.num_clusters == (6 if name == "num_clusters" else 10)
    assert regroup(run, 2, replace(usual, affinity="simple"))[0].affinity == "simple"
    assert first.settings.threshold is None and regroup(run, 2, replace(usual, rho=0.5))[0].settings.threshold == 0.5
    thin = [regroup(run, 2, replace(usual, solver="neighbors", num_neighbors=count))[0] for count in (3, 5)]
    assert [np.diff(one.coefficients.indptr).max() for one in thin] == [3, 5]
    assert regroup(run, 2, replace(usual, seed=5))[0].seed == 5 and first.seed == 0


def test_stages_are_told_and_timed(subspace_runs):
    told = []
    _, found = regroup(subspace_runs["neighbors"], 0, Regrouping(num_clusters=10), told.append)
    assert tuple(told) == tuple(found["seconds"]) == STAGES
    assert all(seconds >= 0 for seconds in found["seconds"].values())


def test_what_cannot_be_is_refused(subspace_runs, make_run):
    run = subspace_runs["neighbors"]
    with pytest.raises(Problem, match="num_clusters=151"):
        regroup(run, 0, Regrouping(num_clusters=151))
    with pytest.raises(Problem, match="threshold=2"):
        regroup(run, 0, Regrouping(num_clusters=10, rho=2))
    with pytest.raises(Problem, match="kept no coefficients"):
        regroup(make_run(), 0, Regrouping(num_clusters=3))
    for solver in ("adam", "ridge"):
        with pytest.raises(Problem, match=f"2,001 images are too many for solver={solver}"):
            check_solver(solver, 2001)
        check_solver(solver, 2000)
    check_solver("neighbors", 20_000)


def test_a_dense_solver_is_refused_before_anything_is_solved(subspace_runs, monkeypatch):
    monkeypatch.setattr("vitviz.explain.subspace_regroup.MAX_DENSE_IMAGES", 149)
    told = []
    with pytest.raises(Problem, match="150 images are too many"):
        regroup(subspace_runs["neighbors"], 0, Regrouping(solver="ridge", num_clusters=10), told.append)
    assert told == []
