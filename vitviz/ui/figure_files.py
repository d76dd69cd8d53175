"""What can be taken away of a figure: its recipe to copy, its numbers as files, and how its picture is saved."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from vitviz import __version__
from vitviz.errors import Problem
from vitviz.runs.folder import find_run
from vitviz.share import recipe
from vitviz.share.figure_data import arrays_of, columns_of
from vitviz.ui.language import say

_PICTURES = ("SVG", "PNG")
_NOT_VIEW = ("run", "lang")


def picture_options(key: str) -> dict[str, Any]:
    """What plotly's own camera button saves of the figure ``key``: SVG, or PNG at twice the size, as the reader chose."""
    kind = str(st.session_state.get(_format_key(key)) or _PICTURES[0]).lower()
    return {"format": kind, "filename": key, "scale": 2 if kind == "png" else 1}


def offer_figure_files(figure: Any, *, key: str) -> None:
    """A small button under a figure: the line that says how it was made, and its numbers; all is made when it is asked for."""
    help_text, place = say("Recipe and files"), f"files_of_{key}"
    opened = st.popover(
        say("Files"), icon=":material/download:", type="tertiary", help=help_text, key=place, on_change="rerun"
    )
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


_BINARY = "application/octet-stream"


def _run_name() -> str:
    return st.query_params.get("run") or st.session_state.get("run") or ""


def _format_key(key: str) -> str:
    return f"picture_of_{key}"


def _button(label: str, make: Callable[[], bytes], file_name: str, kind: str) -> None:
    st.download_button(say(label), make, file_name, kind, key=f"numbers_{file_name}", on_click="ignore")


def _traces(figure: Any) -> list[dict[str, Any]]:
    return list(figure.to_plotly_json()["data"])


def _columns(figure: Any) -> dict[str, Any]:
    return columns_of(_traces(figure))
