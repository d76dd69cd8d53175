"""Pictures that somebody gave, kept on the server for a while, so that a link, a reload or another page shows them again."""

import threading
from collections import OrderedDict

import streamlit as st

from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.pickers import PickedImage, pick_image

MAX_BYTES = 256 * 2**20
"""Of decoded pixels, for all visitors together: some 100 photos of 1,024 x 768. The one used longest ago goes first."""

_REMEMBERED = "given remembered"


def pick_given(key: str) -> PickedImage | None:
    """The uploaded picture, else that of ``?given=``; None without either. Raises: Problem for what is no picture."""
    own = pick_image(key, on_change=let_go)
    remember(own)
    return own or handed_over()


def hand_over(picture: PickedImage) -> dict[str, str]:
    """What a link has to say for a page to show ``picture``: the hash of its content, which only those who have either know."""
    handed, lock = _shelf()
    with lock:
        handed[picture.key] = picture
        handed.move_to_end(picture.key)
        while sum(one.pixels.nbytes for one in handed.values()) > MAX_BYTES and len(handed) > 1:
            handed.popitem(last=False)
    return {"given": picture.key}


def remember(own: PickedImage | None) -> None:
    """Put a picture just given on this page into the address, so that a reload and another window have it still.

    Once for each picture: who goes back to before it is not held there.
    """
    if own is None:
        return
    link = hand_over(own)
    if st.session_state.get(_REMEMBERED) != own.key:
        st.query_params.update(link)
        st.session_state[_REMEMBERED] = own.key


def let_go() -> None:
    """Another picture was chosen or one taken away: what the address hands over no longer counts."""
    st.query_params.pop("given", None)
    st.session_state.pop(_REMEMBERED, None)


def handed_over() -> PickedImage | None:
    """The picture of ``?given=``; None without one, and when it is no longer here, which is said."""
    key = st.query_params.get("given")
    if not key:
        return None
    handed, lock = _shelf()
    with lock:
        picture = handed.get(key)
        if picture is not None:
            handed.move_to_end(key)
    if picture is None:
        st.caption(say("The picture of this link is no longer on the server: upload it again."))
        return None
    st.caption(
        say(f"{safe_label(picture.name)}, from another page or from before. Upload or choose another to let it go.")
    )
    return picture


@st.cache_resource(show_spinner=False)
def _shelf() -> tuple[OrderedDict[str, PickedImage], threading.Lock]:
    return OrderedDict(), threading.Lock()
