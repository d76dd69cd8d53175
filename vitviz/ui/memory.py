"""Keep the garbage collector away from what will never be garbage."""

import gc

import streamlit as st


@st.cache_resource(show_spinner=False)
def settle_memory() -> None:
    """Once a process, after torch is in: take all objects there are out of the collector's reach.

    Streamlit collects garbage after every rerun, over every live object; torch brings some 400,000 that live for ever.
    Freezing them cut the CPU of a rerun to about a third. Called again it would pin what sessions hold, hence the cache.
    """
    gc.collect()
    gc.freeze()
