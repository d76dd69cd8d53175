"""Another way from the features of a subspace run to clusters, computed on the page: solver, affinity and K of one's own."""

from typing import Any

import numpy as np
import streamlit as st

from vitviz.explain.subspace import Snapshot, layer_of, order_images
from vitviz.explain.subspace_regroup import Regrouping
from vitviz.figures import subspace as figures
from vitviz.runs.folder import Run
from vitviz.ui import run_views
from vitviz.ui import subspace_words as words
from vitviz.ui.pickers import choose
from vitviz.ui.subspace_affinity import show_masses, still_picture
from vitviz.ui.subspace_sources import cached, pick_step, regrouped, snapshot_of
from vitviz.ui.subspace_steps import SCORES

SOLVERS = ("neighbors", "ridge", "adam")
MAX_DENSE = 2_000


def show_regrouping(run: Run) -> None:
    """Solver, affinity and K of one's own on the features of a step: clustered now, beside what the run has."""
    st.caption(words.REGROUP)
    left, right = st.columns((2, 3), gap="medium")
    with left:
        index = pick_step(run)
        shot = snapshot_of(run, index)
        chosen = _pick_regrouping(shot)
        settings = Regrouping(**chosen)
        with st.status("Clustering again …", expanded=False) as status:
            again, found = regrouped(run, index, settings, lambda stage: status.update(label=f"{stage.capitalize()} …"))
            status.update(label=words.seconds_sentence(found["seconds"]), state="complete")
        _beside(run, index, found)
        st.caption(words.unchanged_sentence(found["unchanged"]))
        run_views.chart(figures.seconds_bars(found["seconds"]), key="subspace_seconds")
    with right:
        matrix = cached("regrouped", run, index, lambda: layer_of(again, "plain"), settings)
        still_picture(run, again, matrix, order_images(again, "cluster"), key=repr(settings))
        show_masses(again, matrix)


def _pick_regrouping(shot: Snapshot) -> dict[str, Any]:
    """The settings of ``Regrouping`` that a person may change, bound to the address."""
    is_small = len(shot.labels) <= MAX_DENSE
    # what the run did itself comes last: the page opens on something else
    offered = [one for one in SOLVERS if one != shot.solver and (is_small or one == "neighbors")]
    solver = choose("Solver", [*offered, "stored"], key="solver", help=words.REGROUP_HELP["solver"])
    chosen: dict[str, Any] = {"solver": solver}
    if solver == "neighbors":
        chosen["num_neighbors"] = st.slider("Neighbours", 2, 40, 10, key="neighbors", bind="query-params")
    if solver == "ridge":
        text = "Penalty, times the mean squared length of z"
        chosen["ridge_strength"] = st.select_slider(
            text, (0.01, 0.1, 1.0, 10.0, 100.0), 10.0, key="ridge", bind="query-params"
        )
    if solver == "adam":
        chosen["num_steps"] = st.slider("Steps of Adam", 1, 100, 30, key="adam_steps", bind="query-params")
    affinity = choose("Affinity", ("ji", "simple"), key="affinity", help=words.REGROUP_HELP["affinity"])
    chosen["affinity"] = affinity
    is_sparse = solver == "neighbors" or (solver == "stored" and not isinstance(shot.coefficients, np.ndarray))
    if affinity == "ji":
        text, usual = "Share of each column that is kept (rho)", 1.0 if is_sparse else 0.04
        options = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0)
        chosen["rho"] = st.select_slider(text, options, usual, key=f"rho_{solver}", help=words.RHO_HELP)
        chosen["power"] = st.slider(
            "Power of the cosines (alpha)", 1.0, 12.0, 8.0, 1.0, key="power", bind="query-params"
        )
    most = min(len(shot.labels) - 1, max(40, 2 * shot.num_clusters))
    chosen["num_clusters"] = st.slider("Clusters (K)", 2, most, shot.num_clusters, key="clusters", bind="query-params")
    return chosen


def _beside(run: Run, index: int, found: dict) -> None:
    """The scores found beside those of the run."""
    record = run.round_metrics()[index]
    with st.container(horizontal=True):
        for name, key in SCORES.items():
            value, before = found[key], record.get(key)
            if value is None:
                st.metric(name, "no labels", border=True)
            else:
                st.metric(name, f"{value:.3f}", f"{value - before:+.3f} against the run", border=True)
