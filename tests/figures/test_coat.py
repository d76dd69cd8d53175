"""Figures of a clustered CoaT: what was given is what is drawn, and the axes say what it is."""

from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.explain.coat_costs import CORES, PARTS
from vitviz.explain.coat_errors import METHODS
from vitviz.figures import coat as figures


@pytest.fixture
def errors() -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            method=method,
            setting=f"{knob} = {value}",
            prototypes=10.0 * value,
            softmax=0.5 / value,
            factorised=0.25 / value,
            softmax_macs=1000 * value,
            factorised_macs=100 * value,
        )
        for method, knob in (("sign", "b"), ("e2lsh", "r"))
        for value in (1, 2)
    ]


def test_every_part_and_every_core_has_a_colour_and_every_method_one_of_its_own():
    every = figures.mac_bars({"all": dict.fromkeys(PARTS, 1)}, size="1 px")
    assert len(every.data) == len(PARTS) == len({bar.marker.color for bar in every.data})
    lines = figures.core_lines([1, 2], {kind: np.ones(2) for kind in CORES}, num_tokens=2)
    assert len(lines.data) == len(CORES) == len({line.name for line in lines.data})
    points = [SimpleNamespace(method=m, setting="", prototypes=1, softmax=1, softmax_macs=1) for m in METHODS]
    assert {line.name for line in figures.quality_cost(points, kind="softmax").data} == set(METHODS)


def test_parts_are_stacked_to_the_whole_and_say_their_share():
    costs = {"one": {"MLP": 3_000_000, "qkv": 1_000_000}, "<b>two": {"MLP": 2_000_000, "A V": 2_000_000}}
    figure = figures.mac_bars(costs, size="224 x 224 px")
    assert figure.layout.barmode == "stack" and "224 x 224 px" in figure.layout.xaxis.title.text
    assert [bar.name for bar in figure.data] == ["MLP", "qkv", "AV"]
    assert np.array([bar.x for bar in figure.data]).sum(axis=0).tolist() == [4, 4]
    assert list(figure.data[0].y) == ["one", "&lt;b&gt;two"] and list(figure.data[0].customdata) == [0.75, 0.5]


def test_a_part_keeps_its_colour_whatever_else_is_shown():
    alone, among = (figures.mac_bars({"m": parts}, size="1 px") for parts in ({"A V": 5}, {"MLP": 1, "A V": 5}))
    assert alone.data[0].marker.color == among.data[1].marker.color


def test_lines_of_the_cores_and_where_the_picture_is():
    figure = figures.core_lines([1, 10, 100], {"softmax": np.array([1, 2, 3])}, num_tokens=3136, current=50)
    assert list(figure.data[0].x) == [1, 10, 100] and list(figure.data[0].y) == [1, 2, 3]
    assert "of 3,136 tokens" in figure.layout.xaxis.title.text and "multiply-adds" in figure.layout.yaxis.title.text
    assert [shape.x0 for shape in figure.layout.shapes] == [50]
    assert not figures.core_lines([1], {"softmax": np.ones(1)}, num_tokens=9).layout.shapes


def test_times_are_drawn_from_zero_with_what_clustering_took():
    cores = [
        SimpleNamespace(kind="full softmax", milliseconds=100.0, clustering_ms=0.0, num_runs=1),
        SimpleNamespace(kind="softmax", milliseconds=5.0, clustering_ms=2.0, num_runs=9),
    ]
    figure = figures.core_times(cores, about="3,137 tokens, 1 thread")
    assert [bar.x[0] for bar in figure.data] == [100, 5]
    assert figure.layout.xaxis.type != "log" and "3,137 tokens, 1 thread" in figure.layout.xaxis.title.text
    assert "clustering" not in figure.data[0].hovertemplate and "of which 2 ms" in figure.data[1].hovertemplate


def test_errors_stand_in_pairs_one_of_each_kind(errors):
    figure = figures.error_bars(errors[::2])
    softmax, factorised = figure.data
    assert list(softmax.y) == list(factorised.y) == ["sign", "e2lsh"]
    assert list(softmax.x) == [0.5, 0.5] and list(factorised.x) == [0.25, 0.25]
    assert figure.layout.barmode == "group" and "exact" in figure.layout.xaxis.title.text


def test_counts_are_all_there_and_this_picture_is_marked():
    figure = figures.counts_histogram(np.array([5.0, 6.5, 9.0]), block="stage 1, block 2", num_tokens=64, current=6.5)
    assert list(figure.data[0].x) == [5, 6.5, 9] and [shape.x0 for shape in figure.layout.shapes] == [6.5]
    assert "stage 1, block 2, of 64 tokens" in figure.layout.xaxis.title.text


@pytest.mark.parametrize(("kind", "factor"), [("softmax", 1000), ("factorised", 100)])
def test_quality_is_drawn_over_cost_or_over_prototypes_a_line_a_method(errors, kind, factor):
    figure = figures.quality_cost(errors, kind=kind)
    assert {line.name: list(line.x) for line in figure.data} == {
        "e2lsh": [factor, 2 * factor],
        "sign": [factor, 2 * factor],
    }
    assert {line.name: list(line.text) for line in figure.data}["sign"] == ["b = 1", "b = 2"]
    by_prototypes = figures.quality_cost(errors, kind=kind, against="prototypes")
    assert list(by_prototypes.data[0].x) == [10, 20] and "prototypes" in by_prototypes.layout.xaxis.title.text
    assert list(by_prototypes.data[0].y) == [getattr(one, kind) for one in errors[2:]]
