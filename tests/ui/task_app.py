"""A page with one piece of long work."""

import streamlit as st

from vitviz.errors import Problem
from vitviz.ui.tasks import result_of


def work(on_progress):
    if st.query_params.get("fail"):
        raise Problem("it failed", "as asked")
    on_progress(1, 1)
    return 42


begin = "begin" in st.query_params
found = result_of("key", "A long work", work, begin=begin, button="Compute it", hint="takes long")
if found is not None:
    st.text(f"result {found}")
