"""Figures of a comparison: scores row by row, learning curves over seeds, throughput. A row keeps its colour in all of them."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from vitviz.figures import theme

_ROW_HEIGHT = 34
_WHISKER = theme.CLUSTER_COLORS[8]
_CHANCE = {"color": theme.UNKNOWN_COLOR, "width": 1.5, "dash": "dot"}


def claimed_scores(
    rows: Sequence, *, score: str, names: Sequence[str], standard_errors: Sequence[float] | None = None
) -> go.Figure:
    """What the paper prints of a ``score``, one diamond a row; a row without a claim stays empty.

    ``rows`` have ``claim.score`` in percent or None; ``names`` are all rows' names, so that two such figures stand side by side;
    ``standard_errors``: drawn to both sides where they are known.
    """
    figure, errors = go.Figure(), standard_errors or [None] * len(rows)
    for row, error, name, color in zip(rows, errors, names, theme.cluster_colors(len(rows)), strict=True):
        name = theme.literal(name)
        known = "" if error is None else f"<br>one standard error {error:.2f}"
        figure.add_scatter(
            x=[row.claim.score],
            y=[name],
            mode="markers",
            marker={"symbol": "diamond", "size": 12, "color": color},
            error_x=None if error is None else {"array": [error], "color": color, "thickness": 1.5, "width": 5},
            hovertemplate=f"{name}: %{{x:.2f}} %, as the paper claims{known}<extra></extra>",
        )
    return _rows_figure(figure, names, f"{score} in percent, the paper's claim")


def own_scores(rows: Sequence, *, score: str, images: str, names: Sequence[str]) -> go.Figure:
    """Scores of ours, one dot a seed and a bar at their mean; a row without a finished run stays empty.

    ``rows`` have ``finished`` runs with ``name``, ``seed`` and ``score`` in percent, and their ``mean``; ``score`` names it, and
    ``images`` those it counts.
    """
    figure = go.Figure()
    for row, name, color in zip(rows, map(theme.literal, names), theme.cluster_colors(len(rows)), strict=True):
        figure.add_scatter(
            x=[run.score for run in row.finished],
            y=[name] * len(row.finished),
            mode="markers",
            marker={"size": 10, "color": color, "opacity": 0.65},
            text=[f"run {theme.literal(run.name)}, seed {run.seed}" for run in row.finished],
            hovertemplate=f"{name}: %{{x:.2f}} %<br>%{{text}}<extra></extra>",
        )
        if len(row.finished) > 1:
            figure.add_scatter(
                x=[row.mean],
                y=[name],
                mode="markers",
                marker={"symbol": "line-ns", "size": 18, "line": {"color": color, "width": 3}},
                hovertemplate=f"{name}: mean of {len(row.finished)} seeds %{{x:.2f}} %<extra></extra>",
            )
    return _rows_figure(figure, names, f"{score} in percent, ours on {images}")


def learning_curves(
    lines: Sequence,
    *,
    num_rows: int,
    against: str,
    title: str,
    phase: str = "training",
    chance: float | None = None,
    height: int = 340,
) -> go.Figure:
    """A thin line a seed and a thick one for their mean, in the colour of their row.

    ``lines`` have ``name``, ``place`` of the row, ``run``, ``role`` (mean or seed), ``x`` and ``y`` (E,). ``against``:
    seconds, or the noun of the records, as epoch or step; ``phase``: what the seconds are of. ``chance``: a dotted line at that
    height.
    """
    figure, colors = go.Figure(), theme.cluster_colors(num_rows)
    where = "after %{x:,.1f} s" if against == "seconds" else f"{against} %{{x}}"
    for line in lines:
        is_mean, name, whose = line.role == "mean", theme.literal(line.name), theme.literal(line.run)
        figure.add_scatter(
            x=line.x,
            y=line.y,
            name=name,
            mode="lines+markers" if len(line.x) == 1 else "lines",
            line={"color": colors[line.place], "width": 3 if is_mean else 1},
            opacity=1 if is_mean else 0.45,
            legendgroup=str(line.place),
            showlegend=is_mean,
            hovertemplate=f"{where}: %{{y:.3f}}<extra>{name}<br>{whose}</extra>",
        )
    if chance is not None and len(figure.data):
        ends = [min(line.x.min() for line in lines), max(line.x.max() for line in lines)]
        figure.add_scatter(
            x=ends,
            y=[chance, chance],
            name="chance",
            mode="lines",
            line=_CHANCE,
            hovertemplate=f"chance: {chance:.2f}<extra></extra>",
        )
    figure.update_xaxes(title=f"seconds of {phase}" if against == "seconds" else against)
    figure.update_yaxes(title=title)
    return theme.layout(figure, height=height)


def relative_throughput(
    names: Sequence[str], *, measured: np.ndarray, spreads: np.ndarray, claimed: np.ndarray, height: int = 320
) -> go.Figure:
    """Images a second as a share of the first row, ours beside the paper's: each (R,), ``spreads`` one standard deviation."""
    figure = go.Figure()
    bars = (
        ("measured here", measured, spreads, theme.CLUSTER_COLORS[0]),
        ("the paper's claim", claimed, None, theme.UNKNOWN_COLOR),
    )
    for name, rates, errors, color in bars:
        share = np.asarray(rates, float) / rates[0]
        spread = None if errors is None else {"array": np.asarray(errors, float) / rates[0], "color": _WHISKER}
        figure.add_bar(
            x=[theme.literal(one) for one in names],
            y=share,
            name=name,
            marker_color=color,
            error_y=spread,
            customdata=rates,
            text=[f"{one:.1%}" for one in share],
            textposition="inside",
            insidetextanchor="start",
            hovertemplate=f"%{{x}}, {name}: %{{customdata:,.1f}} images/s, %{{y:.1%}} of the first<extra></extra>",
        )
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(title="images a second, share of t = 1", tickformat=".0%", rangemode="tozero")
    return theme.layout(figure, height=height)


def _rows_figure(figure: go.Figure, names: Sequence[str], title: str) -> go.Figure:
    """The look of a figure with one named row after another, the first on top."""
    categories = [theme.literal(name) for name in names]
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title=title)
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=categories,
        range=[len(names) - 0.5, -0.5],
    )
    return theme.layout(figure, height=90 + _ROW_HEIGHT * len(names))
