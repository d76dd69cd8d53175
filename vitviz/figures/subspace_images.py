"""Figures of one image of a subspace run, and of the gate: what it is made of, and how far each channel is let through.

Rows = images, Z = C Z.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from vitviz.figures import theme

_MAIN, _NEGATIVE = theme.CLUSTER_COLORS[0], theme.CLUSTER_COLORS[6]
_WIDTHS = 6
_LONGEST = 18


def coefficient_bars(row, *, names: Sequence[str], height: int = 260) -> go.Figure:
    """One row of C: a bar for each of the largest coefficients, signed, and beside them what is left as a share of the row.

    Args:
        row: with ``values`` (M,), ``share`` (M,) and ``rest``, as of ``explain.subspace_images.Row``.
        names: (M,) of the images the bars belong to.
    """
    places = np.arange(len(row.values))
    figure = go.Figure()
    figure.add_bar(
        x=places,
        y=row.values,
        marker_color=[_MAIN if value >= 0 else _NEGATIVE for value in row.values],
        customdata=row.share,
        text=[theme.literal(name) for name in names],
        textposition="none",
        hovertemplate="%{text}<br>C = %{y:.4g}, %{customdata:.1%} of the row<extra></extra>",
    )
    figure.add_bar(
        x=["all others"],
        y=[row.rest],
        marker_color=theme.UNKNOWN_COLOR,
        text=[f"{row.rest:.0%}"],
        hovertemplate="all others: %{y:.1%} of the row<extra></extra>",
        xaxis="x2",
        yaxis="y2",
    )
    figure.update_layout(
        showlegend=False,
        xaxis={"domain": [0, 0.82]},
        xaxis2={"domain": [0.9, 1], "anchor": "y2"},
        yaxis2={"anchor": "x2", "side": "right", "range": [0, 1], "tickformat": ".0%"},
    )
    theme.layout(figure, height=height)
    figure.layout.xaxis.update(tickvals=places, ticktext=[theme.literal(name) for name in names])
    figure.layout.yaxis.title = "coefficient C<sub>ij</sub>"
    return figure


def ring(ring, *, names: Sequence[str], height: int = 420) -> go.Figure:
    """A class as a circle, in the order of the data, and chords from one image to those it is made of, wide for a large C_ij.

    Args:
        ring: with ``members`` (P,), ``place``, ``partners`` (Q,), ``weights`` (Q,) and ``angle_step``, as of
            ``explain.subspace_images.Ring``.
        names: (P,) of the members.
    """
    turns = 2 * np.pi * np.arange(len(ring.members)) / len(ring.members)
    x, y = np.sin(turns), np.cos(turns)  # the first on top, and on clockwise
    weights = np.zeros(len(turns))
    weights[ring.partners] = ring.weights
    figure = go.Figure()
    _add_chords(figure, ring, x, y)
    texts = [_member_text(ring, place, theme.literal(name), weights[place]) for place, name in enumerate(names)]
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": 6 + 8 * weights, "color": np.where(weights > 0, _MAIN, theme.UNKNOWN_COLOR)},
        text=texts,
        customdata=ring.members,
        hovertemplate="%{text}<extra></extra>",
        name="images of the class",
    )
    own = [ring.place]
    figure.add_scatter(
        x=x[own],
        y=y[own],
        mode="markers",
        marker={"size": 16, "symbol": "star", "color": _NEGATIVE},
        text=[texts[ring.place]],
        customdata=ring.members[own],
        hovertemplate="%{text}<extra></extra>",
        name="this image",
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(visible=False, range=[-1.12, 1.12])
    figure.update_yaxes(visible=False, range=[-1.12, 1.12], scaleanchor="x")
    return theme.layout(figure, height=height)


def gate_bars(gates, *, height: int = 260) -> go.Figure:
    """How far each channel is let through: ``gates`` with ``mean`` and ``spread`` (channels,), one standard deviation."""
    figure = go.Figure()
    figure.add_bar(
        x=[str(channel) for channel in range(1, len(gates.mean) + 1)],
        y=gates.mean,
        error_y={"array": gates.spread, "color": theme.UNKNOWN_COLOR},
        marker_color=_MAIN,
        customdata=gates.spread,
        hovertemplate="channel %{x}: %{y:.3f} ± %{customdata:.2g}<extra></extra>",
    )
    figure.update_xaxes(title="channel", type="category")
    figure.update_yaxes(title="gate, mean ± spread", range=[0, 1.02])
    return theme.layout(figure, height=height)


def gate_heat(by_class: np.ndarray, *, class_names: Sequence[str], height: int = 320) -> go.Figure:
    """The mean gate of each class (rows) and channel (columns), ``by_class`` (num_classes, channels) in 0..1, nan for none.

    The scale is all of 0..1: a gate that hardly looks at the images must not look as if it did.
    """
    names = [theme.literal(name) for name in class_names[: len(by_class)]]
    figure = go.Figure(
        go.Heatmap(
            z=by_class,
            x=[str(channel) for channel in range(1, by_class.shape[1] + 1)],
            y=names,
            zmin=0,
            zmax=1,
            texttemplate="%{z:.3f}" if by_class.size <= 400 else None,
            colorscale=theme.SEQUENTIAL,
            colorbar={"title": {"text": "gate"}, "thickness": 12},
            hovertemplate="%{y}, channel %{x}: %{z:.3f}<extra></extra>",
        )
    )
    figure.update_xaxes(title="channel", type="category", showgrid=False)
    figure.update_yaxes(title="class", type="category", autorange="reversed", showgrid=False)
    figure.update_yaxes(tickvals=names, ticktext=[theme.literal(_cut(name)) for name in class_names[: len(by_class)]])
    return theme.layout(figure, height=height)


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _add_chords(figure: go.Figure, ring, x: np.ndarray, y: np.ndarray) -> None:
    """One trace for each of a few widths: a chord for each would be slow to draw with a dense C."""
    levels = np.ceil(np.asarray(ring.weights) * _WIDTHS).astype(int)
    for level in np.unique(levels):
        ends = ring.partners[levels == level]
        gap = np.full(len(ends), np.nan)
        figure.add_scatter(
            x=np.stack([np.full(len(ends), x[ring.place]), x[ends], gap], axis=1).ravel(),
            y=np.stack([np.full(len(ends), y[ring.place]), y[ends], gap], axis=1).ravel(),
            mode="lines",
            line={"color": _MAIN, "width": float(level)},
            opacity=0.15 + 0.75 * float(level) / _WIDTHS,
            hoverinfo="skip",
        )


def _member_text(ring, place: int, name: str, weight: float) -> str:
    turned = ""
    if ring.angle_step is not None:
        steps = (place - ring.place + len(ring.members) // 2) % len(ring.members) - len(ring.members) // 2
        turned = f"<br>turned by {steps * ring.angle_step:+.0f}°"
    return f"{name}{turned}" + (f"<br>{weight:.0%} of the largest" if weight > 0 else "")
