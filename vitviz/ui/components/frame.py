"""What Streamlit's own frame lacks for keyboards and screen readers; docs/accessibility.md lists it."""

import streamlit as st

from vitviz.ui.components.assets import read_assets

_component = st.components.v2.component(
    "vitviz.frame", js=read_assets("dom.js", "glossary_terms.js", "glossary_bubble.js", "frame.js")
)


def mend_frame(language: str, glossary: str) -> None:
    """Once a page, before anything that may stop it: shows nothing itself.

    The page says that it speaks ``language`` (``en``, ``ko``) and breaks its lines as that does, the sections of the
    navigation are groups that a keyboard can fold, what scrolls sideways can have the focus, and the terms of the field are
    explained where they stand, by the glossary at the address ``glossary``.
    """
    _component(key="frame", data={"language": language, "glossary": glossary})
