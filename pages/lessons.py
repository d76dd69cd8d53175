"""The list of lessons."""

import streamlit as st

from vitviz.ui import lesson_words as words
from vitviz.ui.language import say
from vitviz.ui.lesson_list import show_lessons


def main() -> None:
    st.title(say("Lessons"))
    st.caption(say(words.INTRO))
    show_lessons()
    st.caption(say(words.OWN))


main()
