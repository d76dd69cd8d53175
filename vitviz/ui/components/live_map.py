"""The live map: images travel from round to round by themselves, those that change their cluster drawn as pictures.

The points come from the round map's own route. It plays while it is in view, a few times at most; not where motion is to be
reduced, where it shows the way from the first round to the last.
"""

from collections.abc import Sequence

import streamlit as st

from vitviz.ui.components.assets import read_assets
from vitviz.ui.language import say

WORDS = {
    "open": "Open the map at round {round}",
    "alt": "Images as dots on a map at round {round}, one colour a cluster",
    "play": "Play",
    "pause": "Pause",
    "round": "Round",
    "failed": "The map could not be loaded. Reload the page to try again.",
}

HEIGHT = 466
"""Pixels, kept free from the start, so that nothing below jumps when the map arrives."""

_component = st.components.v2.component(
    "vitviz.live_map",
    css=read_assets("shared.css", "live_map.css"),
    js=read_assets(
        "dom.js",
        "follow_link.js",
        "tiles.js",
        "round_map_data.js",
        "round_map_motion.js",
        "live_map_paint.js",
        "live_map.js",
    ),
)


def live_map(
    *,
    key: str,
    map_url: str,
    tile_url: str,
    address: str,
    palette: Sequence[str],
    anchors: Sequence[int],
    notes: Sequence[str],
    change: str,
    caption: str,
) -> int | None:
    """Show the map; the round at which it was just pressed, else None.

    Args:
        map_url, tile_url: from ``vitviz.ui.routes.run_addresses``.
        address: where a new tab opens the map of a round, with ``{round}`` in it.
        palette: a colour (``#rrggbb``) a cluster.
        anchors: rows of the run that are always drawn as pictures, one a cluster.
        notes: one line a round, said already; ``change``: the same from the first round to the last; ``caption``: what all
            of them show.
    """
    return _component(
        key=key,
        data={
            "map_url": map_url,
            "tile_url": tile_url,
            "address": address,
            "palette": list(palette),
            "anchors": [int(one) for one in anchors],
            "notes": list(notes),
            "change": change,
            "caption": caption,
            "height": HEIGHT,
            "words": {name: say(text) for name, text in WORDS.items()},
        },
        height=HEIGHT,
        on_opened_change=lambda: None,
    ).opened
