"""The tokens of one picture after any block: their colours by PCA, their likeness to one patch, and what class they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.attribution_targets import logits_of

if TYPE_CHECKING:
    from torch import Tensor, nn

_RANGE = (2, 98)  # percentiles of a component that become black and full colour
FOREGROUNDS = ("none", "high", "low")


@dataclass(frozen=True)
class Tokens:
    """What a block puts out for one picture.

    patches (N, D) float32, row by row of grid = (rows, columns); prefix (P, D): CLS and registers, first of all; block: of
    0..depth - 1; is_normed: behind the final LayerNorm.
    """

    patches: np.ndarray
    prefix: np.ndarray
    grid: tuple[int, int]
    block: int
    depth: int
    is_normed: bool


@dataclass(frozen=True)
class PatchPca:
    """Patches coloured by three principal components, of one picture or of several together.

    images: one (rows, columns, 3) uint8 each, red the first component; shares (3,): of the variance they explain, 0..1;
    is_foreground: one (rows, columns) bool each, False where a patch was left out and is black.
    """

    images: tuple[np.ndarray, ...]
    shares: np.ndarray
    is_foreground: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class LogitLens:
    """What the model would answer were each of its L blocks the last.

    classes, probabilities (L, top): the most probable first; entropy_bits (L,): of all probabilities, 0..log2 of their number;
    final_probabilities (L,): of the class that the whole model answers.
    """

    classes: np.ndarray
    probabilities: np.ndarray
    entropy_bits: np.ndarray
    final_probabilities: np.ndarray


def tokens_of(model: nn.Module, images: Tensor, block: int = -1, *, norm: bool = True) -> Tokens:
    """The tokens after a block, 0..depth - 1 or counted from the end, of images (1, 3, H, W) normalised as the model wants them.

    ``norm``: behind the model's final LayerNorm, where it has one of that width.

    Raises: Problem when there is no such block, or its tokens make no grid.
    """
    import torch

    from vitviz.nn.block_outputs import block_outputs, pick_block, split_tokens, tokens_in

    place = pick_block(model, block)
    outputs = block_outputs(model, images)
    with torch.inference_mode():
        tokens = tokens_in(outputs[place])
        final = getattr(model, "norm", None)
        is_normed = norm and final is not None and tokens.shape[-1] == tokens_in(outputs[-1]).shape[-1]
        tokens = final(tokens) if is_normed else tokens
        prefix, patches, grid = split_tokens(model, tokens, *images.shape[2:])
    prefix, patches = (part[0].float().cpu().numpy() for part in (prefix, patches))
    return Tokens(patches, prefix, grid, place, len(outputs), is_normed)


def patch_pca(*views: Tokens, foreground: str = "none", threshold: float = 0.5) -> PatchPca:
    """Three principal components of the patches of all ``views`` together, so that one colour means one thing in all of them.

    A component runs from its 2nd percentile (0) to its 98th (255); its sign makes its largest loading positive. ``foreground``
    keeps the patches above (``high``) or below (``low``) a ``threshold``, 0..1 of the way from the least to the greatest first
    component, and takes new components of those; which of the two sides is the object is for the eye to say.

    Source: the pictures of DINOv2 (Oquab et al. 2023).
    Raises: Problem, a ValueError, on an unknown foreground, or on views of different widths.
    """
    if foreground not in FOREGROUNDS:
        raise Problem(f"foreground {foreground!r} must be one of {', '.join(FOREGROUNDS)}")
    if len({view.patches.shape[1] for view in views}) != 1:
        raise Problem("tokens of different widths have no components in common", "", "choose blocks of one width")
    patches = np.concatenate([view.patches for view in views]).astype(np.float64)
    kept = np.ones(len(patches), bool)
    if foreground != "none":
        first = _components(patches)[0][:, 0]
        cut = first.min() + threshold * (first.max() - first.min())
        kept = first >= cut if foreground == "high" else first < cut
    places, shares = _components(patches[kept])
    colors = np.zeros((len(patches), 3), np.uint8)
    colors[kept] = _to_bytes(places)
    return PatchPca(_by_view(colors, views), shares, _by_view(kept, views))


def patch_similarity(tokens: Tokens, row: int, column: int) -> np.ndarray:
    """Cosine of every patch to one of them, (rows, columns) float32, -1..1; 0 to or of a patch that is all zeros.

    Raises: Problem when there is no such patch.
    """
    rows, columns = tokens.grid
    if not (0 <= row < rows and 0 <= column < columns):
        raise Problem(f"there is no patch at row {row}, column {column}", f"the grid is {rows} x {columns}")
    patches = tokens.patches.astype(np.float64)
    directions = patches / np.maximum(np.linalg.norm(patches, axis=1, keepdims=True), 1e-12)
    cosines = directions @ directions[row * columns + column]
    return np.clip(cosines, -1, 1).reshape(tokens.grid).astype(np.float32)


def logit_lens(model: nn.Module, images: Tensor, *, top: int = 5) -> LogitLens:
    """The answer read off every block: the model's own final norm, pooling and head, run on what the block puts out.

    ``images`` (1, 3, H, W), normalised as the model wants them. The last line is what the model itself answers.

    Source: nostalgebraist 2020, for images.
    Raises: Problem when the model has no classifier, or its blocks differ in width or in number of tokens.
    """
    import torch

    logits = _logits_by_block(model, images)
    with torch.inference_mode():
        logs = logits.double().log_softmax(dim=1)
        best = logs.topk(min(top, logs.shape[1]), dim=1)
        entropy = -(logs.exp() * logs).nan_to_num().sum(dim=1) / np.log(2)
        return LogitLens(
            classes=best.indices.cpu().numpy(),
            probabilities=best.values.exp().float().cpu().numpy(),
            entropy_bits=entropy.float().cpu().numpy(),
            final_probabilities=logs[:, logs[-1].argmax()].exp().float().cpu().numpy(),
        )


def _logits_by_block(model: nn.Module, images: Tensor) -> Tensor:
    """(L, classes): all blocks' outputs at once, as a batch of L pictures, through what follows the last block."""
    import torch

    from vitviz.nn.block_outputs import block_outputs, replay_blocks, tokens_in, with_tokens

    outputs = block_outputs(model, images)
    tokens = [tokens_in(output) for output in outputs]
    if len({one.shape for one in tokens}) > 1:
        raise Problem(
            f"{type(model).__name__} has no logit lens", "its blocks differ in width, so its head fits only the last"
        )
    with torch.inference_mode():
        together = with_tokens(outputs[-1], torch.cat(tokens))
        return logits_of(replay_blocks(model, together), images.expand(len(tokens), -1, -1, -1))


def _components(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first three principal components (N, 3) float64, zeros where there are fewer, and their shares of the variance (3,)."""
    places, shares = np.zeros((len(patches), 3)), np.zeros(3)
    if len(patches) < 2:
        return places, shares
    centred = patches - patches.mean(axis=0)
    loadings, variances = _leading_axes(centred)
    largest = np.abs(loadings).argmax(axis=1)
    signs = np.sign(loadings[np.arange(len(loadings)), largest])
    places[:, : len(loadings)] = centred @ (loadings * signs[:, None]).T
    shares[: len(loadings)] = variances / max(np.square(centred).sum(), 1e-300)
    return places, shares


def _leading_axes(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Up to three axes (k, D) of unit length along which centred points (N, D) vary most, and their sums of squares (k,).

    From the smaller of the two Gram matrices: a tenth of the time of a singular value decomposition, and three is all we want.
    """
    is_tall = centred.shape[0] >= centred.shape[1]
    values, vectors = np.linalg.eigh(centred.T @ centred if is_tall else centred @ centred.T)
    values, vectors = values[::-1][:3].clip(0), vectors[:, ::-1][:, :3]
    axes = vectors.T if is_tall else vectors.T @ centred
    return axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-300), values


def _to_bytes(places: np.ndarray) -> np.ndarray:
    """Components (N, 3) as colours (N, 3) uint8; one that does not vary is half bright."""
    if not len(places):
        return np.zeros((0, 3), np.uint8)
    low, high = np.percentile(places, _RANGE, axis=0)
    varies = high - low > 1e-12
    scaled = np.where(varies, (places - low) / np.where(varies, high - low, 1), 0.5)
    return (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)


def _by_view(values: np.ndarray, views: tuple[Tokens, ...]) -> tuple[np.ndarray, ...]:
    """Rows of all patches, parted and put on each view's grid."""
    ends = np.cumsum([len(view.patches) for view in views])[:-1]
    return tuple(
        part.reshape(*view.grid, *part.shape[1:]) for part, view in zip(np.split(values, ends), views, strict=True)
    )
