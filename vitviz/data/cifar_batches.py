"""The original CIFAR-10 folder ``cifar-10-batches-py``: six batches and the class names, written as pickles.

A pickle can run any code when it is read. These are therefore read by an unpickler that can build arrays, lists,
dictionaries, numbers and text, and refuses every other name before it is looked up: a crafted file gets a sentence.
"""

import functools
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from vitviz.data.arrays import list_arrays
from vitviz.data.listing import Listing, Source
from vitviz.errors import Problem

TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
FILES = (*TRAIN_FILES, "test_batch", "batches.meta")


def find_batches(path: Path, name: str) -> Source:
    """The folder of CIFAR-10 batches at ``path``. Raises Problem when one of its seven files is missing."""
    missing = [file for file in FILES if not (path / file).is_file()]
    if missing:
        raise Problem(f"{path.name} is incomplete", f"{', '.join(missing)} is missing", "unpack the archive again")
    return Source(name, tuple(path / file for file in FILES), functools.partial(_list_batches, path))


def _list_batches(path: Path) -> Listing:
    class_names = _class_names(path / "batches.meta")
    batches = [_read_batch(path / file, len(class_names)) for file in (*TRAIN_FILES, "test_batch")]
    pixels = np.concatenate([pixels for pixels, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    held_out = np.arange(len(labels)) >= len(labels) - len(batches[-1][1])
    return list_arrays(pixels, labels, class_names, held_out=held_out)


def _class_names(path: Path) -> tuple[str, ...]:
    names = _read_dictionary(path).get("label_names")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise Problem(f"{path.name} could not be read", "it holds no class names")
    return tuple(names)


def _read_batch(path: Path, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 32, 32, 3) uint8 and labels (n,) int32 of one file."""
    batch = _read_dictionary(path)
    data, labels = batch.get("data"), batch.get("labels")
    what = f"{path.name} could not be read"
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise Problem(what, "its data is not (n, 3072) bytes")
    known = set(range(num_classes))
    if (
        not isinstance(labels, list)
        or len(labels) != len(data)
        or not all(type(x) is int and x in known for x in labels)
    ):
        raise Problem(what, f"it does not hold one label in 0..{num_classes - 1} for each image")
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(labels, np.int32)


def _read_dictionary(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            value = _ArrayUnpickler(file, encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise Problem(f"{path.name} could not be read", str(error)) from error
    except Exception as error:  # a damaged pickle raises anything
        raise Problem(f"{path.name} could not be read", "it is not a CIFAR-10 batch, or it is damaged") from error
    if not isinstance(value, dict):
        raise Problem(f"{path.name} could not be read", "it is not a CIFAR-10 batch")
    return {key.decode("latin1") if isinstance(key, bytes) else key: item for key, item in value.items()}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds nothing but plain values and numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in the older protocols
            return _encode_latin1
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-10 batch needs")


def _encode_latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"encoding={encoding!r} must be 'latin1'")
    return text.encode("latin1")
