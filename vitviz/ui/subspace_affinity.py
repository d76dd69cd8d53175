"""The affinity of a subspace run as a picture: ordered, thresholded, zoomed, scrubbed over steps, clicked and dragged."""

from typing import Any

import numpy as np
import streamlit as st

from vitviz.explain.subspace import Snapshot, own_threshold
from vitviz.explain.subspace_weave import weave
from vitviz.runs.folder import Run
from vitviz.ui import subspace_words as words
from vitviz.ui.choices import choose
from vitviz.ui.language import say
from vitviz.ui.subspace_matrix import Seen, show_matrix
from vitviz.ui.subspace_sources import begin_at, cached, layer_matrix, ordered, pick_step, snapshot_of

SIDE = 360
ORDERS = {"clusters": "cluster", "classes": "class", "as in the data": "data"}
LAYERS = {"coefficients": "plain", "thresholded": "kept", "affinity": "processed"}
ZOOMS = {"all": 1, "2x": 2, "4x": 4, "8x": 8}
THRESHOLDS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
CANVAS = "subspace_affinity"


def show_affinity(run: Run) -> None:
    """The picture with its controls, and beside it the pair or the block that is chosen or what the whole says."""
    show_matrix(_pick_view(run), canvas=CANVAS)


def see_again(
    run: Run, again: Snapshot, matrix: Any, order: np.ndarray, *, order_name: str, layer: str, key: str
) -> Seen:
    """What was clustered anew, whole."""
    woven = cached("woven again", run, again.round, lambda: weave(matrix, order, side=SIDE), key)
    return Seen(
        run, again, matrix, order, order_name, layer, None, woven, f"{run.name}-{run.version()}-{again.round}-{key}"
    )


def _pick_view(run: Run) -> Seen:
    index = pick_step(run)
    shot = snapshot_of(run, index)
    with st.container(horizontal=True):
        layer_name = choose("Show", list(LAYERS), key="layer", help=words.LAYERS_HELP)
        order_name = choose("Order", words.orders(shot, list(ORDERS)), key="order")
        zoom = choose("Zoom", list(ZOOMS), key="zoom", help=words.ZOOM_HELP)
    rho = _pick_threshold(shot) if layer_name == "thresholded" else None
    with st.spinner(say("Weaving …"), show_time=False):
        matrix = layer_matrix(run, shot, LAYERS[layer_name], rho)
        order = ordered(run, shot, ORDERS[order_name])
        start, stop = _window(run, order, order_name, zoom)
        key = (layer_name, rho, order_name, start, stop)
        woven = cached("woven", run, index, lambda: weave(matrix, order, start=start, stop=stop, side=SIDE), *key)
    text = "-".join(map(str, (run.name, run.version(), index, *key)))
    return Seen(run, shot, matrix, order, order_name, layer_name, rho, woven, text)


def _pick_threshold(shot: Snapshot) -> float:
    usual = own_threshold(shot)
    begin_at("rho", usual)
    return st.select_slider(
        say("Share of each column that is kept (rho)"),
        sorted({*THRESHOLDS, usual}),
        value=usual,
        key="rho",
        bind="query-params",
        help=say(words.RHO_HELP),
    )


def _window(run: Run, order: np.ndarray, order_name: str, zoom: str) -> tuple[int, int]:
    """The positions that a zoom shows: around the pinned pair's row as it was when the zoom was chosen."""
    size = max(len(order) // ZOOMS[zoom], 2)
    if size >= len(order):
        return 0, len(order)
    chosen = (run.name, order_name, zoom)
    if st.session_state.get("subspace_window", (None,))[0] != chosen:
        text = st.query_params.get("pair", "").partition("_")[0]
        row = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else int(order[0])
        found = np.flatnonzero(order == row)
        st.session_state.subspace_window = (chosen, int(found[0]) if len(found) else 0)
    middle = st.session_state.subspace_window[1]
    start = min(max(middle - size // 2, 0), len(order) - size)
    return start, start + size
