"""Beside every attribution: whether taking away what it names changes the answer more than chance does."""

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.figures import attention as figures
from vitviz.ui import attention_words as words
from vitviz.ui import run_views
from vitviz.ui.attention_sources import Shown
from vitviz.ui.attention_targets import Asked, pick_target
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.tasks import OnProgress, result_of


def show_faithfulness(shown: Shown, importance: np.ndarray, asked: Asked | None, *, about: str) -> None:
    """Deletion and insertion by importance (rows, columns), beside five random orders; ``about`` names the map.

    ``asked`` None: what a map that answers no question is tested for is chosen here.
    """
    st.subheader(say("Do these places count?"))
    try:
        asked = asked or pick_target(shown)
    except Problem as problem:
        st.caption(safe_label(say(f"It cannot be tested here: {problem.why or problem.what}."), max_length=200))
        return

    def work(on_progress: OnProgress):
        from vitviz.explain.attribution import faithfulness

        return faithfulness(
            shown.network.opened.model, shown.images(), asked.target, importance, on_progress=on_progress
        )

    key = f"faithful-{shown.key}-{asked.name}-{about}"
    found = result_of(key, "Deletion and insertion", work, begin=True, button="Test it against chance")
    if found is None:
        st.caption(say(words.FAITHFUL))
        return
    with st.container(horizontal=True):
        deletion, insertion = (say(words.spread(one)) for one in (found.random_deletion(), found.random_insertion()))
        look = {"border": True, "delta_color": "off", "delta_arrow": "off"}
        st.metric(say("Deletion area, small is faithful"), f"{found.own.deletion_auc:.3f}", deletion, **look)
        st.metric(say("Insertion area, large is faithful"), f"{found.own.insertion_auc:.3f}", insertion, **look)
    run_views.chart(figures.faithfulness(found), key="faithfulness")
    st.caption(say(f"{words.faithful_sentence(found)} {words.FAITHFUL}"))
