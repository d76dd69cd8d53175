"""The round map, the grid of what is selected on it, and one image through the rounds: linked, and kept in the address."""

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.explain.restoration import restore_samples
from vitviz.explain.round_map import map_coordinates, points_inside, polygon_from_text, polygon_to_text
from vitviz.explain.sheets import contact_sheet
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import run_views, words
from vitviz.ui.attention_sources import OF_RUN, has_network
from vitviz.ui.attention_sources import RUN as TRAINED_RUN
from vitviz.ui.components.image_grid import MAX_ITEMS
from vitviz.ui.components.round_map import COLOR_BY, round_map
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.navigation import page
from vitviz.ui.problems import shown_problems
from vitviz.ui.routes import run_addresses


@st.fragment
@shown_problems()
def show(run: Run) -> None:
    """The round map, the grid of what is selected on it, and the picked image through the rounds; linked by the address."""
    projection = run.projection()
    if projection is None:
        raise Problem(
            f"run '{run.name}' has no map yet",
            "it is drawn when the run is finished",
            f"python -m vitviz project {run.name}",
        )
    addresses, about = run_addresses(run), run.description()
    standing = run_views.classes_of_clusters(run)
    last_round = len(projection.points) - 1
    state = round_map(
        key=f"map_{run.name}",
        data_url=addresses.map,
        margin_url=addresses.margin,
        tile_url=addresses.tile,
        class_names=about.class_names,
        cluster_classes=standing.tolist(),
        palette=cluster_colors(standing.shape[1]),
        class_palette=cluster_colors(len(about.class_names)),
        round=_asked_round(last_round),
        color_by=_asked_color(),
        selection=_asked_selection(last_round),
        follow=run.name,
    )
    _remember_selection(state.selection)
    st.caption(say(words.map_caption(run)))
    if state.picked is not None:
        show_image_through_rounds(run, state.picked)
    if state.selection is None:
        return
    shown_round = min(int(state.selection["round"]), last_round)
    places = _coordinates(run.name, run.version(), _run=run)[shown_round]
    samples = np.flatnonzero(points_inside(places, np.asarray(state.selection["polygon"])))
    st.markdown(say(f"**{len(samples):,} images selected at round {shown_round}**"))
    picked = run_views.grid(run, shown_round, samples[:MAX_ITEMS], key="selected", total=len(samples))
    if picked is not None:
        show_image_through_rounds(run, picked)
    st.download_button(
        say("Selection as CSV"),
        _selection_csv(run, samples, shown_round),
        f"{run.name}-round-{shown_round}.csv",
        "text/csv",
    )


def show_image_through_rounds(run: Run, sample: int) -> None:
    """One image: its cluster, distance and restored self in every round."""
    about, samples, names = run.description(), run.samples(), run_views.cluster_names(run)
    label = about.class_names[samples.classes[sample]] if samples.classes[sample] >= 0 else "unlabelled"
    split = "held out" if samples.held_out[sample] else "training"
    with st.container(border=True):
        st.markdown(say(f"**Image {samples.indices[sample]}**, class {safe_label(label)}, {split} image"))
        rounds = np.unique(np.linspace(0, run.num_rounds() - 1, min(run.num_rounds(), 11)).astype(int))
        if has_network(run):
            _to_attention(run, sample)
        columns = st.columns(len(rounds) + 1)
        with columns[0]:
            try:
                st.image(
                    contact_sheet(run_views.shrink(run_views.pictures(run, np.array([sample]))), columns=1, cell=72),
                    caption=say("original"),
                    alt=say(f"image {samples.indices[sample]}"),
                )
            except Problem:
                st.caption(say("the images of this data set are not on this machine"))
        for index, column in zip(rounds, columns[1:], strict=True):
            with column:
                if run.round(index).decoder is not None:
                    restored = restore_samples(run, index, np.array([sample]))
                    st.image(contact_sheet(restored, columns=1, cell=72), alt=say(f"restored at round {index}"))
                st.caption(say(f"round {index}: {safe_label(names[run.round(index).matched_labels[sample]])}"))


def _to_attention(run: Run, sample: int) -> None:
    """The way to what the network of each round looks at in the image."""
    link = {"network": TRAINED_RUN, "run": run.name, "picture": OF_RUN, "sample": str(sample), "view": "Attention"}
    st.page_link(page("attention"), label=say("Open in attention"), icon=":material/visibility:", query_params=link)


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
