"""What the coefficients of a subspace run show: C in an order and thinned, a pair of images, mass in blocks.

Everywhere rows = images and Z = C Z: C_ij is what image i takes of image j. A matrix (N, N) is an array or sparse (CSR); of a
sparse one nothing of N x N is made. How a matrix becomes a picture is :mod:`vitviz.explain.subspace_weave`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from vitviz.clustering.affinity import (
    DENSE_THRESHOLD,
    AffinitySettings,
    in_block_mass,
    make_affinity,
    simple_affinity,
    without_diagonal,
)
from vitviz.clustering.eigenpairs import Matrix
from vitviz.errors import Problem
from vitviz.runs.folder import Run

Order = Literal["cluster", "class", "data"]
Layer = Literal["plain", "kept", "processed"]


@dataclass(frozen=True)
class Snapshot:
    """One C (N, N) and what became of it.

    coefficients: float32, dense or CSR, rows = images; settings: of the affinity; labels (N,) matched ids; classes (N,), -1
    unknown; cluster_order (N,) rows in the order that shows blocks; embedding (N, K) float32, the spectral one; eigenvalues (E,)
    of the graph's Laplacian, ascending; gate (N, channels) float32 or None.
    """

    run: str
    round: int
    step: int
    solver: str
    affinity: str
    settings: AffinitySettings
    num_clusters: int
    seed: int
    coefficients: Matrix
    labels: np.ndarray
    classes: np.ndarray
    cluster_order: np.ndarray
    embedding: np.ndarray
    eigenvalues: np.ndarray
    gate: np.ndarray | None


@dataclass(frozen=True)
class Pair:
    """Two rows of a run.

    coefficient: C_ij, what the first takes of the second; reverse: C_ji; affinity: |C_ij| + |C_ji|, 0 for an image and itself;
    rank: the place of |C_ij| among all that the first takes of others, 1 = largest, None when it takes nothing of the second;
    cosine: of z_i and z_j, 0 where one is 0; same_class: None when a class is unknown.
    """

    first: int
    second: int
    coefficient: float
    reverse: float
    affinity: float
    rank: int | None
    cosine: float
    same_cluster: bool
    same_class: bool | None


def take_snapshot(run: Run, round_index: int) -> Snapshot:
    """The C of a round and all that was kept beside it.

    Raises: Problem when there is no such round, the run kept no coefficients, or their file is damaged.
    """
    kept = run.coefficients()
    if kept is None:
        why = "it was handed on for its scores alone" if run.is_scores_only() else "its coefficients.npz is missing"
        raise Problem(f"run '{run.name}' kept no coefficients", why)
    labels, made_by = np.asarray(run.round(round_index).matched_labels), kept.made_by
    fits = round_index < len(kept.matrices) and kept.matrices[round_index].shape[0] == len(labels)
    if not fits or not np.array_equal(np.sort(kept.orders[round_index]), np.arange(len(labels))):
        raise Problem(f"coefficients.npz of run '{run.name}' cannot be read", f"it does not fit round {round_index}")
    return Snapshot(
        run=run.name,
        round=round_index,
        step=int(kept.steps[round_index]),
        solver=made_by["solver"],
        affinity=made_by["affinity"],
        settings=AffinitySettings(
            threshold=made_by["threshold"],
            count_diagonal=made_by.get("count_diagonal", False),
            dim=made_by["subspace_dim"],
            power=made_by["power"],
        ),
        num_clusters=made_by["num_clusters"],
        seed=made_by["seed"],
        coefficients=kept.matrices[round_index].astype(np.float32),
        labels=labels,
        classes=run.samples().classes,
        cluster_order=kept.orders[round_index],
        embedding=kept.embeddings[round_index].astype(np.float32),
        eigenvalues=kept.eigenvalues[round_index],
        gate=None if kept.gates is None else kept.gates[round_index].astype(np.float32),
    )


def own_threshold(snapshot: Snapshot) -> float:
    """The rho that the run's own rule keeps of each column, 1 where it keeps all."""
    if snapshot.affinity == "simple":
        return 1.0
    default = 1.0 if sparse.issparse(snapshot.coefficients) else DENSE_THRESHOLD
    return snapshot.settings.threshold or default


def coefficients_of(snapshot: Snapshot, sample: int) -> np.ndarray:
    """Row ``sample`` of C, what that image takes of each: a copy, (N,) float32."""
    row = snapshot.coefficients[[sample]]
    return row.toarray()[0] if sparse.issparse(row) else row[0]


def order_images(snapshot: Snapshot, order: Order) -> np.ndarray:
    """The rows (N,) in an order: blocks by matched id, with neighbours in the graph near one another; blocks by class, unknown
    classes last; or as the data has them.
    """
    rows = np.arange(len(snapshot.labels))
    if order == "cluster":
        places = np.empty_like(rows)
        places[snapshot.cluster_order] = rows
        return np.lexsort((places, snapshot.labels))
    if order == "class":
        unknown = snapshot.classes < 0
        return np.lexsort((rows, snapshot.classes, unknown))
    return rows


def shares_before(coefficients: Matrix, *, count_diagonal: bool = False) -> Matrix:
    """For each entry of C (N, N) off its diagonal the share, 0..1, of its column's sum of magnitudes that larger ones hold.

    ``clustering.affinity.threshold_columns(C, rho)`` keeps an entry just where this is at most rho, so that another rho costs one
    comparison. float64; of a sparse C the entries are those of ``without_diagonal(C)``, stored also where the share is 0.

    Args:
        count_diagonal: whether the diagonal is one of the larger ones and part of the sum, as in ``AffinitySettings``.
    """
    sizes = abs(coefficients.astype(np.float64) if count_diagonal else without_diagonal(coefficients))
    if not sparse.issparse(sizes):
        by_column = np.ascontiguousarray(sizes.T)
        order = np.argsort(-by_column, axis=1, kind="stable")
        shares = np.empty_like(by_column)
        np.put_along_axis(shares, order, _before(np.take_along_axis(by_column, order, axis=1)), axis=1)
        return shares.T
    columns = sizes.tocsc()
    columns.sort_indices()
    for start, stop in zip(columns.indptr[:-1], columns.indptr[1:], strict=True):
        order = start + np.argsort(-columns.data[start:stop], kind="stable")
        columns.data[order] = _before(columns.data[order])
    shares = without_diagonal(columns.tocsr())
    shares.sort_indices()
    return shares


def layer_of(snapshot: Snapshot, layer: Layer, *, rho: float | None = None, shares: Matrix | None = None) -> Matrix:
    """An affinity (N, N) float32, symmetric, >= 0, without diagonal.

    ``plain``: |C| + |C^T|; ``kept``: the same of what the threshold leaves of C; ``processed``: by the run's own rule.

    Args:
        rho: the share of each column that the threshold keeps; the run's own when None.
        shares: ``shares_before(C, count_diagonal=...)`` as the settings of the snapshot have it, when it is known already.
    """
    coefficients = snapshot.coefficients
    if layer == "plain":
        return simple_affinity(coefficients).astype(np.float32)
    if layer == "processed":
        settings = snapshot.settings if rho is None else replace(snapshot.settings, threshold=rho)
        return make_affinity(coefficients, snapshot.affinity, snapshot.num_clusters, settings).astype(np.float32)
    if shares is None:
        shares = shares_before(coefficients, count_diagonal=snapshot.settings.count_diagonal)
    is_kept = shares.data if sparse.issparse(shares) else shares
    is_kept = is_kept <= (own_threshold(snapshot) if rho is None else rho)
    if not sparse.issparse(coefficients):
        sizes = np.where(is_kept, np.abs(coefficients), np.float32(0))
        np.fill_diagonal(sizes, 0)
        return sizes + sizes.T
    sizes = abs(without_diagonal(coefficients))
    sizes.sort_indices()
    sizes.data = np.where(is_kept, sizes.data, 0)
    sizes.eliminate_zeros()
    return (sizes + sizes.T).tocsr().astype(np.float32)


def describe_pair(snapshot: Snapshot, latent: np.ndarray, i: int, j: int) -> Pair:
    """Everything about the images in rows i and j; ``latent`` is Z (N, D)."""
    row = coefficients_of(snapshot, i)
    forth, back = float(row[j]), float(snapshot.coefficients[j, i])
    row[i] = 0
    first, second = (np.asarray(latent[one], np.float64) for one in (i, j))
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    known = min(snapshot.classes[i], snapshot.classes[j]) >= 0
    return Pair(
        first=i,
        second=j,
        coefficient=forth,
        reverse=back,
        affinity=abs(forth) + abs(back) if i != j else 0.0,
        rank=int((np.abs(row) > abs(row[j])).sum()) + 1 if row[j] else None,
        cosine=float(first @ second / lengths) if lengths > 0 else 0.0,
        same_cluster=bool(snapshot.labels[i] == snapshot.labels[j]),
        same_class=bool(snapshot.classes[i] == snapshot.classes[j]) if known else None,
    )


def mass_within(snapshot: Snapshot, matrix: Matrix) -> dict[str, float | None]:
    """The share, 0..1, of an affinity's sum that lies within clusters (``cluster``) and classes (``class``).

    Beside each, as ``cluster_random`` and ``class_random``, the share that ids of the same sizes, dealt at random, would get on
    average: the sum of n (n - 1) over N (N - 1). None for classes unless all are known.
    """
    found: dict[str, float | None] = {}
    for name, ids in (("cluster", snapshot.labels), ("class", snapshot.classes)):
        known, sizes = (ids >= 0).all(), np.bincount(np.maximum(ids, 0)).astype(float)
        pairs = max(len(ids) * (len(ids) - 1), 1)
        found[name] = in_block_mass(matrix, ids) if known else None
        found[f"{name}_random"] = float((sizes * (sizes - 1)).sum() / pairs) if known else None
    return found


def _before(sizes: np.ndarray) -> np.ndarray:
    """What stands before each of ``sizes`` (..., n), sorted, as a share of their sum; 0 where that is 0."""
    running = sizes.cumsum(axis=-1)
    total = running[..., -1:]
    before = np.concatenate([np.zeros_like(total), running[..., :-1]], axis=-1)
    return np.divide(before, total, out=np.zeros_like(before), where=total > 0)
