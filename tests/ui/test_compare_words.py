"""The sentences of a comparison follow the runs, and say when seeds change more than variants do."""

from types import SimpleNamespace

import numpy as np
import pytest

from vitviz.explain.comparison import ComparedRow, TrainedRun
from vitviz.explain.paper_claims import COMPARISONS
from vitviz.ui import compare_words as words

SETUP = SimpleNamespace(
    dataset="CIFAR-10",
    img_size=32,
    num_train=5_000,
    num_held_out=1_000,
    num_classes=10,
    chance=10.0,
    largest_class=11.3,
)
ROWS = {row.variant: row for row in COMPARISONS["table6"].rows}


def _row(variant: str, *scores: float) -> ComparedRow:
    none = np.zeros(0)
    runs = (
        TrainedRun(f"s{seed}", "supertokens", seed, 2, score, none, none, none, none)
        for seed, score in enumerate(scores)
    )
    return ComparedRow(ROWS[variant], tuple(runs))


def _plain(text: str) -> str:
    return text.replace("\\", "")


def test_the_same_order_is_named_and_so_is_another():
    same = words.verdict([_row("patch", 50), _row("conv", 55), _row("supertoken", 60)], SETUP)
    other = words.verdict([_row("patch", 70), _row("conv", 55), _row("supertoken", 60)], SETUP)
    order = "super tokens (60.00 %) > convolutions (55.00 %) > patches (50.00 %)"
    assert f"In our runs the order is **{order}**" in _plain(same)
    assert "the paper's is super tokens (83.52 %) > convolutions (81.14 %) > patches (78.44 %)" in _plain(same)
    assert "**The same order.**" in same and "**Another order.**" in other


def test_orders_are_compared_over_the_rows_that_both_have():
    text = words.verdict([_row("patch", 50), _row("conv-1x1", 70), _row("conv"), _row("supertoken", 60)], SETUP)
    assert "**The same order among the 2 rows that both have.**" in text


def test_a_step_within_the_spread_is_open_and_one_beyond_it_is_not():
    text = _plain(words.verdict([_row("patch", 30, 31), _row("conv", 50, 54), _row("supertoken", 53, 54)], SETUP))
    assert "super tokens over convolutions: 1.50 points, not more than the 4.00 points that seeds differ by, so" in text
    assert "convolutions over patches: 21.50 points, more than the 4.00 points that seeds differ by." in text


def test_with_one_seed_the_spread_is_said_to_be_unknown():
    assert "with one seed what chance adds is not known" in words.verdict([_row("patch", 30), _row("conv", 50)], SETUP)


def test_a_row_that_does_not_beat_the_largest_class_is_named():
    text = words.verdict([_row("patch", 11, 30), _row("conv", 50, 51)], SETUP)
    assert "Not above the largest class with every seed: patches." in text
    assert "largest class" not in words.verdict([_row("patch", 30), _row("conv", 50)], SETUP)


@pytest.mark.parametrize("rows", [[], [_row("patch", 50)], [_row("patch"), _row("conv")]], ids=len)
def test_fewer_than_two_rows_have_no_order(rows):
    assert words.verdict(rows, SETUP).startswith("No two rows have a finished run of ours yet")


def test_scores_are_told_with_their_range():
    assert words.score_words(_row("patch")) == "no run yet"
    assert words.score_words(_row("patch", 50)) == "50.00 %"
    assert words.score_words(_row("patch", 50, 53)) == "51.50 % (50.00 to 53.00)"


def test_the_standard_error_stands_beside_table_8():
    rows = [ComparedRow(row, ()) for row in COMPARISONS["table8"].rows]
    text = words.error_sentence(COMPARISONS["table8"], rows)
    assert "on 5,000 test images is 0.53 points" in text and "which chance alone may give" in text
    assert "more than chance" in words.error_sentence(
        COMPARISONS["table6"], [ComparedRow(row, ()) for row in ROWS.values()]
    )
    assert (
        words.error_sentence(COMPARISONS["table7"], [ComparedRow(row, ()) for row in COMPARISONS["table7"].rows]) == ""
    )


def _speed(*rates: float, spread: float = 0.1, num_rounds: int = 8):
    measured = [SimpleNamespace(images_per_second=rate, spread=spread, num_rounds=num_rounds) for rate in rates]
    return words.speed_sentence(COMPARISONS["table8"].rows, measured)


def test_a_loss_of_speed_is_held_against_the_noise_and_against_the_claim():
    lost, kept = _speed(10, 9, 8.5, 8), _speed(10, 10, 10, 9.95)
    assert "loses 20.0% (10.0 to 8.0 images a second)" in lost
    assert "Ours is more than the noise of 8 rounds, 1.0% (two standard errors)" in lost
    assert "Ours is not more than the noise" in kept
    assert "gains 10.0%" in _speed(10, 10, 10, 11)
    assert "the paper claims a loss of 6.3%" in kept


def test_a_disturbed_measurement_says_so_instead():
    assert "measure again" in _speed(10, 10, 10, 9, spread=2)
    assert "noise" not in _speed(10, 10, 10, 9, spread=2)
    assert "measure again" not in _speed(10, 10, 10, 9)


def test_few_rounds_tell_nothing():
    assert "Only 2 rounds fitted into the time" in _speed(10, 10, 10, 9, num_rounds=2)


def test_the_setup_names_its_controls():
    assert "Guessing scores 10.0 %, always naming the largest class 11.3 %." in words.setup_sentence(SETUP)
