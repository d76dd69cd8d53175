"""Figures of a run that grows: one value a record."""

from collections.abc import Sequence

import plotly.graph_objects as go

from vitviz.figures import theme


def growing(lines: Sequence, *, title: str, total: int, value_range: tuple[float, float] | None = None) -> go.Figure:
    """One line a value, over the numbers of the records up to ``total``; what only rounds have is drawn with dots.

    ``lines`` have ``name``, ``x`` and ``y`` (n,), and ``is_rounds``.
    """
    figure = go.Figure()
    for line in lines:
        has_dots = line.is_rounds or len(line.x) == 1
        figure.add_scatter(
            x=line.x,
            y=line.y,
            name=theme.literal(line.name),
            mode="lines+markers" if has_dots else "lines",
            line={"dash": "dot" if line.is_rounds else "solid", "width": 2},
            marker={"size": 8},
            hovertemplate=f"record %{{x}}: %{{y:.4g}}<extra>{theme.literal(line.name)}</extra>",
        )
    last = max((int(line.x[-1]) for line in lines), default=1)
    figure.update_xaxes(title="record", range=[0.5, max(total, last) + 0.5])
    figure.update_yaxes(title=title, range=None if value_range is None else list(value_range))
    figure.update_layout(showlegend=True)
    return theme.layout(figure, height=280)
