"""Another way from the features of a subspace run to clusters, computed on the page: solver, affinity and K of one's own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from vitviz.clustering.affinity import DENSE_THRESHOLD
from vitviz.explain.subspace import Snapshot, layer_of, order_images
from vitviz.explain.subspace_regroup import Regrouping, regrouping_of
from vitviz.figures import subspace as figures
from vitviz.runs.folder import Run
from vitviz.ui import run_views
from vitviz.ui import subspace_words as words
from vitviz.ui.choices import choose
from vitviz.ui.language import say
from vitviz.ui.subspace_affinity import show_masses, still_picture
from vitviz.ui.subspace_sources import begin_at, cached, pick_step, regrouped, snapshot_of
from vitviz.ui.subspace_steps import SCORES

SOLVERS = ("neighbors", "ridge", "adam")
MAX_DENSE = 2_000
THRESHOLDS = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0)


def show_regrouping(run: Run) -> None:
    """Solver, affinity and K of one's own on the features of a step: clustered now, beside what the run has."""
    st.caption(say(words.REGROUP))
    left, right = st.columns((2, 3), gap="medium")
    with left:
        index = pick_step(run)
        shot = snapshot_of(run, index)
        chosen = _pick_regrouping(shot, regrouping_of(run, shot))
        settings = Regrouping(**chosen)
        with st.status(say("Clustering again …"), expanded=False) as status:
            again, found = regrouped(run, index, settings, lambda stage: status.update(label=f"{stage.capitalize()} …"))
            status.update(label=words.seconds_sentence(found["seconds"]), state="complete")
        _beside(run, index, found)
        st.caption(say(words.unchanged_sentence(found["unchanged"])))
        run_views.chart(figures.seconds_bars(found["seconds"]), key="subspace_seconds")
    with right:
        matrix = cached("regrouped", run, index, lambda: layer_of(again, "plain"), settings)
        still_picture(run, again, matrix, order_images(again, "cluster"), key=repr(settings))
        show_masses(again, matrix)


def _pick_regrouping(shot: Snapshot, own: Regrouping) -> dict[str, Any]:
    """The settings of ``Regrouping`` that a person may change, bound to the address; at the run's own to begin with."""
    is_small = len(shot.labels) <= MAX_DENSE
    # the page opens on something else than the run did; its own solver comes last, with other numbers
    others = [one for one in SOLVERS if one != shot.solver and (is_small or one == "neighbors")]
    solver = choose("Solver", [*others, "stored", shot.solver], key="solver", help=words.REGROUP_HELP["solver"])
    chosen: dict[str, Any] = {"solver": solver}
    if solver == "neighbors":
        chosen["num_neighbors"] = _slider("Neighbours", 2, 40, own.num_neighbors, key="neighbors")
    if solver == "ridge":
        text, strengths = "Penalty, times the mean squared length of z", (0.01, 0.1, 1.0, 10.0, 100.0)
        chosen["ridge_strength"] = _one_of(text, strengths, own.ridge_strength, key="ridge", bind="query-params")
    if solver == "adam":
        chosen["num_steps"] = _slider("Steps of Adam", 1, 100, own.num_steps, key="adam_steps")
    rules = ("ji", "simple") if own.affinity == "ji" else ("simple", "ji")
    chosen["affinity"] = choose("Affinity", rules, key="affinity", help=words.REGROUP_HELP["affinity"])
    if chosen["affinity"] == "ji":
        text, usual = "Share of each column that is kept (rho)", _usual_rho(shot, own, solver)
        chosen["rho"] = _one_of(text, THRESHOLDS, usual, key=f"rho_{solver}", help=words.RHO_HELP)
        text = "Power of the cosines (alpha)"
        chosen["power"] = _slider(text, 1.0, 12.0, float(own.power), key="power", step=1.0, format="%g")
    most = min(len(shot.labels), max(40, 2 * own.num_clusters))
    chosen["num_clusters"] = _slider("Clusters (K)", min(2, most - 1), most, own.num_clusters, key="clusters")
    return chosen


def _slider(text: str, least: float, most: float, usual: float, *, key: str, **look: Any) -> float:
    """A slider bound to the address, from ``usual`` on; Streamlit widens it to a value beyond its ends."""
    begin_at(key, usual)
    return st.slider(say(text), least, most, usual, key=key, bind="query-params", **look)


def _one_of(text: str, options: Sequence[float], usual: float, *, key: str, **look: Any) -> float:
    """A slider over ``options`` and ``usual``."""
    begin_at(key, usual)
    return st.select_slider(say(text), sorted({*options, usual}), usual, key=key, **look)


def _usual_rho(shot: Snapshot, own: Regrouping, solver: str) -> float:
    """The run's own threshold of a C as dense or sparse as its own, else .04 of a dense one and all of a sparse one."""
    was_sparse = not isinstance(shot.coefficients, np.ndarray)
    is_sparse = was_sparse if solver == "stored" else solver == "neighbors"
    if own.rho is not None and is_sparse == was_sparse:
        return own.rho
    return 1.0 if is_sparse else DENSE_THRESHOLD


def _beside(run: Run, index: int, found: dict) -> None:
    """The scores found beside those of the run."""
    record = run.round_metrics()[index]
    with st.container(horizontal=True):
        for name, key in SCORES.items():
            value, before = found[key], record.get(key)
            if value is None:
                st.metric(say(name), "no labels", border=True)
            else:
                change = f"{value - before:+.3f}"
                is_same = float(change) == 0
                text, color = ("as the run", "off") if is_same else (f"{change} against the run", "normal")
                arrow = "off" if is_same else "auto"
                st.metric(say(name), f"{value:.3f}", text, delta_color=color, delta_arrow=arrow, border=True)
