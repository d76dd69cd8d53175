"""Which runs of ours may stand side by side: those on the same images with the same settings, but for what a table varies."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitviz.errors import Problem
from vitviz.explain.paper_claims import COMPARISONS, Comparison
from vitviz.runs.folder import Run
from vitviz.runs.records import Samples

OWN = "own"
"""The key of the comparison of any runs."""

_NO_MATTER = {"seed", "device", "dataset", "projection", "num_clusters", "num_restarts"}
"""Settings that a classifier's score does not depend on, or, as the data set, that are compared otherwise."""


@dataclass(frozen=True)
class Setup:
    """What compared runs share: the same images, split and recipe. ``largest_class``: percent of the held-out images."""

    title: str
    dataset: str
    img_size: int
    num_classes: int
    num_train: int
    num_held_out: int
    largest_class: float
    runs: tuple[Run, ...]

    @property
    def chance(self) -> float:
        """Percent right by guessing any class alike."""
        return 100 / self.num_classes


def list_comparisons(runs: Iterable[Run]) -> dict[str, Comparison]:
    """The paper's tables, then every other preset that runs of the same methods are rows of, then any runs; by key."""
    methods = {one.method for one in COMPARISONS.values()}
    taken = {OWN, *COMPARISONS, *(one.preset for one in COMPARISONS.values())}
    abouts = [run.description() for run in _readable(runs)]
    found = {about.preset: about.method for about in abouts if about.method in methods and about.variant}
    others = {
        preset: Comparison(
            key=preset,
            preset=preset,
            method=method,
            title=f"Preset {preset}",
            question="Runs of one preset side by side.",
        )
        for preset, method in found.items()
        if preset and preset not in taken
    }
    own = Comparison(
        key=OWN, method="supertokens", title="Any runs", question="Any runs of yours on the same images, side by side."
    )
    return {**COMPARISONS, **others, OWN: own}


def find_setups(comparison: Comparison, runs: Iterable[Run]) -> tuple[Setup, ...]:
    """The setups there are runs of, each with its runs; those with most variants first."""
    groups: dict[tuple, list[Run]] = {}
    for run in _readable(runs):
        about = run.description()
        if about.method == comparison.method and comparison.preset in ("", about.preset):
            key = (about.dataset_fingerprint, about.img_size, about.num_images, _shared(run, comparison))
            groups.setdefault(key, []).append(run)
    ordered = sorted(groups.values(), key=lambda group: -len({run.description().variant for run in group}))
    titles = distinct_titles([group[0] for group in ordered], _head_with_epochs if comparison.rows else _head)
    return tuple(_setup(group, title) for group, title in zip(ordered, titles, strict=True))


def distinct_titles(runs: Sequence[Run], title_of: Callable[[Run], str], *, most: int = 3) -> list[str]:
    """A title a run; those that are alike get up to ``most`` of the settings in which their runs differ, then a number."""
    titles, settings = [title_of(run) for run in runs], [settings_that_matter(run) for run in runs]
    named: list[str] = []
    for title, mine in zip(titles, settings, strict=True):
        rivals = [other for known, other in zip(titles, settings, strict=True) if known == title]
        differing = [key for key in mine if any(other.get(key) != mine[key] for other in rivals)]
        words = [f"{key.replace('_', '-')}={mine[key]}" for key in differing[:most]]
        full = ", ".join([title, *words])
        taken = sum(other == full or other.startswith(f"{full} (") for other in named)
        named.append(f"{full} ({taken + 1})" if taken else full)
    return named


def name_of(run: Run) -> str:
    """What a run is a seed of: its variant, or its name without ``-s0``."""
    about = run.description()
    return about.variant or re.sub(r"-s\d+$", "", run.name)


def settings_that_matter(run: Run) -> dict[str, Any]:
    """The settings of a run without its seed and without what its score does not depend on."""
    return {key: value for key, value in run.description().settings.items() if key not in _NO_MATTER}


def frozen(settings: Mapping[str, Any]) -> str:
    """Settings as a text that is the same for the same settings."""
    return json.dumps(settings, sort_keys=True, default=str)


def _setup(runs: Sequence[Run], title: str) -> Setup:
    about, samples = runs[0].description(), _samples(runs)
    held_out = samples.classes[samples.held_out & (samples.classes >= 0)]
    most = Counter(held_out.tolist()).most_common(1)
    return Setup(
        title=title,
        dataset=about.dataset_title or about.dataset,
        img_size=about.img_size,
        num_classes=max(len(about.class_names), 1),
        num_train=int((~samples.held_out).sum()),
        num_held_out=len(held_out),
        largest_class=100 * most[0][1] / len(held_out) if most else 0.0,
        runs=tuple(runs),
    )


def _head(run: Run) -> str:
    about = run.description()
    return f"{about.dataset_title or about.dataset}, {about.img_size} px, {about.num_images:,} images"


def _head_with_epochs(run: Run) -> str:
    return f"{_head(run)}, {run.description().settings.get('epochs', '?')} epochs"


def _shared(run: Run, comparison: Comparison) -> str:
    """The settings that all runs of a setup must agree in; none where a comparison has no rows of its own."""
    if not comparison.rows:
        return ""
    return frozen({key: value for key, value in settings_that_matter(run).items() if key not in comparison.varies})


def _samples(runs: Sequence[Run]) -> Samples:
    """Those of the first run that still has them; they are the same for all, but for seeds that draw the split."""
    for run in runs[:-1]:
        try:
            return run.samples()
        except Problem:
            continue
    return runs[-1].samples()


def _readable(runs: Iterable[Run]) -> list[Run]:
    found = []
    for run in runs:
        try:
            run.description()
        except Problem:
            continue
        found.append(run)
    return found
