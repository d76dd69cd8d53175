"""Beside a picture of a subspace run: two images and what each takes of the other, a block of images, how strong blocks are."""

from typing import Any

import numpy as np
import streamlit as st

from vitviz.explain.subspace import Snapshot, describe_pair, mass_within
from vitviz.explain.subspace_blocks import Block, block_strengths
from vitviz.figures import subspace_tools as figures
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import run_views
from vitviz.ui import subspace_tool_words as tool_words
from vitviz.ui import subspace_words as words
from vitviz.ui.components.image_grid import image_grid
from vitviz.ui.language import say
from vitviz.ui.routes import run_addresses
from vitviz.ui.run_views import chart
from vitviz.ui.subspace_sources import latent_of, pictures_of

PICTURE, MOST = 160, 60


def show_pair(run: Run, shot: Snapshot, first: int, second: int) -> None:
    """Two images and what each takes of the other."""
    pair = describe_pair(shot, latent_of(run, shot.round), first, second)
    st.markdown(f"**{say(words.pair_title(run, pair))}**")
    pictures = pictures_of(run, [first, second])
    if pictures is None:
        st.caption(say(words.no_images(run)))
    else:
        with st.container(horizontal=True):
            for row, pixels in zip((first, second), pictures, strict=True):
                title, name = words.image_title(run, shot, row), words.image_name(run, row)
                st.image(_enlarged(pixels), say(title), width=PICTURE, alt=say(name))
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
                chance = say(f"random ids: {masses[f'{name}_random']:.1%}")
                st.metric(say(title), f"{masses[name]:.1%}", chance, delta_color="off", delta_arrow="off", border=True)
    st.caption(say(words.masses_sentence(masses)))


def show_strengths(run: Run, shot: Snapshot, matrix: Any, *, key: str) -> None:
    """The strength of each cluster's block as a number and a bar, beside chance."""
    found = block_strengths(matrix, shot.labels)
    names = [say(f"cluster {one}") for one in found.ids]
    colors = cluster_colors(int(found.ids.max()) + 1)
    figure = figures.block_strengths(found, names=names, colors=[colors[one] for one in found.ids])
    chart(figure, key=f"strength_{key}", alt=tool_words.strengths_alt(found))
    st.caption(say(tool_words.strengths_sentence(found)))


def show_block(run: Run, shot: Snapshot, block: Block) -> None:
    """The images of the rows and columns of a block and the mean affinity in it, beside that of the whole matrix."""
    st.markdown(f"**{say(tool_words.block_title(block))}**")
    with st.container(horizontal=True):
        look = {"border": True, "delta_color": "off", "delta_arrow": "off"}
        beside = say(f"all pairs: {words.number(block.mean_all)}")
        st.metric(say("Mean affinity"), words.number(block.mean), beside, **look)
        st.metric(say("Share of all affinity"), f"{block.share:.1%}", say(tool_words.pairs_joined(block)), **look)
        if block.same_class is not None:
            st.metric(say("Pairs of one class"), f"{block.same_class:.0%}", border=True)
    st.caption(say(tool_words.block_sentence(block)))
    for title, rows in (("Rows", block.rows), ("Columns", block.columns)):
        if title == "Columns" and np.array_equal(block.rows, block.columns):
            st.caption(say("The columns are the same images."))
            continue
        st.markdown(f"**{say(title)}**: {say(tool_words.members_sentence(run, shot, rows))}")
        if pictures_of(run, rows[:1]) is not None:
            _strip(run, shot, rows, key=f"block_{title.lower()}")
    if pictures_of(run, block.rows[:1]) is None:
        st.caption(say(words.no_images(run)))


def _strip(run: Run, shot: Snapshot, rows: np.ndarray, *, key: str) -> None:
    """Thumbnails of rows in the order of the matrix, framed in their cluster's colour."""
    colors = cluster_colors(max(run_views.classes_of_clusters(run).shape[1], int(shot.labels.max()) + 1))
    items = [
        {
            "id": int(row),
            "label": words.class_name(run, row),
            "color": colors[shot.labels[row]],
            "note": say(words.image_title(run, shot, row, str)),
        }
        for row in rows[:MOST]
    ]
    image_grid(
        key=f"subspace_{key}_{run.name}",
        tile_url=run_addresses(run).tile,
        items=items,
        total=len(rows),
        thumb=36,
        label=say("Images"),
        showing=say(tool_words.SHOWING),
    )


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    scale = max(PICTURE // len(pixels), 1)
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)
