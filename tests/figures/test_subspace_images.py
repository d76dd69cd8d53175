"""Every figure of one image of a subspace run holds the numbers it was given, under names and axes that say what they are."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.figures import subspace_images as figures

HOSTILE = '<a href="https://evil.example">click</a>'


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


def _axes(figure) -> tuple[str, str]:
    return figure.layout.xaxis.title.text, figure.layout.yaxis.title.text


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


def test_long_class_names_are_cut_on_the_axis_and_stay_apart():
    names = ["a class of the same beginning, " + end for end in ("one", "two")]
    figure = figures.gate_heat(np.ones((2, 1)), class_names=names)
    assert list(figure.data[0].y) == names == list(figure.layout.yaxis.tickvals)
    assert list(figure.layout.yaxis.ticktext) == ["a class of the sa…"] * 2


def test_no_name_from_outside_becomes_markup():
    drawn = [
        figures.coefficient_bars(_row(), names=[HOSTILE] * 2),
        figures.ring(_ring(), names=[HOSTILE] * 12),
        figures.gate_heat(np.ones((1, 1)), class_names=[HOSTILE]),
    ]
    for figure in drawn:
        content = json.dumps(json.loads(figure.to_json()))
        assert "&lt;a href" in content
        assert "<a " not in content
