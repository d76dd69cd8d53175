"""Figures of what a clustered CoaT does with pictures: where a token looks, how many prototypes, what it answers."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vitviz.figures import theme

_ROW_HEIGHT = 34
_CLUSTERED, _EXACT = theme.CLUSTER_COLORS[0], theme.CLUSTER_COLORS[8]


def attention_maps(
    clustered: np.ndarray, exact: np.ndarray, *, place: tuple[int, int], title: str, height: int = 300
) -> go.Figure:
    """Two maps (rows, columns) of what one token takes, by its prototype and by itself, on one scale.

    Weights of any sign are drawn around 0, others from 0. ``place``: row and column of the token; ``title`` names the weight.
    """
    largest = max(float(np.abs(clustered).max()), float(np.abs(exact).max()), 1e-12)
    is_signed = min(clustered.min(), exact.min()) < 0
    figure = make_subplots(cols=2, subplot_titles=("its prototype", "itself, exact"), horizontal_spacing=0.04)
    for column, values in enumerate((clustered, exact), 1):
        where = {"row": 1, "col": column}
        text = f"row %{{y}}, column %{{x}}<br>{theme.literal(title)} %{{z:.3g}}<extra></extra>"
        figure.add_heatmap(z=values, coloraxis="coloraxis", hovertemplate=text, **where)
        mark = {"size": 9, "color": "#ffd400", "line": {"color": "black", "width": 1.5}}
        figure.add_scatter(x=[place[1]], y=[place[0]], mode="markers", marker=mark, hoverinfo="skip", **where)
        anchor = "x" if column == 1 else "x2"
        figure.update_yaxes(autorange="reversed", visible=False, scaleanchor=anchor, constrain="domain", **where)
        figure.update_xaxes(visible=False, constrain="domain", **where)
    theme.layout(figure, height=height)
    scale = {"colorscale": "RdBu_r", "cmin": -largest} if is_signed else {"colorscale": theme.SEQUENTIAL, "cmin": 0}
    bar = {
        "orientation": "h",
        "y": -0.02,
        "yanchor": "top",
        "thickness": 10,
        "title": theme.literal(title),
        "nticks": 5,
    }
    bar |= {"exponentformat": "power", "title_side": "bottom"}
    return figure.update_layout(showlegend=False, coloraxis={**scale, "cmax": largest, "colorbar": bar})


def block_counts(blocks: Sequence, *, height: int | None = None) -> go.Figure:
    """Prototypes of each block as a share of its tokens: records with ``name``, ``num_tokens`` and ``counts`` (h,) of its heads.

    The bar is the mean over heads, the whisker reaches from the fewest to the most.
    """
    means = [float(np.mean(block.counts)) for block in blocks]
    tokens = [block.num_tokens for block in blocks]
    lows, highs = ([float(fold(block.counts)) for block in blocks] for fold in (np.min, np.max))
    figure = go.Figure()
    figure.add_bar(
        y=[theme.literal(block.name) for block in blocks],
        x=[mean / num for mean, num in zip(means, tokens, strict=True)],
        orientation="h",
        marker_color=_CLUSTERED,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(high - mean) / num for high, mean, num in zip(highs, means, tokens, strict=True)],
            "arrayminus": [(mean - low) / num for low, mean, num in zip(lows, means, tokens, strict=True)],
            "color": theme.UNKNOWN_COLOR,
        },
        customdata=list(zip(means, lows, highs, strict=True)),
        hovertemplate=(
            "%{y}: %{x:.1%}, %{customdata[0]:,.0f}; heads %{customdata[1]:,.0f} to %{customdata[2]:,.0f}<extra></extra>"
        ),
    )
    figure.add_scatter(
        y=[theme.literal(block.name) for block in blocks],
        x=[high / num for high, num in zip(highs, tokens, strict=True)],
        mode="text",
        text=[f"  {mean:,.0f} / {num:,}" for mean, num in zip(means, tokens, strict=True)],
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(
        title="prototypes a head, as a share of the tokens",
        tickformat=".0%",
        range=[0, 1.35],
        tickvals=[0, 0.25, 0.5, 0.75, 1],
    )
    figure.update_yaxes(autorange="reversed")
    return theme.layout(figure, height=height or 100 + _ROW_HEIGHT * len(blocks))


def answers(names: Sequence[str], exact: np.ndarray, clustered: np.ndarray, *, height: int | None = None) -> go.Figure:
    """Probabilities (K,) of classes without and with clusters, a pair of bars a class."""
    figure = go.Figure()
    for name, values, color in (("nothing clustered", exact, _EXACT), ("clustered", clustered, _CLUSTERED)):
        figure.add_bar(
            y=[theme.literal(one) for one in names],
            x=values,
            orientation="h",
            name=name,
            marker_color=color,
            text=[f"{value:.1%}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{y}}, {name}: %{{x:.2%}}<extra></extra>",
        )
    figure.update_layout(barmode="group")
    figure.update_xaxes(title="probability", tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    theme.layout(figure, height=height or 110 + _ROW_HEIGHT * len(names))
    return figure.update_layout(margin={"r": 56})


def agreement_lines(
    widths: Sequence[float], lines: Mapping[str, Sequence[tuple[float, float]]], *, height: int = 320
) -> go.Figure:
    """How often the class stays the same at each bucket width: ``lines`` name to a pair for each of ``widths``.

    A pair: the share of images with the same class, and the share of prototypes, both 0..1.
    """
    figure = go.Figure()
    for index, (name, values) in enumerate(lines.items()):
        figure.add_scatter(
            x=list(widths),
            y=[same for same, _ in values],
            mode="lines+markers+text",
            name=theme.literal(name),
            line={"color": theme.CLUSTER_COLORS[index], "width": 2.5},
            marker={"size": 8},
            text=[f"{same:.1%}" for same, _ in values],
            textposition=("bottom center", "top center")[index % 2],
            cliponaxis=False,
            customdata=[share for _, share in values],
            hovertemplate="r = %{x:g}: the same class for %{y:.1%}, %{customdata:.0%} as many prototypes as tokens",
        )
    figure.update_xaxes(title="bucket width r, in standard deviations", type="log", tickvals=list(widths))
    figure.update_yaxes(title="images with the same class", tickformat=".0%")
    return theme.layout(figure, height=height)
