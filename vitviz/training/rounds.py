"""From embeddings and their clustering to a saved, scored round: match, measure, write. Every method with rounds ends here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vitviz.clustering.algorithms import Clustering
from vitviz.clustering.matching import match_labels
from vitviz.clustering.metrics import nmi, scores, within_share
from vitviz.errors import Problem
from vitviz.nn.ridge_decoder import decode, fit_ridge_decoder
from vitviz.runs.folder import Run
from vitviz.runs.records import Round, Samples
from vitviz.runs.tensors import halved

RESTORED_SIZE = 32
"""Images are restored from their embedding at no more than this many pixels a side."""
_LEAST_SPREAD = 1e-6  # of the length of the mean embedding; what rounding leaves of nothing


@dataclass(frozen=True, kw_only=True)
class RoundInputs:
    """What a round is made from.

    embeddings (N, D) and logits (N, num_classes) or None, on one device; images (N, H, W, 3) uint8; fitted (N,) bool: the
    images the clustering saw; weights to keep, or None; fit_decoder: whether pixels are restored from the embeddings by ridge
    regression, which takes (D, D) numbers.
    """

    embeddings: Tensor
    clustering: Clustering
    logits: Tensor | None
    images: np.ndarray
    samples: Samples
    fitted: np.ndarray
    weights: dict[str, np.ndarray] | None
    fit_decoder: bool = True


def save_and_score(run: Run, index: int, inputs: RoundInputs, *, seed: int) -> dict[str, Any]:
    """Match the ids to the round before, write round ``index`` of ``run``, and return its record (scores, shapes of clusters).

    ``seed`` draws the random ids whose NMI stands beside the true one. ``warnings`` are sentences about a clustering that
    says nothing.
    Raises: Problem when an embedding is too large to be kept, or not finite.
    """
    clustering = inputs.clustering
    previous = np.asarray(run.round(index - 1).matched_labels) if index > 0 else _training_classes(inputs.samples)
    matched = match_labels(previous, clustering.labels)[clustering.labels]
    decoder, restored_error = _decoder(inputs) if inputs.fit_decoder else (None, None)
    predictions = inputs.logits.argmax(dim=1) if inputs.logits is not None else torch.full((len(matched),), -1)
    predictions = predictions.cpu().numpy().astype(np.int32)
    arrays = Round(
        embeddings=_halve_embeddings(inputs.embeddings),
        labels=clustering.labels,
        matched_labels=matched,
        centers=clustering.centers,
        distances=clustering.distances,
        runner_up_distances=clustering.runner_up_distances,
        predictions=predictions,
        decoder=decoder,
    )
    run.save_round(index, arrays, inputs.weights)
    record = {"kind": "round", "index": index, "reconstruction_error": restored_error}
    record |= _scores(inputs.samples, matched, predictions, seed=seed)
    record |= _agreement(previous, matched) if index > 0 else {"nmi_previous": None, "changed_share": None}
    record |= _shape(inputs)
    return record | {"warnings": _degenerate(record, len(clustering.centers))}


def _training_classes(samples: Samples) -> np.ndarray:
    """What round 0 is named after, so that cluster 3 is class 3 where it can be; the held-out classes (-1) have no say."""
    return np.where(samples.held_out, -1, samples.classes)


def _scores(samples: Samples, labels: np.ndarray, predictions: np.ndarray, *, seed: int) -> dict[str, float | None]:
    held_out, train = samples.held_out, ~samples.held_out
    random_ids = np.random.default_rng(seed).permutation(labels)
    found = {}
    for prefix, part in (("train_", train), ("held_out_", held_out)):
        found |= scores(samples.classes[part], labels[part], prefix=prefix)
        found[prefix + "top1"] = _top1(samples.classes[part], predictions[part])
    found["random_nmi"] = scores(samples.classes[held_out], random_ids[held_out])["nmi"]
    return found


def _top1(classes: np.ndarray, predictions: np.ndarray) -> float | None:
    known = (classes >= 0) & (predictions >= 0)
    return float((classes[known] == predictions[known]).mean()) if known.any() else None


def _agreement(previous: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {"nmi_previous": nmi(previous, labels), "changed_share": float((previous != labels).mean())}


def _shape(inputs: RoundInputs) -> dict[str, Any]:
    """W/T of the fitted images, sizes, how near the two nearest centers are (in root mean square radii), and that radius over the
    length of the mean.
    """
    clustering = inputs.clustering
    embeddings = inputs.embeddings.cpu().numpy()[inputs.fitted]
    sizes = np.bincount(clustering.labels[inputs.fitted], minlength=len(clustering.centers))
    centers = torch.from_numpy(clustering.centers).double()
    gaps = torch.cdist(centers, centers)[~torch.eye(len(centers), dtype=bool)]
    radius = np.sqrt(((embeddings - embeddings.mean(axis=0)) ** 2).sum(axis=1).mean())
    return {
        "within_share": within_share(embeddings, clustering.labels[inputs.fitted]),
        "cluster_size_ratio": float(sizes.max() / max(sizes.min(), 1)),
        "num_empty_clusters": int((sizes == 0).sum()),
        "num_reseeded_clusters": clustering.num_reseeded,
        "nearest_centers": float(gaps.min() / max(radius, 1e-12)) if len(gaps) else 0.0,
        "embedding_spread": float(radius / max(np.linalg.norm(embeddings.mean(axis=0)), 1e-12)),
    }


def _degenerate(record: dict[str, Any], num_clusters: int) -> list[str]:
    """What makes a clustering say nothing: images that coincide, clusters that nobody is in."""
    empty, reseeded = record["num_empty_clusters"], record["num_reseeded_clusters"]
    found = []
    if record["embedding_spread"] < _LEAST_SPREAD:
        found.append("all images have the same embedding: there is nothing to tell them apart by")
    elif num_clusters - empty == 1:
        found.append("all images are in one cluster: how it agrees with classes says nothing")
    if empty:
        found.append(f"{empty} of {num_clusters} clusters are empty: fewer images differ than there are clusters")
    if reseeded:
        found.append(f"an empty cluster was seeded again from the largest, {reseeded} times")
    return found


def _halve_embeddings(embeddings: Tensor) -> np.ndarray:
    """(N, D) float16. Raises Problem where they are not finite or would not be in 16 bits."""
    largest = embeddings.abs().max().item()
    if not largest <= torch.finfo(torch.float16).max:
        raise Problem(
            "the embeddings cannot be kept",
            f"their largest number is {largest:.3g}, and a round holds 65,504 at the most",
            "lower the learning rate",
        )
    return embeddings.half().cpu().numpy()


def _decoder(inputs: RoundInputs) -> tuple[np.ndarray, float]:
    """The ridge decoder fitted on the training images, and its mean squared error on the held-out ones (pixels 0..1)."""
    pixels = small_pixels(inputs.images).to(inputs.embeddings.device)
    held_out = torch.from_numpy(inputs.samples.held_out).to(inputs.embeddings.device)
    decoder = fit_ridge_decoder(inputs.embeddings[~held_out], pixels[~held_out])
    error = (decode(inputs.embeddings[held_out], decoder) - pixels[held_out]).square().mean().item()
    return halved({"decoder": decoder.float().cpu().numpy()})["decoder"], error


def small_pixels(images: np.ndarray) -> Tensor:
    """Images (N, H, W, 3) uint8 as rows (N, P) of pixels 0..1, at most 32 x 32; one channel where all three are equal."""
    pixels = torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)
    if bool((pixels[:, 0] == pixels[:, 1]).all() and (pixels[:, 0] == pixels[:, 2]).all()):
        pixels = pixels[:, :1]
    pixels = pixels.float() / 255
    if pixels.shape[-1] > RESTORED_SIZE:
        pixels = F.interpolate(pixels, size=(RESTORED_SIZE, RESTORED_SIZE), mode="area")
    return pixels.flatten(1)
