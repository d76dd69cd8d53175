"""What if: the Z of a run's round with another solver, rule or number of clusters. Nothing of the run is changed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vitviz.clustering.affinity import AffinitySettings, make_affinity
from vitviz.clustering.eigenpairs import Matrix
from vitviz.clustering.matching import match_labels
from vitviz.config import from_plain
from vitviz.errors import Problem
from vitviz.explain.subspace import Snapshot, take_snapshot
from vitviz.runs.folder import Run
from vitviz.training.subspace_config import MAX_DENSE_IMAGES, SubspaceConfig

if TYPE_CHECKING:
    from vitviz.clustering.spectral import SpectralClustering

STAGES = ("solve", "affinity", "cluster")


@dataclass(frozen=True, kw_only=True)
class Regrouping:
    """What to group a round's Z with; each solver and rule reads its own part, as in ``SubspaceConfig``.

    solver: ``stored`` takes the C that the run kept, rounded to float16: a threshold may choose otherwise among entries that
    nearly equal one another, and some images change sides; ``adam`` takes its steps on C alone, and Z stays as it is. rho: the
    share of each column that the threshold keeps, None for .04 of a dense C and all of a sparse one. dim, seed: the run's when
    None.
    """

    solver: Literal["stored", "ridge", "neighbors", "adam"] = "stored"
    num_neighbors: int = 10
    ridge_strength: float = 10.0
    num_steps: int = 30
    affinity: Literal["ji", "simple"] = "ji"
    rho: float | None = None
    dim: int | None = None
    power: float = 8.0
    num_clusters: int
    seed: int | None = None


def regrouping_of(run: Run, snapshot: Snapshot) -> Regrouping:
    """The settings that group a round as the run did."""
    config = from_plain(SubspaceConfig, run.description().settings)
    return Regrouping(
        num_neighbors=config.num_neighbors,
        ridge_strength=config.ridge_strength,
        num_steps=config.num_steps,
        affinity=snapshot.affinity,
        rho=snapshot.settings.threshold,
        power=snapshot.settings.power,
        num_clusters=snapshot.num_clusters,
    )


def regroup(
    run: Run,
    round_index: int,
    settings: Regrouping,
    on_stage: Callable[[str], None] = lambda stage: None,
    *,
    latent: np.ndarray | None = None,
) -> tuple[Snapshot, dict[str, Any]]:
    """The round as ``settings`` group it, ids matched to the round's own, and its scores; ``latent`` (N, D) in place of its Z.

    Scores: ``nmi``, ``acc``, ``ari``, ``ami``, ``class_mass`` (None without labels, which nothing else looks at), ``eigengap``,
    ``in_block_mass``, ``unchanged``, the share of images that keep their id, 0..1, and ``seconds`` of each of ``STAGES``, which
    ``on_stage`` is told before it begins.

    Raises: Problem when the run kept no coefficients, there are too many images for a dense C, or a setting is out of range.
    """
    import vitviz.clustering.spectral  # noqa: F401  with torch, before the clock runs

    stored = take_snapshot(run, round_index)
    config = from_plain(SubspaceConfig, run.description().settings)
    check_solver(settings.solver, len(stored.labels))
    dim = stored.settings.dim if settings.dim is None else settings.dim
    rule = replace(stored.settings, threshold=settings.rho, dim=dim, power=settings.power)
    seed = stored.seed if settings.seed is None else settings.seed
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        on_stage(stage)
        began = time.perf_counter()
        result = work()
        seconds[stage] = time.perf_counter() - began
        return result

    latent = run.round(round_index).embeddings if latent is None else latent
    matrix = timed("solve", lambda: _solve(stored, config, latent, settings))
    affinity = timed("affinity", lambda: make_affinity(matrix, settings.affinity, settings.num_clusters, rule))
    clusters = timed("cluster", lambda: _cluster(affinity, settings.num_clusters, seed, config.num_restarts))
    found = _snapshot(stored, settings, rule, seed, matrix, clusters)
    unchanged = float((found.labels == stored.labels).mean())
    return found, {**_score(matrix, clusters, stored), "unchanged": unchanged, "seconds": seconds}


def check_solver(solver: str, num_images: int) -> None:
    """Raises Problem for a solver whose dense C is too large for ``num_images``."""
    if solver in ("adam", "ridge") and num_images > MAX_DENSE_IMAGES:
        raise Problem(
            f"{num_images:,} images are too many for solver={solver}",
            f"it makes a dense C, and {MAX_DENSE_IMAGES:,} images are the limit",
            "choose neighbors",
        )


def _solve(stored: Snapshot, config: SubspaceConfig, latent: np.ndarray, settings: Regrouping) -> Matrix:
    """C (N, N) float32 with Z = C Z; what ``settings`` leave open is as in the run."""
    if settings.solver == "stored":
        return stored.coefficients
    import torch

    from vitviz.clustering.self_expression import SolverSettings, express

    solving = SolverSettings(
        num_steps=settings.num_steps,
        lr=config.finetune_lr,
        start=config.coefficient_start,
        coefficient_weight=config.coefficient_weight,
        expression_weight=config.expression_weight,
        ridge_strength=settings.ridge_strength,
        zero_diagonal=config.zero_diagonal,
        num_neighbors=settings.num_neighbors,
        neighbor_strength=config.neighbor_strength,
        num_iterations=config.num_iterations,
    )
    found = express(torch.from_numpy(np.asarray(latent, np.float32)), settings.solver, solving)
    return found.numpy().astype(np.float32) if isinstance(found, torch.Tensor) else found.astype(np.float32)


def _cluster(affinity: Matrix, num_clusters: int, seed: int, num_restarts: int) -> "SpectralClustering":
    from vitviz.clustering.spectral import cluster_affinity

    return cluster_affinity(affinity, num_clusters, seed=seed, num_restarts=num_restarts)


def _score(matrix: Matrix, clusters: "SpectralClustering", stored: Snapshot) -> dict[str, Any]:
    import torch

    from vitviz.training.subspace_rounds import Expressed, score

    nothing = torch.zeros(0)  # no score looks at Z
    return score(Expressed(nothing, None, matrix, clusters), stored.classes)


def _snapshot(
    stored: Snapshot,
    settings: Regrouping,
    rule: AffinitySettings,
    seed: int,
    matrix: Matrix,
    clusters: "SpectralClustering",
) -> Snapshot:
    from vitviz.clustering.spectral import spectral_order

    return replace(
        stored,
        solver=stored.solver if settings.solver == "stored" else settings.solver,
        affinity=settings.affinity,
        settings=rule,
        num_clusters=settings.num_clusters,
        seed=seed,
        coefficients=matrix,
        labels=match_labels(stored.labels, clusters.labels)[clusters.labels],
        cluster_order=spectral_order(clusters.labels, clusters.embedding),
        embedding=clusters.embedding.astype(np.float32),
        eigenvalues=clusters.eigenvalues,
    )
