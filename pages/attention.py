"""The page of attention: what a vision transformer looks at, layer by layer, and what its answer comes from."""

import streamlit as st

from vitviz.ui import attention_words as words
from vitviz.ui.attention_flows import show_flow
from vitviz.ui.attention_maps import show_attention
from vitviz.ui.attention_pairs import show_pair
from vitviz.ui.attention_sources import Shown, feed, pick_framing, pick_network
from vitviz.ui.attention_tokens import show_lens, show_patches
from vitviz.ui.attributions import show_attribution
from vitviz.ui.choices import choose
from vitviz.ui.language import say
from vitviz.ui.problems import shown_problems
from vitviz.ui.run_networks import pick_picture

VIEWS = {
    "Attention": show_attention,
    "Through layers": show_flow,
    "Attribution": show_attribution,
    "Patches": show_patches,
    "Logit lens": show_lens,
    "Side by side": show_pair,
}


def main() -> None:
    st.title(say("Attention"))
    st.caption(say(words.INTRO))
    view = choose("View", list(VIEWS), key="view", label_visibility="collapsed")
    with shown_problems():
        with st.sidebar:
            network = pick_network()
        if network is None:
            return
        shown = feed(pick_picture(network.run, "attention"), network, pick_framing(network))
        _describe(shown)
        VIEWS[view](shown)


def _describe(shown: Shown) -> None:
    """The network and its tokens in one line, and loudly what must not be mistaken for something learned."""
    opened = shown.network.opened
    tokens = str(shown.layout) if shown.layout else f"no grid of patches: {shown.no_grid}"
    st.caption(say(words.network_caption(opened.label, tokens)))
    if not opened.is_trained:
        st.warning(say(words.UNTRAINED), icon=":material/warning:")


main()
