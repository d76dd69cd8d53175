"""Groups of tokens, their prototypes, and attention in which a prototype asks for all its members.

Source: "Clustering CoaT", after the Adaptive Clustering Transformer (Zheng et al. 2020) and CoaT (Xu et al. 2021).

=================  ==============================================  =========================  =========================
step or kind       formula                                         multiply-adds, per head    function
=================  ==============================================  =========================  =========================
prototype          P_c = mean of q_i with id_i = c                                            :func:`mean_of_groups`
broadcast          o_i = o_c with c = id_i                                                    :func:`spread_to_members`
``unclustered``    Q (softmax_N(K)^T V) / sqrt(d)                  2 N d^2                    :func:`mix_factorised`
``factorised``     P (softmax_N(K)^T V) / sqrt(d), broadcast       N d^2 + C d^2              :func:`mix_prototypes`
``softmax``        softmax(P K^T / sqrt(d)) V, broadcast           2 C N d                    :func:`mix_prototypes`
``full softmax``   softmax(Q K^T / sqrt(d)) V                      2 N^2 d                    :func:`mix_softmax`
=================  ==============================================  =========================  =========================

The CLS token is a prototype of its own, row 0.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Kind = Literal["unclustered", "factorised", "softmax", "full softmax"]
CLUSTERED = ("factorised", "softmax")
_NUM_BUCKETS = 4
_WASTE = 1.25  # padding to the largest row may cost this factor before rows are sorted into buckets


@dataclass(frozen=True)
class QueryGroups:
    """Who belongs where, for every image and head.

    ids (B, h, N) int64, 0..K - 1; sizes (B, h, K) int64, the members of each group, their sum over K is N, 0 for an empty group;
    counts (B, h) int64, the groups that are not empty; order (B, h, N) int64, the tokens sorted by id, or None. K is what the
    largest row needs, or a constant of the method.
    """

    ids: Tensor
    sizes: Tensor
    counts: Tensor
    order: Tensor | None = None

    @property
    def num_slots(self) -> int:
        """K."""
        return self.sizes.shape[2]


def make_groups(ids: Tensor, num_slots: int, order: Tensor | None = None) -> QueryGroups:
    """:class:`QueryGroups` of given ids (B, h, N) int64, 0..num_slots - 1; ``order``, if known, makes sums faster."""
    num_rows = ids.shape[0] * ids.shape[1]
    sizes = torch.bincount(_slots(ids, num_slots).flatten(), minlength=num_rows * num_slots)
    sizes = sizes.reshape(*ids.shape[:2], num_slots)
    return QueryGroups(ids, sizes, (sizes > 0).sum(dim=2), order)


def mean_of_groups(values: Tensor, groups: QueryGroups) -> Tensor:
    """Prototypes (B, h, K, d): the mean of the members' values (B, h, N, d), 0 for an empty group.

    The gradient of a group is shared by its members alike. Sums in float32 or better; the dtype of ``values`` comes back.
    """
    return _Means.apply(values, groups)


def spread_to_members(values: Tensor, groups: QueryGroups) -> Tensor:
    """What each token's group holds: values (B, h, K, d) to (B, h, N, d), laid out in memory as (B, N, h, d)."""
    return _Spread.apply(values, groups)


def mix_factorised(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Q (softmax_N(K)^T V) / sqrt(d): queries (B, h, M, d), keys and values (B, h, N, d) to (B, h, M, d)."""
    return queries @ (keys.softmax(dim=2).mT @ values) * queries.shape[3] ** -0.5


def mix_softmax(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V: queries (B, h, M, d), keys and values (B, h, N, d) to (B, h, M, d)."""
    return F.scaled_dot_product_attention(queries, keys, values)


def attention_weights(queries: Tensor, keys: Tensor, kind: Kind) -> Tensor:
    """How much of each value the mixing takes, (B, h, M, N), of queries or prototypes (B, h, M, d) and keys (B, h, N, d).

    The softmax kinds: 0..1, rows sum to 1. The factorised kinds: any sign and sum.
    """
    if kind in ("softmax", "full softmax"):
        return (queries @ keys.mT * queries.shape[3] ** -0.5).softmax(dim=3)
    return queries @ keys.softmax(dim=2).mT * queries.shape[3] ** -0.5


def prototypes_of(queries: Tensor, groups: QueryGroups) -> Tensor:
    """Queries (B, h, 1 + N, d), CLS first, to prototypes (B, h, 1 + K, d): the CLS token itself, then the mean of every group."""
    return torch.cat([queries[:, :, :1], mean_of_groups(queries[:, :, 1:], groups)], dim=2)


def broadcast(values: Tensor, groups: QueryGroups) -> Tensor:
    """Values of prototypes (B, h, 1 + K, d) to those of all tokens (B, h, 1 + N, d)."""
    members = spread_to_members(values[:, :, 1:], groups)
    # side by side in memory as the output projection reads them
    return torch.cat([values[:, :, :1].transpose(1, 2), members.transpose(1, 2)], dim=1).transpose(1, 2)


def mix_prototypes(prototypes: Tensor, keys: Tensor, values: Tensor, groups: QueryGroups, kind: Kind) -> Tensor:
    """What each prototype (B, h, 1 + K, d) gathers, (B, h, 1 + K, d); whatever for an empty group. ``kind`` is clustered."""
    if kind == "factorised":
        return mix_factorised(prototypes, keys, values)
    slots = torch.arange(1, 1 + groups.num_slots, device=keys.device)
    extents = 1 + ((groups.sizes > 0) * slots).amax(dim=2).flatten()
    if extents.numel() * prototypes.shape[2] <= _WASTE * int(extents.sum()):
        return mix_softmax(prototypes, keys, values)
    return _mix_softmax_in_buckets(prototypes, keys, values, extents)


class _Means(torch.autograd.Function):
    """P_c = sum of q_i / n_c, hence dq_i = dP_c / n_c."""

    @staticmethod
    def forward(ctx, values: Tensor, groups: QueryGroups) -> Tensor:
        ctx.groups = groups
        return _divide(_sum(values, groups), groups).to(values.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return _gather(_divide(grad, ctx.groups), ctx.groups), None


class _Spread(torch.autograd.Function):
    """o_i = o_c, hence do_c = sum of do_i."""

    @staticmethod
    def forward(ctx, values: Tensor, groups: QueryGroups) -> Tensor:
        ctx.groups = groups
        return _gather(values, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return _sum(grad, ctx.groups).to(grad.dtype), None


def _mix_softmax_in_buckets(prototypes: Tensor, keys: Tensor, values: Tensor, extents: Tensor) -> Tensor:
    """Images and heads sorted by their number of prototypes, a few buckets of about as many each."""
    order = extents.argsort()
    flat, parts = [tensor.flatten(0, 1) for tensor in (prototypes, keys, values)], []
    for rows in order.tensor_split(min(_NUM_BUCKETS, len(order))):
        width = int(extents[rows[-1]])
        mixed = mix_softmax(flat[0][rows, :width][None], flat[1][rows][None], flat[2][rows][None])[0]
        parts.append(F.pad(mixed, (0, 0, 0, prototypes.shape[2] - width)))
    return torch.cat(parts)[order.argsort()].unflatten(0, prototypes.shape[:2])


def _sum(values: Tensor, groups: QueryGroups) -> Tensor:
    """Values (B, h, N, d) summed over the members of each group, (B, h, K, d), in float32 or better."""
    wide = values.to(torch.promote_types(values.dtype, torch.float32)).reshape(-1, values.shape[3])
    if groups.order is None:
        sums = wide.new_zeros(groups.sizes.numel(), wide.shape[1])
        sums.index_add_(0, _slots(groups.ids, groups.num_slots).flatten(), wide)
    else:
        ends = groups.sizes.flatten().cumsum(dim=0)
        order = _slots(groups.order, values.shape[2]).flatten()
        sums = F.embedding_bag(order, wide, ends - groups.sizes.flatten(), mode="sum")
    return sums.reshape(*groups.sizes.shape, values.shape[3])


def _divide(sums: Tensor, groups: QueryGroups) -> Tensor:
    return sums / groups.sizes.clamp(min=1)[..., None]


def _gather(values: Tensor, groups: QueryGroups) -> Tensor:
    batch, num_heads, num = groups.ids.shape
    slots = _slots(groups.ids, groups.num_slots).transpose(1, 2).flatten()
    members = values.reshape(-1, values.shape[3]).index_select(0, slots)
    return members.view(batch, num, num_heads, values.shape[3]).transpose(1, 2)


def _slots(ids: Tensor, num_slots: int) -> Tensor:
    """The ids (B, h, N) counted on over all images and heads."""
    starts = torch.arange(ids.shape[0] * ids.shape[1], device=ids.device) * num_slots
    return ids + starts.reshape(*ids.shape[:2], 1)
