"""A matrix of a subspace run as a picture that is pointed at: a pair by a click, a block by a drag, both kept in the address."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from vitviz.explain.canvas_layers import pack_heat
from vitviz.explain.subspace import Snapshot
from vitviz.explain.subspace_blocks import block_at, cells_of_span, span_of_cells
from vitviz.explain.subspace_weave import Woven, pair_at, weave_ids
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import subspace_words as words
from vitviz.ui.components.matrix_canvas import MatrixState, matrix_canvas
from vitviz.ui.kept import keep
from vitviz.ui.language import say
from vitviz.ui.pins import write_address
from vitviz.ui.subspace_pairs import show_block, show_masses, show_pair, show_strengths
from vitviz.ui.subspace_sources import cached

BINARY = "application/octet-stream"
Span = tuple[int, int, int, int]


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


def show_matrix(seen: Seen, *, canvas: str, is_wide: bool = True) -> None:
    """The picture and, beside it when ``is_wide``, else below, what is pointed at or what the whole says."""
    left, right = st.columns((3, 2), gap="medium") if is_wide else (st.container(), st.container())
    pair, span = asked_pair(seen), asked_block(seen)
    pair = None if span is not None else pair
    with left:
        state = draw_matrix(seen, canvas, pair=pair, span=span)
        st.caption(say(words.affinity_caption(seen)))
    pair, span = _pinned(seen, state, pair), _selected(seen, state, span)
    with right:
        if span is not None:
            block = block_at(seen.matrix, seen.order, span, labels=seen.shot.labels, classes=seen.shot.classes)
            show_block(seen.run, seen.shot, block)
        elif pair is not None:
            show_pair(seen.run, seen.shot, *pair)
        else:
            show_masses(seen.shot, seen.matrix)
            show_strengths(seen.run, seen.shot, seen.matrix, key=canvas)
            st.caption(say(words.CLICK))
    write_address("pair", None if pair is None else f"{pair[0]}_{pair[1]}")
    write_address("block", None if span is None else "_".join(map(str, span)))


def draw_matrix(
    seen: Seen,
    canvas: str,
    *,
    pair: tuple[int, int] | None = None,
    span: Span | None = None,
    can_point: bool = True,
    max_height: int = 520,
) -> MatrixState:
    """The picture alone, with a pair or a block marked to begin with."""
    heat = cached("heat", seen.run, seen.shot.round, lambda: pack_heat(seen.woven.values), seen.key)
    ids, colors = _ideal(seen)
    return matrix_canvas(
        key=canvas,
        heat_url=keep(heat, BINARY),
        ids=weave_ids(seen.shot.labels[seen.order], seen.woven),
        ideal=weave_ids(ids[seen.order], seen.woven),
        ideal_colors=colors,
        alt=say(words.affinity_alt(seen)),
        heat_title=say(words.HEAT_TITLES[seen.layer]),
        heat_max=seen.woven.ceiling,
        pin=_cell_of(seen, pair),
        block=None if span is None else cells_of_span(seen.woven, span),
        can_point=can_point,
        max_height=max_height,
        follow=seen.key,
    )


def asked_pair(seen: Seen) -> tuple[int, int] | None:
    """The two rows of ``?pair=``, where there are such."""
    pair = _numbers("pair", 2)
    return pair if pair is not None and max(pair) < len(seen.order) else None


def asked_block(seen: Seen) -> Span | None:
    """The positions of the order (top, bottom, left, right) of ``?block=``, where there are such."""
    span = _numbers("block", 4)
    if span is None:
        return None
    top, bottom, left, right = span
    return span if top < bottom <= len(seen.order) and left < right <= len(seen.order) else None


def _numbers(name: str, count: int) -> tuple[int, ...] | None:
    """What the address holds under a name: ``count`` whole numbers, or None."""
    parts = st.query_params.get(name, "").split("_")
    known = len(parts) == count and all(one.isascii() and one.isdigit() and len(one) < 7 for one in parts)
    return tuple(map(int, parts)) if known else None


def _pinned(seen: Seen, state: MatrixState, asked: tuple[int, int] | None) -> tuple[int, int] | None:
    """The pair under the pin. A pair that a zoom has left outside stays; one that was asked for is not rounded to its cell."""
    cell = _cell_of(seen, asked)
    if state.pin is None:
        return asked if cell is None and state.block is None else None
    if state.pin == cell:
        return asked
    size = len(seen.woven.values)
    down, right = ((place + 0.5) / size for place in state.pin)
    return pair_at(seen.matrix, seen.order, seen.woven, right, down)


def _selected(seen: Seen, state: MatrixState, asked: Span | None) -> Span | None:
    """The block that is selected, in positions; one that was asked for is not rounded to its cells."""
    cells = None if asked is None else cells_of_span(seen.woven, asked)
    if state.block is None:
        return asked if cells is None and state.pin is None else None
    return asked if state.block == cells else span_of_cells(seen.woven, state.block)


def _cell_of(seen: Seen, pair: tuple[int, int] | None) -> tuple[int, int] | None:
    """The cell (row, column) that a pair lies in; None outside of the picture."""
    if pair is None:
        return None
    row, column = (int(np.flatnonzero(seen.order == one)[0]) for one in pair)
    found = cells_of_span(seen.woven, (row, row + 1, column, column + 1))
    return None if found is None else (found[0], found[2])


def _ideal(seen: Seen) -> tuple[np.ndarray, tuple[str, ...]]:
    """What a perfect affinity would fill: the blocks of the classes, of the clusters where there are no classes."""
    ids = seen.shot.classes if (seen.shot.classes >= 0).any() else seen.shot.labels
    return ids, cluster_colors(int(ids.max()) + 1)
