"""The frame around every page: title, icon, navigation. ``app.py`` serves this file, so that a deep link never skips it."""

from pathlib import Path

import streamlit as st

from vitviz.ui import navigation

_ASSETS = Path(__file__).parent / "assets"

st.set_page_config(page_title="vitviz", page_icon=str(_ASSETS / "icon.png"), layout="wide")
st.logo(str(_ASSETS / "logo.png"), icon_image=str(_ASSETS / "icon.png"), size="large")
st.navigation(navigation.pages()).run()
