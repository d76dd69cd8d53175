"""The settings of every method by its noun, and of its control: the half of ``training/methods.py`` that needs no torch."""

from collections.abc import Callable
from typing import Any

from vitviz.training.coat_config import CoatConfig
from vitviz.training.deep_clustering_config import DeepClusteringConfig, control_of
from vitviz.training.idec_config import IdecConfig
from vitviz.training.spectral import SpectralConfig
from vitviz.training.subspace_config import SubspaceConfig
from vitviz.training.supertokens_config import SuperTokensConfig

CONFIGS: dict[str, type] = {
    "deep_clustering": DeepClusteringConfig,
    "idec": IdecConfig,
    "supertokens": SuperTokensConfig,
    "subspace": SubspaceConfig,
    "coat": CoatConfig,
    "spectral": SpectralConfig,
}


def summary_of(noun: str) -> str:
    """What a method does in one sentence: the first of its settings' docstring."""
    return (CONFIGS[noun].__doc__ or "").strip().partition(". ")[0] + "."


CONTROLS: dict[str, Callable[[Any], dict[str, Any] | None]] = {"deep_clustering": control_of}
"""Of methods that have one: the settings that make the run to compare with."""
