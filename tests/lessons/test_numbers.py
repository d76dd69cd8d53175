"""Every number that a lesson says of a run is that run's."""

import re
from functools import cache

import numpy as np
import pytest

from vitviz.explain.deep_clustering import find_movers
from vitviz.explain.film_strip import film_of, looks_of
from vitviz.lessons.reading import find_lesson
from vitviz.runs.folder import find_run
from vitviz.training.setup import load_shown_images

NINE = 1658
"""The image that lesson 7 follows."""


@cache
def records(run: str) -> list[dict]:
    return find_run(run).round_metrics()


@cache
def movers(run: str, kind: str) -> int:
    return int((find_movers(find_run(run), 0, 6, "held out").kinds == kind).sum())


@cache
def films(run: str):
    return film_of(find_run(run), NINE)


@cache
def looks():
    run = find_run("digits-supertoken")
    pixels = load_shown_images(run)[run.samples().indices[NINE]]
    return looks_of(run, np.arange(7), np.asarray(pixels))


def right_at(run: str, index: int) -> int:
    samples, labels = find_run(run).samples(), find_run(run).round(index).matched_labels
    return int((np.asarray(labels) == samples.classes)[samples.held_out].sum())


def three(value: float) -> str:
    return f"{value:.3f}".lstrip("0")


def two(value: float) -> str:
    return f"{value:.2f}".lstrip("0")


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
    ("7-one-nine", 1): lambda: [f"{right_at('digits-supertoken', 0)} of 899"],
    ("7-one-nine", 2): lambda: [
        f"{100 * films('digits-supertoken').kin[2]:.0f}\N{NO-BREAK SPACE}%",
        *(two(films("digits-supertoken").margins[index]) for index in (0, 6)),
    ],
    ("7-one-nine", 3): lambda: [
        two(films(run).margins[6]) for run in ("digits-supertoken", "digits-supertoken-control")
    ],
    ("7-one-nine", 5): lambda: [
        f"{100 * (looks().supertokens[6] != looks().supertokens[0]).mean():.0f}\N{NO-BREAK SPACE}%"
    ],
    ("7-one-nine", 6): lambda: [
        three(looks().attention[:4].max(axis=(1, 2)).min()),
        three(looks().attention[4:].max(axis=(1, 2)).max()),
    ],
    ("7-one-nine", 7): lambda: [
        f"{movers('digits-supertoken', 'repaired')} repaired",
        f"{movers('digits-supertoken', 'broken')} broken",
        f"{movers('digits-supertoken-control', 'repaired')} repaired",
        f"{movers('digits-supertoken-control', 'broken')} broken",
        two(records("digits-supertoken")[0]["held_out_acc"]),
    ],
    ("5-affinity", 6): lambda: [
        three(record["acc"]) for record in records("digits-subspace-steps") if record["step"] in (10, 60)
    ],
}


def test_the_nine_of_lesson_7_goes_where_it_is_said_to_go():
    assert films("digits-supertoken").clusters.tolist() == [9, 9, 3, 3, 9, 9, 9]
    assert films("digits-supertoken-control").clusters.tolist() == [9, 9, 3, 8, 9, 9, 9]
    samples = find_run("digits-supertoken").samples()
    assert samples.classes[NINE] == 9 and samples.held_out[NINE]


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
