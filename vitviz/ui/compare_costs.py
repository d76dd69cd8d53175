"""Pieces of the page that compares: how large the variants are, and how fast, measured on this machine when asked for."""

import threading
from collections.abc import Sequence

import streamlit as st

from vitviz.explain.paper_claims import COMPARISONS, Comparison, PaperRow
from vitviz.figures import comparison as figures
from vitviz.ui import compare_words as words
from vitviz.ui import run_views
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_keys

_SECONDS = 18
_BATCH = 2  # small, so that many turns fit into the time
_MEASURED = "compare_throughput"


def sizes(comparison: Comparison) -> None:
    """How large the rows are at the paper's size, beside what the paper claims."""
    with st.spinner(say("Building the models …")):
        counted = _count_sizes(comparison.key) if comparison.key in COMPARISONS else ()
    known = [(row, size) for row, size in zip(comparison.rows, counted, strict=True) if size is not None]
    if not known:
        return
    st.header(say("Size, built as printed"))
    tabulate, caption = _TABLES[comparison.method]
    table = {"row": [safe_label(say(row.title)) for row, _ in known], **tabulate(*zip(*known, strict=True))}
    st.table(say_keys(table), hide_index=True, border="horizontal", alt=say("sizes of the models, row by row"))
    st.caption(say(caption))


@st.fragment
def throughput(comparison: Comparison) -> None:
    """Images a second at t = 1 to 4, measured when asked for, beside what the paper claims."""
    claimed = [row for row in comparison.rows if row.images_per_second is not None]
    if not claimed:
        return
    st.header(say("Speed, measured here"))
    if st.button(say(f"Measure for about {_SECONDS} seconds"), icon=":material/speed:"):
        _measure([row.options["num_iterations"] for row in claimed])
    measured = st.session_state.get(_MEASURED)
    if measured is None:
        rates = ", ".join(f"{row.title}: {row.images_per_second:.0f}" for row in claimed)
        st.caption(say(f"Nothing is measured yet. The paper claims, in images a second: {rates}."))
        return
    run_views.chart(
        figures.relative_throughput(
            [row.title for row in claimed],
            measured=[one.images_per_second for one in measured],
            spreads=[one.spread for one in measured],
            claimed=[row.images_per_second for row in claimed],
        ),
        key="throughput",
    )
    st.caption(say(words.speed_sentence(claimed, measured)))
    st.caption(say(words.THROUGHPUT.format(seconds=_SECONDS, batch=_BATCH)))


def _classifiers(rows: Sequence[PaperRow], counted: Sequence) -> dict[str, list[str]]:
    claims = [row.embedding_parameters for row in rows]
    table = {}
    if any(claims):
        table["embedding, the paper's claim (Table 1)"] = [
            say("no claim") if one is None else f"{one / 1e6:.2f} M" for one in claims
        ]
    table["embedding, parameters"] = [f"{one.embedding_parameters:,}" for one in counted]
    table["whole model, parameters"] = [f"{one.parameters:,}" for one in counted]
    table["embedding, multiply-adds"] = [f"{one.embedding_macs / 1e6:,.1f} M" for one in counted]
    table["whole model, multiply-adds"] = [f"{one.macs / 1e9:.3f} G" for one in counted]
    return table


def _autoencoders(rows: Sequence[PaperRow], counted: Sequence) -> dict[str, list[str]]:
    return {
        "encoder": [f"{one.encoder:,}" for one in counted],
        "gate": [f"{one.gate:,}" if one.gate else say("none") for one in counted],
        "decoder": [f"{one.decoder:,}" for one in counted],
        "Z": [f"{one.latent_dim:,}" for one in counted],
    }


_TABLES = {
    "supertokens": (_classifiers, words.SIZES),
    "subspace": (_autoencoders, words.AUTOENCODER_SIZES),
}


def _measure(iterations: Sequence[int]) -> None:
    """Measure and keep the result for this session; says so where somebody else's measurement is under way."""
    from vitviz.explain.embedding_costs import measure_throughput

    lock = _measuring()
    if not lock.acquire(blocking=False):
        st.warning(say("Another measurement is under way on this machine. Try again in a moment."))
        return
    try:
        with st.spinner(say("Measuring …"), show_time=True):
            st.session_state[_MEASURED] = measure_throughput(iterations=iterations, batch_size=_BATCH, seconds=_SECONDS)
    finally:
        lock.release()


@st.cache_resource(show_spinner=False)
def _measuring() -> threading.Lock:
    """Held while this process measures: two at a time would measure each other."""
    return threading.Lock()


@st.cache_resource(show_spinner=False, max_entries=32)
def _count_sizes(key: str) -> tuple:
    """The sizes of a table's rows, counted once a process: they depend on nothing but the code."""
    from vitviz.explain.paper_sizes import count_autoencoder, count_size

    count = {"supertokens": count_size, "subspace": count_autoencoder, "coat": count_size}[COMPARISONS[key].method]
    return tuple(count(row) for row in COMPARISONS[key].rows)
