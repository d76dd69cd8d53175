"""A grid of thumbnails cut from the tiles of a run: one request for 1,024 pictures, kept by the browser."""

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from vitviz.ui.components.assets import read_assets
from vitviz.ui.language import say

MAX_ITEMS = 240
SHOWING = "showing {shown} of {total}"

_component = st.components.v2.component(
    "vitviz.image_grid",
    css=read_assets("shared.css", "image_grid.css"),
    js=read_assets("dom.js", "tiles.js", "image_grid.js"),
)


def image_grid(
    *,
    key: str,
    tile_url: str,
    items: Sequence[Mapping[str, str | int]],
    thumb: int = 48,
    captions: bool = False,
    label: str = "Images",
    total: int | None = None,
    showing: str = SHOWING,
    on_pick: Callable[[], None] = lambda: None,
) -> int | None:
    """Show thumbnails as buttons and return the id of the one just clicked, or None in any other rerun.

    Args:
        tile_url: address from ``vitviz.ui.routes.run_addresses``.
        items: mappings with ``id`` (position of the sample in the run), ``label``, and optionally ``color`` (border,
            ``#rrggbb``) and ``note`` (shown on hover). The first ``MAX_ITEMS`` are shown.
        thumb: pixels along a side of a picture.
        label: what the grid is to a screen reader, in English; it is said in the reader's language.
        total: how many there are, when ``items`` is already cut; ``len(items)`` when None.
        showing: the line above the grid when not all are shown, with ``{shown}`` and ``{total}``, in English too.
    """
    shown, total = [_plain_item(item) for item in items[:MAX_ITEMS]], len(items) if total is None else total
    line = say(showing.format(shown=f"{len(shown):,}", total=f"{total:,}")) if total > len(shown) else ""
    result = _component(
        key=key,
        data={
            "tile_url": tile_url,
            "items": shown,
            "thumb": thumb,
            "captions": captions,
            "label": say(label),
            "line": line,
        },
        on_picked_change=on_pick,
    )
    return result.picked


def _plain_item(item: Mapping[str, str | int]) -> dict[str, str | int]:
    return {
        "id": int(item["id"]),
        "label": str(item["label"]),
        "color": str(item.get("color", "")),
        "note": str(item.get("note", "")),
    }
