"""All runs: yours and those shipped."""

import streamlit as st

from vitviz.runs.folder import own_root
from vitviz.ui import gallery
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say


def main() -> None:
    st.title(say("Runs"))
    st.caption(
        say(
            f"Each is a folder of arrays. Yours are in {safe_label(own_root().name)}/, the shipped ones in checkpoints/."
        )
    )
    gallery.growing_table()
    gallery.make_your_own()


main()
