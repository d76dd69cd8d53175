"""Runs written by hand: which row and setup they belong to, what is averaged, and the order they give."""

import shutil
from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pytest

from vitviz.explain.comparison import compare, find_contrasts, find_steps, learning_curves, rank, rank_claims
from vitviz.explain.comparison_setups import OWN, find_setups, list_comparisons
from vitviz.explain.paper_claims import COMPARISONS
from vitviz.explain.scoring import SCORINGS
from vitviz.runs.export import export_scores
from vitviz.runs.folder import Run, create_run, list_runs
from vitviz.runs.records import Description, Samples

TABLE6 = COMPARISONS["table6"]
TABLE2 = COMPARISONS["table2"]
TOP1, LOSS, HELD_OUT_LOSS = SCORINGS["supertokens"].curves
ACC, NMI, STEP_LOSS = SCORINGS["subspace"].curves
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


@pytest.fixture
def express() -> Callable[..., Run]:
    """``express("1ch", seed=1, acc=0.9)``: a run of subspace clustering of three steps, scored at the second and the third.

    ``acc`` is that of the step its rule chose, the third; the second's is .05 more, which only labels tell. None: not finished.
    """

    def make(
        variant: str = "1ch",
        *,
        seed: int = 0,
        acc: float | None = 0.9,
        name: str = "",
        preset: str = "table2",
        **settings,
    ) -> Run:
        varied = {"channels": int(variant.split("ch")[0] or 1), "attention": variant.endswith("attention")}
        description = Description(
            method="subspace",
            dataset="coil20",
            dataset_title="COIL-20",
            dataset_fingerprint="c011" * 4,
            img_size=32,
            num_images=len(CLASSES),
            class_names=("a", "b", "c", "d"),
            num_clusters=4,
            preset=preset,
            variant=variant if preset else "",
            seed=seed,
            settings={"seed": seed, "epochs": 1, "num_steps": 3, **varied, **settings},
        )
        run = create_run(
            name or f"{preset}-{variant}-s{seed}",
            description,
            Samples(np.arange(len(CLASSES), dtype=np.int32), CLASSES, HELD_OUT),
        )
        run.append_metrics({"kind": "epoch", "index": 0, "loss": 9.0, "seconds": 100.0})
        for step in (1, 2, 3) if acc is not None else (1,):
            scored = {"acc": acc + 0.05 * (step == 2), "nmi": 0.95} if step > 1 else {}
            run.append_metrics(
                {"kind": "step", "index": step, "step": step, "loss": 5.0 - step, "seconds": 2.0, **scored}
            )
        if acc is not None:
            chosen = {"step": 3, "acc": acc, "nmi": 0.95}
            marks = {"fixed": chosen, "oracle": {"step": 2, "acc": acc + 0.05, "nmi": 0.95}}
            selection = {"rule": "fixed", "round": 0, **chosen, "marks": marks}
            run.append_metrics({"kind": "round", "index": 0, "acc": acc, "nmi": 0.95, "selection": selection})
        return run

    return make


def _rows(comparison=TABLE6) -> dict:
    (setup,) = find_setups(comparison, list_runs())
    return {row.claim.variant: row for row in compare(comparison, setup.runs)}


# Rows


def test_a_run_from_before_a_setting_stands_with_those_at_its_default(classify):
    runs = [classify(seed=0), classify(seed=1, settings={"mixup": 0.8}), classify(seed=2, settings={"mixup": 0.1})]
    setups = find_setups(TABLE6, runs)
    assert sorted(len(setup.runs) for setup in setups) == [1, 2]


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
    assert (row.claim.title, row.claim.score, row.mean) == ("wavelet", None, pytest.approx(60))
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
    assert (setup.num_images, setup.num_train, setup.num_scored) == (20, 12, 8)


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
    lines = learning_curves(tuple(_rows().values()), TOP1, "records")
    assert [(line.role, line.place) for line in lines] == [("seed", 1), ("seed", 1), ("mean", 1)]
    assert lines[-1].y.tolist() == pytest.approx([30, 50])
    assert lines[-1].x.tolist() == [1, 2]
    assert lines[-1].run == "mean of 2 seeds"


def test_over_seconds_the_mean_line_goes_by_the_mean_of_the_seeds_seconds(classify):
    classify("conv", seed=0)
    classify("conv", seed=2)
    lines = learning_curves(tuple(_rows().values()), LOSS, "seconds")
    assert [line.x.tolist() for line in lines] == [[10, 20], [12, 24], [11, 22]]
    assert lines[-1].y.tolist() == [2, 1]


def test_a_run_that_is_still_training_does_not_cut_the_mean_short(classify):
    classify("conv", seed=0)
    classify("conv", seed=1, scores=[0.1])
    lines = learning_curves(tuple(_rows().values()), HELD_OUT_LOSS, "records")
    assert [len(line.x) for line in lines] == [2, 1, 2]
    assert lines[-1].run == "table6-conv-s0"


def test_one_seed_is_one_line_and_none_before_its_first_epoch(classify):
    classify("conv")
    classify("patch", scores=[])
    (line,) = learning_curves(tuple(_rows().values()), TOP1, "records")
    assert (line.role, line.run) == ("mean", "table6-conv-s0")


def test_a_record_without_a_value_leaves_a_gap(classify):
    run = classify("conv", scores=[0.2])
    run.append_metrics({"kind": "epoch", "index": 1, "held_out_top1": 0.4, "loss": None})
    (line,) = learning_curves(tuple(_rows().values()), LOSS, "records")
    assert line.y[0] == 2 and np.isnan(line.y[1])


# Subspace clustering


def test_a_clustering_is_scored_at_the_step_that_was_chosen_without_labels(express):
    for seed, acc in enumerate((0.9, 0.8)):
        express("15ch", seed=seed, acc=acc)
    row = _rows(TABLE2)["15ch"]
    assert row.scores == pytest.approx((90, 80))
    assert row.extra("ACC, oracle") == pytest.approx((95, 85))
    assert row.extra("NMI") == pytest.approx((95, 95))
    assert [run.counted_at for run in row.runs] == [3, 3]


def test_a_clustering_without_its_last_round_is_shown_and_not_averaged(express):
    express("1ch", acc=None)
    row = _rows(TABLE2)["1ch"]
    (run,) = row.runs
    assert (run.score, run.num_done, run.num_planned, row.mean) == (None, 1, 3, None)
    assert row.extra("ACC, oracle") == ()


def test_scores_of_a_clustering_go_over_the_steps_that_were_scored_and_its_loss_over_all(express):
    express("1ch")
    rows = tuple(_rows(TABLE2).values())
    (acc,), (loss,) = (learning_curves(rows, curve, "records") for curve in (ACC, STEP_LOSS))
    assert (acc.x.tolist(), acc.y.tolist()) == ([2, 3], pytest.approx([95, 90]))
    assert (loss.x.tolist(), loss.y.tolist()) == ([1, 2, 3], [4, 3, 2])
    assert learning_curves(rows, NMI, "seconds")[0].x.tolist() == [4, 6]


def test_the_controls_of_a_clustering_count_all_images_and_random_ids_score_more_than_a_guess(express):
    express("1ch")
    (setup,) = find_setups(TABLE2, list_runs())
    assert setup.scoring is SCORINGS["subspace"]
    assert setup.num_scored == len(CLASSES)
    assert setup.largest_class == pytest.approx(25)
    drawn = np.random.default_rng(1).permuted(np.tile(CLASSES, (200, 1)), axis=1)
    best = [max(np.mean(np.array(names)[ids] == CLASSES) for names in permutations(range(4))) for ids in drawn]
    assert setup.chance == pytest.approx(100 * np.mean(best), abs=4)
    assert setup.chance > 30


def test_what_a_clustering_depends_on_makes_another_setup(express):
    express("1ch")
    express("2ch", held_out_fraction=0.2)
    assert len(find_setups(TABLE2, list_runs())) == 1
    express("3ch", num_clusters=5)
    assert len(find_setups(TABLE2, list_runs())) == 2


def test_a_pair_is_held_against_its_control_whatever_the_order(express):
    for seed in (0, 1):
        express("1ch", seed=seed, acc=0.9 + 0.01 * seed)
        express("1ch-attention", seed=seed, acc=0.95)
        express("2ch", seed=seed, acc=0.9)
        express("2ch-attention", seed=seed, acc=0.85 - 0.01 * seed)
        express("3ch", seed=seed, acc=0.9)
    better, worse = find_contrasts(TABLE2.contrast, tuple(_rows(TABLE2).values()))
    assert (better.better.claim.variant, better.worse.claim.variant) == ("1ch-attention", "1ch")
    assert (better.difference, better.spread, better.is_clear) == (pytest.approx(4.5), pytest.approx(1), True)
    assert (worse.difference, worse.is_clear) == (pytest.approx(-5.5), True)


def test_scores_that_were_handed_on_alone_are_compared_all_the_same(express, tmp_path):
    run = express("15ch", acc=0.93)
    run.set_status("finished")
    (tmp_path / "shipped").mkdir()
    export_scores(run, tmp_path / "shipped" / "table2-15ch-s0")
    shutil.rmtree(run.path)
    (found,) = list_runs()
    assert found.is_shipped() and found.is_scores_only()
    row = _rows(TABLE2)["15ch"]
    assert row.mean == pytest.approx(93)
    assert learning_curves((row,), ACC, "records")[0].y.tolist() == pytest.approx([98, 93])


def test_any_runs_of_two_methods_are_two_setups_that_say_what_is_scored(classify, express):
    known = {"dataset_title": "COIL-20", "dataset_fingerprint": "c011" * 4}
    classify("", preset="", name="tokens", **known)
    express("1ch", preset="", name="mine")
    own = list_comparisons(list_runs())[OWN]
    found = {setup.title: [run.name for run in setup.runs] for setup in find_setups(own, list_runs())}
    head = "COIL-20, 32 px, 20 images"
    assert found == {f"{head}: top-1 of held-out images": ["tokens"], f"{head}: ACC of all images": ["mine"]}
    (row,) = compare(own, find_setups(own, [run for run in list_runs() if run.name == "mine"])[0].runs)
    assert (row.claim.title, row.mean) == ("mine", pytest.approx(90))
