"""How many records of every kind a run will have, from the least to the most. No torch in here."""

from typing import Any

from vitviz.training.subspace_config import SubspaceConfig

_FIRST_STOP = {"relative": 2, "absolute": 1}
"""The earliest round after which a stop rule may end a run; see ``training/stopping.py``."""

Counts = dict[str, tuple[int, int]]


def planned_records(config: Any) -> Counts:
    """Kind to (least, most) of its records: ``epoch``, ``step`` and ``round``."""
    if isinstance(config, SubspaceConfig):
        steps = config.num_steps if config.is_joint else 0
        rounds = len(config.round_steps()) if config.solver == "adam" else 1
        epochs = config.epochs * config.num_starts
        return {"epoch": (epochs, epochs), "step": (steps, steps), "round": (rounds, rounds)}
    most_rounds = getattr(config, "max_rounds", 0)
    least_rounds = min(_FIRST_STOP.get(getattr(config, "stop_rule", ""), most_rounds), most_rounds)
    anew = getattr(config, "start", "") == "reinitialise"
    each = config.epochs if anew else getattr(config, "epochs_per_round", 0)
    extra = getattr(config, "extra_epochs", 0) if getattr(config, "gate", False) else 0
    return {
        "epoch": (config.epochs + least_rounds * each, config.epochs + extra + most_rounds * each),
        "round": (1 + least_rounds, 1 + most_rounds),
    }


def count_records(config: Any) -> int:
    """How many records a run of ``config`` yields at the most (it may stop earlier)."""
    return sum(most for _, most in planned_records(config).values())
