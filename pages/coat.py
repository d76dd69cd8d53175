"""The page of Clustering CoaT: which tokens of a photo share a query, what that changes, and what it costs."""

import streamlit as st

from vitviz.ui import coat_words as words
from vitviz.ui.choices import choose
from vitviz.ui.coat_answers import show_answers
from vitviz.ui.coat_costs import show_costs
from vitviz.ui.coat_counts import show_counts
from vitviz.ui.coat_errors import show_errors
from vitviz.ui.coat_maps import show_clusters
from vitviz.ui.coat_sources import look_at, pick_clustering, pick_network, warn
from vitviz.ui.language import say
from vitviz.ui.photos import pick_photo
from vitviz.ui.problems import shown_problems

VIEWS = {
    "Clusters": show_clusters,
    "How many": show_counts,
    "Errors": show_errors,
    "Cost": show_costs,
    "Same answer?": show_answers,
}


def main() -> None:
    st.title(say("Clustering CoaT"))
    st.caption(say(words.INTRO))
    view = choose("View", list(VIEWS), key="view", label_visibility="collapsed")
    with shown_problems():
        photo = pick_photo("coat")
        network = pick_network()
        shown = look_at(photo, network, pick_clustering(network))
        warn(shown)
        VIEWS[view](shown)


main()
