"""Named arrays in a safetensors file: parameters, and all that is needed to go on with a run.

The format has no checksum, and a changed bit makes another network that looks like one; so a sha256 of names, types, shapes,
numbers and notes stands among the notes, and is compared on reading.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vitviz.runs import atomic

Tensors = Mapping[str, np.ndarray]
_SUM = "sha256"
_IS_SUM = re.compile("[0-9a-f]{64}")


def save(path: Path, tensors: Tensors, notes: Mapping[str, str] | None = None) -> None:
    """Write the arrays, each in its own type, with ``notes`` beside them; a reader sees all of the file or none."""
    from safetensors.numpy import save

    # not ascontiguousarray: it gives an array without dimensions one
    arrays = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    content = save(arrays, metadata={**(notes or {}), _SUM: _sum(arrays, notes or {})})
    atomic.write_file(path, lambda file: file.write(content))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the notes that :func:`save` wrote. Raises anything for a damaged file, ValueError for a changed one."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        arrays, notes = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    kept = notes.pop(_SUM, None)
    # without a sum it was written by an earlier version, unless the word for the sum itself was changed
    if kept != _sum(arrays, notes) and (kept or any(_IS_SUM.fullmatch(note) for note in notes.values())):
        raise ValueError("its bytes are not those that were written")
    return arrays, notes


def halved(tensors: Tensors) -> dict[str, np.ndarray]:
    """The same with float16 for float32; other types stay as they are, and so do numbers too large for float16."""
    return {name: _halve(value) if value.dtype == np.float32 else value for name, value in tensors.items()}


def _halve(value: np.ndarray) -> np.ndarray:
    largest = np.finfo(np.float16).max
    fits = not value.size or (value.max() <= largest and value.min() >= -largest)
    return value.astype(np.float16) if fits else value


def _sum(arrays: Tensors, notes: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(sorted(notes.items())).encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
