"""Figures of a subspace run: scores over steps, the spectrum, seconds. Those of one image are in ``subspace_images``."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from vitviz.figures import theme

_MAIN, _NEGATIVE = theme.CLUSTER_COLORS[0], theme.CLUSTER_COLORS[6]
_ROLES = {
    "main": {"color": _MAIN, "width": 3},
    "second": {"color": _NEGATIVE, "width": 2, "dash": "dot"},
    "seed": {"color": _MAIN, "width": 1},
}
_BAND = "rgba(63,144,218,0.16)"
_MARKS = {
    "fixed": ("fixed", {"color": theme.CLUSTER_COLORS[6], "width": 1.5}),
    "eigengap": ("eigengap", {"color": theme.CLUSTER_COLORS[7], "width": 1.5}),
    "oracle": ("oracle (uses labels)", {"color": theme.UNKNOWN_COLOR, "width": 1.5, "dash": "dash"}),
}
_LINE_HEIGHT = 16


def step_curves(
    curves: Sequence,
    *,
    title: str,
    marks: Mapping[str, Mapping],
    key: str,
    at: int | None,
    value_range: tuple[float, float] | None = None,
    height: int = 300,
) -> go.Figure:
    """A value over steps of the fine-tuning: the band of all seeds, a thin line a seed, and the run's own.

    Args:
        curves: with ``name``, ``run``, ``steps`` (T,), ``values`` (T,) and ``role``, as of ``explain.subspace_scores.StepCurve``.
        marks: rule to what it picks, ``step`` and perhaps a value under ``key``; ``oracle`` is drawn apart from the others.
        at: the step that is looked at.
    """
    figure = go.Figure()
    for curve in curves:
        figure.add_scatter(x=curve.steps, y=curve.values, **_look(curve))
    for line, (name, mark) in enumerate(marks.items()):
        _add_mark(figure, name, mark, key, line)
    if at is not None:
        figure.add_vline(x=at, line={"color": theme.UNKNOWN_COLOR, "width": 6}, opacity=0.35, layer="below")
    figure.update_xaxes(title="step of the fine-tuning")
    figure.update_yaxes(title=title, range=value_range, exponentformat="power")
    return theme.layout(figure, height=height)


def pretraining(epochs: np.ndarray, losses: np.ndarray, *, height: int = 300) -> go.Figure:
    """The reconstruction loss (T,) of the autoencoder alone over its epochs (T,)."""
    figure = go.Figure()
    figure.add_scatter(
        x=epochs,
        y=losses,
        mode="lines" if len(epochs) > 1 else "markers",
        line=_ROLES["main"],
        name="reconstruction",
        hovertemplate="epoch %{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_xaxes(title="epoch of the pretraining", dtick=1 if len(epochs) <= 16 else None)
    figure.update_yaxes(title="½ |x − x̂|² of an image", type="log")
    return theme.layout(figure, height=height)


def eigenvalues(values: np.ndarray, *, num_clusters: int, height: int = 280) -> go.Figure:
    """The smallest eigenvalues (E,) of the graph's Laplacian, ascending, with the gap after ``num_clusters`` shaded."""
    numbers = np.arange(1, len(values) + 1)
    figure = go.Figure()
    figure.add_scatter(
        x=numbers,
        y=values,
        mode="lines+markers",
        line={"color": _MAIN, "width": 1.5},
        marker={"size": 7, "color": np.where(numbers <= num_clusters, _MAIN, theme.UNKNOWN_COLOR)},
        hovertemplate="eigenvalue %{x}: %{y:.4g}<extra></extra>",
    )
    if 1 <= num_clusters < len(values):
        low, high = values[num_clusters - 1 : num_clusters + 1]
        figure.add_vrect(x0=num_clusters, x1=num_clusters + 1, line_width=0, fillcolor=_BAND, layer="below")
        text = f"gap after {num_clusters}: {high - low:.3g}"
        has_room = num_clusters > 0.4 * len(values)  # left of the band, where the curve is lower; else right of it
        place = {"x": num_clusters, "xanchor": "right", "xshift": -6}
        if not has_room:
            place = {"x": num_clusters + 1, "xanchor": "left", "xshift": 6}
        figure.add_annotation(**place, y=1, yref="paper", yanchor="top", text=text, showarrow=False)
    figure.update_xaxes(
        title="eigenvalue of the Laplacian, by size",
        range=[0.5, len(values) + 0.5],
        dtick=1 if len(values) <= 16 else None,
    )
    figure.update_yaxes(title="value", rangemode="tozero", exponentformat="power")
    return theme.layout(figure, height=height)


def spectral_map(
    points: np.ndarray,
    labels: np.ndarray,
    *,
    names: Sequence[str],
    numbers: np.ndarray | None = None,
    selected: int | None = None,
    height: int = 420,
) -> go.Figure:
    """The spectral embedding: points (N, 2) in the colours of their labels (N,), matched ids or classes, -1 unknown.

    ``names`` (K,) are those of the ids, ``numbers`` (N,) those that the images go by: their rows when None.
    """
    colors = np.array([*theme.cluster_colors(len(names)), theme.UNKNOWN_COLOR])  # -1 is the last
    texts = np.array([*map(theme.literal, names), "unknown"])
    figure = go.Figure()
    figure.add_scattergl(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        marker={"size": 6, "color": colors[labels], "opacity": 0.7},
        text=texts[labels],
        customdata=np.arange(len(points)) if numbers is None else numbers,
        hovertemplate="%{text}<br>image %{customdata}<extra></extra>",
        name="images",
    )
    if selected is not None:
        figure.add_scatter(
            x=points[[selected], 0],
            y=points[[selected], 1],
            mode="markers",
            marker={"size": 16, "symbol": "star", "color": theme.ACCENT_LIGHT, "line": {"color": "white", "width": 1}},
            customdata=[selected],
            hovertemplate="this image<extra></extra>",
            name="this image",
        )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title="first axis")
    figure.update_yaxes(title="second axis", scaleanchor="x")
    return theme.layout(figure, height=height)


def seconds_bars(seconds: Mapping[str, float], height: int = 160) -> go.Figure:
    """What each stage took: stage to seconds, one stacked bar."""
    figure = go.Figure()
    for index, (stage, value) in enumerate(seconds.items()):
        name = theme.literal(stage)
        figure.add_bar(
            y=[""],
            x=[value],
            name=f"{name} {value:.2f} s",
            orientation="h",
            marker_color=theme.CLUSTER_COLORS[index % len(theme.CLUSTER_COLORS)],
            hovertemplate=f"{name}: %{{x:.3f}} s<extra></extra>",
        )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="seconds", rangemode="tozero")
    figure.update_yaxes(visible=False)
    return theme.layout(figure, height=height)


def _look(curve) -> dict:
    name = theme.literal(curve.name)
    if curve.role in ("band_low", "band_high"):
        is_high = curve.role == "band_high"
        return {
            "name": "lowest to highest seed",
            "mode": "lines",
            "line": {"width": 0, "color": _MAIN},
            "fill": "tonexty" if is_high else None,
            "fillcolor": _BAND if is_high else None,
            "showlegend": is_high,
            "hoverinfo": "skip",
        }
    is_main = curve.role in ("main", "second")
    return {
        "name": name,
        "mode": "lines+markers" if is_main or len(curve.steps) == 1 else "lines",
        "line": _ROLES[curve.role],
        "opacity": 1 if is_main else 0.45,
        "hovertemplate": f"step %{{x}}: %{{y:.4g}}<extra>{name}<br>run {theme.literal(curve.run)}</extra>",
    }


def _add_mark(figure: go.Figure, name: str, mark: Mapping, key: str, line: int) -> None:
    """A vertical line with its name, each name on a ``line`` of its own, and a ring round the value that the rule picks."""
    title, look = _MARKS.get(name, (theme.literal(name), _MARKS["oracle"][1]))
    figure.add_vline(x=mark["step"], line=look)
    figure.add_annotation(
        x=mark["step"],
        y=0,
        yref="paper",
        text=title,
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
        yshift=_LINE_HEIGHT * line,
    )
    if mark.get(key) is not None:
        figure.add_scatter(
            x=[mark["step"]],
            y=[mark[key]],
            mode="markers",
            marker={"size": 11, "symbol": "circle-open", "color": look["color"], "line": {"width": 2}},
            name=title,
            showlegend=False,
            hovertemplate=f"{title}: step %{{x}}, %{{y:.4g}}<extra></extra>",
        )
