"""C of a given Z (N, D), rows = images, by the settings of a run: which solver, with what, and what is told of the choice."""

import dataclasses
import time
from typing import Any

from scipy import sparse
from torch import Tensor

from vitviz.clustering.self_expression import SolverSettings, express, suggest_solver
from vitviz.errors import Problem
from vitviz.training.subspace_config import MAX_DENSE_IMAGES, SubspaceConfig


def fit_size(config: SubspaceConfig, num_images: int) -> SubspaceConfig:
    """``config``, with a solver that makes no dense C where there are more than ``MAX_DENSE_IMAGES`` images.

    Raises: Problem when there is a gate to train, which takes a dense C.
    """
    if num_images <= MAX_DENSE_IMAGES:
        return config
    if config.attention:
        raise Problem(
            f"{num_images:,} images are too many for attention=true",
            f"it needs a dense C of {num_images:,} x {num_images:,} numbers, and {MAX_DENSE_IMAGES:,} images are the limit",
            f"set attention=false, or limit={MAX_DENSE_IMAGES}",
        )
    return dataclasses.replace(config, solver="auto") if config.solver in ("adam", "ridge") else config


def solve_latent(latent: Tensor, config: SubspaceConfig) -> tuple[Tensor | sparse.csr_array, dict[str, Any]]:
    """C (N, N), Z = C Z, of ``latent`` Z, and what a record tells of it: ``solver``, ``solver_reason``, ``solve_seconds``."""
    began = time.perf_counter()
    solver, reason = config.solver, "chosen by the settings"
    if solver == "auto":
        solver, reason = _suggest(latent)
    coefficients = express(latent, solver, solver_settings(config))
    told = {"solver": solver, "solver_reason": reason, "solve_seconds": time.perf_counter() - began}
    return coefficients, told


def solver_settings(config: SubspaceConfig) -> SolverSettings:
    """What ``clustering.self_expression`` reads of the settings."""
    return SolverSettings(
        ridge_strength=config.ridge_strength,
        zero_diagonal=config.zero_diagonal,
        num_neighbors=config.num_neighbors,
        neighbor_strength=config.neighbor_strength,
        num_iterations=config.num_iterations,
    )


def _suggest(latent: Tensor) -> tuple[str, str]:
    if len(latent) > MAX_DENSE_IMAGES:
        return "neighbors", f"{len(latent):,} images are more than the {MAX_DENSE_IMAGES:,} a dense C is made for"
    return suggest_solver(latent)
