"""What the page of super tokens is given: a photo, what its features come from, and how they are clustered. All cached."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.explain.supertoken_features import clusters_supertokens
from vitviz.runs.folder import Run, list_runs
from vitviz.ui import supertoken_words as words
from vitviz.ui.attention_words import keys_sentence
from vitviz.ui.choices import choose, choose_from, choose_name
from vitviz.ui.language import say
from vitviz.ui.pickers import PickedImage, describe_run, pick_run
from vitviz.ui.run_networks import has_network, pick_kept_round, version_of
from vitviz.ui.run_views import live_status

if TYPE_CHECKING:
    from vitviz.explain.supertokens import Features, Grouping

PIXELS, RUN, TIMM = "Pixels", "Trained run", "Any timm ViT"
METHOD, PRESET = "supertokens", "clothing-supertoken"
DEFAULT_TIMM = "vit_tiny_patch16_224"
AS_MEANT = "as meant"
MAX_ITERATIONS = 10

_MAX_WEIGHTS_MB = 400
_lock = threading.Lock()  # two cores: a class that opens the page together computes one after the other


@dataclass(frozen=True)
class Source:
    """What features come from. ``make`` turns pixels (H, W, 3) into ``Features``; ``key`` names all that they depend on.

    ``iterations`` and ``border``: what it is meant to be clustered with. ``is_trained``: its weights were trained by somebody.
    ``network``: how a link names the network to the page of attention; nothing where there is none. ``run``: whose network it is.
    """

    key: str
    label: str
    iterations: int
    is_trained: bool
    make: Callable[[np.ndarray], "Features"]
    border: str = "masked"
    network: Mapping[str, str] = field(default_factory=dict)
    run: Run | None = None


@dataclass(frozen=True)
class Choices:
    """How features are clustered; similarity and scale as they are meant when None."""

    similarity: str | None = None
    scale: float | None = None
    border: str = "masked"


@dataclass(frozen=True)
class Shown:
    """One clustered photo and the key of all it depends on."""

    photo: PickedImage
    source: Source
    choices: Choices
    grouping: "Grouping"
    key: str


def pick_source() -> Source | None:
    """What features come from, bound to ``?model=``; None while there is no run to choose."""
    has_runs = any(_is_ours(run) and has_network(run) for run in list_runs())
    kinds = (RUN, PIXELS, TIMM) if has_runs else (PIXELS, RUN, TIMM)
    with st.sidebar:
        kind = choose_from("Features from", kinds, key="model", help=words.SOURCES)
    if kind == RUN:
        run = pick_run(_is_ours, preset=PRESET, accept=has_network)
        return None if run is None else _of_run(run)
    return _of_timm() if kind == TIMM else _of_pixels()


def pick_choices(source: Source) -> Choices:
    """Similarity, border and scale, in the sidebar."""
    with st.sidebar.expander(say("Options")):
        similarity = choose_from(
            "Similarity", (AS_MEANT, "dot", "neg_sq_distance", "cosine"), key="similarity", help=words.SIMILARITY
        )
        scale = st.number_input(
            say("Scale"),
            min_value=0.0,
            value=None,
            format="%.4g",
            placeholder=say(AS_MEANT),
            key="scale",
            bind="query-params",
            help=say(words.SCALE),
        )
        border = choose_from("Border", (AS_MEANT, "masked", "stvit"), key="border", help=words.BORDER)
    return Choices(
        None if similarity == AS_MEANT else similarity, scale, source.border if border == AS_MEANT else border
    )


def group(photo: PickedImage, source: Source, choices: Choices) -> Shown:
    """The photo clustered, every iteration kept; cached by content, source and choices."""
    key = f"{photo.key}-{source.key}-{choices}"
    with st.spinner(say("Clustering the picture …")):
        features = _features(photo.key, source.key, _make=source.make, _pixels=photo.pixels)
        grouping = _grouping(key, _features=features, _choices=choices)
    return Shown(photo, source, choices, grouping, hashlib.sha256(key.encode()).hexdigest()[:16])


def warn(shown: Shown) -> None:
    """Say loudly what must not be mistaken for the paper's method."""
    source = shown.source
    if source.key.startswith("timm") and not source.is_trained:
        st.warning(say(words.UNTRAINED), icon=":material/warning:")
    if not source.is_trained and shown.choices.similarity == "dot":
        st.warning(say(words.DOT_UNTRAINED), icon=":material/warning:")


def cached(name: str, shown: Shown, make: Callable[[], Any], *more: Any) -> Any:
    """``make()`` kept under ``name``, what is shown and whatever else it depends on; shared, so read-only."""
    return _kept(name, shown.key, repr(more), _make=make)


def _of_pixels() -> Source:
    def make(pixels: np.ndarray) -> "Features":
        from vitviz.explain.supertokens import features_of_pixels

        return features_of_pixels(pixels)

    return Source("pixels", "pixels, nothing learned", MAX_ITERATIONS, False, make)


def _of_run(run: Run) -> Source:
    describe_run(run)
    live_status(run)
    settings = run.description().settings
    iterations = settings.get("num_iterations", 3) if clusters_supertokens(run) else 3

    with st.sidebar:
        index = pick_kept_round(run)
        zoom = choose("Fed at", (1, 2, 3), key="fed", help=words.ZOOM)
    version, told = version_of(run), run.name if index is None else f"{run.name}, round {index}"

    def make(pixels: np.ndarray) -> "Features":
        from vitviz.explain.supertokens import features_of_run

        return features_of_run(_run_model(run.name, version, index, _run=run), pixels, run_name=told, zoom=zoom)

    iterations, border = min(int(iterations), MAX_ITERATIONS), settings.get("border", "masked")
    key, network = f"run-{run.name}-{version}-{index}-{zoom}", {"network": "Trained run", "run": run.name}
    if index is not None:
        network["round"] = str(index)
    return Source(key, f"run {told}", iterations, True, make, border, network, run)


def _of_timm() -> Source:
    with st.sidebar:
        with st.spinner(say("Looking up timm's models …")):
            names = _timm_names()
        name = choose_name("timm ViT", names, key="timm", index=names.index(DEFAULT_TIMM), help=words.TIMM)
        file = st.file_uploader(
            say("Its weights"),
            type=["safetensors"],
            key="timm_weights",
            max_upload_size=_MAX_WEIGHTS_MB,
            help=say(words.WEIGHTS),
        )
        content = file.getvalue() if file else None
        digest = hashlib.sha256(content).hexdigest()[:16] if content else "untrained"
        with st.spinner(say(f"Building {name} …")):
            loaded = _timm_model(name, digest, _content=content)
        if loaded.keys is not None:
            st.caption(keys_sentence(loaded.keys))
        depth = len(loaded.model.blocks)
        block = st.slider(say("After block"), 0, depth - 1, value=depth - 1, key="block", bind="query-params")
        cell_size = st.slider(say("Tokens along a side of a cell"), 1, 4, value=2, key="cell", bind="query-params")

    def make(pixels: np.ndarray) -> "Features":
        from vitviz.explain.supertokens import features_of_vit

        return features_of_vit(loaded.model, pixels, name=loaded.label, cell_size=cell_size, block=block)

    key, network = f"timm-{name}-{digest}-{block}-{cell_size}", {"network": "Any timm ViT", "timm": name}
    return Source(key, loaded.label, 3, content is not None, make, network=network)


def _is_ours(run: Run) -> bool:
    """A classifier of the paper, with super tokens or a rival of theirs; or deep clustering of a network with super tokens."""
    try:
        return run.description().method == METHOD or clusters_supertokens(run)
    except Problem:
        return False


@st.cache_resource(max_entries=8, show_spinner=False)
def _features(photo_key: str, source_key: str, _make: Callable, _pixels: np.ndarray) -> "Features":
    with _lock:
        return _make(_pixels)


@st.cache_resource(max_entries=6, show_spinner=False)  # of a large photo's pixels one takes 50 MB
def _grouping(key: str, _features: "Features", _choices: Choices) -> "Grouping":
    from vitviz.explain.supertokens import group_features

    with _lock:
        return group_features(
            _features,
            num_iterations=MAX_ITERATIONS,
            similarity=_choices.similarity,
            scale=_choices.scale,
            border=_choices.border,
        )


@st.cache_resource(max_entries=64, show_spinner=False)
def _kept(name: str, key: str, more: str, _make: Callable[[], Any]) -> Any:
    return _make()


@st.cache_resource(max_entries=4, show_spinner=False)
def _run_model(name: str, version: str, round_index: int | None, _run: Run):
    from vitviz.explain.opened_models import load_run_model

    return load_run_model(_run, round_index).model


@st.cache_resource(max_entries=2, show_spinner=False)
def _timm_model(name: str, digest: str, _content: bytes | None):
    from vitviz.explain.timm_models import load_timm

    return load_timm(name, weights=_content)


@st.cache_resource(show_spinner=False)
def _timm_names() -> list[str]:
    from vitviz.explain.timm_models import list_timm_vits

    return list_timm_vits()
