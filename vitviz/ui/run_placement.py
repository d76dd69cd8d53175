"""A picture that somebody gave, placed among the images of a run: its cluster, neighbours and way over the map."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from vitviz.explain.placement import Placement
from vitviz.explain.sheets import contact_sheet
from vitviz.figures import deep_clustering as figures
from vitviz.runs.folder import Run
from vitviz.ui import run_views, words
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say


def show_placement(run: Run, placement: Placement) -> None:
    """A placed picture: cluster, neighbours and restored self in every round, and its way between the centers."""
    names, rounds = run_views.cluster_names(run), placement.rounds
    last, said = int(rounds[-1]), words.rounds_sentence(rounds)
    st.markdown(say(_journey(safe_label(say(names[placement.clusters[-1]])), placement.clusters, rounds)))
    if len(rounds) < run.num_rounds():
        st.caption(say(f"The run kept the weights of {said} alone, so the picture is placed there."))
    figure = figures.distances_to_centers(placement.distances, names=names, rounds=rounds)
    run_views.chart(figure, key="distances")
    st.caption(
        say("Distance to every center in the embedding of each round; the lowest line is the picture's cluster.")
    )
    if placement.restored is not None:
        sheet = contact_sheet(placement.restored, columns=len(placement.restored), cell=72)
        st.image(sheet, alt=say(f"the picture restored at {said}"))
        st.caption(
            say(f"Restored from its embedding at {said}. The decoder knows only what the training images look like.")
        )
    st.markdown(say("**Nearest images of the run, last round**"))
    run_views.grid(run, last, placement.neighbors[-1], key="neighbors")
    if placement.points is not None:
        shown = _spread_sample(len(run.samples().indices))
        labels = np.asarray(run.round(last).matched_labels)[shown]
        maps = run.projection().points
        figure = figures.path_on_map(maps[last][shown], labels, placement.points, names=names, rounds=rounds)
        run_views.chart(figure, key="path")
        st.caption(say(words.path_caption(len(shown), len(run.samples().indices), last)))


def placed(place: Callable[[Run, np.ndarray], Placement], run: Run, pixels: np.ndarray, key: str) -> Placement:
    """``place(run, pixels)``, kept by run, version and the picture's content."""
    with st.spinner(say("Embedding the picture in every round …")):
        placement = _placed(run.name, run.version(), key, _place=place, _run=run, _pixels=pixels)
    return placement


@st.cache_resource(max_entries=16, show_spinner=False)
def _placed(name: str, version: str, key: str, _place, _run: Run, _pixels: np.ndarray) -> Placement:
    return _place(_run, _pixels)


def _spread_sample(num: int, most: int = 3_000) -> np.ndarray:
    return np.arange(num) if num <= most else np.linspace(0, num - 1, most).astype(int)


def _journey(name: str, clusters: np.ndarray, rounds: np.ndarray) -> str:
    changes = rounds[1:][clusters[1:] != clusters[:-1]]
    if len(changes) == 0:
        return f"**{name}** after the last round, in the same cluster from the first round on."
    return f"**{name}** after the last round; it changed at round {', '.join(str(one) for one in changes)}."
