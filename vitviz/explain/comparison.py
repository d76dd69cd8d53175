"""Runs of ours beside the rows of a paper's table: who belongs to which row, scores over seeds, curves, and the order they give.

Runs are averaged only over seeds. Whatever else differs, the images or any setting that the table does not vary, makes another
setup (``comparison_setups``), and setups are never mixed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from vitviz.explain.comparison_setups import distinct_titles, frozen, name_of, settings_that_matter
from vitviz.explain.paper_claims import Comparison, PaperRow
from vitviz.runs.folder import Run

Measure = Literal["score", "loss", "held_out_loss"]
Against = Literal["epoch", "seconds"]


@dataclass(frozen=True)
class TrainedRun:
    """One run, epoch by epoch: training seconds so far, losses, and the held-out score in percent, each (E,).

    ``score`` is that of its last epoch in percent, None while it is not through all ``num_epochs``.
    """

    name: str
    method: str
    seed: int
    num_epochs: int
    score: float | None
    seconds: np.ndarray
    losses: np.ndarray
    held_out_losses: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class ComparedRow:
    """A row of a table with the runs of ours that repeat it, one a seed. Scores in percent, of finished runs only."""

    claim: PaperRow
    runs: tuple[TrainedRun, ...]

    @property
    def finished(self) -> tuple[TrainedRun, ...]:
        """The runs that are through all their epochs."""
        return tuple(run for run in self.runs if run.score is not None)

    @property
    def scores(self) -> tuple[float, ...]:
        """One score a seed."""
        return tuple(run.score for run in self.finished)

    @property
    def mean(self) -> float | None:
        """Mean score over seeds, None without a finished run."""
        return float(np.mean(self.scores)) if self.scores else None

    @property
    def spread(self) -> float | None:
        """Largest minus smallest score over seeds in points, None with fewer than two."""
        return max(self.scores) - min(self.scores) if len(self.scores) > 1 else None


@dataclass(frozen=True)
class Step:
    """From one place of an order to the next: the difference in points, and the larger spread over seeds of the two."""

    better: ComparedRow
    worse: ComparedRow
    difference: float
    spread: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the difference is larger than what another seed changes."""
        return self.spread is not None and self.difference > self.spread


@dataclass(frozen=True)
class LearningCurve:
    """One line: the row's title and place, whose it is, x and y (E,)."""

    name: str
    place: int
    run: str
    role: Literal["mean", "seed"]
    x: np.ndarray
    y: np.ndarray


def compare(comparison: Comparison, runs: Iterable[Run]) -> tuple[ComparedRow, ...]:
    """The rows of a comparison over the runs of one setup, then a row for every variant that the table does not know."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        variant = run.description().variant
        groups.setdefault((variant, frozen(settings_that_matter(run))), []).append(run)
    rows = []
    for claim in comparison.rows:
        mine = next((key for key in groups if key[0] == claim.variant), None)
        rows.append(ComparedRow(claim, _read_all(groups.pop(mine, []), comparison.score)))
    note = "not a row of the paper" if comparison.rows else ""
    titles = distinct_titles([group[0] for group in groups.values()], name_of)
    for title, group in sorted(zip(titles, groups.values(), strict=True), key=lambda pair: pair[0]):
        claim = PaperRow(variant=group[0].description().variant, title=title, note=note)
        rows.append(ComparedRow(claim, _read_all(group, comparison.score)))
    return tuple(rows)


def rank(rows: Sequence[ComparedRow]) -> tuple[ComparedRow, ...]:
    """The rows that have a finished run, best mean first."""
    return tuple(sorted((row for row in rows if row.mean is not None), key=lambda row: -row.mean))


def rank_claims(rows: Sequence[ComparedRow]) -> tuple[ComparedRow, ...]:
    """The rows for which the paper prints a score, best first."""
    return tuple(sorted((row for row in rows if row.claim.top1 is not None), key=lambda row: -row.claim.top1))


def find_steps(ranked: Sequence[ComparedRow]) -> tuple[Step, ...]:
    """The steps down an order of ours."""
    steps = []
    for better, worse in pairwise(ranked):
        known = better.spread is not None and worse.spread is not None
        spread = max(better.spread, worse.spread) if known else None
        steps.append(Step(better, worse, better.mean - worse.mean, spread))
    return tuple(steps)


def learning_curves(rows: Sequence[ComparedRow], measure: Measure, against: Against) -> tuple[LearningCurve, ...]:
    """A line a run and a mean line a row, over epochs from 1 or over seconds of training.

    The mean is taken over finished runs, or, before there is one, over the epochs that all runs have.
    """
    field = {"score": "scores", "loss": "losses", "held_out_loss": "held_out_losses"}[measure]
    lines = []
    for place, row in enumerate(rows):
        drawn = [run for run in row.runs if len(run.scores)]
        for run in drawn if len(drawn) > 1 else []:
            x, y = _x(run, against), getattr(run, field)
            lines.append(LearningCurve(row.claim.title, place, run.name, "seed", x, y))
        averaged = [run for run in drawn if run.score is not None] or drawn
        if averaged:
            num = min(len(run.scores) for run in averaged)
            x = np.mean([_x(run, against)[:num] for run in averaged], axis=0)
            y = np.mean([getattr(run, field)[:num] for run in averaged], axis=0)
            whose = averaged[0].name if len(averaged) == 1 else f"mean of {len(averaged)} seeds"
            lines.append(LearningCurve(row.claim.title, place, whose, "mean", x, y))
    return tuple(lines)


def _x(run: TrainedRun, against: Against) -> np.ndarray:
    return run.seconds if against == "seconds" else np.arange(1, len(run.scores) + 1)


def _read_all(runs: Sequence[Run], score: str) -> tuple[TrainedRun, ...]:
    """One run a seed, in the order of seeds: a finished one before one that is not, else the first."""
    read = [_read(run, score) for run in runs]
    by_seed: dict[int, TrainedRun] = {}
    for run in sorted(read, key=lambda run: run.score is None):
        by_seed.setdefault(run.seed, run)
    return tuple(by_seed[seed] for seed in sorted(by_seed))


def _read(run: Run, score: str) -> TrainedRun:
    about = run.description()
    records = [record for record in run.metrics() if record.get("kind") == "epoch" and record.get(score) is not None]
    scores = 100 * _column(records, score)
    num_epochs = about.settings.get("epochs", 0)
    is_through = len(records) >= max(num_epochs, 1)
    return TrainedRun(
        name=run.name,
        method=about.method,
        seed=about.seed,
        num_epochs=num_epochs,
        score=float(scores[-1]) if is_through else None,
        seconds=np.cumsum(_column(records, "seconds")),
        losses=_column(records, "loss"),
        held_out_losses=_column(records, "held_out_loss"),
        scores=scores,
    )


def _column(records: Sequence[dict], key: str) -> np.ndarray:
    values = (record.get(key) for record in records)
    return np.array([np.nan if value is None else value for value in values], dtype=float)
