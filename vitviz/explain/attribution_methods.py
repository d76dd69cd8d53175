"""Five attributions of a score to places of a picture, and which settings they have. Nothing is hooked, so a model may be shared.

What Captum needs of the network is a function of images; it is given one that counts what was done and can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.attribution_maps import BASELINES, Attribution, make_baseline
from vitviz.explain.attribution_targets import Target

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

OnProgress = Callable[[int, int], bool | None]
"""Told (pictures done, pictures in all, which may grow); returns False to stop."""
_SHAP_BASELINES = tuple(BASELINES)


class Cancelled(Exception):
    """The caller's ``on_progress`` said no; nothing was changed."""


@dataclass
class Meter:
    """Counts pictures that went through the network, and asks after each batch whether to go on."""

    on_progress: OnProgress | None
    total: int
    done: int = 0

    def advance(self, number: int) -> None:
        """Raises: Cancelled when ``on_progress`` returns False."""
        self.done = min(self.done + number, self.total)
        if self.on_progress is not None and self.on_progress(self.done, self.total) is False:
            raise Cancelled


def saliency(
    model: nn.Module, images: Tensor, target: Target, *, batch_size: int = 4, on_progress: OnProgress | None = None
) -> Attribution:
    """The magnitude of the score's gradient at every pixel, the largest of its channels; (H, W), 0 or more.

    Source: Simonyan et al. 2014.
    """
    from captum.attr import Saliency

    with _gradients(images) as images:
        score = _scores(model, target, images)[0]
        values = Saliency(_counted(model, target, Meter(on_progress, 1))).attribute(images.requires_grad_(), abs=True)
    return _attribution("saliency", values[0].amax(dim=0), target, score, recipe="gradient, largest of the channels")


def integrated_gradients(
    model: nn.Module,
    images: Tensor,
    target: Target,
    *,
    baseline: str = "black",
    num_steps: int = 64,
    max_steps: int = 512,
    tolerance: float = 0.01,
    batch_size: int = 4,
    on_progress: OnProgress | None = None,
) -> Attribution:
    """The gradient along the straight way from a baseline to the picture, times how far each pixel went; (H, W).

    The steps (Gauss-Legendre) are doubled until the sum is the difference of the scores to within ``tolerance``, at most to
    ``max_steps``; the completeness reached is in the result.

    Source: Sundararajan et al. 2017.
    """
    from captum.attr import IntegratedGradients

    meter = Meter(on_progress, num_steps)
    with _gradients(images) as images:
        start = make_baseline(model, images, baseline)
        score, low = _scores(model, target, images, start)
        explainer = IntegratedGradients(_counted(model, target, meter))
        while True:
            values = explainer.attribute(images, baselines=start, n_steps=num_steps, internal_batch_size=batch_size)
            gap = _completeness(values, score - low)
            if gap <= tolerance or 2 * num_steps > max_steps:
                break
            num_steps *= 2
            meter.total += num_steps
    recipe = f"{num_steps} steps from {BASELINES[baseline]}, sum {gap:.2%} off the difference of the scores"
    return _attribution("integrated_gradients", values[0].sum(dim=0), target, score, low, gap, recipe)


def gradient_shap(
    model: nn.Module,
    images: Tensor,
    target: Target,
    *,
    num_samples: int = 64,
    noise: float = 0.1,
    seed: int = 0,
    batch_size: int = 4,
    on_progress: OnProgress | None = None,
) -> Attribution:
    """The gradient at random places between three baselines and the noisy picture, times the way there; (H, W).

    Baselines are the three of :data:`BASELINES`, in turn; ``noise``: its standard deviation over that of the picture. Of
    completeness there is only an expectation: what this sample has is in the result.

    Source: Lundberg & Lee 2017, as Captum's GradientShap. Differs: places are drawn one from each of equal parts of the way, and
    from a generator of their own; Captum draws from the global ones of numpy and torch, which all threads share.
    """
    import torch

    meter, generator = Meter(on_progress, num_samples), torch.Generator().manual_seed(seed)
    forward = _counted(model, target, meter)
    with _gradients(images) as images:
        starts = torch.cat([make_baseline(model, images, kind) for kind in _SHAP_BASELINES])
        score, *lows = _scores(model, target, images, starts)
        low = float(np.mean(np.resize(lows, num_samples)))
        total, places = torch.zeros_like(images), _places(num_samples, len(starts), generator).to(images)
        for first in range(0, num_samples, batch_size):
            rows = torch.arange(first, min(first + batch_size, num_samples))
            begin = starts[rows % len(starts)]
            shift = torch.stack([torch.randn(images.shape[1:], generator=generator) for _ in rows]).to(images)
            way = images + noise * images.std() * shift - begin
            at = (begin + places[rows, None, None, None] * way).requires_grad_()
            total += (torch.autograd.grad(forward(at).sum(), at)[0] * way).sum(dim=0)
        values = total / num_samples
    gap = _completeness(values, score - low)
    recipe = f"{num_samples} samples of seed {seed} from black, mean colour and blur, noise {noise:g} of the deviation"
    return _attribution("gradient_shap", values[0].sum(dim=0), target, score, low, gap, recipe)


def occlusion(
    model: nn.Module,
    images: Tensor,
    target: Target,
    *,
    window: int = 1,
    stride: int = 1,
    baseline: str = "mean",
    batch_size: int = 8,
    on_progress: OnProgress | None = None,
) -> Attribution:
    """How much the score falls when a window is covered by a baseline, the mean over windows that cover a patch; (rows, columns).

    ``window``, ``stride``: in patches.

    Source: Zeiler & Fergus 2014.
    Raises: Problem, a ValueError, unless 1 <= stride <= window <= the grid.
    """
    import torch
    from captum.attr import Occlusion

    from vitviz.nn.block_outputs import grid_of

    height, width = images.shape[2:]
    rows, columns = grid_of(model, height, width)
    if not 1 <= stride <= window <= min(rows, columns):
        reason = f"the window has 1 to {min(rows, columns)} patches, and moves by at least one and at most all of them"
        raise Problem(f"window={window}, stride={stride}", reason)
    down, across = -(-height // rows), -(-width // columns)
    steps = [1 + -(-(number - window) // stride) for number in (rows, columns)]
    with torch.inference_mode():
        start = make_baseline(model, images, baseline)
        score, low = _scores(model, target, images, start)
        values = Occlusion(_counted(model, target, Meter(on_progress, 1 + steps[0] * steps[1]))).attribute(
            images,
            sliding_window_shapes=(images.shape[1], window * down, window * across),
            strides=(images.shape[1], stride * down, stride * across),
            baselines=start,
            perturbations_per_eval=batch_size,
        )[0, 0, ::down, ::across]
    recipe = f"windows of {window} x {window} patches every {stride}, covered by {BASELINES[baseline]}"
    return _attribution("occlusion", values, target, score, low, recipe=recipe)


def layer_grad_cam(
    model: nn.Module,
    images: Tensor,
    target: Target,
    *,
    block: int = -2,
    batch_size: int = 4,
    on_progress: OnProgress | None = None,
) -> Attribution:
    """Each patch token after a block, weighted by the mean over patches of the score's gradient there; (rows, columns), signed.

    ``block``: 0..depth - 1, or counted from the end; a model that pools its CLS token takes nothing from patches after the last.

    Source: Selvaraju et al. 2017, for tokens. Differs: the negative part is kept. Not Captum's, which hooks the model and would
    take the mean over a token's features where that over places is meant.
    Raises: Problem when there is no such block, or the score does not depend on the patches after it.
    """
    import torch

    from vitviz.nn.block_outputs import block_names, pick_block, split_tokens, tap_blocks, tokens_in, with_tokens

    block = pick_block(model, block)
    name, seen = block_names(model)[block], []

    def cut(output):
        seen.append(tokens_in(output).detach().requires_grad_())
        return with_tokens(output, seen[0])

    with _gradients(images) as images:
        found = target.score(tap_blocks(model, {name: cut}), images)
        gradient = torch.autograd.grad(found.sum(), seen[0])[0]
    Meter(on_progress, 1).advance(1)
    _, tokens, grid = split_tokens(model, seen[0].detach(), *images.shape[2:])
    _, slopes, _ = split_tokens(model, gradient, *images.shape[2:])
    if not slopes.any():
        why = "the score takes nothing from them"
        raise Problem(f"no Grad-CAM of the patches after block {block}", why, "choose an earlier block")
    values = (tokens * slopes.mean(dim=1, keepdim=True)).sum(dim=2).reshape(grid)
    recipe = f"patch tokens after block {block} of 0-{len(block_names(model)) - 1}, weighted by their mean gradient"
    return _attribution("layer_grad_cam", values, target, float(found[0].detach()), recipe=recipe)


def _places(num_samples: int, num_starts: int, generator: torch.Generator) -> Tensor:
    """Where on its way each sample lies (num_samples,), 0..1: for every baseline, which take turns, one in each equal part."""
    import torch

    rank, turn = (function(torch.arange(num_samples), num_starts) for function in (torch.floor_divide, torch.remainder))
    parts = (num_samples - turn + num_starts - 1) // num_starts
    return (rank + torch.rand(num_samples, generator=generator)) / parts


@contextmanager
def _gradients(images: Tensor) -> Iterator[Tensor]:
    """Images of its own to differentiate by, whatever mode the caller is in."""
    import torch

    if len(images) != 1:
        raise Problem(f"{len(images)} pictures cannot be explained at once", "", "give one")
    with torch.inference_mode(False), torch.enable_grad():
        yield images.detach().clone()


def _counted(model: nn.Module, target: Target, meter: Meter) -> Callable[[Tensor], Tensor]:
    def forward(images: Tensor) -> Tensor:
        scores = target.score(model, images)
        meter.advance(len(images))
        return scores

    return forward


def _scores(model: nn.Module, target: Target, *images: Tensor) -> list[float]:
    import torch

    with torch.no_grad():
        return [float(score) for batch in images for score in target.score(model, batch)]


def _completeness(values: Tensor, difference: float) -> float:
    gap = abs(values.double().sum().item() - difference)
    return gap / max(abs(difference), 1e-12)


def _attribution(
    method: str,
    values: Tensor,
    target: Target,
    score: float,
    baseline_score: float | None = None,
    completeness: float | None = None,
    recipe: str = "",
) -> Attribution:
    array = values.detach().float().cpu().numpy()
    return Attribution(
        method, array, target.label, score, baseline_score, completeness, f"{method} of {target.label}: {recipe}"
    )
