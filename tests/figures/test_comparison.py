"""Every figure holds the numbers it was given; a row keeps its colour in all of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.figures import comparison as figures
from vitviz.figures.theme import CLUSTER_COLORS, cluster_colors

HOSTILE = '<a href="https://evil.example">click</a>'
NAMES = ["patches", "convolutions", "super tokens"]


def _row(score=None, scores=()):
    finished = [SimpleNamespace(name=f"run-s{seed}", seed=seed, score=score) for seed, score in enumerate(scores)]
    mean = float(np.mean(scores)) if len(scores) else None
    return SimpleNamespace(claim=SimpleNamespace(score=score), finished=finished, mean=mean)


def _line(y, role="mean", place=0, name="patches", run="table6-patch-s0"):
    y = np.asarray(y, float)
    return SimpleNamespace(name=name, place=place, run=run, role=role, x=np.arange(1, len(y) + 1), y=y)


def _claimed(tops=(78.44, None, 83.52), names=NAMES):
    rows = [_row(score) for score in tops]
    return figures.claimed_scores(rows, score="top-1", standard_errors=[0.5] * len(tops), names=names)


def _own(*scores, names=NAMES):
    rows = [_row(scores=one) for one in scores]
    return figures.own_scores(rows, score="top-1", images="held-out images", names=names)


def test_claims_are_drawn_with_their_standard_error_and_unknown_ones_are_not():
    figure = _claimed()
    assert [trace.x for trace in figure.data] == [(78.44,), (None,), (83.52,)]
    assert [trace.y for trace in figure.data] == [(name,) for name in NAMES]
    assert figure.data[0].error_x.array == (0.5,)
    assert figure.layout.xaxis.title.text == "top-1 in percent, the paper's claim"


def test_a_claim_whose_chance_is_not_known_has_no_whisker():
    figure = figures.claimed_scores([_row(93.68), _row()], score="ACC", names=NAMES[:2])
    assert [trace.x for trace in figure.data] == [(93.68,), (None,)]
    assert figure.data[0].error_x.array is None
    assert "standard error" not in figure.data[0].hovertemplate
    assert figure.layout.xaxis.title.text == "ACC in percent, the paper's claim"


def test_ours_are_one_dot_a_seed_and_a_stroke_at_their_mean():
    figure = _own([50.0, 52.0], [], [60.0])
    dots, mean, nothing, single = figure.data
    assert (dots.x, dots.y) == ((50, 52), ("patches", "patches"))
    assert (mean.x, mean.marker.symbol) == ((51,), "line-ns")
    assert nothing.x == ()
    assert single.x == (60,)
    assert "run run-s1, seed 1" in dots.text
    title = _own([50.0], names=NAMES[:1]).layout.xaxis.title.text
    assert title == "top-1 in percent, ours on held-out images"


def test_the_two_pictures_of_scores_have_the_same_rows_from_the_top_in_the_same_colours():
    ours = _own([50.0], [51.0], [52.0])
    claimed = _claimed()
    for figure in (ours, claimed):
        assert list(figure.layout.yaxis.categoryarray) == NAMES
        assert figure.layout.yaxis.range == (2.5, -0.5)
        assert [trace.marker.color for trace in figure.data] == list(CLUSTER_COLORS[:3])
    assert ours.layout.height == claimed.layout.height


def test_curves_are_thin_for_seeds_and_thick_for_the_mean_and_only_the_mean_is_in_the_legend():
    lines = [
        _line([10, 20], "seed"),
        _line([12, 24], "seed"),
        _line([11, 22]),
        _line([5, 6], place=2, name="super tokens"),
    ]
    figure = figures.learning_curves(lines, num_rows=3, against="epoch", title="held-out top-1, percent")
    first, second, mean, other = figure.data
    assert first.line.width == second.line.width < mean.line.width
    assert [trace.showlegend for trace in figure.data] == [False, False, True, True]
    assert first.legendgroup == second.legendgroup == mean.legendgroup != other.legendgroup
    assert {first.line.color, mean.line.color} == {CLUSTER_COLORS[0]} and other.line.color == CLUSTER_COLORS[2]
    assert mean.y.tolist() == [11, 22] and mean.x.tolist() == [1, 2]
    assert "epoch %{x}" in mean.hovertemplate and "table6-patch-s0" in mean.hovertemplate


@pytest.mark.parametrize(
    ("against", "title", "hover"),
    [
        ("epoch", "epoch", "epoch %{x}:"),
        ("step", "step", "step %{x}:"),
        ("seconds", "seconds of fine-tuning", "after %{x:,.1f} s:"),
    ],
)
def test_curves_say_what_they_run_over(against, title, hover):
    line = _line([1.0, 2.0])
    figure = figures.learning_curves([line], num_rows=1, against=against, phase="fine-tuning", title="loss")
    assert figure.data[0].hovertemplate.startswith(hover)
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == (title, "loss")


def test_chance_is_a_dotted_line_over_the_whole_width():
    lines = [_line([10, 20]), _line([10, 20, 30, 40], place=1)]
    chance = figures.learning_curves(lines, num_rows=2, against="epoch", title="", chance=12.5).data[-1]
    assert (chance.x, chance.y, chance.line.dash) == ((1, 4), (12.5, 12.5), "dot")


def test_one_epoch_is_drawn_as_a_mark_and_no_line_at_all_has_no_chance():
    assert (
        figures.learning_curves([_line([3.0])], num_rows=1, against="epoch", title="").data[0].mode == "lines+markers"
    )
    assert len(figures.learning_curves([], num_rows=0, against="epoch", title="", chance=10).data) == 0


def test_more_rows_than_fixed_colours_are_told_apart():
    lines = [_line([1, 2], place=place, name=str(place)) for place in range(14)]
    figure = figures.learning_curves(lines, num_rows=14, against="epoch", title="")
    assert [trace.line.color for trace in figure.data] == list(cluster_colors(14))


def test_throughput_is_a_share_of_the_first_with_the_exact_rate_behind_it():
    figure = figures.relative_throughput(
        ["t = 1", "t = 2"], measured=[8.0, 6.0], spreads=[0.4, 0.8], claimed=[766, 749]
    )
    ours, paper = figure.data
    np.testing.assert_allclose(ours.y, [1, 0.75])
    np.testing.assert_allclose(ours.error_y.array, [0.05, 0.1])
    assert list(ours.customdata) == [8.0, 6.0]
    np.testing.assert_allclose(paper.y, [1, 749 / 766])
    assert paper.error_y.array is None
    assert figure.layout.yaxis.rangemode == "tozero"


def test_no_name_from_outside_becomes_markup():
    drawn = [
        _claimed([50.0], [HOSTILE]),
        _own([50.0, 51.0], names=[HOSTILE]),
        figures.learning_curves([_line([1.0], name=HOSTILE, run=HOSTILE)], num_rows=1, against="epoch", title=""),
        figures.relative_throughput([HOSTILE], measured=[1.0], spreads=[0.1], claimed=[2.0]),
    ]
    for figure in drawn:
        content = json.dumps(json.loads(figure.to_json()))
        assert "&lt;a href" in content
        assert "<a " not in content
