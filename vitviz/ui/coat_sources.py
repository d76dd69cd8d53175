"""What the page of Clustering CoaT is given: a network, what of it is clustered and how, and a photo through it. All cached."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from vitviz.errors import Problem
from vitviz.explain.coat_networks import SIZES
from vitviz.runs.folder import Run, list_runs
from vitviz.ui import coat_words as words
from vitviz.ui.attention_words import keys_sentence
from vitviz.ui.choices import choose, choose_from
from vitviz.ui.language import say
from vitviz.ui.pickers import PickedImage, describe_run, pick_run
from vitviz.ui.run_networks import has_network, version_of
from vitviz.ui.run_views import live_status

if TYPE_CHECKING:
    import numpy as np

    from vitviz.explain.coat import CoatLook
    from vitviz.explain.coat_input import Preprocessing
    from vitviz.nn.coat import CoaT
    from vitviz.nn.coat_block import Clustering
    from vitviz.nn.query_groups import Grouping

RUN, LITE = "Trained run", "CoaT-Lite"
METHOD, PRESET = "coat", "clothing-coat"
AS_TRAINED, FACTORISED, SOFTMAX, NOTHING = "as trained", "factorised", "softmax", "none"
METHODS = ("e2lsh", "sign", "sign+lloyd", "kmeans", "blocks", "random")
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
NUMBERS = (4, 8, 16, 32, 64, 128, 256)
ZOOMS, SIDES = (1, 2, 4), (224, 320, 448)

_MAX_WEIGHTS_MB = 200
_MOST_PAIRS = 2**26  # prototypes x tokens of a head under softmax; more buckets than that are widened
_lock = threading.Lock()  # two cores: a class that opens the page together computes one after the other


@dataclass(frozen=True)
class Network:
    """A network to look through, shared and read-only. key: all that it depends on; label: for captions; trained: what it
    clusters by itself; preprocessing: how it is fed, its size included; class_names: () when they are not known.
    """

    key: str
    label: str
    model: "CoaT"
    trained: "Clustering"
    preprocessing: "Preprocessing"
    class_names: tuple[str, ...] = ()
    run: Run | None = None
    is_trained: bool = True

    @property
    def form(self) -> str:
        """The form of attention its weights were made for: ``softmax``, or ``factorised`` as CoaT's own."""
        return SOFTMAX if {"softmax", "full softmax"} & set(self.trained.attention) else FACTORISED


@dataclass(frozen=True)
class Shown:
    """One photo through one network, clustered; and the key of all it depends on."""

    photo: PickedImage
    network: Network
    clustering: "Clustering"
    look: "CoatLook"
    key: str


def pick_network() -> Network:
    """The network of ``?network=``: a trained run where there is one, else a CoaT-Lite as published."""
    has_runs = any(_is_ours(run) and has_network(run) for run in list_runs())
    kinds = (RUN, LITE) if has_runs else (LITE, RUN)
    with st.sidebar:
        kind = choose_from("Network", kinds, key="network", help=words.NETWORKS)
    if kind == RUN:
        run = pick_run((METHOD,), preset=PRESET, accept=has_network)
        if run is not None:
            return _of_run(run)
        st.sidebar.info(say(words.NO_RUN))
    return _of_lite()


def pick_clustering(network: Network) -> "Clustering":
    """What is clustered and how, in the sidebar; every choice bound to the address."""
    from vitviz.explain.coat_images import exact_of

    own = network.trained
    with st.sidebar:
        kind = choose("Cluster the queries", _kinds(network), key="kind", help=words.KINDS)
        has_mlp = st.toggle(say(words.MLP), key="mlp", bind="query-params", help=say(words.MLP_HELP))
        if kind == AS_TRAINED:
            st.caption(say(words.trained_sentence(own)))
        grouping, mlp_grouping = _pick_groupings(kind, has_mlp, own)
    clustering = own if kind == AS_TRAINED else _with_kind(exact_of(own), kind, network)
    clustering = replace(clustering, grouping=grouping)
    return replace(clustering, mlp_stages=(1, 2), mlp_grouping=mlp_grouping) if has_mlp else clustering


def look_at(photo: PickedImage, network: Network, clustering: "Clustering") -> Shown:
    """The photo through the network; cached by content, network and what is clustered."""
    clustering = _within_budget(network, photo.pixels, clustering)
    key = hashlib.sha256(f"{photo.key}-{network.key}-{clustering}".encode()).hexdigest()[:16]
    with st.spinner(say("Looking at the picture …")):
        found = _look(key, _pixels=photo.pixels, _network=network, _clustering=clustering)
    return Shown(photo, network, clustering, found, key)


def warn(shown: Shown) -> None:
    """Say loudly what must not be mistaken for what a clustered CoaT learns."""
    network = shown.network
    if not network.is_trained:
        st.warning(say(words.UNTRAINED), icon=":material/warning:")
    asked = {FACTORISED, SOFTMAX} & set(shown.clustering.attention)
    if network.is_trained and asked - {network.form}:
        st.warning(say(words.OTHER_FORM[network.form]), icon=":material/warning:")


def cached(name: str, shown: Shown, make: Callable[[], Any], *more: Any) -> Any:
    """``make()`` kept under ``name``, what is shown and whatever else it depends on; shared, so read-only."""
    return _kept(name, shown.key, repr(more), _make=make)


def computed(name: str, shown: Shown, make: Callable[[], Any], *more: Any) -> Any:
    """As :func:`cached`, for what takes long: one at a time in this process."""

    def make_alone() -> Any:
        with _lock:
            return make()

    return _kept(name, shown.key, repr(more), _make=make_alone)


def _kinds(network: Network) -> tuple[str, ...]:
    clusters = {FACTORISED, SOFTMAX} & set(network.trained.attention) or network.trained.mlp_stages
    other = FACTORISED if network.form == SOFTMAX else SOFTMAX
    return ((AS_TRAINED,) if clusters and network.run is not None else ()) + (network.form, other, NOTHING)


def _with_kind(exact: "Clustering", kind: str, network: Network) -> "Clustering":
    if kind == NOTHING:
        return exact
    stages = network.run.description().settings.get("clustered_stages", (1, 2)) if network.run else (1, 2)
    own = zip((1, 2, 3, 4), exact.attention, strict=True)
    return replace(exact, attention=tuple(kind if stage in stages else found for stage, found in own))


def _pick_groupings(kind: str, has_mlp: bool, own: "Clustering") -> tuple["Grouping", "Grouping"]:
    """The groupings of the queries and before the MLP; only what takes part is asked for."""
    from vitviz.nn.query_groups import Grouping

    grouping, has_queries = own.grouping, kind in (FACTORISED, SOFTMAX)
    if not has_queries and not has_mlp:
        return grouping, own.mlp_grouping
    method = choose_from("By", METHODS, key="by", help=words.METHODS)
    knob = {}
    if method in ("sign", "sign+lloyd"):
        knob = {
            "num_bits": st.slider(say("Bits b"), 2, 8, value=6, key="bits", bind="query-params", help=say(words.BITS))
        }
    elif method != "e2lsh":
        number = st.select_slider(
            say("Groups C"), NUMBERS, value=64, key="c", bind="query-params", help=say(words.NUMBER)
        )
        knob = {"num_clusters": number}
    wide, mlp_wide = {}, {}
    if method == "e2lsh" and has_queries:
        width = st.select_slider(
            say("Bucket width r"), WIDTHS[:8], value=4, key="r", bind="query-params", help=say(words.WIDTH)
        )
        wide = {"r_rel": float(width)}
    if method == "e2lsh" and has_mlp:
        width = st.select_slider(
            say("Bucket width r of the MLP"), WIDTHS, value=16, key="mlp_r", bind="query-params", help=say(words.WIDTH)
        )
        mlp_wide = {"r_rel": float(width)}
    queries = Grouping(method=method, **knob, **wide) if has_queries else grouping
    return queries, Grouping(method=method, **knob, **mlp_wide)


def _within_budget(network: Network, pixels: "np.ndarray", clustering: "Clustering") -> "Clustering":
    """With a bound on the groups where softmax of as many prototypes as the picture asks for would take too much."""
    from vitviz.explain.coat_costs import stage_grids
    from vitviz.explain.coat_input import fit_picture

    if SOFTMAX not in clustering.attention or clustering.grouping.method != "e2lsh":
        return clustering
    rows, columns = stage_grids(network.model, *fit_picture(network.model, pixels, network.preprocessing).shape[:2])[0]
    most = _MOST_PAIRS // (rows * columns)
    if most >= rows * columns:
        return clustering
    return replace(clustering, grouping=replace(clustering.grouping, max_clusters=most))


def _of_run(run: Run) -> Network:
    from vitviz.explain.coat_input import AS_TRAINED as SCALED

    describe_run(run)
    live_status(run)
    about, version = run.description(), version_of(run)
    zooms = [zoom for zoom in ZOOMS if zoom == 1 or zoom * about.img_size <= SIDES[-1]]
    with st.sidebar:
        zoom = choose("Fed at", zooms, key="zoom", help=words.ZOOM)
        if zoom > 1:
            st.caption(say(words.zoom_sentence(zoom, about.img_size)))
        with st.spinner(say("Loading the network …")):
            model = _run_model(run.name, version, _run=run)
    feed = replace(SCALED, img_size=zoom * about.img_size)
    key = f"run-{run.name}-{version}-{zoom}"
    label = f"run {run.name}, trained at {about.img_size} px"
    return Network(key, label, model, model.clustering, feed, about.class_names, run)


def _of_lite() -> Network:
    from vitviz.explain.coat_input import IMAGENET
    from vitviz.nn.coat_block import UNCLUSTERED

    with st.sidebar:
        size = st.selectbox(say("Size"), SIZES, key="size", bind="query-params", help=say(words.SIZES))
        side = choose("Fed at", SIDES, key="fed", help=words.FED)
        file = st.file_uploader(
            say("Its weights"),
            type=["safetensors"],
            key="coat_weights",
            max_upload_size=_MAX_WEIGHTS_MB,
            help=say(words.WEIGHTS),
        )
        content = file.getvalue() if file else None
        digest = hashlib.sha256(content).hexdigest()[:16] if content else "untrained"
        with st.spinner(say(f"Building CoaT-Lite {size} …")):
            lite = _lite(size, digest, _content=content)
        if lite.keys is not None:
            st.caption(keys_sentence(lite.keys))
    key, feed = f"lite-{size}-{digest}-{side}", replace(IMAGENET, img_size=side)
    return Network(key, lite.label, lite.model, UNCLUSTERED, feed, is_trained=content is not None)


def _is_ours(run: Run) -> bool:
    try:
        return run.description().method == METHOD
    except Problem:
        return False


@st.cache_resource(max_entries=3, show_spinner=False)  # of a large picture one takes up to 256 MiB
def _look(key: str, _pixels: "np.ndarray", _network: Network, _clustering: "Clustering") -> "CoatLook":
    from vitviz.explain.coat import look

    with _lock:
        return look(_network.model, _pixels, _clustering, preprocessing=_network.preprocessing)


@st.cache_resource(max_entries=64, show_spinner=False)
def _kept(name: str, key: str, more: str, _make: Callable[[], Any]) -> Any:
    return _make()


@st.cache_resource(max_entries=4, show_spinner=False)
def _run_model(name: str, version: str, _run: Run) -> "CoaT":
    from vitviz.training.coat import load_model

    return load_model(_run).requires_grad_(False)


@st.cache_resource(max_entries=3, show_spinner=False)
def _lite(size: str, digest: str, _content: bytes | None):
    from vitviz.explain.coat_networks import load_lite

    return load_lite(size, weights=_content)
