"""Choices among words: said in the reader's language, kept in the address in English, so that a link means the same to everybody.

A widget bound by Streamlit writes what it shows. These show a word in one language and write it in another, so they look after
``?key=`` themselves: a value that comes by the address (a link, Back, Forward) is taken over, a value chosen is written.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from vitviz.ui.language import say, speaker


def choose(title: str, options: Sequence[Any], *, key: str, **look: Any) -> Any:
    """One of the options, the first to begin with, as buttons in a row; ``look`` goes to ``st.segmented_control``."""
    start = None if key in st.session_state or key in st.query_params else options[0]
    return _choose(st.segmented_control, title, options, key, 0, required=True, default=start, **look)


def choose_from(title: str, options: Sequence[Any], *, key: str, index: int = 0, **look: Any) -> Any:
    """One of the options, that at ``index`` to begin with, out of a list; ``look`` goes to ``st.selectbox``.

    ``shown``: option -> the English words for it, itself when not given; the address has the option.
    """
    return _choose(st.selectbox, title, options, key, index, **look)


def begin_with(key: str, value: Any) -> None:
    """In a callback: the choice under ``key`` is its first option again, ``value``, and the address says nothing of it."""
    st.session_state[key] = value
    _write(key, None, value)


def _choose(widget: Callable[..., Any], title: str, options: Sequence[Any], key: str, index: int, **look: Any) -> Any:
    first, on_change = options[index], look.pop("on_change", None)
    _take_over(key, options, first)

    def remember() -> None:
        _write(key, st.session_state.get(key), first)
        if on_change is not None:
            on_change()

    help_text, shown = look.pop("help", None), look.pop("shown", str)
    look |= {"on_change": remember, "help": help_text and say(help_text)}
    speak = speaker()
    chosen = widget(say(title), options, key=key, format_func=lambda option: speak(shown(option)), **look)
    return first if chosen is None else chosen


def _take_over(key: str, options: Sequence[Any], first: Any) -> None:
    """Before the widget is made: the value of the address where it is another than the one last seen, else what was chosen."""
    asked, seen = st.query_params.get(key), f"{key} in the address"
    known = {str(option): option for option in options}
    is_news, chosen = asked != st.session_state.get(seen), st.session_state.get(key)
    if is_news or (chosen is not None and chosen not in options):
        st.session_state[key] = known.get(asked, first)
    elif chosen is None and first != options[0]:
        st.session_state[key] = first
    st.session_state[seen] = asked


def _write(key: str, value: Any, first: Any) -> None:
    seen = f"{key} in the address"
    if value is None or value == first:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = str(value)
    st.session_state[seen] = st.query_params.get(key)
