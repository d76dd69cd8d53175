"""Which step of a subspace run counts."""

import pytest

from vitviz.training.subspace_selection import choose_round, mark_steps


def scored(**columns) -> list[dict]:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [{"index": index, "nmi": 0.5, "ari": 0.5, **row} for index, row in enumerate(rows)]


RECORDS = scored(step=[5, 10, 15, 20], eigengap=[0.1, 0.4, 0.4, 0.2], acc=[0.6, 0.7, 0.9, 0.9])


@pytest.mark.parametrize(("fixed", "step"), [(15, 15), (14, 10), (99, 20), (1, 5)])
def test_the_fixed_rule_takes_the_last_step_up_to_its_own(fixed, step):
    assert mark_steps(RECORDS, fixed_step=fixed)["fixed"]["step"] == step


def test_the_gap_and_the_oracle_take_the_first_of_the_largest():
    marks = mark_steps(RECORDS, fixed_step=15)
    assert (marks["eigengap"]["step"], marks["oracle"]["step"]) == (10, 15)
    assert marks["oracle"] == {"step": 15, "eigengap": 0.4, "nmi": 0.5, "acc": 0.9, "ari": 0.5}


def test_the_gap_of_a_c_that_has_hardly_grown_is_not_looked_at():
    early = scored(step=[1, 19, 20, 30], eigengap=[0.9, 0.8, 0.2, 0.1], acc=[0.1, 0.2, 0.8, 0.9])
    assert mark_steps(early, fixed_step=30)["eigengap"]["step"] == 20
    assert mark_steps(early, fixed_step=25)["eigengap"]["step"] == 19
    assert mark_steps(early[:1], fixed_step=30)["eigengap"]["step"] == 1


def test_without_labels_there_is_no_oracle():
    bare = scored(step=[1, 2], eigengap=[0.1, 0.2], acc=[None, None])
    assert set(mark_steps(bare, fixed_step=1)) == {"fixed", "eigengap"}


@pytest.mark.parametrize(("rule", "index"), [("fixed", 3), ("eigengap", 2)])
def test_the_round_that_counts_is_named_by_its_index(rule, index):
    chosen = choose_round(RECORDS, rule=rule, fixed_step=30)
    assert (chosen["rule"], chosen["round"], chosen["step"]) == (rule, index, RECORDS[index]["step"])


def test_other_labels_choose_no_other_round():
    other = [{**record, "acc": 1 - record["acc"]} for record in RECORDS]
    for rule in ("fixed", "eigengap"):
        first, second = (choose_round(records, rule=rule, fixed_step=12)["round"] for records in (RECORDS, other))
        assert first == second
