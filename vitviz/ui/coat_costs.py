"""What clustering costs and saves: the four statements, multiply-adds by part, break-even, and times measured here."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vitviz.explain.coat_costs import CLUSTERED, PARTS, blocks_of, break_even, core_lines, count_parts, stage_grids
from vitviz.figures import coat as figures
from vitviz.ui import coat_words as words
from vitviz.ui import run_views
from vitviz.ui.choices import choose
from vitviz.ui.coat_sources import Shown, computed
from vitviz.ui.language import say, say_keys
from vitviz.ui.problems import shown_problems

if TYPE_CHECKING:
    from vitviz.explain.coat_costs import CoatMacs
    from vitviz.explain.coat_images import GroupCounts
    from vitviz.nn.coat_block import Clustering

_SECONDS = 3.0
_POWERS = tuple(2**power for power in range(1, 11))
_MEASURED = "coat_times"


@st.fragment
def show_costs(shown: Shown) -> None:
    """The headline in words, then the numbers that it rests on."""
    with st.spinner(say("Counting multiply-adds …")):
        variants, counts = computed("macs", shown, lambda: _variants(shown))
    for text in words.headline(variants):
        st.markdown(f"- {say(text)}")
    height, width = shown.look.fed.shape[:2]
    st.caption(words.caption(shown, words.COMPUTED))
    left, right = st.columns((3, 2), gap="medium")
    with left:
        st.subheader(say("Multiply-adds by part"))
        bars = {name: macs.parts for name, macs in variants.items()}
        run_views.chart(figures.mac_bars(bars, size=f"{width} x {height} px"), key="coat_macs")
        _shares(variants)
    with right:
        stage = choose("Stage", (1, 2, 3, 4), key="stage")
        _lines(shown, stage, counts)
        _times(shown, stage)
    st.subheader(say("Where clustering begins to pay"))
    rows = break_even(shown.network.model, height, width, _clustered(shown))
    st.table(
        [_said(words.break_even_row(one, _in_stage(counts, one.stage))) for one in rows],
        hide_index=True,
        border="horizontal",
        alt=say("break-even of the four stages"),
    )
    st.caption(say(words.BREAK_EVEN))


def _variants(shown: Shown) -> tuple[dict[str, "CoatMacs"], dict[str, "GroupCounts"]]:
    """The five ways, each with the prototypes that it has of this picture; and these prototypes, of queries and MLP."""
    from vitviz.explain.coat_images import counts_of
    from vitviz.nn.coat_block import UNCLUSTERED

    model, size, clustering = shown.network.model, shown.look.fed.shape[:2], _clustered(shown)
    mlp = replace(UNCLUSTERED, mlp_stages=(1, 2), mlp_grouping=clustering.mlp_grouping)
    full = replace(UNCLUSTERED, attention=("full softmax", "full softmax", "unclustered", "unclustered"))

    def count(asked: "Clustering", of: str) -> "GroupCounts":
        feed = shown.network.preprocessing
        return counts_of(model, shown.look.fed[None], asked, of=of, preprocessing=feed)

    macs, counts = {words.OWN: count_parts(model, *size, UNCLUSTERED)}, {}
    for kind in ("factorised", "softmax"):
        asked = replace(clustering, attention=(kind, kind, "unclustered", "unclustered"), mlp_stages=())
        counts[kind] = count(asked, "queries")
        macs[f"queries, {kind}"] = count_parts(model, *size, asked, prototypes=counts[kind].counts[0].tolist())
    macs["full softmax"] = count_parts(model, *size, full)
    counts["mlp"] = count(mlp, "mlp")
    macs["MLP clustered (ours)"] = count_parts(model, *size, mlp, mlp_prototypes=counts["mlp"].counts[0].tolist())
    return macs, counts


def _clustered(shown: Shown) -> "Clustering":
    """As chosen, or by the defaults where no queries are clustered."""
    from vitviz.nn.coat_block import Clustering

    has_queries = set(CLUSTERED) & set(shown.clustering.attention)
    if has_queries and shown.clustering.mlp_stages:
        return shown.clustering
    usual = Clustering()
    if has_queries:
        return replace(shown.clustering, mlp_grouping=usual.mlp_grouping)
    return replace(shown.clustering, grouping=usual.grouping, mlp_grouping=shown.clustering.mlp_grouping)


def _shares(variants: Mapping[str, "CoatMacs"]) -> None:
    """The share of every part in numbers."""
    rows = [
        {
            "part": part.replace("^T", "ᵀ"),
            **{
                name: f"{macs.parts[part] / macs.total:.1%}" if part in macs.parts else "–"
                for name, macs in variants.items()
            },
        }
        for part in PARTS
        if any(part in macs.parts for macs in variants.values())
    ]
    rows.append({"part": "all, million", **{name: f"{macs.total / 1e6:,.0f}" for name, macs in variants.items()}})
    with st.expander(say("The same in numbers"), expanded=True):
        about = say("share of every part of the multiply-adds")
        st.table([_said(row) for row in rows], hide_index=True, border="horizontal", alt=about)


def _lines(shown: Shown, stage: int, counts: Mapping[str, "GroupCounts"]) -> None:
    """What the four cores cost at every number of prototypes, with this picture's marked."""
    number, shape = _sizes(shown, stage)
    at = np.unique(np.geomspace(1, number, 60))
    lines = core_lines(at.tolist(), _clustered(shown).grouping, num_tokens=number, **shape)
    own = _means(counts["factorised"], stage)
    current = float(np.mean(own)) if own else None
    run_views.chart(figures.core_lines(at, lines, num_tokens=number, current=current), key="coat_lines")
    st.caption(say(words.lines_caption(stage, current)))


@st.fragment
def _times(shown: Shown, stage: int) -> None:
    """Milliseconds of the four cores, measured when asked for."""
    number, shape = _sizes(shown, stage)
    clusters = st.select_slider(
        say("Prototypes to measure with"), _POWERS, value=64, key="clusters", bind="query-params"
    )
    asked = (number + 1, min(clusters, 2 ** (number.bit_length() - 1)), *shape.values())
    if st.button(say("Time the four cores here"), icon=":material/speed:"):
        with shown_problems():
            _measure(asked)
    kept = st.session_state.get(_MEASURED, {}).get(asked)
    if kept is None:
        st.caption(say(words.NOT_MEASURED))
        return
    run_views.chart(figures.core_times(kept.cores, about=words.times_about(kept)), key="coat_times")
    st.markdown(say(words.times_sentence(kept)))
    st.caption(say(words.TIMES.format(seconds=round(_SECONDS))))


def _measure(asked: tuple[int, ...]) -> None:
    """Measure and keep the result for this session; says so where somebody else's measurement is under way."""
    from vitviz.explain.coat_times import time_cores

    lock = _measuring()
    if not lock.acquire(blocking=False):
        st.warning(say(words.BUSY))
        return
    try:
        with st.spinner(say("Measuring …"), show_time=True):
            num_tokens, num_clusters, num_heads, head_dim = asked
            found = time_cores(num_tokens, num_clusters, num_heads=num_heads, head_dim=head_dim, seconds=_SECONDS)
        st.session_state[_MEASURED] = {**st.session_state.get(_MEASURED, {}), asked: found}
    finally:
        lock.release()


@st.cache_resource(show_spinner=False)
def _measuring() -> threading.Lock:
    """Held while this process measures: two at a time would measure each other."""
    return threading.Lock()


def _sizes(shown: Shown, stage: int) -> tuple[int, dict[str, int]]:
    """Tokens of a stage, CLS not among them, and its heads: how many and how wide."""
    rows, columns = stage_grids(shown.network.model, *shown.look.fed.shape[:2])[stage - 1]
    attention = blocks_of(shown.network.model, stage)[0].factoratt_crpe
    width = attention.proj.in_features // attention.num_heads
    return rows * columns, {"num_heads": attention.num_heads, "head_dim": width}


def _means(counts: "GroupCounts", stage: int) -> Sequence[float]:
    """Of this picture, the prototypes of every block of a stage."""
    return [
        float(one)
        for name, one in zip(counts.names, counts.counts[0], strict=True)
        if name.startswith(f"stage {stage},")
    ]


def _in_stage(counts: Mapping[str, Any], stage: int) -> str:
    """Prototypes of this picture in a stage, in words: of queries, and of tokens before the MLP."""
    own = [_means(counts[kind], stage) for kind in ("factorised", "mlp")]
    return f"{np.mean(own[0]):,.0f}; MLP {np.mean(own[1]):,.0f}" if all(own) else "not clustered"


def _said(row: Mapping[str, str]) -> dict[str, str]:
    """A row of a table with its names and its words said."""
    return say_keys({name: say(cell) for name, cell in row.items()})
