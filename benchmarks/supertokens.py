"""Super-token clustering in 2x2-cell tiles against STViT's form: windows unfolded and folded by convolutions with 9 unit kernels.

``python -m benchmarks.supertokens [--quick] [--json]``. One thread, and the processor seconds of that thread; the two run in turn
in this process on the same features, with STViT's border, and their tokens agree to 1e-4.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import profile

from benchmarks.table import Row, main
from vitviz.nn.embed import SuperTokenEmbed, paper_vit
from vitviz.nn.supertokens import cluster_pixels

RIVAL = "unfold and fold by convolution (STViT)"
CHANNELS = 64


def measure(quick: bool) -> list[Row]:
    """Milliseconds and peak memory of the clustering, then the whole ViT at t = 4 beside t = 1."""
    torch.set_num_threads(1)
    sizes = [(8, 28, 2)] if quick else [(32, 28, 2), (32, 56, 4), (8, 112, 8), (2, 224, 16)]
    rows = []
    for batch, side, cell_size in sizes:
        features = torch.randn(batch, CHANNELS, side, side, generator=torch.Generator().manual_seed(0))
        for num_iterations in (1, 3, 4) if side == 28 else (3,):
            rows += _compare(features, cell_size, num_iterations, pairs=3 if quick else 15)
        if side == 28:
            rows.append(_compare_memory(features, cell_size, 3))
    return [*rows, _whole_vit(batch=1 if quick else 4, pairs=3 if quick else 25)]


def by_convolution(features: Tensor, *, cell_size: int, num_iterations: int) -> Tensor:
    """STViT's form: cells (B, h w, P^2, C) against 9 unfolded neighbours, zeros beyond the border; t of 1 or more."""
    batch, channels, height, width = features.shape
    grid = (height // cell_size, width // cell_size)
    split = features.unflatten(3, (-1, cell_size)).unflatten(2, (-1, cell_size))
    pixels = split.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, cell_size**2, channels)
    tokens = F.avg_pool2d(features, cell_size)
    for iteration in range(num_iterations):
        with torch.no_grad():
            candidates = _unfold(tokens).transpose(1, 2).reshape(batch, -1, channels, 9)
            association = (pixels @ candidates * channels**-0.5).softmax(dim=-1)
            sizes = _fold(association.sum(dim=2).transpose(1, 2).reshape(batch, 9, *grid))
        with torch.set_grad_enabled(torch.is_grad_enabled() and iteration == num_iterations - 1):
            parts = (pixels.transpose(-1, -2) @ association).permute(0, 2, 3, 1).reshape(-1, 9, *grid)
            tokens = _fold(parts).reshape(batch, channels, *grid) / (sizes + 1e-12)
    return tokens


def _unfold(tokens: Tensor) -> Tensor:
    """The 3x3 neighbours of every cell: (B, C, h, w) to (B, 9 C, h w)."""
    batch, channels, *grid = tokens.shape
    kernels = torch.eye(9).reshape(9, 1, 3, 3)
    return F.conv2d(tokens.reshape(-1, 1, *grid), kernels, padding=1).reshape(batch, channels * 9, -1)


def _fold(parts: Tensor) -> Tensor:
    """The transpose of :func:`_unfold`: (N, 9, h, w) to (N, 1, h, w)."""
    return F.conv_transpose2d(parts, torch.eye(9).reshape(9, 1, 3, 3), padding=1)


def _in_tiles(features: Tensor, *, cell_size: int, num_iterations: int) -> Tensor:
    return cluster_pixels(features, cell_size=cell_size, num_iterations=num_iterations, border="stvit").tokens


def _compare(features: Tensor, cell_size: int, num_iterations: int, pairs: int) -> list[Row]:
    ours, rival = (
        partial(form, cell_size=cell_size, num_iterations=num_iterations) for form in (_in_tiles, by_convolution)
    )
    torch.testing.assert_close(ours(features), rival(features), rtol=1e-4, atol=1e-4)
    rows = []
    for name, run in (("forward", _forward), ("forward + backward", _forward_backward)):
        seconds = _in_turn(partial(run, ours, features), partial(run, rival, features), pairs=pairs)
        figure = f"{_describe(features, cell_size, num_iterations)}, {name}"
        rows.append(Row(figure, seconds[0] * 1e3, "ms", RIVAL, seconds[1] * 1e3))
    return rows


def _compare_memory(features: Tensor, cell_size: int, num_iterations: int) -> Row:
    ours, rival = (
        _peak_mebibytes(partial(form, features, cell_size=cell_size, num_iterations=num_iterations))
        for form in (_in_tiles, by_convolution)
    )
    figure = f"{_describe(features, cell_size, num_iterations)}, forward, peak extra memory"
    return Row(figure, ours, "MiB", RIVAL, rival)


def _whole_vit(batch: int, pairs: int) -> Row:
    """The ViT of Table 6 at t = 4 beside t = 1, forward."""
    images = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    more, fewer = (paper_vit(SuperTokenEmbed(num_iterations=number)).eval() for number in (4, 1))
    seconds = _in_turn(partial(_forward, more, images), partial(_forward, fewer, images), pairs=pairs)
    ours, rival = (value * 1e3 / batch for value in seconds)
    return Row("whole ViT, 224x224, forward, t = 4", ours, "ms an image", "t = 1", rival)


def _describe(features: Tensor, cell_size: int, num_iterations: int) -> str:
    batch, _, height, width = features.shape
    return f"{batch} images of {height}x{width}, P = {cell_size}, t = {num_iterations}"


@torch.no_grad()
def _forward(run: Callable[[Tensor], object], inputs: Tensor) -> None:
    run(inputs)


def _forward_backward(run: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
    leaf = inputs.detach().requires_grad_()
    tokens = run(leaf)
    tokens.backward(torch.ones_like(tokens))


def _in_turn(*works: Callable[[], object], pairs: int) -> list[float]:
    """Median processor seconds of each, called in turn after one warm-up: other processes take wall time, but not these."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(pairs + 1):
        for times, work in zip(seconds, works, strict=True):
            start = time.thread_time()
            work()
            times.append(time.thread_time() - start)
    return [statistics.median(times[1:]) for times in seconds]


@torch.no_grad()
def _peak_mebibytes(work: Callable[[], object]) -> float:
    """The most that ``work`` holds at once of what it allocates, its result with it."""
    with profile(profile_memory=True) as profiler:
        work()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events)) / 2**20


if __name__ == "__main__":
    main(measure, __doc__)
