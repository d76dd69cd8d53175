"""The photo that a page looks into: uploaded, from the camera, or one of those that are bundled."""

import threading
from collections import OrderedDict

import numpy as np
import streamlit as st

from vitviz.data.photographs import find_photograph, list_photographs, open_photograph
from vitviz.errors import Problem
from vitviz.ui.choices import choose_from
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.pickers import PickedImage, decode_given, pick_image

MAX_SIDE = 1024

OWN_PHOTO = "own_photo"
"""The button that leads to the uploader; the frame component listens to it, since a phone keeps the sidebar folded."""

_BUNDLED, _REMEMBERED = "bundled-", "given remembered"
_MAX_HANDED = 16  # pictures of up to 3 MB
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
        handed = _handed_over() if own is None else None
        photo = own or handed
        if photo is not None:
            _remember(own)
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
    """What a link to another page of photos has to say for it to show the same picture.

    An uploaded one is kept for a while under the hash of its content, which only those who have it or the link know.
    """
    if photo.key.startswith(_BUNDLED):
        return {"photo": photo.key.removeprefix(_BUNDLED)}
    handed, lock = _shelf()
    with lock:
        handed[photo.key] = photo
        handed.move_to_end(photo.key)
        while len(handed) > _MAX_HANDED:
            handed.popitem(last=False)
    return {"given": photo.key}


def _pick_bundled() -> str | None:
    """The name of the photograph chosen among the bundled ones; None where there are none."""
    photos = {one.name: one for one in list_photographs()}
    look = {"key": "photo", "shown": lambda name: photos[name].title, "on_change": _let_go}
    return choose_from("Photo", list(photos), **look) if photos else None


def _pick_own(key: str) -> PickedImage | None:
    """The picture that somebody gives on this page, the camera's before a file."""
    own = pick_image(key, max_side=MAX_SIDE, on_change=_let_go)
    if st.toggle(say("Use the camera"), key="camera", on_change=_let_go):
        look = {"key": f"{key}_camera", "label_visibility": "collapsed", "on_change": _let_go}
        taken = st.camera_input(say("A picture from the camera"), **look)
        own = decode_given(taken.getvalue(), say("the camera's picture"), max_side=MAX_SIDE) if taken else own
    if own is not None:
        st.caption(say("Your own picture is shown: remove it to see the photograph chosen above."))
    return own


def _remember(own: PickedImage | None) -> None:
    """Put a picture just given on this page into the address, so that a reload and another window have it still.

    Once for each picture: who goes back to before it is not held there.
    """
    if own is None:
        return
    link = link_to(own)
    if st.session_state.get(_REMEMBERED) != own.key:
        st.query_params.update(link)
        st.session_state[_REMEMBERED] = own.key


def _let_go() -> None:
    """Another photograph was chosen or one taken away: what the address hands over no longer counts."""
    st.query_params.pop("given", None)
    st.session_state.pop(_REMEMBERED, None)


def _handed_over() -> PickedImage | None:
    """The picture of ``?given=``; None without one, and when it is no longer here, which is said."""
    key = st.query_params.get("given")
    if not key:
        return None
    photo = _shelf()[0].get(key)
    if photo is None:
        st.caption(say("The picture of this link is no longer on the server: upload it again."))
        return None
    st.caption(
        say(f"{safe_label(photo.name)}, from another page or from before. Upload or choose another to let it go.")
    )
    return photo


@st.cache_resource(show_spinner=False)
def _shelf() -> tuple[OrderedDict[str, PickedImage], threading.Lock]:
    return OrderedDict(), threading.Lock()


def bundled_photo(name: str) -> PickedImage:
    """A bundled photograph by its name. Raises: Problem when there is none."""
    return PickedImage(_photograph(name), find_photograph(name).title, (), f"{_BUNDLED}{name}")


@st.cache_resource(max_entries=16, show_spinner=False)
def _photograph(name: str) -> np.ndarray:
    return open_photograph(name, max_side=MAX_SIDE).pixels
