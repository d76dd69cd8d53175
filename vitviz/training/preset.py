"""What a preset is: named settings that a command line, a page and the documents mean the same thing by. No torch in here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings for one method. ``paper`` is the noun it is listed under, ``method`` the one that runs it.

    With ``variants`` it stands for several runs, as the rows of a paper's table: each adds its settings, at every seed.
    """

    method: str
    title: str
    why: str
    paper: str = "deep_clustering"
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)


class PresetRow(NamedTuple):
    """One run of a preset with variants."""

    name: str
    variant: str
    settings: dict[str, Any]


# a few thousand images and a few dozen epochs: DeiT's full strength would keep such a run from fitting anything
MILD = {"rand_augment": 5.0, "random_erasing": 0.1, "mixup": 0.2, "cutmix": 0.5}
"""Augmentation of the classifiers of photographs."""
