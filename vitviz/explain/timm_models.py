"""Vision transformers of timm, read-only: by name, with published weights, weights of the user's own, or none.

The network is touched only when the caller says ``download=True``. No hook is ever set on a model.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.model_hub import PREFIX, WEIGHT_FILES, HubModel, fetch_config, fetch_file, parse_hub_name, pin
from vitviz.explain.opened_models import OpenedModel
from vitviz.explain.preprocessing import preprocessing_of
from vitviz.explain.timm_configs import arguments_of
from vitviz.explain.timm_names import (
    check_name,
    find_published,
    import_timm,
    list_models,
    list_pretrained,
    list_timm_vits,
    square_models,
)
from vitviz.explain.weight_files import read_weights
from vitviz.explain.weight_keys import Fit, KeyReport, fit_weights, lacking_in, load_fit

if TYPE_CHECKING:
    import torch

__all__ = [
    "KeyReport",
    "list_models",
    "list_pretrained",
    "list_timm_vits",
    "load_model_by_name",
    "load_timm",
    "timm_tokens",
]

_MAX_PARAMETERS = 350_000_000
_MIN_SIDE, _MAX_SIDE = 16, 1024
_SIZE_WORDS = {192: "tiny", 384: "small", 512: "medium", 768: "base", 1024: "large", 1152: "so"}
_MAX_TRIES = 8


@dataclass(frozen=True)
class _Wanted:
    """A model to build: timm's name of it, with or without a tag, arguments for timm, and what captions call it."""

    name: str
    label: str
    arguments: dict[str, Any] = field(default_factory=dict)


def load_timm(name: str, *, weights: bytes | Path | None = None, seed: int = 0) -> OpenedModel:
    """A plain ViT by timm's name: :func:`load_model_by_name` for the names of :func:`list_timm_vits`, offline."""
    check_name(name, list_timm_vits())
    return load_model_by_name(name, weights=weights, seed=seed)


def load_model_by_name(
    name: str,
    *,
    weights: bytes | Path | None = None,
    file_name: str = "",
    part: str = "",
    pretrained: bool = False,
    download: bool = False,
    seed: int = 0,
    img_size: int | None = None,
) -> OpenedModel:
    """A vision transformer of timm: with the tensors of a file, with published weights, or untrained, from ``seed``.

    The classifier of a file may lack (then it is drawn from ``seed``) or have other classes (then it is built with those).

    Args:
        name: ``vit_tiny_patch16_224``; with the tag of published weights behind a dot, whose preprocessing is then taken too;
            or ``hf-hub:owner/name``, optionally ``@revision``, whose weights are always read.
        weights: content or place of a file: see :func:`vitviz.explain.weight_files.read_weights`.
        file_name: what errors call it.
        part: of that file: see :func:`vitviz.explain.weight_keys.fit_weights`.
        pretrained: read the published weights from the cache of this machine; with ``download`` also over the network.
        img_size: side of the pictures in pixels, 16..1024; the model's own when None.

    Raises: Problem, a ValueError, on an unknown name, a model past 350 M parameters, weights that are not there, cannot be
        read, or do not fit, or a size that the model cannot take.
    """
    if weights is not None and (pretrained or name.startswith(PREFIX)):
        raise Problem("weights come either by name or from a file", "both were given")
    pinned = pin(parse_hub_name(name), download=download) if name.startswith(PREFIX) else None
    wanted = _find_wanted(name, pinned, download=download)
    _check_size(wanted, img_size)
    source = "weights of your own"
    if pretrained or pinned:
        place, files = (pinned, WEIGHT_FILES) if pinned else find_published(name)
        weights = fetch_file(place, files, download=download)
        source = f"published weights of {place.repository} at {weights.parent.name[:10]}"
    elif weights is not None and file_name:
        source = f"weights of {file_name}{_digest_words(weights)}"
    if weights is not None:
        return _with_weights(wanted, read_weights(weights, file_name), source, part=part, seed=seed, img_size=img_size)
    model = _fill(_create(wanted, img_size), seed)
    label = f"{wanted.label}, untrained (random weights of seed {seed})"
    return OpenedModel(model, label, preprocessing_of(model, img_size), is_trained=False, has_classifier=False)


def _digest_words(weights: bytes | Path) -> str:
    """What tells two files of one name apart in a caption; nothing for one that is read where it lies."""
    return f", sha256 {hashlib.sha256(weights).hexdigest()[:8]}" if isinstance(weights, bytes) else ""


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


def _find_wanted(name: str, pinned: HubModel | None, *, download: bool) -> _Wanted:
    """By timm's name, or by what the config of a repository of the hub says it holds."""
    if pinned is None:
        check_name(name, square_models())
        return _Wanted(name, name)
    config = fetch_config(pinned, download=download)
    known, arguments = arguments_of(config, list(square_models()))
    return _Wanted(known, f"{name} ({known})", arguments)


def _create(wanted: _Wanted, img_size: int | None, num_classes: int | None = None) -> torch.nn.Module:
    """Without weights; the global generator of random numbers is left as it was."""
    import torch

    timm, arguments = import_timm(), dict(wanted.arguments)
    if num_classes is not None:
        arguments["num_classes"] = num_classes
    if img_size is not None and timm.get_pretrained_cfg(wanted.name).fixed_input_size:
        arguments["img_size"] = img_size
    try:
        with torch.random.fork_rng(devices=[]):
            return timm.create_model(wanted.name, pretrained=False, **arguments).eval().requires_grad_(False)
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        what = f"{wanted.name} could not be built" + (f" for {img_size} px" if img_size else "")
        why = str(error).partition("\n")[0][:200] or "timm does not say why"
        raise Problem(what, why) from error


def _check_size(wanted: _Wanted, img_size: int | None) -> None:
    """Count the parameters before any memory is taken for them. Raises Problem past 350 M, or when no whole tokens fit."""
    import torch

    if img_size is not None and not _MIN_SIDE <= img_size <= _MAX_SIDE:
        raise Problem(f"img_size={img_size} must be {_MIN_SIDE} to {_MAX_SIDE}")
    with torch.device("meta"):
        model = _create(wanted, img_size)
    count = sum(parameter.numel() for parameter in model.parameters())
    step = max((stage["reduction"] for stage in getattr(model, "feature_info", ())), default=1)
    if img_size is not None and img_size % step:
        raise Problem(f"img_size={img_size} must be a multiple of {step}", f"that is a token of {wanted.name}")
    if count > _MAX_PARAMETERS:
        reason = f"{count / 1e6:,.0f} million parameters, at most {_MAX_PARAMETERS / 1e6:,.0f} are loaded"
        raise Problem(f"{wanted.name} is too large", reason, "choose a smaller ViT")


def _fill(model: torch.nn.Module, seed: int, but: Mapping[str, Any] | None = None) -> torch.nn.Module:
    """Every matrix normal with std .02 and every bias 0, from a generator; those of ``but`` and scalars a head stay."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name in (but or ()):
            continue
        if parameter.ndim > 1 and parameter[0].numel() > 1:
            parameter.normal_(std=0.02, generator=generator)
        elif name.endswith("bias"):
            parameter.zero_()
    return model


def _with_weights(
    wanted: _Wanted, tensors: Mapping[str, torch.Tensor], source: str, *, part: str, seed: int, img_size: int | None
) -> OpenedModel:
    """Build the model, with as many classes as the file has, and load what fits.

    Raises: Problem when anything before the classifier lacks or has another shape, naming a model that would fit.
    """
    model = _create(wanted, img_size)
    fit = fit_weights(model, tensors, part=part)
    rows = _classes_in(model, fit)
    if rows is not None:
        model = _create(wanted, img_size, num_classes=rows)
        fit = fit_weights(model, tensors, part=part)
    if fit.lacking:
        _refuse(wanted, model, fit)
    load_fit(model, fit)
    _fill(model, seed, but=fit.tensors)
    keys, heads = fit.keys, _classifiers(model)
    has_classifier = bool(model.num_classes) and not any(key.startswith(heads) for key in keys.missing + keys.reshaped)
    return OpenedModel(
        model=model,
        label=f"{wanted.label}, {source} ({len(keys.loaded)} tensors)",
        preprocessing=preprocessing_of(model, img_size),
        class_names=_class_names(model) if has_classifier else (),
        keys=keys,
        has_classifier=has_classifier,
    )


def _classifiers(model: torch.nn.Module) -> tuple[str, ...]:
    named = model.pretrained_cfg.get("classifier") or "head"
    return tuple(f"{name}." for name in ([named] if isinstance(named, str) else named))


def _classes_in(model: torch.nn.Module, fit: Fit) -> int | None:
    """The number of classes of the file's classifier where it is one for this width, and not as the model has it."""
    weight = fit.given.get(f"{_classifiers(model)[0]}weight")
    width = getattr(model, "head_hidden_size", model.num_features)
    if weight is None or weight.ndim != 2 or weight.shape[1] != width or len(weight) in (0, model.num_classes):
        return None
    return len(weight)


def _class_names(model: torch.nn.Module) -> tuple[str, ...]:
    """ImageNet's, where the number of classes is one of its; empty otherwise."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset(model)
    return tuple(ImageNetInfo(subset).label_descriptions()) if subset else ()


def _refuse(wanted: _Wanted, model: torch.nn.Module, fit: Fit) -> None:
    count, first = len(fit.lacking), ", ".join(repr(key) for key in fit.lacking[:3])
    reason = f"{count} of {len(model.state_dict())} tensors lack or have another shape, {first} first"
    near = _nearest(fit.given, wanted.name)
    hint = f"they fit {near}" if near else "choose the model they were trained as"
    raise Problem(f"the weights do not fit {wanted.name}", reason, hint)


def _nearest(given: Mapping[str, torch.Tensor], but: str) -> str | None:
    """The first of a few names that all of the tensors before the classifier fit.

    They are chosen by patch size, width and, of those, first by the size of picture that the position embeddings are for.
    """
    import torch

    patches, positions = given.get("patch_embed.proj.weight"), given.get("pos_embed")
    if patches is None or patches.ndim != 4 or patches.shape[0] not in _SIZE_WORDS:
        return None
    side = patches.shape[-1]
    picture = 0 if positions is None or positions.ndim != 3 else side * math.isqrt(positions.shape[1])
    names = [name for name in list_models(f"{_SIZE_WORDS[len(patches)]} patch{side}") if name != but.partition(".")[0]]
    for name in sorted(names, key=lambda name: not name.endswith(str(picture)))[:_MAX_TRIES]:
        with torch.device("meta"):
            own = _create(_Wanted(name, name), None).state_dict()
        if not lacking_in(own, given):
            return name
    return None
