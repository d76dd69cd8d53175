"""Maps over rounds: embeddings of every round (R times (N, D)) -> points (R, N, 2), steady enough to be watched moving.

Independent UMAPs jump between rounds; AlignedUMAP moves least; starting each round from the one before, with a rigid
Procrustes turn, is the next best and scales further; PCA of the last round is instant.
"""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np

Embeddings = Sequence[np.ndarray]

ALIGNED_LIMIT = 15_000
"""AlignedUMAP is chosen up to this many points times rounds."""
SAMPLE_LIMIT = 10_000
"""UMAP is fitted on at most this many images; the others are placed by their neighbours."""
LEAST_IMAGES = 10
"""Fewer have too few neighbours for UMAP."""
NEIGHBORS = 15

# Two UMAP fits at once abort the process under numba's workqueue layer
_ONE_FIT_AT_A_TIME = threading.Lock()


def project_rounds(rounds: Embeddings, engine: str, *, seed: int) -> tuple[np.ndarray, str, dict]:
    """Points (R, N, 2) float32, the name of the engine that made them, and its settings.

    ``engine`` is a key of ``ENGINES`` or ``auto``. Fewer than 10 images are always placed by PCA; the settings' ``note``
    says so.
    """
    num_images = len(rounds[0])
    if engine == "auto":
        engine = "aligned_umap" if num_images * len(rounds) <= ALIGNED_LIMIT else "warm_umap"
    if engine == "aligned_umap" and len(rounds) < 2:
        engine = "umap"
    note = {}
    if num_images < LEAST_IMAGES and engine != "pca":
        note = {"note": f"{num_images} images are too few for UMAP (at least {LEAST_IMAGES})"}
        engine = "pca"
    if engine == "pca":
        return pca_maps(rounds), engine, {"components": "those of the last round", **note}
    chosen = _sample(num_images, seed)
    with _ONE_FIT_AT_A_TIME, _threads_kept():
        points = ENGINES[engine]([_floats(embeddings[chosen]) for embeddings in rounds], seed)
    if len(chosen) < num_images:
        points = np.stack(
            [_place_rest(embeddings, chosen, part) for embeddings, part in zip(rounds, points, strict=True)]
        )
    return points.astype(np.float32), engine, {"n_neighbors": NEIGHBORS, "min_dist": 0.1, "fitted_on": len(chosen)}


def pca_maps(rounds: Embeddings) -> np.ndarray:
    """Every round seen along the first two principal components of the last one: (R, N, 2) float32."""
    last = _floats(rounds[-1])
    _, _, directions = np.linalg.svd(last - last.mean(axis=0), full_matrices=False)
    plane = np.zeros((last.shape[1], 2), dtype=np.float32)
    plane[:, : min(2, len(directions))] = directions[:2].T
    return np.stack([(_floats(embeddings) - last.mean(axis=0)) @ plane for embeddings in rounds]).astype(np.float32)


def place_by_neighbors(known: np.ndarray, points: np.ndarray, new: np.ndarray, *, num_neighbors: int = 5) -> np.ndarray:
    """Map places (M, 2) for embeddings ``new`` (M, D): the mean place of the nearest ``known`` (N, D), by inverse distance."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(num_neighbors, len(known))).fit(_floats(known))
    distances, nearest = search.kneighbors(_floats(new))
    weights = 1 / np.maximum(distances, 1e-9)
    weights /= weights.sum(axis=1, keepdims=True)
    return (points[nearest] * weights[:, :, None]).sum(axis=1).astype(np.float32)


def procrustes(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """``points`` (N, 2) shifted and rotated (or mirrored), not stretched, onto ``reference`` (N, 2)."""
    center, target = points.mean(axis=0), reference.mean(axis=0)
    left, _, right = np.linalg.svd((points - center).T @ (reference - target))
    return (points - center) @ (left @ right) + target


@contextlib.contextmanager
def _threads_kept() -> Iterator[None]:
    """UMAP leaves OpenMP with as many threads as there are cores, whatever was asked for; put torch's number back."""
    import torch

    num_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _independent(rounds: Embeddings, seed: int) -> np.ndarray:
    import umap

    return np.stack([umap.UMAP(**_settings(rounds, seed)).fit_transform(embeddings) for embeddings in rounds])


def _warm(rounds: Embeddings, seed: int) -> np.ndarray:
    import umap

    maps = [umap.UMAP(**_settings(rounds, seed)).fit_transform(rounds[0])]
    for embeddings in rounds[1:]:
        start = {**_settings(rounds, seed), "init": maps[-1].astype(np.float32), "n_epochs": 100}
        maps.append(procrustes(umap.UMAP(**start).fit_transform(embeddings), maps[-1]))
    return np.stack(maps)


def _aligned(rounds: Embeddings, seed: int) -> np.ndarray:
    import umap

    settings = _settings(rounds, seed)
    settings.pop("n_jobs")
    same = {index: index for index in range(len(rounds[0]))}
    with warnings.catch_warnings():
        # its inner fits are told of the seed but not of the one thread that the seed means
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        maps = umap.AlignedUMAP(**settings).fit_transform(list(rounds), relations=[same] * (len(rounds) - 1))
    return np.stack(maps)


ENGINES: dict[str, Callable[[Embeddings, int], np.ndarray]] = {
    "aligned_umap": _aligned,
    "warm_umap": _warm,
    "umap": _independent,
}


def _settings(rounds: Embeddings, seed: int) -> dict:
    return {"n_neighbors": min(NEIGHBORS, len(rounds[0]) - 1), "min_dist": 0.1, "random_state": seed, "n_jobs": 1}


def _sample(num_images: int, seed: int) -> np.ndarray:
    if num_images <= SAMPLE_LIMIT:
        return np.arange(num_images)
    return np.sort(np.random.default_rng(seed).choice(num_images, SAMPLE_LIMIT, replace=False))


def _place_rest(embeddings: np.ndarray, chosen: np.ndarray, points: np.ndarray) -> np.ndarray:
    placed = place_by_neighbors(embeddings[chosen], points, embeddings)
    placed[chosen] = points
    return placed


def _floats(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, dtype=np.float32)
