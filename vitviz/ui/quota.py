"""How many pictures one session may have this server hold for it, so that a class finds room beside whoever gives thousands."""

from collections.abc import Mapping

import streamlit as st

from vitviz.errors import Problem

MAX_PICTURES = 200
MAX_BYTES = 100 * 2**20
"""Of decoded pixels: some 40 photos of 1,024 x 768, or 200 of 400 x 400."""

_KEY = "held_pictures"


def hold(place: str, pictures: Mapping[str, int]) -> None:
    """Note that ``place`` (an uploader, the camera) holds these pictures in this session, and no longer those it held before.

    Args:
        pictures: bytes of decoded pixels by content key; a picture in two places counts once; empty for none.

    Raises: Problem when the session would hold more than ``MAX_PICTURES`` or ``MAX_BYTES``; ``place`` then holds nothing.
    """
    held = st.session_state.setdefault(_KEY, {})
    held.pop(place, None)
    together = {key: size for others in (*held.values(), pictures) for key, size in others.items()}
    size = sum(together.values())
    if len(together) > MAX_PICTURES or size > MAX_BYTES:
        what = f"{len(together):,} pictures of {size / 2**20:,.0f} MB are more than a session may hold"
        most = f"at most {MAX_PICTURES} and {MAX_BYTES >> 20} MB at 1,024 pixels a side"
        raise Problem(what, most, "remove some of them, or reload the page to begin anew")
    if pictures:
        held[place] = dict(pictures)
