"""Attention through all layers at once: rollout, and relevance for one score, beside the last layer alone."""

from typing import TYPE_CHECKING

import streamlit as st

from vitviz.ui import attention_words as words
from vitviz.ui.attention_canvas import heat_of, show_heat, take_away
from vitviz.ui.attention_queries import Query, look, pick_query, pinned_patch
from vitviz.ui.attention_sources import Shown
from vitviz.ui.attention_targets import Asked, pick_target
from vitviz.ui.choices import choose, choose_from
from vitviz.ui.faithfulness import show_faithfulness
from vitviz.ui.language import say
from vitviz.ui.pins import remember_pin
from vitviz.ui.results import computed

if TYPE_CHECKING:
    from vitviz.explain.attention_flow import Flow

CANVAS, LAST = "attention_flow", "attention_last"
KINDS = ("rollout", "relevance")
FUSIONS = ("mean", "max", "min")


@st.fragment
def show_flow(shown: Shown) -> None:
    """The flow to one token, the control beside it, and whether the places it names count for the answer."""
    from vitviz.explain.attention_flow import flow_row

    layout = shown.needs_grid()
    kind = choose("Method", KINDS, key="flow")
    asked = None
    if kind == "relevance":
        asked = pick_target(shown)
        flow = _relevance(shown, asked)
    else:
        flow = _rollout(shown)
    query = pick_query(layout, pinned_patch(CANVAS, shown))
    row = flow_row(flow, query)
    heat = heat_of(row.map, "rollout" if kind == "rollout" else "relevance")
    left, right = st.columns(2, gap="medium")
    with left:
        state = show_heat(
            shown, heat, key=CANVAS, alt=f"{shown.picture.name}: {kind} of the token {row.query}", max_pins=1
        )
        st.caption(say(f"{words.flow_caption(flow, row)} {words.FLOW[kind]}"))
        take_away(shown, heat, f"{flow.recipe}; for the token {row.query}", name=kind)
    with right:
        _show_last_layer(shown, query)
    show_faithfulness(shown, row.map, asked, about=f"{kind}-{flow.recipe}-{row.query}")
    remember_pin(state.pins)


def _rollout(shown: Shown) -> "Flow":
    with st.container(horizontal=True, vertical_alignment="bottom"):
        fusion = choose_from("Heads", FUSIONS, key="fusion", help=words.FUSION, width=130)
        discard = st.slider(
            say("Discarded, %"), 0, 95, 0, 5, key="discard", bind="query-params", help=say(words.DISCARD), width=220
        )
        kept = st.slider(
            say("Kept of itself, %"),
            0,
            100,
            50,
            5,
            key="kept",
            bind="query-params",
            help=say(words.RESIDUAL),
            width=220,
        )

    def make() -> "Flow":
        from vitviz.explain.attention_flow import rollout

        settings = {"fusion": fusion, "discard_ratio": discard / 100, "residual": kept / 100}
        return rollout(shown.network.opened.model, shown.images()[0], **settings)

    with st.spinner(say("Multiplying all layers …")):
        return computed("rollout", shown.key, make, fusion, discard, kept, is_large=True)


def _relevance(shown: Shown, asked: Asked) -> "Flow":
    def make() -> "Flow":
        from vitviz.explain.attention_relevance import relevance

        return relevance(shown.network.opened.model, shown.images()[0], asked.of_relevance)

    with st.spinner(say("Weighting attention by the gradient …")):
        return computed("relevance", shown.key, make, asked.name, is_large=True)


def _show_last_layer(shown: Shown, query: Query) -> None:
    """The last layer that has such a map, mean of its heads, for the same token."""
    from vitviz.explain.attention import fuse

    bird = look(shown, query)
    row, num_layers = bird.rows[-1], len(bird.rows) + len(bird.left_out)
    heat = heat_of(fuse(row.maps), "attention")
    show_heat(shown, heat, key=LAST, alt=f"{shown.picture.name}: attention of the last layer")
    st.caption(say(f"Layer{words.layer_words(row.layer, num_layers)[5:]}, query {row.query}. {words.LAST_LAYER}"))
