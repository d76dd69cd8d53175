"""One block of CoaT, conv-attention and MLP, with and without clusters.

Source: Xu, Xu, Chang, Tu, "Co-Scale Conv-Attentional Image Transformers", 2021, and "Clustering CoaT", which puts prototypes P,
means of groups of queries, in the place of the queries; the formulas stand in :mod:`vitviz.nn.query_prototypes`.

A block is ``x = CPE(x)``, ``x = x + ConvAttention(LN(x))``, ``x = x + MLP(LN(x))``. To what the attention mixes comes the
convolutional relative position encoding, gate * DWConv(V). The clustered MLP is ours, not the paper's: :func:`mlp_of_prototypes`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.nn.query_groups import Grouping, group_queries
from vitviz.nn.query_prototypes import (
    CLUSTERED,
    Kind,
    QueryGroups,
    broadcast,
    mean_of_groups,
    mix_factorised,
    mix_prototypes,
    mix_softmax,
    prototypes_of,
    spread_to_members,
)
from vitviz.nn.vit import Mlp, drop_branches

Gate = Literal["query", "value", "prototype"]
KEEP = ("tokens", "hidden", "groups", "prototypes", "qkv", "mixed", "mlp_groups")


@dataclass(frozen=True, kw_only=True)
class Clustering:
    """What a CoaT clusters, and how. Nothing here changes the parameters.

    attention: the kind of each of the four stages; ``factorised`` and ``softmax`` cluster the queries, by ``grouping``.
    gate: what the position encoding DWConv(V) is multiplied by: ``query`` as in CoaT, ``value`` as the paper's text has it, or
        the ``prototype`` of the query's group.
    mlp_stages: the stages, 1 to 4, whose MLP sees prototypes only, by ``mlp_grouping`` (ours, not the paper's).

    Raises: Problem, a ValueError, on an unknown kind, gate or stage.
    """

    attention: tuple[Kind, ...] = ("factorised", "factorised", "unclustered", "unclustered")
    gate: Gate = "query"
    grouping: Grouping = field(default_factory=Grouping)
    mlp_stages: tuple[int, ...] = ()
    mlp_grouping: Grouping = field(default_factory=lambda: Grouping(r_rel=16.0))

    def __post_init__(self):
        if len(self.attention) != 4 or not set(self.attention) <= set(get_args(Kind)):
            raise Problem(f"attention={self.attention} must be four of {', '.join(get_args(Kind))}")
        if self.gate not in get_args(Gate):
            raise Problem(f"gate={self.gate!r} must be one of {', '.join(get_args(Gate))}")
        if not set(self.mlp_stages) <= {1, 2, 3, 4}:
            raise Problem(f"mlp_stages={self.mlp_stages} must be among 1, 2, 3, 4")


UNCLUSTERED = Clustering(attention=("unclustered",) * 4)


@dataclass(frozen=True)
class BlockOutput:
    """What one block computed; a field that was not asked for, or that the block does not have, is None.

    stage: 1 to 4; grid: rows and columns of its N patches; hidden (B, 1 + N, D), CLS first, after the block; groups: of its N
    queries; prototypes (B, h, 1 + K, d), row 0 the CLS token's query, which is its own prototype, row 1 + id a group's; qkv:
    queries, keys and values, each (B, h, 1 + N, d); mixed (B, h, 1 + N, d), the attention before its output projection, position
    encoding included; mlp_groups: of its N tokens before the MLP, with one head.
    """

    stage: int
    grid: tuple[int, int]
    hidden: Tensor | None = None
    groups: QueryGroups | None = None
    prototypes: Tensor | None = None
    qkv: tuple[Tensor, Tensor, Tensor] | None = None
    mixed: Tensor | None = None
    mlp_groups: QueryGroups | None = None


@dataclass(frozen=True)
class Mixed:
    """What the attention of one block computed, before its output projection.

    values (B, h, 1 + N, d), position encoding included; queries, keys, values_in (B, h, 1 + N, d); groups of the N patches and
    prototypes (B, h, 1 + K, d), row 0 the CLS token and row 1 + id a group, or None when nothing is clustered.
    """

    values: Tensor
    queries: Tensor
    keys: Tensor
    values_in: Tensor
    groups: QueryGroups | None
    prototypes: Tensor | None


class ConvPosEnc(nn.Module):
    """Convolutional position encoding: a depthwise 3x3 convolution added to the patches."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(dim, dim, kernel_size=3, padding=1, groups=dim)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens (B, 1 + N, D), CLS first, to the same."""
        features = as_map(x[:, 1:], grid)
        encoded = self.proj(features) + features
        return torch.cat([x[:, :1], encoded.flatten(2).transpose(1, 2)], dim=1)


class ConvRelPosEnc(nn.Module):
    """Convolutional relative position encoding: every channel of V through a window of its own, the window's size by head."""

    def __init__(self, head_dim: int, window: Mapping[int, int]):
        super().__init__()
        self.splits = [heads * head_dim for heads in window.values()]
        self.conv_list = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size=size, padding=size // 2, groups=width)
            for size, width in zip(window, self.splits, strict=True)
        )

    def forward(self, gate: Tensor, values: Tensor, grid: tuple[int, int]) -> Tensor:
        """gate * DWConv(V) of patches, both (B, h, N, d) -> (B, h, N, d)."""
        batch, num_heads, num, dim = values.shape
        image = values.transpose(2, 3).reshape(batch, num_heads * dim, *grid)
        parts = zip(self.conv_list, image.split(self.splits, dim=1), strict=True)
        encoded = torch.cat([conv(part) for conv, part in parts], dim=1)
        return gate * encoded.reshape(batch, num_heads, dim, num).transpose(2, 3)


class ConvAttention(nn.Module):
    """Factorised attention with convolutional position encoding, timm's names; its queries may be clustered."""

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool, shared_crpe: ConvRelPosEnc):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.crpe = shared_crpe

    def forward(
        self, x: Tensor, grid: tuple[int, int], *, kind: Kind, gate: Gate, grouping: Grouping
    ) -> tuple[Tensor, Mixed]:
        """Tokens (B, 1 + N, D), CLS first, to tokens (B, 1 + N, D) and everything in between."""
        batch, num, dim = x.shape
        q, k, v = self.qkv(x).reshape(batch, num, 3, self.num_heads, dim // self.num_heads).permute(2, 0, 3, 1, 4)
        groups = prototypes = None
        if kind in CLUSTERED:
            groups = group_queries(q[:, :, 1:], grouping, grid=grid)
            prototypes = prototypes_of(q, groups)
            values = broadcast(mix_prototypes(prototypes, k, v, groups, kind), groups)
        else:
            values = (mix_factorised if kind == "unclustered" else mix_softmax)(q, k, v)
        position = self.crpe(_gate(gate, q, v, groups, prototypes), v[:, :, 1:], grid)
        values = values + F.pad(position, (0, 0, 1, 0))
        mixed = Mixed(values, q, k, v, groups, prototypes)
        return self.proj(values.transpose(1, 2).reshape(batch, num, dim)), mixed


class SerialBlock(nn.Module):
    """Position encoding, attention and MLP, timm's names; the two encodings are shared by the blocks of a stage."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        qkv_bias: bool,
        drop_path: float,
        shared_cpe: ConvPosEnc,
        shared_crpe: ConvRelPosEnc,
    ):
        super().__init__()
        self.cpe = shared_cpe
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.factoratt_crpe = ConvAttention(dim, num_heads, qkv_bias, shared_crpe)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop_rate=0.0)
        self.drop_path = drop_path

    def forward(
        self, x: Tensor, grid: tuple[int, int], stage: int, keep: Collection[str], clustering: Clustering
    ) -> tuple[Tensor, BlockOutput]:
        """Tokens (B, 1 + N, D), CLS first, to the same and what was kept."""
        x = self.cpe(x, grid)
        attended, mixed = self.factoratt_crpe(
            self.norm1(x),
            grid,
            kind=clustering.attention[stage - 1],
            gate=clustering.gate,
            grouping=clustering.grouping,
        )
        x = x + self._drop_path(attended)
        normed, groups = self.norm2(x), None
        if stage in clustering.mlp_stages:
            changed, groups = mlp_of_prototypes(self.mlp, normed, clustering.mlp_grouping, grid)
        else:
            changed = self.mlp(normed)
        x = x + self._drop_path(changed)
        return x, _block_output(stage, grid, x, mixed, groups, keep)

    def _drop_path(self, x: Tensor) -> Tensor:
        return drop_branches(x, self.drop_path) if self.training else x


def mlp_of_prototypes(
    mlp: nn.Module, tokens: Tensor, grouping: Grouping, grid: tuple[int, int]
) -> tuple[Tensor, QueryGroups]:
    """The clustered MLP: tokens (B, 1 + N, D), CLS first, to what ``mlp`` makes of their groups' means, the same for all members.

    The CLS token goes through by itself, and an empty group not at all. Ours: the paper clusters queries only.
    """
    patches = tokens[:, None, 1:]
    groups = group_queries(patches, grouping, grid=grid)
    used = groups.sizes[:, 0] > 0
    means = mean_of_groups(patches, groups)[:, 0]
    cls, changed = mlp(torch.cat([tokens[:, 0], means[used]])).split([len(tokens), int(used.sum())])
    slots = torch.zeros_like(means, dtype=changed.dtype).masked_scatter(used[..., None], changed)
    return torch.cat([cls[:, None], spread_to_members(slots[:, None], groups)[:, 0]], dim=1), groups


def _gate(gate: Gate, q: Tensor, v: Tensor, groups: QueryGroups | None, prototypes: Tensor | None) -> Tensor:
    """What the position encoding is multiplied by, (B, h, N, d); without groups every query is its own prototype."""
    if gate == "prototype" and groups is not None:
        return spread_to_members(prototypes[:, :, 1:], groups)
    return (v if gate == "value" else q)[:, :, 1:]


def _block_output(
    stage: int, grid: tuple[int, int], x: Tensor, mixed: Mixed, groups: QueryGroups | None, keep: Collection[str]
) -> BlockOutput:
    found = {
        "hidden": x,
        "groups": mixed.groups,
        "prototypes": mixed.prototypes,
        "qkv": (mixed.queries, mixed.keys, mixed.values_in),
        "mixed": mixed.values,
        "mlp_groups": groups,
    }
    return BlockOutput(stage, grid, **{name: value for name, value in found.items() if name in keep})


def as_map(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, N, D) to (B, D, rows, columns)."""
    return patches.transpose(1, 2).unflatten(2, grid)
