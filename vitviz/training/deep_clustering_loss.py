"""The loss of deep clustering, equations 5-8, on a batch or on one process's part of it.

Source and departures: ``training/deep_clustering.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vitviz.nn.vit import ViTOutput
from vitviz.training.deep_clustering_config import DeepClusteringConfig
from vitviz.training.feed import EpochPlan


def take_embedding(output: ViTOutput, config: DeepClusteringConfig) -> Tensor:
    """The embedding (B, D) that is clustered: float32 at least, of unit length where ``config.embedding`` says normalised."""
    embedding = _at_least_float32(output.embedding)
    return F.normalize(embedding, dim=1) if config.embedding.endswith("normalised") else embedding


def cluster_distance(
    embeddings: Tensor, centers: Tensor, *, distance: str = "squared", reduction: str = "mean"
) -> Tensor:
    """Equations 6-7: the distance of embeddings (B, D) to their own centers (B, D), one number. Centers get no gradient."""
    squared = (embeddings - centers.detach()).square().sum(dim=1)
    distances = squared if distance == "squared" else (squared + 1e-12).sqrt()
    return distances.mean() if reduction == "mean" else distances.sum()


@dataclass(frozen=True)
class WholeBatch:
    """Of the batch that some images are a part of: how many images it has, and how many of them are labelled, 1 at least."""

    size: int
    labelled: int


def deep_clustering_loss(
    output: ViTOutput,
    classes: Tensor,
    centers: Tensor | None,
    config: DeepClusteringConfig,
    whole: WholeBatch | None = None,
) -> dict[str, Tensor]:
    """Equation 8 on one batch: L = CE + alpha L_cluster; ``centers`` (B, D) are those of the images, None in phase 1.

    ``classes`` (B,) int64, -1 is left out of the cross-entropy. With alpha = 0 the loss *is* the cross-entropy. Of a part of
    a ``whole`` batch it is such that the mean over parts, weighted by their sizes, is the loss of the whole.
    """
    logits = _at_least_float32(output.logits)
    labelled = (classes >= 0).sum().clamp(min=1) if whole is None else whole.labelled
    scale = 1.0 if whole is None else whole.size / len(classes)
    cross_entropy = F.cross_entropy(logits, classes, ignore_index=-1, reduction="sum") / labelled * scale
    accuracy = (logits.argmax(dim=1) == classes).sum().to(logits.dtype) / labelled * scale
    parts = {"loss": cross_entropy, "cross_entropy": cross_entropy, "train_top1": accuracy}
    if centers is not None:
        cluster_loss = cluster_distance(
            take_embedding(output, config), centers, distance=config.distance, reduction=config.reduction
        )
        cluster_loss = cluster_loss * scale if config.reduction == "sum" else cluster_loss
        loss = cross_entropy + config.cluster_weight * cluster_loss if config.cluster_weight else cross_entropy
        parts |= {"loss": loss, "cluster_loss": cluster_loss}
    return parts


def whole_batches(plan: EpochPlan, classes: np.ndarray) -> Callable[[np.ndarray], WholeBatch]:
    """Of the rows (B,) of a part of a batch of ``plan``: the whole batch; ``classes`` (N,) say who is labelled."""
    found = {}
    for rows in plan.batches():
        found |= dict.fromkeys(rows.tolist(), WholeBatch(len(rows), max(int((classes[rows] >= 0).sum()), 1)))
    return lambda rows: found[int(rows[0])]


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
