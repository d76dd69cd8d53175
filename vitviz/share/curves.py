"""Curves of a run as pictures that need no script: which values stand on them, and the SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitviz.explain.deep_clustering import pair_of_curves, score_curves
from vitviz.explain.scoring import SCORINGS
from vitviz.runs.folder import Run
from vitviz.share.markup import label, said

_WIDTH, _HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 12, 10, 36
_MOST_DOTS = 40


@dataclass(frozen=True)
class Line:
    """One line: its name, how it is drawn (main, second, control, random or seed), x (M,) and y (M,), NaN = none."""

    name: str
    role: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Chart:
    """Lines over the same axis: what they show and what the axis counts."""

    title: str
    axis: str
    lines: tuple[Line, ...]


def charts_of(run: Run, control: Run | None) -> list[Chart]:
    """The curves of a run of any method, those of its control beside them; a chart without a number is left out."""
    scoring, records = SCORINGS.get(run.description().method), run.metrics()
    kind = "round" if scoring is None else scoring.record_kind
    if kind == "step":
        charts = _of_records(records, ("round", "step"), "step", _SUBSPACE)
    elif kind == "round" and run.round_metrics():
        charts = _of_rounds(run, control)
    else:
        charts = _of_records(records, ("epoch",), "epoch", _CLASSIFIER)
    return [chart for chart in charts if any(np.isfinite(line.y).any() for line in chart.lines)]


def svg(chart: Chart) -> str:
    """A chart as inline SVG with its legend; the page's style sheet colours it, and every dot says its value."""
    lines = [line for line in chart.lines if np.isfinite(line.y).any()]
    place = _places(lines)
    drawn = "".join(_drawn(line, place) for line in lines)
    legend = "".join(f'<li><svg class="swatch" aria-hidden="true"><line class="{line.role}" x1="0" y1="6" x2="24" y2="6"/>'
                     f"</svg>{said(line.name)}</li>" for line in lines)  # fmt: skip
    names = f"{chart.title} over {chart.axis}s"
    return (
        f'<figure class="chart"><figcaption>{said(chart.title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" {label(names)}>{_axes(place, chart.axis)}{drawn}</svg>'
        f'<ul class="keys">{legend}</ul></figure>'
    )


_SUBSPACE = (
    ("NMI and ACC over all images", (("NMI", "nmi", "main"), ("ACC", "acc", "second"))),
    ("Gap between eigenvalues", (("eigengap", "eigengap", "main"),)),
)
_CLASSIFIER = (
    ("Top-1 accuracy", (("held-out images", "held_out_top1", "main"), ("training images", "train_top1", "second"))),
    ("Loss", (("held-out images", "held_out_loss", "main"), ("training images", "loss", "second"))),
)


def _of_rounds(run: Run, control: Run | None) -> list[Chart]:
    scores = [(key.upper(), score_curves(run, key, control=control)) for key in ("nmi", "acc")]
    pairs = [(title, pair_of_curves(run, control, key, title)) for key, title in _PAIRS.items()]
    charts = []
    for title, curves in scores + pairs:
        lines = (Line(one.name, one.role, np.arange(len(one.values)), one.values) for one in curves)
        charts.append(Chart(title, "round", tuple(lines)))
    return charts


_PAIRS = {"within_share": "Within share W/T", "loss": "Loss"}


def _of_records(records: Sequence[Mapping[str, Any]], kinds: Sequence[str], axis: str, wanted) -> list[Chart]:
    chosen = [record for record in records if record["kind"] in kinds]
    x = np.array([record.get(axis, record["index"]) for record in chosen], float)
    order = np.argsort(x, kind="stable")
    charts = []
    for title, lines in wanted:
        series = ((name, role, _numbers(chosen, key)) for name, key, role in lines)
        charts.append(Chart(title, axis, tuple(Line(name, role, x[order], y[order]) for name, role, y in series)))
    return charts


def _numbers(records: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    return np.array([np.nan if record.get(key) is None else record[key] for record in records], float)


@dataclass(frozen=True)
class _Places:
    """From values to places in the picture."""

    low: tuple[float, float]
    high: tuple[float, float]

    def x(self, value: float) -> float:
        span = (self.high[0] - self.low[0]) or 1.0
        return _LEFT + (value - self.low[0]) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        span = (self.high[1] - self.low[1]) or 1.0
        return _HEIGHT - _BOTTOM - (value - self.low[1]) / span * (_HEIGHT - _TOP - _BOTTOM)


def _places(lines: Sequence[Line]) -> _Places:
    """Scores between 0 and 1 stand on the whole of 0 to 1, so that pictures can be compared; all else on its own range."""
    x = np.concatenate([line.x for line in lines])
    y = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    is_share = y.min() >= 0 and 0.2 <= y.max() <= 1
    low, high = (0.0, 1.0) if is_share else (float(y.min()), float(y.max()))
    return _Places((float(x.min()), low), (float(x.max()), high if high > low else low + 1.0))


def _axes(place: _Places, axis: str) -> str:
    rows = np.linspace(place.low[1], place.high[1], 5)
    first, last = int(place.low[0]), int(place.high[0])
    step = max(1, -(-(last - first) // 8))
    lines = "".join(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place.y(value):.1f}" '
                    f'y2="{place.y(value):.1f}"/><text x="{_LEFT - 6}" y="{place.y(value) + 4:.1f}" '
                    f'text-anchor="end">{value:.3g}</text>' for value in rows)  # fmt: skip
    ticks = "".join(
        f'<text x="{place.x(value):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{value}</text>'
        for value in range(first, last + 1, step)
    )
    name = f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{said(axis, tag="tspan")}</text>'
    return lines + ticks + name


def _drawn(line: Line, place: _Places) -> str:
    known = np.flatnonzero(np.isfinite(line.y))
    points = [(place.x(line.x[at]), place.y(line.y[at])) for at in known]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = f'<polyline class="{line.role}" points="{path}"/>'
    if len(known) > _MOST_DOTS:
        return drawn
    return drawn + "".join(
        f'<circle class="{line.role}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{line.x[at]:g}: {line.y[at]:.4g}</title></circle>'
        for at, (x, y) in zip(known, points, strict=True)
    )
