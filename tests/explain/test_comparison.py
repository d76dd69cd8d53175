"""Runs written by hand: which row and setup they belong to, what is averaged, and the order they give."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vitviz.explain.comparison import compare, find_steps, learning_curves, rank, rank_claims
from vitviz.explain.comparison_setups import OWN, find_setups, list_comparisons
from vitviz.explain.paper_claims import COMPARISONS
from vitviz.runs.folder import Run, create_run, list_runs
from vitviz.runs.records import Description, Samples

TABLE6 = COMPARISONS["table6"]
CLASSES = np.array([0, 1, 2, 3] * 5, np.int32)
HELD_OUT = np.arange(20) >= 12


@pytest.fixture
def classify() -> Callable[..., Run]:
    """``classify("patch", seed=1, scores=[0.2, 0.5])``: a classifier's run with that held-out top-1 epoch by epoch."""

    def make(
        variant: str = "patch",
        *,
        seed: int = 0,
        scores: Sequence[float] = (0.2, 0.5),
        epochs: int = 2,
        preset: str = "table6",
        name: str = "",
        settings: dict | None = None,
        **about,
    ) -> Run:
        known = {
            "method": "supertokens",
            "dataset": "cifar10",
            "dataset_title": "CIFAR-10",
            "dataset_fingerprint": "feed" * 4,
            "img_size": 32,
            "num_images": len(CLASSES),
            "class_names": ("a", "b", "c", "d"),
            "num_clusters": 4,
        }
        embedding = {"conv-1x1": "conv", "earlyconv": "conv"}.get(variant, variant)
        varied = {"seed": seed, "epochs": epochs, "embedding": embedding, "lr": 0.001, "device": "cpu"}
        description = Description(
            **{**known, **about}, preset=preset, variant=variant, seed=seed, settings={**varied, **(settings or {})}
        )
        run = create_run(
            name or f"{preset}-{variant}-s{seed}",
            description,
            Samples(np.arange(len(CLASSES), dtype=np.int32), CLASSES, HELD_OUT),
        )
        for epoch, score in enumerate(scores):
            run.append_metrics(
                {
                    "kind": "epoch",
                    "index": epoch,
                    "loss": 2.0 - epoch,
                    "held_out_loss": 1.5 - epoch,
                    "held_out_top1": score,
                    "seconds": 10.0 + seed,
                }
            )
        return run

    return make


def _rows(comparison=TABLE6) -> dict:
    (setup,) = find_setups(comparison, list_runs())
    return {row.claim.variant: row for row in compare(comparison, setup.runs)}


# Rows


def test_every_row_of_the_table_is_there_without_any_run():
    rows = compare(TABLE6, [])
    assert [row.claim for row in rows] == list(TABLE6.rows)
    assert all(row.mean is None and row.spread is None and not row.runs for row in rows)
    assert find_setups(TABLE6, []) == ()


def test_scores_are_those_of_the_last_epoch_over_seeds(classify):
    for seed, score in enumerate((0.5, 0.56, 0.53)):
        classify("patch", seed=seed, scores=[0.9, score])
    row = _rows()["patch"]
    assert row.scores == pytest.approx((50, 56, 53))
    assert row.mean == pytest.approx(53)
    assert row.spread == pytest.approx(6)
    assert [run.seed for run in row.runs] == [0, 1, 2]


def test_a_run_that_is_still_training_is_shown_and_not_averaged(classify):
    classify("patch", seed=0, scores=[0.2, 0.5])
    classify("patch", seed=1, scores=[0.1])
    classify("conv", scores=[])
    rows = _rows()
    assert [run.score for run in rows["patch"].runs] == [pytest.approx(50), None]
    assert rows["patch"].mean == pytest.approx(50)
    assert rows["conv"].mean is None and len(rows["conv"].runs) == 1


def test_a_seed_counts_once_and_a_finished_run_comes_first(classify):
    classify("patch", scores=[0.2], name="broken-off")
    classify("patch", scores=[0.2, 0.5], name="whole")
    (run,) = _rows()["patch"].runs
    assert run.name == "whole"


def test_a_variant_that_the_table_does_not_know_gets_a_row_of_its_own(classify):
    classify("patch")
    classify("wavelet", scores=[0.1, 0.6])
    row = compare(TABLE6, find_setups(TABLE6, list_runs())[0].runs)[-1]
    assert (row.claim.title, row.claim.top1, row.mean) == ("wavelet", None, pytest.approx(60))
    assert row.claim.note == "not a row of the paper"


def test_one_variant_with_two_values_of_what_is_varied_is_not_averaged(classify):
    classify("conv", seed=0, scores=[0.2, 0.5])
    classify("conv", seed=1, scores=[0.2, 0.7], settings={"conv_stem": "other"})
    means = sorted(
        row.mean for row in compare(TABLE6, find_setups(TABLE6, list_runs())[0].runs) if row.mean is not None
    )
    assert means == pytest.approx([50, 70])


# Setups


@pytest.mark.parametrize(
    "other",
    [
        {"dataset_fingerprint": "beef" * 4, "dataset_title": "Clothing"},
        {"epochs": 3},
        {"settings": {"lr": 0.01}},
        {"img_size": 64},
    ],
    ids=str,
)
def test_runs_on_other_images_or_with_another_recipe_are_another_setup(classify, other):
    classify("patch")
    classify("conv")
    classify("patch", name="other", **other)
    setups = find_setups(TABLE6, list_runs())
    assert [len(setup.runs) for setup in setups] == [2, 1]
    assert len({setup.title for setup in setups}) == 2


def test_setups_alike_but_for_a_setting_are_told_apart_by_it(classify):
    classify("patch")
    classify("patch", name="faster", settings={"lr": 0.01})
    titles = {setup.title for setup in find_setups(TABLE6, list_runs())}
    assert titles == {f"CIFAR-10, 32 px, 20 images, 2 epochs, lr={lr}" for lr in (0.001, 0.01)}


def test_seed_device_and_path_of_the_data_set_make_no_other_setup(classify):
    classify("patch", seed=0)
    classify("patch", seed=1, settings={"device": "cuda", "dataset": "elsewhere"}, dataset="elsewhere")
    (setup,) = find_setups(TABLE6, list_runs())
    assert len(setup.runs) == 2


def test_controls_are_guessing_and_the_largest_class_of_the_held_out_images(classify):
    classify("patch")
    (setup,) = find_setups(TABLE6, list_runs())
    counts = np.bincount(CLASSES[HELD_OUT])
    assert setup.chance == 25
    assert setup.largest_class == pytest.approx(100 * counts.max() / HELD_OUT.sum())
    assert (setup.num_train, setup.num_held_out) == (12, 8)


def test_runs_of_another_method_or_preset_and_damaged_ones_take_no_part(classify):
    classify("patch")
    classify("patch", preset="table8", name="elsewhere")
    classify("patch", method="deep_clustering", name="another")
    (classify("patch", name="damaged").path / "run.json").write_text("{")
    (setup,) = find_setups(TABLE6, list_runs())
    assert [run.name for run in setup.runs] == ["table6-patch-s0"]


# Comparisons there are


def test_the_tables_come_first_and_any_runs_last(classify):
    assert list(list_comparisons([])) == [*COMPARISONS, OWN]
    classify("big", preset="sizes")
    classify("", preset="single", name="alone")
    assert list(list_comparisons(list_runs())) == [*COMPARISONS, "sizes", OWN]


def test_a_preset_that_nobody_wrote_down_is_compared_too(classify):
    classify("big", preset="sizes", scores=[0.1, 0.6], settings={"depth": 8})
    classify("small", preset="sizes", scores=[0.1, 0.4], settings={"depth": 2})
    rows = _rows(list_comparisons(list_runs())["sizes"])
    assert {name: row.mean for name, row in rows.items()} == pytest.approx({"big": 60, "small": 40})
    assert {row.claim.note for row in rows.values()} == {""}


def test_any_runs_on_the_same_images_stand_side_by_side(classify):
    classify("", preset="", name="mine-s0", settings={"depth": 8})
    classify("", preset="", name="mine-s1", seed=1, settings={"depth": 8})
    classify("patch", epochs=1, scores=[0.3])
    own = list_comparisons(list_runs())[OWN]
    (setup,) = find_setups(own, list_runs())
    assert {row.claim.title: len(row.runs) for row in compare(own, setup.runs)} == {"mine": 2, "patch": 1}


# The order


def test_the_order_goes_by_the_mean_and_a_step_is_clear_when_it_exceeds_the_spread(classify):
    for variant, scores in {"patch": (0.3, 0.32), "conv": (0.5, 0.54), "supertoken": (0.52, 0.55)}.items():
        for seed, score in enumerate(scores):
            classify(variant, seed=seed, scores=[0.1, score])
    rows = tuple(_rows().values())
    ranked = rank(rows)
    assert [row.claim.variant for row in ranked] == ["supertoken", "conv", "patch"]
    assert [row.claim.variant for row in rank_claims(rows)] == ["supertoken", "conv", "patch"]
    first, second = find_steps(ranked)
    assert (first.difference, first.spread, first.is_clear) == (pytest.approx(1.5), pytest.approx(4), False)
    assert (second.difference, second.spread, second.is_clear) == (pytest.approx(21), pytest.approx(4), True)


def test_with_one_seed_no_step_is_clear(classify):
    classify("patch", scores=[0.1, 0.2])
    classify("conv", scores=[0.1, 0.9])
    (step,) = find_steps(rank(tuple(_rows().values())))
    assert step.spread is None and not step.is_clear


# Curves


def test_curves_have_a_line_a_seed_and_one_for_their_mean(classify):
    classify("conv", seed=0, scores=[0.2, 0.4])
    classify("conv", seed=2, scores=[0.4, 0.6])
    lines = learning_curves(tuple(_rows().values()), "score", "epoch")
    assert [(line.role, line.place) for line in lines] == [("seed", 1), ("seed", 1), ("mean", 1)]
    assert lines[-1].y.tolist() == pytest.approx([30, 50])
    assert lines[-1].x.tolist() == [1, 2]
    assert lines[-1].run == "mean of 2 seeds"


def test_over_seconds_the_mean_line_goes_by_the_mean_of_the_seeds_seconds(classify):
    classify("conv", seed=0)
    classify("conv", seed=2)
    lines = learning_curves(tuple(_rows().values()), "loss", "seconds")
    assert [line.x.tolist() for line in lines] == [[10, 20], [12, 24], [11, 22]]
    assert lines[-1].y.tolist() == [2, 1]


def test_a_run_that_is_still_training_does_not_cut_the_mean_short(classify):
    classify("conv", seed=0)
    classify("conv", seed=1, scores=[0.1])
    lines = learning_curves(tuple(_rows().values()), "held_out_loss", "epoch")
    assert [len(line.x) for line in lines] == [2, 1, 2]
    assert lines[-1].run == "table6-conv-s0"


def test_one_seed_is_one_line_and_none_before_its_first_epoch(classify):
    classify("conv")
    classify("patch", scores=[])
    (line,) = learning_curves(tuple(_rows().values()), "score", "epoch")
    assert (line.role, line.run) == ("mean", "table6-conv-s0")


def test_a_record_without_a_value_leaves_a_gap(classify):
    run = classify("conv", scores=[0.2])
    run.append_metrics({"kind": "epoch", "index": 1, "held_out_top1": 0.4, "loss": None})
    (line,) = learning_curves(tuple(_rows().values()), "loss", "epoch")
    assert line.y[0] == 2 and np.isnan(line.y[1])
