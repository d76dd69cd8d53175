"""How far clustered attention is from exact attention: all methods beside each other, and what their knobs buy."""

import streamlit as st

from vitviz.figures import coat as figures
from vitviz.ui import coat_words as words
from vitviz.ui import run_views
from vitviz.ui.choices import choose, choose_from
from vitviz.ui.coat_sources import SOFTMAX, Shown, computed
from vitviz.ui.language import say

LEVELS = (2, 4, 6, 8)


@st.fragment
def show_errors(shown: Shown) -> None:
    """The methods at equal prototypes in one block, and their error over cost."""
    from vitviz.explain import coat_errors

    blocks = {block.name: index for index, block in enumerate(shown.look.blocks) if block.queries is not None}
    if not blocks:
        st.info(say(words.NO_QUERIES), icon=":material/hub:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose_from("Block", list(blocks), key="block", width=220)
        level = st.select_slider(
            say("Prototypes, as bits of sign"),
            LEVELS,
            value=6,
            key="level",
            bind="query-params",
            help=say(words.LEVEL),
            width=260,
        )
    index = blocks[name]
    with st.spinner(say("Grouping the queries seven ways …")):
        found = computed("errors", shown, lambda: coat_errors.errors(shown.look, index, num_bits=level), index, level)
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader(say("At equal prototypes"))
        run_views.chart(figures.error_bars(found), key="coat_errors")
        number = found[0].prototypes
        even = "" if shown.network.is_trained else words.ATTENTION_EVEN
        where = f"{name}, all heads, about {number:,.0f} prototypes a head"
        st.caption(words.caption(shown, f"{say(words.ERRORS)}{say(even)}", where))
    with right:
        st.subheader(say("Error over cost"))
        _curve(shown, index, name)


def _curve(shown: Shown, index: int, name: str) -> None:
    from vitviz.explain import coat_errors

    with st.container(horizontal=True):
        kinds = ("factorised", SOFTMAX) if shown.look.blocks[index].kind != SOFTMAX else (SOFTMAX, "factorised")
        kind = choose("Attention", kinds, key="form")
        against = choose("Over", ("macs", "prototypes"), key="against", help=words.AGAINST)
    with st.spinner(say("Turning the knobs …")):
        points = computed("curve", shown, lambda: coat_errors.quality_cost(shown.look, index), index)
    run_views.chart(figures.quality_cost(points, kind=kind, against=against), key="coat_curve")
    st.caption(words.caption(shown, words.CURVE, f"{name}, {kind}"))
