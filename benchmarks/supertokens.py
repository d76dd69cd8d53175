"""Super-token clustering in 2x2-cell tiles against STViT's form: windows unfolded and folded by convolutions with 9 unit kernels.

``python -m benchmarks.supertokens [--quick] [--json]``. One thread, processor seconds of that thread; the two run in turn in this
process on the same features, and their tokens agree to 1e-4.
"""

import statistics
import time
import resource
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.table import Row, main
from vitviz.nn.supertokens import cluster_pixels

STVIT = "unfold and fold by convolution (STViT)"


def by_convolution(features: Tensor, *, cell_size: int, num_iterations: int) -> Tensor:
    """STViT's form: cells (B, h w, P^2, C) against 9 unfolded neighbours, zeros beyond the border; t of 1 or more."""
    batch, channels, height, width = features.shape
    rows, columns = height // cell_size, width // cell_size
    split = features.reshape(batch, channels, rows, cell_size, columns, cell_size)
    pixels = split.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, cell_size**2, channels)
    tokens = F.avg_pool2d(features, cell_size)
    with torch.no_grad():
        for iteration in range(num_iterations):
            candidates = _unfold(tokens).transpose(1, 2).reshape(batch, rows * columns, channels, 9)
            association = (pixels @ candidates * channels**-0.5).softmax(dim=-1)
            sizes = _fold(association.sum(dim=2).transpose(1, 2).reshape(batch, 9, rows, columns))
            if iteration < num_iterations - 1:
                tokens = _sums(pixels, association, (rows, columns)) / (sizes + 1e-12)
    return _sums(pixels, association, (rows, columns)) / (sizes + 1e-12)


def _sums(pixels: Tensor, association: Tensor, grid: tuple[int, int]) -> Tensor:
    """Q^T X per cell and neighbour, folded: (B, C, h, w)."""
    batch, _, _, channels = pixels.shape
    parts = (pixels.transpose(-1, -2) @ association).permute(0, 2, 3, 1).reshape(batch * channels, 9, *grid)
    return _fold(parts).reshape(batch, channels, *grid)


def _unfold(tokens: Tensor) -> Tensor:
    """The 3x3 neighbours of every cell: (B, C, h, w) to (B, 9 C, h w)."""
    batch, channels, rows, columns = tokens.shape
    kernels = torch.eye(9).reshape(9, 1, 3, 3)
    return F.conv2d(tokens.reshape(-1, 1, rows, columns), kernels, padding=1).reshape(batch, channels * 9, -1)


def _fold(parts: Tensor) -> Tensor:
    """The transpose of :func:`_unfold`: (N, 9, h, w) to (N, 1, h, w)."""
    return F.conv_transpose2d(parts, torch.eye(9).reshape(9, 1, 3, 3), padding=1)


def measure(quick: bool) -> list[Row]:
    """Milliseconds of forward, and of forward and backward."""
    torch.set_num_threads(1)
    sizes = [(8, 28, 2)] if quick else [(32, 28, 2), (32, 56, 4), (8, 112, 8), (2, 224, 16)]
    rows = []
    for batch, side, cell_size in sizes:
        features = torch.randn(batch, 64, side, side, generator=torch.Generator().manual_seed(0))
        for num_iterations in (1, 3, 4) if side == 28 else (3,):
            shape = {"cell_size": cell_size, "num_iterations": num_iterations}
            rows += _compare(features, shape, pairs=3 if quick else 11)
    return rows


def _compare(features: Tensor, shape: dict[str, int], pairs: int) -> list[Row]:
    ours, rival = partial(_tokens, **shape), partial(by_convolution, **shape)
    torch.testing.assert_close(_tokens(features, **shape), rival(features), rtol=1e-4, atol=1e-4)
    named = "{} images, {}x{}, P = {cell_size}, t = {num_iterations}, {{}}".format(
        *features.shape[::2], features.shape[3], **shape
    )
    rows = []
    for what, run in (("forward", _forward), ("forward + backward", _forward_backward)):
        seconds = _in_turn(partial(run, ours, features), partial(run, rival, features), pairs=pairs)
        rows.append(Row(named.format(what), seconds[0] * 1e3, "ms", STVIT, seconds[1] * 1e3))
    return rows


def _in_turn(*works: Callable[[], object], pairs: int) -> list[float]:
    """Median processor seconds of each, called in turn after one warm-up: other processes take wall time, but not these."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(pairs + 1):
        for times, work in zip(seconds, works, strict=True):
            start = time.thread_time()
            work()
            times.append(time.thread_time() - start)
    return [statistics.median(times[1:]) for times in seconds]


def _tokens(features: Tensor, **shape: int) -> Tensor:
    return cluster_pixels(features, **shape, border="stvit").tokens


@torch.no_grad()
def _forward(cluster: Callable[[Tensor], Tensor], features: Tensor) -> None:
    cluster(features)


def _forward_backward(cluster: Callable[[Tensor], Tensor], features: Tensor) -> None:
    leaf = features.detach().requires_grad_()
    tokens = cluster(leaf)
    tokens.backward(torch.ones_like(tokens))


if __name__ == "__main__":
    main(measure, __doc__)
