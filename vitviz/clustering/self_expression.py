"""Self-expression with a given Z, one dict: how each image is made of the others.

Everywhere the rows are the images: Z is (N, D), C is (N, N), Z = C Z; row i of C holds the coefficients that image i is made
with, column j holds where image j is used.

Source: DSC-Net (Ji et al., NIPS 2017) for ``adam``; Lu et al. 2012, "Robust and efficient subspace segmentation via least
squares regression", for ``ridge``. ``neighbors`` is ours.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from vitviz.clustering.kmeans import check_points
from vitviz.errors import Problem

DENSE_LIMIT = 4000
"""More images than this make a dense C (128 MB in float64, three times over) too much for :func:`suggest_solver`."""
NEAR_SHARE = 0.35
"""Images nearer to their nearest neighbour than this share of the usual distance lie densely; see :func:`suggest_solver`."""
_CHUNK_NUMBERS = 2**24


@dataclass(frozen=True, kw_only=True)
class SolverSettings:
    """Each solver reads its own part.

    adam: ``num_steps`` of Adam at ``lr`` from C = ``start`` on ``coefficient_weight |C|^2 + expression_weight / 2 |Z - C Z|^2``.
    ridge: ``ridge_strength`` is lambda over the mean of ``|z|^2``; ``zero_diagonal`` forbids an image to use itself.
    neighbors: ``num_neighbors`` of each image, ``neighbor_strength`` like ``ridge_strength``, ``num_iterations`` of FISTA.
    """

    num_steps: int = 30
    lr: float = 1e-3
    start: float = 1e-8
    coefficient_weight: float = 1.0
    expression_weight: float = 150.0
    ridge_strength: float = 10.0
    zero_diagonal: bool = False
    num_neighbors: int = 10
    neighbor_strength: float = 0.01
    num_iterations: int = 200

    def __post_init__(self):
        for name in ("num_steps", "num_neighbors", "num_iterations"):
            if getattr(self, name) < 1:
                raise Problem(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("lr", "coefficient_weight", "expression_weight", "ridge_strength", "neighbor_strength"):
            if not 0 < getattr(self, name) < math.inf:
                raise Problem(f"{name}={getattr(self, name)} must be positive")


def express(latent: Tensor, solver: str, settings: SolverSettings | None = None) -> Tensor | sparse.csr_array:
    """C (N, N) with Z = C Z for ``latent`` Z (N, D), rows = images, by ``SOLVERS[solver]``.

    Raises: Problem when there are fewer than two images, or Z is not finite, or all zero (the encoder is dead).
    """
    if solver not in SOLVERS:
        raise Problem(f"solver={solver!r} must be one of {', '.join(SOLVERS)}")
    latent = latent.detach()
    check_points(latent, 2)
    if not latent.any():
        raise Problem("the latent is zero for every image", "the encoder is dead", "train it again from another seed")
    latent = latent.float() if latent.dtype in (torch.float16, torch.bfloat16) else latent
    return SOLVERS[solver](latent, settings or SolverSettings())


def solve_adam(latent: Tensor, settings: SolverSettings) -> Tensor:
    """C (N, N), Z = C Z, rows = images, after ``num_steps`` of Adam: stopped long before the minimum, which clusters worse."""
    *_, coefficients = adam_steps(latent, settings)
    return coefficients


def adam_steps(latent: Tensor, settings: SolverSettings) -> Iterator[Tensor]:
    """C (N, N) after each step of Adam, Z = C Z, rows = images; every one is a copy.

    The gradient of ``nn.subspace.self_expression_loss``, written with G = Z Z^T: what a step costs does not depend on D.
    """
    gram = latent @ latent.T
    coefficients = torch.full_like(gram, settings.start)
    optimizer = torch.optim.Adam([coefficients], lr=settings.lr)
    for _ in range(settings.num_steps):
        pull = torch.addmm(gram, coefficients, gram, beta=-1).mul_(settings.expression_weight)
        coefficients.grad = pull.add_(coefficients, alpha=2 * settings.coefficient_weight)
        optimizer.step()
        yield coefficients.clone()


def solve_ridge(latent: Tensor, settings: SolverSettings) -> Tensor:
    """C (N, N) of :func:`ridge_coefficients`, Z = C Z, with lambda = ``ridge_strength`` times the mean of ``|z|^2``."""
    penalty = settings.ridge_strength * _mean_square(latent)
    return ridge_coefficients(latent, penalty, zero_diagonal=settings.zero_diagonal)


def ridge_coefficients(latent: Tensor, penalty: float, *, zero_diagonal: bool = False) -> Tensor:
    """The C (N, N) float64 with Z = C Z, rows = images, that minimises ``|Z - C Z|^2 + penalty |C|^2``, exactly.

    ``C = (G + penalty I)^-1 G`` with ``G = Z Z^T``: symmetric, eigenvalues in [0, 1). With ``zero_diagonal`` the minimum over
    the C with C_ii = 0, not symmetric: ``C_ij = -P_ij / P_ii`` where ``P = (G + penalty I)^-1`` (Steck 2019). The minimum of
    ``nn.subspace.self_expression_loss`` is the one of ``penalty = 2 coefficient_weight / expression_weight``.
    """
    latent = latent.double()
    gram = latent @ latent.T
    factor = torch.linalg.cholesky(gram + penalty * torch.eye(len(gram), dtype=gram.dtype, device=gram.device))
    if not zero_diagonal:
        solved = torch.cholesky_solve(gram, factor)
        return (solved + solved.T) / 2
    inverse = torch.cholesky_inverse(factor)
    return (-inverse / inverse.diagonal()[:, None]).fill_diagonal_(0)


def solve_neighbors(latent: Tensor, settings: SolverSettings) -> sparse.csr_array:
    """C (N, N) sparse, Z = C Z, rows = images: each made of its nearest neighbours, with coefficients >= 0.

    Row i minimises ``|z_i - sum_j c_j z_j|^2 + lambda |c|^2`` over c >= 0 on the ``num_neighbors`` nearest j != i, with lambda =
    ``neighbor_strength`` times the mean of ``|z|^2``, by FISTA. Zeros are not stored; no N x N array is made.
    """
    neighbors, _ = nearest_neighbors(latent, settings.num_neighbors)
    num_rows, count = neighbors.shape
    penalty = settings.neighbor_strength * _mean_square(latent)
    rows = max(1, _CHUNK_NUMBERS // (count * latent.shape[1]))
    parts = [
        _nonnegative_ridge(latent[ids], points, penalty, settings.num_iterations)
        for ids, points in zip(neighbors.split(rows), latent.split(rows), strict=True)
    ]
    starts = np.arange(num_rows + 1) * count
    ids, values = neighbors.cpu().numpy().ravel().astype(np.int32), torch.cat(parts).cpu().numpy().ravel()
    coefficients = sparse.csr_array((values, ids, starts.astype(np.int32)), shape=(num_rows, num_rows))
    coefficients.sort_indices()
    coefficients.eliminate_zeros()
    return coefficients


SOLVERS: dict[str, Callable[[Tensor, SolverSettings], Tensor | sparse.csr_array]] = {
    "adam": solve_adam,
    "ridge": solve_ridge,
    "neighbors": solve_neighbors,
}


def nearest_neighbors(points: Tensor, num_neighbors: int) -> tuple[Tensor, Tensor]:
    """The ids (N, k) of the nearest other points, nearest first, and their distances: exact, k at most N - 1."""
    points = points.float() if points.dtype in (torch.float16, torch.bfloat16) else points
    points = points - points.mean(dim=0)
    norms = points.square().sum(dim=1)
    count = min(num_neighbors, len(points) - 1)
    ids, distances = [], []
    for own in torch.arange(len(points), device=points.device).split(max(1, _CHUNK_NUMBERS // len(points))):
        squares = torch.addmm(norms, points[own], points.T, alpha=-2).add_(norms[own, None])
        squares[torch.arange(len(own), device=own.device), own] = math.inf
        nearest = squares.topk(count, dim=1, largest=False)
        ids.append(nearest.indices)
        distances.append(nearest.values.clamp(min=0).sqrt())
    return torch.cat(ids), torch.cat(distances)


def suggest_solver(latent: Tensor) -> tuple[str, str]:
    """The name of the solver to begin with, and the reason in a sentence; no label is used.

    Measured: the distance to the nearest neighbour over the usual distance between two images, the median over images. Small
    means that the images of a thing follow one another closely (an object that turns), and neighbours describe them; large, that
    there are few pictures of each and each is far from all (faces), and only all of them together do.

    Limits: one number and one threshold, tried on COIL-20, digits and random points, not on faces; it says nothing about how good
    the clusters will be, and near the threshold both solvers may do as well. Try the other one too.
    """
    check_points(latent, 2)
    if len(latent) > DENSE_LIMIT:
        return "neighbors", f"with {len(latent):,} images a dense C would hold {len(latent) ** 2:.1e} numbers"
    share = near_share(latent)
    facts = f"the nearest neighbour of an image is typically at {share:.0%} of the usual distance between two images"
    if share < NEAR_SHARE:
        return "neighbors", f"{facts}: they lie densely"
    return "ridge", f"{facts}: they lie thinly, and need all the others"


def near_share(latent: Tensor) -> float:
    """The median distance to the nearest other image over the root mean square distance of two images; 0 if all coincide."""
    _, distances = nearest_neighbors(latent, 1)
    points = latent.double() - latent.double().mean(dim=0)
    usual = math.sqrt(2 * points.square().sum().item() / max(len(points) - 1, 1))
    return distances.median().item() / usual if usual > 0 else 0.0


def _nonnegative_ridge(candidates: Tensor, points: Tensor, penalty: float, num_iterations: int) -> Tensor:
    """The c >= 0 (B, k) that minimise ``|points - c candidates|^2 + penalty |c|^2``: candidates (B, k, D), points (B, D).

    FISTA (Beck and Teboulle 2009) for a strongly convex problem: a fixed momentum from the extreme curvatures of each row.
    """
    curvature = (candidates @ candidates.mT).double()
    curvature.diagonal(dim1=1, dim2=2).add_(penalty)
    target = (candidates @ points[:, :, None]).squeeze(2).double()
    bounds = torch.linalg.eigvalsh(curvature)
    largest, smallest = bounds[:, -1:], bounds[:, :1].clamp(min=penalty / 2)
    momentum = (largest.sqrt() - smallest.sqrt()) / (largest.sqrt() + smallest.sqrt())
    current = looked_ahead = torch.zeros_like(target)
    for _ in range(num_iterations):
        slope = (curvature @ looked_ahead[:, :, None]).squeeze(2) - target
        previous, current = current, (looked_ahead - slope / largest).clamp_(min=0)
        looked_ahead = current + momentum * (current - previous)
    return current


def _mean_square(latent: Tensor) -> float:
    return latent.double().square().sum(dim=1).mean().item()
