"""Hand a run on: a folder or zip without what only resuming needs, or a table of its points."""

import shutil
import zipfile
from pathlib import Path

import numpy as np

from vitviz.errors import Problem
from vitviz.runs.folder import Run

_LEFT_OUT = ("resume.safetensors", "start.safetensors", "owner.lock", "owner.json", "job.json", "job.log")


def export_folder(run: Run, out: Path, *, half: bool = False) -> None:
    """Copy the run into the new folder ``out``, the last weights as float16 if ``half``. Raises Problem when it exists."""
    if out.exists():
        raise Problem(f"{out} exists", "", "choose another name, or remove it first")
    shutil.copytree(run.path, out, ignore=shutil.ignore_patterns(*_LEFT_OUT, ".tmp-*"))
    if half:
        copied = Run(out)
        copied.save_weights(copied.weights(), half=True)


def export_scores(run: Run, out: Path) -> None:
    """Copy what was decided and recorded into the new folder ``out``, no arrays, no weights. Raises Problem when it exists."""
    if out.exists():
        raise Problem(f"{out} exists", "", "choose another name, or remove it first")
    out.mkdir()
    for name in ("run.json", "status.json", "metrics.jsonl", "samples.npz"):
        shutil.copy2(run.path / name, out / name)


def export_zip(run: Run, out: Path) -> None:
    """Write the run as ``NAME/...`` into the zip file ``out``, stored as it is: weights and arrays do not shrink."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(run.path.rglob("*")):
            if path.is_file() and path.name not in _LEFT_OUT and not path.name.startswith(".tmp-"):
                archive.write(path, Path(run.name) / path.relative_to(run.path))


def export_table(run: Run, out: Path) -> None:
    """Write one row a sample and round as ``.csv`` or ``.parquet``: place on the map, ids, class, distances, split.

    Columns: sample, dataset_index, round, x, y, cluster, raw_cluster, class, held_out, distance, runner_up_distance.
    Raises: Problem when the run has no rounds.
    """
    import pandas

    run.check_rounds()
    samples, projection = run.samples(), run.projection()
    tables = []
    for index in range(run.num_rounds()):
        arrays = run.round(index)
        places = projection.points[index] if projection is not None else np.full((len(samples.indices), 2), np.nan)
        tables.append(
            pandas.DataFrame(
                {
                    "sample": np.arange(len(samples.indices)),
                    "dataset_index": samples.indices,
                    "round": index,
                    "x": places[:, 0],
                    "y": places[:, 1],
                    "cluster": arrays.matched_labels,
                    "raw_cluster": arrays.labels,
                    "class": samples.classes,
                    "held_out": samples.held_out,
                    "distance": arrays.distances,
                    "runner_up_distance": arrays.runner_up_distances,
                }
            )
        )
    table = pandas.concat(tables, ignore_index=True)
    table.to_csv(out, index=False) if out.suffix == ".csv" else table.to_parquet(out, index=False)
