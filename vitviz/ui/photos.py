"""The photo that a page looks into: uploaded, from the camera, or one of those that are bundled."""

import numpy as np
import streamlit as st

from vitviz.data.photographs import find_photograph, list_photographs, open_photograph
from vitviz.errors import Problem
from vitviz.ui.pickers import PickedImage, decode_given, pick_image

MAX_SIDE = 1024

_PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


def pick_photo(key: str) -> PickedImage:
    """The uploaded picture, else the camera's, else the bundled one of ``?photo=``; its long side at most 1,024 px.

    ``key`` is the page's: what was uploaded on one page is not on another.

    Raises: Problem for what is no picture.
    """
    photos = {one.name: one for one in list_photographs()}
    with st.sidebar:
        chosen = st.selectbox("Photo", list(photos), key="photo", bind="query-params") if photos else None
        given = pick_image(key, max_side=MAX_SIDE)
        if st.toggle("Use the camera", key="camera"):
            taken = st.camera_input("A picture from the camera", key=f"{key}_camera", label_visibility="collapsed")
            given = decode_given(taken.getvalue(), "the camera's picture", max_side=MAX_SIDE) if taken else given
        if given is not None:
            for note in given.notes:
                st.caption(note)
            return given
    if chosen is None:
        raise Problem("there is no photograph on this machine", "", "give a picture in the sidebar")
    found = find_photograph(chosen)
    st.sidebar.caption(f"{found.title}. {found.credit}; from {_PACKAGES[found.package]}.")
    return bundled_photo(chosen)


def bundled_photo(name: str) -> PickedImage:
    """A bundled photograph by its name. Raises: Problem when there is none."""
    return PickedImage(_photograph(name), find_photograph(name).title, (), f"bundled-{name}")


@st.cache_resource(max_entries=16, show_spinner=False)
def _photograph(name: str) -> np.ndarray:
    return open_photograph(name, max_side=MAX_SIDE).pixels
