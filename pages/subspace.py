"""The page of subspace clustering: every image as a mix of others, and the blocks that come of it."""

import streamlit as st

from vitviz.runs.folder import Run
from vitviz.ui import run_views
from vitviz.ui import subspace_words as words
from vitviz.ui.choices import choose
from vitviz.ui.language import say
from vitviz.ui.pickers import describe_run
from vitviz.ui.problems import shown_problems
from vitviz.ui.subspace_affinity import show_affinity
from vitviz.ui.subspace_equaliser import show_equaliser
from vitviz.ui.subspace_images import show_channels, show_image
from vitviz.ui.subspace_loom import show_loom
from vitviz.ui.subspace_regrouping import show_regrouping
from vitviz.ui.subspace_ring import show_ring
from vitviz.ui.subspace_sources import PRESET, pick_subspace_run
from vitviz.ui.subspace_steps import headline, show_spectrum, show_steps

VIEWS = {
    "Affinity": show_affinity,
    "Loom": show_loom,
    "One image": show_image,
    "Ring": show_ring,
    "Steps": show_steps,
    "Spectrum": show_spectrum,
    "Channels": show_channels,
    "Equaliser": show_equaliser,
    "What if": show_regrouping,
}


def main() -> None:
    st.title(say("Subspace clustering"))
    run = pick_subspace_run()
    if run is None:
        run_views.no_run_yet("subspace", PRESET)
        return
    describe_run(run)
    st.caption(say(words.INTRO))
    run_views.live_status(run)
    if not run.round_metrics():
        st.info(say(words.NO_COEFFICIENTS), icon=":material/hourglass_top:")
        return
    with shown_problems():
        headline(run)
    view = choose("View", list(VIEWS), key="view", label_visibility="collapsed")
    show(view, run)


@st.fragment
def show(view: str, run: Run) -> None:
    """One view; what is done in it draws nothing else again."""
    with shown_problems():
        VIEWS[view](run)


main()
