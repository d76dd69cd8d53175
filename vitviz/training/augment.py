"""Random changes of a training batch, on its device: (B, 3, H, W) -> (B, 3, H, W)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Draws:
    """What chance decides for B images: flipped (B,) bool, and offsets (2, B) int64, rows and columns, 0..2 reach; or None."""

    flipped: Tensor | None = None
    offsets: Tensor | None = None

    def part(self, part: slice) -> "Draws":
        """The draws of some of the images."""
        return Draws(*(None if one is None else one[..., part] for one in (self.flipped, self.offsets)))


def augment(images: Tensor, name: str, generator: torch.Generator) -> Tensor:
    """``AUGMENTATIONS[name]`` applied to a batch; every image gets its own draw from ``generator`` (on the CPU)."""
    return apply_draws(images, draw(name, len(images), images.shape[2], generator))


def draw(name: str, number: int, height: int, generator: torch.Generator) -> Draws:
    """The draws of ``AUGMENTATIONS[name]`` for ``number`` images of that ``height``."""
    return AUGMENTATIONS[name](number, height, generator)


def apply_draws(images: Tensor, draws: Draws) -> Tensor:
    """Images (B, 3, H, W) mirrored where drawn, then moved with the border repeated."""
    if draws.flipped is not None:
        flipped = draws.flipped.to(images.device)
        images = torch.where(flipped[:, None, None, None], images.flip(3), images)
    return images if draws.offsets is None else _move(images, draws.offsets.to(images.device))


def _move(images: Tensor, offsets: Tensor) -> Tensor:
    batch, _, height, width = images.shape
    reach = _reach(height)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    rows = offsets[0][:, None] + torch.arange(height, device=images.device)
    columns = offsets[1][:, None] + torch.arange(width, device=images.device)
    picked = torch.arange(batch, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picked, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _reach(height: int) -> int:
    return max(height // 8, 1)


def _none(number: int, height: int, generator: torch.Generator) -> Draws:
    return Draws()


def _shift(number: int, height: int, generator: torch.Generator) -> Draws:
    """Move by up to an eighth of the side."""
    return Draws(offsets=torch.randint(0, 2 * _reach(height) + 1, (2, number), generator=generator))


def _shift_flip(number: int, height: int, generator: torch.Generator) -> Draws:
    """Mirror every second image or so, and shift: crop-and-flip as it is usual on CIFAR."""
    flipped = torch.rand(number, generator=generator) < 0.5
    return Draws(flipped, _shift(number, height, generator).offsets)


AUGMENTATIONS: dict[str, Callable[[int, int, torch.Generator], Draws]] = {
    "none": _none,
    "shift": _shift,
    "shift_flip": _shift_flip,
}
