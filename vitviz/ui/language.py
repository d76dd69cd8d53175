"""The language the reader chose, and ``say``: what stands between every sentence of the interface and the screen."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import streamlit as st

from vitviz.errors import Problem
from vitviz.languages.phrases import LANGUAGES, phrase_book

KEY = "lang"


def pick_language() -> None:
    """The switch in the sidebar, bound to ``?lang=``; a browser that speaks one of the other languages begins with it."""
    names = list(LANGUAGES)
    wanted = (st.context.locale or "").partition("-")[0].upper()
    start = wanted if wanted in names else names[0]
    st.sidebar.segmented_control(
        "Language · 언어",
        names,
        default=start,
        required=True,
        key=KEY,
        bind="query-params",
        label_visibility="collapsed",
    )


def language() -> str:
    """The chosen language as in ``LANGUAGES``, English where none was chosen."""
    return LANGUAGES.get(st.session_state.get(KEY) or "EN", "en")


def say(text: Any) -> str:
    """``text`` in the chosen language. Numbers and names that are no phrase stay as they are."""
    return _said(language(), str(text))


def speaker() -> Callable[[Any], str]:
    """:func:`say` in the language chosen now, for what is called when no script runs."""
    chosen = language()
    return lambda text: _said(chosen, str(text))


def say_all(words: Iterable[str]) -> dict[str, str]:
    """English word to said word: what a component is given, since it cannot ask."""
    return {word: say(word) for word in words}


def say_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with its column names said; its cells stay."""
    return {say(name): column for name, column in table.items()}


def say_problem(problem: Problem) -> str:
    """One sentence: ``what: why; hint.``"""
    if not problem.why and not problem.hint:
        return say_told(problem.what)
    reason = f"{say(problem.what)}: {say(problem.why)}" if problem.why else say(problem.what)
    return f"{reason}; {say(problem.hint)}" if problem.hint else reason


def say_told(sentence: str) -> str:
    """A problem that another process told as one sentence, ``what: why; hint``: by its parts where they are known, else whole."""
    for mark in ("; ", ": "):
        for place in (found.start() for found in re.finditer(mark, sentence)):
            before, after = sentence[:place], sentence[place + len(mark) :]
            if mark == "; " and say(after) != after:
                return f"{say_told(before)}; {say(after)}"
            if mark == ": " and say(before) != before:
                return f"{say(before)}: {say_told(after)}"
    return say(sentence)


def say_figure(figure: Any) -> Any:
    """The plotly figure itself in English, else a copy with its titles, axes, legends, annotations and hover boxes said."""
    if language() == "en":
        return figure
    said = _say_within(figure.to_plotly_json())
    return type(figure)(said)


_SPOKEN = {
    "text",
    "name",
    "hovertemplate",
    "title",
    "ticktext",
    "hovertext",
    "labels",
    "label",
    "x",
    "y",
    "categoryarray",
}


def _say_within(value: Any, *, spoken: bool = False) -> Any:
    """Plain JSON with its texts said where a key of ``_SPOKEN`` leads to them."""
    if isinstance(value, dict):
        return {key: _say_within(one, spoken=key in _SPOKEN) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_say_within(one, spoken=spoken) for one in value]
    return _say_lines(value) if spoken and isinstance(value, str) else value


def _say_lines(text: str) -> str:
    return "<br>".join(say(line) for line in text.split("<br>"))


@lru_cache(maxsize=20_000)
def _said(chosen: str, text: str) -> str:
    return text if chosen == "en" else phrase_book(chosen).say(text)
