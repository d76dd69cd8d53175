"""The first page: what there is, and where to begin."""

import streamlit as st

from vitviz.runs.folder import list_runs
from vitviz.ui import gallery
from vitviz.ui.language import say


def main() -> None:
    st.title(say("See how vision transformers group things"))
    st.markdown(
        say(
            "A **run** is one training, kept round by round. Open one, step through its rounds, and watch images find their "
            "groups. Everything here works without a network and without a GPU."
        )
    )
    runs = list_runs()
    gallery.microscope()
    gallery.begin_here(runs)
    gallery.papers()
    gallery.make_your_own()


main()
