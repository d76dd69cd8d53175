"""A checkpoint of somebody else's to a safetensors file, offline, and without running anything that it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitviz.errors import Problem
from vitviz.explain.weight_files import read_weights
from vitviz.explain.weight_keys import KeyReport
from vitviz.runs import atomic

if TYPE_CHECKING:
    from torch import Tensor

_MAX_PARTS = 8


@dataclass(frozen=True)
class Conversion:
    """What was written: how many tensors and bytes, which names share the tensor of another (name -> the one that is written).

    parts: what the names in the source begin with, and how many of each; keys: how they met the model, None without one.
    """

    num_tensors: int
    num_bytes: int
    shared: dict[str, str]
    parts: tuple[tuple[str, int], ...]
    keys: KeyReport | None = None

    def lines(self) -> list[str]:
        """All of it in sentences."""
        told = [f"{self.num_tensors:,} tensor{'s' if self.num_tensors != 1 else ''}, {self.num_bytes / 1e6:,.1f} MB"]
        if self.shared:
            first, kept = next(iter(self.shared.items()))
            told.append(
                f"{len(self.shared)} names share the tensor of another ({first} that of {kept}) and stand in the notes"
            )
        if self.keys is None:
            parts = ", ".join(f"{name} ({count:,})" for name, count in self.parts)
            told += (
                [f"the names in the source begin with {parts}; --part writes one of them"]
                if len(self.parts) > 1
                else []
            )
            return told
        told.append(self.keys.sentence())
        return told + [f"  {what}: {name}" for name, what in self.keys.rows() if not what.startswith("loaded")]


def convert_weights(source: Path, out: Path, *, part: str = "", model_name: str = "") -> Conversion:
    """Write the tensors of ``source`` to the new file ``out``, whole or not at all, and readable as the umask says.

    Args:
        part: only tensors whose names begin with it, which is taken off: ``teacher.backbone``.
        model_name: a model of timm that they must be; its names are written then, and of the source what fits it.

    Raises: Problem when the source is no file of tensors alone or has no such part, a number is not finite, they do not fit the
        model, or ``out`` exists or is no ``.safetensors``.
    """
    _check_out(out)
    tensors = _read(source)
    keys = None
    if model_name:
        from vitviz.explain.timm_models import load_model_by_name

        opened = load_model_by_name(model_name, weights=source, part=part)
        state, keys = opened.model.state_dict(), opened.keys
        chosen = {name: state[name] for name in keys.loaded}
    else:
        chosen = _take_part(tensors, part)
        _check_finite(chosen, source.name)
    kept, shared = _told_apart(chosen)
    return Conversion(len(kept), _write(out, kept, shared), shared, _parts_of(tensors), keys)


def _check_out(out: Path) -> None:
    if out.suffix != ".safetensors":
        raise Problem(f"{out} cannot be written", "a converted file ends with .safetensors", "choose such a name")
    if out.exists():
        raise Problem(f"{out} exists", "", "choose another name, or remove it first")
    if not out.absolute().parent.is_dir():
        raise Problem(f"{out} cannot be written", "its folder does not exist", f"make {out.parent} first")


def _read(source: Path) -> dict[str, Tensor]:
    try:
        return read_weights(source)
    except Problem as problem:
        if "code" not in problem.why:
            raise
        hint = (
            "if it is yours, save torch.save(model.state_dict(), path) and convert that; else ask those who made it for its "
            "state_dict or a safetensors file: no file that could run code is opened here"
        )
        raise Problem(problem.what, problem.why, hint) from None


def _take_part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    if not part:
        return dict(tensors)
    beginning = f"{part.rstrip('.')}."
    chosen = {name.removeprefix(beginning): value for name, value in tensors.items() if name.startswith(beginning)}
    if not chosen:
        there = ", ".join(name for name, _ in _parts_of(tensors))
        raise Problem(f"the file has no part {part[:80]!r}", f"its names begin with {there}")
    return chosen


def _check_finite(tensors: Mapping[str, Tensor], name: str) -> None:
    bad = [key for key, value in tensors.items() if not value.isfinite().all()]
    if bad:
        raise Problem(f"{name} cannot be converted", f"some numbers of {bad[0]!r} are NaN or infinite")


def _told_apart(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor once, on numbers of its own; and the names of those that are another's, all of it."""
    kept, shared, seen = {}, {}, {}
    for name, value in tensors.items():
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype)
        if value.numel() and place in seen:
            shared[name] = seen[place]
            continue
        seen[place] = name
        kept[name] = value.contiguous().clone()
    return kept, shared


def _write(out: Path, tensors: dict[str, Tensor], shared: dict[str, str]) -> int:
    from safetensors.torch import save

    content = save(tensors, metadata={"format": "pt", **shared})
    atomic.write_file(out, lambda file: file.write(content))
    return len(content)


def _parts_of(tensors: Mapping[str, Tensor]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(name.partition(".")[0] for name in tensors).most_common(_MAX_PARTS))
