"""Random changes of a training batch, on its device: (B, 3, H, W) -> (B, 3, H, W)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, name: str, generator: torch.Generator) -> Tensor:
    """``AUGMENTATIONS[name]`` applied to a batch; every image gets its own draw from ``generator`` (on the CPU)."""
    return AUGMENTATIONS[name](images, generator)


def _none(images: Tensor, generator: torch.Generator) -> Tensor:
    return images


def _shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move by up to an eighth of the side, border repeated."""
    batch, _, height, width = images.shape
    reach = max(height // 8, 1)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    offsets = torch.randint(0, 2 * reach + 1, (2, batch), generator=generator).to(images.device)
    rows = offsets[0][:, None] + torch.arange(height, device=images.device)
    columns = offsets[1][:, None] + torch.arange(width, device=images.device)
    picked = torch.arange(batch, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picked, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _shift_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift, and mirror every second image or so: crop-and-flip as it is usual on CIFAR."""
    flipped = torch.rand(len(images), generator=generator).to(images.device) < 0.5
    return _shift(torch.where(flipped[:, None, None, None], images.flip(3), images), generator)


AUGMENTATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "none": _none,
    "shift": _shift,
    "shift_flip": _shift_flip,
}
