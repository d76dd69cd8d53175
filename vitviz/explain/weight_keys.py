"""From the names in a file of weights to the parameters of a model: which part of the file, what fits, what does not.

Files wrap the same tensors in many ways (``state_dict``, ``teacher.backbone.``, ``module.``, ``_orig_mod.``). No list of such
words is kept: the *part* of a file is the beginning of its names after which most of the model's own names follow, with the
right shapes.
"""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitviz.errors import Problem

if TYPE_CHECKING:
    from torch import Tensor, nn

AFTER_TOKENS = ("head", "fc_norm", "attn_pool")  # what a classifier needs and patch tokens do not
_AVERAGED = ("ema", "teacher")  # of two parts that fit alike, the one that is meant to be looked at
_MAX_PARTS = 8


@dataclass(frozen=True)
class FilePart:
    """A part of a file: what its names begin with, ``teacher.backbone.`` or nothing, and how many tensors there fit the model."""

    name: str
    num_fitting: int


@dataclass(frozen=True)
class KeyReport:
    """How the tensors of a file met the parameters of a model: names that fitted, lacked, were left over, had another shape.

    resampled: of the loaded, position embeddings that were interpolated to the model's grid. part: what the names of those that
    were read begin with in the file; parts: those that could have been read instead, best first; num_elsewhere: tensors outside
    the part.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...]
    resampled: tuple[str, ...] = ()
    part: str = ""
    parts: tuple[FilePart, ...] = ()
    num_elsewhere: int = 0

    def sentence(self) -> str:
        """All of it in one line."""
        return ", ".join(self.clauses()) + "."

    def clauses(self) -> tuple[str, ...]:
        """What the line is made of, a clause for each thing that became of tensors."""
        words = [f"{len(self.loaded)} tensors loaded" + (f" from {self.part.rstrip('.')!r}" if self.part else "")]
        counted = (
            (self.resampled, "of them resampled"),
            (self.missing, "missing"),
            (self.unexpected, "left over"),
            (self.reshaped, "of another shape"),
        )
        words += [f"{len(names)} {what} ({_first(names)})" for names, what in counted if names]
        words += [f"{self.num_elsewhere} in other parts of the file"] if self.num_elsewhere else []
        return tuple(words)

    def rows(self) -> tuple[tuple[str, str], ...]:
        """(name, what became of it) of every tensor, those that did not fit first."""
        resampled = set(self.resampled)
        groups = (
            (self.reshaped, "another shape"),
            (self.missing, "missing in the file"),
            (self.unexpected, "left over in the file"),
            (self.resampled, "loaded, resampled"),
            ([name for name in self.loaded if name not in resampled], "loaded"),
        )
        return tuple((name, what) for names, what in groups for name in names)


@dataclass(frozen=True)
class Fit:
    """What of a file goes into a model: tensors by the model's own names, all of the right shape; keys: the report.

    lacking: names before the classifier that have no tensor. given: every tensor of the part, renamed as the model has it.
    """

    tensors: dict[str, Tensor]
    keys: KeyReport
    lacking: tuple[str, ...]
    given: dict[str, Tensor]


def fit_weights(model: nn.Module, tensors: Mapping[str, Tensor], *, part: str = "") -> Fit:
    """Choose a part of the file, rename it as the model has it, and compare. The model stays as it is.

    Where names or shapes differ, timm's own converter of the model is tried: it renames what other codes call otherwise, and
    resamples position embeddings to the model's grid.

    Args:
        part: only parts whose name begins with it: ``teacher``; the best of all when empty.

    Raises: Problem when the file has no such part, or holds whole numbers where the model has fractions.
    """
    own = model.state_dict()
    parts = find_parts(own, tensors)
    chosen = _find_part(parts, part, tensors).name if part else parts[0].name
    given, resampled = _inside(tensors, chosen), []
    if len(_fitting(own, given)) < len(own):
        chosen, given, resampled = _convert_best(model, tensors, chosen, part)
    fits = _fitting(own, given)
    check_types(own, fits)
    keys = KeyReport(
        loaded=tuple(sorted(fits)),
        missing=tuple(sorted(own.keys() - given.keys())),
        unexpected=tuple(sorted(given.keys() - own.keys())),
        reshaped=tuple(sorted(own.keys() & given.keys() - fits.keys())),
        resampled=tuple(sorted(fits.keys() & set(resampled))),
        part=chosen,
        parts=tuple(parts[:_MAX_PARTS]),
        num_elsewhere=sum(not name.startswith(chosen) for name in tensors),
    )
    return Fit(fits, keys, lacking_in(own, given), given)


def lacking_in(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The model's names before the classifier for which there is no tensor of the right shape, in the model's order."""
    fits = _fitting(own, given)
    return tuple(key for key in own if key not in fits and not key.startswith(AFTER_TOKENS))


def find_parts(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[FilePart]:
    """The parts of a file that could be the model, most fitting tensors first; the whole file if nothing fits anywhere.

    A part with less than half of what the best one has is a coincidence of names and left out.
    """
    counts: Counter[str] = Counter()
    for name, tensor in tensors.items():
        pieces = name.split(".")
        for start in range(len(pieces)):
            key = ".".join(pieces[start:])
            if key in own and own[key].shape == tensor.shape:
                counts[name.removesuffix(key)] += 1
    most = max(counts.values(), default=0)
    found = [FilePart(name, count) for name, count in counts.items() if 2 * count >= most]
    return sorted(found, key=_worth) or [FilePart("", 0)]


def check_types(own: Mapping[str, Tensor], fits: Mapping[str, Tensor]) -> None:
    """Raises: Problem for whole or complex numbers where the model has fractions."""
    for key, value in fits.items():
        if own[key].is_floating_point() and not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise Problem("the weights could not be used", f"{key!r} holds {kind}, not floating-point numbers")


def load_fit(model: nn.Module, fit: Fit) -> None:
    """Copy what fits into the model, in the model's own precision.

    Raises: Problem when a number is, or becomes, NaN or infinite.
    """
    model.load_state_dict(fit.tensors, strict=False)
    own = model.state_dict()
    bad = [key for key in fit.tensors if not own[key].isfinite().all()]
    if bad:
        raise Problem("the weights could not be used", f"some numbers of {bad[0]!r} are NaN or infinite")


def _worth(part: FilePart) -> tuple[int, bool, int, str]:
    averaged = any(word in part.name for word in _AVERAGED)
    return -part.num_fitting, not averaged, len(part.name), part.name


def _find_part(parts: list[FilePart], wanted: str, tensors: Mapping[str, Tensor]) -> FilePart:
    """The best part whose name begins with ``wanted``; a part in which nothing fits as it is may still be convertible."""
    beginning = f"{wanted.rstrip('.')}."
    for part in parts:
        if part.name.startswith(beginning):
            return part
    if any(name.startswith(beginning) for name in tensors):
        return FilePart(beginning, 0)
    there = ", ".join(sorted({name.partition(".")[0] for name in tensors})[:_MAX_PARTS])
    raise Problem(f"the file has no part {wanted[:80]!r}", f"its names begin with {there}")


def _inside(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name[len(part) :]: tensor for name, tensor in tensors.items() if name.startswith(part)}


def _fitting(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in given.items() if key in own and value.shape == own[key].shape}


def _convert_best(
    model: nn.Module, tensors: Mapping[str, Tensor], chosen: str, wanted: str
) -> tuple[str, dict[str, Tensor], list[str]]:
    """The part as it is, converted, or all that the caller allowed converted (some converters know other codes' prefixes).

    Whichever has most that fits: the part's name, its tensors, and which of them were resampled.
    """
    own, sub = model.state_dict(), _inside(tensors, chosen)
    allowed = f"{wanted.rstrip('.')}." if wanted else ""
    found = [(chosen, sub, []), (chosen, *_convert(model, own, sub))]
    if allowed != chosen:
        found.append((allowed, *_convert(model, own, _inside(tensors, allowed))))
    return max(found, key=lambda one: len(_fitting(own, one[1])))


def _convert(
    model: nn.Module, own: Mapping[str, Tensor], given: dict[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """What timm's converter of this kind of model makes of the tensors, and which of them it resampled.

    Only position embeddings may be resampled: patches of another size are another model, so nothing is converted then.
    """
    import torch

    converter = _converter_of(model)
    if converter is None or not _has_same_patches(own, given):
        return given, []
    extra = {"adapt_layer_scale": True} if "adapt_layer_scale" in inspect.signature(converter).parameters else {}
    try:
        with torch.no_grad():
            made = converter(dict(given), model, **extra)
    except Exception:  # of a file of another model it raises anything; then the names are compared as they are
        return given, []
    made = {key: value for key, value in made.items() if isinstance(value, torch.Tensor)}
    changed = [key for key in made if key in given and made[key].numel() != given[key].numel()]
    kept = {key: given[key] for key in changed if "pos" not in key}
    return made | kept, [key for key in changed if key not in kept]


def _has_same_patches(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> bool:
    ours = own.get("patch_embed.proj.weight")
    theirs = [value for key, value in given.items() if key.endswith("patch_embed.proj.weight") and value.ndim == 4]
    return ours is None or all(value.shape[-2:] == ours.shape[-2:] for value in theirs)


def _converter_of(model: nn.Module):
    """``checkpoint_filter_fn`` of the module of timm that the model's class, or the one it is derived from, stands in."""
    for kind in type(model).__mro__:
        converter = getattr(sys.modules.get(kind.__module__), "checkpoint_filter_fn", None)
        if converter is not None:
            return converter
    return None


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")
