"""Every number that a lesson says of a run is that run's."""

import re
from functools import cache

import pytest

from vitviz.explain.deep_clustering import find_movers
from vitviz.lessons.reading import find_lesson
from vitviz.runs.folder import find_run


@cache
def records(run: str) -> list[dict]:
    return find_run(run).round_metrics()


@cache
def movers(run: str, kind: str) -> int:
    return int((find_movers(find_run(run), 0, 6, "held out").kinds == kind).sum())


def three(value: float) -> str:
    return f"{value:.3f}".lstrip("0")


SAID = {
    ("1-feedback", 2): lambda: [f"{movers('digits', 'repaired')} held-out", f"{movers('digits', 'broken')} are broken"],
    ("1-feedback", 4): lambda: [
        *(three(records("digits")[index]["within_share"]) for index in (0, 6)),
        three(records("digits-control")[6]["within_share"]),
        *(three(records("digits")[index]["held_out_nmi"]) for index in (0, 6)),
        three(records("digits-control")[6]["held_out_nmi"]),
    ],
    ("1-feedback", 6): lambda: [
        f"{movers('digits-control', 'repaired')} repaired",
        f"{movers('digits-control', 'broken')} broken",
    ],
    ("1-feedback", 7): lambda: [f"{records('digits')[index]['reconstruction_error']:.4f}"[1:] for index in (0, 6)],
    ("2-frozen-mistakes", 1): lambda: [
        three(records("digits-half-trained")[index]["held_out_nmi"]) for index in (0, 6)
    ],
    ("2-frozen-mistakes", 3): lambda: [
        three(records("digits-half-trained")[6]["within_share"]),
        three(records("digits-half-trained-control")[6]["held_out_nmi"]),
        f"{records('digits-half-trained')[2]['cluster_size_ratio']:.0f} times",
        f"{records('digits-half-trained')[0]['nearest_centers'] / records('digits-half-trained')[6]['nearest_centers']:.1f}",
    ],
    ("2-frozen-mistakes", 5): lambda: [
        f"{movers('digits-half-trained', 'broken')} held-out images broken",
        f"{movers('digits-half-trained', 'repaired')} repaired",
        f"{movers('digits', 'broken')} and {movers('digits', 'repaired')}",
    ],
    ("2-frozen-mistakes", 6): lambda: [three(records("digits-half-trained-control")[6]["held_out_nmi"])],
    ("5-affinity", 6): lambda: [
        three(record["acc"]) for record in records("digits-subspace-steps") if record["step"] in (10, 60)
    ],
}


@pytest.mark.parametrize(("name", "number"), SAID, ids=lambda value: str(value))
def test_a_number_in_a_lesson_is_the_one_of_its_run(name, number):
    step = find_lesson(name).steps[number - 1]
    said = " ".join(
        [step.text["en"], step.question.reveal["en"], step.question.ask["en"]] if step.question else [step.text["en"]]
    )
    korean = " ".join(
        [step.text["ko"], step.question.reveal["ko"], step.question.ask["ko"]] if step.question else [step.text["ko"]]
    )
    for value in SAID[name, number]():
        assert value in said, value
        assert (
            re.sub(r"[a-z -]*", "", value) in re.sub(r"[^\d.]+", "", korean)
            or re.findall(r"[\d.]+", value)[0] in korean
        )
