"""Pieces of the super-token page: the map with its card, the iterations, the reconstruction, and what can be taken away."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from vitviz.explain.canvas_layers import color_steps, label_at, pack_heat, pack_labels
from vitviz.explain.supertoken_tables import label_png, token_csv
from vitviz.explain.supertokens import (
    Health,
    TokenCard,
    at_pixels,
    explained_by,
    health,
    reconstruct,
    soft_share,
    token_card,
)
from vitviz.figures import supertokens as figures
from vitviz.figures.theme import CLUSTER_COLORS
from vitviz.ui import run_views
from vitviz.ui import supertoken_words as words
from vitviz.ui.attention_words import FRAMING
from vitviz.ui.components.image_canvas import CanvasState, image_canvas, read_canvas
from vitviz.ui.kept import encode_picture, keep
from vitviz.ui.language import say
from vitviz.ui.navigation import page
from vitviz.ui.pins import asked_pins, pin_text, remember_pin, write_address
from vitviz.ui.run_networks import link_to
from vitviz.ui.supertoken_sources import MAX_ITERATIONS, Shown, cached

BINARY = "application/octet-stream"
ID_TEXT = "super token {id}"
MAX_HEIGHT = 500


@dataclass(frozen=True)
class _Heat:
    """A pinned super token: its card, and where the browser finds its share of the pixels."""

    card: TokenCard
    url: str


@st.fragment
def show_map(shown: Shown) -> None:
    """The hard map, scrubbed over t; the super token under the pin with its share of the pixels and its card."""
    key, step, pins = "supertokens_map", asked_step(shown), asked_pins()
    state = read_canvas(key, follow=shown.key, pins=pins, step=step)
    left, right = st.columns((3, 2), gap="medium")
    heat = _heat(shown, state)
    with left:
        bases = [{"label": "Mean colour", "url": _rebuilt(shown, state.step, soft=False)}]
        _canvas(shown, key, state, heat=heat, bases=bases, pins=pins)
        st.caption(say(_map_caption(shown, state.step)))
    with right:
        if heat is None:
            _overview(shown, state.step)
        else:
            _card(shown, heat.card, state.step)
        take_away(shown, state.step)
        _to_attention(shown, state)
    _remember(shown, state)


@st.fragment
def show_iterations(shown: Shown) -> None:
    """How the clustering settles: the map to scrub, how far tokens move, and health over t."""
    key, step = "supertokens_steps", asked_step(shown)
    state = read_canvas(key, follow=shown.key, step=step)
    left, right = st.columns((1, 1), gap="medium")
    with left:
        _canvas(shown, key, state, max_pins=0)
        st.caption(say(_map_caption(shown, state.step)))
    with right:
        run_views.chart(figures.changes(shown.grouping.changes, step=state.step), key="supertoken_changes")
        st.caption(say(words.CHANGES))
        records = _health(shown)
        run_views.chart(figures.health(records, step=state.step), key="supertoken_health")
        st.caption(say(f"{words.HEALTH} {words.health_sentence(records[state.step], state.step)}"))
    _remember(shown, state)


@st.fragment
def show_reconstruction(shown: Shown) -> None:
    """The picture in one colour a super token, hard and soft, and how much of it that explains."""
    key, step = "supertokens_rebuilt", asked_step(shown)
    state = read_canvas(key, follow=shown.key, step=step)
    rebuilt = {soft: _rebuilt(shown, state.step, soft=soft) for soft in (False, True)}
    left, right = st.columns((3, 2), gap="medium")
    with left:
        bases = [{"label": "Hard", "url": rebuilt[False]}, {"label": "Soft", "url": rebuilt[True]}]
        _canvas(shown, key, state, bases=bases, base=1, mode="none", max_pins=0)
        st.caption(say(words.recipe_caption(shown.grouping.recipe, state.step, words.RECONSTRUCTION)))
    with right, st.container(horizontal=True):
        for name, soft in (("hard", False), ("soft", True)):
            value = _explained(shown, state.step, soft)
            st.metric(say(f"Explained variation, {name}"), f"{value:.3f}", border=True, help=say(words.EXPLAINED))
    _remember(shown, state)


def take_away(shown: Shown, step: int) -> None:
    """The label map at picture resolution and the tokens, as files."""
    name = f"super-tokens-t{step}"
    height, width = shown.photo.pixels.shape[:2]
    with st.container(horizontal=True):
        st.download_button(
            say("Labels as PNG"),
            lambda: label_png(at_pixels(shown.grouping.labels[step], height, width)),
            f"{name}.png",
            "image/png",
            icon=":material/download:",
            on_click="ignore",
            help=say("16 bits a pixel: the id of the super token, as large as the picture."),
        )
        st.download_button(
            say("Tokens as CSV"),
            lambda: token_csv(shown.photo.pixels, shown.grouping, step),
            f"{name}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _to_attention(shown: Shown, state: CanvasState) -> None:
    """The way to what this place of the picture attends to, in the network whose features were clustered."""
    pin = {"pin": pin_text(state.pins)} if state.pins else {}
    st.page_link(
        page("attention"),
        label=say("Open in attention"),
        icon=":material/visibility:",
        help=say(words.TO_ATTENTION),
        query_params={
            **shown.source.network,
            **link_to(shown.photo),
            "framing": FRAMING["squash"],
            **pin,
            "view": "Attention",
        },
    )


def asked_step(shown: Shown) -> int:
    """The iteration of ``?t=``, else the one that the source was made for."""
    text = st.query_params.get("t", "")
    known = text.isascii() and text.isdigit() and len(text) < 3
    return min(int(text), MAX_ITERATIONS) if known else shown.source.iterations


def photo_url(shown: Shown) -> str:
    """Where the browser finds the photo."""
    return keep(*cached("photo", shown, lambda: encode_picture(shown.photo.pixels)))


def labels_layer(shown: Shown, labels: np.ndarray, name: str) -> tuple[str, Sequence[int]]:
    """Where the browser finds maps (steps, rows, columns), and the colour of each id; kept under ``name``."""
    packed, colors = cached(
        name, shown, lambda: (pack_labels(labels), color_steps(labels, len(CLUSTER_COLORS)).tolist())
    )
    return keep(packed, BINARY), colors


def _canvas(
    shown: Shown,
    key: str,
    state: CanvasState,
    *,
    heat: _Heat | None = None,
    bases: Sequence[dict[str, str]] = (),
    base: int = 0,
    mode: str = "both",
    pins: Sequence[Sequence[float]] = (),
    max_pins: int = 1,
) -> None:
    height, width = shown.photo.pixels.shape[:2]
    labels_url, colors = labels_layer(shown, shown.grouping.labels, "map")
    image_canvas(
        key=key,
        photo_url=photo_url(shown),
        width=width,
        height=height,
        alt=f"{shown.photo.name}, {shown.source.label}, in super tokens",
        labels_url=labels_url,
        color_of_id=colors,
        id_text=ID_TEXT,
        heat_url=heat.url if heat else None,
        heat_title="share",
        heat_step=state.step,
        heat_hides_zero=True,
        heat_alpha=0.6,
        bases=bases,
        base=base,
        mode=mode,
        step=asked_step(shown),
        pins=pins,
        max_pins=max_pins,
        pin_stride=shown.grouping.cell_size,
        max_height=MAX_HEIGHT,
        follow=shown.key,
    )


def _heat(shown: Shown, state: CanvasState) -> _Heat | None:
    """What is pinned at the step that Python last heard of."""
    if not state.pins:
        return None
    x, y, _ = state.pins[0]
    cell = label_at(shown.grouping.labels[state.step], x, y)

    def make() -> tuple[TokenCard, bytes]:
        share = soft_share(shown.grouping, state.step, cell)
        return token_card(shown.grouping, shown.photo.pixels, state.step, cell), pack_heat(share.clip(0, 1))

    card, packed = cached("token", shown, make, state.step, cell)
    return _Heat(card, keep(packed, BINARY))


def _card(shown: Shown, card: TokenCard, step: int) -> None:
    """Everything about one super token."""
    st.markdown(f"**{say(words.card_title(card))}**")
    pixels = card.area_share * shown.photo.pixels.shape[0] * shown.photo.pixels.shape[1]
    with st.container(horizontal=True):
        st.metric(say("Soft size"), f"{pixels:,.0f} px", border=True, help=say(words.SOFT_SIZE))
        st.metric(say("Entropy"), say(f"{card.entropy_bits:.2f} bits"), border=True, help=say(words.ENTROPY))
    # an SVG travels with the page; a picture may be gone from the server when the next super token is clicked
    st.image(
        words.swatch_svg(card.mean_color), caption=say(words.color_sentence(card)), alt=say(words.color_sentence(card))
    )
    run_views.chart(figures.shares(card.shares), key="supertoken_shares")
    st.caption(say(f"{words.flow_caption(card)} {words.share_caption(step)}"))


def _overview(shown: Shown, step: int) -> None:
    """What can be said before anything is pinned."""
    rows, columns = shown.grouping.grid
    height, width = shown.grouping.labels.shape[1:]
    with st.container(horizontal=True):
        st.metric(
            say("Super tokens"),
            f"{rows * columns:,}",
            border=True,
            help=say(words.grid_sentence(rows, columns, height, width)),
        )
        st.metric(
            say("Explained variation"), f"{_explained(shown, step, False):.3f}", border=True, help=say(words.EXPLAINED)
        )
    st.caption(say(words.health_sentence(_health(shown)[step], step)))
    st.caption(say(words.CLICK))


def _map_caption(shown: Shown, step: int) -> str:
    trained_with = shown.source.iterations if shown.grouping.source == "supertoken_embedding" else None
    return words.map_caption(shown.grouping.recipe, step, trained_with=trained_with)


def remember_step(shown: Shown, step: int) -> None:
    """The iteration into the address, unless it is the one that the source was made for."""
    write_address("t", None if step == shown.source.iterations else str(step))


def _remember(shown: Shown, state: CanvasState) -> None:
    """Step and pin into the address, so that a copied link shows the same."""
    remember_step(shown, state.step)
    remember_pin(state.pins)


def _health(shown: Shown) -> tuple[Health, ...]:
    return cached("health", shown, lambda: health(shown.grouping))


def _rebuilt(shown: Shown, step: int, *, soft: bool) -> str:
    def make() -> tuple[bytes, str]:
        return encode_picture(_pixels_rebuilt(shown, step, soft), exact=not soft)

    return keep(*cached("rebuilt", shown, make, step, soft))


def _pixels_rebuilt(shown: Shown, step: int, soft: bool) -> np.ndarray:
    return cached("pixels", shown, lambda: reconstruct(shown.photo.pixels, shown.grouping, step, soft=soft), step, soft)


def _explained(shown: Shown, step: int, soft: bool) -> float:
    def make() -> float:
        return explained_by(shown.photo.pixels, _pixels_rebuilt(shown, step, soft))

    return cached("explained", shown, make, step, soft)
