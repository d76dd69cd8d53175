"""Every number that a lesson says of a run is that run's."""

import re
from functools import cache

import numpy as np
import pytest

from vitviz.explain.deep_clustering import confusion, find_movers, find_other_seeds
from vitviz.explain.film_strip import film_of, looks_of
from vitviz.explain.seed_stability import stability
from vitviz.lessons.reading import find_lesson
from vitviz.runs.folder import Run, find_run, list_runs
from vitviz.training.setup import load_shown_images

NINE = 1658
"""The image that lesson 7 follows."""


@cache
def records(run: str) -> list[dict]:
    return find_run(run).round_metrics()


@cache
def movers(run: str, kind: str) -> int:
    last = find_run(run).num_rounds() - 1
    return int((find_movers(find_run(run), 0, last, "held out").kinds == kind).sum())


@cache
def films(run: str):
    return film_of(find_run(run), NINE)


@cache
def looks():
    run = find_run("digits-supertoken")
    pixels = load_shown_images(run)[run.samples().indices[NINE]]
    return looks_of(run, np.arange(7), np.asarray(pixels))


@cache
def seeds() -> list[Run]:
    """The runs of CIFAR-10 that differ in the seed alone: 0, 1, 2."""
    run = find_run("cifar10-laptop")
    found = [run, *find_other_seeds(run, list_runs())]
    return sorted(found, key=lambda one: one.description().seed)


def ends(key: str) -> list[float]:
    return [run.round_metrics()[5][key] for run in seeds()]


@cache
def company() -> np.ndarray:
    """The agreement of seeds over all images of CIFAR-10: (R, N)."""
    return stability(seeds()[0], seeds()[1:])


def company_of(index: int, class_name: str | None = None) -> float:
    run = seeds()[0]
    samples, names = run.samples(), run.description().class_names
    chosen = samples.held_out & ((class_name is None) | (samples.classes == names.index(class_name or names[0])))
    return float(company()[index][chosen].mean())


@cache
def mixed(of: str, into: str) -> int:
    """Held-out images of a class in the cluster of another, after the last round of CIFAR-10."""
    names = seeds()[0].description().class_names
    return int(confusion(seeds()[0], 5, "held out")[names.index(of), names.index(into)])


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
    ("8-three-seeds", 1): lambda: [
        three(records("cifar10-laptop")[0]["held_out_nmi"]),
        f"{mixed('cat', 'dog')} lie",
        f"{mixed('dog', 'cat')} dogs",
    ],
    ("8-three-seeds", 2): lambda: [f"{mixed('cat', 'cat')} of the cats"],
    ("8-three-seeds", 3): lambda: [
        *(three(records("cifar10-laptop")[index]["held_out_nmi"]) for index in (0, 5)),
        three(records("cifar10-laptop-control")[5]["held_out_nmi"]),
    ],
    ("8-three-seeds", 4): lambda: [
        f"from {three(min(ends('held_out_nmi')))} to {three(max(ends('held_out_nmi')))}",
        f"{three(ends('held_out_nmi')[0] - records('cifar10-laptop-control')[5]['held_out_nmi'])} above",
        f"{three(max(ends('held_out_nmi')) - min(ends('held_out_nmi')))} apart",
    ],
    ("8-three-seeds", 5): lambda: [
        *(three(records("cifar10-laptop")[index]["within_share"]) for index in (0, 5)),
        f"stays at {three(records('cifar10-laptop-control')[5]['within_share'])}",
        " and ".join(map(three, ends("within_share")[1:])),
        " to ".join(three(records("cifar10-laptop")[index]["reconstruction_error"]) for index in (0, 5)),
    ],
    ("8-three-seeds", 6): lambda: [
        *(f"{three(company_of(index))} in round {index}" for index in (0, 5)),
        f"Cats, with {three(company_of(5, 'cat'))}",
        f"best, with {three(company_of(5, 'automobile'))}",
    ],
    ("8-three-seeds", 7): lambda: [
        f"{movers('cifar10-laptop', 'repaired')} held-out",
        f"{movers('cifar10-laptop', 'broken')} broken",
        f"{movers('cifar10-laptop-control', 'repaired')} and {movers('cifar10-laptop-control', 'broken')}",
    ],
    ("8-three-seeds", 8): lambda: [
        three(records("cifar10-laptop-supertoken")[5]["held_out_nmi"]),
        f"{three(records('cifar10-laptop-supertoken')[5]['held_out_nmi'] - max(ends('held_out_nmi')))} above the best",
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


def test_the_seeds_of_lesson_8_bear_out_what_its_answers_rest_on():
    table = confusion(seeds()[0], 5, "held out")
    apart = table - np.diag(np.diag(table))
    names = seeds()[0].description().class_names
    assert len(seeds()) == 3
    assert np.unravel_index(apart.argmax(), apart.shape) == (names.index("dog"), names.index("cat"))
    by_class = {name: company_of(5, name) for name in names}
    assert min(by_class, key=by_class.get) == "cat" and max(by_class, key=by_class.get) == "automobile"
    control = records("cifar10-laptop-control")[5]["held_out_nmi"]
    assert abs(ends("held_out_nmi")[0] - control) < max(ends("held_out_nmi")) - min(ends("held_out_nmi"))
    gained = [movers(run, "repaired") - movers(run, "broken") for run in ("cifar10-laptop", "cifar10-laptop-control")]
    assert gained[0] <= gained[1]


@pytest.mark.parametrize(("name", "number"), SAID, ids=lambda value: str(value))
def test_a_number_in_a_lesson_is_the_one_of_its_run(name, number):
    step = find_lesson(name).steps[number - 1]
    said, korean = (_words(step, language) for language in ("en", "ko"))
    for value in SAID[name, number]():
        assert value in said, value
        assert (
            re.sub(r"[a-z -]*", "", value) in re.sub(r"[^\d.]+", "", korean)
            or re.findall(r"[\d.]+", value)[0] in korean
        )


def _words(step, language: str) -> str:
    asked = step.question
    more = [] if asked is None else [asked.ask[language], *asked.choices[language], asked.reveal[language]]
    return " ".join([step.text[language], *more])
