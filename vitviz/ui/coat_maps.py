"""The clusters of a CoaT over the picture: groups of a block and head, and what a pinned token's prototype looks at."""

import math

import streamlit as st

from vitviz.explain.canvas_layers import pack_heat, pack_labels
from vitviz.explain.coat import ClusteredBlock, GroupMap, at_picture, prototype_attention, token_at, tone_map
from vitviz.figures import coat_maps as figures
from vitviz.ui import coat_words as words
from vitviz.ui import run_views
from vitviz.ui.choices import choose, choose_from
from vitviz.ui.coat_sources import FACTORISED, SOFTMAX, Shown, cached
from vitviz.ui.components.image_canvas import image_canvas
from vitviz.ui.kept import encode_picture, keep
from vitviz.ui.language import say, say_keys
from vitviz.ui.pins import asked_pins, remember_pin

BINARY = "application/octet-stream"
CANVAS, MLP_TOKENS = "coat_map", "MLP tokens"
MAX_HEIGHT = 480


@st.fragment
def show_clusters(shown: Shown) -> None:
    """The groups over the picture, the pinned token's maps beside, and how many prototypes every block has."""
    if not shown.look.blocks:
        st.info(say(words.NOTHING), icon=":material/hub:")
        return
    index, head = _pick_place(shown)
    block = shown.look.blocks[index]
    groups, row_of_head = (block.tokens, 0) if isinstance(head, str) else (block.queries, head - 1)
    left, right = st.columns((3, 3), gap="medium")
    with left:
        pins = _canvas(shown, index, head, groups, row_of_head)
        st.caption(words.map_caption(shown, block, head))
    with right:
        if not pins:
            _overview(block, groups, row_of_head)
        else:
            _pinned(shown, index, groups, row_of_head, *pins[0][:2])
    counts_table(shown)
    remember_pin(pins)


def counts_table(shown: Shown) -> None:
    """How many prototypes every block has of this picture."""
    rows = [say_keys({name: say(cell) for name, cell in row.items()}) for row in count_rows(shown)]
    st.table(rows, hide_index=True, border="horizontal", alt=say("prototypes of every clustered block"))
    st.caption(say(words.COUNTS))


def count_rows(shown: Shown) -> list[dict[str, str]]:
    """One row for the queries, and one for the tokens before the MLP, of every block."""
    rows = []
    for block in shown.look.blocks:
        number = math.prod(block.grid)
        for groups, name, kind in ((block.queries, block.name, block.kind), (block.tokens, f"{block.name}, MLP", "–")):
            if groups is not None:
                rows.append(words.counts_row(name, kind, number, groups.counts.tolist()))
    return rows


def _pick_place(shown: Shown) -> tuple[int, int | str]:
    """The block and its head, counted from 1, or the tokens before its MLP; both bound to the address."""
    with st.container(horizontal=True, vertical_alignment="top"):
        names = [block.name for block in shown.look.blocks]
        index = names.index(choose_from("Block", names, key="block", width=220))
        block = shown.look.blocks[index]
        heads = [] if block.queries is None else list(range(1, 1 + len(block.queries.ids)))
        head = choose("Head", [*heads, *([MLP_TOKENS] if block.tokens is not None else [])], key="head")
    return index, head


def _canvas(shown: Shown, index: int, head: int | str, groups: GroupMap, row: int) -> tuple:
    look = shown.look
    block, (height, width) = look.blocks[index], look.fed.shape[:2]

    def make() -> tuple[bytes, bytes]:
        ids, tones = at_picture(block, groups.ids[row], height, width), tone_map(groups, row)
        return pack_labels(ids), pack_heat(at_picture(block, tones, height, width))

    labels, heat = cached("layers", shown, make, index, head)
    state = image_canvas(
        key=CANVAS,
        photo_url=keep(*cached("photo", shown, lambda: encode_picture(shown.photo.pixels))),
        width=shown.photo.pixels.shape[1],
        height=shown.photo.pixels.shape[0],
        alt=f"{shown.photo.name} in groups: {block.name}, {head if isinstance(head, str) else f'head {head}'}",
        bases=[
            {"label": "As fed", "url": keep(*cached("fed", shown, lambda: encode_picture(look.fed, exact=True)))},
        ],
        labels_url=keep(labels, BINARY),
        heat_url=keep(heat, BINARY),
        heat_title="place along the axis",
        heat_alpha=0.7,
        sizes=groups.sizes[row].tolist(),
        id_text="group {id}, tokens: {size}",
        mode="none",
        modes=("lines", "none"),
        pins=asked_pins(),
        pin_stride=block.stride,
        max_height=MAX_HEIGHT,
        labels=words.CANVAS,
        follow=f"{shown.key}-{index}-{head}",
    )
    return state.pins


def _overview(block: ClusteredBlock, groups: GroupMap, row: int) -> None:
    """What can be said before a token is pinned."""
    sizes = groups.sizes[row][groups.sizes[row] > 0]
    with st.container(horizontal=True):
        st.metric(say("Tokens"), f"{math.prod(block.grid):,}", border=True)
        st.metric(say("Prototypes"), f"{len(sizes):,}", border=True)
        st.metric(say("Largest group"), f"{sizes.max():,}", border=True)
        st.metric(say("Groups of one token"), f"{(sizes == 1).sum():,}", border=True)
    st.caption(say(words.CLICK))


def _pinned(shown: Shown, index: int, groups: GroupMap, row_of_head: int, x: float, y: float) -> None:
    """The group of the pinned token, and where queries are clustered what its prototype looks at."""
    block = shown.look.blocks[index]
    row, column = token_at(shown.look, block, x, y)
    st.markdown(say(words.group_sentence(groups, row_of_head, row, column, has_padding=block.grid != block.shown)))
    if groups is block.tokens:
        return
    kinds = (block.kind, FACTORISED if block.kind == SOFTMAX else SOFTMAX)
    kind = choose("Weights", kinds, key="weights", help=words.SEEN)
    seen = prototype_attention(shown.look, index, row_of_head, x, y, kind=kind)
    figure = figures.attention_maps(
        seen.clustered, seen.exact, place=(seen.row, seen.column), title=words.weight_title(kind)
    )
    run_views.chart(figure, key="coat_attention")
    st.caption(say(words.attention_sentence(seen)))
