"""What many images make of a clustering: how many groups each needs, and how often the class stays the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.coat import named
from vitviz.explain.coat_input import AS_TRAINED, Preprocessing, to_input

if TYPE_CHECKING:
    from torch import Tensor

    from vitviz.nn.coat import CoaT
    from vitviz.nn.coat_block import Clustering
    from vitviz.nn.query_prototypes import QueryGroups


@dataclass(frozen=True)
class GroupCounts:
    """How many groups each of B images has in each of n blocks that cluster.

    names (n,) of the blocks and num_tokens (n,), N of each; counts (B, n) float32, of queries the mean over heads.
    """

    names: tuple[str, ...]
    num_tokens: np.ndarray
    counts: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Groups of all blocks to tokens of all blocks, (B,), 0..1."""
        return self.counts.sum(axis=1) / self.num_tokens.sum()


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture: class probabilities (K,) float64 without and with clusters, and KL of both in nats."""

    exact: np.ndarray
    clustered: np.ndarray
    kl: float


@dataclass(frozen=True)
class Agreement:
    """A clustered model beside itself unclustered.

    top1: share of images that get the same class, 0..1; kl: mean KL(unclustered || clustered) of the class probabilities, nats.
    """

    top1: float
    kl: float
    num_images: int


def counts_of(
    model: CoaT,
    images: np.ndarray,
    clustering: Clustering | None = None,
    *,
    of: str = "queries",
    preprocessing: Preprocessing = AS_TRAINED,
    batch_size: int = 16,
) -> GroupCounts:
    """How many groups each image needs: of ``queries``, or of tokens before the ``mlp``.

    ``images`` (B, H, W, 3) uint8, B of 1 or more, are fed at the size they have.

    Raises: Problem, a ValueError, when there are no images, or nothing of that sort is clustered.
    """
    import torch

    field = {"queries": "groups", "mlp": "mlp_groups"}[of]
    rows, sizes = [], {}
    for batch in _batches(model, images, preprocessing, batch_size):
        with torch.inference_mode():
            blocks = dict(named(model(batch, keep=(field,), clustering=clustering).blocks))
        groups = {name: getattr(block, field) for name, block in blocks.items() if getattr(block, field) is not None}
        if not groups:
            raise Problem(f"there are no groups of {of}", "the model does not cluster them")
        sizes = {name: math.prod(blocks[name].grid) for name in groups}
        rows.append(_count(list(groups.values())))
    return GroupCounts(tuple(sizes), np.array(list(sizes.values())), np.concatenate(rows))


def agreement(
    model: CoaT,
    images: np.ndarray,
    clustering: Clustering | None = None,
    *,
    against: Clustering | None = None,
    preprocessing: Preprocessing = AS_TRAINED,
    batch_size: int = 16,
) -> Agreement:
    """How well the clustered model agrees with itself unclustered; ``images`` as in :func:`counts_of`.

    ``against``: what is beside it, CoaT's own attention and nothing clustered when None; see :func:`exact_of`.

    Raises: Problem, a ValueError, when there are no images.
    """
    import torch

    from vitviz.nn.coat_block import UNCLUSTERED

    same, divergence = 0, 0.0
    for batch in _batches(model, images, preprocessing, batch_size):
        with torch.inference_mode():
            logits = [model(batch, clustering=one).logits.double() for one in (against or UNCLUSTERED, clustering)]
        exact, clustered = (one.log_softmax(dim=1) for one in logits)
        same += int((exact.argmax(dim=1) == clustered.argmax(dim=1)).sum())
        divergence += float((exact.exp() * (exact - clustered)).sum())
    return Agreement(same / len(images), max(divergence / len(images), 0.0), len(images))


def answer(
    model: CoaT,
    fed: np.ndarray,
    clustering: Clustering | None = None,
    *,
    against: Clustering | None = None,
    preprocessing: Preprocessing = AS_TRAINED,
) -> Answer:
    """The class probabilities of a picture (H, W, 3) uint8 as it is fed; ``against`` as in :func:`agreement`."""
    import torch

    from vitviz.nn.coat_block import UNCLUSTERED

    image = to_input(model, fed[None], preprocessing)
    with torch.inference_mode():
        logits = [model(image, clustering=one).logits[0].double() for one in (against or UNCLUSTERED, clustering)]
    exact, clustered = (one.log_softmax(dim=0).cpu() for one in logits)
    kl = max(float((exact.exp() * (exact - clustered)).sum()), 0.0)
    return Answer(exact.exp().numpy(), clustered.exp().numpy(), kl)


def exact_of(clustering: Clustering) -> Clustering:
    """The same with nothing clustered: a clustered softmax becomes the full one, all else CoaT's own attention."""
    exact = {"softmax": "full softmax", "factorised": "unclustered"}
    kinds = tuple(exact.get(kind, kind) for kind in clustering.attention)
    return replace(clustering, attention=kinds, mlp_stages=())


def _batches(model: CoaT, images: np.ndarray, preprocessing: Preprocessing, batch_size: int) -> Iterator[Tensor]:
    """Input of the model."""
    if len(images) == 0 or batch_size < 1:
        raise Problem(f"{len(images)} images in batches of {batch_size}", "there is nothing to look at")
    for start in range(0, len(images), batch_size):
        yield to_input(model, images[start : start + batch_size], preprocessing)


def _count(groups: Sequence[QueryGroups]) -> np.ndarray:
    """Groups of each image and block, (B, n) float32, the mean over heads."""
    return np.stack([one.counts.float().mean(dim=1).cpu().numpy() for one in groups], axis=1)
