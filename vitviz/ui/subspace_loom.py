"""The loom: the stored C woven into another affinity by threshold, dimension and power, then sorted and clustered anew."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from vitviz.clustering.affinity import DENSE_THRESHOLD
from vitviz.explain.subspace import Snapshot, layer_of, order_images
from vitviz.explain.subspace_regroup import Regrouping, regrouping_of
from vitviz.runs.folder import Run
from vitviz.ui import subspace_tool_words as tool_words
from vitviz.ui import subspace_words as words
from vitviz.ui.choices import choose
from vitviz.ui.language import say
from vitviz.ui.subspace_affinity import LAYERS, ORDERS, see_again
from vitviz.ui.subspace_matrix import show_matrix
from vitviz.ui.subspace_sources import begin_at, cached, pick_step, regrouped, snapshot_of
from vitviz.ui.subspace_steps import SCORES

THRESHOLDS = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0)
LARGEST_DIM = 24
CANVAS = "subspace_affinity_loom"
STORED = "stored"


def show_loom(run: Run) -> None:
    """Sliders of the post-processing, the scores they come to beside the run's, and the matrix sorted anew."""
    st.caption(say(tool_words.LOOM))
    index = pick_step(run)
    shot = snapshot_of(run, index)
    own = regrouping_of(run, shot)
    with st.container(border=True):
        chosen = pick_rule(shot, own, STORED)
    settings = Regrouping(**chosen, num_clusters=own.num_clusters)
    with st.spinner(say("Clustering again …"), show_time=False):
        again, found = regrouped(run, index, settings)
    scores_beside(run, index, found)
    st.caption(say(f"{words.unchanged_sentence(found['unchanged'])} {words.seconds_sentence(found['seconds'])}."))
    with st.container(horizontal=True):
        layer = choose("Show", ["affinity", "coefficients", "thresholded"], key="woven", help=words.LAYERS_HELP)
        order_name = choose("Order", words.orders(again, list(ORDERS)), key="order")
    matrix = cached("loom", run, index, lambda: layer_of(again, LAYERS[layer]), settings, layer)
    order = order_images(again, ORDERS[order_name])
    key = f"{settings}-{layer}-{order_name}"
    show_matrix(see_again(run, again, matrix, order, order_name=order_name, layer=layer, key=key), canvas=CANVAS)


def pick_rule(shot: Snapshot, own: Regrouping, solver: str) -> dict[str, Any]:
    """The rule from C to an affinity, bound to the address, at the run's own to begin with: parts of ``Regrouping``."""
    rules = ("ji", "simple") if own.affinity == "ji" else ("simple", "ji")
    chosen: dict[str, Any] = {
        "affinity": choose("Affinity", rules, key="affinity", help=words.REGROUP_HELP["affinity"])
    }
    if chosen["affinity"] == "simple":
        st.caption(say(tool_words.NO_SLIDERS))
        return chosen
    first, second, third = st.columns(3, gap="medium")
    with first:
        text, usual = "Share of each column that is kept (rho)", _usual_rho(shot, own, solver)
        chosen["rho"] = one_of(text, THRESHOLDS, usual, key=f"rho_{solver}", help=say(words.RHO_HELP))
    with second:
        text, look = "Dimensions of a cluster's subspace (d)", {"help": say(tool_words.DIM_HELP)}
        chosen["dim"] = slider(text, 1, LARGEST_DIM, shot.settings.dim, key="dim", **look)
    with third:
        text, look = "Power of the cosines (alpha)", {"step": 1.0, "format": "%g", "help": say(tool_words.POWER_HELP)}
        chosen["power"] = slider(text, 1.0, 12.0, float(own.power), key="power", **look)
    return chosen


def slider(text: str, least: float, most: float, usual: float, *, key: str, **look: Any) -> float:
    """A slider bound to the address, from ``usual`` on; Streamlit widens it to a value beyond its ends."""
    begin_at(key, usual)
    return st.slider(say(text), least, max(most, usual), usual, key=key, bind="query-params", **look)


def one_of(text: str, options: Sequence[float], usual: float, *, key: str, **look: Any) -> float:
    """A slider over ``options`` and ``usual``."""
    begin_at(key, usual)
    return st.select_slider(say(text), sorted({*options, usual}), usual, key=key, **look)


def scores_beside(run: Run, index: int, found: dict) -> None:
    """The scores found beside those of the run."""
    record = run.round_metrics()[index]
    with st.container(horizontal=True):
        for name, key in SCORES.items():
            value, before = found[key], record.get(key)
            if value is None:
                st.metric(say(name), say("no labels"), border=True)
            else:
                change = f"{value - before:+.3f}"
                is_same = float(change) == 0
                text, color = ("as the run", "off") if is_same else (f"{change} against the run", "normal")
                arrow = "off" if is_same else "auto"
                st.metric(say(name), f"{value:.3f}", say(text), delta_color=color, delta_arrow=arrow, border=True)


def _usual_rho(shot: Snapshot, own: Regrouping, solver: str) -> float:
    """The run's own threshold of a C as dense or sparse as its own, else .04 of a dense one and all of a sparse one."""
    was_sparse = not isinstance(shot.coefficients, np.ndarray)
    is_sparse = was_sparse if solver == STORED else solver == "neighbors"
    if own.rho is not None and is_sparse == was_sparse:
        return own.rho
    return 1.0 if is_sparse else DENSE_THRESHOLD
