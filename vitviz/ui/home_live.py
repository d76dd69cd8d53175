"""The live picture of the first page: a run whose images travel from round to round."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import home_words as words
from vitviz.ui.components.live_map import live_map
from vitviz.ui.language import say
from vitviz.ui.links import Link
from vitviz.ui.routes import map_clusters, map_points, run_addresses

_FIRST = "digits"
_MOST_PLACES = 500_000  # rounds x images: 2 MB in the browser


@dataclass(frozen=True)
class _Film:
    """What the map is given beside its points: a note a round, one for the whole way, a caption, one image a cluster."""

    notes: tuple[str, ...]
    change: str
    caption: str
    anchors: tuple[int, ...]
    num_clusters: int


def show_live(runs: Sequence[Run]) -> None:
    """The map of the shipped run, else of the newest that has one; without any, how to make it."""
    run = find_live(runs)
    if run is None:
        st.info(say(words.NO_MAP if runs else words.NO_RUN), icon=":material/play_circle:")
        st.code(words.FIRST_RUN, language=None, wrap_lines=True)
        return
    addresses, film = run_addresses(run), _film(run.name, run.version(), _run=run)
    link = Link("deep_clustering", {"run": run.name})
    opened = live_map(
        key="live",
        map_url=addresses.map,
        tile_url=addresses.tile,
        address=f"{link.address()}&round={{round}}",
        palette=cluster_colors(film.num_clusters),
        anchors=film.anchors,
        notes=[say(note) for note in film.notes],
        change=say(film.change),
        caption=say(film.caption),
    )
    if opened is not None:
        Link("deep_clustering", {**link.query, "round": str(opened)}).follow()


def find_live(runs: Sequence[Run]) -> Run | None:
    """The run that is shown: ``digits`` where it is, else the first that has a map of a bounded size."""
    by_name = sorted(runs, key=lambda run: run.name != _FIRST)
    return next((run for run in by_name if _has_map(run)), None)


def _has_map(run: Run) -> bool:
    try:
        points = map_points(run)
        return len(points) > 1 and points.shape[0] * points.shape[1] <= _MOST_PLACES
    except Problem:
        return False


@st.cache_resource(max_entries=4, show_spinner=False)
def _film(name: str, version: str, _run: Run) -> _Film:
    num_rounds = len(map_points(_run))
    clusters = map_clusters(_run, num_rounds)
    by_round = {record["index"]: record.get("held_out_nmi") for record in _run.round_metrics()}
    scores = [by_round.get(index) for index in range(num_rounds)]
    changed = [None, *(clusters[1:] != clusters[:-1]).sum(axis=1).tolist()]
    notes = [words.round_note(index, num_rounds - 1, changed[index], scores[index]) for index in range(num_rounds)]
    whole = words.change_note(num_rounds - 1, int((clusters[0] != clusters[-1]).sum()), scores[0], scores[-1])
    anchors = _central_images(clusters[-1], np.asarray(_run.round(num_rounds - 1).distances, np.float32))
    caption = words.live_caption(name, clusters.shape[1], _run.projection().engine)
    return _Film(tuple(notes), whole, caption, anchors, int(clusters.max()) + 1)


def _central_images(clusters: np.ndarray, distances: np.ndarray) -> tuple[int, ...]:
    """Of every cluster the image nearest to its center, by rows; ``clusters`` and ``distances`` (N,)."""
    order = np.lexsort((distances, clusters))
    _, starts = np.unique(clusters[order], return_index=True)
    return tuple(int(order[start]) for start in starts)
