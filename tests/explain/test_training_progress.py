"""A run while it grows: lines from whatever records there are, the pace, and what is left."""

import numpy as np
import pytest

from vitviz.explain.training_progress import LOSSES, SCORES, growing_lines, images_per_second, seconds_left
from vitviz.runs.records import Job, Progress

RECORDS = [
    {"kind": "epoch", "index": 0, "loss": 2.0, "train_top1": 0.2, "images_per_second": 100.0},
    {"kind": "epoch", "index": 1, "loss": 1.0, "train_top1": 0.5, "images_per_second": 120.0},
    {"kind": "round", "index": 0, "loss": 9.0, "held_out_nmi": 0.4, "held_out_acc": None, "train_top1": 0.6},
    {"kind": "epoch", "index": 1000, "loss": 0.5, "train_top1": 0.7, "images_per_second": 110.0},
    {"kind": "round", "index": 1, "loss": 8.0, "held_out_nmi": 0.6},
]


def by_name(lines) -> dict:
    return {line.name: (line.x.tolist(), line.y.tolist(), line.is_rounds) for line in lines}


def test_the_loss_is_that_of_the_epochs():
    assert by_name(growing_lines(RECORDS, LOSSES)) == {"loss": ([1, 2, 4], [2.0, 1.0, 0.5], False)}


def test_scores_of_epochs_are_not_mixed_with_those_of_rounds():
    assert by_name(growing_lines(RECORDS, SCORES)) == {
        "training top-1": ([1, 2, 4], [0.2, 0.5, 0.7], False),
        "held-out NMI": ([3, 5], [0.4, 0.6], True),
    }


def test_of_a_method_that_scores_all_images_the_held_out_twins_are_left_out():
    records = [{"kind": "step", "index": 0, "loss": 1.0, "nmi": 0.3, "acc": 0.2, "held_out_nmi": 0.31}]
    assert set(by_name(growing_lines(records, SCORES))) == {"NMI, all images", "ACC, all images"}


def test_without_records_there_is_no_line_and_no_pace():
    assert growing_lines([], SCORES) == [] and images_per_second([]) is None
    assert images_per_second(RECORDS) == 110.0


@pytest.mark.parametrize(
    ("done", "total", "left"), [(10, 61, None), (15, 61, 46 * 2.0), (61, 61, None), (5, 61, None)], ids=str
)
def test_what_is_left_is_told_at_the_pace_since_the_job_began(done, total, left):
    job = Job(arguments=(), asked=0.0, started=100.0, done_before=10)
    assert seconds_left(job, Progress(done=done, total=total), 110.0) == left


def test_lines_are_arrays():
    line = growing_lines(RECORDS, LOSSES)[0]
    assert isinstance(line.x, np.ndarray) and line.y.dtype == float
