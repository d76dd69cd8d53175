"""Clustering the queries of a CoaT that was never trained to be clustered: which r a few images allow.

Source: "Clustering CoaT"; how r is found is ours. It keeps the factorised form, in which loaded weights stay what they are.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from vitviz.errors import Problem
from vitviz.nn.coat import CoaT, CoaTOutput
from vitviz.nn.coat_block import UNCLUSTERED, Clustering
from vitviz.training.coat_schedule import prototype_shares

LADDER = tuple(2 ** (step / 2) for step in range(11))
"""1 to 32 in half octaves."""


@dataclass(frozen=True)
class CalibrationStep:
    """One r on the calibration images: C/N of the clustered blocks, the share of images whose first class is that of the
    unclustered network, and the mean KL of its classes from the clustered network's, in nats.
    """

    r_rel: float
    prototype_share: float
    agreement: float
    divergence: float


@dataclass(frozen=True)
class Calibration:
    """The clustering to use, the largest r that was allowed, and every r that was tried; r_rel is None when none was."""

    clustering: Clustering
    r_rel: float | None
    steps: tuple[CalibrationStep, ...]


@torch.no_grad()
def calibrate_r(
    model: CoaT,
    images: Tensor,
    clustering: Clustering | None = None,
    *,
    min_agreement: float = 0.97,
    ladder: Sequence[float] = LADDER,
) -> Calibration:
    """The largest r of ``ladder`` up to which the clustered ``model`` agrees with the unclustered one on ``images`` (B, 3, H, W).

    clustering: what to cluster, its r apart, which stands for attention and MLP alike; the default is the factorised form in
    stages 1 and 2. ``model`` is in eval mode and stays as it is. Of 64 images, an agreement is known to a few percent only.

    Raises: Problem when the model trains, there is no image, or ``clustering`` clusters nothing.
    """
    if model.training or not len(images):
        raise Problem(
            f"{len(images)} images and a model in {'training' if model.training else 'eval'} mode cannot calibrate r"
        )
    base = clustering or Clustering()
    wanted = model(images, clustering=UNCLUSTERED).logits.double().log_softmax(dim=1)
    steps = []
    for r_rel in sorted(ladder):
        output = model(images, ("groups", "mlp_groups"), clustering=with_r(base, r_rel))
        steps.append(_step(r_rel, wanted, output))
    allowed = list(takewhile(lambda step: step.agreement >= min_agreement, steps))
    if not allowed:
        return Calibration(UNCLUSTERED, None, tuple(steps))
    return Calibration(with_r(base, allowed[-1].r_rel), allowed[-1].r_rel, tuple(steps))


def with_r(clustering: Clustering, r_rel: float) -> Clustering:
    """The same clustering with another r, of attention and MLP."""
    return dataclasses.replace(
        clustering,
        grouping=dataclasses.replace(clustering.grouping, r_rel=r_rel),
        mlp_grouping=dataclasses.replace(clustering.mlp_grouping, r_rel=r_rel),
    )


def _step(r_rel: float, wanted: Tensor, output: CoaTOutput) -> CalibrationStep:
    shares = prototype_shares(output.blocks)
    if not shares:
        raise Problem("this clustering clusters nothing, so that there is no r to find")
    found = output.logits.double().log_softmax(dim=1)
    agreement = (found.argmax(dim=1) == wanted.argmax(dim=1)).double().mean().item()
    divergence = (wanted.exp() * (wanted - found)).sum(dim=1).mean().item()
    share = math.fsum(map(float, shares.values())) / len(shares)
    return CalibrationStep(r_rel, share, agreement, max(divergence, 0.0))
