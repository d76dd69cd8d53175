"""What super tokens are gathered from: a run's own features, those of any ViT after the fact, or plain colours and places."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vitviz.errors import Problem

if TYPE_CHECKING:
    import torch

    from vitviz.nn.vit import VisionTransformer
    from vitviz.runs.folder import Run

_MAX_ASPECT = 3  # long side over short side of what a network is fed
_MAX_PIXEL_SIDE = 512  # of the picture whose colours are clustered
_NUM_CELLS = 196
_COMPACTNESS = 30.0
# over 16 images of BSDS500 val, t = 10, connectivity enforced: ASA .9298 at .003, .9335 at .01, .9338 at .03, and at most
# .9339 from there to 2; at .03 a pixel still weighs 1.12 candidates, at 2 it is SLIC's hard choice
_PIXEL_SCALE = 0.03
_COSINE_SCALE = 20.0  # cosines that differ by .1 make one candidate 7 times as likely as the other


@dataclass(frozen=True)
class Features:
    """A map to cluster, and what it is.

    values (C, h, w) float32; cell_size: P, feature pixels along a side of a cell; stride: picture pixels from one feature pixel
    to the next (the geometric mean of both directions where they differ); source: ``supertoken_embedding``, ``post_hoc`` or
    ``pixels``; recipe: one line for captions; similarity and scale: what this source is meant to be clustered with (scale None:
    1 / sqrt(C)).
    """

    values: np.ndarray
    cell_size: int
    stride: float
    source: str
    recipe: str
    similarity: str
    scale: float | None


def clusters_supertokens(run: Run) -> bool:
    """Whether the network of a run gathers pixels into super tokens itself, whatever it was trained for."""
    about = run.description()
    if about.method == "deep_clustering":
        return about.settings.get("stem") == "supertoken"
    return about.method == "supertokens" and about.settings.get("embedding", "supertoken") == "supertoken"


def features_of_pixels(image: np.ndarray) -> Features:
    """Colour and place of every pixel, nothing learned: (L, a, b, x m / S, y m / S), m = 30, of a picture (H, W, 3) uint8.

    The long side is shrunk to 512 px at most; the cell side S is chosen so that there are about 196 cells.

    Source: the distance of SLIC (Achanta et al. 2012). Differs: soft, and against the 9 cells around a pixel's own.
    """
    from skimage.color import rgb2lab

    shrunk = _resize(image, *_within(image.shape[:2], _MAX_PIXEL_SIDE))
    height, width = shrunk.shape[:2]
    cell_size = _cell_size(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    place = np.stack([x - x.mean(), y - y.mean()]) * (_COMPACTNESS / cell_size)
    values = np.concatenate([rgb2lab(shrunk).transpose(2, 0, 1), place]).astype(np.float32)
    recipe = f"colour (Lab) and place of every pixel, nothing learned; m = {_COMPACTNESS:.0f}, {width} x {height} px"
    return Features(values, cell_size, _stride(image, values), "pixels", recipe, "neg_sq_distance", _PIXEL_SCALE)


def features_of_run(model: torch.nn.Module, image: np.ndarray, *, run_name: str, zoom: int = 1) -> Features:
    """The features that a trained super-token embedding clusters, of a picture (H, W, 3) uint8 fed as :func:`as_fed`.

    ``zoom``: feed it that many times as large as it was trained with; zoom^2 as many super tokens, each of as many features.
    A vitviz ViT without such an embedding is looked at post hoc: :func:`features_of_vit`.
    """
    from vitviz.nn.embed import SuperTokenEmbed

    embed = model.patch_embed
    if not isinstance(embed, SuperTokenEmbed):
        return features_of_vit(model, image, name=f"run {run_name}")
    fed = as_fed(image, zoom * model.grid[0] * embed.stride, multiple_of=embed.stride)
    values = _without_gradient(model, fed, lambda images: embed.embed(images, keep=("features",)).features)
    recipe = f"run {run_name}: features before clustering, {_as_told(fed, image)}"
    stride = _stride(image, values)
    return Features(values, embed.tier.cell_size, stride, "supertoken_embedding", recipe, embed.similarity, None)


def features_of_vit(
    model: torch.nn.Module, image: np.ndarray, *, name: str, cell_size: int = 2, block: int = -1
) -> Features:
    """The patch tokens of a ViT after a block, behind its final LayerNorm: super tokens post hoc, which it was not trained for.

    Args:
        model: a vitviz ``VisionTransformer``, or a timm ViT with ``forward_intermediates``.
        image: (H, W, 3) uint8; fed whole, in its own proportions where the model takes any size, else stretched to its square.
        block: 0..depth - 1, or counted from the end.

    Raises: Problem when there is no such block, or the model is no ViT.
    """
    from vitviz.explain.timm_models import timm_tokens
    from vitviz.nn.vit import VisionTransformer

    depth = len(getattr(model, "blocks", ()))
    if depth == 0:
        raise Problem(f"{name} is no ViT", "it has no blocks of attention")
    if not -depth <= block < depth:
        raise Problem(f"block {block} of {name}", f"it has {depth} blocks", f"choose 0 to {depth - 1}")
    if isinstance(model, VisionTransformer):
        side = model.grid[0] * _patch_side(model.patch_embed)
        fed = _resize(image, side, side)
        values = _tokens_of_ours(model, fed, block)
    else:
        fed = _feed_timm(model, image)
        values = timm_tokens(model, fed, block)
    recipe = f"post hoc: {name}, patch tokens after block {block % depth}, {_as_told(fed, image)}"
    return Features(values, cell_size, _stride(image, values), "post_hoc", recipe, "cosine", _COSINE_SCALE)


def as_fed(image: np.ndarray, img_size: int, *, multiple_of: int = 16) -> np.ndarray:
    """The picture as a network is fed it: (H, W, 3) uint8 whole, its short side at ``img_size``.

    The long side is rounded to a multiple of ``multiple_of`` px; a picture longer than 3 to 1 is squeezed to 3 to 1.
    """
    height, width = image.shape[:2]
    aspect = min(max(height, width) / min(height, width), _MAX_ASPECT)
    long = max(round(img_size * aspect / multiple_of) * multiple_of, img_size)
    return _resize(image, *((long, img_size) if height > width else (img_size, long)))


def _feed_timm(model: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """In its own proportions if the model can, else stretched to the size it was made for."""
    height, width = model.patch_embed.img_size
    if getattr(model, "dynamic_img_size", False):
        return as_fed(image, height, multiple_of=model.patch_embed.patch_size[0])
    return _resize(image, height, width)


def _tokens_of_ours(model: VisionTransformer, fed: np.ndarray, block: int) -> np.ndarray:
    """(C, h, w) float32, the CLS token dropped."""
    tokens = _without_gradient(model, fed, lambda images: model.norm(model(images, keep=("hidden",)).hidden[block]))
    return tokens[1:].T.reshape(-1, *model.grid)


def _without_gradient(
    model: torch.nn.Module, fed: np.ndarray, run: Callable[[torch.Tensor], torch.Tensor]
) -> np.ndarray:
    """The first and only row of ``run`` on the picture (H, W, 3) uint8, scaled to [-1, 1], on the model's device; float32."""
    import torch

    from vitviz.data.batches import to_tensor

    like = next(model.parameters(), torch.empty(0))
    with torch.inference_mode():
        return run(to_tensor(fed[None], like.device, like.dtype))[0].float().cpu().numpy()


def _patch_side(patch_embed: torch.nn.Module) -> int:
    """Pixels along a side of a patch, whichever of vitviz's embeddings it is."""
    from torch.nn import Conv2d

    if hasattr(patch_embed, "stride"):
        return patch_embed.stride
    return math.prod(module.stride[0] for module in patch_embed.modules() if isinstance(module, Conv2d))


def _as_told(fed: np.ndarray, image: np.ndarray) -> str:
    """The size fed, and whether the picture lost its proportions by more than a twentieth."""
    size = f"fed {fed.shape[1]} x {fed.shape[0]} px"
    change = (fed.shape[1] / fed.shape[0]) / (image.shape[1] / image.shape[0])
    return f"{size}, its proportions changed" if abs(math.log(change)) > 0.05 else size


def _cell_size(height: int, width: int) -> int:
    """The cell side whose count of cells comes nearest to 196."""
    rough = math.sqrt(height * width / _NUM_CELLS)
    near = range(max(int(rough) - 2, 1), int(rough) + 4)
    return min(near, key=lambda size: abs(-(-height // size) * -(-width // size) - _NUM_CELLS))


def _stride(image: np.ndarray, values: np.ndarray) -> float:
    return math.sqrt(image.shape[0] * image.shape[1] / (values.shape[1] * values.shape[2]))


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) shrunk in proportion until the longer is at most ``side``."""
    share = min(side / max(size), 1)
    return max(round(size[0] * share), 2), max(round(size[1] * share), 2)


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 to that size by antialiased bicubic resampling."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
