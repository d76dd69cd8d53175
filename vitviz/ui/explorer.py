"""The round map, the grid of what is selected on it, and the image that is followed: linked, and kept in the address."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.explain.map_trust import links_of
from vitviz.explain.round_map import map_coordinates, points_inside, polygon_from_text, polygon_to_text
from vitviz.figures.theme import cluster_colors
from vitviz.runs.compact import has_embeddings
from vitviz.runs.folder import Run
from vitviz.ui import film_strip, run_views, words
from vitviz.ui.components.image_grid import MAX_ITEMS
from vitviz.ui.components.round_map import COLOR_BY, round_map
from vitviz.ui.followed import follow_pick, followed
from vitviz.ui.language import say
from vitviz.ui.navigation import page
from vitviz.ui.problems import shown_problems
from vitviz.ui.results import cached
from vitviz.ui.routes import run_addresses


@st.fragment
@shown_problems()
def show(run: Run, others: Sequence[Run] = ()) -> None:
    """The round map, the grid of what is selected on it, and the picked image through the rounds; linked by the address."""
    projection = run.projection()
    if projection is None and not has_embeddings(run):
        _say_no_map(others)
        return
    if projection is None:
        raise Problem(
            f"run '{run.name}' has no map yet",
            "it is drawn when the run is finished",
            f"python -m vitviz project {run.name}",
        )
    addresses, about = run_addresses(run, others), run.description()
    standing = run_views.classes_of_clusters(run)
    last_round = len(projection.points) - 1
    state = round_map(
        key=f"map_{run.name}",
        data_url=addresses.map,
        margin_url=addresses.margin,
        tile_url=addresses.tile,
        trust_url=addresses.trust,
        continuity_url=addresses.continuity,
        stability_url=addresses.stability,
        class_names=about.class_names,
        cluster_classes=standing.tolist(),
        palette=cluster_colors(standing.shape[1]),
        class_palette=cluster_colors(len(about.class_names)),
        round=_asked_round(last_round),
        color_by=_asked_color(),
        selection=_asked_selection(last_round),
        links=_links(run),
        follow=run.name,
        on_pick=follow_pick(f"map_{run.name}"),
    )
    _remember_selection(state.selection)
    st.caption(say(words.map_caption(run)))
    _explain_colors(run, others)
    film_strip.show(run)
    if state.selection is None:
        return
    shown_round = min(int(state.selection["round"]), last_round)
    places = _coordinates(run.name, run.version(), _run=run)[shown_round]
    samples = np.flatnonzero(points_inside(places, np.asarray(state.selection["polygon"])))
    st.markdown(say(f"**{len(samples):,} images selected at round {shown_round}**"))
    run_views.grid(run, shown_round, samples[:MAX_ITEMS], key="selected", total=len(samples))
    st.download_button(
        say("Selection as CSV"),
        _selection_csv(run, samples, shown_round),
        f"{run.name}-round-{shown_round}.csv",
        "text/csv",
    )


def _say_no_map(others: Sequence[Run]) -> None:
    """A run of which no map can be made: what shows its rounds instead, and the other seeds that have one."""
    st.info(say(words.NO_MAP), icon=":material/map:")
    for other in others:
        if other.projection() is not None:
            label = say(f"The map of seed {other.description().seed}")
            st.page_link(
                page("deep_clustering"), label=label, icon=":material/arrow_forward:", query_params={"run": other.name}
            )


def _links(run: Run) -> dict | None:
    """Of the image that is followed: its true neighbours and those of the map alone, at every round."""
    sample = followed(run)
    if sample is None:
        return None
    film = film_strip.film_of(run, sample)
    rounds = cached("links", f"{run.name}-{run.version()}-{sample}", lambda: links_of(run, film))
    return {"sample": sample, "rounds": rounds}


def _explain_colors(run: Run, others: Sequence[Run]) -> None:
    """What the colours say that are computed: trust, continuity and the agreement of seeds."""
    with st.popover(say("What the colours mean"), icon=":material/palette:"):
        for sentence in words.color_sentences(run, others):
            st.markdown(say(sentence))
        if not others:
            st.code(words.other_seed_command(run), language=None, wrap_lines=True)


@st.cache_resource(max_entries=4, show_spinner=False)
def _coordinates(name: str, version: str, _run: Run) -> np.ndarray:
    """Map coordinates (R, N, 2) in 0..1 of a run, shared and read-only."""
    return map_coordinates(_run.projection().points)


def _selection_csv(run: Run, samples: np.ndarray, round_index: int) -> str:
    about, known, labels = run.description(), run.samples(), run.round(round_index).matched_labels
    lines = ["dataset_index,class,cluster,held_out"]
    for sample in samples:
        label = about.class_names[known.classes[sample]] if known.classes[sample] >= 0 else ""
        quoted = '"' + label.replace('"', '""') + '"'
        lines.append(f"{known.indices[sample]},{quoted},{labels[sample]},{bool(known.held_out[sample])}")
    return "\n".join(lines) + "\n"


def _asked_round(last_round: int) -> int:
    text = st.query_params.get("round", "")
    return min(int(text), last_round) if _is_round(text) else 0


def _asked_color() -> str:
    color = st.query_params.get("color", "cluster")
    return color if color in COLOR_BY else "cluster"


def _asked_selection(last_round: int) -> dict | None:
    round_text, _, polygon_text = st.query_params.get("selected", "").partition("_")
    polygon = polygon_from_text(polygon_text)
    if polygon is None or not _is_round(round_text):
        return None
    return {"polygon": np.asarray(polygon).tolist(), "round": min(int(round_text), last_round)}


def _is_round(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6


def _remember_selection(selection: dict | None) -> None:
    text = f"{selection['round']}_{polygon_to_text(np.asarray(selection['polygon']))}" if selection else None
    if text != st.query_params.get("selected"):
        if text is None:
            st.query_params.pop("selected", None)
        else:
            st.query_params["selected"] = text
