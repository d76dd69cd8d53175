"""What one query attends to: all layers and heads as one picture, and one of them large."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vitviz.explain.attention_sheets import number_tiles, tile_maps, tile_middle, tile_picture
from vitviz.explain.canvas_layers import pack_heat, pack_labels
from vitviz.explain.map_files import overlay_pixels
from vitviz.figures.theme import SEQUENTIAL_COLORS
from vitviz.ui import attention_words as words
from vitviz.ui.attention_canvas import (
    BINARY,
    MAX_HEIGHT,
    Heat,
    heat_of,
    offer_files,
    recipe_of,
    show_heat,
    take_away,
)
from vitviz.ui.attention_queries import Query, look, pick_query, pinned_patch
from vitviz.ui.attention_sources import Shown
from vitviz.ui.choices import choose_from
from vitviz.ui.components.image_canvas import image_canvas
from vitviz.ui.kept import encode_picture, keep
from vitviz.ui.language import say
from vitviz.ui.pins import remember_pin, write_address
from vitviz.ui.results import cached

if TYPE_CHECKING:
    from vitviz.explain.attention import BirdsEye, Row

MAP, SHEET = "attention_map", "attention_sheet"
_LEAST = 1 / 255
FUSIONS = ("mean", "max", "min")


@dataclass(frozen=True)
class Choice:
    """What is looked at: a layer by its place among the rows of the bird's-eye view, heads, and how numbers are shown."""

    place: int
    heads: str
    normalisation: str
    mass: float

    @property
    def head(self) -> int | None:
        """One head's number; None when they are fused."""
        return int(self.heads.removeprefix("head ")) if self.heads.startswith("head ") else None


@st.fragment
def show_attention(shown: Shown) -> None:
    """The bird's-eye view, and the chosen layer and head large; a click on either changes what is shown."""
    bird, choice, _ = pick_map(shown, pinned_patch(MAP, shown))
    left, right = st.columns(2, gap="medium")
    with left:
        canvas = st.container()
        one_scale = st.toggle(
            say("One scale for all maps"), key="one_scale", bind="query-params", help=say(words.ONE_SCALE)
        )
        with canvas:
            sheet = _sheet(shown, bird, choice, one_scale)
        caption = words.sheet_caption(bird, one_scale)
        st.caption(say(caption))
        offer_files(recipe_of(shown, caption), lambda: sheet_pixels(sheet), bird.maps, name="attention-all-layers")
    with right:
        row, num_layers = bird.rows[choice.place], len(bird.rows) + len(bird.left_out)
        heat = heat_of_row(row, choice)
        state = show_heat(shown, heat, key=MAP, alt=f"{shown.picture.name}: attention of {row.query}", max_pins=1)
        caption = caption_of(row, num_layers, choice)
        st.caption(say(caption))
        take_away(shown, heat, caption, name=f"attention-layer-{row.layer.index}")
    remember_pin(state.pins)


def pick_map(shown: Shown, pinned: tuple[int, int] | None) -> tuple["BirdsEye", Choice, Query]:
    """What the query attends to, and the choices of one row, bound to the address: layer, heads, numbers, and the query."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        query = pick_query(shown.needs_grid(), pinned)
        with st.spinner(say("Looking …")):
            bird = look(shown, query)
        return bird, _pick_choice(bird), query


def _pick_choice(bird: "BirdsEye") -> Choice:
    from vitviz.explain.attention import NORMALISATIONS

    bound = {"bind": "query-params"}
    layers = [row.layer.index for row in bird.rows]
    # the last one first: a click sets the widget's state, and Streamlit wants no other default beside that
    layer = st.selectbox(say("Layer"), layers[::-1], key="layer", help=say(words.LAYER), width=110, **bound)
    place = layers.index(layer)
    heads = [*FUSIONS, *(f"head {index}" for index in range(bird.rows[place].layer.num_heads))]
    chosen = choose_from("Heads", heads, key="heads", help=words.HEADS, width=130)
    kinds = list(NORMALISATIONS)
    how = choose_from("Normalisation", kinds, key="norm", help=words.NORMALISATION, width=140)
    mass = st.slider(say("Mass kept, %"), 5, 100, 100, 5, key="mass", help=say(words.MASS), width=200, **bound)
    return Choice(place, chosen, how, mass / 100)


def heat_of_row(row: "Row", choice: Choice, *, high: float | None = None) -> Heat:
    """One map of a row as it is chosen; ``high`` locks its scale to another's."""
    from vitviz.explain.attention import keep_mass, normalise

    fused = fused_map(row, choice)
    values = normalise(fused, choice.normalisation)
    if choice.mass < 1:
        values = values * keep_mass(fused, choice.mass)
    return heat_of(values, title_of(choice), high=high, hides_zero=choice.mass < 1)


def fused_map(row: "Row", choice: Choice) -> np.ndarray:
    """One map (rows, columns) of the row's heads."""
    from vitviz.explain.attention import fuse

    if choice.head is not None:
        return fuse(row.maps, head=min(choice.head, len(row.maps) - 1))
    return fuse(row.maps, choice.heads)


def title_of(choice: Choice) -> str:
    """The title of the colour bar."""
    return "attention" if choice.normalisation == "none" else f"attention, {choice.normalisation}"


def caption_of(row: "Row", num_layers: int, choice: Choice) -> str:
    """What the large map shows."""
    from vitviz.explain.attention import NORMALISATIONS

    fused, head = choice.heads in words.EXTREMES, choice.head
    share = row.prefix.mean(axis=0).sum() if head is None else row.prefix[min(head, len(row.prefix) - 1)].sum()
    numbers = NORMALISATIONS[choice.normalisation]
    if fused and choice.normalisation == "none":
        numbers = words.EXTREMES[choice.heads]
    return words.map_caption(row, num_layers, choice.heads, numbers, choice.mass, None if fused else float(share))


def _sheet(shown: Shown, bird: "BirdsEye", choice: Choice, one_scale: bool) -> np.ndarray:
    """All maps as one picture, the photo under each; the chosen one is pinned. Returns what is drawn, 0..1."""
    num_rows, num_heads = bird.maps.shape[:2]

    def make() -> tuple[np.ndarray, bytes, float, bytes, tuple[bytes, str]]:
        largest = np.nan_to_num(bird.maps).max(axis=(2, 3), keepdims=True)
        top = float(largest.max()) or 1.0
        # a head that is there is at least just visible, one that is not stays clear
        sheet = tile_maps((bird.maps / (top if one_scale else np.where(largest > 0, largest, 1))).clip(_LEAST, 1))
        photo = encode_picture(tile_picture(shown.fed, num_rows, num_heads))
        return sheet, pack_heat(sheet), top, pack_labels(number_tiles(num_rows, num_heads)), photo

    sheet, heat, top, tiles, photo = cached("sheet", shown.key, make, bird.rows[0].query, one_scale)
    width, height = num_heads * shown.fed.shape[1], num_rows * shown.fed.shape[0]
    pins = () if choice.head is None else (tile_middle(choice.place, choice.head, num_rows, num_heads),)
    follow = f"{shown.key}-{choice.place}-{choice.head}"
    image_canvas(
        key=SHEET,
        photo_url=keep(*photo),
        width=width,
        height=height,
        alt=f"{shown.picture.name}: {words.SHEET_ALT}",
        labels_url=keep(tiles, BINARY),
        id_texts=[words.tile_text(row, head) for row in bird.rows for head in range(num_heads)],
        heat_url=keep(heat, BINARY),
        heat_title="attention" if one_scale else "share of its largest",
        heat_max=top if one_scale else 1.0,
        heat_hides_zero=True,
        heat_alpha=1.0,
        can_smooth=True,
        mode="lines",
        modes=("lines", "none"),
        pins=pins,
        max_height=MAX_HEIGHT,
        labels=words.SHEET,
        follow=follow,
        on_change=lambda: _take_tile(bird, follow),
    )
    return sheet


def sheet_pixels(sheet: np.ndarray) -> np.ndarray:
    """The bird's-eye view (H, W), 0..1, as pixels; a head that is not there is white."""
    white = np.full((*sheet.shape, 3), 255, np.uint8)
    return overlay_pixels(white, sheet, SEQUENTIAL_COLORS, alpha=1.0, hides_zero=True, side=4 * max(sheet.shape))


def _take_tile(bird: "BirdsEye", follow: str) -> None:
    """What was clicked in the bird's-eye view becomes the layer and the head of the widgets."""
    view = st.session_state[SHEET]["view"]
    if not view or view["follow"] != follow:
        return
    if not view["pins"]:
        write_address("heads", None)
        return
    num_rows, num_heads = bird.maps.shape[:2]
    x, y = view["pins"][0][:2]
    row = bird.rows[min(int(y * num_rows), num_rows - 1)]
    head = min(int(x * num_heads), row.layer.num_heads - 1)
    st.session_state["layer"] = row.layer.index
    write_address("heads", f"head {head}")  # which the widget takes over
