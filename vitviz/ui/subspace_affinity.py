"""The affinity of a subspace run as a picture: ordered, thresholded, scrubbed over steps, and clicked to see two images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from vitviz.explain.canvas_layers import pack_heat, pack_labels
from vitviz.explain.subspace import Snapshot, describe_pair, mass_within, own_threshold
from vitviz.explain.subspace_weave import Woven, pair_at, weave, weave_blocks
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import subspace_words as words
from vitviz.ui.choices import choose
from vitviz.ui.components.image_canvas import CanvasState, image_canvas
from vitviz.ui.kept import encode_picture, keep
from vitviz.ui.language import say
from vitviz.ui.subspace_sources import (
    begin_at,
    cached,
    latent_of,
    layer_matrix,
    ordered,
    pick_step,
    pictures_of,
    snapshot_of,
)

BINARY = "application/octet-stream"
SIDE, PICTURE = 360, 160
ORDERS = {"clusters": "cluster", "classes": "class", "as in the data": "data"}
LAYERS = {"coefficients": "plain", "thresholded": "kept", "affinity": "processed"}
ZOOMS = {"all": 1, "2x": 2, "4x": 4, "8x": 8}
THRESHOLDS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
CANVAS = "subspace_affinity"


@dataclass(frozen=True)
class Seen:
    """What the picture shows: the matrix and its cut into cells, in which order, and the key of all that it depends on."""

    run: Run
    shot: Snapshot
    matrix: Any
    order: np.ndarray
    order_name: str
    layer: str
    rho: float | None
    woven: Woven
    key: str

    @property
    def is_whole(self) -> bool:
        """Whether all images are in the picture."""
        return self.woven.stop - self.woven.start == len(self.order)


def show_affinity(run: Run) -> None:
    """The picture with its controls, and beside it the pair that is pinned or what the whole says."""
    seen = _pick_view(run)
    left, right = st.columns((3, 2), gap="medium")
    with left:
        pair = asked_pair(seen)
        state = _canvas(seen, pair)
        st.caption(say(words.affinity_caption(seen)))
    pair = _pinned(seen, state, pair)
    with right:
        if pair is None:
            show_masses(seen.shot, seen.matrix)
            st.caption(say(words.CLICK))
        else:
            show_pair(run, seen.shot, *pair)
    _write("pair", None if pair is None else f"{pair[0]}_{pair[1]}")


def show_pair(run: Run, shot: Snapshot, first: int, second: int) -> None:
    """Two images and what each takes of the other."""
    pair = describe_pair(shot, latent_of(run, shot.round), first, second)
    st.markdown(say(f"**{words.pair_title(run, pair)}**"))
    pictures = pictures_of(run, [first, second])
    if pictures is None:
        st.caption(say(words.no_images(run)))
    else:
        with st.container(horizontal=True):
            for row, pixels in zip((first, second), pictures, strict=True):
                title, name = words.image_title(run, shot, row), words.image_name(run, row)
                st.image(_enlarged(pixels), title, width=PICTURE, alt=say(name))
    with st.container(horizontal=True):
        st.metric(say(words.COEFFICIENT), words.number(pair.coefficient), border=True, help=say(words.COEFFICIENT_HELP))
        st.metric(say(words.REVERSE), words.number(pair.reverse), border=True, help=say(words.REVERSE_HELP))
        st.metric(say("Cosine in Z"), f"{pair.cosine:.3f}", border=True, help=say(words.COSINE_HELP))
    st.caption(say(words.pair_sentence(run, pair)))


def show_masses(shot: Snapshot, matrix: Any) -> None:
    """How much of what is shown lies inside clusters and classes, beside what random ids of the same sizes would hold."""
    masses = mass_within(shot, matrix)
    with st.container(horizontal=True):
        for name, title in (("cluster", "Mass inside clusters"), ("class", "Mass inside classes")):
            if masses.get(name) is not None:
                chance = f"random ids: {masses[f'{name}_random']:.1%}"
                st.metric(say(title), f"{masses[name]:.1%}", chance, delta_color="off", delta_arrow="off", border=True)
    st.caption(say(words.masses_sentence(masses)))


def still_picture(run: Run, shot: Snapshot, matrix: Any, order: np.ndarray, *, key: str) -> None:
    """A whole matrix in an order of its own, to look at only."""
    woven = cached("still", run, shot.round, lambda: weave(matrix, order, side=SIDE), key)
    seen = Seen(run, shot, matrix, order, "clusters", "coefficients", None, woven, f"{run.name}-{run.version()}-{key}")
    heat = cached("still heat", run, shot.round, lambda: pack_heat(woven.values), key)
    outlines = cached("still outlines", run, shot.round, lambda: pack_labels(_blocks(seen, shot.labels)), key)
    ideal = cached("still ideal", run, shot.round, lambda: encode_picture(_ideal(seen), exact=True), key)
    _draw(seen, "subspace_again", heat, outlines, ideal, max_pins=0)
    st.caption(say(words.affinity_caption(seen)))


def asked_pair(seen: Seen) -> tuple[int, int] | None:
    """The two rows of ``?pair=``, where there are such."""
    first, _, second = st.query_params.get("pair", "").partition("_")
    if not all(one.isascii() and one.isdigit() and len(one) < 7 for one in (first, second)):
        return None
    pair = int(first), int(second)
    return pair if max(pair) < len(seen.order) else None


def _pinned(seen: Seen, state: CanvasState, asked: tuple[int, int] | None) -> tuple[int, int] | None:
    """The pair under the pin. A pair that a zoom has left outside stays; one that was asked for is not rounded to its cell."""
    place = _place_of(seen, asked)
    if not state.pins:
        return asked if place is None else None
    x, y, _ = state.pins[0]
    return asked if (x, y) == place else pair_at(seen.matrix, seen.order, seen.woven, x, y)


def _pick_view(run: Run) -> Seen:
    index = pick_step(run)
    shot = snapshot_of(run, index)
    with st.container(horizontal=True):
        layer_name = choose("Show", list(LAYERS), key="layer", help=words.LAYERS_HELP)
        order_name = choose("Order", words.orders(shot, list(ORDERS)), key="order")
        zoom = choose("Zoom", list(ZOOMS), key="zoom", help=words.ZOOM_HELP)
    rho = None
    if layer_name == "thresholded":
        text, usual = "Share of each column that is kept (rho)", own_threshold(shot)
        begin_at("rho", usual)
        rho = st.select_slider(
            say(text),
            sorted({*THRESHOLDS, usual}),
            value=usual,
            key="rho",
            bind="query-params",
            help=say(words.RHO_HELP),
        )
    with st.spinner(say("Weaving …"), show_time=False):
        matrix = layer_matrix(run, shot, LAYERS[layer_name], rho)
        order = ordered(run, shot, ORDERS[order_name])
        start, stop = _window(run, order, order_name, zoom)
        key = (layer_name, rho, order_name, start, stop)
        woven = cached("woven", run, index, lambda: weave(matrix, order, start=start, stop=stop, side=SIDE), *key)
    text = "-".join(map(str, (run.name, run.version(), index, *key)))
    return Seen(run, shot, matrix, order, order_name, layer_name, rho, woven, text)


def _window(run: Run, order: np.ndarray, order_name: str, zoom: str) -> tuple[int, int]:
    """The positions that a zoom shows: around the pinned pair's row as it was when the zoom was chosen."""
    size = max(len(order) // ZOOMS[zoom], 2)
    if size >= len(order):
        return 0, len(order)
    chosen = (run.name, order_name, zoom)
    if st.session_state.get("subspace_window", (None,))[0] != chosen:
        text = st.query_params.get("pair", "").partition("_")[0]
        row = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else int(order[0])
        found = np.flatnonzero(order == row)
        st.session_state.subspace_window = (chosen, int(found[0]) if len(found) else 0)
    middle = st.session_state.subspace_window[1]
    start = min(max(middle - size // 2, 0), len(order) - size)
    return start, start + size


def _canvas(seen: Seen, pair: tuple[int, int] | None) -> CanvasState:
    run, index = seen.run, seen.shot.round
    parts = (seen.layer, seen.rho, seen.order_name, seen.woven.start, seen.woven.stop)
    heat = cached("heat", run, index, lambda: pack_heat(seen.woven.values), *parts)
    cuts = (seen.order_name, seen.woven.start, seen.woven.stop)
    outlines = cached("outlines", run, index, lambda: pack_labels(_blocks(seen, seen.shot.labels)), *cuts)
    ideal = cached("ideal", run, index, lambda: encode_picture(_ideal(seen), exact=True), *cuts)
    place = _place_of(seen, pair)
    return _draw(seen, CANVAS, heat, outlines, ideal, pins=() if place is None else (place,))


def _draw(seen: Seen, key: str, heat: bytes, outlines: bytes, ideal: tuple[bytes, str], **pointing: Any) -> CanvasState:
    return image_canvas(
        key=key,
        photo_url=keep(*ideal),
        width=SIDE,
        height=SIDE,
        alt=words.affinity_alt(seen),
        labels_url=keep(outlines, BINARY),
        heat_url=keep(heat, BINARY),
        heat_title=words.HEAT_TITLES[seen.layer],
        heat_max=seen.woven.ceiling,
        heat_alpha=1.0,
        ids_from_heat=True,
        modes=("none", "lines"),
        mode="none",
        max_height=520,
        labels=words.CANVAS,
        follow=seen.key,
        **pointing,
    )


def _place_of(seen: Seen, pair: tuple[int, int] | None) -> tuple[float, float] | None:
    """Where a pair lies in the picture, 0..1: x the column, y the row; None outside of it."""
    if pair is None:
        return None
    places = [int(np.flatnonzero(seen.order == row)[0]) for row in pair]
    size = seen.woven.stop - seen.woven.start
    down, right = ((place - seen.woven.start + 0.5) / size for place in places)
    return (right, down) if 0 < down < 1 and 0 < right < 1 else None


def _blocks(seen: Seen, ids: np.ndarray) -> np.ndarray:
    return weave_blocks(ids[seen.order], seen.woven)


def _ideal(seen: Seen) -> np.ndarray:
    """What a perfect affinity would fill: the blocks of the classes, of the clusters where there are no classes."""
    has_classes = bool((seen.shot.classes >= 0).any())
    ids = seen.shot.classes if has_classes else seen.shot.labels
    blocks = _blocks(seen, np.where(ids < 0, ids.max() + 1, ids))
    colors = cluster_colors(int(ids.max()) + 2)
    palette = [(24, 24, 28), *(tuple(int(color[at : at + 2], 16) for at in (1, 3, 5)) for color in colors)]
    picture = np.array(palette, np.uint8)[blocks]
    scale = -(-SIDE // len(picture))
    return picture.repeat(scale, axis=0).repeat(scale, axis=1)


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    scale = max(PICTURE // len(pixels), 1)
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def _write(name: str, text: str | None) -> None:
    if text is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != text:
        st.query_params[name] = text
