"""Which runs of ours may stand side by side: those on the same images with the same settings, but for what a table varies."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitviz.clustering.metrics import clustering_accuracy
from vitviz.config import to_plain
from vitviz.errors import Problem
from vitviz.explain.paper_claims import COMPARISONS, Comparison
from vitviz.explain.scoring import SCORINGS, Scoring
from vitviz.runs.folder import Run
from vitviz.runs.records import Samples

OWN = "own"
"""The key of the comparison of any runs."""

_NUM_RANDOM = 20


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What compared runs share: the same images, split, recipe and way to be scored.

    Two scores in percent need no network: ``chance``, of guesses or of random ids, and ``largest_class``, of naming that alone.
    """

    title: str
    scoring: Scoring
    dataset: str
    img_size: int
    num_classes: int
    num_images: int
    num_train: int
    num_scored: int
    chance: float
    largest_class: float
    runs: tuple[Run, ...]


def list_comparisons(runs: Iterable[Run]) -> dict[str, Comparison]:
    """The paper's tables, then every other preset that runs are rows of, then any runs; by key."""
    taken = {OWN, *COMPARISONS, *(one.preset for one in COMPARISONS.values())}
    abouts = [run.description() for run in _readable(runs)]
    found = {about.preset: about.method for about in abouts if about.method in SCORINGS and about.variant}
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
    own = Comparison(key=OWN, title="Any runs", question="Any runs of yours on the same images, side by side.")
    return {**COMPARISONS, **others, OWN: own}


def find_setups(comparison: Comparison, runs: Iterable[Run]) -> tuple[Setup, ...]:
    """The setups there are runs of, each with its runs; those with most variants first."""
    groups: dict[tuple, list[Run]] = {}
    for run in _readable(runs):
        about = run.description()
        is_asked = comparison.method in ("", about.method) and comparison.preset in ("", about.preset)
        if is_asked and about.method in SCORINGS:
            images = (about.dataset_fingerprint, about.img_size, about.num_images)
            key = (*images, about.method, _shared(run, comparison))
            groups.setdefault(key, []).append(run)
    ordered = sorted(groups.values(), key=lambda group: -len({run.description().variant for run in group}))
    titles = distinct_titles(
        [group[0] for group in ordered], _head_with_epochs if comparison.rows else _head_with_score
    )
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
    """The settings of a run without its seed and without what its score does not depend on.

    What it was written before there was such a setting counts as its default.
    """
    about = run.description()
    scoring = SCORINGS[about.method]
    settings = {**to_plain(scoring.config()), **about.settings}
    return {key: value for key, value in settings.items() if key not in scoring.no_matter}


def frozen(settings: Mapping[str, Any]) -> str:
    """Settings as a text that is the same for the same settings."""
    return json.dumps(settings, sort_keys=True, default=str)


def _setup(runs: Sequence[Run], title: str) -> Setup:
    about, samples = runs[0].description(), _samples(runs)
    scoring, num_classes = SCORINGS[about.method], max(len(about.class_names), 1)
    scored = samples.classes >= 0 if scoring.is_clustering else samples.held_out & (samples.classes >= 0)
    classes = samples.classes[scored]
    most = Counter(classes.tolist()).most_common(1)
    return Setup(
        title=title,
        scoring=scoring,
        dataset=about.dataset_title or about.dataset,
        img_size=about.img_size,
        num_classes=num_classes,
        num_images=len(samples.classes),
        num_train=int((~samples.held_out).sum()),
        num_scored=len(classes),
        chance=_random_accuracy(classes, about.num_clusters) if scoring.is_clustering else 100 / num_classes,
        largest_class=100 * most[0][1] / len(classes) if most else 0.0,
        runs=tuple(runs),
    )


def _random_accuracy(classes: np.ndarray, num_clusters: int) -> float:
    """Mean ACC in percent of random cluster ids: more than 1 / K, since clusters are named after the classes they fit best."""
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, num_clusters, len(classes)) for _ in range(_NUM_RANDOM))
    return 100 * float(np.mean([clustering_accuracy(classes, labels) for labels in drawn]))


def _head(run: Run) -> str:
    about = run.description()
    return f"{about.dataset_title or about.dataset}, {about.img_size} px, {about.num_images:,} images"


def _head_with_epochs(run: Run) -> str:
    return f"{_head(run)}, {run.description().settings.get('epochs', '?')} epochs"


def _head_with_score(run: Run) -> str:
    scoring = SCORINGS[run.description().method]
    return f"{_head(run)}: {scoring.name} of {scoring.images}"


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
