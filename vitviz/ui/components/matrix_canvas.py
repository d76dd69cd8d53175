"""The matrix canvas: a matrix of all pairs of images as cells; a click pins one, a drag selects a block, keys do both.

The cells come from a route (``vitviz.ui.kept``), never through the websocket. Python hears of a pin or a block, in cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from vitviz.figures.theme import SEQUENTIAL_COLORS
from vitviz.ui.components.assets import read_assets
from vitviz.ui.language import say

WORDS = {
    "picture": "Arrow keys move the pin, Shift and an arrow key select a block",
    "outlines": "Outline clusters",
    "ideal": "Ideal blocks",
    "select": "Select a block",
    "clear": "Clear",
    "cell": "cell: row {row}, column {column}",
    "block": "block: rows {top} to {bottom}, columns {left} to {right} of the cells",
    "idle": "Click a cell, or drag a block.",
    "idle_bare": "Hold B for the blocks a perfect affinity would fill.",
    "keys": (
        "Click to pin a pair · drag to select a block · arrows move the pin · Shift + arrows select · hold B for the blocks a "
        "perfect affinity would fill · Esc clears"
    ),
    "failed": "The picture could not be loaded. Reload the page to try again.",
}

_component = st.components.v2.component(
    "vitviz.matrix_canvas",
    css=read_assets("matrix_canvas.css"),
    js=read_assets("dom.js", "matrix_canvas_paint.js", "matrix_canvas_gestures.js", "matrix_canvas.js"),
)

Cell = tuple[int, int]
Cells = tuple[int, int, int, int]


@dataclass(frozen=True)
class MatrixState:
    """What the viewer has pointed at, in cells: a pin (row, column), or a block (top, bottom, left, right), bottom and right
    left out; None for what there is not.
    """

    pin: Cell | None
    block: Cells | None


def matrix_canvas(
    *,
    key: str,
    heat_url: str,
    ids: Sequence[int],
    ideal: Sequence[int],
    ideal_colors: Sequence[str],
    alt: str,
    heat_title: str,
    heat_max: float,
    pin: Cell | None = None,
    block: Cells | None = None,
    can_point: bool = True,
    max_height: int = 520,
    follow: str = "",
) -> MatrixState:
    """Show a square of cells and return what is pointed at.

    Args:
        heat_url: of one (S, S) step from ``explain.canvas_layers.pack_heat``; ``heat_max`` is the value that 1 stands for.
        ids: the cluster (S,) of each row, or column, of cells, for the outlines; ideal: the ids (S,) whose blocks a perfect
            matrix would fill, -1 for none, in ``ideal_colors``.
        alt, heat_title: words for the whole and for a cell's value, said already.
        pin, block: to begin with, taken again whenever ``follow`` changes.
        can_point: whether there is anything to pin or to select.
    """
    result = _component(
        key=key,
        data={
            "heat_url": heat_url,
            "ids": np.asarray(ids).tolist(),
            "ideal": np.asarray(ideal).tolist(),
            "ideal_colors": list(ideal_colors),
            "alt": alt,
            "heat_title": heat_title,
            "heat_max": float(heat_max),
            "heat_colors": list(SEQUENTIAL_COLORS),
            "pin": None if pin is None else list(pin),
            "block": None if block is None else list(block),
            "can_point": can_point,
            "max_height": int(max_height),
            "follow": follow,
            "words": {name: say(text) for name, text in WORDS.items()},
        },
        default={"view": None},
        on_view_change=lambda: None,
    )
    return _state(result.view, follow, pin, block, len(ids))


def _state(view, follow: str, pin: Cell | None, block: Cells | None, size: int) -> MatrixState:
    """The viewer's last word, or the start when that was about what was shown before."""
    if not view or view.get("follow") != follow:
        return MatrixState(pin, block)
    told, chosen = view.get("pin"), view.get("block")
    return MatrixState(
        pin=tuple(min(max(int(one), 0), size - 1) for one in told) if told else None,
        block=tuple(int(one) for one in chosen) if chosen else None,
    )
