"""When deep clustering stops, and when it should be distrusted: pure rules over the records of its rounds.

Source: phase 2 of the deep clustering paper stops when |L_r - L_(r-1)| < epsilon. Differs: by default epsilon is
relative and has to hold twice in a row, since a plateau of one round is common.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

StopRule = Literal["relative", "absolute", "max_rounds"]
Records = Sequence[Mapping]

SMALLEST_FALL = 0.02


def stop_reason(
    records: Records, *, rule: StopRule, epsilon: float, min_changed_share: float = 0.005, patience: int = 2
) -> str | None:
    """Why the last of ``records`` (rounds 0..r, keys ``loss`` and ``changed_share``) is where to stop, or None to go on.

    ``relative``: the loss changed by less than ``epsilon`` of itself, or fewer than ``min_changed_share`` of the ids
    changed, ``patience`` rounds running. ``absolute``: |L_r - L_(r-1)| < epsilon once, the paper's rule. ``max_rounds``: never.
    """
    if rule == "max_rounds" or len(records) < 2:
        return None
    changes = loss_changes(records, rule)
    if rule == "absolute":
        return f"the loss changed by {changes[-1]:.4f} < {epsilon:g}" if changes[-1] < epsilon else None
    if len(changes) < patience:
        return None
    if max(changes[-patience:]) < epsilon:
        return f"the loss changed by less than {epsilon:.1%} in {patience} rounds running"
    if max(record["changed_share"] for record in records[-patience:]) < min_changed_share:
        return f"fewer than {min_changed_share:.1%} of the ids changed in {patience} rounds running"
    return None


def stop_round(records: Records, *, rule: StopRule, epsilon: float, min_changed_share: float = 0.005) -> int | None:
    """The first round at which the rule would have stopped, or None when it would have gone on through all of them."""
    for last in range(1, len(records)):
        if stop_reason(records[: last + 1], rule=rule, epsilon=epsilon, min_changed_share=min_changed_share):
            return last
    return None


def loss_changes(records: Records, rule: StopRule) -> list[float]:
    """|L_r - L_(r-1)| for r = 1.., divided by |L_(r-1)| unless the rule is ``absolute``."""
    losses = [record["loss"] for record in records]
    changes = [abs(after - before) for before, after in pairwise(losses)]
    if rule == "absolute":
        return changes
    return [change / max(abs(before), 1e-12) for change, before in zip(changes, losses, strict=False)]


def warnings(records: Records) -> list[str]:
    """Signs that clustering is freezing mistakes, as sentences, judged at the last of ``records`` (rounds 0..r).

    A score has to fall by ``SMALLEST_FALL`` in its two rounds: less is what counting another 900 images would change.
    """
    found = [
        f"{title} fell two rounds running ({', '.join(f'{value:.3f}' for value in values)})"
        for title, key in (("held-out accuracy", "held_out_acc"), ("held-out NMI", "held_out_nmi"))
        if _falls(values := [record[key] for record in records[-3:] if record.get(key) is not None])
    ]
    last = records[-1]
    if last["cluster_size_ratio"] > 5:
        found.append(f"the largest cluster holds {last['cluster_size_ratio']:.1f} times as many images as the smallest")
    if last["nearest_centers"] < 0.5 * records[0]["nearest_centers"]:
        shrunk = last["nearest_centers"] / records[0]["nearest_centers"]
        found.append(f"the two nearest centers came {1 / max(shrunk, 1e-9):.1f} times closer than in round 0")
    return found


def _falls(values: list[float]) -> bool:
    return len(values) == 3 and values[0] > values[1] > values[2] and values[0] - values[2] > SMALLEST_FALL
