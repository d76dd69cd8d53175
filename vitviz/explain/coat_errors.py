"""How far clustered attention is from exact attention in one block, by method and by number of prototypes.

The error is |o_c - o| / |o| over all heads and tokens but CLS: o is what the exact core makes of the block's queries, keys and
values, o_c what it makes of their prototypes; position encoding and projection come after. Past 4,096 tokens so many, evenly
spaced, are looked at; prototypes are always means of all members, and keys and values are all there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vitviz.errors import Problem
from vitviz.explain.coat import CoatLook, clustered_queries, relative_error
from vitviz.explain.coat_costs import CLUSTERED, clustering_macs, core_macs

if TYPE_CHECKING:
    from torch import Tensor

    from vitviz.nn.query_groups import Grouping
    from vitviz.nn.query_prototypes import QueryGroups

METHODS = ("kmeans", "sign+lloyd", "sign", "e2lsh", "blocks", "random", "singletons")
"""k-means, the best; hashes; two that are blind to the content; and as a check every query by itself, whose error is 0."""
WIDTHS = (1.0, 2.0, 4.0, 8.0)
BITS = (2, 4, 6, 8)
_MOST_TOKENS = 4096
_MOST_BITS = 8
_KMEANS_STEPS = 20
_HALVINGS = 14


@dataclass(frozen=True)
class GroupingError:
    """One method in one block.

    setting: in words; prototypes: those in use, the mean over heads; softmax, factorised: the relative error of either kind, 0 or
    more; softmax_macs, factorised_macs: multiply-adds, clustering included.
    """

    method: str
    setting: str
    prototypes: float
    softmax: float
    factorised: float
    softmax_macs: int
    factorised_macs: int


def errors(
    look: CoatLook, block: int, methods: Sequence[str] = METHODS, *, num_bits: int = 6, seed: int = 0
) -> tuple[GroupingError, ...]:
    """The methods side by side in a block of ``look.blocks``, with as many prototypes as ``sign`` has in use with ``num_bits``.

    k-means takes 20 steps; ``e2lsh`` the bucket width whose mean over heads comes nearest.

    Raises: Problem, a ValueError, on an unknown method, bits not 1 to 8, or a block that does not cluster its queries.
    """
    from vitviz.nn.query_groups import Grouping

    if unknown := set(methods) - set(METHODS):
        raise Problem(f"methods={sorted(unknown)} must be among {', '.join(METHODS)}")
    if not 1 <= num_bits <= _MOST_BITS:
        raise Problem(f"num_bits={num_bits} must be 1 to {_MOST_BITS}")
    scene = _scene_of(look, block)
    sign = Grouping(method="sign", num_bits=num_bits, seed=seed)
    number = round(float(_group(scene, sign).counts.double().mean()))
    by_number = {"num_clusters": number, "seed": seed}
    settings = {
        "kmeans": lambda: Grouping(method="kmeans", num_iterations=_KMEANS_STEPS, **by_number),
        "sign+lloyd": lambda: replace(sign, method="sign+lloyd"),
        "sign": lambda: sign,
        "e2lsh": lambda: _with_width(scene, Grouping(seed=seed), number),
        "blocks": lambda: Grouping(method="blocks", **by_number),
        "random": lambda: Grouping(method="random", **by_number),
        "singletons": lambda: None,
    }
    return tuple(_judge(scene, method, settings[method]()) for method in methods)


def quality_cost(
    look: CoatLook,
    block: int,
    *,
    widths: Sequence[float] = WIDTHS,
    bits: Sequence[int] = BITS,
    methods: Sequence[str] = ("e2lsh", "sign", "sign+lloyd"),
    seed: int = 0,
) -> tuple[GroupingError, ...]:
    """Error, prototypes and multiply-adds as the knob of a method turns: bucket ``widths`` of ``e2lsh``, ``bits`` of the others.

    Raises: as :func:`errors`.
    """
    from vitviz.nn.query_groups import Grouping

    scene = _scene_of(look, block)
    found = []
    for method in methods:
        knob, values = ("r_rel", widths) if method == "e2lsh" else ("num_bits", bits)
        found += [_judge(scene, method, Grouping(method=method, seed=seed, **{knob: value})) for value in values]
    return tuple(found)


@dataclass(frozen=True)
class _Scene:
    """A block's queries, keys and values (1, h, 1 + N, d), which tokens are looked at, and the exact outcome there by kind."""

    queries: Tensor
    keys: Tensor
    values: Tensor
    grid: tuple[int, int]
    places: Tensor
    exact: dict[str, Tensor]

    @property
    def patches(self) -> Tensor:
        """The queries without CLS, (1, h, N, d)."""
        return self.queries[:, :, 1:]


def _scene_of(look: CoatLook, block: int) -> _Scene:
    import torch

    chosen = clustered_queries(look, block)
    queries, keys, values = (torch.from_numpy(part)[None] for part in chosen.qkv)
    num_tokens = math.prod(chosen.grid)
    places = torch.linspace(0, num_tokens - 1, min(num_tokens, _MOST_TOKENS)).round().long()
    exact = {kind: _mix(kind, queries[:, :, 1 + places], keys, values) for kind in CLUSTERED}
    return _Scene(queries, keys, values, chosen.grid, places, exact)


def _mix(kind: str, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    from vitviz.nn.query_prototypes import mix_factorised, mix_softmax

    return (mix_softmax if kind == "softmax" else mix_factorised)(queries, keys, values)


def _group(scene: _Scene, grouping: Grouping | None) -> QueryGroups:
    """Groups of all tokens but CLS; without ``grouping`` each by itself."""
    import torch

    from vitviz.nn.query_groups import group_queries
    from vitviz.nn.query_prototypes import make_groups

    if grouping is not None:
        return group_queries(scene.patches, grouping, grid=scene.grid)
    num_tokens = scene.patches.shape[2]
    return make_groups(torch.arange(num_tokens).expand(scene.patches.shape[:3]), num_tokens)


def _judge(scene: _Scene, method: str, grouping: Grouping | None) -> GroupingError:
    from vitviz.nn.query_prototypes import mean_of_groups

    groups = _group(scene, grouping)
    ids = groups.ids[:, :, scene.places, None]
    prototypes = mean_of_groups(scene.patches, groups)
    is_fewer = groups.num_slots < len(scene.places)
    asking = prototypes if is_fewer else prototypes.take_along_dim(ids, dim=2)
    count = float(groups.counts.double().mean())
    found = {}
    for kind, exact in scene.exact.items():
        mixed = _mix(kind, asking, scene.keys, scene.values)
        clustered = mixed.take_along_dim(ids, dim=2) if is_fewer else mixed
        found[kind] = relative_error(clustered, exact)
        found[f"{kind}_macs"] = _macs(scene, kind, grouping, count)
    return GroupingError(method, _told(grouping), count, **found)


def _macs(scene: _Scene, kind: str, grouping: Grouping | None, count: float) -> int:
    _, num_heads, num_tokens, head_dim = scene.patches.shape
    shape = {"num_groups": count, "num_heads": num_heads, "head_dim": head_dim}
    hashing = clustering_macs(grouping, num_tokens=num_tokens, **shape) if grouping else 0
    return round(hashing + sum(core_macs(kind, num_tokens=1 + num_tokens, **shape).values()))


def _with_width(scene: _Scene, grouping: Grouping, number: int) -> Grouping:
    """``grouping`` with the bucket width at which the mean count over heads is nearest to ``number``."""
    low, high, tried = 1e-3, 1e3, []
    for _ in range(_HALVINGS):
        middle = replace(grouping, r_rel=math.sqrt(low * high))
        count = float(_group(scene, middle).counts.double().mean())
        tried.append((abs(math.log(count / number)), middle))
        low, high = (middle.r_rel, high) if count > number else (low, middle.r_rel)
    return min(tried, key=lambda one: one[0])[1]


def _told(grouping: Grouping | None) -> str:
    if grouping is None:
        return "every query by itself"
    if grouping.method == "e2lsh":
        return f"r = {grouping.r_rel:.3g}"
    if grouping.method in ("sign", "sign+lloyd"):
        return f"b = {grouping.num_bits}"
    return f"C = {grouping.num_clusters}"
