"""Figures of the attention page: every number is drawn, chance beside it, hostile names are text."""

from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.figures import attention as figures

HOSTILE = '<a href="http://x">cat</a>, second name'


@pytest.fixture
def found() -> SimpleNamespace:
    shares = np.linspace(0, 1, 5)

    def curve(level: float) -> SimpleNamespace:
        return SimpleNamespace(deletion=1 - shares * level, insertion=shares * level)

    return SimpleNamespace(shares=shares, own=curve(1), random=(curve(0.5), curve(0.6)), quantity="probability")


@pytest.fixture
def lens() -> SimpleNamespace:
    return SimpleNamespace(
        classes=np.array([[2, 0], [0, 2], [0, 1]]),
        probabilities=np.array([[0.5, 0.3], [0.6, 0.2], [0.9, 0.1]], np.float32),
        entropy_bits=np.array([1.5, 1.2, 0.4]),
        final_probabilities=np.array([0.3, 0.6, 0.9]),
    )


def test_this_map_stands_in_front_of_random_orders_in_both_tests(found):
    figure = figures.faithfulness(found)
    assert len(figure.data) == 6
    for start, part in ((0, "deletion"), (3, "insertion")):
        *random, own = figure.data[start : start + 3]
        assert np.array_equal(own.y, getattr(found.own, part)) and own.name == "this map"
        assert [np.array_equal(a.y, getattr(b, part)) for a, b in zip(random, found.random, strict=True)] == [
            True,
            True,
        ]
        assert {one.name for one in random} == {"random orders"} and own.line.width > random[0].line.width
    assert [one.name for one in figure.data if one.showlegend] == ["random orders", "this map"]
    assert figure.layout.yaxis.title.text == "probability"


def test_each_cell_of_the_lens_says_its_class_and_probability(lens):
    figure = figures.lens_table(lens, {0: "dog", 1: "fox", 2: HOSTILE})
    (table,) = figure.data
    assert np.array_equal(table.z, lens.probabilities)
    hostile = table.text[0][0]
    assert [list(row) for row in table.text] == [[hostile, "dog"], ["dog", hostile], ["dog", "fox"]]
    assert hostile.startswith("&lt;a href=") and "<" not in hostile and "second name" not in hostile
    assert (table.zmin, table.zmax) == (0, 1) and figure.layout.yaxis.autorange == "reversed"


def test_a_long_name_is_cut(lens):
    figure = figures.lens_table(lens, dict.fromkeys(range(3), "x" * 100))
    assert len(figure.data[0].text[0][0]) == 22


def test_the_curves_are_the_final_answer_s_probability_and_the_entropy(lens):
    probability, entropy = figures.lens_curves(lens, "dog").data
    assert np.array_equal(probability.y, lens.final_probabilities) and "dog" in probability.name
    assert np.array_equal(entropy.y, lens.entropy_bits) and entropy.yaxis == "y2"
