"""What is explained on the page of attention: a class of the network, or nearness to a cluster's center of its run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.ui import attention_words as words
from vitviz.ui.attention_sources import Shown
from vitviz.ui.choices import choose_from
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.results import computed
from vitviz.ui.run_views import cluster_names

if TYPE_CHECKING:
    from vitviz.explain.attribution import Target

_CLUSTER = "cluster "


@dataclass(frozen=True)
class Asked:
    """What is explained: name, as it stands in the address; target, for attributions; and for relevance a class or a center."""

    name: str
    target: "Target"
    of_relevance: int | np.ndarray


def probabilities(shown: Shown) -> np.ndarray:
    """The network's answer (classes,) float32 for the picture, 0..1. Raises: Problem when it has no classifier."""

    def make() -> np.ndarray:
        import torch

        from vitviz.explain.attribution import logits_of

        with torch.inference_mode():
            return logits_of(shown.network.opened.model, shown.images()).softmax(dim=1)[0].cpu().numpy()

    return computed("answer", shown.key, make)


def pick_target(shown: Shown) -> Asked:
    """A class, the likeliest first, or a cluster of the run; bound to ``?target=``.

    Raises: Problem when there is neither.
    """
    names = [*_class_options(shown), *_cluster_options(shown)]
    if not names:
        why = "the network has no classifier, and no run with clusters"
        raise Problem("there is nothing to explain", why, "Attention, Through layers and Patches work without")
    chosen = choose_from("Explain", names, key="target", help=words.TARGET)
    return _cluster(shown, chosen) if chosen.startswith(_CLUSTER) else _class(shown, chosen)


def _class_options(shown: Shown) -> list[str]:
    """Every class, the likeliest first; none without a classifier."""
    try:
        answer = probabilities(shown)
    except Problem:
        return []
    return [words.class_option(shown.network.opened, int(index)) for index in np.argsort(-answer, kind="stable")]


def _cluster_options(shown: Shown) -> list[str]:
    """``cluster 3 (dress)`` of every cluster at the round that is looked at; none where there is no run."""
    run, index = shown.network.run, _round_of(shown)
    if run is None or index is None:
        return []
    from vitviz.explain.run_targets import list_clusters

    names = cluster_names(run)
    return [names[cluster] for cluster in list_clusters(run, index)]


def _class(shown: Shown, option: str) -> Asked:
    from vitviz.explain.attribution import class_target

    number, _, name = option.removeprefix("class ").partition(": ")
    answer, index = probabilities(shown), int(number)
    if shown.network.opened.has_classifier:
        place = int((answer > answer[index]).sum()) + 1
        st.caption(
            say(f"{safe_label(say(option))}: probability {answer[index]:.1%}, number {place} of {len(answer):,}")
        )
    else:
        st.caption(say(words.NO_CLASSIFIER))
    return Asked(option, class_target(index, name), index)


def _cluster(shown: Shown, name: str) -> Asked:
    from vitviz.explain.run_targets import center_of, cluster_target

    run, index = shown.network.run, _round_of(shown)
    cluster = cluster_names(run).index(name)
    return Asked(name, cluster_target(run, index, cluster, name), center_of(run, index, cluster))


def _round_of(shown: Shown) -> int | None:
    """The round whose centers belong to the network: the one that is looked at, or the only one of a classifier."""
    network = shown.network
    if network.run is None or network.round_index is not None:
        return network.round_index
    return 0 if network.run.num_rounds() == 1 else None
