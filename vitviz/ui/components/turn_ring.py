"""The turn ring: the views of one object in order of angle, joined to the images each takes most from; a click picks a pair.

With thumbnails from the tiles of a run where its images are here, as coloured dots where they are not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from vitviz.ui.components.assets import read_assets
from vitviz.ui.language import say

KEYS = "Click an image for its pair · ← → walk round the ring · Enter picks"

_component = st.components.v2.component(
    "vitviz.turn_ring",
    css=read_assets("turn_ring.css"),
    js=read_assets("dom.js", "tiles.js", "turn_ring.js"),
)


def turn_ring(
    *,
    key: str,
    views: Sequence[Mapping[str, Any]],
    degrees: float,
    links: Sequence[tuple[int, int, float]],
    strangers: Sequence[Mapping[str, Any]],
    open_gaps: Sequence[int],
    alt: str,
    tile_url: str = "",
    picked: tuple[int, int] | None = None,
    follow: str = "",
) -> tuple[int, int] | None:
    """Show the ring and return the pair of rows that is picked.

    Args:
        views: by angle, each ``row`` of the run, ``color`` (``#rrggbb``), ``title`` in words, and ``takes``, the rows it takes
            most of, the first most.
        degrees: from one view to the next.
        links: (from, to, weight) in places of the ring; weight 0..1.
        strangers: of other objects, each ``place`` of the view that takes of it, ``row``, ``color``, ``title``, ``weight``.
        open_gaps: places p whose gap to p + 1 is marked.
        tile_url: from ``vitviz.ui.routes.run_addresses``; dots when empty.
        picked: to begin with, taken again whenever ``follow`` changes.
    """
    result = _component(
        key=key,
        data={
            "views": [dict(one) for one in views],
            "degrees": float(degrees),
            "links": [[int(start), int(stop), round(float(weight), 4)] for start, stop, weight in links],
            "strangers": [dict(one) for one in strangers],
            "open_gaps": [int(one) for one in open_gaps],
            "alt": alt,
            "tile_url": tile_url,
            "picked": None if picked is None else list(picked),
            "follow": follow,
            "words": {"keys": say(KEYS)},
        },
        default={"view": None},
        on_view_change=lambda: None,
    )
    view = result.view
    if not view or view.get("follow") != follow:
        return picked
    first, second = view["picked"]
    return int(first), int(second)
