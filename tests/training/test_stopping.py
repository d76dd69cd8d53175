"""When deep clustering stops and when it warns, on records made by hand."""

import pytest

from vitviz.training.stopping import loss_changes, stop_reason, stop_round, warnings


def rounds(losses: list[float], shares: list[float | None] | None = None) -> list[dict]:
    shares = shares or [None, *[0.5] * (len(losses) - 1)]
    return [{"loss": loss, "changed_share": share} for loss, share in zip(losses, shares, strict=True)]


def healthy(**last) -> list[dict]:
    """Three rounds without a fault, but for what is given of the last one."""
    one = {"held_out_acc": 0.9, "held_out_nmi": 0.8, "cluster_size_ratio": 1.5, "nearest_centers": 1.0}
    return [one, one, {**one, **last}]


@pytest.mark.parametrize(
    ("losses", "epsilon", "stops"),
    [
        ([1.0], 0.05, False),
        ([1.0, 1.0], 0.05, False),
        ([1.0, 1.0, 1.0], 0.05, True),
        ([1.0, 0.96, 0.93], 0.05, True),
        ([1.0, 0.5, 0.49], 0.05, False),
        ([1.0, 0.99, 0.5], 0.05, False),
        ([2.0, 1.0, 0.99, 0.98], 0.05, True),
        ([100.0, 96.0, 93.0], 0.05, True),
        ([1.0, 1.04, 1.0], 0.05, True),
        ([1.0, 0.95, 0.95], 0.05, False),
        ([1.0, 1.0, 1.0], 0.0, False),
        ([0.0, 0.0, 0.0], 0.05, True),
        ([0.0, 1.0, 1.0], 0.05, False),
    ],
)
def test_the_relative_rule_wants_a_small_change_twice_in_a_row(losses, epsilon, stops):
    reason = stop_reason(rounds(losses), rule="relative", epsilon=epsilon)
    assert (reason is not None) == stops
    assert reason is None or reason == f"the loss changed by less than {epsilon:.1%} in 2 rounds running"


@pytest.mark.parametrize(
    ("shares", "stops"),
    [
        ([None, 0.001, 0.001], True),
        ([None, 0.001, 0.01], False),
        ([None, 0.01, 0.001], False),
        ([None, 0.0, 0.0], True),
        ([None, 0.005, 0.005], False),
        ([None, 0.0], False),
        ([None, 0.3, 0.001, 0.001], True),
    ],
)
def test_ids_that_hardly_change_twice_in_a_row_stop_it_too(shares, stops):
    losses = [2.0**-index for index in range(len(shares))]
    reason = stop_reason(rounds(losses, shares), rule="relative", epsilon=0.05)
    assert (reason is not None) == stops
    assert reason is None or reason == "fewer than 0.5% of the ids changed in 2 rounds running"


def test_patience_can_be_longer():
    records = rounds([1.0, 1.0, 1.0, 1.0])
    assert stop_reason(records[:3], rule="relative", epsilon=0.05, patience=3) is None
    assert stop_reason(records, rule="relative", epsilon=0.05, patience=3)


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ([1.0], False),
        ([1.0, 0.96], True),
        ([1.0, 0.94], False),
        ([100.0, 96.0], False),
        ([1.0, 1.04], True),
        ([1.0, 1.0], True),
    ],
)
def test_the_rule_of_the_paper_is_absolute_and_wants_it_once(losses, stops):
    assert (stop_reason(rounds(losses), rule="absolute", epsilon=0.05) is not None) == stops


def test_the_rule_of_the_paper_looks_at_the_last_change_only():
    assert stop_reason(rounds([1.0, 1.0, 0.5]), rule="absolute", epsilon=0.05) is None


@pytest.mark.parametrize("losses", [[1.0], [1.0] * 9])
def test_the_rule_of_rounds_never_stops_by_itself(losses):
    assert stop_reason(rounds(losses, [None, *[0.0] * (len(losses) - 1)]), rule="max_rounds", epsilon=9.0) is None


def test_changes_are_relative_to_the_round_before_unless_absolute():
    records = rounds([2.0, 1.0, 1.5])
    assert loss_changes(records, "relative") == pytest.approx([0.5, 0.5])
    assert loss_changes(records, "absolute") == pytest.approx([1.0, 0.5])
    assert loss_changes(records[:1], "relative") == []


@pytest.mark.parametrize("rule", ["relative", "absolute", "max_rounds"])
def test_the_round_a_rule_stops_at_is_the_first_whose_records_have_a_reason(rule):
    records = rounds([4.0, 3.0, 2.94, 2.93, 2.93, 1.0])
    reasons = [stop_reason(records[: n + 1], rule=rule, epsilon=0.05) is not None for n in range(6)]
    expected = reasons.index(True) if True in reasons else None
    assert stop_round(records, rule=rule, epsilon=0.05) == expected
    assert expected == {"relative": 3, "absolute": 3, "max_rounds": None}[rule]
    assert stop_round(records[:1], rule=rule, epsilon=0.05) is None


# Warnings


def test_a_healthy_run_is_not_warned_of():
    assert warnings(healthy()) == [] == warnings(healthy()[:1])


@pytest.mark.parametrize(("key", "title"), [("held_out_acc", "held-out accuracy"), ("held_out_nmi", "held-out NMI")])
def test_a_score_that_falls_twice_running_is_warned_of(key, title):
    def warned(*values):
        return warnings([{**record, key: value} for record, value in zip(healthy(), values, strict=True)])

    assert warned(0.9, 0.8, 0.7) == [f"{title} fell two rounds running (0.900, 0.800, 0.700)"]
    assert warned(0.9, 0.8, 0.8) == warned(0.8, 0.9, 0.7) == warned(0.7, 0.8, 0.9) == warned(None, None, None) == []
    assert warned(0.9, None, 0.7) == []


def test_only_the_last_three_rounds_are_judged():
    records = [
        {**record, "held_out_nmi": value}
        for record, value in zip(healthy() * 2, (0.9, 0.8, 0.7, 0.7, 0.8, 0.8), strict=True)
    ]
    assert warnings(records[:3]) and not warnings(records)


@pytest.mark.parametrize(("ratio", "warned"), [(1.0, False), (5.0, False), (5.1, True), (80.0, True)])
def test_clusters_of_very_different_size_are_warned_of(ratio, warned):
    found = warnings(healthy(cluster_size_ratio=ratio))
    expected = f"the largest cluster holds {ratio:.1f} times as many images as the smallest"
    assert found == ([expected] if warned else [])


@pytest.mark.parametrize(("gap", "warned"), [(1.0, False), (0.5, False), (0.4, True), (0.0, True)])
def test_centers_that_came_twice_as_close_are_warned_of(gap, warned):
    found = warnings(healthy(nearest_centers=gap))
    assert len(found) == warned
    assert gap != 0.4 or found == ["the two nearest centers came 2.5 times closer than in round 0"]


def test_a_run_with_one_cluster_has_no_nearest_centers_to_warn_of():
    records = [{**record, "nearest_centers": 0.0} for record in healthy()]
    assert warnings(records) == []


def test_every_sign_is_named_at_once():
    falling = [{**r, "held_out_acc": a, "held_out_nmi": a} for r, a in zip(healthy(), (0.9, 0.8, 0.7), strict=True)]
    falling[-1] |= {"cluster_size_ratio": 9.0, "nearest_centers": 0.1}
    assert len(warnings(falling)) == 4
