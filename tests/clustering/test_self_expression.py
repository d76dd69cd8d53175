"""The solvers of self-expression: closed forms against numpy, neighbours against scipy's non-negative least squares."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import nnls

from vitviz.clustering.self_expression import (
    DENSE_LIMIT,
    SOLVERS,
    SolverSettings,
    adam_steps,
    express,
    near_share,
    nearest_neighbors,
    ridge_coefficients,
    suggest_solver,
)
from vitviz.errors import Problem
from vitviz.nn.subspace import self_expression_loss


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(coefficients) -> np.ndarray:
    return coefficients.toarray() if sparse.issparse(coefficients) else coefficients.numpy()


SHAPES = [(30, 50), (40, 8), (12, 12)]


@pytest.mark.parametrize("solver", SOLVERS)
def test_rows_are_the_images_and_the_coefficients_do_not_grow_with_the_dimensions(solver):
    coefficients = express(randn(9, 5).float(), solver)
    assert coefficients.shape == (9, 9)
    assert sparse.issparse(coefficients) == (solver == "neighbors")
    assert np.isfinite(dense(coefficients)).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_row_i_makes_image_i_of_the_others(solver):
    # image 0 is made of images 1 and 2 and of no use to the far image 3
    latent = torch.tensor([[1.0, 1, 0], [1, 0.1, 0], [0.1, 1, 0], [0, 0, 20]]).double()
    settings = SolverSettings(ridge_strength=1e-3, zero_diagonal=True, neighbor_strength=1e-3, num_steps=2000)
    coefficients = dense(express(latent, solver, settings))
    assert np.abs(coefficients @ latent.numpy() - latent.numpy())[0].max() < 0.2
    assert abs(coefficients[0, 3]) < 0.01


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_order_of_the_images_does_not_matter(solver):
    latent, order = randn(25, 6), torch.randperm(25, generator=torch.Generator().manual_seed(1))
    before, after = dense(express(latent, solver)), dense(express(latent[order], solver))
    assert np.allclose(before[order][:, order], after, atol=1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_latent_gives_the_same_coefficients_and_stays_as_it_was(solver):
    latent = randn(15, 6)
    kept = latent.clone()
    assert np.array_equal(dense(express(latent, solver)), dense(express(latent, solver)))
    assert torch.equal(latent, kept)


@pytest.mark.parametrize("shape", SHAPES)
def test_ridge_is_the_closed_form_with_no_slope_left(shape):
    latent, penalty = randn(*shape), 0.7
    found = ridge_coefficients(latent, penalty).numpy()
    gram = latent.numpy() @ latent.numpy().T
    assert np.allclose(found, np.linalg.solve(gram + penalty * np.eye(len(gram)), gram), atol=1e-10)
    slope = 2 * (found @ gram - gram + penalty * found)
    assert np.abs(slope).max() < 1e-9
    assert np.array_equal(found, found.T)
    eigenvalues = np.linalg.eigvalsh(found)
    assert eigenvalues.min() > -1e-12 and eigenvalues.max() < 1


@pytest.mark.parametrize("shape", SHAPES)
def test_ridge_without_its_diagonal_is_each_images_own_regression_on_the_others(shape):
    latent, penalty = randn(*shape), 0.7
    found = ridge_coefficients(latent, penalty, zero_diagonal=True).numpy()
    points = latent.numpy()
    for row in range(len(points)):
        others = np.delete(np.arange(len(points)), row)
        gram = points[others] @ points[others].T + penalty * np.eye(len(others))
        assert np.allclose(found[row, others], np.linalg.solve(gram, points[others] @ points[row]), atol=1e-9)
    assert not found.diagonal().any()


def test_the_strength_of_ridge_is_relative_to_the_size_of_the_latent():
    latent = randn(20, 6)
    assert torch.allclose(express(latent, "ridge"), express(100 * latent, "ridge"), atol=1e-10)
    penalty = 10 * latent.square().sum(dim=1).mean().item()
    assert torch.allclose(express(latent, "ridge"), ridge_coefficients(latent, penalty), atol=1e-12)


def test_ridge_is_never_above_adam_in_the_loss_that_both_lower():
    latent = randn(20, 8)
    best = sum(self_expression_loss(ridge_coefficients(latent, 2 * 1.0 / 150.0), latent))
    losses = [sum(self_expression_loss(step, latent)) for step in adam_steps(latent, SolverSettings(num_steps=60))]
    assert all(best <= loss for loss in losses)
    assert all(later < earlier for earlier, later in pairwise(losses))


def test_adam_takes_the_steps_that_autograd_would():
    latent = randn(14, 9)
    coefficients = torch.full((14, 14), 1e-8, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([coefficients], lr=1e-3)
    for found in adam_steps(latent, SolverSettings(num_steps=5)):
        optimizer.zero_grad()
        sum(self_expression_loss(coefficients, latent)).backward()
        optimizer.step()
        assert torch.allclose(found, coefficients, atol=1e-12)
    assert torch.equal(found, express(latent, "adam", SolverSettings(num_steps=5)))


@pytest.mark.parametrize(("number", "dim", "strength"), [(40, 30, 0.01), (40, 3, 0.01), (8, 20, 0.01), (60, 5, 1.0)])
def test_neighbours_solve_the_non_negative_regression_of_every_row(number, dim, strength):
    latent = randn(number, dim) + 1
    found = express(latent, "neighbors", SolverSettings(neighbor_strength=strength))
    points = latent.numpy()
    size = (points**2).sum(axis=1).mean()
    penalty = strength * size
    count = min(10, number - 1)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    for row, ids in enumerate(distances.argsort(axis=1)[:, :count]):
        system = np.vstack([points[ids].T, np.sqrt(penalty) * np.eye(count)])
        wanted = np.concatenate([points[row], np.zeros(count)])
        _, residual = nnls(system, wanted)
        own = found[[row]].toarray().ravel()
        assert not np.delete(own, ids).any()
        assert 0 <= np.linalg.norm(system @ own[ids] - wanted) ** 2 - residual**2 + 1e-9 < 1e-5 * size
        slope = system.T @ (system @ own[ids] - wanted) / size
        assert np.abs(np.minimum(own[ids], slope)).max() < 1e-3


def test_neighbours_are_few_not_negative_and_never_the_image_itself():
    latent = randn(50, 6)
    latent[7] = latent[3]  # a twin is a neighbour, and not the image itself
    found = express(latent, "neighbors", SolverSettings(num_neighbors=4))
    assert isinstance(found, sparse.csr_array)
    assert found.data.min() > 0 and not found.diagonal().any()
    assert np.diff(found.indptr).max() <= 4
    assert found[7, 3] > 0 and found[3, 7] > 0


def test_neighbours_are_the_same_however_the_rows_are_cut(monkeypatch):
    latent = randn(40, 6)
    whole = express(latent, "neighbors").toarray()
    monkeypatch.setattr("vitviz.clustering.self_expression._CHUNK_NUMBERS", 200)
    assert np.allclose(whole, express(latent, "neighbors").toarray(), atol=1e-12)


def test_nearest_neighbours_are_those_of_all_distances():
    points = randn(60, 5) + 100
    ids, distances = nearest_neighbors(points, 7)
    everything = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = everything.fill_diagonal_(torch.inf).sort(dim=1)
    assert torch.equal(ids, nearest.indices[:, :7])
    assert torch.allclose(distances, nearest.values[:, :7], atol=1e-9)
    assert nearest_neighbors(points[:3], 7)[0].shape == (3, 2)


def closed_curves(*, num_images: int) -> torch.Tensor:
    """Four things that turn, each a closed curve of ``num_images`` in a plane of its own."""
    angles = 2 * torch.pi * torch.arange(num_images).double() / num_images
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    return torch.cat([circle @ randn(2, 40, seed=thing) + randn(1, 40, seed=9 + thing) for thing in range(4)])


def test_the_suggestion_follows_how_densely_the_images_lie():
    assert suggest_solver(closed_curves(num_images=60))[0] == "neighbors"
    name, reason = suggest_solver(randn(60, 200))
    assert name == "ridge" and "thinly" in reason
    assert near_share(closed_curves(num_images=60)) < 0.2 < 0.8 < near_share(randn(60, 200))


def test_the_suggestion_does_not_change_with_the_scale_or_the_place_of_the_latent():
    latent = closed_curves(num_images=30)
    assert near_share(latent) == pytest.approx(near_share(50 * latent + 7), rel=1e-6)


def test_for_many_images_only_neighbours_are_suggested():
    name, reason = suggest_solver(randn(DENSE_LIMIT + 1, 2))
    assert name == "neighbors" and "4,001 images" in reason


def test_images_that_all_coincide_are_expressed_and_suggested_without_harm():
    latent = torch.ones(12, 3)
    assert all(np.isfinite(dense(express(latent, solver))).all() for solver in SOLVERS)
    assert suggest_solver(latent)[0] == "neighbors"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_half_precision_latent_is_computed_in_float32(solver, dtype):
    latent = randn(12, 4).to(dtype)
    assert np.array_equal(dense(express(latent, solver)), dense(express(latent.float(), solver)))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("latent", "rule"),
    [
        (torch.zeros(4, 3), "the encoder is dead"),
        (torch.full((4, 3), float("nan")), "not finite"),
        (torch.ones(1, 3), "at most the number of points"),
    ],
)
def test_a_latent_that_says_nothing_is_refused(solver, latent, rule):
    with pytest.raises(Problem, match=rule):
        express(latent, solver)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"num_steps": 0}, "num_steps=0 must be at least 1"),
        ({"num_neighbors": 0}, "num_neighbors=0"),
        ({"ridge_strength": 0.0}, "ridge_strength=0.0 must be positive"),
        ({"neighbor_strength": float("nan")}, "neighbor_strength=nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings, rule):
    with pytest.raises(Problem, match=rule):
        SolverSettings(**settings)


def test_an_unknown_solver_is_refused_naming_the_known_ones():
    with pytest.raises(Problem, match="solver='lasso' must be one of adam, ridge, neighbors"):
        express(torch.eye(3), "lasso")
