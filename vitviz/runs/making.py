"""A new run appears whole: its folder is made under a temporary name beside its place, then renamed."""

import contextlib
import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np

from vitviz.runs import atomic
from vitviz.runs.records import Description, Samples


def make_folder(path: Path, description: Description, samples: Samples) -> None:
    """Make the folder of a run without rounds at ``path``; of two makers at once, one gets the name.

    Raises: FileExistsError when there is a run; OSError when the disk does not take it.
    """
    if (path / "run.json").exists():
        raise FileExistsError
    temporary = atomic.temporary_path(path.parent)
    arrays = {name: array for name, array in vars(samples).items() if array is not None}
    try:
        (temporary / "rounds").mkdir(parents=True)
        atomic.sweep(path.parent)
        atomic.probe(temporary)
        atomic.write_file(temporary / "samples.npz", lambda file: np.savez_compressed(file, **arrays))
        atomic.write_json(temporary / "run.json", dataclasses.asdict(description))
        _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    atomic.sync_folder(path.parent)


def _put_in_place(made: Path, path: Path) -> None:
    with contextlib.suppress(OSError):
        os.rename(made, path)
        return
    # there is a folder of that name: a run, or one whose making an earlier version left half done
    if (path / "run.json").exists():
        raise FileExistsError
    (path / "rounds").mkdir(parents=True, exist_ok=True)
    for name in ("samples.npz", "run.json"):
        os.replace(made / name, path / name)
