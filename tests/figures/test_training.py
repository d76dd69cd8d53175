"""The figures of a run that grows."""

from types import SimpleNamespace

import numpy as np

from vitviz.figures.training import growing


def line(name: str, number: int, *, is_rounds: bool = False) -> SimpleNamespace:
    return SimpleNamespace(name=name, x=np.arange(1, number + 1), y=np.linspace(0, 1, number), is_rounds=is_rounds)


def test_every_value_is_a_line_and_those_of_rounds_have_dots():
    figure = growing([line("loss", 5), line("NMI", 2, is_rounds=True)], title="t", total=20)
    assert [trace.mode for trace in figure.data] == ["lines", "lines+markers"]
    assert list(figure.layout.xaxis.range) == [0.5, 20.5] and figure.layout.yaxis.title.text == "t"


def test_a_single_value_can_be_seen_and_a_longer_run_than_planned_fits():
    figure = growing([line("loss", 1)], title="t", total=0, value_range=(0, 1))
    assert figure.data[0].mode == "lines+markers"
    assert list(figure.layout.xaxis.range) == [0.5, 1.5] and list(figure.layout.yaxis.range) == [0, 1]
    assert growing([], title="t", total=3).data == ()


def test_names_are_taken_literally():
    figure = growing([line("<a href='x'>y</a>", 2)], title="t", total=2)
    assert "<a" not in figure.data[0].name
