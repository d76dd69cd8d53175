"""Figure 5: what an embedding still knows of its image, by the ridge decoder that the job fitted in every round."""

from dataclasses import dataclass

import numpy as np

from vitviz.errors import Problem
from vitviz.runs.compact import kept_embeddings
from vitviz.runs.folder import Run


@dataclass(frozen=True)
class Nearest:
    """For each of M samples: the training image nearest to it in the embedding of a round, and how far it is (Euclidean)."""

    samples: np.ndarray
    distances: np.ndarray


def restore(run: Run, round_index: int, embeddings: np.ndarray) -> np.ndarray:
    """Images (M, H, W, 3) uint8 restored from embeddings (M, D) of that round. Raises Problem when no decoder was kept.

    H and W are at most 32, whatever the size of the originals.
    """
    decoder = run.round(round_index).decoder
    if decoder is None:
        raise Problem(f"run '{run.name}' kept no decoder for round {round_index}")
    weights = np.asarray(decoder, dtype=np.float32)
    pixels = np.clip(np.asarray(embeddings, dtype=np.float32) @ weights[:-1] + weights[-1], 0, 1)
    return np.round(_as_images(pixels) * 255).astype(np.uint8)


def restore_samples(run: Run, round_index: int, samples: np.ndarray) -> np.ndarray:
    """Images (M, H, W, 3) uint8 restored from the stored embeddings of ``samples`` (M,) at a round."""
    return restore(run, round_index, run.round(round_index).embeddings[samples])


def nearest_training_images(run: Run, round_index: int, samples: np.ndarray) -> Nearest:
    """The nearest other training image of each of ``samples`` (M,) at a round: what plain memory would answer."""
    embeddings = kept_embeddings(run, round_index)
    train = np.flatnonzero(~run.samples().held_out)
    known, asked = embeddings[train], embeddings[samples]
    squared = (asked**2).sum(1)[:, None] - 2 * asked @ known.T + (known**2).sum(1)
    squared[np.asarray(samples)[:, None] == train] = np.inf
    best = squared.argmin(axis=1)
    return Nearest(train[best], np.sqrt(np.maximum(squared[np.arange(len(best)), best], 0)))


def _as_images(pixels: np.ndarray) -> np.ndarray:
    num_pixels = pixels.shape[1]
    channels = 1 if int(np.sqrt(num_pixels)) ** 2 == num_pixels else 3
    side = int(np.sqrt(num_pixels // channels))
    images = pixels.reshape(len(pixels), channels, side, side).transpose(0, 2, 3, 1)
    return np.broadcast_to(images, (*images.shape[:3], 3))
