"""Figures of the tools of subspace clustering: how strong blocks are, and what the equaliser comes to beside its controls."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from vitviz.figures import theme

_BAR, _AROUND = 22, 84
_MAIN, _TRAINED = theme.CLUSTER_COLORS[0], theme.CLUSTER_COLORS[6]


def block_strengths(found, *, names: Sequence[str], colors: Sequence[str]) -> go.Figure:
    """A bar a cluster, the share of its affinity that stays inside, as a number too, and a line where chance is.

    Args:
        found: with ``share`` (K,), ``chance`` (K,) and ``sizes`` (K,), as of ``explain.subspace_blocks.BlockStrengths``.
        names, colors: (K,) of the clusters.
    """
    labels = [theme.literal(name) for name in names]
    figure = go.Figure()
    figure.add_bar(
        x=found.share,
        y=labels,
        orientation="h",
        marker_color=list(colors),
        text=[f"{share:.1%}" for share in found.share],
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
        constraintext="none",
        textfont={"size": 12, "color": "white"},
        customdata=np.stack([found.sizes, found.chance], axis=1),
        hovertemplate="%{y}: %{x:.1%} inside<br>by chance %{customdata[1]:.1%}<br>%{customdata[0]} images<extra></extra>",
        name="inside the block",
        showlegend=False,
    )
    figure.add_scatter(
        x=found.chance,
        y=labels,
        mode="markers",
        marker={"symbol": "line-ns", "size": 14, "line": {"width": 2, "color": theme.UNKNOWN_COLOR}},
        hovertemplate="by chance: %{x:.1%}<extra></extra>",
        name="by chance",
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title="affinity inside the block")
    figure.update_yaxes(autorange="reversed", type="category")
    return theme.layout(figure, height=_AROUND + _BAR * len(labels))


def equaliser_scores(
    chosen: Mapping[str, float],
    trained: Mapping[str, float],
    random: Mapping[str, Sequence[float]],
    *,
    height: int = 240,
) -> go.Figure:
    """Scores by name, 0..1: a dot for what is chosen, one as trained, and small ones for each random gate on its line."""
    names = list(chosen)
    figure = go.Figure()
    for name in names:
        figure.add_scatter(
            x=list(random[name]),
            y=[name] * len(random[name]),
            mode="lines+markers",
            line={"color": theme.UNKNOWN_COLOR, "width": 2},
            marker={"size": 8, "color": theme.UNKNOWN_COLOR},
            hovertemplate="random gate: %{x:.3f}<extra></extra>",
            name="random gates",
            showlegend=name == names[0],
        )
    for title, values, look in (
        ("as trained", trained, {"symbol": "diamond", "size": 13, "color": _TRAINED}),
        (
            "your setting",
            chosen,
            {"symbol": "circle", "size": 13, "color": _MAIN, "line": {"width": 1, "color": "white"}},
        ),
    ):
        figure.add_scatter(
            x=[values[name] for name in names],
            y=names,
            mode="markers",
            marker=look,
            hovertemplate=f"{title}: %{{x:.3f}}<extra></extra>",
            name=title,
        )
    figure.update_xaxes(title="score, all images")
    figure.update_yaxes(type="category", autorange="reversed")
    return theme.layout(figure, height=height)


def channel_energy(chosen: np.ndarray, trained: np.ndarray, *, height: int = 220) -> go.Figure:
    """The share of the squared size of Z that each channel (channels,) holds: as trained, and as chosen."""
    channels = [str(channel) for channel in range(1, len(chosen) + 1)]
    figure = go.Figure()
    for title, values, color in (("as trained", trained, _TRAINED), ("your setting", chosen, _MAIN)):
        figure.add_bar(
            x=channels,
            y=values,
            name=title,
            marker_color=color,
            hovertemplate=f"{title}, channel %{{x}}: %{{y:.1%}}<extra></extra>",
        )
    figure.update_xaxes(title="channel", type="category")
    figure.update_yaxes(title="share of the features", range=[0, 1], tickformat=".0%")
    return theme.layout(figure, height=height)
