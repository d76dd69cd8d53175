"""torch.compile, for those who ask for it and have a GPU: the forward pass as one program, and everything else as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vitviz.errors import Problem

if TYPE_CHECKING:
    import torch
    from torch import nn

Compile = Literal["off", "on"]


def compiled(model: nn.Module, setting: Compile, device: torch.device, *, backend: str = "inductor") -> nn.Module:
    """The same ``model``, which from its next call on runs compiled where ``setting`` is "on".

    Names and values of its parameters stay, so that weights and resume points are those of a model that is not compiled.
    Raises: Problem when ``device`` gains nothing from it.
    """
    check_compile(setting, device)
    if setting == "on":
        model.compile(backend=backend)
    return model


def check_compile(setting: Compile, device: torch.device) -> None:
    """Raises: Problem when it is "on" for a ``device`` that is no GPU of CUDA."""
    if setting == "on" and device.type != "cuda":
        why = {"cpu": "it was measured to gain nothing on a CPU"}.get(device.type, "it was never tried there")
        raise Problem(f"compile=on cannot be used on {device.type}", why, "leave compile=off, or choose a CUDA device")
