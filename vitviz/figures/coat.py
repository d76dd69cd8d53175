"""Figures of a clustered CoaT: what its parts cost, where clustering pays, how long the cores take, how far off they are."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from vitviz.figures import theme

_ROW_HEIGHT = 40
_KINDS = {
    "full softmax": ("full softmax", theme.CLUSTER_COLORS[2], "solid"),
    "softmax": ("clustered softmax", theme.CLUSTER_COLORS[1], "solid"),
    "unclustered": ("CoaT's own, factorised", theme.CLUSTER_COLORS[8], "dash"),
    "factorised": ("factorised, clustered", theme.CLUSTER_COLORS[0], "solid"),
}
_PARTS = (
    "MLP",
    "qkv",
    "projection",
    "patch embedding",
    "K^T V",
    "Q M",
    "Q K^T",
    "A V",
    "clustering",
    "CRPE",
    "CPE",
    "head",
)
_SCRIPTS = {
    "K^T V": "K<sup>T</sup>V",
    "Q K^T": "QK<sup>T</sup>",
    "Q M": "QM",
    "A V": "AV",
    "patch embedding": "embedding",
}
_METHODS = ("e2lsh", "sign", "sign+lloyd", "kmeans", "blocks", "random", "singletons")


def mac_bars(costs: Mapping[str, Mapping[str, int]], *, size: str, height: int | None = None) -> go.Figure:
    """One stacked bar a model: name to part to multiply-adds, as ``explain.coat_costs.CoatMacs.parts``.

    ``size`` says of what picture, e.g. ``224 x 224 px``. A part keeps its colour whatever else is shown.
    """
    figure, names = go.Figure(), [theme.literal(name) for name in costs]
    totals = [sum(parts.values()) for parts in costs.values()]
    colors = theme.cluster_colors(len(_PARTS))
    for part, color in zip(_PARTS, colors, strict=True):
        values = [parts.get(part, 0) for parts in costs.values()]
        if not any(values):
            continue
        shares = [value / total for value, total in zip(values, totals, strict=True)]
        figure.add_bar(
            y=names,
            x=np.array(values) / 1e6,
            orientation="h",
            name=_SCRIPTS.get(part, part),
            marker_color=color,
            customdata=shares,
            hovertemplate=f"%{{y}}<br>{_SCRIPTS.get(part, part)}: %{{x:,.1f}} million, %{{customdata:.1%}}<extra></extra>",
        )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title=f"million multiply-adds,<br>{theme.literal(size)}", nticks=5)
    figure.update_yaxes(autorange="reversed")
    theme.layout(figure, height=height or 180 + _ROW_HEIGHT * len(costs))
    # narrow enough for two columns on a telephone
    return figure.update_layout(legend={"entrywidth": 60, "entrywidthmode": "pixels", "font": {"size": 11}})


def core_lines(
    counts: Sequence[float],
    lines: Mapping[str, np.ndarray],
    *,
    num_tokens: int,
    current: float | None = None,
    height: int = 340,
) -> go.Figure:
    """What each core costs at each number of prototypes: ``lines`` kind to multiply-adds, as long as ``counts``.

    ``num_tokens``: of the stage, for the axis; ``current``: how many prototypes there are, marked.
    """
    figure = go.Figure()
    for kind, values in lines.items():
        name, color, dash = _KINDS[kind]
        figure.add_scatter(
            x=counts,
            y=values,
            mode="lines",
            name=name,
            line={"color": color, "width": 2.5, "dash": dash},
            hovertemplate=f"{name}<br>%{{x:,.0f}} prototypes: %{{y:,.3s}} multiply-adds<extra></extra>",
        )
    if current is not None:
        figure.add_vline(x=current, line={"color": theme.UNKNOWN_COLOR, "width": 1.5, "dash": "dot"})
    figure.update_xaxes(title=f"prototypes a head, of {num_tokens:,} tokens", type="log", dtick=1)
    figure.update_yaxes(title="multiply-adds, clustering included", type="log", dtick=1, exponentformat="power")
    return theme.layout(figure, height=height)


def core_times(cores: Sequence, *, about: str, height: int = 260) -> go.Figure:
    """Milliseconds of the cores, measured: records with ``kind``, ``milliseconds``, ``clustering_ms`` and ``num_runs``.

    ``about`` names size and machine for the axis, e.g. ``3,137 tokens, 64 prototypes, 2 threads``.
    """
    figure = go.Figure()
    for core in cores:
        name, color, _ = _KINDS[core.kind]
        of_which = f"<br>of which {core.clustering_ms:.3g} ms clustering" if core.clustering_ms else ""
        figure.add_bar(
            y=[name],
            x=[core.milliseconds],
            orientation="h",
            name=name,
            marker_color=color,
            text=[f"{core.milliseconds:,.0f} ms" if core.milliseconds >= 100 else f"{core.milliseconds:.3g} ms"],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"{name}: %{{x:.3g}} ms, median of {core.num_runs}{of_which}<extra></extra>",
        )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title=f"milliseconds, measured here:<br>{theme.literal(about)}", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    theme.layout(figure, height=height)
    return figure.update_layout(margin={"r": 64})


def error_bars(errors: Sequence, *, height: int | None = None) -> go.Figure:
    """How far each method is from exact attention in both kinds: records as of ``explain.coat_errors.GroupingError``."""
    figure = go.Figure()
    names = [theme.literal(one.method) for one in errors]
    about = [f"{theme.literal(one.setting)}, {one.prototypes:,.0f} prototypes a head" for one in errors]
    for kind in ("softmax", "factorised"):
        name, color, _ = _KINDS[kind]
        values = [getattr(one, kind) for one in errors]
        figure.add_bar(
            y=names,
            x=values,
            orientation="h",
            name=name,
            marker_color=color,
            hovertext=about,
            text=[f"{value:.1%}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{y}}, {name}: %{{x:.2%}}<br>%{{hovertext}}<extra></extra>",
        )
    figure.update_layout(barmode="group")
    figure.update_xaxes(title="|clustered − exact| / |exact| of the output", tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    theme.layout(figure, height=height or 110 + _ROW_HEIGHT * len(names))
    return figure.update_layout(margin={"r": 56})


def counts_histogram(
    counts: np.ndarray, *, block: str, num_tokens: int, current: float | None = None, height: int = 240
) -> go.Figure:
    """How many prototypes pictures need in one block: ``counts`` (B,), means over heads; ``current``: this picture's, marked."""
    figure = go.Figure()
    figure.add_histogram(
        x=counts,
        nbinsx=24,
        marker_color=theme.CLUSTER_COLORS[0],
        hovertemplate="%{x} prototypes: %{y} pictures<extra></extra>",
    )
    if current is not None:
        figure.add_vline(x=current, line={"color": theme.CLUSTER_COLORS[6], "width": 2, "dash": "dash"})
    figure.update_layout(bargap=0.05)
    figure.update_xaxes(title=f"prototypes a head in {theme.literal(block)}, of {num_tokens:,} tokens")
    figure.update_yaxes(title="pictures", dtick=1 if len(counts) < 12 else None)
    return theme.layout(figure, height=height)


def quality_cost(points: Sequence, *, kind: str, against: str = "macs", height: int = 340) -> go.Figure:
    """Error over cost as a method's knob turns, a line a method: records as of ``explain.coat_errors.GroupingError``.

    ``kind``: ``softmax`` or ``factorised``; ``against``: ``macs`` or ``prototypes``.
    """
    figure = go.Figure()
    for index, method in enumerate(_METHODS):
        of_method = [one for one in points if one.method == method]
        if not of_method:
            continue
        figure.add_scatter(
            x=[getattr(one, f"{kind}_macs" if against == "macs" else "prototypes") for one in of_method],
            y=[getattr(one, kind) for one in of_method],
            mode="lines+markers+text",
            name=theme.literal(method),
            line={"color": theme.CLUSTER_COLORS[index], "width": 2},
            marker={"size": 8},
            text=[theme.literal(one.setting) for one in of_method],
            textposition=("middle right", "bottom left", "top right")[index % 3],
            cliponaxis=False,
            customdata=[(one.prototypes, getattr(one, f"{kind}_macs")) for one in of_method],
            hovertemplate="%{text}: error %{y:.2%}<br>%{customdata[0]:,.0f} prototypes, %{customdata[1]:,.3s} multiply-adds",
        )
    title = "multiply-adds of the core" if against == "macs" else "prototypes a head"
    ticks = _log_ticks([x for line in figure.data for x in line.x])
    figure.update_xaxes(title=f"{title} ({_KINDS[kind][0]})", type="log", **ticks)
    figure.update_yaxes(title="error of the attention's output", tickformat=".0%", rangemode="tozero")
    theme.layout(figure, height=height)
    return figure.update_layout(margin={"r": 44})


def _log_ticks(values: Sequence[float]) -> dict[str, list]:
    """Ticks at 1, 2 and 5 times the powers of ten around ``values``, as plotly takes them; above 0."""
    low, high = (int(np.floor(np.log10(max(fold(values), 1)))) for fold in (min, max))
    ticks = [step * 10**power for power in range(low, high + 2) for step in (1, 2, 5)]
    shown = [tick for tick in ticks if min(values) / 1.5 <= tick <= max(values) * 1.5]
    return {"tickvals": shown, "ticktext": [_short(tick) for tick in shown]}


def _short(number: float) -> str:
    """5,000,000 as ``5M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
