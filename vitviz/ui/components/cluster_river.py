"""The river of clusters: one column of blocks a round, bands between them as thick as the images that go that way.

Only counts travel to the browser. Python hears which band or block was pressed, as it stands in an address: ``2_3`` is cluster 3
at round 2, ``2_3_5`` what goes from cluster 3 at round 2 to cluster 5 at round 3.
"""

from collections.abc import Sequence

import streamlit as st

from vitviz.ui.components.assets import read_assets
from vitviz.ui.language import language, say

WORDS = {
    "alt": "River of clusters: {rounds} rounds, {clusters} clusters, {bands} bands between different clusters",
    "block": "{cluster} at round {round}: {count} images",
    "moving_block": "{cluster} at round {round}: {count} images enter it or leave it, whichever is more",
    "band": "{count} images go from {source} at round {round} to {target} at round {next}",
    "stays": "{count} images stay in {source} from round {round} to round {next}",
    "sides": "{repaired} repaired, {broken} broken",
    "round": "Round",
    "moved": "{share} of the images move from round {round} to round {next}",
    "keys": "Click a band or a block for its images · ← → rounds · ↑ ↓ within a round · Enter shows · Esc closes",
}

_component = st.components.v2.component(
    "vitviz.cluster_river",
    css=read_assets("cluster_river.css"),
    js=read_assets("dom.js", "cluster_river_layout.js", "cluster_river.js"),
)


def cluster_river(
    *,
    key: str,
    sizes: Sequence[Sequence[int]],
    bands: Sequence[Sequence[int]],
    names: Sequence[str],
    colors: Sequence[str],
    has_classes: bool,
    moved: Sequence[float] = (),
    only_moves: bool = False,
    picked: str | None = None,
    follow: str = "",
    height: int = 520,
) -> str | None:
    """Show a river and return what is picked in it, or None.

    Args:
        sizes: R rows of K: how tall a cluster's block is at a round, in images.
        bands: rows of round, source, target, images, repaired, broken.
        names: of the K clusters, in the reader's language; colors: ``#rrggbb``, theirs.
        has_classes: whether a band's repaired and broken images are told.
        moved: R - 1 shares, 0..1, told between two rounds: how many of all images move there.
        only_moves: the blocks count what enters or leaves them, not what they hold.
        picked: what is picked to begin with; afterwards the viewer leads, until ``follow`` changes.
    """
    words = {name: say(text) for name, text in WORDS.items()}
    result = _component(
        key=key,
        data={
            "sizes": [[int(one) for one in row] for row in sizes],
            "bands": [[int(one) for one in row] for row in bands],
            "names": list(names),
            "colors": list(colors),
            "has_classes": has_classes,
            "moved": [round(float(one), 4) for one in moved],
            "only_moves": only_moves,
            "picked": picked,
            "follow": follow,
            "height": height,
            "locale": "en-US" if language() == "en" else language(),
            "words": words,
        },
        default={"picked": picked},
        on_picked_change=lambda: None,
    )
    return result.picked
