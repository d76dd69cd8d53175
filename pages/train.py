"""The page that trains: what is at work now, and the form that starts a run."""

import streamlit as st

from vitviz.training.queue import is_allowed
from vitviz.ui import train_words as words
from vitviz.ui.language import say
from vitviz.ui.train_live import show_now
from vitviz.ui.train_start import show_further, show_start


def main() -> None:
    st.title(say("Train"))
    st.caption(say(words.INTRO))
    show_now()
    if not is_allowed():
        st.info(say(words.SWITCHED_OFF), icon=":material/lock:")
        return
    show_start()
    show_further()


main()
