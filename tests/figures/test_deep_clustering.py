"""Every figure holds the numbers it was given, under names and axes that say what they are."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.figures import deep_clustering as figures
from vitviz.figures.theme import CLUSTER_COLORS, cluster_colors

HOSTILE = '<a href="https://evil.example">click</a>'


def _line(values, role="main", name="held-out images", run="digits"):
    return SimpleNamespace(name=name, run=run, values=np.asarray(values, float), role=role)


def _inspection(losses, *, relative=True, stops_at=None):
    losses = np.asarray(losses, float)
    changes = np.abs(np.diff(losses)) / (np.abs(losses[:-1]) if relative else 1)
    return SimpleNamespace(losses=losses, changes=changes, stops_at=stops_at, relative=relative)


def _axes(figure) -> tuple[str, str]:
    return figure.layout.xaxis.title.text, figure.layout.yaxis.title.text


def _is_transparent(figure) -> bool:
    return figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_curves_hold_their_values_names_and_axes():
    lines = [_line([0.1, 0.5, 0.4]), _line([0.2, 0.3], "control", "held-out images, α = 0", "digits-control")]
    figure = figures.curves(lines, title="NMI against classes", value_range=(0, 1.02))
    assert [trace.name for trace in figure.data] == ["held-out images", "held-out images, α = 0"]
    assert figure.data[0].y.tolist() == [0.1, 0.5, 0.4]
    assert figure.data[1].x.tolist() == [0, 1]
    assert "run digits-control" in figure.data[1].hovertemplate
    assert _axes(figure) == ("round", "NMI against classes")
    assert figure.layout.yaxis.range == (0, 1.02)
    assert _is_transparent(figure)


def test_roles_look_different_and_seeds_stay_in_the_background():
    roles = ("main", "second", "control", "random", "seed")
    figure = figures.curves([_line([0.1, 0.2], role) for role in roles], title="NMI")
    looks = {(trace.line.color, trace.line.width, trace.line.dash) for trace in figure.data}
    assert len(looks) == len(roles)
    assert figure.data[4].opacity < 1


def test_one_round_is_drawn_as_a_mark_in_every_role():
    figure = figures.curves([_line([0.4], role) for role in ("main", "second", "random")], title="NMI")
    assert {trace.mode for trace in figure.data} == {"lines+markers"}


def test_an_undefined_score_stays_a_gap():
    figure = figures.curves([_line([0.1, np.nan, 0.3])], title="NMI")
    assert np.isnan(figure.data[0].y[1])


@pytest.mark.parametrize("lines", [[], [_line([])], [_line([np.nan, np.nan])]], ids=["none", "empty", "gaps"])
def test_curves_of_nothing_still_have_their_axes(lines):
    figure = figures.curves(lines, title="NMI")
    assert len(figure.data) == len(lines)
    assert _axes(figure) == ("round", "NMI")


def test_every_round_has_a_tick_until_there_are_many():
    assert figures.curves([_line(np.zeros(16))], title="").layout.xaxis.dtick == 1
    assert figures.curves([_line(np.zeros(17))], title="").layout.xaxis.dtick is None
    assert figures.curves([_line(np.zeros(3), "seed"), _line(np.zeros(17))], title="").layout.xaxis.dtick is None


def test_the_stop_figure_shows_each_change_and_colours_those_below_epsilon():
    figure = figures.loss_and_stop(_inspection([1.0, 0.5, 0.49], stops_at=2), epsilon=0.1)
    (bars,) = figure.data
    np.testing.assert_allclose(bars.y, [0.5, 0.02])
    assert bars.x.tolist() == [1, 2]
    assert bars.marker.color[0] != bars.marker.color[1] == CLUSTER_COLORS[0]
    level, stop = figure.layout.shapes
    assert (level.y0, stop.x0) == (0.1, 2.5)
    (label,) = figure.layout.annotations
    assert (label.text, label.y) == ("ε = 0.1", -1), "an annotation of a logarithmic axis stands at the logarithm"
    assert _axes(figure) == ("round", "relative change of L")


def test_the_stop_figure_of_the_absolute_rule_says_so_and_has_no_line_where_nothing_stops():
    figure = figures.loss_and_stop(_inspection([2.0, 1.0], relative=False), epsilon=0.1)
    assert _axes(figure)[1] == "change of L"
    assert len(figure.layout.shapes) == 1


def test_epsilon_and_all_changes_lie_inside_the_stop_figure():
    figure = figures.loss_and_stop(_inspection([1.0, 0.2, 0.199]), epsilon=0.001)
    low, high = 10 ** np.array(figure.layout.yaxis.range)
    assert low < 0.001 < 0.8 < high
    assert figure.layout.yaxis.tickvals == (0.001, 0.01, 0.1, 1.0)


def test_a_stop_figure_of_few_decades_has_ticks_in_between():
    figure = figures.loss_and_stop(_inspection([1.0, 0.7, 0.6]), epsilon=0.05)
    assert figure.layout.yaxis.tickvals == (0.05, 0.1, 0.2, 0.5)


def test_epsilon_is_named_beside_the_bars_which_alone_have_ticks():
    figure = figures.loss_and_stop(_inspection([1.0, 0.5, 0.4, 0.3]), epsilon=0.1)
    assert list(figure.layout.xaxis.tickvals) == [1, 2, 3]
    assert figure.layout.xaxis.range[1] > 4
    assert (figure.layout.annotations[0].x, figure.layout.annotations[0].xanchor) == (1, "right")


def test_a_long_stop_figure_leaves_its_ticks_to_plotly():
    assert figures.loss_and_stop(_inspection(np.geomspace(1, 0.1, 40)), epsilon=0.1).layout.xaxis.tickvals is None


@pytest.mark.parametrize(
    "losses", [[1.0], [], [1.0, 1.0, 1.0], [1.0, np.nan, 0.9]], ids=["one", "none", "still", "undefined"]
)
def test_the_stop_figure_bears_few_still_and_undefined_losses(losses):
    figure = figures.loss_and_stop(_inspection(losses), epsilon=0.05)
    low, high = figure.layout.yaxis.range
    assert np.isfinite([low, high]).all() and low < np.log10(0.05) < high


def test_sizes_are_stacked_bars_in_the_clusters_own_colours():
    sizes = np.array([[3, 1], [2, 2], [0, 4]])
    figure = figures.cluster_sizes(sizes, names=["cluster 0 (cat)", "cluster 1"])
    assert [trace.y.tolist() for trace in figure.data] == [[3, 2, 0], [1, 2, 4]]
    assert [trace.name for trace in figure.data] == ["cluster 0 (cat)", "cluster 1"]
    assert [trace.marker.color for trace in figure.data] == list(CLUSTER_COLORS[:2])
    assert figure.layout.barmode == "stack"
    assert figure.layout.legend.traceorder == "normal"
    assert _axes(figure) == ("round", "images")


def test_a_legend_of_many_clusters_is_left_out():
    def shows_legend(num: int) -> bool:
        names = [str(index) for index in range(num)]
        return figures.cluster_sizes(np.ones((2, num), int), names=names).layout.showlegend

    assert (shows_legend(12), shows_legend(13)) == (True, False)


def test_confusion_is_the_share_of_each_class_with_the_counts_written_in():
    counts = np.array([[3, 1], [0, 0], [0, 5]])
    figure = figures.confusion(counts, class_names=["cat", "cow", "dog"], cluster_names=["0 cat", "1 dog"])
    (heat,) = figure.data
    assert heat.z.tolist() == [[0.75, 0.25], [0, 0], [0, 1]]
    assert heat.text.tolist() == [["3", "1"], ["", ""], ["", "5"]]
    assert (heat.zmin, heat.zmax) == (0, 1)
    assert _axes(figure) == ("cluster (matched)", "class")
    assert figure.layout.yaxis.autorange == "reversed"


def test_a_large_confusion_matrix_is_drawn_without_numbers():
    names = [str(index) for index in range(30)]
    (heat,) = figures.confusion(np.eye(30, dtype=int), class_names=names, cluster_names=names).data
    assert (heat.text, heat.texttemplate) == (None, None)


def test_an_empty_confusion_matrix_is_drawn():
    (heat,) = figures.confusion(np.zeros((0, 3), int), class_names=[], cluster_names=["0", "1", "2"]).data
    assert np.asarray(heat.z).shape == (0, 3)


def test_moves_are_counted_by_kind():
    kinds = np.array(["moved", "repaired", "broken", "repaired"])
    figure = figures.moves(kinds)
    assert [(trace.name, *trace.x) for trace in figure.data] == [("repaired 2", 2), ("broken 1", 1), ("moved 1", 1)]
    assert len({trace.marker.color for trace in figure.data}) == 3
    assert [trace.x[0] for trace in figures.moves(np.array([], dtype="<U8")).data] == [0, 0, 0]


def test_distances_are_one_line_a_cluster_with_gaps_where_there_is_no_center():
    distances = np.array([[1.0, np.inf, 3.0], [0.5, 2.0, 4.0]])
    figure = figures.distances_to_centers(distances, names=["cluster 0", "cluster 1", "cluster 2"])
    assert figure.data[0].y.tolist() == [1.0, 0.5]
    assert np.isnan(figure.data[1].y[0]) and figure.data[1].y[1] == 2.0
    assert [trace.line.color for trace in figure.data] == list(CLUSTER_COLORS[:3])
    assert _axes(figure) == ("round", "distance to the center")
    assert _is_transparent(figure)


def test_distances_of_more_than_ten_clusters_are_told_apart():
    figure = figures.distances_to_centers(np.ones((1, 14)), names=[str(index) for index in range(14)])
    assert [trace.line.color for trace in figure.data] == list(cluster_colors(14))


def test_the_path_of_an_image_ends_in_a_star_over_the_last_map():
    points, labels, path = np.eye(4, 2), np.array([0, 1, 1, 2]), np.array([[0.0, 1], [2, 3], [4, 5]])
    figure = figures.path_on_map(points, labels, path, names=["cluster 0", "cluster 1", "cluster 2"])
    cloud, way = figure.data
    assert (cloud.x.tolist(), cloud.y.tolist()) == ([1, 0, 0, 0], [0, 1, 0, 0])
    assert list(cloud.marker.color) == [CLUSTER_COLORS[label] for label in labels]
    assert list(cloud.text) == ["cluster 0", "cluster 1", "cluster 1", "cluster 2"]
    assert (way.x.tolist(), way.y.tolist()) == ([0, 2, 4], [1, 3, 5])
    assert list(way.text) == ["0", "1", "2"]
    assert list(way.marker.symbol) == ["circle", "circle", "star"]
    assert figure.layout.yaxis.scaleanchor == "x"
    assert _is_transparent(figure)


def test_the_path_of_one_round_is_a_star():
    figure = figures.path_on_map(np.eye(2), np.array([0, 0]), np.zeros((1, 2)), names=["cluster 0"])
    assert list(figure.data[1].marker.symbol) == ["star"]


def test_no_name_from_outside_becomes_markup():
    """plotly reads a few HTML tags in names, ticks and hover boxes; a class may be called anything."""
    sizes, names = np.ones((1, 1), int), [HOSTILE]
    drawn = [
        figures.curves([_line([0.1], name=HOSTILE)], title="NMI"),
        figures.cluster_sizes(sizes, names=names),
        figures.confusion(sizes, class_names=names, cluster_names=names),
        figures.distances_to_centers(sizes, names=names),
        figures.path_on_map(np.zeros((1, 2)), np.array([0]), np.zeros((1, 2)), names=names),
    ]
    for figure in drawn:
        content = json.dumps(json.loads(figure.to_json()))
        assert "&lt;a href" in content
        assert "<a " not in content


def _ledger(repaired, broken, classes=(0, 1)):
    return SimpleNamespace(classes=np.array(classes), repaired=np.array(repaired), broken=np.array(broken))


def test_a_ledger_stands_up_for_repaired_and_down_for_broken_beside_its_control():
    figure = figures.ledger_bars(_ledger([3, 0], [1, 2]), _ledger([1, 1], [0, 1]), class_names=["null", HOSTILE])
    bars = {trace.name: trace for trace in figure.data}
    assert list(bars) == ["repaired", "broken", "repaired, α = 0", "broken, α = 0"]
    assert bars["repaired"].y[0] == 3 and np.isnan(bars["repaired"].y[1])
    assert list(bars["broken"].y) == [-1, -2]
    assert list(bars["broken"].customdata) == [1, 2]
    assert bars["repaired"].offsetgroup == bars["broken"].offsetgroup != bars["repaired, α = 0"].offsetgroup
    assert "<a" not in bars["broken"].x[1]
    assert len(figures.ledger_bars(_ledger([1, 0], [0, 0]), class_names=["a", "b"]).data) == 2


def test_a_band_lies_under_the_lines_from_its_lowest_to_its_highest():
    band = SimpleNamespace(low=np.array([0.1, 0.2]), high=np.array([0.3, 0.5]), num_seeds=3)
    figure = figures.curves([_line([0.2, 0.4])], title="NMI", band=band)
    low, high, line = figure.data
    assert (low.y.tolist(), high.y.tolist(), line.y.tolist()) == ([0.1, 0.2], [0.3, 0.5], [0.2, 0.4])
    assert high.fill == "tonexty" and low.fill is None
    assert high.name == "lowest to highest of 3 seeds" and low.showlegend is False
