"""Attention through all layers of a ViT at once: the product of the layers, and what rollout makes of it.

Rollout, equation 1: R <- (a I + (1 - a) fused A, rows summing to 1) R, with a = 1/2. Relevance, which weights A by a gradient, is
in :mod:`vitviz.explain.attention_relevance`. Layers in which the CLS token alone attends (CaiT) change its row alone; a pooling
by attention is one more row on top.

Source: Abnar and Zuidema 2020, Quantifying Attention Flow in Transformers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.attention_layers import Layer, feed, row_chunks, watch
from vitviz.explain.attention_tokens import Size, TokenLayout, find_query

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vitviz.explain.attention import Fusion, Query
    from vitviz.nn.attention_capture import AttentionCall

_THROUGH = ("global", "class attention", "pooling")


@dataclass(frozen=True)
class Flow:
    """How much of every token reaches every token at the end of the model.

    matrix (P + N, P + N) float32, 0 or more: row = token at the end, column = token at the start. Rows of rollout
    sum to 1; of relevance what a token is to itself is left out. pooled (P + N,) the row of a pooling by attention, or None;
    prefix: names of the first P tokens, grid: of the N others; readout: the query that the classifier reads; score: what
    relevance explains, else None; recipe: one line for captions.
    """

    layout: TokenLayout
    prefix: tuple[str, ...]
    grid: Size
    matrix: np.ndarray
    pooled: np.ndarray | None
    readout: str
    score: float | None
    recipe: str


@dataclass(frozen=True)
class FlowRow:
    """One row of a :class:`Flow`.

    query: for people; place: (row, column) or None; map (rows, columns) and prefix (P,) float32, 0 or more.
    """

    query: str
    place: tuple[int, int] | None
    map: np.ndarray
    prefix: np.ndarray


def rollout(
    model: torch.nn.Module,
    image: np.ndarray | Tensor,
    *,
    fusion: Fusion = "mean",
    discard_ratio: float = 0.0,
    residual: float = 0.5,
) -> Flow:
    """Attention multiplied through all layers, for a picture (C, H, W) float32, normalised as the model wants it.

    Args:
        fusion: how the heads of a layer become one: ``mean``, ``max`` or ``min``.
        discard_ratio: 0..1, exclusive; that share of the keys, rounded down, is set to 0 in each row, the smallest first.
        residual: 0..1; what a token keeps of itself in each layer.

    One N x N matrix is held beside the product.

    Raises: Problem when a setting is out of range, or the layers do not all attend over the same tokens.

    Differs: a row is made to sum to 1 again after fusing and discarding, before the residual is added.
    """
    import torch

    _check(fusion, discard_ratio, residual)
    pixels, layout = feed(model, image)
    chain = Chain(layout)

    def visit(call: AttentionCall, layer: Layer) -> None:
        chain.check(layer)
        fused = _discard(_fuse(call, fusion), discard_ratio)
        fused = fused / fused.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(fused.dtype).tiny)
        chain.extend(layer, fused, lambda rows, carried: residual * rows + (1 - residual) * carried)

    watch(model, pixels, layout, visit)
    recipe = (
        f"rollout, heads fused by {fusion}, {residual:g} of each token kept, {discard_ratio:.0%} of the keys discarded"
    )
    return chain.end(model, recipe)


def flow_row(flow: Flow, query: Query = None) -> FlowRow:
    """The row of one query, as in ``attention.attend``; None: what the model's classifier reads.

    Raises: Problem when there is no such token.
    """
    wanted = flow.readout if query is None else find_query(query, flow.layout)
    prefix = len(flow.prefix)
    if isinstance(wanted, tuple):
        name, place = f"row {wanted[0]}, column {wanted[1]}", wanted
        row = flow.matrix[prefix + wanted[0] * flow.grid[1] + wanted[1]]
    else:
        name, place = wanted, None
        row = _row_of_name(flow, wanted)
    return FlowRow(name, place, row[prefix:].reshape(flow.grid), row[:prefix])


def _row_of_name(flow: Flow, name: str) -> np.ndarray:
    if name == "learned query":
        return flow.pooled
    if name == "mean":
        return flow.matrix[len(flow.prefix) :].mean(axis=0)
    if name not in flow.prefix:
        raise Problem(f"{name!r} takes no part in the attention that was followed")
    return flow.matrix[flow.prefix.index(name)]


class Chain:
    """What tokens at the end take of tokens at the start, R (N, N), while one layer follows the other.

    ``beyond_self``: R - I is kept in its place, whose small numbers would drown in I.
    """

    def __init__(self, layout: TokenLayout, *, beyond_self: bool = False):
        self.layout, self.prefix, self.beyond_self = layout, (), beyond_self
        self.matrix: Tensor | None = None
        self.pooled: Tensor | None = None
        self.names: set[str] = set()

    def check(self, layer: Layer) -> None:
        """Raises: Problem when there is no following attention through this layer."""
        kind = f"{layer.kind} attention"
        reason = None if layer.kind in _THROUGH else kind
        if reason is None and layer.grid != self.layout.grid:
            reason = f"{kind} on another grid, {layer.grid[0]} x {layer.grid[1]}"
        if reason is None and layer.name in self.names:
            reason = "one of several softmaxes of a module"
        if reason is not None:
            what = "attention cannot be followed through this model"
            raise Problem(what, f"layer {layer.index} ({layer.name}) is {reason}")
        self.names.add(layer.name)

    def extend(self, layer: Layer, attention: Tensor, mix: Callable[[Tensor, Tensor], Tensor]) -> None:
        """One layer more: its attention A (Nq, Nk), and ``mix(rows, A R)`` for what the rows of its queries become."""
        import torch

        self._widen(layer, attention)
        num_keys = attention.shape[1]
        carried = attention @ self.matrix[-num_keys:]
        if self.beyond_self:
            carried[:, -num_keys:] += attention
        if layer.kind == "pooling":
            self.pooled = carried[0]
        else:
            mixed = mix(self.matrix[: len(carried)], carried)
            self.matrix = torch.cat([mixed, self.matrix[len(carried) :]])

    def _widen(self, layer: Layer, like: Tensor) -> None:
        """Let the tokens of a new prefix, the CLS token of CaiT, join: so far they know themselves only."""
        import torch

        old = 0 if self.matrix is None else len(self.matrix)
        num_tokens = len(layer.prefix) + math.prod(self.layout.grid)
        if num_tokens <= old:
            return
        own = torch.eye(num_tokens - old, dtype=like.dtype, device=like.device) * (not self.beyond_self)
        self.matrix = own if old == 0 else torch.block_diag(own, self.matrix)
        self.prefix = layer.prefix

    def end(self, model: torch.nn.Module, recipe: str, score: float | None = None) -> Flow:
        """As arrays.

        Raises: Problem when the product is too large for float32.
        """
        matrix = self.matrix.float().cpu().numpy()
        pooled = None if self.pooled is None else self.pooled.float().cpu().numpy()
        if not np.isfinite(matrix).all():
            raise Problem("the flow of attention is not finite", "the weights or the score of the model are too large")
        readout = _readout(model, self.prefix) if pooled is None else "learned query"
        return Flow(self.layout, self.prefix, self.layout.grid, matrix, pooled, readout, score, recipe)


def _check(fusion: str, discard_ratio: float, residual: float) -> None:
    if fusion not in ("mean", "max", "min"):
        raise Problem(f"heads cannot be fused by {fusion!r}", "", "choose one of mean, max, min")
    if not 0 <= discard_ratio < 1:
        raise Problem(f"discard_ratio={discard_ratio} must be in 0..1 and less than 1")
    if not 0 <= residual <= 1:
        raise Problem(f"residual={residual} must be in 0..1")


def _fuse(call: AttentionCall, fusion: str) -> Tensor:
    """All heads of the first picture as one matrix (Nq, Nk)."""
    import torch

    kinds = {
        "mean": lambda part: part.mean(dim=0),
        "max": lambda part: part.amax(dim=0),
        "min": lambda part: part.amin(dim=0),
    }
    return torch.cat([kinds[fusion](part[0]) for part in row_chunks(call, np.arange(call.shape[-2]))])


def _discard(fused: Tensor, ratio: float) -> Tensor:
    """Zeros for that share of the keys, the smallest of each row; of equal ones the first."""
    number = int(ratio * fused.shape[1] + 1e-9)
    return fused.scatter(1, fused.argsort(dim=1, stable=True)[:, :number], 0.0) if number else fused


def _readout(model: torch.nn.Module, prefix: tuple[str, ...]) -> str:
    """What the classifier reads, by timm's ``global_pool`` or vitviz's ``pool``."""
    pool = getattr(model, "global_pool", None) or getattr(model, "pool", "token")
    return "CLS" if "CLS" in prefix and pool in ("token", "cls") else "mean"
