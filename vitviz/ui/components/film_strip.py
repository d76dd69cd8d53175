"""The film strip: one image through the rounds, one frame a round, side by side and scrolled sideways where they do not fit."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from vitviz.ui.components.assets import read_assets
from vitviz.ui.language import say

WORDS = {
    "strip": "One image through the rounds; arrow keys scroll",
    "map": "Where the image stands on the map at round {round}, and its way there",
    "margin": "margin {value}",
    "near": "nearest",
    "kin": "{share} of its class",
    "restored": "restored",
    "restored_alt": "The image restored from its embedding at round {round}",
    "attention": "attention",
    "supertokens": "super tokens",
    "supertokens_alt": "The super tokens that the network of round {round} gathers the image into",
    "attention_alt": "What the network looks at in the image at round {round}, from dark to bright",
}

_component = st.components.v2.component(
    "vitviz.film_strip",
    css=read_assets("film_strip.css"),
    js=read_assets("dom.js", "tiles.js", "round_map_data.js", "film_strip_map.js", "film_strip.js"),
)


def film_strip(
    *,
    key: str,
    frames: Sequence[Mapping[str, Any]],
    sample: int,
    tile_url: str,
    map_url: str | None,
    restored_url: str | None,
    attention_url: str | None,
    supertokens_url: str | None = None,
) -> None:
    """Show the frames.

    Args:
        frames: mappings with ``round``, ``title`` (said already), ``color`` (``#rrggbb``), ``margin`` in 0..1, ``kin`` in 0..1 or
            None, ``look``, the place in the pictures of attention and super tokens or None, and ``neighbors``, mappings with
            ``id`` (row of the run) and ``note`` (said already).
        sample: row of the image in the run.
        map_url: of the round map's buffer, from ``vitviz.ui.routes.run_addresses``; no small maps when None.
        restored_url, attention_url, supertokens_url: of a picture that holds one square a frame (of attention and super tokens:
            a frame that has them), from left to right; None leaves them out.
    """
    _component(
        key=key,
        data={
            "frames": [dict(frame) for frame in frames],
            "sample": sample,
            "tile_url": tile_url,
            "map_url": map_url or "",
            "restored_url": restored_url or "",
            "attention_url": attention_url or "",
            "supertokens_url": supertokens_url or "",
            "num_looks": sum(frame["look"] is not None for frame in frames),
            "words": {name: say(text) for name, text in WORDS.items()},
        },
    )
