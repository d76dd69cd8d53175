"""Every hostile name of the test in eight elements of Streamlit that read markdown."""

import streamlit as st
from test_labels import HOSTILE

from vitviz.ui.labels import safe_label

for index, name in enumerate(HOSTILE):
    label = safe_label(name)
    with st.container(key=f"name{index}"):
        st.markdown(label)
        st.markdown(f"**{label}**")
        st.caption(label)
        st.error(label)
        st.metric(label, 1)
        st.button(label, key=f"button{index}")
        st.slider(label, 0, 1, key=f"slider{index}")
        st.toggle(label, key=f"toggle{index}")
