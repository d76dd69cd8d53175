"""The folders: where runs, caches and the log are written, which data sets are here, and whether runs are whole."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vitviz.data.cache import cache_folder
from vitviz.data.sets import SETS, data_folder
from vitviz.doctor.findings import Finding
from vitviz.errors import Problem
from vitviz.logs import log_path
from vitviz.runs import atomic
from vitviz.runs.disk import disk_problem
from vitviz.runs.folder import Run, list_runs, own_root

_LEAST_SPACE = 2**30
_QUICK_BYTES = 64 * 2**20
"""Up to this many bytes of a run are compared with their checksums without being asked to."""


def check_runs_folder() -> Finding:
    """Your runs can be written, and there is room for them."""
    error = _writing_error(own_root())
    if error is not None:
        problem = disk_problem(f"{own_root()} cannot be written", error)
        return Finding("runs folder", "broken", f"{problem.what}: {problem.why}", problem.hint or "set VITVIZ_RUNS")
    free = shutil.disk_usage(_nearest(own_root())).free
    what = f"{own_root()}, {free / 2**30:.1f} GiB free"
    if free < _LEAST_SPACE:
        return Finding("runs folder", "hint", what, "free some space, or set VITVIZ_RUNS to a folder on another disk")
    return Finding("runs folder", "ok", what)


def check_other_folders() -> Iterator[Finding]:
    """The cache and the log can be written; vitviz goes on where they cannot."""
    places = (
        ("cache", cache_folder(), "VITVIZ_CACHE", "decoded images stay in memory, and are decoded anew each time"),
        ("log", log_path().parent, "VITVIZ_LOGS", "what breaks is printed instead"),
    )
    for name, folder, variable, instead in places:
        error = _writing_error(folder)
        if error is None:
            yield Finding(name, "ok", str(folder))
        else:
            why = f"{folder} cannot be written ({error.strerror or error}): {instead}"
            yield Finding(name, "hint", why, f"set {variable} to a folder that can be")


def check_data() -> Finding:
    """Which data sets are on this machine."""
    here = [name for name, known in SETS.items() if known.available()]
    missing = [name for name in SETS if name not in here]
    what = f"{', '.join(here)} are here" + (
        f", {', '.join(missing)} are not (looked for in {data_folder()})" if missing else ""
    )
    return Finding(
        "data", "hint" if missing else "ok", what, "python -m vitviz data list tells how to get them" if missing else ""
    )


def check_runs(*, all_bytes: bool) -> Iterator[Finding]:
    """Every run can be read, and its bytes are those that were written: of large runs only when ``all_bytes``."""
    runs, skipped, interrupted, broken = list_runs(), [], [], 0
    for run in runs:
        finding = _check_run(run, all_bytes=all_bytes, skipped=skipped)
        if finding is not None:
            broken += 1
            yield finding
        elif not run.is_shipped() and run.status().state == "interrupted":
            interrupted.append(run.name)
    if not broken:
        checked = (
            "every byte as it was written"
            if not skipped
            else f"{len(skipped)} large ones not compared with their checksums"
        )
        yield Finding(
            "runs", "ok", f"{len(runs)} runs, {checked}", "doctor --check-runs compares all" if skipped else ""
        )
    if interrupted:
        yield Finding(
            "runs",
            "hint",
            f"{', '.join(interrupted)} stopped before the end",
            "--resume goes on; if it happens again, memory may be short",
        )


def _check_run(run: Run, *, all_bytes: bool, skipped: list[str]) -> Finding | None:
    try:
        run.description(), run.samples()
        if not all_bytes and _size_of(run) > _QUICK_BYTES:
            skipped.append(run.name)
            return None
        damaged = run.damaged_files()
    except (Problem, OSError) as problem:
        return Finding("runs", "broken", f"run '{run.name}': {problem}", "put it back from a copy, or remove it")
    if not damaged:
        return None
    what = f"run '{run.name}' is damaged: {', '.join(damaged[:5])}"
    return Finding("runs", "broken", what, "put these files back from a copy, or train it again")


def _size_of(run: Run) -> int:
    return sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())


def _writing_error(folder: Path) -> OSError | None:
    """What keeps ``folder`` from being written. A folder that is not there yet is not made: the nearest above it counts."""
    try:
        atomic.probe(_nearest(folder))
    except OSError as error:
        return error
    return None


def _nearest(folder: Path) -> Path:
    folder = Path(os.path.abspath(folder))
    return next(place for place in (folder, *folder.parents) if place.exists())
