"""A deep-clustering run as arrays: curves, stop rule, sizes, confusion, movers. Reads what the job stored; fits nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vitviz.clustering.matching import cluster_classes
from vitviz.clustering.metrics import contingency
from vitviz.config import to_plain
from vitviz.errors import Problem
from vitviz.runs.folder import Run
from vitviz.training.configs import CONFIGS
from vitviz.training.stopping import StopRule, loss_changes, stop_round

Part = Literal["held out", "train", "all"]


@dataclass(frozen=True)
class Curve:
    """One line over rounds: what it is, whose it is, its values (R,) with NaN where a score is not defined."""

    name: str
    run: str
    values: np.ndarray
    role: Literal["main", "second", "control", "random", "seed", "mean"] = "main"


@dataclass(frozen=True)
class StopInspection:
    """The loss (R,), its change from round to round (R - 1,), and the first round a rule stops at (None: not at all)."""

    losses: np.ndarray
    changes: np.ndarray
    stops_at: int | None
    relative: bool


@dataclass(frozen=True)
class Movers:
    """Images that changed sides between two rounds.

    samples (M,) rows of the run; kinds (M,): ``repaired`` (wrong -> right), ``broken`` (right -> wrong) or ``moved``
    (wrong -> wrong); clusters before and after (M,), matched ids; classes (M,); closeness (M,): distance to the new center
    over the distance to the runner-up, 0..1, small is sure.
    """

    samples: np.ndarray
    kinds: np.ndarray
    before: np.ndarray
    after: np.ndarray
    classes: np.ndarray
    closeness: np.ndarray


@dataclass(frozen=True)
class ClusterChange:
    """One matched cluster at two rounds: samples that stayed, left (only at the first) and joined (only at the second)."""

    stayed: np.ndarray
    left: np.ndarray
    joined: np.ndarray


def score_curves(run: Run, key: str, *, control: Run | None, others: Sequence[Run] = ()) -> list[Curve]:
    """A score of held-out images over rounds, its training twin, the control's, the random line and other seeds'.

    ``key`` is ``nmi``, ``acc``, ``ari`` or ``ami``.
    """
    curves = [
        Curve("seed " + str(other.description().seed), other.name, series(other, f"held_out_{key}"), "seed")
        for other in others
    ]
    curves.append(Curve("held-out images", run.name, series(run, f"held_out_{key}")))
    curves.append(Curve("training images", run.name, series(run, f"train_{key}"), "second"))
    if control is not None:
        curves.append(Curve("held-out images, α = 0", control.name, series(control, f"held_out_{key}"), "control"))
    raw = series(run, "raw_kmeans_nmi")
    if key == "nmi" and len(raw) and not np.isnan(raw[0]):
        curves.append(Curve("k-means on raw pixels", run.name, np.full(len(raw), raw[0]), "control"))
    if key == "nmi":
        curves.append(Curve("random ids", run.name, series(run, "random_nmi"), "random"))
    return curves


def pair_of_curves(run: Run, control: Run | None, key: str, name: str) -> list[Curve]:
    """One recorded value over rounds, and the control's beside it."""
    curves = [Curve(name, run.name, series(run, key))]
    return (
        curves if control is None else [*curves, Curve(f"{name}, α = 0", control.name, series(control, key), "control")]
    )


def find_control(run: Run, runs: Sequence[Run]) -> Run | None:
    """The run among ``runs`` with the same data, method and settings but alpha = 0, or None."""
    own = _settings_of(run)
    if own.get("cluster_weight") == 0:
        return None
    wanted = {**own, "cluster_weight": 0.0}
    return next((other for other in _comparable(run, runs) if _same(_settings_of(other), wanted)), None)


def find_other_seeds(run: Run, runs: Sequence[Run]) -> list[Run]:
    """Finished runs among ``runs`` that differ from ``run`` in nothing but the seed."""
    own = _settings_of(run)
    found = [other for other in _comparable(run, runs) if _same(_settings_of(other), own, {"seed"})]
    return [other for other in found if other.description().seed != run.description().seed]


def inspect_stop(run: Run, *, rule: StopRule, epsilon: float) -> StopInspection:
    """What the stop rule would have done at another epsilon: read off the recorded losses, nothing is trained."""
    records = run.round_metrics()
    return StopInspection(
        losses=np.array([record["loss"] for record in records]),
        changes=np.array(loss_changes(records, rule)),
        stops_at=stop_round(records, rule=rule, epsilon=epsilon, min_changed_share=0.0),
        relative=rule != "absolute",
    )


def cluster_sizes(run: Run) -> np.ndarray:
    """Images in every matched cluster at every round: (R, K) int."""
    num_clusters = count_clusters(run)
    return np.stack(
        [np.bincount(run.round(index).matched_labels, minlength=num_clusters) for index in range(run.num_rounds())]
    )


def confusion(run: Run, round_index: int, part: Part) -> np.ndarray:
    """Counts (classes, clusters) of labelled images of a part, by matched cluster id. Raises Problem without labels."""
    samples = run.samples()
    chosen = part_of(run, part) & (samples.classes >= 0)
    if not chosen.any():
        raise Problem(f"run '{run.name}' has no labelled image there", "a confusion matrix needs classes")
    table = np.zeros((len(run.description().class_names), count_clusters(run)), dtype=np.int64)
    counts = contingency(samples.classes[chosen], run.round(round_index).matched_labels[chosen])
    table[: counts.shape[0], : counts.shape[1]] = counts
    return table


def classes_of_clusters(run: Run) -> np.ndarray:
    """The class each matched cluster stands for at every round: (R, K) int32, -1 for none (Hungarian assignment)."""
    classes, num_clusters = run.samples().classes, count_clusters(run)
    rounds = (run.round(index).matched_labels for index in range(run.num_rounds()))
    return np.stack([cluster_classes(classes, np.asarray(labels), num_clusters=num_clusters) for labels in rounds])


def find_movers(run: Run, before: int, after: int, part: Part) -> Movers:
    """Labelled images that became right or wrong, or were wrong in another cluster; the surest first within each kind.

    Raises: Problem without labels.
    """
    samples, first, second = run.samples(), run.round(before), run.round(after)
    standing = classes_of_clusters(run)
    was_right = standing[before][first.matched_labels] == samples.classes
    is_right = standing[after][second.matched_labels] == samples.classes
    elsewhere = np.asarray(first.matched_labels) != second.matched_labels
    changed = (was_right != is_right) | (~was_right & elsewhere)
    labelled = part_of(run, part) & (samples.classes >= 0)
    if not labelled.any():
        raise Problem(f"run '{run.name}' has no labelled image there", "right and wrong need classes")
    rows = np.flatnonzero(changed & labelled)
    kinds = np.where(~was_right & is_right, "repaired", np.where(was_right & ~is_right, "broken", "moved"))[rows]
    closeness = np.asarray(second.distances)[rows] / np.maximum(np.asarray(second.runner_up_distances)[rows], 1e-12)
    order = np.lexsort((closeness, [("repaired", "broken", "moved").index(kind) for kind in kinds]))
    rows, kinds, closeness = rows[order], kinds[order], closeness[order]
    return Movers(
        rows,
        kinds,
        np.asarray(first.matched_labels)[rows],
        np.asarray(second.matched_labels)[rows],
        samples.classes[rows],
        closeness,
    )


def change_of_cluster(run: Run, cluster: int, before: int, after: int) -> ClusterChange:
    """Who stayed in, left and joined a matched cluster between two rounds; nearest to its center first."""
    first, second = run.round(before), run.round(after)
    inside = np.asarray(first.matched_labels) == cluster
    inside_later = np.asarray(second.matched_labels) == cluster

    def ordered(mask: np.ndarray, distances: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(mask)
        return rows[np.argsort(np.asarray(distances)[rows], kind="stable")]

    return ClusterChange(
        stayed=ordered(inside & inside_later, second.distances),
        left=ordered(inside & ~inside_later, first.distances),
        joined=ordered(~inside & inside_later, second.distances),
    )


def count_clusters(run: Run) -> int:
    """K, the number of matched cluster ids (one more than the largest that occurs, at least the number asked for)."""
    largest = max((int(run.round(index).matched_labels.max()) for index in range(run.num_rounds())), default=-1)
    return max(run.description().num_clusters, largest + 1)


def _comparable(run: Run, runs: Sequence[Run]) -> list[Run]:
    about = run.description()
    found = []
    for other in runs:
        try:
            there = other.description()
        except Problem:
            continue
        same = (there.method, there.dataset_fingerprint) == (about.method, about.dataset_fingerprint)
        if same and other.name != run.name and other.num_rounds() > 0:
            found.append(other)
    return found


_KEPT_APART = {"projection", "device", "keep_round_weights", "compile"}


def _same(settings: dict, wanted: dict, ignored: set[str] = frozenset()) -> bool:
    skipped = _KEPT_APART | ignored
    keys = (settings.keys() | wanted.keys()) - skipped
    return all(settings.get(key) == wanted.get(key) for key in keys)


def _settings_of(run: Run) -> dict[str, Any]:
    """All settings of a run; one that vitviz has learned since then was at its default."""
    about = run.description()
    return {**(to_plain(CONFIGS[about.method]()) if about.method in CONFIGS else {}), **about.settings}


def series(run: Run, key: str) -> np.ndarray:
    """A recorded value of every round (R,), NaN where it was not defined or never recorded."""
    values = [record.get(key) for record in run.round_metrics()]
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def part_of(run: Run, part: Part) -> np.ndarray:
    """Which samples (N,) belong to a part: bool."""
    held_out = run.samples().held_out
    return {"held out": held_out, "train": ~held_out, "all": np.ones(len(held_out), bool)}[part]
