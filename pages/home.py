"""The first page: what there is in one screen, and where to begin."""

import streamlit as st

from vitviz.runs.folder import list_runs
from vitviz.ui import gallery
from vitviz.ui import home_words as words
from vitviz.ui.home_live import show_live
from vitviz.ui.home_papers import show_papers
from vitviz.ui.home_teasers import show_teasers
from vitviz.ui.home_ways import show_ways
from vitviz.ui.language import say
from vitviz.ui.problems import shown_problems


def main() -> None:
    st.title(say(words.TITLE))
    st.markdown(say(words.IDEA))
    runs = list_runs()
    left, right = st.columns((9, 11), gap="medium")
    with left, shown_problems():
        show_live(runs)
    with right, shown_problems():
        show_teasers(runs)
    show_ways(runs)
    show_papers(runs)
    gallery.make_your_own(highlighted=False)


main()
