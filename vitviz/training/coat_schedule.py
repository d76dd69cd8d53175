"""What a Clustering CoaT clusters at which step: nothing at first, then by an r that keeps enough prototypes.

Differs from a moving average of std(q): here r is relative to the spread of the queries of every image and head, so it follows
std(q) at each step by itself. What is averaged is the share of prototypes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitviz.nn.coat_block import BlockOutput, Clustering
from vitviz.nn.query_groups import Grouping
from vitviz.training.coat_config import CLUSTERED, CoatConfig

_MOMENTUM = 0.8  # of the smoothed share of prototypes
_GAIN = 0.05  # by which power of share / bound r follows: slower than the smoothing, so that r does not swing


def clustering_of(config: CoatConfig, r_rel: float | None) -> Clustering:
    """What a network of ``config`` clusters at this r; with None, what it does in its first, unclustered steps."""
    kinds = {"factorised": "factorised", "softmax": "softmax", "full_softmax": "full softmax"}
    kind = kinds.get(config.kind, "unclustered")
    if r_rel is None and config.kind in CLUSTERED:
        kind = "full softmax" if config.kind == "softmax" else "unclustered"
    grouping = Grouping(
        method=config.grouping,
        r_rel=r_rel or 1.0,
        num_hashes=config.num_hashes,
        num_bits=config.num_bits,
        num_clusters=config.num_prototypes,
    )
    return Clustering(
        attention=tuple(kind if stage in config.clustered_stages else "unclustered" for stage in (1, 2, 3, 4)),
        gate=config.gate,
        grouping=grouping,
        mlp_stages=config.clustered_stages if config.kind == "clustered_mlp" and r_rel is not None else (),
        mlp_grouping=grouping,
    )


def prototype_shares(blocks: Sequence[BlockOutput]) -> dict[int, Tensor]:
    """C/N of every stage in which something is clustered, 0..1, a mean over its blocks, images and heads."""
    found: dict[int, list[Tensor]] = {}
    for block in blocks:
        for groups in (block.groups, block.mlp_groups):
            if groups is not None:
                found.setdefault(block.stage, []).append(groups.counts.float().mean() / groups.ids.shape[2])
    return {stage: torch.stack(shares).mean() for stage, shares in found.items()}


@dataclass(frozen=True)
class Width:
    """r relative to the spread of what is clustered, None before clustering begins, and the smoothed share that it led to."""

    r_rel: float | None = None
    smoothed_share: float | None = None


def follow(width: Width, share: float, *, r_rel: float, min_share: float) -> Width:
    """The width of the next step, after one with that ``share`` of prototypes: at most ``r_rel``, less while there are too few.

    s = .8 s + .2 share; r = min(r_rel, r (s / min_share)^.05).
    """
    before = share if width.smoothed_share is None else width.smoothed_share
    smoothed = _MOMENTUM * before + (1 - _MOMENTUM) * share
    return Width(min(r_rel, width.r_rel * (smoothed / min_share) ** _GAIN), smoothed)
