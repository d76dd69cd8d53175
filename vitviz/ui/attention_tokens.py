"""The tokens of one picture after any block: coloured by their main directions, compared with one of them, read as an answer."""

import numpy as np
import streamlit as st

from vitviz.figures import attention as figures
from vitviz.ui import attention_words as words
from vitviz.ui import run_views
from vitviz.ui.attention_canvas import offer_files, read_pins, recipe_of, show_heat, signed_heat, take_away
from vitviz.ui.attention_sources import Shown
from vitviz.ui.choices import choose_from
from vitviz.ui.kept import encode_picture, keep
from vitviz.ui.language import say
from vitviz.ui.pins import remember_pin
from vitviz.ui.results import computed

PCA, SIMILAR = "attention_pca", "attention_similar"
FOREGROUNDS = ("all", "high", "low")


@st.fragment
def show_patches(shown: Shown) -> None:
    """Patch PCA as colours, and the likeness of every patch to a clicked one."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tokens = _pick_tokens(shown)
        foreground, cut = _pick_foreground()
    left, right = st.columns(2, gap="medium")
    with left:
        _show_pca(shown, tokens, foreground, cut)
    with right:
        _show_similarity(shown, tokens)


@st.fragment
def show_lens(shown: Shown) -> None:
    """What the network would answer after every block."""

    def make():
        from vitviz.explain.token_views import logit_lens

        return logit_lens(shown.network.opened.model, shown.images())

    with st.spinner(say("Reading every block …")):
        lens = computed("lens", shown.key, make)
    if not shown.network.opened.has_classifier:
        st.warning(say(words.NO_CLASSIFIER), icon=":material/warning:")
    wanted = np.unique(lens.classes)
    names = shown.network.opened.class_names
    named = {int(one): names[one] if names else f"class {one}" for one in wanted}
    left, right = st.columns((1, 3), gap="medium")
    with left:
        st.image(np.asarray(shown.fed), alt=say(shown.picture.name), caption=say("as it is fed"), width=224)
    with right:
        run_views.chart(figures.lens_table(lens, named), key="lens")
    st.caption(say(words.lens_caption(lens, named)))
    run_views.chart(figures.lens_curves(lens, named[int(lens.classes[-1, 0])]), key="lens_curves")
    st.caption(say(words.LENS_CURVES))
    with st.expander(say("Recipe"), icon=":material/content_copy:"):
        st.code(recipe_of(shown, "logit lens, top 5 after every block"), language=None, wrap_lines=True)


def _pick_tokens(shown: Shown):
    from vitviz.nn.block_outputs import block_names

    depth = len(block_names(shown.network.opened.model))
    block = depth - 1
    if depth > 1:
        block = st.slider(say("After block"), 0, depth - 1, depth - 1, key="block", bind="query-params", width=280)
    norm = st.toggle(say("Behind the final norm"), True, key="final_norm", bind="query-params")

    def make():
        from vitviz.explain.token_views import tokens_of

        return tokens_of(shown.network.opened.model, shown.images(), block, norm=norm)

    with st.spinner(say("Reading the tokens …")):
        return computed("tokens", shown.key, make, block, norm, is_large=True)


def _pick_foreground() -> tuple[str, float]:
    """Which side of the first component is kept, and where it is cut."""
    kept = choose_from("Keep of the PCA", FOREGROUNDS, key="keep", help=words.FOREGROUND, width=150)
    if kept == FOREGROUNDS[0]:
        return kept, 0.5
    return kept, st.slider(say("Cut at"), 0.0, 1.0, 0.5, 0.05, key="cut", bind="query-params", width=180)


def _show_pca(shown: Shown, tokens, foreground: str, cut: float) -> None:
    from vitviz.explain.token_views import patch_pca

    found = patch_pca(tokens, foreground="none" if foreground == FOREGROUNDS[0] else foreground, threshold=cut)
    side = [-(-length // cells) for length, cells in zip(shown.fed.shape, tokens.grid, strict=False)]
    enlarged = found.images[0].repeat(side[0], axis=0).repeat(side[1], axis=1)
    url = keep(*encode_picture(enlarged, exact=True))
    alt = f"{shown.picture.name}: patches coloured by three components"
    show_heat(shown, None, key=PCA, alt=alt, bases=[{"label": "Patch PCA", "url": url}], base=1)
    caption = words.pca_caption(tokens, found)
    st.caption(say(caption))
    offer_files(recipe_of(shown, caption), lambda: enlarged, found.images[0], name=f"patch-pca-block-{tokens.block}")


def _show_similarity(shown: Shown, tokens) -> None:
    from vitviz.explain.token_views import patch_similarity

    pins, heat, place = read_pins(SIMILAR, shown).pins, None, None
    if pins:
        rows, columns = tokens.grid
        place = min(int(pins[0][1] * rows), rows - 1), min(int(pins[0][0] * columns), columns - 1)
        heat = signed_heat(patch_similarity(tokens, *place), "cosine", 1.0)
    state = show_heat(shown, heat, key=SIMILAR, alt=f"{shown.picture.name}: likeness to one patch", max_pins=1)
    caption = words.SIMILARITY
    if place is not None:
        caption = f"{words.block_words(tokens)}: cosine with the patch at {words.patch_name(place)}."
    st.caption(say(caption))
    if heat is not None:
        take_away(shown, heat, caption, name=f"similarity-block-{tokens.block}")
    remember_pin(state.pins)
