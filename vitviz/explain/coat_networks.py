"""CoaT-Lite as published: by size, with weights of the user's own or none. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitviz.errors import Problem
from vitviz.explain.weight_files import read_weights
from vitviz.explain.weight_keys import KeyReport, check_types

if TYPE_CHECKING:
    from torch import Tensor

    from vitviz.nn.coat import CoaT

SIZES = ("tiny", "mini", "small", "medium")


@dataclass(frozen=True)
class LiteModel:
    """A CoaT-Lite in eval mode; label: its name and where its weights come from, for captions; keys: None when untrained."""

    model: CoaT
    label: str
    keys: KeyReport | None


def load_lite(size: str, *, weights: bytes | None = None, seed: int = 0) -> LiteModel:
    """A CoaT-Lite of a size of :data:`SIZES`: with the tensors of a file of timm's names, or drawn from ``seed``.

    The classifier may lack, or be of any number of classes; without one its weights are 0, so every class is as likely.

    Raises: Problem, a ValueError, on an unknown size, a file that :func:`read_weights` refuses, or one that is not of this size.
    """
    import torch

    from vitviz.nn.coat import coat_lite, init_weights

    name = f"CoaT-Lite {size.capitalize()}"
    if weights is None:
        model = init_weights(coat_lite(size), torch.Generator().manual_seed(seed))
        return LiteModel(_read_only(model), f"{name}, untrained (random weights of seed {seed})", None)
    tensors = read_weights(weights)
    model = coat_lite(size)
    head = tensors.get("head.weight")
    if head is not None and head.shape[1:] == model.head.weight.shape[1:] and len(head) > 0:
        model = coat_lite(size, num_classes=len(head))
    keys = _load(model, tensors, name)
    return LiteModel(_read_only(model), f"{name}, weights of your own ({len(keys.loaded)} tensors)", keys)


def _load(model: CoaT, tensors: Mapping[str, Tensor], name: str) -> KeyReport:
    """Copy what fits. Raises: Problem when anything before the classifier lacks or has another shape."""
    import torch

    own = model.state_dict()
    fits = {key: value for key, value in tensors.items() if key in own and value.shape == own[key].shape}
    known = {own[key].data_ptr() for key in fits}  # one tensor has several names; safetensors keeps one of them
    keys = KeyReport(
        loaded=tuple(sorted(fits)),
        missing=tuple(sorted(key for key in own.keys() - tensors.keys() if own[key].data_ptr() not in known)),
        unexpected=tuple(sorted(tensors.keys() - own.keys())),
        reshaped=tuple(sorted(own.keys() & tensors.keys() - fits.keys())),
    )
    lacking = [key for key in (*keys.missing, *keys.reshaped) if not key.startswith("head.")]
    if lacking:
        reason = f"{len(lacking)} of {len(own)} tensors lack or have another shape, {lacking[0]!r} first"
        raise Problem(f"the weights do not fit {name}", reason, f"choose another size: {', '.join(SIZES)}")
    check_types(own, fits)
    heads = {key: torch.zeros_like(own[key]) for key in own if key.startswith("head.")}
    model.load_state_dict({**heads, **fits}, strict=False)
    if not all(parameter.isfinite().all() for parameter in model.parameters()):
        raise Problem("the weights could not be used", "some of them are NaN or infinite")
    return keys


def _read_only(model: CoaT) -> CoaT:
    return model.eval().requires_grad_(False)
