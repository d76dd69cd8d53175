"""Choices among words: said in the reader's language, kept in the address in English, so that a link means the same to everybody.

A widget bound by Streamlit writes what it shows. These show a word in one language and write it in another, so they look after
``?key=`` themselves: a value that comes by the address (a link, Back, Forward) is taken over, a value chosen is written. And on
the way from page to page Streamlit drops what a widget of the page before was bound to, the link's own value too; what links
carry (run, round, image, timm model) is therefore chosen by these.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from vitviz.ui.language import say, speaker

PAGE = "page now"
"""In the session's state, the page that is drawn; kept by the router."""


def choose(title: str, options: Sequence[Any], *, key: str, **look: Any) -> Any:
    """One of the options, the first to begin with, as buttons in a row; ``look`` goes to ``st.segmented_control``."""
    start = None if key in st.session_state or key in st.query_params else options[0]
    return _choose(st.segmented_control, title, options, key, 0, required=True, default=start, **look)


def choose_from(title: str, options: Sequence[Any], *, key: str, index: int = 0, **look: Any) -> Any:
    """One of the options, that at ``index`` to begin with, out of a list; ``look`` goes to ``st.selectbox``.

    ``shown``: option -> the English words for it, itself when not given; the address has the option.
    """
    return _choose(st.selectbox, title, options, key, index, **look)


def choose_name(title: str, names: Sequence[str], *, key: str, index: int = 0, **look: Any) -> str:
    """One of the names, that at ``index`` to begin with, out of a list; a name is shown as it is in every language."""
    return _choose(st.selectbox, title, names, key, index, speak=str, **look)


def choose_stop(title: str, stops: Sequence[int], *, key: str) -> int:
    """One of the numbers, the last to begin with, on a slider."""
    return _choose(st.select_slider, title, stops, key, len(stops) - 1, speak=str)


def choose_number(title: str, low: int, high: int, *, key: str, first: int, help: str) -> int:
    """A whole number from ``low`` to ``high``, ``first`` to begin with."""
    asked, chosen = st.query_params.get(key), st.session_state.get(key)
    if _is_news(key) or chosen is None or not low <= chosen <= high:
        is_known = asked is not None and asked.isascii() and asked.isdigit() and len(asked) < 10
        st.session_state[key] = int(asked) if is_known and low <= int(asked) <= high else first
    _note(key)
    remember = functools.partial(_remember, key, first)
    return st.number_input(say(title), low, high, key=key, on_change=remember, help=say(help))


def begin_with(key: str, value: Any) -> None:
    """In a callback: the choice under ``key`` is its first option again, ``value``, and the address says nothing of it."""
    st.session_state[key] = value
    _write(key, None, value)


def _choose(
    widget: Callable[..., Any], title: str, options: Sequence[Any], key: str, index: int, *, speak=None, **look: Any
) -> Any:
    first, on_change = options[index], look.pop("on_change", None)
    _take_over(key, options, first)

    def remember() -> None:
        _remember(key, first)
        if on_change is not None:
            on_change()

    help_text, shown = look.pop("help", None), look.pop("shown", str)
    look |= {"on_change": remember, "help": help_text and say(help_text)}
    speak = speak or speaker()
    chosen = widget(say(title), options, key=key, format_func=lambda option: speak(shown(option)), **look)
    return first if chosen is None else chosen


def _take_over(key: str, options: Sequence[Any], first: Any) -> None:
    """Before the widget is made: the value of the address where it is another than the one last seen, else what was chosen."""
    asked, chosen = st.query_params.get(key), st.session_state.get(key)
    known = {str(option): option for option in options}
    is_told = asked is not None or chosen is not None
    if (_is_news(key) and is_told) or (chosen is not None and chosen not in options):
        st.session_state[key] = known.get(asked, first)
    elif chosen is None and first != options[0]:
        st.session_state[key] = first
    _note(key)


def _is_news(key: str) -> bool:
    """Whether the address says another value of ``key`` than was last seen, or to another page, whose widget is a new one."""
    return st.session_state.get(f"{key} in the address") != (st.session_state.get(PAGE), st.query_params.get(key))


def _note(key: str) -> None:
    st.session_state[f"{key} in the address"] = (st.session_state.get(PAGE), st.query_params.get(key))


def _remember(key: str, first: Any) -> None:
    _write(key, st.session_state.get(key), first)


def _write(key: str, value: Any, first: Any) -> None:
    if value is None or value == first:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = str(value)
    _note(key)
