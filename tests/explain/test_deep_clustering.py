"""A run of known labels read back: every number is counted by hand."""

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.explain.deep_clustering import (
    change_of_cluster,
    classes_of_clusters,
    cluster_sizes,
    confusion,
    count_clusters,
    find_control,
    find_movers,
    find_other_seeds,
    inspect_stop,
    pair_of_curves,
    score_curves,
)


@pytest.fixture
def run(make_run):
    return make_run()


def test_sizes_are_counted_by_matched_id(run):
    assert cluster_sizes(run).tolist() == [[5, 4, 4], [5, 5, 3], [5, 3, 5]]


def test_sizes_keep_a_column_for_a_cluster_that_stays_empty(make_run):
    run = make_run(num_clusters=4)
    assert cluster_sizes(run)[:, 3].tolist() == [0, 0, 0]


def test_an_id_beyond_the_number_asked_for_is_counted_too(make_run):
    run = make_run(num_clusters=2)
    assert count_clusters(run) == 3
    assert cluster_sizes(run).shape == (3, 3)


def test_confusion_counts_labelled_images_by_class_and_matched_id(run):
    assert confusion(run, 0, "all").tolist() == [[3, 1, 0], [0, 3, 1], [1, 0, 3]]
    assert confusion(run, 2, "all").tolist() == [[4, 0, 0], [1, 2, 1], [0, 1, 3]]


def test_confusion_of_the_two_parts_adds_up_to_that_of_all(run):
    parts = confusion(run, 1, "held out"), confusion(run, 1, "train")
    assert parts[0].tolist() == [[2, 0, 0], [0, 1, 1], [1, 0, 1]]
    assert (parts[0] + parts[1]).tolist() == confusion(run, 1, "all").tolist()


def test_confusion_of_unlabelled_images_is_refused_by_name(make_run):
    with pytest.raises(Problem, match="run 'bare' has no labelled image"):
        confusion(make_run("bare", classes=[-1] * 13), 0, "all")


def test_clusters_stand_for_the_class_they_hold_most_of(run):
    assert classes_of_clusters(run).tolist() == [[0, 1, 2]] * 3


def test_with_more_clusters_than_classes_the_one_left_over_stands_for_nothing(make_run):
    run = make_run(classes=[0, 0, 0, 1, 1, 1], matched=[[0, 0, 0, 1, 1, 2]], num_clusters=3, class_names=("a", "b"))
    assert classes_of_clusters(run).tolist() == [[0, 1, -1]]


def test_without_labels_no_cluster_stands_for_a_class(make_run):
    assert classes_of_clusters(make_run(classes=[-1] * 13)).tolist() == [[-1, -1, -1]] * 3


def test_movers_are_repaired_broken_and_moved_images_the_surest_first(run):
    movers = find_movers(run, 0, 2, "all")
    assert movers.samples.tolist() == [11, 3, 10, 6, 7]
    assert movers.kinds.tolist() == ["repaired", "repaired", "broken", "broken", "moved"]
    assert movers.before.tolist() == [0, 1, 2, 1, 2]
    assert movers.after.tolist() == [2, 0, 1, 2, 0]
    assert movers.classes.tolist() == [2, 0, 2, 1, 1]
    np.testing.assert_allclose(movers.closeness, [9 / 40, 17 / 40, 10 / 40, 14 / 40, 13 / 40])


def test_movers_of_a_part_are_only_of_that_part(run):
    assert find_movers(run, 0, 2, "held out").samples.tolist() == [11, 3, 7]
    assert find_movers(run, 0, 2, "train").samples.tolist() == [10, 6]


def test_between_a_round_and_itself_nobody_moves(run):
    assert len(find_movers(run, 1, 1, "all").samples) == 0


def test_an_image_whose_cluster_changes_its_class_is_a_mover_although_its_id_stays(make_run):
    run = make_run(
        classes=[0, 0, 0, 1, 1, 1],
        matched=[[0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 0, 0]],
        num_clusters=2,
        class_names=("a", "b"),
    )
    assert classes_of_clusters(run).tolist() == [[0, 1], [1, 0]]
    movers = find_movers(run, 0, 1, "all")
    assert dict(zip(movers.samples.tolist(), movers.kinds.tolist(), strict=True)) == {0: "broken", 1: "broken"}


def test_movers_without_labels_are_refused_rather_than_said_to_be_none(make_run):
    with pytest.raises(Problem, match="has no labelled image"):
        find_movers(make_run(classes=[-1] * 13), 0, 2, "all")


def test_a_cluster_at_two_rounds_is_split_into_stayed_left_and_joined_nearest_first(run):
    change = change_of_cluster(run, 0, 0, 2)
    assert change.stayed.tolist() == [2, 1, 0]
    assert change.left.tolist() == [12, 11]
    assert change.joined.tolist() == [7, 3]


def test_a_cluster_at_one_round_twice_only_stays(run):
    change = change_of_cluster(run, 1, 1, 1)
    assert (len(change.stayed), len(change.left), len(change.joined)) == (5, 0, 0)


def test_an_undefined_score_is_a_gap_in_its_curve(run):
    curves = score_curves(run, "nmi", control=None)
    assert [curve.role for curve in curves] == ["main", "second", "random"]
    np.testing.assert_allclose(curves[0].values, [0.5, np.nan, 0.7])
    np.testing.assert_allclose(curves[2].values, [0.01, 0.01, 0.01])


def test_a_score_that_was_never_recorded_is_nothing_but_gaps(run):
    curves = score_curves(run, "ari", control=None)
    assert [curve.role for curve in curves] == ["main", "second"]
    assert all(np.isnan(curve.values).all() for curve in curves)


def test_curves_name_the_control_and_the_seeds_they_come_from(run, make_run):
    control, other = make_run("control"), make_run("other", settings={"seed": 7})
    curves = score_curves(run, "nmi", control=control, others=[other])
    assert [(curve.role, curve.run) for curve in curves] == [
        ("seed", "other"),
        ("main", "hand"),
        ("second", "hand"),
        ("control", "control"),
        ("random", "hand"),
    ]
    assert curves[0].name == "seed 7"


def test_a_pair_of_curves_has_the_control_second_where_there_is_one(run, make_run):
    assert [curve.run for curve in pair_of_curves(run, None, "within_share", "W/T")] == ["hand"]
    pair = pair_of_curves(run, make_run("control"), "within_share", "W/T")
    assert [curve.name for curve in pair] == ["W/T", "W/T, α = 0"]
    np.testing.assert_allclose(pair[1].values, [0.3, 0.2, 0.1])


def test_the_control_is_the_run_that_differs_in_the_weight_alone(run, make_run):
    other_data = {"dataset_fingerprint": "fedcba9876543210"}
    runs = [
        run,
        make_run("seed", settings={"cluster_weight": 0.0, "seed": 1}),
        make_run("epochs", settings={"cluster_weight": 0.0, "epochs": 99}),
        make_run("images", settings={"cluster_weight": 0.0}, **other_data),
        make_run("method", settings={"cluster_weight": 0.0}, method="idec"),
        make_run("empty", settings={"cluster_weight": 0.0}, matched=[]),
    ]
    assert find_control(run, runs) is None
    control = make_run("control", settings={"cluster_weight": 0.0, "device": "cuda", "keep_round_weights": True})
    assert find_control(run, [*runs, control]).name == "control"


def test_a_control_has_no_control(make_run):
    first, second = (make_run(name, settings={"cluster_weight": 0.0}) for name in ("first", "second"))
    assert find_control(first, [first, second]) is None


def test_other_seeds_are_runs_that_differ_in_the_seed_alone(run, make_run):
    twin = make_run("twin")
    seed = make_run("seed", settings={"seed": 1})
    weaker = make_run("weaker", settings={"seed": 2, "cluster_weight": 0.1})
    assert [other.name for other in find_other_seeds(run, [run, twin, seed, weaker])] == ["seed"]


def test_a_damaged_run_among_the_others_is_passed_over(run, make_run):
    control = make_run("control", settings={"cluster_weight": 0.0})
    damaged = make_run("damaged", settings={"cluster_weight": 0.0})
    (damaged.path / "run.json").write_text("{")
    fresh = type(damaged)(damaged.path)
    assert find_control(run, [fresh, control]).name == "control"
    assert find_other_seeds(run, [fresh, control]) == []


@pytest.mark.parametrize(
    ("rule", "epsilon", "stops_at"),
    [
        ("relative", 0.2, 2),
        ("relative", 0.05, None),
        ("absolute", 0.05, 2),
        ("absolute", 0.2, 1),
        ("absolute", 0.001, None),
    ],
)
def test_the_stop_rule_is_read_off_the_recorded_losses(run, rule, epsilon, stops_at):
    inspection = inspect_stop(run, rule=rule, epsilon=epsilon)
    assert inspection.stops_at == stops_at
    np.testing.assert_allclose(inspection.losses, [1.0, 0.9, 0.89])
    np.testing.assert_allclose(inspection.changes, [0.1, 0.01 / 0.9 if rule == "relative" else 0.01])
    assert inspection.relative == (rule == "relative")


def test_one_round_has_no_change_and_nowhere_to_stop(make_run):
    inspection = inspect_stop(make_run(matched=[[0, 1, 2] + [0] * 10]), rule="absolute", epsilon=0.5)
    assert (len(inspection.changes), inspection.stops_at) == (0, None)
