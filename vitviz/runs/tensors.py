"""Named arrays in a safetensors file: parameters, and all that is needed to go on with a run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vitviz.runs import atomic

Tensors = Mapping[str, np.ndarray]


def save(path: Path, tensors: Tensors, notes: Mapping[str, str] | None = None) -> None:
    """Write the arrays, each in its own type, with ``notes`` beside them; a reader sees all of the file or none."""
    from safetensors.numpy import save

    # not ascontiguousarray: it gives an array without dimensions one
    content = save({name: np.asarray(value, order="C") for name, value in tensors.items()}, metadata=notes or None)
    atomic.write_file(path, lambda file: file.write(content))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the notes that :func:`save` wrote. Raises anything for a damaged file."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def halved(tensors: Tensors) -> dict[str, np.ndarray]:
    """The same with float16 for float32; other types stay as they are."""
    return {name: value.astype(np.float16) if value.dtype == np.float32 else value for name, value in tensors.items()}
