"""The run folder: with the files beside this one, the only code that knows its file names.

``run.json`` decisions, ``status.json`` state, ``metrics.jsonl`` one record a line, ``samples.npz`` which images,
``rounds/000/`` arrays of a round with a manifest of sha256 sums (``round_folders``), ``projection.npz`` the maps,
``coefficients.npz`` the self-expression of subspace clustering, ``weights.safetensors`` parameters, ``resume.safetensors``
all that is needed to go on (``tensors``).
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vitviz.errors import Problem
from vitviz.runs import atomic, coefficients, round_folders, status, tensors
from vitviz.runs.checks import CHECKED_FILES, is_damaged
from vitviz.runs.disk import disk_problem
from vitviz.runs.json_files import read_json, read_records, read_rounds
from vitviz.runs.making import make_folder
from vitviz.runs.records import Coefficients, Description, Progress, Projection, Round, Samples, Status
from vitviz.runs.schema import SCHEMA, check_kinds, migrate
from vitviz.runs.tensors import Tensors

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PROJECT = Path(__file__).resolve().parents[2]


def shipped_root() -> Path:
    """The folder of the runs that come with vitviz."""
    return _PROJECT / "checkpoints"


def own_root() -> Path:
    """The folder your runs are written to: ``VITVIZ_RUNS``, or ``runs/`` beside the app."""
    return Path(os.environ.get("VITVIZ_RUNS") or _PROJECT / "runs")


def list_runs() -> list["Run"]:
    """All readable-looking runs, yours first (newest first), then the shipped ones by name. Own names hide shipped ones."""
    own = sorted(_runs_in(own_root()), key=lambda run: run.path.stat().st_mtime, reverse=True)
    names = {run.name for run in own}
    return own + sorted((run for run in _runs_in(shipped_root()) if run.name not in names), key=lambda run: run.name)


def find_run(name: str) -> "Run":
    """The run of that name among ``list_runs()``; a name never becomes a path. Raises Problem when there is none."""
    for run in list_runs():
        if run.name == name:
            return run
    raise Problem(f"there is no run named '{name[:64]}'", "", "python -m vitviz runs lists those there are")


def create_run(name: str, description: Description, samples: Samples, *, root: Path | None = None) -> "Run":
    """A new empty run in ``root``, else ``own_root()``; one that ended before its first record gives its name free.

    Raises: Problem for a bad name, a taken one, or a folder that cannot be written.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise Problem(
            f"'{name}' cannot name a run", "a name is 1 to 64 of a-z 0-9 _ - and starts with a letter or digit"
        )
    run = Run((root or own_root()) / name)
    if (run.path / "run.json").exists() and run.may_begin_again():
        (run.path / "run.json").unlink()
    try:
        make_folder(run.path, dataclasses.replace(description, schema=SCHEMA), samples)
    except FileExistsError:
        hint = "add --resume to go on with it, or choose another --run name"
        raise Problem(f"run '{name}' exists", "", hint) from None
    except OSError as error:
        raise disk_problem(f"run '{name}' cannot be written to {run.path.parent}", error) from error
    return run


class Run:
    """One run folder. Reading is free; writing is for the one process that holds ``run.owned()``."""

    def __init__(self, path: Path):
        self.path = path
        self.name = path.name
        self._telling = threading.Lock()

    # What there is

    @cached_property
    def _description(self) -> Description:
        record = migrate(self.name, read_json(self.path / "run.json"))
        try:
            names, notes = tuple(record["class_names"]), tuple(record.get("notes", ()))
            return check_kinds(Description(**{**record, "class_names": names, "notes": notes}))
        except (KeyError, TypeError) as error:
            raise Problem(f"run '{self.name}' cannot be read", f"run.json: {error}") from error

    def description(self) -> Description:
        """Settings, data set, seed, versions. Raises Problem when damaged or of a newer schema."""
        return self._description

    def is_shipped(self) -> bool:
        """Whether the run came with vitviz, and is thus read-only."""
        return self.path.parent == shipped_root()

    def status(self) -> Status:
        """The state now; ``running`` with a dead process is told as ``interrupted``."""
        return status.read(self.path / "status.json")

    def metrics(self) -> list[dict[str, Any]]:
        """All complete records in order. A last line cut short by a kill is left out."""
        return self._records(read_records)

    def round_metrics(self) -> list[dict[str, Any]]:
        """The records of complete rounds, by index."""
        return self._records(read_rounds)

    def _records(self, read: Callable[[Path, int, int], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Copies of what ``read`` gives of the file of records as it is now."""
        path = self.path / "metrics.jsonl"
        try:
            found = path.stat()
        except FileNotFoundError:
            return []
        return [dict(record) for record in read(path, found.st_mtime_ns, found.st_size)]

    def num_rounds(self) -> int:
        """How many rounds are complete, counted from 0 without a gap."""
        return round_folders.count(self._rounds)

    @cached_property
    def _samples(self) -> Samples:
        with self._open_arrays("samples.npz") as arrays:
            needed = {part: arrays[part] for part in ("indices", "classes", "held_out")}
            return Samples(**needed, sketches=arrays.get("sketches"))

    def samples(self) -> Samples:
        """Which images the rows of every round are."""
        return self._samples

    def check_rounds(self) -> None:
        """Raises: Problem when no round is here: none was trained yet, or the run was handed on for its records alone."""
        if self.num_rounds():
            return
        if self.is_scores_only() and self.metrics():
            why = "it was handed on for its records, without arrays and weights"
            raise Problem(f"run '{self.name}' has no rounds to look into", why, "its command trains it anew")
        raise Problem(f"run '{self.name}' has no round yet", "", "train it first")

    def round(self, index: int) -> Round:
        """Arrays of a round, memory-mapped. Raises Problem when there is no such round."""
        if not round_folders.is_complete(self._rounds, index):
            raise Problem(f"run '{self.name}' has no round {index}", f"its rounds are 0 to {self.num_rounds() - 1}")
        with self._reading(f"rounds/{round_folders.folder_of(self._rounds, index).name}"):
            return round_folders.read(self._rounds, index)

    def projection(self) -> Projection | None:
        """The maps over rounds, or None before they are made."""
        if not (self.path / "projection.npz").exists():
            return None
        with self._open_arrays("projection.npz") as arrays:
            return Projection(
                points=arrays["points"].astype(np.float32, copy=False), **json.loads(str(arrays["made_by"]))
            )

    def coefficients(self) -> Coefficients | None:
        """How each image is made of the others, for as many rounds as are complete; None for a run that has no such thing."""
        if not (self.path / "coefficients.npz").exists():
            return None
        with self._open_arrays("coefficients.npz") as arrays:
            return coefficients.unpack(arrays, self.num_rounds())

    def version(self) -> str:
        """A short token that changes whenever rounds or maps are added: for caches and addresses."""
        parts = [self._description.created, self.num_rounds()]
        with contextlib.suppress(FileNotFoundError):
            parts.append((self.path / "projection.npz").stat().st_mtime_ns)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    def weights(self, round_index: int | None = None) -> dict[str, np.ndarray]:
        """Parameters by name after a round (of the last state when None, which a run handed on small has with its last round).

        Raises Problem when they were not kept.
        """
        if round_index is None and self._last_state() is not None:
            return self.weights(self._last_state())
        name = "weights.safetensors" if round_index is None else f"rounds/{round_index:03d}/weights.safetensors"
        if not (self.path / name).exists():
            raise Problem(
                f"run '{self.name}' kept no weights" + ("" if round_index is None else f" for round {round_index}")
            )
        with self._reading(name):
            return tensors.load(self.path / name)[0]

    def has_weights(self, round_index: int | None = None) -> bool:
        """Whether the parameters after that round (of the last state when None) were kept."""
        if round_index is None and self._last_state() is not None:
            return True
        folder = self.path if round_index is None else round_folders.folder_of(self._rounds, round_index)
        return (folder / "weights.safetensors").exists()

    def has_whole_weights(self) -> bool:
        """Whether the parameters of the last state stand in a file of their own, not only as a round keeps them."""
        return (self.path / "weights.safetensors").exists()

    def _last_state(self) -> int | None:
        """The last round of a finished run that kept the last weights there alone."""
        last = self.num_rounds() - 1
        is_alone = last >= 0 and not (self.path / "weights.safetensors").exists() and not self.has_resume_point()
        return last if is_alone and self.has_weights(last) else None

    def has_resume_point(self) -> bool:
        """Whether there is something to go on from."""
        return (self.path / "resume.safetensors").exists()

    def is_scores_only(self) -> bool:
        """Whether it was handed on for its records alone: nothing to embed with, nothing to map, nothing to go on from."""
        return not (self.num_rounds() or self.has_weights() or self.has_resume_point())

    def may_begin_again(self) -> bool:
        """Whether it failed or was cancelled before there was a record: nothing is lost when another takes its name."""
        is_empty = not (self.metrics() or self.num_rounds() or self.has_resume_point())
        return is_empty and self.status().state in ("failed", "cancelled")

    def damaged_files(self) -> list[str]:
        """Files whose bytes are not those that were written, e.g. ``rounds/002/labels.npy``."""
        rounds = range(self.num_rounds())
        found = [name for index in rounds for name in round_folders.damaged_files(self._rounds, index)]
        return found + [name for name in CHECKED_FILES if (self.path / name).exists() and is_damaged(self.path / name)]

    def intact(self) -> str:
        """What of a run is whole when writing it failed: ``rounds 0 to 3 are intact``."""
        count = self.num_rounds()
        if count < 2:
            return "round 0 is intact" if count else "no round was complete yet"
        return f"rounds 0 to {count - 1} are intact"

    # Writing

    @contextlib.contextmanager
    def owned(self):
        """Hold the run for writing, with nothing half written in it. Raises Problem when another process does, or the disk
        takes no more.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(status.lock(self.path / "owner.lock", self.name))
                for folder in (self.path, self._rounds):
                    atomic.sweep(folder)
                atomic.probe(self.path)
            except OSError as error:
                raise disk_problem(f"run '{self.name}' cannot be written to", error, intact=self.intact()) from error
            yield self

    def set_status(self, state: str, *, progress: Progress | None = None, error: str = "") -> None:
        """Write ``status.json`` with this process as the owner and the time as the heartbeat."""
        with self._telling:
            status.write(self.path / "status.json", state, progress or self.status().progress, error)

    def beat(self) -> None:
        """Say again what was said last, with the time as the heartbeat; may be called from another thread."""
        with self._telling, contextlib.suppress(OSError):
            told = self.status()
            status.write(self.path / "status.json", told.state, told.progress, told.error)

    def describe(self, description: Description) -> None:
        """Write down other decisions than those it began with (``training/further_rounds.py`` does, and notes it)."""
        atomic.write_json(self.path / "run.json", dataclasses.asdict(dataclasses.replace(description, schema=SCHEMA)))
        self.__dict__.pop("_description", None)

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one record (``kind`` is ``epoch`` or ``round``); readers see it whole or not at all."""
        self._write_metrics([*self.metrics(), dict(record)])

    def save_round(self, index: int, arrays: Round, weights: Tensors | None = None) -> None:
        """Write a round, all of it or nothing. Weights are kept as float16."""
        round_folders.write(self._rounds, index, arrays, weights)

    def save_projection(self, projection: Projection) -> None:
        """Write the maps and what made them."""
        made_by = {"engine": projection.engine, "seed": projection.seed, "settings": projection.settings}
        half = projection.points.dtype == np.float16
        arrays = {
            "points": projection.points if half else projection.points.astype(np.float32),
            "made_by": json.dumps(made_by),
        }
        atomic.write_file(self.path / "projection.npz", lambda file: np.savez(file, **arrays))

    def save_coefficients(self, kept: Coefficients) -> None:
        """Write the coefficients of all rounds so far, each C as float16."""
        arrays = coefficients.pack(kept)
        atomic.write_file(self.path / "coefficients.npz", lambda file: np.savez(file, **arrays))

    def save_weights(self, weights: Tensors, *, half: bool = False) -> None:
        """Write the parameters of the last state, as float16 if ``half``."""
        tensors.save(self.path / "weights.safetensors", tensors.halved(weights) if half else weights)

    def save_resume_point(self, state: Tensors, position: Mapping[str, int]) -> None:
        """Write all that is needed to go on, with the place in the run it belongs to and the number of records so far."""
        notes = {**position, "num_records": len(self.metrics())}
        tensors.save(self.path / "resume.safetensors", state, {"position": json.dumps(notes)})

    def save_start(self, state: Tensors) -> None:
        """Write the parameters that the first round begins from, as they are: what a run that differs later may share."""
        tensors.save(self.path / "start.safetensors", state)

    def start(self) -> Tensors | None:
        """What :meth:`save_start` wrote, or None."""
        if not (self.path / "start.safetensors").exists():
            return None
        with self._reading("start.safetensors"):
            return tensors.load(self.path / "start.safetensors")[0]

    def resume_point(self) -> tuple[dict[str, np.ndarray], dict[str, int]] | None:
        """Tensors and position of the last resume point, or None when there is none."""
        if not self.has_resume_point():
            return None
        with self._reading("resume.safetensors"):
            state, notes = tensors.load(self.path / "resume.safetensors")
            return state, json.loads(notes["position"])

    def rewind(self, *, num_records: int, num_rounds: int) -> None:
        """Drop what was written after the resume point: it is about to be computed again."""
        self._write_metrics(self.metrics()[:num_records])
        maps = self.path / "projection.npz"
        if self.num_rounds() != num_rounds and maps.exists():
            maps.unlink()
        while (last := self.num_rounds()) > num_rounds:
            round_folders.drop(self._rounds, last - 1)

    @contextlib.contextmanager
    def _reading(self, name: str):
        try:
            yield
        except Exception as error:  # a damaged file raises anything
            # numpy takes what is neither an array nor a zip for a pickle, and says how to run it
            why = "it is damaged" if "pickle" in str(error) else str(error)
            raise Problem(f"{name} of run '{self.name}' cannot be read", why) from error

    @contextlib.contextmanager
    def _open_arrays(self, name: str):
        # opened here, since numpy leaves a file open that it finds damaged
        with self._reading(name), open(self.path / name, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays

    @property
    def _rounds(self) -> Path:
        return self.path / "rounds"

    def _write_metrics(self, records: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
        atomic.write_file(self.path / "metrics.jsonl", lambda file: file.write(text.encode()))


def _runs_in(root: Path) -> list[Run]:
    try:
        entries = [entry for entry in os.scandir(root) if entry.is_dir()]
    except OSError:
        return []
    return [
        Run(Path(entry.path))
        for entry in entries
        if NAME_PATTERN.fullmatch(entry.name) and os.path.exists(os.path.join(entry.path, "run.json"))
    ]
