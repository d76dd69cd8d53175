"""What an embedding costs: tokens, parameters, multiplications and time, measured on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem

if TYPE_CHECKING:
    import torch

_IMG_SIZE = 224
_SECONDS = 0.8


@dataclass(frozen=True)
class EmbeddingCost:
    """One embedding on one picture: tokens, parameters, macs (multiply-adds), milliseconds (the median of several runs)."""

    name: str
    tokens: int
    parameters: int
    macs: int
    milliseconds: float


@dataclass(frozen=True)
class Throughput:
    """Images a second at one number of iterations: the mean over ``num_rounds``, their standard deviation, 0 of a single one."""

    num_iterations: int
    images_per_second: float
    spread: float
    num_rounds: int = 1


def compare_embeddings(
    image: np.ndarray, *, models: Mapping[str, torch.nn.Module] | None = None
) -> tuple[EmbeddingCost, ...]:
    """The same picture (H, W, 3) uint8, its centre at 224 px, through every embedding (images to tokens (B, N, D)).

    ``models``: name to embedding; by default the paper's three, patch, conv and supertoken, at a width of 384, untrained: weights
    change no cost. After a warm-up the embeddings take turns for about a second.

    Source: Tables 3-5 and Table 1, which claims 0.30, 1.00 and 0.09 M parameters.
    """
    import torch

    from vitviz.data.batches import to_tensor
    from vitviz.data.images import fit_image
    from vitviz.nn.embed import EMBEDDINGS

    models = models or {name: embedding().eval() for name, embedding in EMBEDDINGS.items()}
    pixels = to_tensor(fit_image(image, _IMG_SIZE)[None], "cpu")
    with torch.no_grad():
        counted = {name: (model(pixels).shape[1], count_macs(model, pixels)) for name, model in models.items()}
        seconds = _take_turns([lambda model=model: model(pixels) for model in models.values()], seconds=_SECONDS)
    return tuple(
        EmbeddingCost(
            name=name,
            tokens=counted[name][0],
            parameters=count_parameters(model),
            macs=counted[name][1],
            milliseconds=statistics.median(times) * 1e3,
        )
        for (name, model), times in zip(models.items(), seconds, strict=True)
    )


def measure_throughput(
    make_model: Callable[[int], torch.nn.Module] | None = None,
    iterations: Sequence[int] = (1, 2, 3, 4),
    *,
    batch_size: int = 8,
    seconds: float = 20.0,
    img_size: int = _IMG_SIZE,
) -> tuple[Throughput, ...]:
    """Images a second of a whole model at every number of iterations, which take turns within ``seconds``, after a warm-up.

    ``make_model``: number of iterations to a model of images (B, 3, img_size, img_size); the paper's ViT of width 384 and depth
    12 behind a super-token embedding when None. Every model runs twice at least, however little time there is.

    Raises: Problem on no iterations, a batch or seconds below 0.
    Source: Table 8, which claims 766, 749, 737 and 718 images a second.
    """
    import torch

    if not iterations or batch_size < 1 or seconds < 0:
        raise Problem(f"{batch_size=}, {seconds=}, {iterations=}", "there is nothing to measure")
    models = [(make_model or _paper_model)(number).eval() for number in iterations]
    images = torch.randn(batch_size, 3, img_size, img_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        times = _take_turns([lambda model=model: model(images) for model in models], seconds=seconds)
    rounds = [[batch_size / taken for taken in of_one] for of_one in times]
    return tuple(
        Throughput(number, statistics.mean(rates), statistics.stdev(rates) if len(rates) > 1 else 0.0, len(rates))
        for number, rates in zip(iterations, rounds, strict=True)
    )


def count_parameters(module: torch.nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: torch.nn.Module, images: torch.Tensor) -> int:
    """Multiply-adds of convolutions and matrix products in one pass over ``images``; nothing is computed on the meta device."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(images)
    return counter.get_total_flops() // 2


def _paper_model(num_iterations: int) -> torch.nn.Module:
    from vitviz.nn.embed import SuperTokenEmbed, paper_vit

    return paper_vit(SuperTokenEmbed(num_iterations=num_iterations))


def _take_turns(runs: Sequence[Callable[[], object]], *, seconds: float) -> list[list[float]]:
    """Seconds of every run, round after round as long as another is likely to end within ``seconds``.

    The first round warms up and is not kept; a second is always run.
    """
    times: list[list[float]] = [[] for _ in runs]
    start = time.perf_counter()
    for run in runs:
        run()
    last = time.perf_counter() - start
    while not times[0] or time.perf_counter() + last < start + seconds:
        began_round = time.perf_counter()
        for run, taken in zip(runs, times, strict=True):
            began = time.perf_counter()
            run()
            taken.append(time.perf_counter() - began)
        last = time.perf_counter() - began_round
    return times
