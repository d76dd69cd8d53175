"""All presets by name, a file a paper, and the runs that one stands for. No torch in here.

What each reached, and on which machine, stands in ``docs/results.md``.
"""

from collections.abc import Sequence

from vitviz.config import unknown_name
from vitviz.errors import Problem
from vitviz.training.preset import Preset, PresetRow
from vitviz.training.presets_coat import COAT
from vitviz.training.presets_deep_clustering import DEEP_CLUSTERING
from vitviz.training.presets_subspace import SUBSPACE
from vitviz.training.presets_supertokens import SUPERTOKENS

PRESETS: dict[str, Preset] = {**DEEP_CLUSTERING, **SUPERTOKENS, **SUBSPACE, **COAT}


def find_preset(name: str, method: str | None = None) -> Preset:
    """The preset of that name. Raises Problem when there is none, or when it is neither of ``method`` nor listed under it."""
    if name not in PRESETS:
        raise unknown_name("preset", name, list(PRESETS))
    preset = PRESETS[name]
    if method not in (None, preset.method, preset.paper):
        raise Problem(f"preset '{name}' is one of {preset.method}, not of {method}")
    return preset


def preset_rows(preset: Preset, base: str, seeds: Sequence[int] = ()) -> list[PresetRow]:
    """The runs a preset with variants stands for, named ``<base>-<variant>-s<seed>``; all of a seed before the next seed."""
    return [
        PresetRow(f"{base}-{variant}-s{seed}", variant, {**preset.settings, **settings, "seed": seed})
        for seed in seeds or preset.seeds
        for variant, settings in preset.variants.items()
    ]
