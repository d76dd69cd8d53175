"""What a CoaT costs in multiply-adds: by part, and below how many groups clustering begins to pay.

Convolutions and matrix products are counted, as by :func:`vitviz.explain.embedding_costs.count_macs`; sums over groups, sorting
and normalising are not. A picture is counted with its padding; prototypes as they are, not padded to the fullest head.

=================  ===================================  =================================
kind               multiply-adds of the core            parts
=================  ===================================  =================================
``unclustered``    2 T D d                              K^T V and Q M
``factorised``     T D d + (1 + C) D d                  K^T V and Q M, Q the prototypes
``softmax``        2 (1 + C) T D                        Q K^T and A V, Q the prototypes
``full softmax``   2 T^2 D                              Q K^T and A V
=================  ===================================  =================================

T = 1 + N tokens with CLS, C groups of the others, heads of width d, D = d times the number of heads.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem

if TYPE_CHECKING:
    from torch import nn

    from vitviz.nn.coat import CoaT
    from vitviz.nn.coat_block import Clustering, SerialBlock
    from vitviz.nn.query_groups import Grouping

CORES = ("full softmax", "softmax", "unclustered", "factorised")
CLUSTERED = ("softmax", "factorised")
PARTS = (
    "patch embedding",
    "CPE",
    "qkv",
    "clustering",
    "K^T V",
    "Q M",
    "Q K^T",
    "A V",
    "CRPE",
    "projection",
    "MLP",
    "head",
)
_SEVERAL = 2.0  # any two numbers of groups give the line on which costs lie

Groups = float | Sequence[float] | None
"""Groups in each clustered block, in turn; or one number for all; or None, the number that the method fixes."""


@dataclass(frozen=True)
class CoatMacs:
    """Multiply-adds for one picture: of each of the four stages, part to number; the head is in the last."""

    stages: tuple[dict[str, int], ...]

    @property
    def parts(self) -> dict[str, int]:
        """Part to multiply-adds over all stages, in the order of :data:`PARTS`; parts that cost nothing are left out."""
        sums = {part: sum(stage.get(part, 0) for stage in self.stages) for part in PARTS}
        return {part: number for part, number in sums.items() if number}

    @property
    def total(self) -> int:
        """Of all parts and stages."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class BreakEven:
    """Below how many groups, 0..N, a stage costs fewer multiply-adds, clustering included; 0 is never.

    num_tokens: N, padding included, CLS not; softmax_full: clustered softmax against full softmax; softmax_factorised: clustered
    softmax against CoaT's own attention; factorised: its queries clustered against CoaT's own; mlp: the clustered MLP against it.
    """

    stage: int
    num_tokens: int
    head_dim: int
    softmax_full: float
    softmax_factorised: float
    factorised: float
    mlp: float


def count_parts(
    model: CoaT,
    height: int,
    width: int,
    clustering: Clustering | None = None,
    *,
    prototypes: Groups = None,
    mlp_prototypes: Groups = None,
) -> CoatMacs:
    """Multiply-adds of ``model`` for one picture of ``height`` x ``width`` px, clustered as it is or as ``clustering`` has it.

    ``prototypes``: the groups of a head, the mean over heads; ``mlp_prototypes``: those before a clustered MLP.

    Raises: Problem, a ValueError, when a number is needed that the method does not fix, or there are not as many as blocks.
    """
    clustering = clustering or model.clustering
    blocks = [
        (stage, math.prod(grid), block)
        for stage, grid in enumerate(stage_grids(model, height, width), 1)
        for block in blocks_of(model, stage)
    ]
    asked = [num for stage, num, _ in blocks if clustering.attention[stage - 1] in CLUSTERED]
    through = [num for stage, num, _ in blocks if stage in clustering.mlp_stages]
    counts = _groups("prototypes", prototypes, clustering.grouping, asked)
    mlp_counts = _groups("mlp_prototypes", mlp_prototypes, clustering.mlp_grouping, through)
    stages = tuple(Counter(_embedding_macs(model, stage, height, width)) for stage in range(1, 5))
    for stage, num, block in blocks:
        kind = clustering.attention[stage - 1]
        count = next(counts) if kind in CLUSTERED else 0
        stages[stage - 1].update(_attention_macs(block, num, kind, clustering.grouping, count))
        mlp_count = next(mlp_counts) if stage in clustering.mlp_stages else None
        stages[stage - 1].update(_mlp_macs(block, num, clustering.mlp_grouping, mlp_count))
    stages[-1].update({"head": _numbers(model.head)})
    return CoatMacs(tuple(dict(stage) for stage in stages))


def break_even(model: CoaT, height: int, width: int, clustering: Clustering | None = None) -> tuple[BreakEven, ...]:
    """Where clustering begins to pay in each of the four stages, for a picture of ``height`` x ``width`` px.

    Every stage as if it were clustered, by the groupings of ``clustering`` or of the model.
    """
    clustering = clustering or model.clustering
    grids = stage_grids(model, height, width)
    return tuple(_stage_break_even(model, stage, math.prod(grid), clustering) for stage, grid in enumerate(grids, 1))


def core_lines(
    counts: Sequence[float], grouping: Grouping, *, num_tokens: int, num_heads: int = 8, head_dim: int = 8
) -> dict[str, np.ndarray]:
    """Multiply-adds of each of :data:`CORES`, clustering included, at each number of groups: kind to array (len(counts),).

    ``num_tokens``: N, CLS not among them.
    """

    def cost(kind: str, count: float) -> float:
        shape = {"num_heads": num_heads, "head_dim": head_dim, "num_groups": count}
        core = core_macs(kind, num_tokens=1 + num_tokens, **shape)
        hashing = clustering_macs(grouping, num_tokens=num_tokens, **shape) if kind in CLUSTERED else 0
        return sum(core.values()) + hashing

    return {kind: np.array([cost(kind, count) for count in counts]) for kind in CORES}


def core_macs(kind: str, *, num_tokens: int, num_groups: float, num_heads: int, head_dim: int) -> dict[str, float]:
    """Multiply-adds of one core alone, part to number: ``num_tokens`` T with CLS, ``num_groups`` C without it."""
    asking = 1 + num_groups if kind in CLUSTERED else num_tokens
    dim = num_heads * head_dim
    if kind in ("softmax", "full softmax"):
        return {"Q K^T": asking * num_tokens * dim, "A V": asking * num_tokens * dim}
    return {"K^T V": num_tokens * dim * head_dim, "Q M": asking * dim * head_dim}


def clustering_macs(grouping: Grouping, *, num_tokens: int, num_groups: float, num_heads: int, head_dim: int) -> float:
    """Multiply-adds of grouping N = ``num_tokens`` queries a head; distances to find k-means++ starts are not counted."""
    dim = num_heads * head_dim
    if grouping.method == "e2lsh":
        return num_tokens * dim * grouping.num_hashes
    if grouping.method == "kmeans":
        return (grouping.num_iterations + 1) * num_tokens * dim * num_groups
    if grouping.method in ("sign", "sign+lloyd"):
        bits = int(math.log2(fixed_groups(grouping, num_tokens)))
        steps = grouping.num_iterations if grouping.method == "sign+lloyd" else 0
        return num_tokens * (dim * grouping.num_bits + num_heads * bits) + steps * num_tokens * dim * num_groups
    return 0


def fixed_groups(grouping: Grouping, num_tokens: int) -> int | None:
    """How many groups a method makes of ``num_tokens``, empty ones included; None where the picture decides."""
    most = grouping.max_clusters
    if grouping.method == "e2lsh":
        return None
    if grouping.method in ("sign", "sign+lloyd"):
        return 2 ** min(grouping.num_bits, int(math.log2(most or 2**grouping.num_bits)))
    return min(grouping.num_clusters, most or num_tokens, num_tokens)


def stage_grids(model: CoaT, height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Rows and columns of tokens in the four stages for a picture of ``height`` x ``width`` px, its padding included."""
    step = 8 * model.patch_size
    rows, columns = (8 * -(-side // step) for side in (height, width))
    return tuple((rows >> stage, columns >> stage) for stage in range(4))


def blocks_of(model: CoaT, stage: int) -> Sequence[SerialBlock]:
    """The blocks of a stage, 1 to 4."""
    return getattr(model, f"serial_blocks{stage}")


def _groups(name: str, given: Groups, grouping: Grouping, num_tokens: Sequence[int]) -> Iterator[float]:
    """A number of groups for each block, whose numbers of tokens are given."""
    if given is None:
        fixed = [fixed_groups(grouping, num) for num in num_tokens]
        if None in fixed:
            raise Problem(f"{name} must be given", f"{grouping.method} makes as many as the picture asks for")
        return iter(fixed)
    if not isinstance(given, Sequence):
        return iter([given] * len(num_tokens))
    if len(given) != len(num_tokens):
        raise Problem(f"{name} of {len(given)} blocks were given", f"{len(num_tokens)} are clustered")
    return iter(given)


def _embedding_macs(model: CoaT, stage: int, height: int, width: int) -> dict[str, int]:
    num = math.prod(stage_grids(model, height, width)[stage - 1])
    return {"patch embedding": num * _numbers(getattr(model, f"patch_embed{stage}").proj)}


def _attention_macs(block: SerialBlock, num: int, kind: str, grouping: Grouping, count: float) -> dict[str, int]:
    """Of position encodings and attention; ``num`` N, ``count`` groups."""
    attention = block.factoratt_crpe
    shape = {"num_heads": attention.num_heads, "head_dim": attention.proj.in_features // attention.num_heads}
    found = {
        "CPE": num * _numbers(block.cpe.proj),
        "qkv": (1 + num) * _numbers(attention.qkv),
        "CRPE": num * sum(_numbers(conv) for conv in attention.crpe.conv_list),
        "projection": (1 + num) * _numbers(attention.proj),
        **core_macs(kind, num_tokens=1 + num, num_groups=count, **shape),
    }
    if kind in CLUSTERED:
        found["clustering"] = clustering_macs(grouping, num_tokens=num, num_groups=count, **shape)
    return {part: round(number) for part, number in found.items()}


def _mlp_macs(block: SerialBlock, num: int, grouping: Grouping, count: float | None) -> dict[str, int]:
    """Of the MLP; of the clustered one when ``count`` is a number of groups."""
    each = _numbers(block.mlp.fc1) + _numbers(block.mlp.fc2)
    if count is None:
        return {"MLP": (1 + num) * each}
    shape = {"num_heads": 1, "head_dim": block.mlp.fc1.in_features}
    hashing = clustering_macs(grouping, num_tokens=num, num_groups=count, **shape)
    return {"MLP": round((1 + count) * each), "clustering": round(hashing)}


def _stage_break_even(model: CoaT, stage: int, num: int, clustering: Clustering) -> BreakEven:
    block = blocks_of(model, stage)[0]

    def attention(kind: str) -> Callable[[float], float]:
        return lambda count: sum(_attention_macs(block, num, kind, clustering.grouping, count).values())

    def mlp(count: float | None) -> float:
        return sum(_mlp_macs(block, num, clustering.mlp_grouping, count).values())

    full, own = attention("full softmax")(0), attention("unclustered")(0)
    return BreakEven(
        stage=stage,
        num_tokens=num,
        head_dim=block.factoratt_crpe.proj.in_features // block.factoratt_crpe.num_heads,
        softmax_full=_crossing(attention("softmax"), full, num),
        softmax_factorised=_crossing(attention("softmax"), own, num),
        factorised=_crossing(attention("factorised"), own, num),
        mlp=_crossing(mlp, mlp(None), num),
    )


def _crossing(cost: Callable[[float], float], bound: float, num: int) -> float:
    """Where a cost that grows in a straight line with the number of groups reaches ``bound``, cut to 0..num."""
    start = cost(0)
    slope = (cost(_SEVERAL) - start) / _SEVERAL
    return float(min(max((bound - start) / slope, 0), num))


def _numbers(layer: nn.Module) -> int:
    """Multiply-adds of a convolution or linear layer at one place: the numbers of its weight; 0 without one."""
    weight = getattr(layer, "weight", None)
    return 0 if weight is None else weight.numel()
