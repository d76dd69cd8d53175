"""A page with both components over the fake run. What Python hears is written out for the tests to read."""

import numpy as np
import streamlit as st
from fake_run import FakeRun

from vitviz.explain.round_map import map_coordinates, points_inside
from vitviz.figures.theme import cluster_colors
from vitviz.ui.components.image_grid import image_grid
from vitviz.ui.components.round_map import round_map
from vitviz.ui.routes import map_points, run_addresses

run = FakeRun()
addresses = run_addresses(run)
names = run.description().class_names
st.button("Run again")
if st.checkbox("Map", value=True):
    state = round_map(
        key="map",
        data_url=addresses.map,
        margin_url=addresses.margin,
        tile_url=addresses.tile,
        class_names=names,
        cluster_classes=[list(range(len(names)))] * run.num_rounds(),
        palette=cluster_colors(len(names)),
        class_palette=cluster_colors(len(names)),
        round=int(st.query_params.get("round", "0")),
        color_by=st.query_params.get("color", "cluster"),
        height=420,
    )
    ids = np.array([], int)
    if state.selection:
        places = map_coordinates(map_points(run))[state.selection["round"]]
        ids = np.flatnonzero(points_inside(places, np.array(state.selection["polygon"])))
    st.text("inside " + " ".join(map(str, ids)))
    st.text(f"picked {state.picked} at {state.picked_round}")
items = [{"id": index, "label": f"image {index}", "color": "#3f90da"} for index in range(300)]
picked = image_grid(key="grid", tile_url=addresses.tile, items=items)
st.text(f"grid {picked}")
image_grid(key="bare", tile_url=addresses.tile.replace("/fake/", "/other/"), items=items[:2])
first = st.session_state.get("first of the kin", 0)
if (kin := image_grid(key="kin", tile_url=addresses.tile, items=items[first : first + 5])) is not None:
    st.session_state["first of the kin"] = kin
    st.rerun()
