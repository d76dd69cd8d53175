"""The frame around every page: title, icon, navigation. ``app.py`` serves this file, so that a deep link never skips it."""

from pathlib import Path

import streamlit as st

from vitviz.ui import navigation
from vitviz.ui.choices import PAGE
from vitviz.ui.components.frame import mend_frame
from vitviz.ui.glossary import glossary_address
from vitviz.ui.language import language, pick_language
from vitviz.ui.lessons import follow_lesson
from vitviz.ui.memory import settle_memory

_ASSETS = Path(__file__).parent / "assets"

# first, or the browser fetches the icon of the page from the network
st.set_page_config(page_icon=str(_ASSETS / "icon.png"), layout="wide")
pick_language()
with st.sidebar:
    mend_frame(language(), glossary_address())
page = st.navigation(navigation.pages())
st.set_page_config(page_title=f"{page.title} · vitviz")
st.logo(str(_ASSETS / "logo.png"), icon_image=str(_ASSETS / "icon.png"), size="large")
st.session_state[PAGE] = page.url_path or "home"
follow_lesson(st.session_state[PAGE])
page.run()
settle_memory()
