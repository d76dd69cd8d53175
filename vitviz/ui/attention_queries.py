"""Whose attention is shown: the pinned patch, else a token that is chosen; and one pass that answers for all layers."""

from typing import TYPE_CHECKING

import streamlit as st

from vitviz.errors import Problem
from vitviz.ui import attention_words as words
from vitviz.ui.attention_canvas import read_pins
from vitviz.ui.attention_sources import Shown
from vitviz.ui.choices import choose_from
from vitviz.ui.language import say
from vitviz.ui.results import computed

if TYPE_CHECKING:
    from vitviz.explain.attention import BirdsEye
    from vitviz.explain.attention_tokens import TokenLayout

Query = str | tuple[int, int] | None
"""The name of a token or ``mean``, a patch (row, column), or None: what each layer is for."""


def pick_query(layout: "TokenLayout", pinned: tuple[int, int] | None) -> Query:
    """The pinned patch, else a token of the prefix or the mean, bound to ``?query=``."""
    if pinned is not None:
        place = words.patch_name(pinned)
        st.selectbox(
            say("Query"),
            [place],
            key=f"query_{place}",
            help=say(words.QUERY),
            width=150,
            disabled=True,
            format_func=say,
        )
        return pinned
    names = [*layout.prefix, "mean"]
    return choose_from("Query", names, key="query", help=words.QUERY, width=150)


def pinned_patch(key: str, shown: Shown) -> tuple[int, int] | None:
    """(row, column) on the grid of the pin of a canvas; None without one."""
    pins = read_pins(key, shown).pins
    if not pins:
        return None
    rows, columns = shown.needs_grid().grid
    x, y = pins[0][:2]
    return min(int(y * rows), rows - 1), min(int(x * columns), columns - 1)


def look(shown: Shown, query: Query) -> "BirdsEye":
    """All layers and heads of one query, one forward pass, kept; where no layer has it, of what each layer is for, and says so.

    Raises: Problem when no layer has a map at all.
    """
    try:
        return _look(shown, query)
    except Problem:
        bird = _look(shown, None)
    st.caption(say(words.no_such_query(query, bird.rows[0].query)))
    return bird


def _look(shown: Shown, query: Query) -> "BirdsEye":
    def make() -> "BirdsEye":
        from vitviz.explain.attention import birds_eye

        return birds_eye(shown.network.opened.model, shown.images()[0], query)

    return computed("birds_eye", shown.key, make, query)
