"""One image through all rounds: its cluster and how clearly it belongs there, nearest images, restored self, attention."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.restoration import restore_samples
from vitviz.explain.supertoken_features import clusters_supertokens, features_of_run
from vitviz.explain.supertoken_grouping import group_features
from vitviz.runs.compact import has_embeddings
from vitviz.runs.folder import Run

MOST_ROUNDS = 24
NUM_NEIGHBORS = 6


@dataclass(frozen=True)
class Film:
    """One image in F rounds of a run.

    rounds (F,): all of them, or ``MOST_ROUNDS`` evenly spread from the first to the last; clusters (F,) matched ids; margins
    (F,) float32 in 0..1, 0 halfway between two centers; neighbors (F, k): rows of the images nearest in the embedding
    (Euclidean), the nearest first, none in a run without embeddings; kin (F,) float32: the share of these that are of its class,
    NaN where that is not known; restored
    (F, H, W, 3) uint8 or None where a round kept no decoder.
    """

    sample: int
    rounds: np.ndarray
    clusters: np.ndarray
    margins: np.ndarray
    neighbors: np.ndarray
    kin: np.ndarray
    restored: np.ndarray | None


@dataclass(frozen=True)
class Looks:
    """What the networks of F rounds make of one image.

    attention (F, rows, columns) float32, 0..1: what CLS attends to in the last layer, mean of the heads; a round's map sums to 1
    together with what CLS keeps for itself. supertokens (F, h, w) int32: the super token that each feature pixel goes to most
    after the last iteration; None for a network without any.
    """

    attention: np.ndarray
    supertokens: np.ndarray | None


def film_of(run: Run, sample: int) -> Film:
    """Read the image of row ``sample`` off every round; nothing is computed but the distances to all other images."""
    num_rounds, classes = run.num_rounds(), run.samples().classes
    rounds = np.unique(np.linspace(0, num_rounds - 1, min(num_rounds, MOST_ROUNDS)).round().astype(int))
    arrays = [run.round(index) for index in rounds]
    num = NUM_NEIGHBORS if has_embeddings(run) else 0
    neighbors = np.stack([nearest_rows(np.asarray(one.embeddings), sample, num) for one in arrays])
    kin = np.full(len(rounds), np.nan)
    if classes[sample] >= 0 and num:
        kin = (classes[neighbors] == classes[sample]).mean(axis=1)
    restored = None
    if all(one.decoder is not None for one in arrays):
        restored = np.concatenate([restore_samples(run, index, np.array([sample])) for index in rounds])
    return Film(
        sample=sample,
        rounds=rounds,
        clusters=np.array([one.matched_labels[sample] for one in arrays]),
        margins=np.array([_margin(one, sample) for one in arrays], np.float32),
        neighbors=neighbors,
        kin=kin.astype(np.float32),
        restored=restored,
    )


def nearest_rows(places: np.ndarray, sample: int, num: int) -> np.ndarray:
    """The ``num`` rows of ``places`` (N, D) nearest to row ``sample``, itself left out, the nearest first; fewer if N is less."""
    known = places.astype(np.float32)
    squared = ((known - known[sample]) ** 2).sum(axis=1)
    squared[sample] = np.inf
    num = min(num, len(known) - 1)
    near = np.argpartition(squared, max(num - 1, 0))[:num]
    return near[np.lexsort((near, squared[near]))]


def looks_of(
    run: Run, rounds: np.ndarray, pixels: np.ndarray, on_progress: Callable[[int, int], bool] = lambda done, total: True
) -> Looks:
    """Feed the image ``pixels`` (H, W, 3) uint8 to the network of each of ``rounds``.

    Raises: Problem for a run without attention or without the weights of a round, and when it is told to stop.
    """
    from vitviz.explain.attention import birds_eye
    from vitviz.explain.opened_models import load_run_model
    from vitviz.explain.preprocessing import prepare

    maps, tokens = [], []
    for done, index in enumerate(rounds):
        if not on_progress(done, len(rounds)):
            raise Problem("the attention of the rounds was stopped")
        opened = load_run_model(run, int(index))
        model = opened.model
        maps.append(birds_eye(model, prepare(model, pixels, opened.preprocessing)[0][0]).rows[-1].maps.mean(axis=0))
        if clusters_supertokens(run):
            features = features_of_run(model, pixels, run_name=run.name)
            tokens.append(group_features(features, num_iterations=model.patch_embed.num_iterations).labels[-1])
    return Looks(np.stack(maps).astype(np.float32), np.stack(tokens) if tokens else None)


def rounds_with_attention(run: Run, rounds: np.ndarray) -> np.ndarray:
    """Those of ``rounds`` that :func:`looks_of` can be asked for: of a vision transformer that kept their weights."""
    is_vit = run.description().method == "deep_clustering"
    return np.array([index for index in rounds if is_vit and run.has_weights(int(index))], int)


def heat_over(picture: np.ndarray, maps: np.ndarray, colors: tuple[str, ...], *, side: int = 64) -> np.ndarray:
    """Maps (F, rows, columns), each of its own maximum, half over a picture (H, W, 3) uint8: (F, side, side, 3) uint8.

    ``colors`` (``#rrggbb``) go from 0 to the maximum.
    """
    stops = np.array([[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in colors], np.float32)
    shares = maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)
    heat = np.stack([np.interp(shares, np.linspace(0, 1, len(stops)), stops[:, one]) for one in range(3)], axis=-1)
    grey = np.asarray(picture, np.float32).mean(axis=-1)
    mixed = 0.5 * _stretched(heat, side) + 0.5 * _stretched(grey[None, :, :, None], side)
    return np.rint(mixed).astype(np.uint8)


def _stretched(images: np.ndarray, side: int) -> np.ndarray:
    """(F, H, W, C) at ``side`` x ``side``, each pixel the nearest one."""
    down, across = (np.arange(side) * length // side for length in images.shape[1:3])
    return images[:, down[:, None], across]


def _margin(arrays, sample: int) -> float:
    other = float(arrays.runner_up_distances[sample])
    return float(np.clip((other - float(arrays.distances[sample])) / max(other, 1e-12), 0, 1))
