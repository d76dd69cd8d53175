"""Super-token clustering: the pixels of a feature map gathered into a coarse grid of soft clusters.

Source: Lee, Lee, Kim, "super-token clustering convolutional embedding", JDCS 25(2), 2024, after STViT (Huang et al. 2023).

========  ==============================================================  =======================
equation  formula                                                         function
========  ==============================================================  =======================
(start)   S = average pool P x P of X                                     :func:`cluster_pixels`
(2)       Q = softmax over the <= 9 neighbouring cells of scale * X S^T   :func:`_associate`
(3)       Qhat = Q / D,  D = column sums of Q, the soft sizes             :func:`_gather`
(4)       S = Qhat^T X, and again from (2), t times                       :func:`_gather`
========  ==============================================================  =======================

Differs: candidates beyond the border are masked, so that rows of Q sum to 1 and no mass is lost (``border="stvit"`` keeps the
phantom zeros of STViT's code); any height and width; softmax and sums in float32 for 16-bit features.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.nn.supertoken_tiles import (
    Tiling,
    average,
    cut,
    fold,
    from_canvas,
    inside_canvas,
    neighbour_mask,
    nine_neighbours,
    own_cells,
    paste,
    pixel_weights,
    to_canvas,
    window,
)

Similarity = Literal["dot", "neg_sq_distance", "cosine"]
Border = Literal["masked", "stvit"]
Grad = Literal["association_stopped", "full"]
KEEP = ("association", "sizes", "history")
_EPS = 1e-12
_CHUNK_BYTES = 2**21  # of float32 features on the CPU at a time: what one iteration touches stays in the cache


@dataclass(frozen=True)
class SuperTokens:
    """Super tokens and how they came about; a field that was not asked for is None.

    tokens (B, C, h, w), h = ceil(H / P); association (B, 9, H, W), each pixel's share in the 3x3 cells around its own, row by row
    (4 = its own cell), 0..1, sums to 1 over the 9 (the share of cells beyond the border is 0 when masked); sizes (B, h, w), the
    pixels gathered in each cell, their sum H W when masked; history: this very record after 0, 1, ..., t iterations, without
    gradient when the association is stopped. With 0 iterations every pixel belongs to its own cell.
    """

    tokens: Tensor
    association: Tensor | None = None
    sizes: Tensor | None = None
    history: tuple["SuperTokens", ...] | None = None


def cluster_pixels(
    features: Tensor,
    *,
    cell_size: int,
    num_iterations: int,
    scale: float | None = None,
    similarity: Similarity = "dot",
    border: Border = "masked",
    grad: Grad = "association_stopped",
    bypass_single_pixels: bool = True,
    keep: Collection[str] = (),
) -> SuperTokens:
    """Gather the pixels of every ``cell_size`` x ``cell_size`` cell and of the cells around it into one super token.

    Args:
        features: (B, C, H, W), any float dtype; a last cell that is cut by the border counts its real pixels only.
        num_iterations: t; 0 is average pooling.
        scale: of the similarities; 1 / sqrt(C) when None.
        similarity: ``dot`` (the paper), ``neg_sq_distance`` or ``cosine`` of a pixel and a super token.
        border: ``masked``, or ``stvit``: zeros beyond the border are candidates too and swallow their share.
        grad: ``association_stopped``: the gradient flows through the last weighted sum only, the association is a constant to it,
            as in STViT; ``full``: through every iteration and softmax.
        bypass_single_pixels: with ``cell_size=1`` every pixel is a cell already: return the features as they are (last row of
            Table 7).
        keep: names of :data:`KEEP`.

    Returns: :class:`SuperTokens`; tokens in the dtype of ``features``, the rest float32 or better.
    Raises: Problem, a ValueError, on an unknown option, a negative number or features that are not (B, C, H, W).
    Source: equations 2-4; see the module's table.
    """
    _check(features, cell_size, num_iterations, keep, similarity=similarity, border=border, grad=grad)
    if cell_size == 1 and bypass_single_pixels:
        num_iterations = 0
    num_images = _chunk_images(features)
    tiling = Tiling(features.shape[2], features.shape[3], cell_size)
    wide = torch.empty(0, dtype=torch.promote_types(features.dtype, torch.float32), device=features.device)
    plan = _Plan(
        tiling=tiling,
        num_iterations=num_iterations,
        scale=features.shape[1] ** -0.5 if scale is None else scale,
        similarity=similarity,
        stops=grad == "association_stopped",
        mask=neighbour_mask(tiling, wide, inside_only=border == "masked").repeat(num_images, 1, 1),
        weights=pixel_weights(tiling, wide).repeat(num_images, 1, 1),
        inside=inside_canvas(tiling, wide),
    )
    return _cluster(features, plan, num_images, keep)


def hard_labels(association: Tensor, cell_size: int) -> Tensor:
    """The cell that each pixel belongs to most: association (B, 9, H, W) to int64 ids row * w + column, (B, H, W), 0..h w - 1."""
    tiling = Tiling(association.shape[2], association.shape[3], cell_size)
    rows = torch.arange(tiling.height)[:, None] // cell_size + torch.arange(-1, 2)[:, None, None, None]
    columns = torch.arange(tiling.width) // cell_size + torch.arange(-1, 2)[:, None, None]
    inside = (rows >= 0) & (rows < tiling.grid[0]) & (columns >= 0) & (columns < tiling.grid[1])
    ids = (rows * tiling.grid[1] + columns).flatten(0, 1).to(association.device)
    shares = association.masked_fill(~inside.flatten(0, 1).to(association.device), -1)
    best = shares.argmax(dim=1, keepdim=True)
    return ids.expand(len(association), -1, -1, -1).gather(1, best).squeeze(1)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What all chunks share; tensors over tiles are repeated for the n images of a chunk, and cut for a last, shorter chunk."""

    tiling: Tiling
    num_iterations: int
    scale: float
    similarity: Similarity
    stops: bool
    mask: Tensor  # (n T, 4 P^2, 16)
    weights: Tensor  # (n T, 1, 4 P^2)
    inside: Tensor  # (1, 2 th + 2, 2 tw + 2, 1)


@dataclass(frozen=True)
class _Step:
    """After some iterations: tokens and sizes as a canvas, the association in tiles (b T, 4 P^2, 16)."""

    canvas: Tensor
    association: Tensor
    sizes: Tensor


def _cluster(features: Tensor, plan: _Plan, num_images: int, keep: Collection[str]) -> SuperTokens:
    """Cluster ``num_images`` at a time, and let the gradient in."""
    grad_enabled = torch.is_grad_enabled() and not plan.stops
    with torch.set_grad_enabled(grad_enabled), torch.autocast(features.device.type, enabled=False):
        runs = [_iterate(chunk, plan, keep_all="history" in keep) for chunk in features.split(num_images)]
        records = tuple(_described(steps, features.dtype, plan, keep) for steps in zip(*runs, strict=True))
    tokens = records[-1].tokens
    if plan.stops:
        saved = [(steps[-1].association, steps[-1].sizes) for steps in runs]
        tokens = _WeightedSum.apply(features, tokens, plan, num_images, *chain.from_iterable(saved))
    return replace(records[-1], tokens=tokens, history=records if "history" in keep else None)


def _iterate(features: Tensor, plan: _Plan, *, keep_all: bool) -> list[_Step]:
    """Average pooling, then ``num_iterations`` times equations 2-4: all steps, or the last only."""
    pixels = cut(features.to(plan.mask.dtype), plan.tiling)
    compared = F.normalize(pixels, dim=-1) if plan.similarity == "cosine" else pixels
    canvas = to_canvas(average(pixels, plan.tiling), plan.tiling)
    steps = [_start(canvas, plan)] if keep_all or plan.num_iterations == 0 else []
    for _ in range(plan.num_iterations):
        step = _gather(pixels, _associate(compared, canvas, plan), plan)
        canvas = step.canvas
        steps = [*steps, step] if keep_all else [step]
    return steps


def _start(canvas: Tensor, plan: _Plan) -> _Step:
    """Every pixel in its own cell: average pooling."""
    own = own_cells(plan.tiling, canvas).repeat(len(canvas), 1, 1)
    return _Step(canvas, own, _sizes(own, plan))


def _associate(compared: Tensor, canvas: Tensor, plan: _Plan) -> Tensor:
    """Equation 2 in tiles: pixels (b T, 4 P^2, C) against the candidates on ``canvas``; rows (b T, 4 P^2, 16) sum to 1."""
    candidates = window(F.normalize(canvas, dim=-1) if plan.similarity == "cosine" else canvas)
    bias, factor = plan.mask[: len(compared)], plan.scale
    if plan.similarity == "neg_sq_distance":  # -|x - s|^2 = 2 x s - |s|^2 - |x|^2, and the softmax does not see |x|^2
        bias, factor = bias - plan.scale * candidates.square().sum(dim=-1)[:, None], 2 * plan.scale
    return torch.baddbmm(bias, compared, candidates.mT, alpha=factor).softmax(dim=-1)


def _gather(pixels: Tensor, association: Tensor, plan: _Plan) -> _Step:
    """Equations 3-4: S = Q^T X / D."""
    sizes = _sizes(association, plan)
    sums = fold(association.mT @ pixels, plan.tiling)
    return _Step(sums * _inverse(sizes, plan), association, sizes)


def _sizes(association: Tensor, plan: _Plan) -> Tensor:
    """The column sums D of Q over real pixels, as a canvas of one channel."""
    return fold((plan.weights[: len(association)] @ association).mT, plan.tiling)


def _inverse(sizes: Tensor, plan: _Plan) -> Tensor:
    """1 / D inside the grid, 0 around it: what phantoms beyond the border swallowed is dropped."""
    return plan.inside / (sizes + _EPS)


class _WeightedSum(torch.autograd.Function):
    """Equation 4 as the gradient sees it: S = Qhat^T X with Q and D constant, so dX = Q (dS / D). Saves Q and D only."""

    @staticmethod
    def forward(ctx, features: Tensor, tokens: Tensor, plan: _Plan, num_images: int, *saved: Tensor) -> Tensor:
        """The tokens (B, C, h, w), which were computed already, now a function of the features (B, C, H, W).

        ``saved``: association and sizes of every chunk of ``num_images``, in turn.
        """
        ctx.save_for_backward(*saved)
        ctx.plan, ctx.num_images, ctx.dtype = plan, num_images, features.dtype
        return tokens.view_as(tokens)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of the tokens (B, C, h, w) to that of the features (B, C, H, W)."""
        tiling, saved = ctx.plan.tiling, ctx.saved_tensors
        grad_features = grad.new_empty(*grad.shape[:2], tiling.height, tiling.width, dtype=ctx.dtype)
        chunks = zip(
            grad_features.split(ctx.num_images), grad.split(ctx.num_images), saved[::2], saved[1::2], strict=True
        )
        with torch.autocast(grad.device.type, enabled=False):
            for out, part, association, sizes in chunks:
                shares = to_canvas(part.to(sizes.dtype), tiling) * _inverse(sizes, ctx.plan)
                out.copy_(paste(association @ window(shares), tiling))
        return grad_features, *[None] * (3 + len(saved))


def _described(steps: Sequence[_Step], dtype: torch.dtype, plan: _Plan, keep: Collection[str]) -> SuperTokens:
    """The same step of all chunks, as one record of the whole batch."""
    associations = [nine_neighbours(step.association, plan.tiling) for step in steps if "association" in keep]
    sizes = [from_canvas(step.sizes, plan.tiling).squeeze(1) for step in steps if "sizes" in keep]
    return SuperTokens(
        tokens=torch.cat([from_canvas(step.canvas, plan.tiling) for step in steps]).to(dtype),
        association=torch.cat(associations) if associations else None,
        sizes=torch.cat(sizes) if sizes else None,
    )


def _chunk_images(features: Tensor) -> int:
    """Images at a time: all on an accelerator, on the CPU as many as stay in its cache."""
    fit = _CHUNK_BYTES // (4 * math.prod(features.shape[1:])) if features.device.type == "cpu" else len(features)
    return max(min(fit, len(features)), 1)


def _check(features: Tensor, cell_size: int, num_iterations: int, keep: Collection[str], **options: str) -> None:
    if features.ndim != 4 or 0 in features.shape[1:] or not features.is_floating_point():
        raise Problem(f"features of shape {tuple(features.shape)}, {features.dtype}, must be floats (B, C, H, W)")
    if cell_size < 1 or num_iterations < 0:
        raise Problem(f"cell_size={cell_size} must be at least 1 and num_iterations={num_iterations} at least 0")
    for name, allowed in (("similarity", Similarity), ("border", Border), ("grad", Grad)):
        if options[name] not in get_args(allowed):
            raise Problem(f"{name}={options[name]!r} must be one of {', '.join(get_args(allowed))}")
    if unknown := set(keep) - set(KEEP):
        raise Problem(f"keep={sorted(unknown)} must be among {', '.join(KEEP)}")
