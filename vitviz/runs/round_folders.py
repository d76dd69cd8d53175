"""``rounds/``: a folder a round, so that its arrays can be memory-mapped; complete once its manifest, written last, is there."""

import dataclasses
import os
import secrets
import shutil
from pathlib import Path

import numpy as np

from vitviz.runs import atomic, manifest, tensors
from vitviz.runs.records import Round
from vitviz.runs.tensors import Tensors

_WIDE = dict.fromkeys(("labels", "matched_labels", "predictions"), np.dtype(np.int32)) | dict.fromkeys(
    ("distances", "runner_up_distances"), np.dtype(np.float32)
)


def folder_of(rounds: Path, index: int) -> Path:
    """Where a round lies, complete or not."""
    return rounds / f"{index:03d}"


def is_complete(rounds: Path, index: int) -> bool:
    """Whether all of the round was written."""
    return (folder_of(rounds, index) / manifest.NAME).exists()


def count(rounds: Path) -> int:
    """How many rounds are complete, counted from 0 without a gap."""
    found = 0
    while is_complete(rounds, found):
        found += 1
    return found


def read(rounds: Path, index: int) -> Round:
    """The arrays of a complete round, memory-mapped; ids and distances kept in fewer bits are widened. Raises anything for a
    damaged one.
    """
    folder = folder_of(rounds, index)
    files = {part.name: folder / f"{part.name}.npy" for part in dataclasses.fields(Round)}
    kept = {name: np.load(file, mmap_mode="r", allow_pickle=False) for name, file in files.items() if file.exists()}
    return Round(**kept | {name: kept[name].astype(kind) for name, kind in _WIDE.items() if kept[name].dtype != kind})


def write(rounds: Path, index: int, arrays: Round, weights: Tensors | None) -> None:
    """Write a round into a temporary folder with its manifest, then rename it into place. Weights are kept as float16.

    Raises: OSError when the disk does not take it; nothing of it is left then, and the room is free again.
    """
    temporary = atomic.temporary_path(rounds)
    try:
        temporary.mkdir()
        _write_files(temporary, arrays, weights)
        manifest.write(temporary)
        os.rename(temporary, folder_of(rounds, index))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    atomic.sync_folder(rounds)


def drop(rounds: Path, index: int) -> None:
    """Remove a round."""
    # out of the way in one step first: a kill halfway through must not leave half a round in its place
    dropped = rounds / f"{atomic.TEMPORARY_PREFIX}dropped-{secrets.token_hex(4)}"
    os.rename(folder_of(rounds, index), dropped)
    shutil.rmtree(dropped)


def damaged_files(rounds: Path, index: int) -> list[str]:
    """Files of a round whose bytes are not those that were written, e.g. ``rounds/002/labels.npy``."""
    folder = folder_of(rounds, index)
    return [f"{rounds.name}/{folder.name}/{name}" for name in manifest.differing_files(folder)]


def _write_files(folder: Path, arrays: Round, weights: Tensors | None) -> None:
    for part in dataclasses.fields(Round):
        array = getattr(arrays, part.name)
        if array is not None:
            atomic.write_new(
                folder / f"{part.name}.npy", lambda file, array=array: np.save(file, array, allow_pickle=False)
            )
    if weights is not None:
        tensors.save(folder / "weights.safetensors", tensors.halved(weights))
