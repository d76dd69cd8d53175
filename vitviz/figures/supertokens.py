"""Figures of one picture's super tokens over the iterations. The page says in the caption whose they are."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from vitviz.figures import theme

_LINE = {"color": theme.CLUSTER_COLORS[0], "width": 2.5}


def changes(values: np.ndarray, *, step: int | None = None, height: int = 260) -> go.Figure:
    """How far the super tokens moved at each iteration: ``values`` (t,), t = 1 first; ``step`` is marked."""
    steps = np.arange(1, len(values) + 1)
    figure = go.Figure()
    figure.add_scatter(
        x=steps,
        y=values,
        mode="lines+markers",
        line=_LINE,
        name="change",
        hovertemplate="t = %{x}: %{y:.4g}<extra></extra>",
    )
    _mark(figure, step)
    figure.update_xaxes(title="iteration t", dtick=1, range=[-0.3, len(values) + 0.3])
    figure.update_yaxes(title="mean |S<sub>t</sub> − S<sub>t−1</sub>|", rangemode="tozero")
    return theme.layout(figure, height=height)


def health(records: Sequence, *, step: int | None = None, height: int = 420) -> go.Figure:
    """Four small charts over t of ``records`` with the fields of ``explain.supertokens.Health``, one an iteration."""
    from plotly.subplots import make_subplots

    last = records[-1]
    lines = (
        ("candidates a pixel weighs, of 9", [one.effective_candidates for one in records], [1, 9]),
        ("pixels in their own cell", [one.own_cell_share for one in records], [0, 1.02]),
        (f"labels used, of {last.num_labels:,}", [one.labels_used for one in records], None),
        ("connected pieces", [one.components for one in records], None),
    )
    figure = make_subplots(rows=2, cols=2, subplot_titles=[title for title, _, _ in lines], vertical_spacing=0.2)
    for index, (title, values, value_range) in enumerate(lines):
        row, column = divmod(index, 2)
        figure.add_scatter(
            x=np.arange(len(values)),
            y=values,
            mode="lines+markers",
            line=_LINE,
            name=title,
            showlegend=False,
            hovertemplate="t = %{x}: %{y:.4~g}<extra></extra>",
            row=row + 1,
            col=column + 1,
        )
        figure.update_yaxes(range=value_range, rangemode="tozero", row=row + 1, col=column + 1)
    _mark(figure, step)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(dtick=2, range=[-0.3, len(records) - 0.7])
    return theme.layout(figure, height=height)


def shares(values: np.ndarray, *, height: int = 200) -> go.Figure:
    """Where a super token's mass comes from: ``values`` (3, 3) in 0..1 of the cells around it."""
    figure = go.Figure(
        go.Heatmap(
            z=values,
            zmin=0,
            zmax=1,
            colorscale=theme.SEQUENTIAL,
            text=[[f"{one:.0%}" for one in row] for row in values],
            texttemplate="%{text}",
            hovertemplate="%{z:.1%} of its mass<extra></extra>",
            colorbar={"title": {"text": "share"}, "tickvals": [0, 0.5, 1]},
            xgap=2,
            ygap=2,
        )
    )
    figure.update_xaxes(visible=False, scaleanchor="y", constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", constrain="domain")
    return theme.layout(figure, height=height)


def _mark(figure: go.Figure, step: int | None) -> None:
    if step is not None:
        figure.add_vline(x=step, line={"color": theme.CLUSTER_COLORS[6], "width": 1.5, "dash": "dash"})
