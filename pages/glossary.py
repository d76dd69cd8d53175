"""The words of the field, with the papers' equation numbers."""

import streamlit as st

from vitviz.ui import glossary_words as words
from vitviz.ui.glossary import show_glossary
from vitviz.ui.language import say


def main() -> None:
    st.title(say("Glossary"))
    st.caption(say(words.INTRO))
    show_glossary()


main()
