"""What a page has computed, kept for all sessions under the key of all it depends on. Shared, so read-only."""

import threading
from collections.abc import Callable
from typing import Any

import streamlit as st

_lock = threading.Lock()  # two cores: a class that opens the page together computes one after the other


def cached(name: str, key: str, make: Callable[[], Any], *more: Any) -> Any:
    """``make()`` kept under ``name``, ``key`` and whatever else it depends on."""
    return _kept(name, key, repr(more), _make=make)


def computed(name: str, key: str, make: Callable[[], Any], *more: Any, is_large: bool = False) -> Any:
    """As :func:`cached`, for what takes the processor: one at a time in this process.

    ``is_large``: it may have tens of megabytes, so only the last few of such are kept.
    """

    def make_alone() -> Any:
        with _lock:
            return make()

    return (_kept_large if is_large else _kept)(name, key, repr(more), _make=make_alone)


@st.cache_resource(max_entries=96, show_spinner=False)
def _kept(name: str, key: str, more: str, _make: Callable[[], Any]) -> Any:
    return _make()


@st.cache_resource(max_entries=6, show_spinner=False)
def _kept_large(name: str, key: str, more: str, _make: Callable[[], Any]) -> Any:
    return _make()
