"""The view of the river: which images go from cluster to cluster, round by round."""

import re

import numpy as np
import streamlit as st

from vitviz.explain import cluster_river as explain
from vitviz.explain.deep_clustering import Part
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import film_strip, run_views, words
from vitviz.ui.choices import choose
from vitviz.ui.components.cluster_river import cluster_river
from vitviz.ui.components.image_grid import MAX_ITEMS
from vitviz.ui.language import say
from vitviz.ui.pins import write_address
from vitviz.ui.problems import shown_problems
from vitviz.ui.results import cached

ALL, MOVES = "all images", "only those that move"
MOST_BANDS = 1_500
"""Bands between different clusters that are drawn, the largest of every step: more are slow, and none could be told apart."""


@st.fragment
@shown_problems()
def show(run: Run) -> None:
    """The river, the images of what is picked in it, and the image that is followed."""
    if run.num_rounds() < 2:
        st.info(say(words.NO_RIVER), icon=":material/water:")
        return
    with st.container(horizontal=True):
        part = choose("Images", ("held out", "train", "all"), key="part")
        drawn = choose("Drawn", (ALL, MOVES), key="drawn", help=words.DRAWN)
    standing = run_views.classes_of_clusters(run)
    river = cached(
        "river", f"{run.name}-{run.version()}-{part}", lambda: explain.count_river(run, part, standing=standing)
    )
    moves = explain.largest_moves(river, MOST_BANDS)
    staying = river.bands[river.bands[:, 1] == river.bands[:, 2]]
    picked = cluster_river(
        key=f"river_{run.name}",
        sizes=explain.sizes_of_moves(river) if drawn == MOVES else river.sizes,
        bands=moves if drawn == MOVES else np.concatenate([staying, moves]),
        moved=explain.moved_shares(river),
        names=[name.removeprefix("cluster ") for name in run_views.cluster_names(run)],
        colors=cluster_colors(standing.shape[1]),
        has_classes=bool((standing >= 0).any()),
        only_moves=drawn == MOVES,
        picked=st.query_params.get("flow") or None,
        follow=run.name,
    )
    st.caption(say(words.river_counts(river)))
    st.caption(say(words.river_caption(river, moves)))
    write_address("flow", picked)
    _show_images(run, picked, part)
    film_strip.show(run)


def _show_images(run: Run, picked: str | None, part: Part) -> None:
    """The images of a band or a block, ``2_3_5`` or ``2_3``; nothing for an address that names none."""
    is_place = re.fullmatch(r"[0-9]{1,5}(_[0-9]{1,5}){1,2}", picked or "")
    numbers = [int(one) for one in picked.split("_")] if is_place else []
    names, num_rounds = run_views.cluster_names(run), run.num_rounds()
    is_band, known = len(numbers) == 3, all(cluster < len(names) for cluster in numbers[1:])
    if len(numbers) not in (2, 3) or not known or numbers[0] >= num_rounds - is_band:
        return
    samples = (explain.images_of_band if is_band else explain.images_of_cluster)(run, *numbers, part)
    st.markdown(say(words.picked_title(numbers, len(samples), names)))
    run_views.grid(run, numbers[0] + is_band, samples[:MAX_ITEMS], key="river_images", total=len(samples))
