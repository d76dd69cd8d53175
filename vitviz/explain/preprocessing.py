"""From a picture to what a network is fed: which of it is seen, at which size, how it is scaled; in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from vitviz.errors import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

Framing = Literal["centre", "squash"]
FRAMINGS: tuple[Framing, ...] = ("centre", "squash")
_RESAMPLING = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
_MAX_ASPECT = 8


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a model's input: framed and resized, then (x / 255 - mean) / std of each channel.

    name: of the scaling, for captions. crop_share, 0..1: what side of the resized picture the centre crop keeps. interpolation:
    of the resizing, antialiased. framing: what the model was made for: ``centre``, the short side at img_size / crop_share px
    and of that the centre; ``squash``, the whole picture stretched to a square. Runs of vitviz are trained with
    :data:`AS_TRAINED`, most of timm's weights with :data:`IMAGENET`.
    """

    name: str
    img_size: int = 224
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    crop_share: float = 1.0
    interpolation: str = "bicubic"
    framing: Framing = "centre"

    def sentence(self, framing: Framing | None = None) -> str:
        """All of it in one line, for ``framing`` or the model's own."""
        framing = framing or self.framing
        resized, size = self.resized_side(framing), f"{self.img_size} x {self.img_size}"
        if framing == "centre":
            framed = f"short side resized to {resized} px ({self.interpolation}), of that the centre {size}"
        else:
            cut = "" if resized == self.img_size else f", of that the centre {size}"
            framed = f"stretched to {resized} x {resized} px ({self.interpolation}){cut}"
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{framed}; {self.name}: mean {mean}, std {std}"

    def resized_side(self, framing: Framing) -> int:
        """To how many pixels the picture is brought before the centre is cut out; nothing is, of what only we squash."""
        is_whole = framing == "squash" and self.framing != "squash"
        return self.img_size if is_whole else math.floor(self.img_size / self.crop_share)


AS_TRAINED = Preprocessing("scaled to -1..1")
IMAGENET = Preprocessing("ImageNet's mean and deviation", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def preprocessing_of(model: nn.Module, img_size: int | None = None) -> Preprocessing:
    """What timm says one of its models was made for; ``img_size`` where it is fed another size.

    Raises: Problem when the model takes no square pictures of three channels.
    """
    from timm.data import resolve_model_data_config

    about = resolve_model_data_config(model)
    channels, height, width = about["input_size"]
    if channels != 3 or height != width:
        raise Problem("the model takes no square colour pictures", f"but {channels} x {height} x {width}")
    return Preprocessing(
        name=_scaling_name(about["mean"], about["std"]),
        img_size=img_size or height,
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        crop_share=about["crop_pct"],
        interpolation=about["interpolation"] if about["interpolation"] in _RESAMPLING else "bicubic",
        framing="centre" if about["crop_mode"] == "center" else "squash",
    )


def frame(pixels: np.ndarray, preprocessing: Preprocessing, framing: Framing | None = None) -> np.ndarray:
    """The part of a picture (H, W, 3) uint8 that the network sees, at its size: (img_size, img_size, 3) uint8.

    What lies over this lies over what the network saw. A picture that has the size and is not cropped is returned unchanged.

    Raises: Problem for a framing that is neither ``centre`` nor ``squash``.
    """
    framing = framing or preprocessing.framing
    if framing not in FRAMINGS:
        raise Problem(f"framing={framing!r} must be one of {', '.join(FRAMINGS)}")
    resized, side = preprocessing.resized_side(framing), preprocessing.img_size
    if framing == "centre":
        pixels = _shorten(pixels)
    scaled = _resize(pixels, *_size(pixels.shape[:2], resized, framing), preprocessing.interpolation)
    top, left = (round((length - side) / 2) for length in scaled.shape[:2])
    return scaled[top : top + side, left : left + side]


def to_input(model: nn.Module, images: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """Images (B, H, W, 3) uint8 at the size they are fed as a tensor (B, 3, H, W), where the model is and in its dtype."""
    import torch

    from vitviz.data.batches import to_tensor

    like = next(model.parameters())
    scaled = to_tensor(images, like.device)  # 2 x / 255 - 1
    mean, std = (torch.tensor(of, device=like.device)[:, None, None] for of in (preprocessing.mean, preprocessing.std))
    return ((scaled - (2 * mean - 1)) / (2 * std)).to(like.dtype)


def prepare(
    model: nn.Module, pixels: np.ndarray, preprocessing: Preprocessing, framing: Framing | None = None
) -> tuple[Tensor, np.ndarray]:
    """A picture (H, W, 3) uint8 as the model's input (1, 3, S, S), and what of it that is: (S, S, 3) uint8."""
    shown = frame(pixels, preprocessing, framing)
    return to_input(model, shown[None], preprocessing), shown


def _size(size: tuple[int, int], short: int, framing: Framing) -> tuple[int, int]:
    """(height, width) after resizing: the long side cut down to whole pixels, as torchvision has it."""
    if framing == "squash":
        return short, short
    height, width = size
    return (short, int(short * width / height)) if height <= width else (int(short * height / width), short)


def _shorten(pixels: np.ndarray) -> np.ndarray:
    """The middle of a picture longer than 8 to 1: the centre needs no more, and a strip of 1 px would grow to gigabytes."""
    limit = _MAX_ASPECT * min(pixels.shape[:2])
    top, left = (max(length - limit, 0) // 2 for length in pixels.shape[:2])
    return pixels[top : pixels.shape[0] - top, left : pixels.shape[1] - left]


def _resize(pixels: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), _RESAMPLING[interpolation]))


def _scaling_name(mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    known = {(one.mean, one.std): one.name for one in (AS_TRAINED, IMAGENET)}
    return known.get((tuple(mean), tuple(std)), "the model's own mean and deviation")
