"""Figures of a deep-clustering run. Each says on its axes what it shows; the page says whose it is."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from vitviz.figures import theme

_ROLES = {
    "main": {"color": theme.CLUSTER_COLORS[0], "width": 3},
    "second": {"color": theme.CLUSTER_COLORS[0], "width": 1.5, "dash": "dot"},
    "control": {"color": theme.CLUSTER_COLORS[6], "width": 2.5, "dash": "dash"},
    "random": {"color": theme.UNKNOWN_COLOR, "width": 1.5, "dash": "dot"},
    "seed": {"color": theme.CLUSTER_COLORS[0], "width": 1},
    "mean": {"color": theme.CLUSTER_COLORS[4], "width": 2, "dash": "dashdot"},
}
_LETTERS_IN_A_ROW = 48
"""What fits level below a matrix in half a page."""
_MOVES = {"repaired": theme.CLUSTER_COLORS[0], "broken": theme.CLUSTER_COLORS[6], "moved": theme.UNKNOWN_COLOR}


def curves(
    lines: Sequence, *, title: str, value_range: tuple[float, float] | None = None, band=None, height: int = 300
) -> go.Figure:
    """Lines over rounds. ``lines`` have ``name``, ``run``, ``values`` (R,) and ``role``; one point is drawn as a mark.

    ``band`` has ``low`` and ``high`` (R,) and ``num_seeds``: the room between the lowest and the highest seed.
    """
    figure = go.Figure()
    if band is not None:
        _add_band(figure, band)
    longest = max((len(line.values) for line in lines), default=0)
    for line in lines:
        rounds, name = np.arange(len(line.values)), theme.literal(line.name)
        figure.add_scatter(
            x=rounds,
            y=line.values,
            name=name,
            mode="lines+markers" if line.role in ("main", "control") or len(rounds) == 1 else "lines",
            line=_ROLES[line.role],
            opacity=0.45 if line.role == "seed" else 1,
            hovertemplate=f"round %{{x}}: %{{y:.4f}}<extra>{name}<br>run {line.run}</extra>",
        )
    figure.update_xaxes(title="round", dtick=1 if longest <= 16 else None)
    figure.update_yaxes(title=title, range=value_range)
    return theme.layout(figure, height=height)


def _add_band(figure: go.Figure, band) -> None:
    rounds, name = np.arange(len(band.low)), f"lowest to highest of {band.num_seeds} seeds"
    edge = {"x": rounds, "mode": "lines", "line": {"width": 0}, "legendgroup": "band", "name": name}
    figure.add_scatter(
        y=band.low, showlegend=False, hovertemplate="lowest, round %{x}: %{y:.4f}<extra></extra>", **edge
    )
    figure.add_scatter(
        y=band.high,
        fill="tonexty",
        fillcolor="rgba(63,144,218,0.2)",
        hovertemplate="highest, round %{x}: %{y:.4f}<extra></extra>",
        **edge,
    )


def loss_and_stop(inspection, *, epsilon: float, height: int = 300) -> go.Figure:
    """The change of the loss from round to round against epsilon. ``inspection`` is a ``StopInspection``."""
    rounds = np.arange(1, len(inspection.losses))
    small = inspection.changes < epsilon
    unit = "relative change of L" if inspection.relative else "change of L"
    figure = go.Figure()
    figure.add_bar(
        x=rounds,
        y=np.maximum(inspection.changes, 1e-6),
        marker_color=[theme.CLUSTER_COLORS[0] if below else theme.UNKNOWN_COLOR for below in small],
        hovertemplate="round %{x}: %{y:.4f}<extra></extra>",
        showlegend=False,
    )
    line = {"color": theme.CLUSTER_COLORS[6], "width": 2}
    figure.add_hline(y=epsilon, line=line)
    # on a logarithmic axis plotly wants a shape's place as it is, and an annotation's as its logarithm
    where = {"x": 1, "xref": "paper", "xanchor": "right", "y": float(np.log10(epsilon)), "yanchor": "bottom"}
    figure.add_annotation(text=f"ε = {epsilon:g}", showarrow=False, **where)
    if inspection.stops_at is not None:
        figure.add_vline(x=inspection.stops_at + 0.5, line={**line, "dash": "dash"})
    room = max(0.9, 0.2 * len(rounds))  # beside the last bar, for what the line is called
    ticks = {"tickvals": rounds} if len(rounds) <= 16 else {}
    figure.update_xaxes(title="round", range=[0.4, len(rounds) + 0.5 + room], **ticks)
    heights = np.append(inspection.changes[np.isfinite(inspection.changes)], epsilon)
    low, high = np.log10([max(heights.min(), 1e-6) / 2, heights.max() * 2])
    figure.update_yaxes(title=unit, type="log", range=[low, high], tickvals=_log_ticks(low, high))
    return theme.layout(figure, height=height)


def _log_ticks(low: float, high: float) -> list[float]:
    """Places 1, 2 and 5 of every decade between the exponents, only 1 when there are many decades."""
    steps = (1, 2, 5) if high - low < 2.5 else (1,)
    places = [step * 10.0**decade for decade in range(int(np.floor(low)), int(np.ceil(high)) + 1) for step in steps]
    return [float(f"{place:.6g}") for place in places if low <= np.log10(place) <= high]


def cluster_sizes(sizes: np.ndarray, *, names: Sequence[str], height: int = 300) -> go.Figure:
    """Images per matched cluster (R, K) as one stacked bar a round, in the clusters' own colours."""
    colors = theme.cluster_colors(sizes.shape[1])
    figure = go.Figure()
    for cluster, name in enumerate(map(theme.literal, names)):
        figure.add_bar(
            x=np.arange(len(sizes)),
            y=sizes[:, cluster],
            name=name,
            marker_color=colors[cluster],
            hovertemplate=f"{name}, round %{{x}}: %{{y:,}} images<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.25, showlegend=len(names) <= 12)
    figure.update_xaxes(title="round", dtick=1 if len(sizes) <= 16 else None)
    figure.update_yaxes(title="images")
    return theme.layout(figure, height=height)


def confusion(
    counts: np.ndarray, *, class_names: Sequence[str], cluster_names: Sequence[str], height: int = 420
) -> go.Figure:
    """Images of each class (rows) in each matched cluster (columns); colour is the share of the class, numbers are counts."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=[theme.literal(name) for name in cluster_names],
            y=[theme.literal(name) for name in class_names],
            customdata=counts,
            text=np.where(counts > 0, counts.astype(str), "") if counts.size <= 400 else None,
            texttemplate="%{text}" if counts.size <= 400 else None,
            zmin=0,
            zmax=1,
            colorscale=theme.SEQUENTIAL,
            colorbar={"title": {"text": "share<br>of class"}, "thickness": 12, "tickformat": ".0%"},
            hovertemplate="class %{y} in %{x}: %{customdata} images (%{z:.1%} of the class)<extra></extra>",
        )
    )
    is_crowded = sum(len(name) for name in cluster_names) > _LETTERS_IN_A_ROW
    figure.update_xaxes(title="cluster (matched)", type="category", showgrid=False, tickangle=-60 if is_crowded else 0)
    figure.update_yaxes(title="class", type="category", autorange="reversed", showgrid=False)
    return theme.layout(figure, height=height)


def moves(kinds: np.ndarray, *, height: int = 90) -> go.Figure:
    """How many images were repaired, broken or only moved: one thin stacked bar. ``kinds`` (M,) text."""
    figure = go.Figure()
    for kind, color in _MOVES.items():
        count = int((kinds == kind).sum())
        figure.add_bar(
            y=[""],
            x=[count],
            name=f"{kind} {count}",
            orientation="h",
            marker_color=color,
            hovertemplate=f"{kind}: {count}<extra></extra>",
        )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return theme.layout(figure, height=height)


def ledger_bars(ledger, control=None, *, class_names: Sequence[str], height: int = 320) -> go.Figure:
    """Images repaired (upwards) and broken (downwards) in every class; the control's beside them, hollow.

    ``ledger`` and ``control`` have ``classes`` (C,) ids, ``repaired`` and ``broken`` (C,) counts.
    """
    figure = go.Figure()
    for one, suffix in ((ledger, ""), (control, ", α = 0")):
        if one is None:
            continue
        names = [theme.literal(class_names[index]) for index in one.classes]
        for kind, sign in (("repaired", 1), ("broken", -1)):
            values = np.asarray(getattr(one, kind))
            look = {"color": _MOVES[kind]} if one is ledger else {"color": "rgba(0,0,0,0)"}
            figure.add_bar(
                x=names,
                y=np.where(values > 0, sign * values, np.nan),  # an empty bar would still show its edge
                name=kind + suffix,
                customdata=values,
                offsetgroup="control" if suffix else "run",
                marker=look | {"line": {"color": _MOVES[kind], "width": 1.5}},
                hovertemplate=f"%{{x}}: %{{customdata:,}} {kind}{suffix}<extra></extra>",
            )
    figure.update_layout(barmode="relative", bargap=0.25)
    figure.update_xaxes(title="class", type="category", showgrid=False)
    figure.update_yaxes(title="images repaired (+) and broken (−)")
    return theme.layout(figure, height=height)


def path_on_map(
    points: np.ndarray, labels: np.ndarray, path: np.ndarray, *, names: Sequence[str], rounds=None, height: int = 380
) -> go.Figure:
    """Where one image stands on the maps of R rounds: its path (R, 2) over the last map's points (N, 2) and labels (N,).

    ``rounds`` (R,): which those are, the first R where None.
    """
    colors, before = np.array(theme.cluster_colors(len(names))), len(path) - 1
    figure = go.Figure()
    figure.add_scatter(
        x=points[:, 0],
        y=points[:, 1],
        mode="markers",
        marker={"size": 4, "color": colors[labels], "opacity": 0.45},
        text=np.array([theme.literal(name) for name in names])[labels].tolist(),
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    figure.add_scatter(
        x=path[:, 0],
        y=path[:, 1],
        mode="lines+markers+text",
        line={"color": theme.UNKNOWN_COLOR, "width": 2},
        marker={"size": [7] * before + [14], "symbol": ["circle"] * before + ["star"], "color": theme.ACCENT_LIGHT},
        text=[str(index) for index in (range(len(path)) if rounds is None else rounds)],
        textposition="top center",
        name="your image, by round",
        hovertemplate="your image at round %{text}<extra></extra>",
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return theme.layout(figure, height=height)


def distances_to_centers(distances: np.ndarray, *, names: Sequence[str], rounds=None, height: int = 320) -> go.Figure:
    """How far one image is from every matched center, (R, K) Euclidean, one line a cluster in its own colour.

    ``rounds`` (R,): which those are, the first R where None.
    """
    colors = theme.cluster_colors(distances.shape[1])
    figure = go.Figure()
    for cluster, name in enumerate(map(theme.literal, names)):
        figure.add_scatter(
            x=np.arange(len(distances)) if rounds is None else rounds,
            y=np.where(np.isfinite(distances[:, cluster]), distances[:, cluster], np.nan),
            name=name,
            mode="lines+markers",
            line={"color": colors[cluster]},
            hovertemplate=f"{name}, round %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    figure.update_xaxes(title="round", dtick=1)
    figure.update_yaxes(title="distance to the center", rangemode="tozero")
    return theme.layout(figure, height=height)
