"""Two pictures, or two networks, side by side: the same layer, heads and query on one locked scale."""

from typing import TYPE_CHECKING

import streamlit as st

from vitviz.data.photographs import list_photographs
from vitviz.errors import Problem
from vitviz.ui import attention_words as words
from vitviz.ui.attention_canvas import show_heat, take_away
from vitviz.ui.attention_maps import Choice, caption_of, fused_map, heat_of_row, pick_map
from vitviz.ui.attention_queries import Query, look, pinned_patch
from vitviz.ui.attention_sources import Shown, feed, pick_network, untrained_twin
from vitviz.ui.choices import choose, choose_from
from vitviz.ui.language import say
from vitviz.ui.photos import bundled_photo
from vitviz.ui.pickers import PickedImage, pick_image
from vitviz.ui.pins import remember_pin

if TYPE_CHECKING:
    from vitviz.explain.attention import Row

FIRST, SECOND = "attention_first", "attention_second"
UNTRAINED, NETWORK, PICTURE = "the same untrained", "another network", "another picture"


@st.fragment
def show_pair(shown: Shown) -> None:
    """The picture through the network on the left; on the right the control, another network or another picture."""
    has_control = shown.network.untrained is not None and shown.network.opened.is_trained
    kinds = (UNTRAINED, NETWORK, PICTURE) if has_control else (NETWORK, PICTURE)
    kind = choose("Beside it", kinds, key="beside")
    other = _pick_other(shown, kind)
    if other is None:
        return
    bird, choice, query = pick_map(shown, pinned_patch(FIRST, shown))
    second = look(other, _same_query(shown, other, query))
    rows = bird.rows[choice.place], second.rows[_same_depth(choice.place, len(bird.rows), len(second.rows))]
    maps = [heat_of_row(row, choice) for row in rows]
    high = max(one.high for one in maps)
    left, right = st.columns(2, gap="medium")
    with left:
        state = _show(shown, rows[0], choice, high, key=FIRST, num_layers=len(bird.rows) + len(bird.left_out))
    with right:
        if kind == NETWORK and not other.network.opened.is_trained:
            st.warning(say(words.UNTRAINED_BESIDE), icon=":material/warning:")
        _show(other, rows[1], choice, high, key=SECOND, num_layers=len(second.rows) + len(second.left_out))
    _compare(rows, choice)
    remember_pin(state.pins)


def _pick_other(shown: Shown, kind: str) -> Shown | None:
    """What stands on the right."""
    if kind == UNTRAINED:
        return feed(shown.picture, untrained_twin(shown.network))
    if kind == PICTURE:
        return feed(_pick_picture(), shown.network)
    with st.container(border=True, horizontal=True):
        network = pick_network(beside=True)
    return None if network is None else feed(shown.picture, network)


def _pick_picture() -> PickedImage:
    photos = {one.name: one.title for one in list_photographs()}
    with st.container(border=True):
        second = min(1, len(photos) - 1)  # the first is what most begin with on the left
        look = {"index": second, "key": "b_photo", "shown": photos.get}
        chosen = choose_from("Second photo", list(photos), **look) if photos else None
        given = pick_image("attention_second")
    if given is None and chosen is None:
        raise Problem("there is no second photograph on this machine", "", "give a picture")
    return given or bundled_photo(chosen)


def _same_query(shown: Shown, other: Shown, query: Query) -> Query:
    """The same place of the picture, or the same token where the other network has it, else what its layers are for."""
    from vitviz.explain.attention_tokens import place_on

    layout = other.needs_grid()
    if isinstance(query, tuple):
        return place_on(layout.grid, query, shown.needs_grid())
    return query if query in ("mean", *layout.prefix) else None


def _same_depth(place: int, num_rows: int, num_others: int) -> int:
    """The layer of the other network that lies as deep: the last beside the last."""
    return round(place * (num_others - 1) / max(num_rows - 1, 1)) if num_rows != num_others else place


def _show(shown: Shown, row: "Row", choice: Choice, high: float, *, key: str, num_layers: int):
    heat = heat_of_row(row, choice, high=high)
    alt = f"{shown.picture.name}, {shown.network.opened.label}: attention of {row.query}"
    state = show_heat(shown, heat, key=key, alt=alt, max_pins=1 if key == FIRST else 0)
    caption = caption_of(row, num_layers, choice)
    st.caption(f"**{say(words.network_caption(shown.network.opened.label, shown.picture.name))}** {say(caption)}")
    take_away(shown, heat, caption, name=f"{key.replace('_', '-')}-layer-{row.layer.index}")
    return state


def _compare(rows: tuple["Row", "Row"], choice: Choice) -> None:
    from vitviz.explain.attention import difference

    apart = difference(*(fused_map(row, choice) for row in rows))
    with st.container(horizontal=True):
        shown = "different grids" if apart is None else f"{apart:.3f}"
        if rows[0].query != rows[1].query and apart is not None:
            shown = "different queries"
        st.metric(say("Difference of the two maps"), say(shown), border=True, help=say(words.DIFFERENCE))
    st.caption(say(words.BESIDE))
