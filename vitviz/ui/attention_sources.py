"""What the page of attention is given: a network, a picture as it is fed, and the key of all that depends on both."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.runs.folder import Run, list_runs
from vitviz.ui import attention_words as words
from vitviz.ui.attention_weights import pick_timm
from vitviz.ui.choices import choose, choose_from, choose_name
from vitviz.ui.language import say
from vitviz.ui.pickers import PickedImage, describe_run
from vitviz.ui.results import computed
from vitviz.ui.run_networks import has_network, pick_kept_round, version_of
from vitviz.ui.run_views import live_status

if TYPE_CHECKING:
    from torch import Tensor

    from vitviz.explain.attention_tokens import TokenLayout
    from vitviz.explain.opened_models import OpenedModel

RUN, TIMM = "Trained run", "Any timm ViT"
METHODS, PRESET = ("supertokens", "deep_clustering"), "clothing-supertoken"


@dataclass(frozen=True)
class Network:
    """A network to look into, shared and read-only. key: all that it depends on; untrained: the same before training."""

    key: str
    opened: "OpenedModel"
    untrained: "Callable[[], OpenedModel] | None" = None
    run: Run | None = None
    round_index: int | None = None


@dataclass(frozen=True)
class Shown:
    """A picture through a network.

    fed: (S, S, 3) uint8, exactly what the network sees; layout: its tokens, None where there is no grid, then ``no_grid`` says
    why; key: all that these depend on.
    """

    picture: PickedImage
    network: Network
    fed: np.ndarray
    layout: "TokenLayout | None"
    no_grid: str
    key: str

    def images(self) -> "Tensor":
        """The picture (1, 3, S, S) as the network takes it."""
        from vitviz.explain.preprocessing import to_input

        opened = self.network.opened
        return to_input(opened.model, self.fed[None], opened.preprocessing)

    def needs_grid(self) -> "TokenLayout":
        """Its tokens. Raises: Problem when the network has no grid of them."""
        if self.layout is None:
            raise Problem("this network has no map of attention", self.no_grid, "Attribution works without one")
        return self.layout


def pick_network(*, beside: bool = False) -> Network | None:
    """The network of ``?network=``: a trained run, else any ViT of timm; None while there is no run to choose.

    ``beside``: a second one, under names of its own in the address, the same choices otherwise.
    """
    runs = _runs()
    prefix, kinds = "b_" if beside else "", (RUN, TIMM) if runs else (TIMM, RUN)
    kind = choose_from("Network", kinds, key=f"{prefix}network", help=words.NETWORKS)
    if kind == TIMM:
        return _of_timm(prefix)
    if not runs:
        st.info(say(words.NO_RUN))
        return None
    return _of_run(runs, prefix)


def feed(picture: PickedImage, network: Network, framing: str | None = None) -> Shown:
    """The picture as the network sees it; ``framing`` is the network's own when None."""
    from vitviz.explain.attention_tokens import layout_of
    from vitviz.explain.preprocessing import frame

    key = hashlib.sha256(f"{picture.key}-{network.key}-{framing}".encode()).hexdigest()[:16]
    fed = computed("fed", key, lambda: frame(picture.pixels, network.opened.preprocessing, framing))
    try:
        return Shown(picture, network, fed, layout_of(network.opened.model, fed.shape[:2]), "", key)
    except Problem as problem:
        return Shown(picture, network, fed, None, problem.why or problem.what, key)


def pick_framing(network: Network) -> str | None:
    """How the picture is brought to the network's square, in the sidebar, with all of the preprocessing in words."""
    own = network.opened.preprocessing
    with st.sidebar.expander(say("How the picture is fed")):
        kinds = (words.FRAMING[own.framing], *(text for kind, text in words.FRAMING.items() if kind != own.framing))
        chosen = choose("Framing", kinds, key="framing", label_visibility="collapsed")
        framing = next(kind for kind, text in words.FRAMING.items() if text == chosen)
        st.caption(say(f"{own.sentence(framing)}."))
    return framing


def untrained_twin(network: Network) -> Network | None:
    """The control: the same network with random weights; None where that is all it has."""
    if network.untrained is None or not network.opened.is_trained:
        return None
    key = f"{network.key}-untrained"
    return Network(key, computed("twin", key, network.untrained))


def can_look_into(run: Run) -> bool:
    """Whether this page can look into a run: it is of a method with attention, and kept weights."""
    try:
        return run.description().method in METHODS and has_network(run)
    except Problem:
        return False


def _runs() -> dict[str, Run]:
    return {run.name: run for run in list_runs() if can_look_into(run)}


def _of_run(runs: dict[str, Run], prefix: str) -> Network:
    names = list(runs)
    start = names.index(PRESET) if PRESET in names else 0
    name = choose_name("Run", names, key=f"{prefix}run", index=start, help=words.RUNS)
    run = runs[name]
    index = pick_kept_round(run, key=f"{prefix}round")
    if not prefix:
        describe_run(run)
        live_status(run)
    version = version_of(run)
    with st.spinner(say("Loading the network …")):
        opened = _run_model(name, version, index, False, _run=run)
    return Network(
        f"run-{name}-{version}-{index}", opened, lambda: _run_model(name, version, index, True, _run=run), run, index
    )


def _of_timm(prefix: str) -> Network:
    key, opened, untrained = pick_timm(prefix)
    return Network(key, opened, untrained)


@st.cache_resource(max_entries=8, show_spinner=False)
def _run_model(name: str, version: str, round_index: int | None, untrained: bool, _run: Run) -> "OpenedModel":
    from vitviz.explain.opened_models import load_run_model

    return load_run_model(_run, round_index, untrained=untrained)
