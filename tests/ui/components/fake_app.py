"""``st.App`` over one fake run, for the browser tests: its own pages lie beside it."""

from pathlib import Path

import streamlit as st
from fake_run import FakeRun, fake_images, finder

from vitviz.ui.routes import routes

app = st.App(Path(__file__).parent / "fake_page.py", routes=routes(find=finder(FakeRun()), open_images=fake_images))
