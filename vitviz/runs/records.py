"""What a run folder holds, as dataclasses of plain values and arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True, kw_only=True)
class Description:
    """``run.json``: everything that was decided before the first step.

    ``dataset`` is the name or path the images came from, ``dataset_fingerprint`` its 16 hex characters, ``command`` a
    line that makes the run again, ``variant`` the row of a preset that has several, ``versions`` the libraries' versions,
    ``device`` the machine in words.
    """

    method: str
    settings: dict
    dataset: str
    dataset_title: str = ""
    dataset_fingerprint: str
    img_size: int
    num_images: int
    class_names: tuple[str, ...]
    num_clusters: int
    seed: int
    preset: str = ""
    variant: str = ""
    title: str = ""
    command: str = ""
    notes: tuple[str, ...] = ()
    versions: dict = field(default_factory=dict)
    git_commit: str = ""
    device: str = ""
    created: str = ""
    schema: int = 1


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is: ``done`` of ``total`` steps, and what it is doing now."""

    done: int = 0
    total: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Status:
    """``status.json``. ``state`` as read is one of queued, running, finished, failed, cancelled, interrupted."""

    state: str
    pid: int = 0
    process_start: float = 0.0
    host: str = ""
    heartbeat: float = 0.0
    progress: Progress = Progress()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """``job.json``: the last thing the app was asked to do with a run. Times are seconds since 1970, 0 for not yet.

    ``arguments`` stand after ``python -m vitviz``; ``asked`` is when, and its place in the queue; ``before`` and
    ``before_error`` are the run's state until then ("" for a new run). ``leader`` is the process that watches over the one
    that trains; both are in the group of its number. ``done_before`` is how many records the run had at the start.
    """

    arguments: tuple[str, ...]
    asked: float
    before: str = ""
    before_error: str = ""
    started: float = 0.0
    leader: int = 0
    leader_start: float = 0.0
    host: str = ""
    done_before: int = 0


@dataclass(frozen=True)
class Samples:
    """Which images the rows of every round are: index into the data set, class id (-1 unlabelled), held out or not.

    ``sketches`` (N, 8) float16, of runs that are handed on: by them the images are known again (``data/sketches.py``).
    """

    indices: np.ndarray
    classes: np.ndarray
    held_out: np.ndarray
    sketches: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round's arrays, memory-mapped when read back.

    embeddings (N, D) float16; labels (N,) int32 as the algorithm named them; matched_labels (N,) int32 renamed to agree
    with the round before; centers (K, D) float32 in the order of the raw labels; distances and runner_up_distances (N,)
    float32, Euclidean, to the own and the nearest other center; predictions (N,) int32, the classifier's class
    (-1 where there is none); decoder (D + 1, pixels) float16 or None, the ridge decoder of figure 5; basis (1 + C, D) float32
    or None: of a run handed on small, the mean and the C components that embeddings, centers and decoder are coordinates of.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    matched_labels: np.ndarray
    centers: np.ndarray
    distances: np.ndarray
    runner_up_distances: np.ndarray
    predictions: np.ndarray
    decoder: np.ndarray | None = None
    basis: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Projection:
    """``projection.npz``: points (R, N, 2) float32, one map a round, and what made it."""

    points: np.ndarray
    engine: str
    seed: int
    settings: dict


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """``coefficients.npz``: how each image is made of the others, one C a round. Rows = images, Z = C Z.

    matrices: (N, N) a round, float16, dense, or sparse (CSR) float32 of the same precision; steps (R,) int32 of the fine-tuning,
    0 before any; orders (R, N) int32, the images in the order that shows the affinity in blocks; embeddings (R, N, K) float16,
    the spectral ones; eigenvalues (R, E) float64 of the graph's Laplacian, ascending; gates (R, N, channels) float16 or None;
    scores (R, 3) float64, NMI, ACC and ARI over all images, nan without labels; what made them: plain values.
    """

    matrices: tuple[np.ndarray | sparse.csr_array, ...]
    steps: np.ndarray
    orders: np.ndarray
    embeddings: np.ndarray
    eigenvalues: np.ndarray
    scores: np.ndarray
    gates: np.ndarray | None = None
    made_by: dict
