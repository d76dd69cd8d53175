"""A plotly figure in words, for those who are read its picture: what is drawn over what, and from where to where it goes."""

from collections.abc import Iterator
from typing import Any

import numpy as np

KINDS = {
    "scatter": "Lines or points",
    "scattergl": "Points",
    "bar": "Bars",
    "heatmap": "Map of colours",
    "sankey": "Flows",
}
_MOST = 12


def describe(figure: Any) -> list[str]:
    """Sentences: the kind and its axes, then every named trace with its first and last number, ``_MOST`` of them at most."""
    traces = [trace for trace in figure.data if trace.visible is not False]
    if not traces:
        return ["Nothing is drawn."]
    kind = KINDS.get(traces[0].type, "Figure")
    up, along = figure.layout.yaxis.title.text, figure.layout.xaxis.title.text
    head = f"{kind}: {up} over {along}." if up and along else f"{kind}: {up or along}." if up or along else f"{kind}."
    named = list(_lines(traces))
    more = [f"And {len(named) - _MOST} more."] if len(named) > _MOST else []
    return [head, *named[:_MOST], *more]


def _lines(traces: list) -> Iterator[str]:
    for trace in traces:
        numbers, name = _numbers(trace), trace.name or ("Values" if len(traces) == 1 else "")
        if name and len(numbers) > 1:
            yield f"{name}: {numbers[0]:.4g} first, {numbers[-1]:.4g} last."
        elif name and len(numbers):
            yield f"{name}: {numbers[0]:.4g}."


def _numbers(trace: Any) -> np.ndarray:
    """The finite values (n,) of a line, of points or of upright bars."""
    if trace.type not in ("scatter", "bar") or trace.y is None or getattr(trace, "orientation", None) == "h":
        return np.empty(0)
    try:
        values = np.asarray(trace.y, dtype=float)
    except (TypeError, ValueError):
        return np.empty(0)
    return values[np.isfinite(values)]
