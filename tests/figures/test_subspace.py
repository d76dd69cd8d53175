"""Every figure of a subspace run holds the numbers it was given, under names and axes that say what they are."""

import json
from types import SimpleNamespace

import numpy as np

from vitviz.figures import subspace as figures
from vitviz.figures.theme import CLUSTER_COLORS, UNKNOWN_COLOR

HOSTILE = '<a href="https://evil.example">click</a>'


def _curve(steps, values, role="main", name="seed 0", run="coil20"):
    return SimpleNamespace(name=name, run=run, steps=np.array(steps), values=np.array(values, float), role=role)


def _steps(curves, **changes):
    given = {"title": "ACC", "marks": {}, "key": "acc", "at": None}
    return figures.step_curves(curves, **{**given, **changes})


def _axes(figure) -> tuple[str, str]:
    return figure.layout.xaxis.title.text, figure.layout.yaxis.title.text


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


def test_the_gap_after_k_is_shaded_and_measured():
    values = np.array([0, 0.1, 0.15, 0.6, 0.7])
    figure = figures.eigenvalues(values, num_clusters=3)
    assert (figure.data[0].x.tolist(), figure.data[0].y.tolist()) == ([1, 2, 3, 4, 5], values.tolist())
    (shape,) = figure.layout.shapes
    assert (shape.x0, shape.x1) == (3, 4)
    (note,) = figure.layout.annotations
    assert (note.text, note.x, note.xanchor) == ("gap after 3: 0.45", 3, "right")
    (note,) = figures.eigenvalues(values, num_clusters=1).layout.annotations
    assert (note.x, note.xanchor) == (2, "left"), "there is no room left of the first"
    assert figure.layout.xaxis.range == (0.5, 5.5), "there is no eigenvalue 0"
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
    numbered = figures.spectral_map(points, labels, names=["a", "b"], numbers=np.array([9, 8, 7, 6]))
    assert numbered.data[0].customdata.tolist() == [9, 8, 7, 6]
    assert len(figures.spectral_map(points, labels, names=["a", "b"]).data) == 1


def test_stages_are_stacked_seconds():
    figure = figures.seconds_bars({"solve": 1.5, "cluster": 0.25})
    assert [(trace.name, *trace.x) for trace in figure.data] == [("solve 1.50 s", 1.5), ("cluster 0.25 s", 0.25)]
    assert figure.layout.barmode == "stack"


def test_no_name_from_outside_becomes_markup():
    drawn = [
        _steps([_curve([1], [0.5], name=HOSTILE)]),
        figures.spectral_map(np.zeros((1, 2)), np.array([0]), names=[HOSTILE]),
        figures.seconds_bars({HOSTILE: 1.0}),
    ]
    for figure in drawn:
        content = json.dumps(json.loads(figure.to_json()))
        assert "&lt;a href" in content
        assert "<a " not in content
