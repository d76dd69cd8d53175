"""What the attention of any ViT looks at: one layer large, all layers small, heads in one map, the tokens that matter.

Which layers there are is told by :mod:`vitviz.explain.attention_layers`, tokens and queries by
:mod:`vitviz.explain.attention_tokens`; attention through all layers is in :mod:`vitviz.explain.attention_flow`. A model is only
read: many threads may share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.attention_layers import NO_MAP, Layer, Row, feed, read_row, watch
from vitviz.explain.attention_tokens import TokenLayout, find_query, layout_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vitviz.nn.attention_capture import AttentionCall

__all__ = [
    "NORMALISATIONS",
    "BirdsEye",
    "Layer",
    "Row",
    "TokenLayout",
    "attend",
    "birds_eye",
    "difference",
    "fuse",
    "keep_mass",
    "layers_of",
    "layout_of",
    "normalise",
]

Query = str | int | tuple[int, int] | None
Fusion = Literal["mean", "max", "min"]
_FUSE = {"mean": np.mean, "max": np.max, "min": np.min}
NORMALISATIONS = {
    "none": "share of the query's attention, 0 to 1",
    "sum": "share of what falls on patches: the map sums to 1",
    "max": "relative to the map's largest value",
    "range": "from the map's smallest value (0) to its largest (1)",
}


@dataclass(frozen=True)
class BirdsEye:
    """One query in every layer that has it: rows, one a layer; left_out: the layers without a map of it."""

    layout: TokenLayout
    rows: tuple[Row, ...]
    left_out: tuple[Layer, ...]

    @property
    def maps(self) -> np.ndarray:
        """(L, h, rows, columns) float32, NaN where a layer has fewer heads; a coarser map is repeated to the finest grid."""
        heads = max(len(row.maps) for row in self.rows)
        down, across = (max(row.layer.grid[axis] for row in self.rows) for axis in (0, 1))
        maps = np.full((len(self.rows), heads, down, across), np.nan, np.float32)
        for number, row in enumerate(self.rows):
            rows, columns = (
                np.arange(full) * side // full for full, side in zip((down, across), row.layer.grid, strict=True)
            )
            maps[number, : len(row.maps)] = row.maps[:, rows[:, None], columns]
        return maps


def layers_of(model: torch.nn.Module, image: np.ndarray | Tensor) -> tuple[Layer, ...]:
    """Every attention of ``model`` on a picture (C, H, W) float32, normalised as it wants it.

    Raises: Problem when the model does not take the picture, or shows no attention.
    """
    layers = []
    watch(model, *feed(model, image), lambda call, layer: layers.append(layer))
    return tuple(layers)


def attend(model: torch.nn.Module, image: np.ndarray | Tensor, layer: int, query: Query = None) -> Row:
    """What one query attends to in one layer, in every head; the forward pass ends at that layer.

    Args:
        image: (C, H, W) float32, normalised as the model wants it.
        layer: counts in :func:`layers_of`.
        query: ``CLS`` or another prefix token; (row, column) on the grid of :func:`layout_of`, where a coarser layer takes the
            token that covers it; the index of a token, prefix first; or ``mean`` of all patches. None: ``CLS`` where the layer
            has it, the learned query where it pools, else ``mean``.

    Raises: Problem when there is no such layer, no map of it, or no such query in it.
    """
    pixels, layout = feed(model, image)
    wanted = None if query is None else find_query(query, layout)
    seen: list[Layer] = []
    found: list[Row] = []

    def visit(call: AttentionCall, of: Layer) -> bool:
        seen.append(of)
        if of.index == layer and of.has_map:
            found.extend([row] if (row := read_row(call, of, wanted, layout)) else [])
        return of.index == layer

    watch(model, pixels, layout, visit)
    if found:
        return found[0]
    if seen[-1].index != layer:
        raise Problem(f"there is no layer {layer}", f"the model has {len(seen)}", f"choose 0 to {len(seen) - 1}")
    if not seen[-1].has_map:
        raise Problem(f"layer {layer} ({seen[-1].name}) has no map", NO_MAP[seen[-1].kind])
    raise Problem(f"{query!r} is no query of layer {layer} ({seen[-1].name})", f"its attention is {seen[-1].kind}")


def birds_eye(model: torch.nn.Module, image: np.ndarray | Tensor, query: Query = None) -> BirdsEye:
    """What one query, as in :func:`attend`, attends to in every layer and head; one forward pass, one row of weights a head.

    Raises: Problem when no layer has such a query and a map of it.
    """
    pixels, layout = feed(model, image)
    wanted = None if query is None else find_query(query, layout)
    rows: list[Row] = []
    left_out: list[Layer] = []

    def visit(call: AttentionCall, layer: Layer) -> None:
        row = read_row(call, layer, wanted, layout) if layer.has_map else None
        if row is None:
            left_out.append(layer)
        else:
            rows.append(row)

    watch(model, pixels, layout, visit)
    if not rows:
        mapped = next((layer for layer in left_out if layer.has_map), None)
        if mapped is not None:
            why = f"those with maps are {mapped.kind} ({mapped.name} first)"
            raise Problem(f"{query!r} is no query of any layer with a map", why)
        raise Problem("no layer of the model has a map", NO_MAP[left_out[0].kind])
    return BirdsEye(layout, tuple(rows), tuple(left_out))


def fuse(maps: np.ndarray, how: Fusion = "mean", *, head: int | None = None) -> np.ndarray:
    """Maps (h, rows, columns) of all heads as one (rows, columns): their mean, maximum or minimum; or one ``head`` alone.

    Raises: Problem when there is no such head or fusion.
    """
    if head is not None:
        if not 0 <= head < len(maps):
            raise Problem(f"there is no head {head}", f"the layer has {len(maps)}", f"choose 0 to {len(maps) - 1}")
        return maps[head]
    if how not in _FUSE:
        raise Problem(f"heads cannot be fused by {how!r}", "", f"choose one of {', '.join(_FUSE)}")
    return _FUSE[how](maps, axis=0)


def keep_mass(weights: np.ndarray, share: float) -> np.ndarray:
    """The fewest tokens of a map (rows, columns), 0 or more, that hold ``share``, 0..1, of its sum: bool, the largest first.

    Of equal tokens the earlier is kept. A map of zeros keeps none.

    Raises: Problem when share is not in 0..1.
    """
    if not 0 <= share <= 1:
        raise Problem(f"share={share} must be in 0..1")
    flat = weights.ravel().astype(np.float64)
    order = np.argsort(-flat, kind="stable")
    held = np.concatenate([[0.0], np.cumsum(flat[order])])
    # what rounding takes from the sum must not add a token
    number = int(np.searchsorted(held, share * held[-1] * (1 - 1e-12)))
    kept = np.zeros(flat.size, bool)
    kept[order[:number]] = True
    return kept.reshape(weights.shape)


def normalise(weights: np.ndarray, how: str = "none") -> np.ndarray:
    """One map (rows, columns) or one stack on a common scale, float32, by a key of :data:`NORMALISATIONS`; zeros stay zeros.

    Raises: Problem when there is no such normalisation.
    """
    if how not in NORMALISATIONS:
        raise Problem(f"there is no normalisation {how!r}", "", f"choose one of {', '.join(NORMALISATIONS)}")
    low = np.nanmin(weights) if how == "range" else 0.0
    size = {"none": 1.0, "sum": np.nansum(weights), "max": np.nanmax(weights), "range": np.nanmax(weights) - low}[how]
    return ((weights - low) / (size or 1.0)).astype(np.float32)


def difference(first: np.ndarray, second: np.ndarray) -> float | None:
    """Total variation between two maps (rows, columns), 0 or more, each made to sum to 1: 0 equal, 1 disjoint.

    None where they lie on different grids.
    """
    if first.shape != second.shape:
        return None
    left, right = (one / (float(one.sum()) or 1.0) for one in (first.astype(np.float64), second.astype(np.float64)))
    return float(np.abs(left - right).sum() / 2)
