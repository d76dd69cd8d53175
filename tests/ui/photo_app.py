"""A page that looks at one picture."""

import streamlit as st

from vitviz.ui.photos import pick_photo

st.text(pick_photo("test").name)
