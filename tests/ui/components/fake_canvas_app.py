"""``st.App`` over a page with image canvases, for the browser tests."""

from pathlib import Path

import streamlit as st

from vitviz.ui.routes import routes

app = st.App(Path(__file__).parent / "fake_canvas_page.py", routes=routes())
