"""What an attribution is of: a class, or nearness to a cluster's center in embedding space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

    Score = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Target:
    """What is asked of a model.

    label: in words, for captions; score: from a model and images (B, 3, H, W) to (B,), what attributions explain, with a
    gradient; value: likewise, what deletion and insertion show; quantity: what ``value`` is, in words.
    """

    label: str
    score: Score
    value: Score
    quantity: str


def class_target(index: int, name: str = "") -> Target:
    """One class: its score is the logit, its value the probability; ``name`` only for the label.

    Raises: Problem, once it is scored, when the model has no such class.
    """

    def score(model: nn.Module, images: Tensor) -> Tensor:
        logits = logits_of(model, images)
        if not 0 <= index < logits.shape[1]:
            raise Problem(f"there is no class {index}", f"the model has {logits.shape[1]}")
        return logits[:, index]

    def value(model: nn.Module, images: Tensor) -> Tensor:
        return logits_of(model, images).softmax(dim=1)[:, index]

    return Target(f"class {index}" + (f" ({name})" if name else ""), score, value, "probability")


def center_target(
    center: np.ndarray,
    *,
    label: str = "the cluster's center",
    embed: Score | None = None,
    normalised: bool = False,
) -> Target:
    """Nearness to a center (D,): score and value are minus the squared Euclidean distance of the embedding to it, 0 or less.

    ``embed``: from a model and images to embeddings (B, D), :func:`embedding_of` unless given; ``normalised``: they are scaled to
    length 1 first, as the run that made the center may have done.
    """

    def score(model: nn.Module, images: Tensor) -> Tensor:
        import torch
        from torch.nn import functional as F

        embeddings = (embed or embedding_of)(model, images)
        goal = torch.as_tensor(center, dtype=embeddings.dtype, device=embeddings.device)
        if goal.shape != embeddings.shape[1:]:
            raise Problem(f"the center has shape {tuple(goal.shape)}", f"embeddings have {tuple(embeddings.shape[1:])}")
        return -((F.normalize(embeddings, dim=1) if normalised else embeddings) - goal).square().sum(dim=1)

    return Target(label, score, score, "minus the squared distance")


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) to logits (B, classes) float32, whether the model returns them or something that has them.

    Raises: Problem when the model has no classifier.
    """
    from torch import nn

    if getattr(model, "num_classes", 1) == 0 or isinstance(getattr(model, "head", None), nn.Identity):
        raise Problem(f"{type(model).__name__} has no classifier", "", "choose a model with one, or a cluster's center")
    output = model(images)
    return getattr(output, "logits", output).float()


def embedding_of(model: nn.Module, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) to embeddings (B, D) float32: what a timm model's classifier is given, or our own ``embedding``."""
    if hasattr(model, "forward_head"):
        return model.forward_head(model.forward_features(images), pre_logits=True).float()
    return model(images).embedding.float()
