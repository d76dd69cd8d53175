"""A run made small enough to hand on: fewer components of its embeddings, fewer bits, the weights of few of its rounds.

What the embeddings lose is said in the run's notes. Distances, ids and scores are those of the whole embedding.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from vitviz.errors import Problem
from vitviz.runs.folder import Run, create_run
from vitviz.runs.records import Projection, Round

KEPT_WEIGHTS = {
    "all": "the weights of every round",
    "ends": "the weights of the first and the last round",
    "last": "the weights of the last round",
    "none": "no weights",
}


def export_compact(
    run: Run, out: Path, *, num_components: int, weights: str = "ends", sketches: np.ndarray | None = None
) -> float:
    """Write a small copy of a finished run with rounds into the new folder ``out``; returns the least share of variance kept.

    A round keeps ``num_components`` principal components of its embeddings (none at 0: then no decoder either); ``weights`` is
    a key of ``KEPT_WEIGHTS``; ``sketches`` (N, 8) go with the samples.
    Raises: Problem when ``out`` exists, or the run has no rounds.
    """
    if out.exists():
        raise Problem(f"{out} exists", "", "choose another name, or remove it first")
    run.check_rounds()
    last = run.num_rounds() - 1
    with_weights = {"all": range(last + 1), "ends": (0, last), "last": (last,), "none": ()}[weights]
    small = create_run(
        out.name, run.description(), dataclasses.replace(run.samples(), sketches=sketches), root=out.parent
    )
    shares = []
    with small.owned():
        for index in range(last + 1):
            arrays, share = compact_round(run.round(index), num_components)
            small.save_round(index, arrays, _weights(run, index) if index in with_weights else None)
            shares.append(share)
        if (projection := run.projection()) is not None:
            small.save_projection(_halved(projection))
        about = run.description()
        small.describe(
            dataclasses.replace(about, notes=(*about.notes, _note(run, num_components, shares, KEPT_WEIGHTS[weights])))
        )
    for name in ("metrics.jsonl", "status.json"):
        shutil.copy2(run.path / name, out / name)
    (out / "owner.lock").unlink(missing_ok=True)
    return min(shares)


def compact_round(arrays: Round, num_components: int) -> tuple[Round, float]:
    """The round in the space of its ``num_components`` first principal components, and their share of the variance, 0..1.

    embeddings (N, C) float16 and centers (K, C) are coordinates there, the decoder takes such coordinates, and ``basis``
    (1 + C, D) float32 holds the mean and the components. Ids take a byte where they fit into one.
    """
    whole = np.asarray(arrays.embeddings, np.float64)
    mean = whole.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(whole.T, bias=True).reshape(whole.shape[1], -1))
    components = vectors[:, ::-1][:, :num_components].T
    share = float(values[::-1][:num_components].sum() / max(values.sum(), 1e-300))
    small = {name: _narrow(getattr(arrays, name)) for name in ("labels", "matched_labels", "predictions")}
    small |= {name: getattr(arrays, name).astype(np.float16) for name in ("distances", "runner_up_distances")}
    basis = np.concatenate([mean[None], components]).astype(np.float32)
    return (
        Round(
            **small,
            embeddings=((whole - mean) @ components.T).astype(np.float16),
            centers=((arrays.centers - mean) @ components.T).astype(np.float32),
            decoder=_within(arrays.decoder, mean, components) if num_components else None,
            basis=basis,
        ),
        share,
    )


def has_embeddings(run: Run) -> bool:
    """Whether the run, if it has a round, was handed on with any component of its embeddings."""
    return run.num_rounds() > 0 and run.round(0).embeddings.shape[1] > 0


def kept_embeddings(run: Run, index: int) -> np.ndarray:
    """The embeddings (N, D or C) float32 of a round. Raises Problem for a run handed on without them."""
    embeddings = np.asarray(run.round(index).embeddings, np.float32)
    if not embeddings.shape[1]:
        raise Problem(f"run '{run.name}' was handed on without its embeddings", "", "train it again to have them")
    return embeddings


def coordinates(arrays: Round, embeddings: np.ndarray) -> np.ndarray:
    """Embeddings (M, D) of the network as the round keeps its own: (M, D) themselves, or their (M, C) coordinates."""
    if arrays.basis is None:
        return embeddings
    return (embeddings - arrays.basis[0]) @ np.asarray(arrays.basis[1:]).T


def whole_centers(arrays: Round) -> np.ndarray:
    """The centers (K, D) in the space of the network's embeddings, as far as the kept components tell."""
    if arrays.basis is None:
        return np.asarray(arrays.centers)
    return np.asarray(arrays.centers) @ np.asarray(arrays.basis[1:]) + arrays.basis[0]


def _within(decoder: np.ndarray | None, mean: np.ndarray, components: np.ndarray) -> np.ndarray | None:
    """The linear decoder (D + 1, P) for coordinates: (C + 1, P)."""
    if decoder is None:
        return None
    weights = np.asarray(decoder, np.float64)
    return np.concatenate([components @ weights[:-1], (mean @ weights[:-1] + weights[-1])[None]]).astype(np.float16)


def _narrow(ids: np.ndarray) -> np.ndarray:
    return ids.astype(np.int8) if ids.max() < 128 else ids.astype(np.int32)


def _halved(projection: Projection) -> Projection:
    return dataclasses.replace(projection, points=projection.points.astype(np.float16))


def _weights(run: Run, index: int) -> dict[str, np.ndarray] | None:
    return run.weights(index) if run.has_weights(index) else None


def _note(run: Run, num_components: int, shares: list[float], kept: str) -> str:
    dim = run.round(0).embeddings.shape[1]
    if not num_components:
        return f"handed on without embeddings and decoders, with {kept}"
    return (
        f"handed on with {num_components} of {dim} principal components of the embeddings "
        f"({min(shares):.1%} of their variance or more), and {kept}"
    )
