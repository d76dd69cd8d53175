"""The page of super tokens: a picture, what its pixels are gathered into, and how."""

import streamlit as st

from vitviz.ui import run_views
from vitviz.ui import supertoken_words as words
from vitviz.ui.choices import choose
from vitviz.ui.language import say
from vitviz.ui.problems import shown_problems
from vitviz.ui.run_networks import pick_picture
from vitviz.ui.supertoken_comparison import show_beside, show_embeddings
from vitviz.ui.supertoken_sources import METHOD, PRESET, group, pick_choices, pick_source, warn
from vitviz.ui.supertoken_views import show_iterations, show_map, show_reconstruction

VIEWS = {
    "Map": show_map,
    "Iterations": show_iterations,
    "Reconstruction": show_reconstruction,
    "Beside grid and SLIC": show_beside,
    "Embeddings": show_embeddings,
}


def main() -> None:
    st.title(say("Super tokens"))
    st.caption(say(words.INTRO))
    view = choose("View", list(VIEWS), key="view", label_visibility="collapsed")
    with shown_problems():
        source = pick_source()
        if source is None:
            st.caption(say(words.NO_RUN))
            run_views.no_run_yet(METHOD, PRESET)
            return
        photo = pick_picture(source.run, "supertokens")
        choices = pick_choices(source)
        shown = group(photo, source, choices)
        warn(shown)
        VIEWS[view](shown)


main()
