"""Every hostile name of the test in the elements of Streamlit that read markdown, and as it is in those that show a text."""

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
        st.subheader(label, anchor=False)
        st.expander(label).text("0")
        st.image("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", caption=label)
        st.segmented_control("0", [label], key=f"segmented{index}")
        st.progress(0.5, label)
        st.table({"1": [label]}, hide_index=True)
    with st.container(key=f"literal{index}"):
        st.text(name)
        st.code(name, language=None)
        st.json({"name": name})
        st.dataframe({"name": [name]})
        st.selectbox("0", [name], key=f"selectbox{index}")
        st.multiselect("0", [name], default=[name], key=f"multiselect{index}")
