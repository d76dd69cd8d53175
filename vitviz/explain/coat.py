"""What a CoaT clusters in one picture: the groups of each block, and what one token's prototype looks at.

How far clustering is from exact attention is in :mod:`vitviz.explain.coat_errors`, what many images make of it in
:mod:`vitviz.explain.coat_images`, what it costs in :mod:`vitviz.explain.coat_costs` and :mod:`vitviz.explain.coat_times`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.coat_costs import CLUSTERED, blocks_of, stage_grids
from vitviz.explain.coat_input import AS_TRAINED, Preprocessing, fit_picture, recipe_of, to_input

if TYPE_CHECKING:
    from torch import Tensor

    from vitviz.nn.coat import CoaT
    from vitviz.nn.coat_block import BlockOutput, Clustering
    from vitviz.nn.query_prototypes import QueryGroups

MAX_BYTES = 256 * 2**20


@dataclass(frozen=True)
class GroupMap:
    """Groups of the tokens of one block; h heads, a single one before a clustered MLP.

    ids (h, rows, columns) int32, 0..K - 1, of the tokens on the picture, without those on padding alone; sizes (h, K), members on
    padding included, 0 for an empty group; tones (h, K) float32 to colour by, 0..1: where the group lies along the first
    principal component of the prototypes, as the share of tokens before it; NaN for an empty group.
    """

    ids: np.ndarray
    sizes: np.ndarray
    tones: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """How many prototypes each head has, (h,)."""
        return (self.sizes > 0).sum(axis=1)


@dataclass(frozen=True)
class ClusteredBlock:
    """A block that clusters something.

    name: for people; kind: of its attention; stride: pixels of the picture as fed from one token to the next; grid: rows and
    columns of its N tokens, padding included, and shown, of them those on the picture. queries: their groups, with prototypes
    (h, 1 + K, d) float32, row 0 the CLS token's, and qkv, three arrays (h, 1 + N, d) float32; all None where the attention is
    not clustered. tokens: groups before a clustered MLP, coloured by what their members are after the block, or None.
    """

    name: str
    stage: int
    kind: str
    stride: int
    grid: tuple[int, int]
    shown: tuple[int, int]
    queries: GroupMap | None
    prototypes: np.ndarray | None
    qkv: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    tokens: GroupMap | None


@dataclass(frozen=True)
class CoatLook:
    """One picture through one model: fed (H, W, 3) uint8, as resized; recipe: how, for captions; blocks: those that cluster."""

    fed: np.ndarray
    recipe: str
    clustering: Clustering
    blocks: tuple[ClusteredBlock, ...]


@dataclass(frozen=True)
class PrototypeAttention:
    """What one token takes of every value in one head, by itself and through its prototype.

    row, column: its place in ``grid``, the tokens of the block that lie on the picture; group, size: its group, with its members
    on padding; members (rows, columns) bool. exact, clustered (rows, columns) float32, and cls_exact, cls_clustered of the CLS
    token: of ``softmax`` 0..1, sum 1 with those on padding; of ``factorised`` of any sign. weight_error:
    |clustered - exact| / |exact| of all weights; output_error: the same of the values so mixed; moved: the share of the weight
    that lies elsewhere, 0..1, None for ``factorised``.
    """

    kind: str
    grid: tuple[int, int]
    row: int
    column: int
    group: int
    size: int
    members: np.ndarray
    exact: np.ndarray
    clustered: np.ndarray
    cls_exact: float
    cls_clustered: float
    weight_error: float
    output_error: float
    moved: float | None


def look(
    model: CoaT,
    pixels: np.ndarray,
    clustering: Clustering | None = None,
    *,
    preprocessing: Preprocessing = AS_TRAINED,
) -> CoatLook:
    """One picture (H, W, 3) uint8 through ``model``, clustered as it is or as ``clustering`` has it.

    Kept are 12 D (1 + N) bytes of queries, keys and values a block with clustered queries, :func:`kept_bytes`: 7.2 MB of
    CoaT-Lite Tiny and a square picture at 224 px, 37.8 MB at 512 px.

    Raises: Problem, a ValueError, when they would be more than 256 MiB.
    """
    import torch

    clustering = clustering or model.clustering
    fed = fit_picture(model, pixels, preprocessing)
    if kept_bytes(model, *fed.shape[:2], clustering) > MAX_BYTES:
        reason = (
            f"fed at {fed.shape[1]} x {fed.shape[0]} px its queries, keys and values take over {MAX_BYTES >> 20} MiB"
        )
        raise Problem("the picture is too large for this model", reason, "feed it smaller")
    with torch.inference_mode():
        images = to_input(model, fed[None], preprocessing)
        output = model(images, keep=("groups", "prototypes", "qkv", "mlp_groups", "hidden"), clustering=clustering)
        blocks = tuple(
            _keep(name, block, clustering.attention[block.stage - 1], model.patch_size, fed.shape[:2])
            for name, block in named(output.blocks)
            if block.groups is not None or block.mlp_groups is not None
        )
    return CoatLook(fed, recipe_of(model, fed, preprocessing), clustering, blocks)


def kept_bytes(model: CoaT, height: int, width: int, clustering: Clustering) -> int:
    """Bytes of queries, keys and values that :func:`look` keeps of a picture fed at ``height`` x ``width`` px."""
    return sum(
        12 * (1 + math.prod(grid)) * block.factoratt_crpe.proj.in_features
        for stage, grid in enumerate(stage_grids(model, height, width), 1)
        for block in blocks_of(model, stage)
        if clustering.attention[stage - 1] in CLUSTERED
    )


def tone_map(groups: GroupMap, head: int) -> np.ndarray:
    """The tone of each token's group, (rows, columns) float32, 0..1."""
    return groups.tones[head][groups.ids[head]]


def at_picture(block: ClusteredBlock, values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Values (..., rows, columns) of the tokens on the picture at the pixels it is fed with, (..., height, width)."""
    rows, columns = (np.arange(side) // block.stride for side in (height, width))
    return values[..., rows[:, None], columns]


def token_at(look: CoatLook, block: ClusteredBlock, x: float, y: float) -> tuple[int, int]:
    """Row and column of the token that a place in 0..1 of the picture lies in."""
    sides = zip((y, x), look.fed.shape[:2], block.shown, strict=True)
    return tuple(min(max(int(at * side / block.stride), 0), most - 1) for at, side, most in sides)


def prototype_attention(
    look: CoatLook, block: int, head: int, x: float, y: float, *, kind: str | None = None
) -> PrototypeAttention:
    """What the token under a place looks at: ``softmax`` or ``factorised``, the kind of its block when None.

    Args:
        block: counts in ``look.blocks``. x, y: in 0..1 of the picture.

    Raises: Problem, a ValueError, when there is no such head or kind, or the block does not cluster its queries.
    """
    import torch

    from vitviz.nn.query_prototypes import attention_weights

    chosen = clustered_queries(look, block)
    kind = kind or chosen.kind
    if kind not in CLUSTERED or not 0 <= head < len(chosen.prototypes):
        raise Problem(
            f"kind={kind!r} and head={head} must be of {', '.join(CLUSTERED)} and 0..{len(chosen.prototypes) - 1}"
        )
    row, column = token_at(look, chosen, x, y)
    group = int(chosen.queries.ids[head, row, column])
    queries, keys, values = (torch.from_numpy(part[head])[None, None] for part in chosen.qkv)
    prototype = torch.from_numpy(chosen.prototypes[head])[None, None, [1 + group]]
    own = queries[:, :, [1 + row * chosen.grid[1] + column]]
    exact, clustered = (attention_weights(one, keys, kind)[0, 0, 0].double() for one in (own, prototype))
    return PrototypeAttention(
        kind=kind,
        grid=chosen.shown,
        row=row,
        column=column,
        group=group,
        size=int(chosen.queries.sizes[head, group]),
        members=chosen.queries.ids[head] == group,
        exact=_on_picture(exact[1:].float(), chosen.grid, chosen.shown),
        clustered=_on_picture(clustered[1:].float(), chosen.grid, chosen.shown),
        cls_exact=float(exact[0]),
        cls_clustered=float(clustered[0]),
        weight_error=relative_error(clustered, exact),
        output_error=relative_error(*(one @ values[0, 0].double() for one in (clustered, exact))),
        moved=float((clustered - exact).abs().sum() / 2) if kind == "softmax" else None,
    )


def clustered_queries(look: CoatLook, block: int) -> ClusteredBlock:
    """A block of ``look.blocks``.

    Raises: Problem, a ValueError, when its queries are not clustered.
    """
    chosen = look.blocks[block]
    if chosen.qkv is None:
        raise Problem(f"{chosen.name} does not cluster its queries", f"its attention is {chosen.kind}")
    return chosen


def named(blocks: Sequence[BlockOutput]) -> Iterator[tuple[str, BlockOutput]]:
    """Each block with its name, counted from 1 within its stage."""
    for index, block in enumerate(blocks):
        before = sum(other.stage == block.stage for other in blocks[:index])
        yield f"stage {block.stage}, block {before + 1}", block


def relative_error(values: Tensor, exact: Tensor) -> float:
    """|values - exact| / |exact|, 0 or more; 0 when they are the same."""
    off = float((values - exact).double().norm())
    return off / max(float(exact.double().norm()), sys.float_info.min) if off else 0.0


def _keep(name: str, block: BlockOutput, kind: str, patch_size: int, size: tuple[int, int]) -> ClusteredBlock:
    """What is kept of a block for a picture of ``size`` = (height, width) as fed."""
    stride = patch_size * 2 ** (block.stage - 1)
    shown = tuple(-(-side // stride) for side in size)
    prototypes = None if block.groups is None else block.prototypes[0].float()
    return ClusteredBlock(
        name=name,
        stage=block.stage,
        kind=kind,
        stride=stride,
        grid=block.grid,
        shown=shown,
        queries=None if block.groups is None else _map(block.groups, prototypes[:, 1:], block.grid, shown),
        prototypes=None if block.groups is None else prototypes.cpu().numpy(),
        qkv=None if block.groups is None else tuple(part[0].float().cpu().contiguous().numpy() for part in block.qkv),
        tokens=None if block.mlp_groups is None else _token_map(block, shown),
    )


def _token_map(block: BlockOutput, shown: tuple[int, int]) -> GroupMap:
    from vitviz.nn.query_prototypes import mean_of_groups

    means = mean_of_groups(block.hidden[:, None, 1:], block.mlp_groups)[0]
    return _map(block.mlp_groups, means.float(), block.grid, shown)


def _map(groups: QueryGroups, prototypes: Tensor, grid: tuple[int, int], shown: tuple[int, int]) -> GroupMap:
    """The groups of the first image; prototypes (h, K, d)."""
    sizes = groups.sizes[0].cpu().numpy()
    tones = [_tones(of_head, counts) for of_head, counts in zip(prototypes.cpu().numpy(), sizes, strict=True)]
    return GroupMap(_on_picture(groups.ids[0].int(), grid, shown), sizes, np.stack(tones))


def _tones(prototypes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Prototypes (K, d) of groups of ``sizes`` (K,) along their first principal component: (K,) float32 in 0..1, NaN if empty."""
    used = np.flatnonzero(sizes)
    centred = (prototypes[used] - np.average(prototypes[used], axis=0, weights=sizes[used])).astype(np.float64)
    _, axes = np.linalg.eigh((centred * sizes[used, None]).T @ centred)
    axis = axes[:, -1] * (1 if axes[np.abs(axes[:, -1]).argmax(), -1] > 0 else -1)
    order = np.argsort(centred @ axis, kind="stable")
    before = np.cumsum(sizes[used][order]) - sizes[used][order] / 2
    tones = np.full(len(sizes), np.nan, np.float32)
    tones[used[order]] = before / sizes.sum()
    return tones


def _on_picture(values: Tensor, grid: tuple[int, int], shown: tuple[int, int]) -> np.ndarray:
    """Values (..., N) of all tokens as an array (..., rows, columns) of those on the picture; a copy."""
    return values.unflatten(-1, grid)[..., : shown[0], : shown[1]].cpu().contiguous().numpy()
