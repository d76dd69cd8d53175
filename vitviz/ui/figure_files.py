"""What can be taken away of a figure: its recipe to copy, its numbers as files, and how its picture is saved."""

import textwrap
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from vitviz import __version__
from vitviz.errors import Problem
from vitviz.figures import theme
from vitviz.runs.folder import find_run
from vitviz.share import recipe
from vitviz.share.figure_data import arrays_of, columns_of
from vitviz.ui.language import say

_PICTURES = ("SVG", "PNG")
_NOT_VIEW = ("run", "lang")
_PICTURE_WIDTH, _USUAL_HEIGHT = 900, 450
_SMALL, _LINE, _LETTERS = 9, 14, 90
"""A recipe's letters and the height of its lines in pixels, and how many letters go into a line."""
_TICKS = 56
"""Room between a figure and its recipe for ticks and the title of an axis, in pixels."""


def picture_options(figure: Any, key: str) -> dict[str, Any]:
    """What plotly's own camera button saves of the figure ``key``: SVG, or PNG at twice the size, as the reader chose.

    With its recipe under it, a picture is wide enough for the recipe's lines, however narrow the screen.
    """
    kind = str(_kept(_format_key(key)) or _PICTURES[0]).lower()
    options = {"format": kind, "filename": key, "scale": 2 if kind == "png" else 1}
    if _kept(_recipe_key(key)):
        options |= {"width": _PICTURE_WIDTH, "height": figure.layout.height}
    return options


def with_recipe(figure: Any, key: str) -> Any:
    """The figure ``key``, or a copy with its recipe in small letters under it where the reader wants that."""
    if not _kept(_recipe_key(key)):
        return figure
    lines = textwrap.wrap(figure_recipe(key), _LETTERS)
    room = _LINE * len(lines) + _TICKS
    dressed = type(figure)(figure)
    dressed.update_layout(height=(figure.layout.height or _USUAL_HEIGHT) + room, margin_b=room)
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": 0, "xanchor": "left", "yanchor": "top", "yshift": -_TICKS}
    text = "<br>".join(theme.literal(line) for line in lines)
    return dressed.add_annotation(text=text, align="left", font_size=_SMALL, showarrow=False, **place)


def offer_figure_files(figure: Any, *, key: str) -> None:
    """A small button under a figure: the line that says how it was made, and its numbers; all is made when it is asked for."""
    label, icon, place = say("Recipe and files"), ":material/download:", f"files_of_{key}"
    opened = st.popover(label, icon=icon, type="tertiary", key=place, on_change="rerun")
    if opened.open:
        with opened:
            _files(figure, key)


def figure_recipe(key: str) -> str:
    """One line: the figure and its page, the run with seed and settings where the page shows one, and the view of the address."""
    page = urlsplit(st.context.url or "").path.rpartition("/")[2]
    what = f"figure {key.replace('_', ' ')}" + (f" of page {page}" if page else "")
    view = {name: ", ".join(st.query_params.get_all(name)) for name in st.query_params if name not in _NOT_VIEW}
    try:
        return recipe.recipe_of(find_run(str(_run_name())), what, view)
    except Problem:
        shown = "".join(f"; {name} {' '.join(value.split())}" for name, value in view.items())
        return recipe.without_folders(f"{what}{shown}; vitviz {__version__}")


def _files(figure: Any, key: str) -> None:
    line = figure_recipe(key)
    st.code(line, language=None, wrap_lines=True)
    st.caption(say("The figure's numbers:"))
    with st.container(horizontal=True):
        _button("CSV", lambda: recipe.to_csv(_columns(figure), line), f"{key}.csv", "text/csv")
        _button("Parquet", lambda: recipe.to_parquet(_columns(figure), line), f"{key}.parquet", _BINARY)
        _button("npz", lambda: recipe.to_npz(arrays_of(_traces(figure)), line), f"{key}.npz", _BINARY)
    label = say("Picture by the camera above the figure")
    st.segmented_control(label, _PICTURES, default=_PICTURES[0], required=True, key=_format_key(key))
    st.toggle(say("The recipe under the picture"), key=_recipe_key(key))


_BINARY = "application/octet-stream"


def _run_name() -> str:
    return st.query_params.get("run") or st.session_state.get("run") or ""


def _format_key(key: str) -> str:
    return f"picture_of_{key}"


def _recipe_key(key: str) -> str:
    return f"recipe_under_{key}"


def _kept(key: str) -> Any:
    """What was chosen under ``key``, kept while the popover that asks for it is shut."""
    if key in st.session_state:
        st.session_state[key] = st.session_state[key]
    return st.session_state.get(key)


def _button(label: str, make: Callable[[], bytes], file_name: str, kind: str) -> None:
    st.download_button(say(label), make, file_name, kind, key=f"numbers_{file_name}", on_click="ignore")


def _traces(figure: Any) -> list[dict[str, Any]]:
    return list(figure.to_plotly_json()["data"])


def _columns(figure: Any) -> dict[str, Any]:
    return columns_of(_traces(figure))
