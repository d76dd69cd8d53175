"""A control begins where its run began phase 2: what both do alike is done once."""

from vitviz.errors import Problem
from vitviz.runs.folder import Run

LATER = ("cluster_weight", "max_rounds", "epochs_per_round", "round_lr", "stop_rule", "epsilon", "min_changed_share")
"""Settings that phase 1 does not read."""


def share_start(source: Run, run: Run) -> bool:
    """Give the new ``run`` the phase 1 of ``source``: its epochs, and a resume point behind the last of them.

    False, and nothing is done, where ``source`` kept no start. What ``run`` comes to is what it would have come to alone, on
    the same machine. Raises: Problem when the two differ in something that phase 1 reads, or ``run`` has begun.
    """
    state = source.start()
    if state is None:
        return False
    about, other = source.description(), run.description()
    differing = [key for key, value in about.settings.items() if key not in LATER and other.settings.get(key) != value]
    if differing or about.dataset_fingerprint != other.dataset_fingerprint:
        what = ", ".join(differing) or "the data set"
        raise Problem(f"run '{run.name}' cannot share the phase 1 of '{source.name}'", f"{what} differs")
    if run.metrics():
        raise Problem(f"run '{run.name}' has begun already")
    epochs = [record for record in source.metrics() if record["kind"] == "epoch" and record["round"] == 0]
    with run.owned():
        for record in epochs:
            run.append_metrics(record)
        place = {"round": 0, "epoch": len(epochs), "num_rounds": 0}
        run.save_resume_point({f"model.{name}": value for name, value in state.items()}, place)
    return True
