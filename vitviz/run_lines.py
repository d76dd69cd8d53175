"""A run in the words of the command line: one line, or all its rounds."""

from typing import Any

from vitviz.errors import Problem
from vitviz.runs.folder import Run

HELD_OUT = ("held_out_nmi", "held_out_acc")
TRANSDUCTIVE = ("nmi", "acc")
_TOP1 = "held_out_top1"


def line_of(run: Run) -> str:
    """Name, state, method, data set, rounds and scores."""
    try:
        about, rounds = run.description(), run.round_metrics()
    except Problem as problem:
        return f"{run.name:28} {problem}"
    last = rounds[-1] if rounds else {}
    # of a run that chooses among its rounds, the chosen one
    last = rounds[last["selection"]["round"]] if last.get("selection") else last
    keys, title = (TRANSDUCTIVE, "NMI") if "nmi" in last else (HELD_OUT, "held-out NMI")
    scores = ", ".join(
        f"{name} {last[key]:.3f}"
        for name, key in zip((title, "ACC", "W/T", "held-out top-1"), (*keys, "within_share", _TOP1), strict=True)
        if last.get(key) is not None
    )
    place = "shipped" if run.is_shipped() else run.status().state
    count = f"{len(rounds):3} round{' ' if len(rounds) == 1 else 's'}"
    return f"{run.name:28} {place:11} {about.method:16} {about.dataset_title:22} {count}  {scores}"


def print_run(run: Run, about: dict[str, Any], control: Run | None = None) -> None:
    """The line and that of its control, what the run was made of, and a line a round: of what its method records."""
    print(line_of(run))
    if control is not None:
        print(f"  {'its control':12} {line_of(control)}")
    if how_far := _how_far(run):
        print(f"  {'state':12} {how_far}")
    for key in ("title", "dataset", "num_images", "device", "created", "git_commit", "command"):
        print(f"  {key:12} {about[key]}")
    rounds = run.round_metrics()
    if rounds and "nmi" in rounds[0]:
        scores = ("step", *TRANSDUCTIVE, "ari", "eigengap", "in_block_mass")
    else:
        scores = (_TOP1, *HELD_OUT, "held_out_ari", "train_nmi")
    columns = [
        column
        for column in ("index", "loss", *scores, "within_share", "nmi_previous")
        if any(record.get(column) is not None for record in rounds)
    ]
    print("  " + " ".join(f"{column:>13}" for column in columns))
    for record in rounds:
        cells = (record.get(column) for column in columns)
        print("  " + " ".join(f"{'-' if cell is None else f'{cell:.4g}':>13}" for cell in cells))


def _how_far(run: Run) -> str:
    """Of a run that is not finished: how many records it has, what it does or why it failed."""
    status = run.status()
    if status.state == "finished":
        return ""
    progress = status.progress
    most = f" of at most {progress.total:,}" if progress.total else ""
    why = status.error or progress.note
    return f"{status.state} after {progress.done:,}{most} records" + (f": {why}" if why else "")
