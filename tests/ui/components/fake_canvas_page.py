"""A page with image canvases over made-up pictures. What Python hears is written out for the tests to read."""

import numpy as np
import streamlit as st
from fake_canvas import COLORS, heat, labels, photo

from vitviz.explain.canvas_layers import pack_heat, pack_labels
from vitviz.ui.components.image_canvas import image_canvas
from vitviz.ui.kept import keep, keep_picture

BINARY = "application/octet-stream"

st.button("Run again")
other = st.checkbox("Other picture")
st.session_state["lang"] = "KO" if st.checkbox("Korean") else "EN"
max_pins = 2 if st.query_params.get("pins") == "2" else 1
state = image_canvas(
    key="canvas",
    photo_url=keep_picture(photo(other)),
    width=photo(other).shape[1],
    height=photo(other).shape[0],
    alt="two grey halves",
    labels_url=keep(pack_labels(labels(other)), BINARY),
    colors=COLORS,
    color_of_id=[0, 1, 2, 1],
    heat_url=keep(pack_heat(heat()), BINARY) if st.checkbox("Heat") else None,
    heat_title="share",
    heat_hides_zero=True,
    bases=[{"label": "Inverted", "url": keep_picture(255 - photo(other))}],
    mode=st.query_params.get("mode", "both"),
    max_pins=max_pins,
    max_height=400,
    tell_step=st.query_params.get("tell") != "no",
    follow=f"picture {other}",
)
st.text(f"pins {[(round(x, 2), round(y, 2), one) for x, y, one in state.pins]} step {state.step}")
bare = image_canvas(
    key="bare",
    photo_url=keep_picture(np.full((2000, 8, 3), 120, np.uint8)),
    width=8,
    height=2000,
    alt="a narrow picture",
    max_pins=0,
)
image_canvas(
    key="lost",
    photo_url="/vitviz/kept/nothing",
    width=8,
    height=8,
    alt="a picture that is lost",
    labels_url="/vitviz/kept/0",
)
matrix = image_canvas(
    key="matrix",
    photo_url=keep_picture(np.full((40, 40, 3), 30, np.uint8)),
    width=40,
    height=40,
    alt="a matrix",
    heat_url=keep(pack_heat(np.stack([np.eye(40), np.eye(40) / 4])), BINARY),
    heat_title="affinity",
    heat_max=0.02,
    heat_alpha=1.0,
    step_texts=("step 10", "step 30"),
    max_height=400,
    follow="matrix",
)
st.text(f"matrix {[(round(x, 2), round(y, 2), one) for x, y, one in matrix.pins]} step {matrix.step}")
image_canvas(
    key="signed",
    photo_url=keep_picture(np.full((40, 80, 3), 30, np.uint8)),
    width=80,
    height=40,
    alt="values of either sign",
    labels_url=keep(pack_labels(np.arange(2)[None]), BINARY),
    id_texts=("the left half", "the right half"),
    heat_url=keep(pack_heat(np.array([[0.0, 0.25, 0.75, 1.0]])), BINARY),
    heat_title="gain",
    heat_min=-2.0,
    heat_max=2.0,
    heat_colors=("#0000ff", "#ffffff", "#ff0000"),
    heat_alpha=1.0,
    can_smooth=True,
    mode="none",
    modes=("lines", "none"),
    max_height=200,
)
