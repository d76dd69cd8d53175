"""Presenter mode: the page in large type without sidebar and header, and arrow keys for the steps of a lesson."""

import streamlit as st

from vitviz.ui.components.assets import read_assets

_component = st.components.v2.component("vitviz.presenter", js=read_assets("dom.js", "presenter.js"))


def presenter(*, key: str, presenting: bool, step: str = "") -> str | None:
    """``next``, ``back`` or ``leave`` when such a key was just pressed while ``presenting``, else None.

    Arrow keys and Page Up / Page Down step, Escape leaves; not while a text, a slider or a map has the focus.
    On a wide screen the panel of a lesson stands beside the page, which begins at its view at every new ``step``.
    """
    return _component(
        key=key, data={"presenting": presenting, "step": step}, on_pressed_change=lambda: None, height=1
    ).pressed
