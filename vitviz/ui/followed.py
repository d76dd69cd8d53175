"""The one image that is followed through the rounds: picked anywhere on a page, kept in the address as ``?image=``, its row."""

from collections.abc import Callable

import streamlit as st

from vitviz.runs.folder import Run

_NAME = "image"


def followed(run: Run) -> int | None:
    """The row of the image that is followed in ``run``; None when there is none, or the run has no such row."""
    text = st.query_params.get(_NAME, "")
    is_row = text.isascii() and text.isdigit() and len(text) < 9
    return int(text) if is_row and int(text) < len(run.samples().indices) else None


def follow(row: int | None) -> None:
    """Follow the image of that row, or none."""
    if row is None:
        st.query_params.pop(_NAME, None)
    else:
        st.query_params[_NAME] = str(row)


def follow_pick(key: str) -> Callable[[], None]:
    """What a component of that key calls when an image is picked: a grid tells its row, the round map a mapping with it."""

    def remember() -> None:
        state = st.session_state.get(key) or {}
        picked = state.get("picked")
        row = picked.get("index") if hasattr(picked, "get") else picked
        if row is not None:
            follow(int(row))

    return remember
