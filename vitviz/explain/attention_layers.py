"""The attentions of one forward pass: which of them are maps of the picture, and the row of one query on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.attention_tokens import (
    Size,
    TokenLayout,
    Windows,
    grid_covering,
    layout_of,
    place_on,
    windows_around,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vitviz.nn.attention_capture import AttentionCall

Kind = Literal["global", "window", "reduced", "class attention", "pooling", "channel", "other"]
_OVER_CHANNELS = ("XCA", "ChannelAttention", "ChannelAttentionV2", "CrossCovarianceAttn")
_OWN_ORDER = ("MaskUnitAttention",)
_CHUNK_BYTES = 2**26
NO_MAP = {
    "channel": "it attends over channels, not over places",
    "other": "its keys do not lie on a grid that covers the picture",
}


@dataclass(frozen=True)
class Layer:
    """One attention of a model, counted from 0 in the order of the forward pass.

    name: of its module. kind: ``global``, every token attends to every one; ``window``; ``reduced``, queries and keys lie on
    different grids; ``class attention``, the CLS token alone attends; ``pooling``, a learned query that is no token attends;
    ``channel`` and ``other`` have no map, :data:`NO_MAP` says why. num_queries, num_keys: in one window where there are windows.
    grid: of its keys on the picture, query_grid: of its queries; None where there is none. prefix: names of the keys before the
    grid, ``padding`` where windows reach over the border.
    """

    index: int
    name: str
    kind: Kind
    num_heads: int
    num_queries: int
    num_keys: int
    grid: Size | None = None
    query_grid: Size | None = None
    prefix: tuple[str, ...] = ()
    windows: Windows | None = None

    @property
    def has_map(self) -> bool:
        """Whether a row of its weights is a map of the picture."""
        return self.grid is not None


@dataclass(frozen=True)
class Row:
    """What one query takes of every key in one layer, h heads.

    query: for people, e.g. ``CLS`` or ``row 3, column 4``; place: (row, column) on the layer's own grid, or None; maps (h, rows,
    columns) and prefix (h, P), of the keys before the grid: float32, 0..1, in sum 1 in every head.
    """

    layer: Layer
    query: str
    place: tuple[int, int] | None
    maps: np.ndarray
    prefix: np.ndarray


def feed(model: torch.nn.Module, image: np.ndarray | Tensor) -> tuple[Tensor, TokenLayout]:
    """One picture (C, H, W) float32, normalised as the model wants it, as a batch (1, C, H, W) on its device; and its tokens.

    Raises: Problem when it is not one picture, or the model is in training mode or has no grid of patches.
    """
    import torch

    if model.training:
        raise Problem(
            "the model is in training mode", "chance would decide what it attends to", "put it into eval mode first"
        )
    like = next(model.parameters())
    pixels = torch.as_tensor(image).to(like.device, like.dtype)
    if pixels.ndim == 3:
        pixels = pixels[None]
    if pixels.ndim != 4 or len(pixels) != 1:
        raise Problem(f"images of shape {tuple(pixels.shape)}", "one picture (channels, height, width) is looked at")
    return pixels, layout_of(model, tuple(pixels.shape[2:]))


def watch(
    model: torch.nn.Module,
    pixels: Tensor,
    layout: TokenLayout,
    visit: Callable[[AttentionCall, Layer], bool | None],
) -> None:
    """Run ``model`` on what :func:`feed` made; ``visit`` sees every attention and its layer, true when that is enough.

    Raises: Problem when the model does not take the picture, or has no attention that can be seen.
    """
    import torch

    from vitviz.nn.attention_capture import watch_attention

    seen = []

    def show(call: AttentionCall) -> bool | None:
        seen.append(call.index)
        return visit(call, layer_of(model, call, layout))

    with torch.inference_mode():
        watch_attention(lambda: run(model, pixels), model, show)
    if not seen:
        raise Problem(
            f"{type(model).__name__} shows no attention", "its forward pass has no softmax over tokens to see"
        )


def run(model: Callable[[Tensor], object], pixels: Tensor):
    """What the model makes of a batch.

    Raises: Problem when it does not take pictures of that size.
    """
    try:
        return model(pixels)
    except (AssertionError, RuntimeError) as error:  # timm and torch have no error of their own for a wrong size
        if isinstance(error, RuntimeError) and "size" not in str(error):
            raise
        size = " x ".join(map(str, pixels.shape[1:]))
        raise Problem(f"the model does not take a picture of {size}", str(error).partition("\n")[0]) from error


def layer_of(model: torch.nn.Module, call: AttentionCall, layout: TokenLayout) -> Layer:
    """What one attention is, told by its module and by how many queries and keys it has."""
    *batch, num_queries, num_keys = call.shape
    about = (call.index, call.name)
    module = model.get_submodule(call.name)
    counts = (call.shape[1] if len(call.shape) == 4 else _num_heads(module), num_queries, num_keys)
    if type(module).__name__ in _OVER_CHANNELS:
        return Layer(*about, "channel", *counts)
    windows = windows_around(model, call.name)
    if windows is not None and batch[0] == windows.count and math.prod(windows.size) == num_queries == num_keys:
        padding = ("padding",) if (windows.tokens() < 0).any() else ()
        return Layer(*about, "window", *counts, windows.grid, windows.grid, padding, windows)
    keys = _grid_and_prefix(num_keys, layout)
    if type(module).__name__ in _OWN_ORDER or len(batch) > 2 or batch[0] > 1 or keys is None:
        return Layer(*about, "other", *counts)
    if hasattr(module, "latent"):
        return Layer(*about, "pooling", *counts, keys[0], None, keys[1])
    if num_queries == num_keys:
        return Layer(*about, "global", *counts, keys[0], keys[0], keys[1])
    if num_queries == 1 and keys[1]:
        return Layer(*about, "class attention", *counts, keys[0], None, keys[1])
    queries = _grid_and_prefix(num_queries, layout)
    if queries is None or queries[1] != keys[1]:
        return Layer(*about, "other", *counts)
    return Layer(*about, "reduced", *counts, keys[0], queries[0], keys[1])


def read_row(call: AttentionCall, layer: Layer, query: str | tuple[int, int] | None, layout: TokenLayout) -> Row | None:
    """The row of a query from ``find_query`` in a layer with a map; None when the query is no query of this layer.

    ``None``: the CLS token where the layer has it, the learned query of a pooling, and elsewhere the mean over all patches.
    """
    own = _own_query(layer)
    query = query or own or "mean"
    if query == own or (layer.query_grid is not None and query in layer.prefix):
        token = 0 if layer.query_grid is None else layer.prefix.index(query)
        return _row(layer, query, None, _mean_of(call, np.array([token])))
    if layer.query_grid is None or (isinstance(query, str) and query != "mean"):
        return None
    tokens, place, name = np.arange(math.prod(layer.query_grid)), None, "mean of all patches"
    if query != "mean":
        place = place_on(layer.query_grid, query, layout)
        tokens, name = tokens[[place[0] * layer.query_grid[1] + place[1]]], f"row {place[0]}, column {place[1]}"
    if layer.windows is not None:
        return _row(layer, name, place, _in_windows(call, layer, tokens))
    return _row(layer, name, place, _mean_of(call, len(layer.prefix) + tokens))


def row_chunks(call: AttentionCall, queries: np.ndarray) -> Iterator[Tensor]:
    """Weights (B, h, n, Nk) of the queries (N,), so few at a time that they stay under 64 MiB."""
    import torch

    row_bytes = 4 * math.prod(call.shape) // call.shape[-2]
    for part in torch.as_tensor(queries).split(max(_CHUNK_BYTES // row_bytes, 1)):
        yield call.rows(part)


def _grid_and_prefix(num_tokens: int, layout: TokenLayout) -> tuple[Size, tuple[str, ...]] | None:
    """The grid of so many tokens and the names of those before it: all of the layout's, or none."""
    for prefix in (layout.prefix, ()):
        if num_tokens - len(prefix) == math.prod(layout.grid):
            return layout.grid, prefix
    for prefix in (layout.prefix, ()):
        grid = grid_covering(num_tokens - len(prefix), layout)
        if grid is not None:
            return grid, prefix
    return None


def _mean_of(call: AttentionCall, queries: np.ndarray) -> np.ndarray:
    """The mean row (h, Nk) float64 of some queries of the first picture."""
    total = sum(part[0].sum(dim=-2).double() for part in row_chunks(call, queries))
    return total.cpu().numpy() / len(queries)


def _num_heads(module: torch.nn.Module) -> int:
    return getattr(module, "num_heads", None) or getattr(module, "heads", 1)


def _own_query(layer: Layer) -> str | None:
    """The query that a layer is for: its CLS token, or what pools."""
    if layer.kind == "pooling":
        return "learned query"
    return "CLS" if "CLS" in layer.prefix else None


def _in_windows(call: AttentionCall, layer: Layer, tokens: np.ndarray) -> np.ndarray:
    """The mean row (h, P + N) float64 of some tokens: the padding if there is any, then the keys row by row on the whole grid."""
    import torch

    ids = layer.windows.tokens()
    windows, places = np.nonzero(np.isin(ids, tokens))
    total = np.zeros((layer.num_heads, 1 + math.prod(layer.grid)))
    for place in np.unique(places):
        weights = call.rows(torch.as_tensor([place]))[:, :, 0].double().cpu().numpy()
        for window in windows[places == place]:
            np.add.at(total, (slice(None), 1 + ids[window]), weights[window])
    return total[:, 1 - len(layer.prefix) :] / len(tokens)


def _row(layer: Layer, query: str, place: tuple[int, int] | None, weights: np.ndarray) -> Row:
    """Weights (h, P + N), what is no place first."""
    first, weights = len(layer.prefix), weights.astype(np.float32)
    return Row(layer, query, place, weights[:, first:].reshape(-1, *layer.grid), weights[:, :first])
