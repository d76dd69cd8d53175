"""The attention of any model as its own forward computes it: nothing hooked, nothing patched, nothing kept on the model.

A ``TorchFunctionMode`` is active in one thread only. While the forward runs it sees ``F.scaled_dot_product_attention``, whose
weights are softmax(q k^T scale + mask), and, where a module is not fused, the softmax itself. Norms of q and k, rotations,
position biases, prefix tokens and registers are the model's own code. Which module attends is known by its parameters: the last
one that passed belongs to it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Out = TypeVar("Out")
_SOFTMAX = (Tensor.softmax, F.softmax, torch.softmax, torch.special.softmax)
_PROJECTIONS = ("qkv", "q", "q_proj", "in_proj")


@dataclass(frozen=True)
class AttentionCall:
    """One attention of a forward pass, valid while :data:`Visit` sees it.

    index: 0, 1, ... in the order of the pass; name: of the module in the model, e.g. ``blocks.0.attn``; shape: of its weights,
    (B, num_heads, Nq, Nk), with more axes before Nq in some models; fused: whether the model itself never makes them.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    fused: bool
    _read: Callable[[Tensor | None], Tensor]

    def rows(self, queries: Tensor | None = None) -> Tensor:
        """Weights (B, num_heads, n, Nk) of some queries (n,) int64, all when None: 0..1, rows sum to 1; float32 or more."""
        return self._read(queries)


Visit = Callable[[AttentionCall], bool | None]
"""Called with every attention in turn; true when it has seen enough, and the rest of the pass is not wanted."""


def watch_attention(forward: Callable[[], Out], model: nn.Module, visit: Visit, *, through: bool = False) -> Out | None:
    """What ``forward()``, which runs ``model``, returns; None when ``visit`` had enough.

    A fused attention stays fused, and only the rows that ``visit`` asks for are computed beside it. ``through``: the values are
    mixed by the very weights that ``visit`` gets from ``rows()``, so that gradients reach them.

    Other threads and other models are not seen. Not seen either: attention inside one Python function of torch
    (``nn.MultiheadAttention``), or compiled.
    """
    watcher = _Watcher(model, visit, through)
    try:
        with watcher:
            return forward()
    except _Enough as enough:
        if enough.watcher is not watcher:
            raise
        return None


class _Enough(Exception):
    def __init__(self, watcher: "_Watcher"):
        super().__init__()
        self.watcher = watcher


class _Watcher(TorchFunctionMode):
    """torch takes the mode away while ``__torch_function__`` runs: what is computed there is not seen again."""

    def __init__(self, model: nn.Module, visit: Visit, through: bool):
        super().__init__()
        self._model, self._visit, self._through = model, visit, through
        self._names = _names_by_id(model)
        self._last, self._count = "", 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for value in (*args, *kwargs.values()):
            self._last = self._names.get(id(value), self._last)
        if func is F.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        result = func(*args, **kwargs)
        if func in _SOFTMAX and _is_over_last(result, args, kwargs):
            self._see_softmax(result)
        return result

    def _attend(self, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
        scores = _Scores(query, key, attn_mask, is_causal, scale)
        shape = (*query.shape[:-1], key.shape[-2])
        name = _attention_module(self._model, self._last)
        name = self._last.rpartition(".")[0] if name is None else name
        if not self._through:
            self._show(AttentionCall(self._count, name, shape, True, scores.weights))
            return F.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
            )
        weights = scores.weights(None)
        self._show(AttentionCall(self._count, name, shape, True, _rows_of(weights)))
        return weights.to(value.dtype) @ _repeat_heads(value, query)

    def _see_softmax(self, weights: Tensor) -> None:
        name = _attention_module(self._model, self._last)
        if name is not None and weights.ndim >= 4:
            self._show(AttentionCall(self._count, name, tuple(weights.shape), False, _rows_of(weights)))

    def _show(self, call: AttentionCall) -> None:
        self._count += 1
        if self._visit(call):
            raise _Enough(self)


@dataclass(frozen=True)
class _Scores:
    """What ``F.scaled_dot_product_attention`` was given, as far as the weights depend on it."""

    query: Tensor
    key: Tensor
    mask: Tensor | None
    is_causal: bool
    scale: float | None

    def weights(self, queries: Tensor | None) -> Tensor:
        """softmax(q k^T scale + mask) of some queries, in float32 or more."""
        dtype = torch.promote_types(self.query.dtype, torch.float32)
        scale = self.query.shape[-1] ** -0.5 if self.scale is None else self.scale
        rows = self.query if queries is None else self.query[..., queries, :]
        scores = (rows.to(dtype) * scale) @ _repeat_heads(self.key, self.query).to(dtype).mT
        mask = self._mask()
        if mask is not None and queries is not None and mask.shape[-2] > 1:
            mask = mask[..., queries, :]
        if mask is None:
            return scores.softmax(dim=-1)
        masked = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        return masked.softmax(dim=-1)

    def _mask(self) -> Tensor | None:
        if not self.is_causal:
            return self.mask
        shape = self.query.shape[-2], self.key.shape[-2]
        return torch.ones(shape, dtype=torch.bool, device=self.query.device).tril()


def _names_by_id(model: nn.Module) -> dict[int, str]:
    """The id of each parameter to its name; one that several modules share tells nothing, and is left out."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {key: found[0] for key, found in names.items() if len(found) == 1}


def _attention_module(model: nn.Module, parameter: str) -> str | None:
    """The innermost module around a parameter that has heads and projects queries; None when there is none."""
    name = parameter
    while name:
        name = name.rpartition(".")[0]
        module = model.get_submodule(name)
        has_heads = hasattr(module, "num_heads") or hasattr(module, "heads")
        if has_heads and any(hasattr(module, projection) for projection in _PROJECTIONS):
            return name
    return None


def _is_over_last(result: Tensor, args: tuple, kwargs: dict) -> bool:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return dim in (-1, result.ndim - 1)


def _rows_of(weights: Tensor) -> Callable[[Tensor | None], Tensor]:
    return lambda queries: weights if queries is None else weights[..., queries, :]


def _repeat_heads(of: Tensor, like: Tensor) -> Tensor:
    """Keys or values whose every head serves several heads of the queries, one for each."""
    times = like.shape[-3] // of.shape[-3] if of.ndim > 2 else 1
    return of if times == 1 else of.repeat_interleave(times, dim=-3)
