"""A run while it grows: its curves from whatever records there are, its pace, and how long it may still take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitviz.runs.records import Job, Progress

LOSSES = {"loss": "loss", "held_out_loss": "held-out loss"}
SCORES = {
    "train_top1": "training top-1",
    "held_out_top1": "held-out top-1",
    "held_out_nmi": "held-out NMI",
    "held_out_acc": "held-out ACC",
    "nmi": "NMI, all images",
    "acc": "ACC, all images",
}
_ALL_IMAGES = ("nmi", "acc")

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class GrowingLine:
    """One value over the records: ``x`` (n,) their numbers, from 1; ``y`` (n,); of rounds alone, or of every epoch and step."""

    name: str
    x: np.ndarray
    y: np.ndarray
    is_rounds: bool


def growing_lines(records: Records, names: Mapping[str, str]) -> list[GrowingLine]:
    """A line for every key of ``names`` that records have a number for. An epoch's value is not mixed with a round's."""
    lines = []
    for is_rounds in (False, True):
        for key, name in names.items():
            if is_rounds and key in LOSSES:
                continue
            found = [
                (number, record[key])
                for number, record in enumerate(records, start=1)
                if (record["kind"] == "round") == is_rounds and record.get(key) is not None
            ]
            if found and not (is_rounds and any(line.name == name for line in lines)):
                x, y = zip(*found, strict=True)
                lines.append(GrowingLine(name, np.array(x), np.array(y, float), is_rounds))
    return _without_twins(lines, names)


def images_per_second(records: Records) -> float | None:
    """The pace of the last record that has one."""
    return next((r["images_per_second"] for r in reversed(records) if r.get("images_per_second")), None)


def seconds_left(job: Job, progress: Progress, heartbeat: float) -> float | None:
    """How long the records still due may take at the pace since this job began; None before there is one, or when none is due.

    Maps, which are drawn after the last record, are not in it.
    """
    done, due = progress.done - job.done_before, progress.total - progress.done
    if done <= 0 or due <= 0 or not job.started:
        return None
    return due * max(heartbeat - job.started, 0.0) / done


def _without_twins(lines: list[GrowingLine], names: Mapping[str, str]) -> list[GrowingLine]:
    """A method that scores all its images has held-out scores beside them that say the same: one of the two is enough."""
    everywhere = {names[key] for key in _ALL_IMAGES if key in names}
    if not any(line.name in everywhere for line in lines):
        return lines
    return [line for line in lines if "held-out" not in line.name]
