"""Runs of ours beside the rows of a paper's table: who belongs to which row, scores over seeds, curves, and the order they give.

Runs are averaged only over seeds. Whatever else differs, the images or any setting that the table does not vary, makes another
setup (``comparison_setups``), and setups are never mixed. What of a run is its score is the method's matter (``scoring``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from vitviz.explain.comparison_setups import distinct_titles, frozen, name_of, settings_that_matter
from vitviz.explain.paper_claims import Comparison, Contrast, PaperRow
from vitviz.explain.scoring import SCORINGS, Curve
from vitviz.runs.folder import Run

Record = Mapping[str, Any]
Against = Literal["records", "seconds"]


@dataclass(frozen=True)
class Points:
    """One curve of a run, each (E,): number of the record from 1, seconds so far, and the value, in percent for a share."""

    places: np.ndarray
    seconds: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """One run: its score in percent, None before it is finished, other shares beside it in percent, and its curves by key.

    ``num_done`` of ``num_planned`` epochs or steps are there; ``counted_at`` is the one whose score counts.
    """

    name: str
    method: str
    seed: int
    num_planned: int
    num_done: int
    score: float | None
    counted_at: int | None = None
    extras: Mapping[str, float | None]
    curves: Mapping[str, Points]


@dataclass(frozen=True)
class ComparedRow:
    """A row of a table with the runs of ours that repeat it, one a seed. Scores in percent, of finished runs only."""

    claim: PaperRow
    runs: tuple[TrainedRun, ...]

    @property
    def finished(self) -> tuple[TrainedRun, ...]:
        """The runs that have a score."""
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

    def extra(self, title: str) -> tuple[float, ...]:
        """Another share in percent, one a seed that has it."""
        found = (run.extras.get(title) for run in self.finished)
        return tuple(value for value in found if value is not None)


@dataclass(frozen=True)
class Step:
    """From one row to another: the difference of their means in points, and the larger spread over seeds of the two."""

    better: ComparedRow
    worse: ComparedRow
    difference: float
    spread: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the difference, up or down, is larger than what another seed changes."""
        return self.spread is not None and abs(self.difference) > self.spread


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
        rows.append(ComparedRow(claim, _read_all(groups.pop(mine, []))))
    note = "not a row of the paper" if comparison.rows else ""
    titles = distinct_titles([group[0] for group in groups.values()], name_of)
    for title, group in sorted(zip(titles, groups.values(), strict=True), key=lambda pair: pair[0]):
        claim = PaperRow(variant=group[0].description().variant, title=title, note=note)
        rows.append(ComparedRow(claim, _read_all(group)))
    return tuple(rows)


def rank(rows: Sequence[ComparedRow]) -> tuple[ComparedRow, ...]:
    """The rows that have a finished run, best mean first."""
    return tuple(sorted((row for row in rows if row.mean is not None), key=lambda row: -row.mean))


def rank_claims(rows: Sequence[ComparedRow]) -> tuple[ComparedRow, ...]:
    """The rows for which the paper prints a score, best first."""
    return tuple(sorted((row for row in rows if row.claim.score is not None), key=lambda row: -row.claim.score))


def find_steps(ranked: Sequence[ComparedRow]) -> tuple[Step, ...]:
    """The steps down an order of ours."""
    return tuple(_step(better, worse) for better, worse in pairwise(ranked))


def find_contrasts(contrast: Contrast, rows: Sequence[ComparedRow]) -> tuple[Step, ...]:
    """From the control to the variant that is said to be better, for every pair that has finished runs of both."""
    known = {row.claim.variant: row for row in rows if row.mean is not None}
    return tuple(
        _step(known[variant], known[control])
        for variant, control in contrast.pairs
        if variant in known and control in known
    )


def learning_curves(rows: Sequence[ComparedRow], curve: Curve, against: Against) -> tuple[LearningCurve, ...]:
    """A line a run and a mean line a row, over epochs or steps from 1, or over seconds of them.

    The mean is taken over finished runs, or, before there is one, over the records that all runs have.
    """
    lines = []
    for place, row in enumerate(rows):
        drawn = [run for run in row.runs if curve.key in run.curves]
        for run in drawn if len(drawn) > 1 else []:
            points = run.curves[curve.key]
            lines.append(LearningCurve(row.claim.title, place, run.name, "seed", _x(points, against), points.values))
        averaged = [run for run in drawn if run.score is not None] or drawn
        if averaged:
            found = [run.curves[curve.key] for run in averaged]
            num = min(len(points.values) for points in found)
            x = np.mean([_x(points, against)[:num] for points in found], axis=0)
            y = np.mean([points.values[:num] for points in found], axis=0)
            whose = averaged[0].name if len(averaged) == 1 else f"mean of {len(averaged)} seeds"
            lines.append(LearningCurve(row.claim.title, place, whose, "mean", x, y))
    return tuple(lines)


def _step(better: ComparedRow, worse: ComparedRow) -> Step:
    known = better.spread is not None and worse.spread is not None
    spread = max(better.spread, worse.spread) if known else None
    return Step(better, worse, better.mean - worse.mean, spread)


def _x(points: Points, against: Against) -> np.ndarray:
    return points.seconds if against == "seconds" else points.places


def _read_all(runs: Sequence[Run]) -> tuple[TrainedRun, ...]:
    """One run a seed, in the order of seeds: a finished one before one that is not, else the first."""
    by_seed: dict[int, TrainedRun] = {}
    for run in sorted(map(_read, runs), key=lambda run: run.score is None):
        by_seed.setdefault(run.seed, run)
    return tuple(by_seed[seed] for seed in sorted(by_seed))


def _read(run: Run) -> TrainedRun:
    about, metrics = run.description(), run.metrics()
    scoring = SCORINGS[about.method]
    records = [record for record in metrics if record.get("kind") == scoring.record_kind]
    planned = about.settings.get(scoring.planned, 0)
    counted = _selection(metrics) if scoring.is_selected else _last(records, planned)
    points = {curve.key: _points(records, curve) for curve in scoring.curves}
    return TrainedRun(
        name=run.name,
        method=about.method,
        seed=about.seed,
        num_planned=planned,
        num_done=len(records),
        score=_percent(counted, (scoring.curves[0].key,)),
        counted_at=None if not counted else counted["step"] if scoring.is_selected else len(records),
        extras={title: _percent(counted, path) for title, path in scoring.extras.items()},
        curves={key: found for key, found in points.items() if np.isfinite(found.values).any()},
    )


def _selection(metrics: Sequence[Record]) -> Record | None:
    """Of the last round: which step counts, chosen without labels; None while there is none."""
    rounds = [record for record in metrics if record.get("kind") == "round"]
    return rounds[-1].get("selection") if rounds else None


def _last(records: Sequence[Record], planned: int) -> Record | None:
    """The last record, None while they are not all there."""
    return records[-1] if len(records) >= max(planned, 1) else None


def _percent(record: Record | None, path: Sequence[str]) -> float | None:
    value: Any = record
    for key in path:
        value = (value or {}).get(key)
    return None if value is None else 100 * float(value)


def _points(records: Sequence[Record], curve: Curve) -> Points:
    """The curve over the records that have its key; a value that is not defined leaves a gap."""
    kept = np.array([curve.key in record for record in records], dtype=bool)
    values = _column(records, curve.key)[kept]
    places, seconds = np.arange(1, len(records) + 1), np.cumsum(_column(records, "seconds"))
    return Points(places[kept], seconds[kept], 100 * values if curve.in_percent else values)


def _column(records: Sequence[Record], key: str) -> np.ndarray:
    values = (record.get(key) for record in records)
    return np.array([np.nan if value is None else value for value in values], dtype=float)
