"""A run in the words of the command line: one line, or all its rounds."""

from typing import Any

from vitviz.errors import Problem
from vitviz.runs.folder import Run

HELD_OUT = ("held_out_nmi", "held_out_acc")
TRANSDUCTIVE = ("nmi", "acc")


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
        for name, key in zip((title, "ACC", "W/T"), (*keys, "within_share"), strict=True)
        if last.get(key) is not None
    )
    place = "shipped" if run.is_shipped() else run.status().state
    return f"{run.name:28} {place:11} {about.method:16} {about.dataset_title:22} {len(rounds):3} rounds  {scores}"


def print_run(run: Run, about: dict[str, Any]) -> None:
    """The line, what the run was made of, and a line a round."""
    print(line_of(run))
    for key in ("title", "dataset", "num_images", "device", "created", "git_commit", "command"):
        print(f"  {key:12} {about[key]}")
    rounds = run.round_metrics()
    if rounds and "nmi" in rounds[0]:
        scores = ("step", *TRANSDUCTIVE, "ari", "eigengap", "in_block_mass")
    else:
        scores = (*HELD_OUT, "held_out_ari", "train_nmi")
    columns = ("index", "loss", *scores, "within_share", "nmi_previous")
    print("  " + " ".join(f"{column:>13}" for column in columns))
    for record in rounds:
        cells = (record.get(column) for column in columns)
        print("  " + " ".join(f"{'-' if cell is None else f'{cell:.4g}':>13}" for cell in cells))
