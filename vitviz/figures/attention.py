"""Figures of the attention page: what each block would answer, and whether an attribution beats chance."""

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vitviz.figures import theme

_OWN, _CHANCE = theme.CLUSTER_COLORS[0], theme.UNKNOWN_COLOR
_ROW_HEIGHT = 40


def faithfulness(found, *, height: int = 300) -> go.Figure:
    """Deletion and insertion: a record with ``shares`` (K,), ``own``, ``random`` (curves) and ``quantity``."""
    figure = make_subplots(cols=2, subplot_titles=("deletion", "insertion"), horizontal_spacing=0.1)
    for column, part in enumerate(("deletion", "insertion"), 1):
        for index, curves in enumerate((*found.random, found.own)):
            is_own = index == len(found.random)
            name = "this map" if is_own else "random orders"
            figure.add_scatter(
                x=found.shares,
                y=getattr(curves, part),
                mode="lines",
                name=name,
                legendgroup=name,
                showlegend=column == 1 and (is_own or index == 0),
                line={"color": _OWN if is_own else _CHANCE, "width": 2.5 if is_own else 1},
                hovertemplate=f"{name}: %{{y:.3f}} at %{{x:.0%}}<extra></extra>",
                row=1,
                col=column,
            )
    figure.update_xaxes(tickformat=".0%", nticks=6)
    figure.update_xaxes(title="patches taken away", row=1, col=1)
    figure.update_xaxes(title="patches put back", row=1, col=2)
    figure.update_yaxes(title=theme.literal(found.quantity), row=1, col=1)
    theme.layout(figure, height=height)
    return figure.update_layout(margin={"t": 56}, legend={"y": 1.14})


def lens_table(lens, names: Mapping[int, str], *, height: int | None = None) -> go.Figure:
    """The likeliest classes after every block: a record with ``classes`` and ``probabilities`` (L, top), first block first."""
    depth, top = lens.classes.shape
    text = [[_short(names[int(one)]) for one in row] for row in lens.classes]
    figure = go.Figure()
    figure.add_heatmap(
        z=lens.probabilities,
        x=[str(place) for place in range(1, top + 1)],
        y=[str(index) for index in range(depth)],
        text=text,
        texttemplate="%{text}<br>%{z:.1%}",
        colorscale=theme.SEQUENTIAL,
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=2,
        hovertemplate="after block %{y}, number %{x}: %{text}, %{z:.1%}<extra></extra>",
        showscale=False,  # every cell says its number
    )
    figure.update_yaxes(title="after block", autorange="reversed", showgrid=False)
    figure.update_xaxes(title="likeliest classes, first to last", side="bottom", showgrid=False)
    return theme.layout(figure, height=height or 110 + _ROW_HEIGHT * depth)


def lens_curves(lens, name: str, *, height: int = 260) -> go.Figure:
    """The probability of the final answer and the entropy after every block (L,)."""
    figure = make_subplots(specs=[[{"secondary_y": True}]])
    blocks = list(range(len(lens.classes)))
    title = f"probability of {theme.literal(_short(name))}"
    look = {"mode": "lines+markers", "marker": {"size": 6}}
    figure.add_scatter(
        x=blocks, y=lens.final_probabilities, name=title, line={"color": _OWN}, secondary_y=False, **look
    )
    figure.add_scatter(
        x=blocks,
        y=lens.entropy_bits,
        name="entropy, bits",
        line={"color": theme.CLUSTER_COLORS[1], "dash": "dot"},
        secondary_y=True,
        **look,
    )
    figure.update_xaxes(title="after block", dtick=1 if len(blocks) < 25 else None)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02], title="probability", secondary_y=False)
    figure.update_yaxes(rangemode="tozero", title="bits", showgrid=False, secondary_y=True)
    return theme.layout(figure, height=height)


def _short(name: str) -> str:
    """The first of several names of one class, cut to what fits a cell."""
    first = name.partition(",")[0]
    return theme.literal(first if len(first) <= 22 else f"{first[:21]}…")
