"""Scores of a subspace run over its steps and seeds, which step each rule picks, and the spectrum of its graph."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from vitviz.config import from_plain, to_plain
from vitviz.errors import Problem
from vitviz.runs.folder import Run
from vitviz.training.subspace_config import SubspaceConfig

_NO_MATTER = {"seed", "device", "projection", "held_out_fraction", "score_every", "round_every"}
"""Settings that change neither C nor a label, but only how much of them is told; and the seed."""


@dataclass(frozen=True)
class StepCurve:
    """One line over steps of the fine-tuning: steps (T,) ascending, values (T,) with NaN where a score is not defined."""

    name: str
    run: str
    steps: np.ndarray
    values: np.ndarray
    role: Literal["main", "second", "seed", "band_low", "band_high"]


def score_steps(run: Run, key: str, others: Sequence[Run] = ()) -> list[StepCurve]:
    """A recorded value over steps: of ``run``, of ``others`` that differ in the seed only, and the band that all of them span.

    ``key`` is e.g. ``acc``, ``nmi``, ``ari``, ``in_block_mass``, ``class_mass``, ``eigengap`` or ``loss``; read from the steps,
    or from the rounds where no step has it. The band is the least and the largest value at the steps that all have, and comes
    first; there is none without others. The run itself comes last.
    """
    main = _series(run, key)
    seeds = [(other, found) for other in others if len((found := _series(other, key))[0])]
    curves = [
        StepCurve(f"seed {other.description().seed}", other.name, steps, values, "seed")
        for other, (steps, values) in seeds
    ]
    curves.append(StepCurve(f"seed {run.description().seed}, this run", run.name, *main, "main"))
    return [*_band(curves), *curves] if len(curves) > 1 else curves


def mass_steps(run: Run, others: Sequence[Run] = ()) -> list[StepCurve]:
    """The mass of ``|C| + |C^T|`` inside clusters over steps as :func:`score_steps` gives it, and, where there are classes, that
    inside classes as ``second``.
    """
    steps, values = _series(run, "class_mass")
    *beside, own = score_steps(run, "in_block_mass", others)
    lines = [*beside, replace(own, name=f"inside clusters, seed {run.description().seed}")]
    if np.isfinite(values).any():
        lines.append(StepCurve("inside classes (uses labels)", run.name, steps, values, "second"))
    return lines


def find_seeds(run: Run, runs: Sequence[Run]) -> list[Run]:
    """Those of ``runs`` that differ from ``run`` in nothing that counts but the seed, by seed, also those that only scores are
    left of; each seed once.
    """
    about, wanted = run.description(), _settings(run)
    found: dict[int, Run] = {}
    for other in runs:
        try:
            there, settings = other.description(), _settings(other)
        except Problem:
            continue
        same_images = there.dataset_fingerprint == about.dataset_fingerprint
        is_alike = there.method == about.method and same_images and settings == wanted
        if is_alike and there.seed != about.seed and other.round_metrics():
            found.setdefault(there.seed, other)
    return [found[seed] for seed in sorted(found)]


def marks_of(run: Run) -> dict[str, dict[str, Any]]:
    """What each rule picks, by its name: ``fixed``, ``eigengap``, and ``oracle``, which looks at the labels and is no result.

    Each has ``step``, ``eigengap``, ``nmi``, ``acc``, ``ari``. Empty before the last round.
    """
    return _selection(run).get("marks", {})


def chosen_round(run: Run) -> int:
    """The round that counts: the one the run's own rule chose, or the last while it has not. Raises Problem without rounds."""
    last = run.num_rounds() - 1
    if last < 0:
        raise Problem(f"run '{run.name}' has no round yet")
    return min(_selection(run).get("round", last), last)


def largest_jump(run: Run) -> tuple[int, int, float] | None:
    """Between which two neighbouring scored steps ACC changed most, and by how much, -1..1; None with fewer than two."""
    steps, values = _series(run, "acc")
    steps, values = steps[np.isfinite(values)], values[np.isfinite(values)]
    if len(steps) < 2:
        return None
    at = int(np.abs(np.diff(values)).argmax())
    return int(steps[at]), int(steps[at + 1]), float(values[at + 1] - values[at])


def pretraining_curve(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (T,), from 1, and the reconstruction loss of an image, ``1/2 |x - xhat|^2``, (T,), of the start gone on with."""
    records = [record for record in run.metrics() if record["kind"] == "epoch"]
    gone_on_with = [record.get("attempt", 0) for record in [*records[-1:], *run.round_metrics()]]
    records = [record for record in records if record.get("attempt", 0) == gone_on_with[-1]]
    return (
        np.array([record["epoch"] + 1 for record in records], int),
        np.array([record["loss"] for record in records], float),
    )


def gap_of(eigenvalues: np.ndarray, num_clusters: int) -> tuple[int, float]:
    """After how many of the stored eigenvalues (E,), ascending, the largest gap comes, and the gap after ``num_clusters``.

    That gap is 0 where the eigenvalue beyond it is not stored. Of equal gaps the first counts.
    """
    gaps = np.diff(eigenvalues)
    largest = int(gaps.argmax()) + 1 if len(gaps) else len(eigenvalues)
    return largest, float(gaps[num_clusters - 1]) if 1 <= num_clusters <= len(gaps) else 0.0


def spectral_points(embedding: np.ndarray, dims: int = 2) -> tuple[np.ndarray, float]:
    """The spectral embedding (N, K), rows brought to length 1, seen along its ``dims`` main axes: (N, dims) float32, and the
    share of the variance, 0..1, that they hold.

    The sign of an axis is such that its largest component is positive. Axes that there are not are 0.
    """
    rows = np.asarray(embedding, np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    centered = rows - rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centered, full_matrices=False)
    axes = axes[:dims] * np.where(axes[:dims].max(axis=1) >= -axes[:dims].min(axis=1), 1, -1)[:, None]
    points = np.zeros((len(rows), dims), np.float32)
    points[:, : len(axes)] = centered @ axes.T
    variance = np.square(sizes)
    return points, float(variance[:dims].sum() / variance.sum()) if variance.sum() > 0 else 1.0


def _series(run: Run, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps (T,) and values (T,) of a key, of the steps, or of the rounds where no step has it."""
    records = [record for record in run.metrics() if key in record and "step" in record]
    steps = [record for record in records if record["kind"] == "step"]
    chosen = steps or [record for record in records if record["kind"] == "round"]
    values = [np.nan if record[key] is None else record[key] for record in chosen]
    return np.array([record["step"] for record in chosen], int), np.array(values, float)


def _band(curves: Sequence[StepCurve]) -> list[StepCurve]:
    """The least and the largest value at the steps that all ``curves`` have a value at; nothing when there is no such step."""
    known = [dict(zip(curve.steps.tolist(), curve.values.tolist(), strict=True)) for curve in curves]
    common = sorted(set.intersection(*({step for step in one if np.isfinite(one[step])} for one in known)))
    if not common:
        return []
    values, steps = np.array([[one[step] for step in common] for one in known]), np.array(common)
    bounds = (("lowest seed", values.min(axis=0), "band_low"), ("highest seed", values.max(axis=0), "band_high"))
    return [StepCurve(name, "", steps, bound, role) for name, bound, role in bounds]


def _selection(run: Run) -> dict[str, Any]:
    rounds = run.round_metrics()
    return (rounds[-1].get("selection") or {}) if rounds else {}


def _settings(run: Run) -> dict[str, Any]:
    """The settings that count, at their defaults those a run was written without. Raises Problem when one is unknown."""
    settings = to_plain(from_plain(SubspaceConfig, run.description().settings))
    return {name: value for name, value in settings.items() if name not in _NO_MATTER}
