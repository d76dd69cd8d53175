"""The registry: one line a method. A method is settings (``training/configs.py``), a generator of records, and a way to embed
an image with its runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitviz.config import from_plain, unknown_name
from vitviz.errors import Problem
from vitviz.ranks import Ranks
from vitviz.runs.folder import Run
from vitviz.training import coat, deep_clustering, idec, spectral, subspace, subspace_model, supertokens
from vitviz.training.configs import CONFIGS, CONTROLS


@dataclass(frozen=True, kw_only=True)
class Method:
    """config: its settings class; train: ``(config, run) -> records``; embed: ``(run, round, images) -> (N, D)``.

    control: the settings that make the run to compare with, or None. is_shareable: whether several processes can train it.
    """

    config: type
    train: Callable[[Any, Run], Iterator[dict[str, Any]]]
    embed: Callable[[Run, int, np.ndarray], np.ndarray]
    control: Callable[[Any], dict[str, Any] | None] = lambda config: None
    is_shareable: bool = True


METHODS: dict[str, Method] = {
    "deep_clustering": Method(
        config=CONFIGS["deep_clustering"],
        train=deep_clustering.train_deep_clustering,
        embed=deep_clustering.embed_with,
        control=CONTROLS["deep_clustering"],
    ),
    "idec": Method(config=CONFIGS["idec"], train=idec.train_idec, embed=idec.embed_with),
    "supertokens": Method(
        config=CONFIGS["supertokens"], train=supertokens.train_supertokens, embed=supertokens.embed_with
    ),
    "subspace": Method(
        config=CONFIGS["subspace"],
        train=subspace.train_subspace,
        embed=subspace_model.embed_with,
        is_shareable=False,
    ),
    "coat": Method(config=CONFIGS["coat"], train=coat.train_coat, embed=coat.embed_with),
    "spectral": Method(
        config=CONFIGS["spectral"], train=spectral.train_spectral, embed=spectral.embed_with, is_shareable=False
    ),
}


def find_method(name: str) -> Method:
    """The method of that noun. Raises Problem naming the nearest known one."""
    if name not in METHODS:
        raise unknown_name("method", name, list(METHODS))
    return METHODS[name]


def check_shareable(name: str, config: Any, ranks: Ranks) -> None:
    """Raises: Problem when several processes cannot train that method with these settings to what one would."""
    if ranks.size == 1:
        return
    if not find_method(name).is_shareable:
        raise Problem(
            f"{name} trains in one process", "every step takes all images at once", "start it without torchrun"
        )
    if getattr(config, "reduction", "mean") != "mean":
        raise Problem(
            f"reduction={config.reduction} trains in one process", "", "choose mean, or start without torchrun"
        )


def config_of(run: Run) -> Any:
    """The settings a run was made with, as its method's config."""
    about = run.description()
    return from_plain(find_method(about.method).config, about.settings)
