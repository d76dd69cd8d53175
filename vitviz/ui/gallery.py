"""Runs as cards and as a table, and the sentences around them."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import streamlit as st

from vitviz.data.photographs import list_photographs, open_photograph
from vitviz.errors import Problem
from vitviz.explain.sheets import map_thumbnail
from vitviz.explain.subspace import layer_of, order_images, take_snapshot
from vitviz.explain.subspace_weave import weave
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run, list_runs
from vitviz.training.presets import PRESETS
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_keys
from vitviz.ui.navigation import METHOD_PAGES, address_of, page, title_of_method
from vitviz.ui.problems import shown_problems

_FIRST = ("digits", "digits-half-trained", "digits-unsupervised", "digits-subspace-steps")
_THUMB = 200
_PAPERS = (
    ("ViT deep clustering", "k-means and retraining in turns; maps, curves, movers", "deep_clustering"),
    ("Super-token convolutional embedding", "pixels grouped into tokens before the transformer", "supertokens"),
    ("Deep subspace clustering with channel attention", "every image written as a mix of others", "subspace"),
    ("Clustering CoaT", "queries grouped inside the attention", "coat"),
)


def begin_here(runs: Sequence[Run]) -> None:
    """A row of cards: the shipped lessons in their order, else the three newest runs."""
    shown = [run for run in runs if _has_page(run)]
    chosen = sorted((run for run in shown if run.name in _FIRST), key=lambda run: _FIRST.index(run.name)) or shown[:3]
    if not chosen:
        st.info(
            say("There is no run yet. The line below makes the first one in about two minutes."),
            icon=":material/play_circle:",
        )
        return
    for column, run in zip(st.columns(len(chosen)), chosen, strict=True):
        with column, st.container(border=True, height="stretch"), shown_problems():
            _card(run)


def microscope() -> None:
    """The way to the super tokens of a photo, with a bundled one."""
    photos = list_photographs()
    with st.container(border=True):
        left, right = st.columns((1, 3), vertical_alignment="center")
        if photos:
            with left:
                st.image(_photograph(photos[0].name), alt=say(photos[0].title))
        with right:
            st.markdown(say("**Put a photo under the microscope**"))
            st.caption(
                say(
                    "Upload one, or take a bundled one: see which pixels a vision transformer gathers into one token, click a "
                    "token to see what it takes from its neighbours, and hold it against a plain grid and SLIC."
                )
            )
            with st.container(horizontal=True):
                st.page_link(page("supertokens"), label=say("See its super tokens"), icon=":material/arrow_forward:")
                st.page_link(
                    page("attention"), label=say("See where the network looks"), icon=":material/arrow_forward:"
                )


def papers() -> None:
    """The four papers and their pages."""
    st.header(say("Four papers"))
    for column, (title, sentence, name) in zip(st.columns(4), _PAPERS, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.markdown(say(f"**{title}**"))
            st.caption(say(sentence))
            st.page_link(page(name), label=say("Open"), icon=":material/arrow_forward:")


def make_your_own() -> None:
    """The lines that make and list runs."""
    st.header(say("Make your own"))
    st.markdown(say("On the page Train, or in a terminal beside the app; the run appears here while it grows."))
    st.page_link(page("train"), label=say("Train a run"), icon=":material/model_training:")
    st.code(
        "python -m vitviz train deep_clustering --preset digits --set seed=1 --run my-digits\n"
        "python -m vitviz train deep_clustering --set dataset=path/to/folder --set num-clusters=5 --run my-photos\n"
        "python -m vitviz train supertokens --set dataset=path/to/folder --run my-tokens\n"
        "python -m vitviz runs",
        language=None,
        wrap_lines=True,
    )


def table(runs: Sequence[Run]) -> None:
    """One line a run, with its last scores; a damaged run says so in its line."""
    if not runs:
        st.info(say("There is no run yet."), icon=":material/folder_open:")
        return
    looks = {
        "open": st.column_config.LinkColumn(say("open"), display_text=say("open")),
        "NMI": st.column_config.NumberColumn(format="%.3f"),
        "ACC": st.column_config.NumberColumn(format="%.3f"),
        "W/T": st.column_config.NumberColumn(format="%.3f"),
    }
    st.dataframe([say_keys(_row(run)) for run in runs], hide_index=True, column_config=say_keys(looks))


def growing_table() -> None:
    """The table of all runs, looked at again every three seconds while one is being trained."""
    is_growing = _is_any_growing(list_runs())

    @st.fragment(run_every=3 if is_growing else None)
    def tick() -> None:
        runs = list_runs()
        table(runs)
        if _is_any_growing(runs) != is_growing:
            st.rerun()

    tick()


@st.cache_resource(max_entries=1, show_spinner=False)
def _photograph(name: str) -> np.ndarray:
    return open_photograph(name, max_side=360).pixels


def _is_any_growing(runs: Sequence[Run]) -> bool:
    return any(not run.is_shipped() and run.status().state == "running" for run in runs)


def _has_page(run: Run) -> bool:
    try:
        return run.description().method in METHOD_PAGES and not run.is_scores_only()
    except Problem:
        return False


def _card(run: Run) -> None:
    about, records = run.description(), run.round_metrics()
    preset = PRESETS.get(about.preset)
    st.markdown(f"**{safe_label(say(about.title or run.name))}**")
    st.caption(say(preset.why) if preset else safe_label(say(about.dataset_title)))
    _picture(run)
    if records:
        _metric(records)
    name, _, query = address_of(run).partition("?")
    st.page_link(
        page(name),
        label=say("Step through it" if METHOD_PAGES[about.method] == "deep_clustering" else "Open"),
        icon=":material/arrow_forward:",
        query_params=dict(parse_qsl(query)),
    )


def _metric(records: Sequence[Mapping[str, Any]]) -> None:
    """The score of the last round and its change, or of the round that was chosen without labels."""
    counting = _counting(records)
    if counting.get("acc") is not None:
        steps = f" after step {counting['step']:d}" if counting.get("step") else ""
        note = {"delta_color": "off", "delta_arrow": "off"}
        change = say("chosen without labels")
        st.metric(say(f"ACC over all images{steps}"), f"{counting['acc']:.3f}", change, **note)
    elif counting.get("held_out_nmi") is not None:
        first, last = records[0]["held_out_nmi"], counting["held_out_nmi"]
        st.metric(
            say(f"Held-out NMI after {len(records) - 1} rounds"),
            f"{last:.3f}",
            say(f"{last - first:+.3f} since round 0"),
        )


def _counting(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The round whose scores count: the one a run chose among its rounds, else the last."""
    last = records[-1]
    return records[last["selection"]["round"]] if last.get("selection") else last


def _picture(run: Run) -> None:
    """Two pictures side by side: the map before and after, or C with the images as they come and by cluster."""
    if run.description().method == "subspace":
        _affinity_twice(run)
    else:
        _first_and_last_map(run)


def _affinity_twice(run: Run) -> None:
    if not run.num_rounds():
        return
    pictures = _affinity_pictures(run.name, run.version(), _run=run)
    captions = ("unsorted", "by cluster")
    for column, picture, caption in zip(st.columns(2), pictures, captions, strict=True):
        with column:
            st.image(
                picture, caption=say(caption), width="stretch", alt=say(f"which images make each other up, {caption}")
            )


@st.cache_resource(max_entries=4, show_spinner=False)
def _affinity_pictures(name: str, version: str, _run: Run) -> list[np.ndarray]:
    """The last round's C without signs, (S, S) uint8, bright where one image takes much of another."""
    snapshot = take_snapshot(_run, _run.num_rounds() - 1)
    matrix = layer_of(snapshot, "plain")
    woven = (weave(matrix, order_images(snapshot, order), side=_THUMB) for order in ("data", "cluster"))
    return [(255 * one.values).astype(np.uint8) for one in woven]


def _first_and_last_map(run: Run) -> None:
    projection = run.projection()
    if projection is None:
        return
    last = len(projection.points) - 1
    for column, index in zip(st.columns(2), (0, last), strict=True):
        labels = np.asarray(run.round(index).matched_labels)
        with column:
            picture = map_thumbnail(projection.points[index], labels, cluster_colors(int(labels.max()) + 1))
            alt = f"map of {len(labels):,} images at round {index}, one colour a cluster"
            st.image(picture, caption=say(f"round {index}"), width="stretch", alt=say(alt))


def _row(run: Run) -> dict[str, Any]:
    try:
        about, records = run.description(), run.round_metrics()
    except Problem as problem:
        return {"run": run.name, "state": say(f"cannot be read: {problem.why or problem.what}")}
    counting = _counting(records) if records else {}
    # a method that holds nothing out scores all its images
    prefix, images = ("", "all images") if "nmi" in counting else ("held_out_", "held-out images")
    nmi, acc = counting.get(f"{prefix}nmi"), counting.get(f"{prefix}acc")
    return {
        "run": run.name,
        "open": address_of(run),
        "state": say("shipped" if run.is_shipped() else run.status().state),
        "method": say(title_of_method(about.method)),
        "data set": say(about.dataset_title),
        "seed": about.seed,
        "rounds": len(records),
        "NMI": nmi,
        "ACC": acc,
        "scored on": "–" if nmi is None and acc is None else say(images),
        "W/T": counting.get("within_share"),
        "made": about.created[:10],
    }
