"""One round more for a finished run of deep clustering: as if its settings had asked for it from the beginning, and said so."""

import dataclasses
import datetime
import importlib.metadata
import shlex

from vitviz.errors import Problem
from vitviz.runs.folder import Run

METHODS = ("deep_clustering",)
"""Methods whose rounds each begin with a fresh optimiser, so that the last weights are all that a further one needs."""


def check_can_go_further(run: Run, *, states: tuple[str, ...] = ("finished",)) -> None:
    """Raises Problem for a run in none of those states, of another method, or handed on without weights."""
    if run.description().method not in METHODS:
        raise Problem(f"run '{run.name}' has no further round", "only deep clustering goes on round by round")
    if run.status().state not in states:
        raise Problem(f"run '{run.name}' is not finished", "", "resume it first")
    if not run.num_rounds() or not (run.has_whole_weights() or run.has_resume_point()):
        raise Problem(f"run '{run.name}' has nothing to go on from", "it was handed on without rounds or weights")


def add_rounds(run: Run, number: int) -> None:
    """Make ``number`` further rounds due: settings, command and notes in ``run.json`` change, training is still to be done.

    The stop rule gives way, since it would stop where it stopped before. What is trained then is what a run with these settings
    comes to. Raises Problem as :func:`check_can_go_further`, or for a run that came with vitviz.
    """
    if run.is_shipped():
        raise Problem(
            f"run '{run.name}' came with vitviz and is read-only",
            "",
            f"python -m vitviz export {run.name} runs/NAME, then go on with NAME",
        )
    if number < 1:
        raise Problem(f"more_rounds={number} must be at least 1")
    # a job says "running" before its process comes here; who else writes the run is kept out by the lock
    check_can_go_further(run, states=("finished", "running"))
    with run.owned():
        done = run.num_rounds()
        if not run.has_resume_point():
            state = {f"model.{name}": value for name, value in run.weights().items()}
            run.save_resume_point(state, {"round": done, "epoch": 0, "num_rounds": done})
        about = run.description()
        changes = {"max_rounds": done - 1 + number, "stop_rule": "max_rounds"}
        settings = {**about.settings, **changes}
        note = _note(about.settings, changes, range(done, done + number))
        command = _command(about.command, run.name, changes)
        run.describe(dataclasses.replace(about, settings=settings, command=command, notes=(*about.notes, note)))


def _note(before: dict, changes: dict, rounds: range) -> str:
    which = f"round {rounds[0]} was" if len(rounds) == 1 else f"rounds {rounds[0]} to {rounds[-1]} were"
    changed = (f"{key} {before[key]} -> {value}" for key, value in changes.items() if before[key] != value)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"{which} added on {today} with torch {importlib.metadata.version('torch')}: " + (
        ", ".join(changed) or "settings as they were"
    )


def _command(line: str, name: str, changes: dict) -> str:
    """``line`` with the run's own name and the changed settings, each once."""
    words, kept = shlex.split(line), []
    names = {key.replace("_", "-") for key in changes}
    while words:
        word = words.pop(0)
        if word in ("--run", "--set") and words:
            value = words.pop(0)
            if word == "--run" or value.partition("=")[0].replace("_", "-") in names:
                continue
            kept += [word, value]
        else:
            kept.append(word)
    sets = [word for key, value in changes.items() for word in ("--set", f"{key.replace('_', '-')}={value}")]
    return shlex.join([*kept, "--run", name, *sets]) if kept else ""
