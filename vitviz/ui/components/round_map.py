"""The round map: points of every round, scrubbed, coloured and selected in the browser.

The points come from a route (``data_url``), never through the websocket. Scrubbing, playing and colouring make no server
call; Python hears of a selection (as a polygon) and of a picked point. The browser writes ``?round=`` and ``?color=`` into
the address by itself, so a copied link opens the same view: a page gives ``round=`` and ``color_by=`` from
``st.query_params`` when it is first run. In later reruns ``st.query_params`` may lag behind the address bar, because
Streamlit's frontend sends the parameters it last wrote itself; read ``RoundMapState.round`` instead. When Streamlit rewrites
the address, the component puts its two parameters back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from vitviz.figures.theme import MOVED_COLORS, RIGHT_WRONG_COLORS, SEQUENTIAL_COLORS
from vitviz.ui.components.assets import read_assets
from vitviz.ui.language import language, say

COLOR_BY = ("cluster", "class", "right", "moved", "margin", "trust", "continuity", "stability")

LABELS = {
    "locale": "en-US",
    "map": "Map of images; arrow keys change the round",
    "alt": "Map of {points} images in {clusters} clusters, round {round} of {rounds} rounds counted from 0",
    "loading": "Loading the map …",
    "failed": "The map could not be loaded. Reload the page to try again.",
    "color_by": "Colour by",
    "by_cluster": "Cluster",
    "by_class": "Class",
    "by_right": "Right / wrong",
    "by_moved": "Moved",
    "by_margin": "Margin",
    "by_trust": "Trust",
    "by_continuity": "Continuity",
    "by_stability": "Seeds agree",
    "computing": "Being computed …",
    "at_most": "{value} or less",
    "cluster_item": "Cluster {cluster}",
    "cluster_named": "Cluster {cluster} ({name})",
    "unlabelled": "Unlabelled",
    "right": "Right",
    "wrong": "Wrong",
    "moved": "Moved since last round",
    "stayed": "Stayed",
    "filter": "Show",
    "filter_all": "All",
    "filter_train": "Train",
    "filter_held_out": "Held out",
    "legend": "Legend; press an entry to stress it",
    "tools": "Tools",
    "tool_lasso": "Lasso",
    "tool_box": "Box",
    "tool_pan": "Move the map",
    "tool_closer": "Zoom in",
    "tool_wider": "Zoom out",
    "tool_fit": "Show the whole map",
    "tool_all": "Select what is in view",
    "selected": "{count} selected",
    "trails": "Trails",
    "clear": "Clear the selection",
    "previous": "Previous round",
    "next": "Next round",
    "play": "Play",
    "pause": "Pause",
    "round": "Round",
    "round_of": "Round {round} of {last}",
    "image": "Image {id}",
    "card_class": "Class",
    "card_cluster": "Cluster",
    "card_split": "Split",
    "zoom_hint": "Hold Ctrl to zoom",
    "keys": "Drag to select · Shift + drag for a box · Ctrl + wheel to zoom · ← → rounds · Space plays · Esc clears",
}


@dataclass(frozen=True)
class RoundMapState:
    """What the viewer has done.

    ``selection``: ``{"polygon": [[x, y], ...] in 0..1 map coordinates, "round": r}`` or None; find its points with
    ``explain.round_map.points_inside(map_coordinates(points)[r], polygon)``. ``picked``: position of a clicked sample or
    None, at round ``picked_round``. ``round``: the round last heard of; scrubbing alone is not told.
    """

    selection: dict[str, Any] | None
    picked: int | None
    picked_round: int | None
    round: int


_component = st.components.v2.component(
    "vitviz.round_map",
    css=read_assets("shared.css", "round_map.css"),
    js=read_assets(
        "dom.js",
        "tiles.js",
        "round_map_data.js",
        "round_map_columns.js",
        "round_map_colors.js",
        "round_map_view.js",
        "round_map_paint.js",
        "round_map_overlay.js",
        "round_map_motion.js",
        "round_map_address.js",
        "round_map_card.js",
        "round_map_texts.js",
        "round_map_pointing.js",
        "round_map_controls.js",
        "round_map_gestures.js",
        "round_map.js",
    ),
)


def round_map(
    *,
    key: str,
    data_url: str,
    margin_url: str | None,
    tile_url: str,
    trust_url: str | None = None,
    continuity_url: str | None = None,
    stability_url: str | None = None,
    class_names: Sequence[str],
    cluster_classes: Sequence[Sequence[int]],
    palette: Sequence[str],
    class_palette: Sequence[str],
    round: int = 0,
    color_by: str = "cluster",
    selection: Mapping[str, Any] | None = None,
    links: Mapping[str, Any] | None = None,
    follow: str = "",
    height: int = 560,
    labels: Mapping[str, str] | None = None,
    address: bool = True,
    on_select: Callable[[], None] = lambda: None,
    on_pick: Callable[[], None] = lambda: None,
) -> RoundMapState:
    """Show the round map of a run and return what the viewer has selected and picked.

    Args:
        data_url, margin_url, tile_url: addresses from ``vitviz.ui.routes.run_addresses``; no margins when None.
        trust_url, continuity_url, stability_url: likewise; the first two have ``{round}`` in them, and are asked for a round
            only when it is shown in that colour.
        cluster_classes: R rows of K class ids, the class a cluster stands for (-1 = none); empty hides right / wrong.
        palette, class_palette: colours as ``#rrggbb``, repeated when there are fewer than clusters or classes.
        round, color_by, selection: the view to begin with (``color_by`` one of ``COLOR_BY``). Afterwards the viewer
            leads; the three are taken again whenever ``follow`` changes.
        links: ``{"sample": row, "rounds": [(true, drawn), ...]}``: from that image solid lines to its true neighbours and
            dashed ones to those that are near on the map alone, round by round.
        labels: texts that replace those of ``LABELS``, which are said in the reader's language.
        address: write ``?round=`` and ``?color=``; False for a second map on a page.

    Raises ValueError for an unknown ``color_by``.
    """
    if color_by not in COLOR_BY:
        raise ValueError(f"color_by={color_by!r} must be one of {', '.join(COLOR_BY)}")
    start = dict(selection) if selection else None
    result = _component(
        key=key,
        data={
            "data_url": data_url,
            "margin_url": margin_url or "",
            "tile_url": tile_url,
            "trust_url": trust_url or "",
            "continuity_url": continuity_url or "",
            "stability_url": stability_url or "",
            "links": dict(links) if links else None,
            "class_names": list(class_names),
            "cluster_classes": [[int(one) for one in row] for row in cluster_classes],
            "palette": list(palette),
            "class_palette": list(class_palette),
            "colors": {**MOVED_COLORS, **RIGHT_WRONG_COLORS, "sequential": SEQUENTIAL_COLORS},
            "round": int(round),
            "color_by": color_by,
            "selection": start,
            "follow": follow,
            "height": height,
            "labels": {**_said_labels(), **(labels or {})},
            "address": address,
        },
        default={"selection": start, "picked": None},
        on_selection_change=on_select,
        on_picked_change=on_pick,
    )
    return _state(result.selection, result.picked, round)


def _said_labels() -> dict[str, str]:
    """``LABELS`` in the reader's language; numbers are written as is usual there."""
    if language() == "en":
        return LABELS
    return {name: say(text) for name, text in LABELS.items()} | {"locale": language()}


def _state(selection: Mapping[str, Any] | None, picked: Mapping[str, int] | None, start_round: int) -> RoundMapState:
    heard = sorted((event.get("at", 0), event["round"]) for event in (picked, selection) if event)
    return RoundMapState(
        selection={part: selection[part] for part in ("polygon", "round")} if selection else None,
        picked=picked["index"] if picked else None,
        picked_round=picked["round"] if picked else None,
        round=heard[-1][1] if heard else start_round,
    )
