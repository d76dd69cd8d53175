"""The super tokens beside their controls: the patch grid and SLIC, scores against people's drawings, what embeddings cost."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from vitviz.data.decoding_apart import MAX_MEGABYTES, read_ground_truth_apart
from vitviz.explain.embedding_costs import EmbeddingCost, compare_embeddings
from vitviz.explain.segmentation import (
    count_components,
    enforce_connectivity,
    explained_variation,
    grid_labels,
    score_segments,
    slic_labels,
)
from vitviz.explain.supertokens import at_pixels
from vitviz.ui import supertoken_words as words
from vitviz.ui.components.image_canvas import image_canvas
from vitviz.ui.language import say, say_keys
from vitviz.ui.problems import shown_problems
from vitviz.ui.supertoken_sources import MAX_ITERATIONS, Shown, cached
from vitviz.ui.supertoken_views import asked_step, labels_layer, photo_url, remember_step

OURS, GRID, SLIC = "Super tokens", "Patch grid", "SLIC"
CLAIMED = {"patch": "0.30 M", "conv (Table 4)": "1.00 M", "conv (EarlyConv's stem)": "1.00 M", "super-token": "0.09 M"}


@st.fragment
def show_beside(shown: Shown) -> None:
    """Ours, the patch grid and SLIC with as many segments, in the same palette, and their numbers."""
    left, right = st.columns(2)
    with left:
        step = st.slider(say("Iteration t"), 0, MAX_ITERATIONS, value=asked_step(shown), key="t_beside")
    remember_step(shown, step)
    with right:
        repaired = st.toggle(
            say("Repair torn regions"), value=True, key="repaired", bind="query-params", help=say(words.REPAIRED)
        )
    with st.spinner(say("Segmenting the picture three ways …")):
        maps = segment(shown, step, repaired)
    for column, (name, labels) in zip(st.columns(3), maps.items(), strict=True):
        with column:
            st.markdown(f"**{say(name)}**")
            _one_map(shown, name, labels, f"{name}-{step}-{repaired}")
    st.caption(say(words.recipe_caption(shown.grouping.recipe, step, words.BESIDE)))
    _scores(shown, maps)


def segment(shown: Shown, step: int, repaired: bool) -> Mapping[str, np.ndarray]:
    """Three maps (H, W) of the photo: ours, the grid it starts from, and SLIC with as many segments as ours ends with."""
    pixels = shown.photo.pixels

    def ours() -> np.ndarray:
        labels = at_pixels(shown.grouping.labels[step], *pixels.shape[:2])
        return enforce_connectivity(labels) if repaired else labels

    found = cached("ours", shown, ours, step, repaired)
    grid = tuple(min(one, side) for one, side in zip(shown.grouping.grid, pixels.shape[:2], strict=True))
    number = len(np.unique(found))
    return {
        OURS: found,
        GRID: cached("grid", shown, lambda: grid_labels(*pixels.shape[:2], grid)),
        SLIC: cached("slic", shown, lambda: slic_labels(pixels, number), number),
    }


def show_embeddings(shown: Shown) -> None:
    """What the paper's three embeddings cost on this photo and machine, beside what the paper claims."""
    with st.spinner(say("Running the photo through the embeddings …")):
        costs = cached("costs", shown, lambda: _measure(shown.photo.pixels))
    rows = [say_keys(_cost_row(cost)) for cost in costs]
    st.table(rows, hide_index=True, border="horizontal", alt=say("cost of the embeddings"))
    st.caption(say(words.EMBEDDINGS))
    st.markdown(say(words.CLAIMS))


def _measure(pixels: np.ndarray) -> tuple[EmbeddingCost, ...]:
    from vitviz.nn.embed import ConvEmbed, NormedPatchEmbed, SuperTokenEmbed

    models = (NormedPatchEmbed(), ConvEmbed(), ConvEmbed(stem="earlyconv"), SuperTokenEmbed())
    return compare_embeddings(pixels, models=dict(zip(CLAIMED, [model.eval() for model in models], strict=True)))


def _cost_row(cost: EmbeddingCost) -> dict[str, str]:
    return {
        "embedding": say(cost.name),
        "tokens": f"{cost.tokens:,}",
        "parameters, counted": f"{cost.parameters:,}",
        "the paper's claim": CLAIMED[cost.name],
        "multiply-adds": f"{cost.macs / 1e6:,.0f} M",
        "time here": f"{cost.milliseconds:,.1f} ms",
    }


def _one_map(shown: Shown, name: str, labels: np.ndarray, key: str) -> None:
    height, width = shown.photo.pixels.shape[:2]
    labels_url, colors = labels_layer(shown, labels[None], key)
    image_canvas(
        key=f"beside_{name}",
        photo_url=photo_url(shown),
        width=width,
        height=height,
        alt=f"{shown.photo.name} in segments: {name}",
        labels_url=labels_url,
        color_of_id=colors,
        id_text="segment {id}",
        max_pins=0,
        max_height=420,
        follow=shown.key,
        labels={"idle_bare": ""},
    )
    value, number, pieces = cached(
        "numbers",
        shown,
        lambda: (explained_variation(shown.photo.pixels, labels), len(np.unique(labels)), count_components(labels)),
        key,
    )
    st.metric(say("Explained variation"), f"{value:.3f}", border=True, help=say(words.EXPLAINED))
    st.caption(say(f"{number:,} segments in {pieces:,} connected pieces"))


def _scores(shown: Shown, maps: Mapping[str, np.ndarray]) -> None:
    """Scores of the three maps when somebody's drawing of the photo is given."""
    with st.expander(say("Scores against people's drawings")), shown_problems():
        types = ["mat", "png", "tif", "tiff", "bmp"]
        file = st.file_uploader(
            say("Ground truth"), type=types, key="truth", help=say(words.TRUTH), max_upload_size=MAX_MEGABYTES
        )
        if file is None:
            st.caption(say(words.TRUTH))
            return
        truths = read_ground_truth_apart(file.getvalue(), name=file.name)
        with st.spinner(say("Scoring …")):
            rows = [
                say_keys({"map": say(name), **words.score_row(score_segments(labels, truths, shown.photo.pixels))})
                for name, labels in maps.items()
            ]
        digits = {name: st.column_config.NumberColumn(format="%.4f") for name in list(rows[0])[1:6]}
        st.dataframe(rows, hide_index=True, column_config=digits)
        people = f"{len(truths)} drawings" if len(truths) > 1 else "one drawing"
        st.caption(say(f"Against {people}. {words.SCORES}"))
