"""Every figure of a subspace run holds the numbers it was given, under names and axes that say what they are."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.figures import subspace as figures
from vitviz.figures.theme import CLUSTER_COLORS, UNKNOWN_COLOR

HOSTILE = '<a href="https://evil.example">click</a>'


def _curve(steps, values, role="main", name="seed 0", run="coil20"):
    return SimpleNamespace(name=name, run=run, steps=np.array(steps), values=np.array(values, float), role=role)


def _row(values=(0.5, -0.2), share=(0.5, 0.2), rest=0.3):
    return SimpleNamespace(values=np.array(values, float), share=np.array(share, float), rest=rest)


def _ring(*, partners=(1, 11), weights=(1.0, 0.4), angle_step=30.0, place=0):
    return SimpleNamespace(
        members=np.arange(12) * 10,
        place=place,
        partners=np.array(partners, int),
        weights=np.array(weights, float),
        angle_step=angle_step,
    )


def _steps(curves, **changes):
    given = {"title": "ACC", "marks": {}, "key": "acc", "at": None}
    return figures.step_curves(curves, **{**given, **changes})


def _axes(figure) -> tuple[str, str]:
    return figure.layout.xaxis.title.text, figure.layout.yaxis.title.text


# Steps


def test_curves_are_a_band_thin_seeds_and_the_run_itself():
    low, high = _curve([2, 4], [0.1, 0.2], "band_low", run=""), _curve([2, 4], [0.8, 0.9], "band_high", run="")
    seed, main = _curve([2, 4], [0.1, 0.9], "seed", "seed 1", "other"), _curve([2, 3, 4], [0.8, np.nan, 0.2])
    figure = _steps([low, high, seed, main], value_range=(0, 1))
    assert [trace.fill for trace in figure.data] == [None, "tonexty", None, None]
    assert [trace.showlegend for trace in figure.data] == [False, True, None, None]
    assert figure.data[1].y.tolist() == [0.8, 0.9] and figure.data[0].line.width == 0
    assert figure.data[3].x.tolist() == [2, 3, 4] and np.isnan(figure.data[3].y[1])
    assert figure.data[2].line.width < figure.data[3].line.width and figure.data[2].opacity < 1
    assert "run other" in figure.data[2].hovertemplate
    assert _axes(figure) == ("step of the fine-tuning", "ACC") and figure.layout.yaxis.range == (0, 1)
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_one_scored_step_is_drawn_as_a_mark():
    assert [trace.mode for trace in _steps([_curve([0], [0.5], "seed"), _curve([0], [0.5])]).data] == [
        "lines+markers",
        "lines+markers",
    ]


def test_every_rule_has_a_line_a_name_and_the_value_it_picks_and_the_oracle_is_told_apart():
    marks = {
        "fixed": {"step": 30, "acc": 0.9},
        "eigengap": {"step": 30, "acc": 0.9},
        "oracle": {"step": 41, "acc": None},
    }
    figure = _steps([_curve([30, 41], [0.9, 0.95])], marks=marks)
    assert [shape.x0 for shape in figure.layout.shapes] == [30, 30, 41]
    assert [shape.line.dash for shape in figure.layout.shapes] == [None, None, "dash"]
    assert figure.layout.shapes[2].line.color == UNKNOWN_COLOR
    notes = figure.layout.annotations
    assert [note.text for note in notes] == ["fixed", "eigengap", "oracle (uses labels)"]
    assert len({(note.x, note.yshift) for note in notes}) == 3, "names at one step stand above each other"
    assert [(*trace.x, *trace.y) for trace in figure.data[1:]] == [(30, 0.9), (30, 0.9)]
    assert len(_steps([], marks=marks, key="in_block_mass").data) == 0


def test_the_step_that_is_looked_at_is_marked_below_the_lines():
    (shape,) = _steps([_curve([1], [0.5])], at=7).layout.shapes
    assert (shape.x0, shape.x1, shape.layer) == (7, 7, "below")
    assert not _steps([_curve([1], [0.5])]).layout.shapes


def test_pretraining_is_a_line_over_epochs():
    figure = figures.pretraining(np.array([1, 2, 3]), np.array([9.0, 3.0, 1.0]))
    assert (figure.data[0].x.tolist(), figure.data[0].y.tolist()) == ([1, 2, 3], [9, 3, 1])
    assert figure.layout.yaxis.type == "log" and _axes(figure)[0] == "epoch of the pretraining"
    assert figures.pretraining(np.array([1]), np.array([2.0])).data[0].mode == "markers"


# One image


def test_a_row_is_signed_bars_and_the_rest_is_a_share_on_its_own_axis():
    figure = figures.coefficient_bars(_row(), names=["image 4", "image 9"])
    bars, rest = figure.data
    assert bars.y.tolist() == [0.5, -0.2] and bars.customdata.tolist() == [0.5, 0.2]
    assert bars.marker.color[0] != bars.marker.color[1]
    assert list(figure.layout.xaxis.ticktext) == ["image 4", "image 9"]
    assert (rest.y[0], rest.yaxis, rest.text[0]) == (0.3, "y2", "30%")
    assert figure.layout.yaxis2.range == (0, 1)
    assert figure.layout.xaxis.domain[1] < figure.layout.xaxis2.domain[0]


def test_a_row_of_nothing_is_drawn():
    bars, rest = figures.coefficient_bars(_row((), (), 0), names=[]).data
    assert len(bars.y) == 0 and rest.y[0] == 0


def test_the_ring_is_a_circle_clockwise_from_the_top():
    names = [f"image {place}" for place in range(12)]
    *chords, members, own = figures.ring(_ring(), names=names).data
    np.testing.assert_allclose(np.hypot(members.x, members.y), 1)
    np.testing.assert_allclose([members.x[0], members.y[0], members.x[3], members.y[3]], [0, 1, 1, 0], atol=1e-12)
    assert members.customdata.tolist() == list(range(0, 120, 10))
    assert (own.x[0], own.y[0], own.marker.symbol) == (members.x[0], members.y[0], "star")
    assert len(chords) == 2


def test_chords_lead_to_the_partners_wider_for_more():
    *chords, members, _ = figures.ring(_ring(), names=[""] * 12).data
    ends = {(round(chord.x[1], 6), round(chord.y[1], 6)): chord.line.width for chord in chords}
    first, last = ((round(members.x[place], 6), round(members.y[place], 6)) for place in (1, 11))
    assert ends.keys() == {first, last} and ends[first] > ends[last]
    assert all((chord.x[0], chord.y[0]) == (0, 1) and np.isnan(chord.x[2]) for chord in chords)


def test_members_say_how_far_they_are_turned_the_short_way_round():
    texts = figures.ring(_ring(place=1), names=[f"image {place}" for place in range(12)]).data[-2].text
    assert "image 0<br>turned by -30°" in texts[0] and "turned by +60°" in texts[3] and "turned by -60°" in texts[11]
    assert "100% of the largest" in texts[1] and "of the largest" not in texts[5]
    assert "turned" not in figures.ring(_ring(angle_step=None), names=["a"] * 12).data[-2].text[0]


def test_a_dense_row_needs_few_traces():
    ring = _ring(partners=np.arange(1, 12), weights=np.linspace(1, 0.01, 11))
    *chords, _, _ = figures.ring(ring, names=[""] * 12).data
    assert len(chords) <= 6 and sum(len(chord.x) // 3 for chord in chords) == 11
    assert len(figures.ring(_ring(partners=(), weights=()), names=[""] * 12).data) == 2


# Spectrum


def test_the_gap_after_k_is_shaded_and_measured():
    values = np.array([0, 0.1, 0.15, 0.6, 0.7])
    figure = figures.eigenvalues(values, num_clusters=3)
    assert (figure.data[0].x.tolist(), figure.data[0].y.tolist()) == ([1, 2, 3, 4, 5], values.tolist())
    (shape,) = figure.layout.shapes
    assert (shape.x0, shape.x1) == (3, 4)
    assert figure.layout.annotations[0].text == "gap after 3: 0.45"
    assert not figures.eigenvalues(values, num_clusters=5).layout.shapes, "the next one is not known"


def test_the_spectral_map_has_the_colours_of_the_labels():
    points, labels = np.arange(8.0).reshape(4, 2), np.array([1, 0, -1, 1])
    figure = figures.spectral_map(points, labels, names=["cluster 0", "cluster 1"], selected=3)
    cloud, star = figure.data
    assert cloud.type == "scattergl" and (cloud.x.tolist(), cloud.y.tolist()) == ([0, 2, 4, 6], [1, 3, 5, 7])
    assert list(cloud.marker.color) == [CLUSTER_COLORS[1], CLUSTER_COLORS[0], UNKNOWN_COLOR, CLUSTER_COLORS[1]]
    assert list(cloud.text) == ["cluster 1", "cluster 0", "unknown", "cluster 1"]
    assert cloud.customdata.tolist() == [0, 1, 2, 3]
    assert (star.x[0], star.y[0]) == (6, 7)
    assert len(figures.spectral_map(points, labels, names=["a", "b"]).data) == 1


# Gate and stages


def test_the_gate_is_bars_with_their_spread():
    figure = figures.gate_bars(SimpleNamespace(mean=np.array([0.5, 0.9]), spread=np.array([0.0, 0.1])))
    (bars,) = figure.data
    assert list(bars.x) == ["1", "2"] and bars.y.tolist() == [0.5, 0.9] and bars.error_y.array.tolist() == [0, 0.1]


@pytest.mark.parametrize("class_names", [["cat", "dog"], ["cat", "dog", "without images"]])
def test_the_gate_of_classes_is_a_heat_map(class_names):
    by_class = np.array([[0.5, 0.6, 0.7], [np.nan] * 3])
    (heat,) = figures.gate_heat(by_class, class_names=class_names).data
    assert np.array_equal(heat.z, by_class, equal_nan=True)
    assert (heat.zmin, heat.zmax) == (0, 1), "a dead gate must not look alive"
    assert (list(heat.y), list(heat.x)) == (["cat", "dog"], ["1", "2", "3"])


def test_stages_are_stacked_seconds():
    figure = figures.seconds_bars({"solve": 1.5, "cluster": 0.25})
    assert [(trace.name, *trace.x) for trace in figure.data] == [("solve 1.50 s", 1.5), ("cluster 0.25 s", 0.25)]
    assert figure.layout.barmode == "stack"


def test_no_name_from_outside_becomes_markup():
    drawn = [
        _steps([_curve([1], [0.5], name=HOSTILE)]),
        figures.coefficient_bars(_row(), names=[HOSTILE] * 2),
        figures.ring(_ring(), names=[HOSTILE] * 12),
        figures.spectral_map(np.zeros((1, 2)), np.array([0]), names=[HOSTILE]),
        figures.gate_heat(np.ones((1, 1)), class_names=[HOSTILE]),
        figures.seconds_bars({HOSTILE: 1.0}),
    ]
    for figure in drawn:
        content = json.dumps(json.loads(figure.to_json()))
        assert "&lt;a href" in content
        assert "<a " not in content
