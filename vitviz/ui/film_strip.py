"""One image through all rounds, in one strip: place on the map, cluster, neighbours, restored self and attention."""

from typing import Any

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.explain import film_strip as explain
from vitviz.explain.film_strip import Film, Looks
from vitviz.explain.mosaic import mosaic
from vitviz.explain.sheets import contact_sheet
from vitviz.explain.supertoken_features import clusters_supertokens
from vitviz.figures.theme import SEQUENTIAL_COLORS, UNKNOWN_COLOR, cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import run_views, words
from vitviz.ui.attention_sources import RUN as TRAINED_RUN
from vitviz.ui.attention_sources import can_look_into
from vitviz.ui.components.film_strip import film_strip
from vitviz.ui.followed import follow, followed
from vitviz.ui.kept import keep_picture
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.navigation import page
from vitviz.ui.results import cached
from vitviz.ui.routes import run_addresses
from vitviz.ui.run_networks import OF_RUN, has_network, version_of
from vitviz.ui.tasks import result_of

_SIDE = 208  # px of a picture of super tokens, twice what it is shown at: outlines stay thin


def show(run: Run) -> None:
    """The strip of the image that is followed, in a box of its own; nothing while there is none."""
    sample = followed(run)
    if sample is None:
        return
    with st.container(border=True):
        _head(run, sample)
        film = film_of(run, sample)
        picture = _picture(run, sample)
        lit, looks = _looks(run, film, picture)
        addresses, projection = run_addresses(run), run.projection()
        film_strip(
            key=f"film_{run.name}",
            frames=_frames(run, film, lit),
            sample=sample,
            tile_url=addresses.tile,
            map_url=addresses.map if projection is not None else None,
            restored_url=_in_a_row(film.restored) if film.restored is not None else None,
            **_rows_of(picture, looks),
        )
        st.caption(say(words.with_small_copy(words.film_caption(run, film), run)))


def film_of(run: Run, sample: int) -> Film:
    """The image of a row through the rounds, kept by run and version."""
    with st.spinner(say("Looking the image up in every round …")):
        return cached("film", f"{run.name}-{run.version()}-{sample}", lambda: explain.film_of(run, sample))


def _head(run: Run, sample: int) -> None:
    """Which image it is, its way to the page of attention, and the way to close it."""
    about, samples = run.description(), run.samples()
    label = about.class_names[samples.classes[sample]] if samples.classes[sample] >= 0 else say("unlabelled")
    split = "held out" if samples.held_out[sample] else "training"
    with st.container(horizontal=True, vertical_alignment="center"):
        picture = _picture(run, sample)
        if picture is not None:
            sheet = contact_sheet(run_views.shrink(picture[None]), columns=1, cell=64)
            st.image(sheet, width=64, alt=say(f"image {samples.indices[sample]}"))
        st.markdown(say(f"**Image {samples.indices[sample]}**, class {safe_label(label)}, {split} image"))
        image = {"run": run.name, "picture": OF_RUN, "sample": str(sample)}
        if can_look_into(run):
            link = {"network": TRAINED_RUN, **image, "view": "Attention"}
            st.page_link(
                page("attention"), label=say("Open in attention"), icon=":material/visibility:", query_params=link
            )
        if clusters_supertokens(run) and has_network(run):
            link = {"model": TRAINED_RUN, **image}
            st.page_link(
                page("supertokens"), label=say("Open in super tokens"), icon=":material/grid_view:", query_params=link
            )
        st.button(say("Close"), key="close_film", icon=":material/close:", on_click=follow, args=(None,))
    if picture is None:
        st.caption(say("the images of this data set are not on this machine"))


def _frames(run: Run, film: Film, lit: np.ndarray) -> list[dict[str, Any]]:
    """What the component is told of every round; ``lit`` are the rounds whose network is shown at work."""
    names, samples, about = run_views.said_names(run), run.samples(), run.description()
    colors = cluster_colors(len(names))
    title, note = say("round {round}: {cluster}"), say("image {number}, {cluster}")

    def neighbor(row: int, labels: np.ndarray) -> dict[str, Any]:
        known = samples.classes[row]
        initial = about.class_names[known][:3] if known >= 0 else "?"
        text = note.format(number=samples.indices[row], cluster=names[labels[row]])
        edge = UNKNOWN_COLOR if known < 0 else colors[labels[row]]
        return {"id": int(row), "note": text, "initial": initial, "color": edge}

    return [
        {
            "round": int(index),
            "title": title.format(round=index, cluster=names[film.clusters[place]]),
            "color": colors[film.clusters[place]],
            "margin": round(float(film.margins[place]), 3),
            "kin": None if np.isnan(film.kin[place]) else round(float(film.kin[place]), 3),
            "neighbors": [neighbor(row, run.round(int(index)).matched_labels) for row in film.neighbors[place]],
            "look": lit.tolist().index(index) if index in lit else None,
        }
        for place, index in enumerate(film.rounds)
    ]


def _looks(run: Run, film: Film, picture: np.ndarray | None) -> tuple[np.ndarray, Looks | None]:
    """The rounds whose network can be asked, and its answers, once they were asked for; a sentence where some or all cannot."""
    rounds = explain.rounds_with_attention(run, film.rounds)
    if picture is None:
        return rounds, None
    if len(rounds) < len(film.rounds):
        st.caption(say(words.some_attention(rounds) if len(rounds) else words.NO_ATTENTION))
    if not len(rounds):
        return rounds, None
    return rounds, result_of(
        f"film-{run.name}-{version_of(run)}-{film.sample}",
        "Attention of every round",
        lambda on_progress: explain.looks_of(run, rounds, picture, on_progress),
        begin=False,
        button="Look where the network of each round looks",
    )


def _rows_of(picture: np.ndarray | None, looks: Looks | None) -> dict[str, str]:
    """The pictures of attention and of super tokens, one square a round, by the names that the component has for them."""
    if looks is None:
        return {"attention_url": None}
    rows = {"attention_url": _in_a_row(explain.heat_over(picture, looks.attention, SEQUENTIAL_COLORS))}
    if looks.supertokens is not None:
        mosaics = [mosaic(picture, ids, side=_SIDE) for ids in looks.supertokens]
        rows["supertokens_url"] = _in_a_row(np.stack(mosaics))
    return rows


def _picture(run: Run, sample: int) -> np.ndarray | None:
    try:
        return run_views.pictures(run, np.array([sample]))[0]
    except Problem:
        return None


def _in_a_row(images: np.ndarray) -> str:
    """Squares (F, H, W, 3) uint8 as one picture from left to right; its address."""
    return keep_picture(np.ascontiguousarray(np.concatenate(list(images), axis=1)), exact=True)
