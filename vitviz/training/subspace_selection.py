"""Which step of the fine-tuning to believe: two rules that look at no label, and the one that does, under its own name."""

from collections.abc import Mapping, Sequence
from typing import Any

Scored = Sequence[Mapping[str, Any]]
_SCORES = ("step", "eigengap", "nmi", "acc", "ari")


def mark_steps(scored: Scored, *, fixed_step: int) -> dict[str, dict[str, Any]]:
    """The ``step``, ``eigengap`` and scores that each rule picks among ``scored``: records by step, at least one.

    ``fixed``: the last step up to ``fixed_step``, or the first where there is none. ``eigengap``: the first with the largest gap
    after the K-th eigenvalue, from two thirds of the way to ``fixed_step`` on, since C first has to grow: the graph of an early
    one falls apart anyhow. ``oracle``: the first with the largest ACC, which takes the labels to know and so is no result;
    left out where there are no labels.
    """
    fixed = ([record for record in scored if record["step"] <= fixed_step] or scored[:1])[-1]
    grown = [record for record in scored if 3 * record["step"] >= 2 * fixed["step"]]
    picked = {
        "fixed": fixed,
        "eigengap": max(grown, key=lambda record: record["eigengap"]),
    }
    labelled = [record for record in scored if record["acc"] is not None]
    if labelled:
        picked["oracle"] = max(labelled, key=lambda record: record["acc"])
    return {name: {key: record[key] for key in _SCORES} for name, record in picked.items()}


def choose_round(rounds: Scored, *, rule: str, fixed_step: int) -> dict[str, Any]:
    """The round that counts: ``rule`` (``fixed`` or ``eigengap``, never ``oracle``) among the records of ``rounds``."""
    chosen = mark_steps(rounds, fixed_step=fixed_step)[rule]
    index = next(record["index"] for record in rounds if record["step"] == chosen["step"])
    return {"rule": rule, "round": index, **chosen}
