"""The clusters of a run as what a score is of: nearness to one of its centers, in the embedding that the run clustered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.attribution_targets import Target, center_target
from vitviz.runs.compact import whole_centers

if TYPE_CHECKING:
    from vitviz.runs.folder import Run


def list_clusters(run: Run, round_index: int) -> tuple[int, ...]:
    """The matched ids of a round that have an image."""
    return tuple(int(one) for one in np.unique(run.round(round_index).matched_labels))


def center_of(run: Run, round_index: int, cluster: int) -> np.ndarray:
    """The center (D,) float32 of a matched cluster at a round.

    Raises: Problem when no image is in it.
    """
    arrays = run.round(round_index)
    members = np.flatnonzero(np.asarray(arrays.matched_labels) == cluster)
    if not len(members):
        raise Problem(f"cluster {cluster} of run '{run.name}' is empty", f"at round {round_index} no image is in it")
    return np.array(whole_centers(arrays)[arrays.labels[members[0]]])


def cluster_target(run: Run, round_index: int, cluster: int, name: str = "") -> Target:
    """Minus the squared distance to the center of a matched cluster at a round; ``name`` only for the label."""
    label = name or f"cluster {cluster}"
    embedding = str(run.description().settings.get("embedding", ""))
    return center_target(
        center_of(run, round_index, cluster),
        label=f"{label} at round {round_index}",
        normalised=embedding.endswith("normalised"),
    )
