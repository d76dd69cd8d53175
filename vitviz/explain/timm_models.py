"""Any ViT of timm, read-only: by name, with weights of the user's own or none. Nothing is downloaded, nothing is hooked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitviz.errors import Problem

if TYPE_CHECKING:
    import torch

_MODULES = ("vision_transformer", "deit", "eva", "beit", "vision_transformer_relpos")
_MAX_PARAMETERS = 350_000_000
_AFTER_TOKENS = ("head", "fc_norm", "attn_pool")  # what a classifier needs and patch tokens do not
_MAX_BYTES = 2 * 2**30


@dataclass(frozen=True)
class KeyReport:
    """How the tensors of a file met the parameters of a model: names that fitted, lacked, were left over, had another shape."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]


@dataclass(frozen=True)
class TimmModel:
    """A timm ViT in eval mode; label: its name and where its weights come from, for captions; keys: None when untrained."""

    model: torch.nn.Module
    label: str
    keys: KeyReport | None


def list_timm_vits(prefix: str = "") -> list[str]:
    """The names of timm's ViTs that begin with ``prefix``, sorted."""
    timm = _timm()
    return sorted(name for module in _MODULES for name in timm.list_models(module=module) if name.startswith(prefix))


def load_timm(name: str, *, weights: bytes | Path | None = None, seed: int = 0) -> TimmModel:
    """A ViT by timm's name: with the tensors of a safetensors file, or untrained, from ``seed``. Never touches the network.

    The classifier may lack: super tokens do not need it.

    Raises: Problem on an unknown name, a model past 350 M parameters, a file that is not safetensors or does not fit.
    """
    known = list_timm_vits()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise Problem(f"timm has no ViT named {name!r}", "", f"did you mean {near[0]!r}?" if near else "")
    _check_size(name)
    model = _fill(_create(name), seed)
    if weights is None:
        return TimmModel(model, f"{name}, untrained (random weights of seed {seed})", None)
    keys = _load(model, _read(weights), name)
    return TimmModel(model, f"{name}, weights of your own ({len(keys.loaded)} tensors)", keys)


def timm_tokens(model: torch.nn.Module, fed: np.ndarray, block: int) -> np.ndarray:
    """The patch tokens (C, h, w) float32 after a block, behind the final LayerNorm, of a picture (H, W, 3) uint8 as it is fed.

    Raises: Problem when the model does not return its intermediates.
    """
    import torch

    if not hasattr(model, "forward_intermediates"):
        raise Problem(f"{type(model).__name__} is no ViT of timm", "it does not return its intermediate tokens")
    like, about = next(model.parameters()), model.pretrained_cfg
    mean, std = (torch.tensor(about[key], device=like.device)[:, None, None] for key in ("mean", "std"))
    pixels = torch.tensor(fed, device=like.device).permute(2, 0, 1) / 255
    with torch.inference_mode():
        images = ((pixels - mean) / std).to(like.dtype)[None]
        maps = model.forward_intermediates(images, indices=[block], norm=True, stop_early=True, intermediates_only=True)
    return maps[0][0].float().cpu().numpy()


def _timm():
    from vitviz.nn.torchvision_import import import_torchvision

    import_torchvision()
    import timm

    return timm


def _create(name: str) -> torch.nn.Module:
    """Without weights; the global generator of random numbers is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return _timm().create_model(name, pretrained=False).eval().requires_grad_(False)


def _check_size(name: str) -> None:
    """Count the parameters before any memory is taken for them."""
    import torch

    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in _create(name).parameters())
    if count > _MAX_PARAMETERS:
        reason = f"{count / 1e6:,.0f} million parameters, at most {_MAX_PARAMETERS / 1e6:,.0f} are loaded"
        raise Problem(f"{name} is too large", reason, "choose a smaller ViT")


def _fill(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Every matrix normal with std .02 and every bias 0, from a generator of its own."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=0.02, generator=generator)
        elif name.endswith("bias"):
            parameter.zero_()
    return model


def _read(weights: bytes | Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; a pickle is named and refused, never opened."""
    from safetensors.torch import load

    content = weights if isinstance(weights, bytes) else _content(weights)
    _check_bytes(len(content))
    try:
        return load(content)
    except Exception as error:  # the reader of safetensors raises its own errors, and KeyError on a new dtype
        if content.startswith((b"PK", b"\x80")):
            raise Problem("the weights are a pickle", "opening one can run code", "save them as safetensors") from None
        raise Problem("the weights could not be read", "this is not a safetensors file") from error


def _content(path: Path) -> bytes:
    try:
        _check_bytes(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise Problem(f"{path.name} could not be read", error.strerror or "") from error


def _check_bytes(size: int) -> None:
    if size > _MAX_BYTES:
        reason = f"{size / 2**30:.1f} GiB, at most {_MAX_BYTES / 2**30:.0f} are read"
        raise Problem("the weights are too large", reason)


def _load(model: torch.nn.Module, tensors: Mapping[str, torch.Tensor], name: str) -> KeyReport:
    """Copy what fits.

    Raises: Problem when anything before the classifier lacks or has another shape.
    """
    own = model.state_dict()
    fits = {key: value for key, value in tensors.items() if key in own and value.shape == own[key].shape}
    keys = KeyReport(
        loaded=tuple(sorted(fits)),
        missing=tuple(sorted(own.keys() - tensors.keys())),
        unexpected=tuple(sorted(tensors.keys() - own.keys())),
        reshaped=tuple(sorted(own.keys() & tensors.keys() - fits.keys())),
    )
    lacking = [key for key in (*keys.missing, *keys.reshaped) if not key.startswith(_AFTER_TOKENS)]
    if lacking:
        reason = f"{len(lacking)} of {len(own)} tensors lack or have another shape, {lacking[0]!r} first"
        raise Problem(f"the weights do not fit {name}", reason, "choose the model they were trained as")
    model.load_state_dict(fits, strict=False)
    if not all(parameter.isfinite().all() for parameter in model.parameters()):
        raise Problem("the weights could not be used", "some of them are NaN or infinite")
    return keys
