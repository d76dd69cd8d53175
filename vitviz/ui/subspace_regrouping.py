"""Another way from the features of a subspace run to clusters, computed on the page: solver, affinity and K of one's own."""

from typing import Any

import streamlit as st

from vitviz.explain.subspace import Snapshot, layer_of, order_images
from vitviz.explain.subspace_regroup import STAGES, Regrouping, regrouping_of
from vitviz.figures import subspace as figures
from vitviz.runs.folder import Run
from vitviz.ui import subspace_tool_words as tool_words
from vitviz.ui import subspace_words as words
from vitviz.ui.choices import choose
from vitviz.ui.language import say
from vitviz.ui.run_views import chart
from vitviz.ui.subspace_affinity import see_again
from vitviz.ui.subspace_loom import one_of, pick_rule, scores_beside, slider
from vitviz.ui.subspace_matrix import show_matrix
from vitviz.ui.subspace_sources import cached, pick_step, regrouped, snapshot_of

SOLVERS = ("neighbors", "ridge", "adam")
MAX_DENSE = 2_000
CANVAS = "subspace_again"


def show_regrouping(run: Run) -> None:
    """Solver, affinity and K of one's own on the features of a step: clustered now, beside what the run has."""
    st.caption(say(words.REGROUP))
    left, right = st.columns((2, 3), gap="medium")
    with left:
        index = pick_step(run)
        shot = snapshot_of(run, index)
        settings = Regrouping(**_pick_regrouping(shot, regrouping_of(run, shot)))
        with st.status(say("Clustering again …"), expanded=False) as status:
            again, found = regrouped(
                run, index, settings, lambda stage: status.update(label=say(tool_words.STAGES[stage]))
            )
            status.update(label=say(words.seconds_sentence(found["seconds"])), state="complete")
        scores_beside(run, index, found)
        st.caption(say(words.unchanged_sentence(found["unchanged"])))
        chart(
            figures.seconds_bars({stage: found["seconds"][stage] for stage in STAGES}),
            key="subspace_seconds",
            alt=tool_words.seconds_alt(found["seconds"]),
        )
    with right:
        matrix = cached("regrouped", run, index, lambda: layer_of(again, "plain"), settings)
        order = order_images(again, "cluster")
        seen = see_again(run, again, matrix, order, order_name="clusters", layer="coefficients", key=repr(settings))
        show_matrix(seen, canvas=CANVAS, is_wide=False)


def _pick_regrouping(shot: Snapshot, own: Regrouping) -> dict[str, Any]:
    """The settings of ``Regrouping`` that a person may change, bound to the address; at the run's own to begin with."""
    is_small = len(shot.labels) <= MAX_DENSE
    # the page opens on something else than the run did; its own solver comes last, with other numbers
    others = [one for one in SOLVERS if one != shot.solver and (is_small or one == "neighbors")]
    solver = choose("Solver", [*others, "stored", shot.solver], key="solver", help=words.REGROUP_HELP["solver"])
    chosen: dict[str, Any] = {"solver": solver}
    if solver == "neighbors":
        chosen["num_neighbors"] = slider("Neighbours", 2, 40, own.num_neighbors, key="neighbors")
    if solver == "ridge":
        text, strengths = "Penalty, times the mean squared length of z", (0.01, 0.1, 1.0, 10.0, 100.0)
        chosen["ridge_strength"] = one_of(text, strengths, own.ridge_strength, key="ridge", bind="query-params")
    if solver == "adam":
        chosen["num_steps"] = slider("Steps of Adam", 1, 100, own.num_steps, key="adam_steps")
    chosen |= pick_rule(shot, own, solver)
    most = min(len(shot.labels), max(40, 2 * own.num_clusters))
    chosen["num_clusters"] = slider("Clusters (K)", min(2, most - 1), most, own.num_clusters, key="clusters")
    return chosen
