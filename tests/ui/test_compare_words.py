"""The sentences of a comparison follow the runs, and say when seeds change more than variants do."""

from types import SimpleNamespace

import pytest

from vitviz.explain.comparison import ComparedRow, TrainedRun
from vitviz.explain.paper_claims import COMPARISONS
from vitviz.explain.scoring import SCORINGS
from vitviz.ui import compare_words as words

TABLE6, TABLE2 = COMPARISONS["table6"], COMPARISONS["table2"]
SETUP = SimpleNamespace(
    scoring=SCORINGS["supertokens"],
    dataset="CIFAR-10",
    img_size=32,
    num_images=6_000,
    num_train=5_000,
    num_scored=1_000,
    num_classes=10,
    chance=10.0,
    largest_class=11.3,
)
CLUSTERED = SimpleNamespace(
    scoring=SCORINGS["subspace"],
    dataset="COIL-20",
    img_size=32,
    num_images=1_440,
    num_train=720,
    num_scored=1_440,
    num_classes=20,
    chance=8.4,
    largest_class=5.0,
)
ROWS = {row.variant: row for table in (TABLE6, TABLE2) for row in table.rows}


def _row(variant: str, *scores: float) -> ComparedRow:
    runs = (
        TrainedRun(
            name=f"s{seed}",
            method="any",
            seed=seed,
            num_planned=2,
            num_done=2,
            score=score,
            extras={},
            curves={},
        )
        for seed, score in enumerate(scores)
    )
    return ComparedRow(ROWS[variant], tuple(runs))


def _plain(text: str) -> str:
    return text.replace("\\", "")


def test_the_same_order_is_named_and_so_is_another():
    same = words.verdict(TABLE6, [_row("patch", 50), _row("conv", 55), _row("supertoken", 60)], SETUP)
    other = words.verdict(TABLE6, [_row("patch", 70), _row("conv", 55), _row("supertoken", 60)], SETUP)
    order = "super tokens (60.00 %) > convolutions (55.00 %) > patches (50.00 %)"
    assert f"In our runs the order is **{order}**" in _plain(same)
    assert "the paper's is super tokens (83.52 %) > convolutions (81.14 %) > patches (78.44 %)" in _plain(same)
    assert "**The same order.**" in same and "**Another order.**" in other


def test_orders_are_compared_over_the_rows_that_both_have():
    text = words.verdict(TABLE6, [_row("patch", 50), _row("conv-1x1", 70), _row("conv"), _row("supertoken", 60)], SETUP)
    assert "**The same order among the 2 rows that both have.**" in text


def test_a_step_within_the_spread_is_open_and_one_beyond_it_is_not():
    text = _plain(
        words.verdict(TABLE6, [_row("patch", 30, 31), _row("conv", 50, 54), _row("supertoken", 53, 54)], SETUP)
    )
    assert "super tokens over convolutions: 1.50 points, not more than the 4.00 points that seeds differ by, so" in text
    assert "convolutions over patches: 21.50 points, more than the 4.00 points that seeds differ by." in text


def test_with_one_seed_the_spread_is_said_to_be_unknown():
    assert "with one seed what chance adds is not known" in words.verdict(
        TABLE6, [_row("patch", 30), _row("conv", 50)], SETUP
    )


def test_a_row_that_does_not_beat_the_largest_class_is_named():
    text = words.verdict(TABLE6, [_row("patch", 11, 30), _row("conv", 50, 51)], SETUP)
    assert "Not above the largest class with every seed: patches." in text
    assert "largest class" not in words.verdict(TABLE6, [_row("patch", 30), _row("conv", 50)], SETUP)


@pytest.mark.parametrize("rows", [[], [_row("patch", 50)], [_row("patch"), _row("conv")]], ids=len)
def test_fewer_than_two_rows_have_no_order(rows):
    assert words.verdict(TABLE6, rows, SETUP).startswith("No two rows have a finished run of ours yet")


def test_scores_are_told_with_their_range():
    assert words.score_words(()) == "no run yet"
    assert words.score_words((50,)) == "50.00 %"
    assert words.score_words((53, 50)) == "51.50 % (50.00 to 53.00)"


def test_the_standard_error_stands_beside_table_8():
    rows = [ComparedRow(row, ()) for row in COMPARISONS["table8"].rows]
    text = words.error_sentence(COMPARISONS["table8"], rows)
    assert "on 5,000 test images is 0.53 points" in text and "which chance alone may give" in text
    assert "more than chance" in words.error_sentence(TABLE6, [ComparedRow(row, ()) for row in TABLE6.rows])
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


# Subspace clustering


def _attention(*pairs: tuple[tuple, tuple]) -> str:
    """The verdict on pairs of scores (without a gate, with one) for 1, 2 and 3 channels."""
    rows = []
    for channels, (plain, gated) in enumerate(pairs, start=1):
        rows += [_row(f"{channels}ch", *plain), _row(f"{channels}ch-attention", *gated)]
    return _plain(words.verdict(TABLE2, rows, CLUSTERED))


HIGHER, LOWER, ALIKE = ((90, 91), (95, 96)), ((90, 91), (85, 86)), ((90, 94), (91, 92))


@pytest.mark.parametrize(
    ("pairs", "verdict", "counts"),
    [
        (
            (HIGHER, HIGHER, HIGHER),
            "is borne out here",
            "of 3 pairs 3 gain more than seeds differ by, 0 lose more, and 0",
        ),
        ((HIGHER, ALIKE, LOWER), "is borne out in 1 of 3 pairs only", "of 3 pairs 1 gain more"),
        ((ALIKE, ALIKE, LOWER), "is not borne out here", "0 gain more than seeds differ by, 1 lose more, and 2 cannot"),
        ((ALIKE, ALIKE), "is open here", "of 2 pairs 0 gain more than seeds differ by, 0 lose more, and 2 cannot"),
        ((((90,), (99,)),), "is open here", "and 1 cannot be told from chance"),
    ],
    ids=["all", "some", "worse", "open", "one seed"],
)
def test_whether_attention_helps_is_judged_pair_by_pair_against_the_seeds(pairs, verdict, counts):
    text = _attention(*pairs)
    assert f"**That channel attention helps {verdict}**" in text
    assert counts in text


def test_a_pair_is_told_with_the_spread_of_its_seeds_and_the_paper_s_own_difference():
    text = _attention(ALIKE, HIGHER, ((90,), (99,)))
    assert "1 channel, attention against 1 channel: -0.50 points, not more than the 4.00 points that seeds" in text
    assert "2 channels, attention against 2 channels: +5.00 points, more than the 1.00 points that seeds" in text
    assert (
        "3 channels: +9.00 points, with one seed and so with an unknown share of chance; the paper claims +0.38."
        in text
    )


def test_without_a_pair_the_claim_is_open():
    text = words.verdict(TABLE2, [_row("15ch", 93), _row("1ch", 90)], CLUSTERED)
    assert "Whether channel attention helps is open: no pair" in text
    assert "15 channels (93.00 %) > 1 channel (90.00 %)" in text


def test_a_clustering_no_better_than_random_ids_is_named():
    text = words.verdict(TABLE2, [_row("15ch", 93), _row("1ch", 8)], CLUSTERED)
    assert "Not above random ids with every seed: 1 channel." in text


def test_a_clustering_holds_nothing_out_and_says_so():
    text = words.setup_sentence(CLUSTERED)
    assert "1,440 images, all of them clustered and none held out, 20 classes" in text
    assert "Random ids score 8.4 %, one cluster for all 5.0 %." in text
    assert "5,000 images to train on and 1,000 held out" in words.setup_sentence(SETUP)
    assert words.error_sentence(TABLE2, [ComparedRow(row, ()) for row in TABLE2.rows]) == ""


def test_the_oracle_is_named_as_no_result_and_only_where_there_is_one():
    clustered = words.own_caption(SCORINGS["subspace"], has_claims=True)
    classified = words.own_caption(SCORINGS["supertokens"], has_claims=True)
    assert "so it is no result" in clustered and "chose without labels" in clustered
    assert "oracle" not in classified and "after its last epoch" in classified
    assert "two axes" in classified and "two axes" not in words.own_caption(SCORINGS["subspace"], has_claims=False)


def test_captions_tell_of_whiskers_where_there_are_some():
    assert "whiskers: one standard error of a score on 5,000 test images" in words.claims_caption(TABLE6)
    assert "whiskers" not in words.claims_caption(TABLE2)
    assert "Mixup" in words.curve_caption(SCORINGS["supertokens"])
    assert "Mixup" not in words.curve_caption(SCORINGS["subspace"])
