"""The photo that a page looks into: uploaded, from the camera, or one of those that are bundled."""

import numpy as np
import streamlit as st

from vitviz.data.photographs import find_photograph, list_photographs, open_photograph
from vitviz.errors import Problem
from vitviz.ui.choices import choose_from
from vitviz.ui.handed import hand_over, handed_over, let_go, remember
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.pickers import PickedImage, decode_given, pick_image

MAX_SIDE = 1024

OWN_PHOTO = "own_photo"
"""The button that leads to the uploader; the frame component listens to it, since a phone keeps the sidebar folded."""

_PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


def pick_photo(key: str) -> PickedImage:
    """The camera's picture, else the uploaded one, else that of ``?given=``, else the bundled one of ``?photo=``.

    The sidebar takes them; the page itself names the picture and has a button that leads there. Its long side has at most
    1,024 px. ``key`` is the page's: what was uploaded on one page is not on another, unless a link of :func:`link_to` hands
    it over.

    Raises: Problem for what is no picture.
    """
    row = st.container(horizontal=True, vertical_alignment="center")
    if "present" not in st.query_params:
        row.button(say("Your own photo"), key=OWN_PHOTO, icon=":material/add_a_photo:")
    with st.sidebar:
        chosen, own = _pick_bundled(), _pick_own(key)
        handed = handed_over() if own is None else None
        photo = own or handed
        if photo is not None:
            remember(own)
            for note in photo.notes:
                st.caption(say(note))
            row.caption(safe_label(photo.name))
            return photo
    if chosen is None:
        raise Problem("there is no photograph on this machine", "", "give a picture in the sidebar")
    found = find_photograph(chosen)
    row.caption(say(found.title))
    st.sidebar.caption(say(f"{found.title}. {found.credit}; from {_PACKAGES[found.package]}."))
    return bundled_photo(chosen)


def link_to(photo: PickedImage) -> dict[str, str]:
    """What a link to another page of photos has to say for it to show the same picture."""
    return dict(photo.address) or hand_over(photo)


def _pick_bundled() -> str | None:
    """The name of the photograph chosen among the bundled ones; None where there are none."""
    photos = {one.name: one for one in list_photographs()}
    look = {"key": "photo", "shown": lambda name: photos[name].title, "on_change": let_go}
    return choose_from("Photo", list(photos), **look) if photos else None


def _pick_own(key: str) -> PickedImage | None:
    """The picture that somebody gives on this page, the camera's before a file."""
    own = pick_image(key, max_side=MAX_SIDE, on_change=let_go)
    if st.toggle(say("Use the camera"), key="camera", on_change=let_go):
        look = {"key": f"{key}_camera", "label_visibility": "collapsed", "on_change": let_go}
        taken = st.camera_input(say("A picture from the camera"), **look)
        own = decode_given(taken.getvalue(), say("the camera's picture"), max_side=MAX_SIDE) if taken else own
    if own is not None:
        st.caption(say("Your own picture is shown: remove it to see the photograph chosen above."))
    return own


def bundled_photo(name: str) -> PickedImage:
    """A bundled photograph by its name. Raises: Problem when there is none."""
    return PickedImage(_photograph(name), find_photograph(name).title, (), f"bundled-{name}", {"photo": name})


@st.cache_resource(max_entries=16, show_spinner=False)
def _photograph(name: str) -> np.ndarray:
    return open_photograph(name, max_side=MAX_SIDE).pixels
