"""Training a Clustering CoaT: kinds, the share of images, the control of r, teachers, starts, and resuming to the same bits."""

import dataclasses
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vitviz.config import from_plain
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem
from vitviz.nn.coat import SIZES, CoaT
from vitviz.nn.coat_block import UNCLUSTERED, Clustering
from vitviz.nn.query_groups import Grouping
from vitviz.runs import tensors
from vitviz.runs.folder import Run, find_run
from vitviz.runs.records import Samples
from vitviz.training.coat import build_model, embed_with, keep_share, load_model, load_start
from vitviz.training.coat_calibration import calibrate_r, with_r
from vitviz.training.coat_config import CLUSTERED, CoatConfig
from vitviz.training.coat_schedule import Width, clustering_of, follow, prototype_shares
from vitviz.training.distillation import distillation_loss
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS, config_of
from vitviz.training.presets import PRESETS, preset_rows
from vitviz.training.setup import load_images

PLAIN = {
    "rand_augment": 0.0,
    "random_erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "min_crop": 0.8,
    "label_smoothing": 0.0,
}
LEARNS = {"embed_dims": [16, 16, 32, 32], "batch_size": 16, "lr": 3e-3, "warmup_epochs": 1.0, **PLAIN}
TINY_R = {"r_rel": 1e-4, "mlp_r_rel": 1e-4}


def epochs_of(run: Run) -> list[dict]:
    return [record for record in run.metrics() if record["kind"] == "epoch"]


def pixels_of(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2) / 127.5 - 1


def loud(model: CoaT) -> CoaT:
    """Queries, keys, values, logits and MLPs many times as large: fresh ones are so small that they could be anything."""
    for name, parameter in model.named_parameters():
        if any(part in name for part in ("qkv", "mlp", "head.weight")):
            parameter.data.mul_(10 if "mlp" in name else 30)
    return model.eval()


@pytest.fixture
def loud_file(tmp_path, tiny) -> str:
    """Weights of a loud network as a .safetensors file."""
    model = loud(build_model(tiny("coat"), img_size=32, num_classes=10, seed=5))
    path = tmp_path / "loud.safetensors"
    tensors.save(path, {name: value.numpy() for name, value in model.state_dict().items()})
    return str(path)


# Records


def test_every_epoch_tells_steps_and_prototypes_and_one_round_ends_the_run(finished_coat):
    records = finished_coat.metrics()
    assert [record["kind"] for record in records] == ["epoch", "epoch", "round"]
    assert [record["num_steps"] for record in records[:2]] == [4, 8], "100 images in batches of 32"
    for record in records[:2]:
        assert record["is_clustered"] and 0 < record["r_rel"] <= 4 and record["seconds"] > 0
        stages = [record["prototype_share_stage1"], record["prototype_share_stage2"]]
        assert all(0 < share <= 1 for share in stages)
        assert record["prototype_share"] == pytest.approx(np.mean(stages))
    assert {"loss", "held_out_loss", "held_out_top1", "images_per_second"} <= records[0].keys()


@pytest.mark.parametrize("kind", ["factorised", "clustered_mlp"])
def test_the_last_epochs_accuracy_is_that_of_the_saved_network_as_it_clusters(train, kind):
    run = train("saved", "coat", kind=kind)
    samples, model = run.samples(), load_model(run)
    with torch.no_grad():
        output = model(pixels_of(load_images(run)[samples.held_out]), ("groups", "mlp_groups"))
    hits = output.logits.argmax(dim=1).numpy() == samples.classes[samples.held_out]
    assert run.metrics()[1]["held_out_top1"] == pytest.approx(hits.mean())
    assert set(prototype_shares(output.blocks)) == {1, 2}
    assert not model.training and set(model.state_dict()) == set(run.weights()), "timm's names and no others"


def test_the_embeddings_of_the_round_are_those_of_the_saved_network(finished_coat):
    again = embed_with(finished_coat, 0, load_images(finished_coat)[:20])
    assert np.allclose(again, finished_coat.round(0).embeddings[:20], atol=5e-3)


def test_a_run_that_still_trains_clusters_as_far_as_it_got(start):
    run = start("growing", "coat", unclustered_share=0.5)
    with pytest.raises(Problem, match="run 'growing' has no weights yet"):
        load_model(run)
    records = METHODS["coat"].train(config_of(run), run)
    first, second = islice(records, 2)
    records.close()
    assert not first["is_clustered"] and first["r_rel"] is None and first["prototype_share"] == 1
    assert second["is_clustered"] and second["prototype_share"] < 1
    assert load_model(run).clustering.attention[0] == "factorised"


@pytest.mark.parametrize("kind", ["unclustered", "factorised", "softmax", "full_softmax", "clustered_mlp"])
def test_every_kind_learns(train, kind):
    run = train("learns", "coat", kind=kind, epochs=7, **LEARNS)
    losses = [record["loss"] for record in epochs_of(run)]
    assert losses[-1] < 0.9 * losses[0]


# Kinds


@pytest.mark.parametrize(
    ("kind", "exact"), [("factorised", "unclustered"), ("softmax", "full_softmax"), ("clustered_mlp", "unclustered")]
)
def test_with_singletons_a_kind_trains_as_what_it_approximates_and_with_groups_otherwise(train, loud_file, kind, exact):
    runs = {
        name: train(name, "coat", kind=used, unclustered_share=0.0, start=loud_file, **changes)
        for name, used, changes in (
            ("exact", exact, {}),
            ("single", kind, TINY_R),
            ("coarse", kind, {"grouping": "sign", "num_bits": 1}),
        )
    }
    losses = {name: epochs_of(run)[-1]["held_out_loss"] for name, run in runs.items()}
    assert epochs_of(runs["single"])[-1]["prototype_share"] > 0.9, "blank patches are alike"
    assert losses["single"] == pytest.approx(losses["exact"], abs=2e-4)
    assert abs(losses["coarse"] - losses["exact"]) > 2e-3


def test_kinds_differ_in_what_they_cluster_and_cluster_nothing_before_their_time():
    found = {kind: clustering_of(CoatConfig(kind=kind), 3.0) for kind in ("factorised", "softmax", "clustered_mlp")}
    rest = ("unclustered", "unclustered")
    assert found["factorised"].attention == ("factorised", "factorised", *rest)
    assert found["softmax"].attention == ("softmax", "softmax", *rest)
    assert (found["clustered_mlp"].attention, found["clustered_mlp"].mlp_stages) == (UNCLUSTERED.attention, (1, 2))
    assert found["softmax"].grouping.r_rel == found["clustered_mlp"].mlp_grouping.r_rel == 3.0
    before = {kind: clustering_of(CoatConfig(kind=kind), None) for kind in found}
    assert before["softmax"].attention == ("full softmax", "full softmax", *rest)
    assert before["factorised"].attention == before["clustered_mlp"].attention == UNCLUSTERED.attention
    assert before["clustered_mlp"].mlp_stages == ()
    for r_rel in (None, 3.0):
        assert clustering_of(CoatConfig(kind="unclustered"), r_rel).attention == UNCLUSTERED.attention


@pytest.mark.parametrize("kind", ["unclustered", "full_softmax"])
def test_a_kind_that_clusters_nothing_tells_of_no_prototypes(train, kind):
    run = train("plain", "coat", kind=kind, epochs=1)
    assert not {"prototype_share", "r_rel", "is_clustered"} & epochs_of(run)[0].keys()


# The control of r


def test_r_settles_where_the_share_is_the_bound_and_grows_back_no_further_than_it_was_set():
    width = Width(8.0)
    for _ in range(300):
        width = follow(width, min(1.0, 0.4 / width.r_rel**1.5), r_rel=8.0, min_share=0.1)
    assert 0.4 / width.r_rel**1.5 == pytest.approx(0.1, rel=0.02)
    for _ in range(300):
        width = follow(width, min(1.0, 4 / width.r_rel), r_rel=8.0, min_share=0.1)
        assert width.r_rel <= 8.0
    assert width == Width(8.0, pytest.approx(0.5))


def test_too_few_prototypes_make_r_shrink_while_training(train):
    loose, strict = (
        epochs_of(train(f"bound-{bound:.0f}", "coat", min_prototype_share=bound, epochs=6)) for bound in (0.01, 1.0)
    )
    assert [record["r_rel"] for record in loose] == [4.0] * 6
    widths = [record["r_rel"] for record in strict]
    assert all(later < earlier for earlier, later in pairwise(widths)) and widths[0] < 4
    assert strict[-1]["prototype_share"] > loose[-1]["prototype_share"]


def test_methods_with_a_fixed_number_of_groups_leave_r_alone(train):
    record = epochs_of(train("fixed", "coat", grouping="sign", num_bits=3, unclustered_share=0.0))[-1]
    assert (record["r_rel"], record["smoothed_share"]) == (4.0, None)
    assert record["prototype_share_stage1"] <= 8 / 64


# The share of the images


def test_a_smaller_share_is_part_of_a_larger_one_and_holds_every_class_alike():
    classes, held_out = np.repeat(np.arange(10, dtype=np.int32), 40), np.tile([False, True], 200)
    classes[::50] = -1
    samples = Samples(np.arange(400, dtype=np.int32), classes, held_out)
    known = classes >= 0
    kept = [keep_share(samples, share, seed=3).classes >= 0 for share in (0.1, 0.3, 1.0)]
    for smaller, larger in pairwise(kept):
        assert not (smaller & ~larger).any()
    assert np.array_equal(kept[2], known)
    for share, one in zip((0.1, 0.3), kept, strict=False):
        assert np.array_equal(one[held_out], known[held_out]), "all held-out images stay"
        counts = np.bincount(classes[one & ~held_out], minlength=10)
        assert counts.sum() == round(share * (known & ~held_out).sum()) and counts.max() - counts.min() <= 1
    other = keep_share(samples, 0.1, seed=4).classes >= 0
    assert not np.array_equal(kept[0], other)
    assert (keep_share(samples, 1e-9, seed=0).classes[~held_out] >= 0).sum() == 1


def test_all_shares_take_the_same_steps_and_hold_out_the_same_images(train):
    runs = [train(f"share-{100 * share:.0f}", "coat", train_share=share) for share in (0.1, 0.3, 1.0)]
    assert [[record["num_steps"] for record in epochs_of(run)] for run in runs] == [[4, 8]] * 3
    assert all(np.array_equal(run.samples().held_out, runs[0].samples().held_out) for run in runs)
    assert len({record["loss"] for run in runs for record in epochs_of(run)}) == 6
    passes = train("passes", "coat", train_share=0.1, equal_steps=False)
    assert [record["num_steps"] for record in epochs_of(passes)] == [1, 2]


def test_images_outside_the_share_change_nothing_that_is_learnt(start, monkeypatch):
    losses = []
    for name in ("as-they-are", "noise"):
        run = start(name, "coat", train_share=0.3)
        images = load_images(run).copy()
        if name == "noise":
            samples = keep_share(run.samples(), 0.3, seed=0)
            images[samples.classes < 0] = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3))
        monkeypatch.setattr("vitviz.training.coat.load_images", lambda _, images=images: images)
        drive(run)
        losses.append([(record["loss"], record["held_out_loss"]) for record in epochs_of(run)])
    assert losses[0] == losses[1]


def test_an_image_seen_twice_in_an_epoch_is_changed_anew(start, monkeypatch):
    from vitviz.training import loop

    run, seen = start("twice", "coat", train_share=0.1, epochs=1), []
    load = loop.load_batches

    def watch(*arguments):
        for rows, pixels in load(*arguments):
            seen.extend(zip(rows, pixels, strict=True))
            yield rows, pixels

    monkeypatch.setattr(loop, "load_batches", watch)
    next(METHODS["coat"].train(config_of(run), run))
    images = {int(row) % 200 for row, _ in seen}
    assert (len(seen), len(images)) == (100, 10)
    one = [pixels for row, pixels in seen if row % 200 == min(images)]
    assert len(one) == 10 and not any(torch.equal(one[0], other) for other in one[1:])


# Going on


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "factorised", "drop_path_rate": 0.1, "min_prototype_share": 0.9, "unclustered_share": 0.3},
        {"kind": "softmax", "train_share": 0.3, "start": "first", "teacher": "first", "unclustered_share": 0.6},
        {"kind": "clustered_mlp", "min_prototype_share": 0.9, "unclustered_share": 0.0},
    ],
    ids=lambda changes: changes["kind"],
)
def test_stopped_after_any_record_a_run_comes_to_the_same_bits(train_and_stop, train, content_of, changes):
    train("first", "coat", kind="unclustered", epochs=1)
    whole, stopped = train_and_stop("coat", **changes)
    assert len(stopped) == 3
    for stop, run in enumerate(stopped, start=1):
        assert len(run.metrics()) == stop
        drive(run)
        assert content_of(Run(run.path)) == content_of(whole), f"stopped after record {stop}"


# Teachers and starts


def test_the_distillation_loss_is_the_formula_and_nothing_where_both_agree():
    draw = torch.Generator().manual_seed(0)
    logits, teacher = (torch.randn(5, 4, generator=draw, dtype=torch.float64) for _ in range(2))
    targets = torch.eye(4, dtype=torch.float64)[[0, 1, 2, 3, 0]]
    p, t = (one.div(3.0).softmax(dim=1) for one in (logits, teacher))
    divergence = 9 * (t * (t / p).log()).sum(dim=1).mean()
    cross_entropy = -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
    parts = distillation_loss(logits, targets, teacher, weight=0.25, temperature=3.0)
    assert parts["loss"].item() == pytest.approx((0.75 * cross_entropy + 0.25 * divergence).item())
    assert parts["teacher_loss"].item() == pytest.approx(divergence.item())
    same = distillation_loss(logits, targets, logits + 7, weight=0.25, temperature=3.0)
    assert same["teacher_loss"].item() == pytest.approx(0, abs=1e-12)
    assert same["class_loss"].item() == pytest.approx(F.cross_entropy(logits, targets).item())


def test_a_taught_run_minimises_both_losses_and_comes_nearer_to_its_teacher(train, loud_file):
    train("teacher", "coat", kind="unclustered", start=loud_file, lr=0.0, epochs=1)
    changes = {"kind": "unclustered", "epochs": 4, **LEARNS}
    taught = train("taught", "coat", teacher="teacher", distillation_weight=0.9, **changes)
    alone = train("alone", "coat", **changes)
    for record in epochs_of(taught):
        assert record["loss"] == pytest.approx(0.1 * record["class_loss"] + 0.9 * record["teacher_loss"])
    assert "teacher_loss" not in epochs_of(alone)[0]
    held_out = pixels_of(load_images(taught)[taught.samples().held_out])
    with torch.no_grad():
        wanted, *found = (load_model(find_run(name))(held_out).logits for name in ("teacher", "taught", "alone"))
    near, far = (F.kl_div(one.log_softmax(1), wanted.softmax(1), reduction="batchmean").item() for one in found)
    assert near < 0.5 * far


@pytest.mark.parametrize(
    ("teacher", "student", "reason"),
    [
        ({"kind": "softmax"}, {}, "it is no unclustered CoaT"),
        ({"kind": "unclustered", "limit": 180}, {}, "it was trained on other images"),
        (
            {"kind": "unclustered"},
            {"seed": 1},
            r"it was trained on \d+ images that 'student' holds out; take a teacher with",
        ),
    ],
)
def test_who_may_not_teach_is_refused(train, start, teacher, student, reason):
    train("teacher", "coat", epochs=1, **teacher)
    run = start("student", "coat", teacher="teacher", **student)
    with pytest.raises(Problem, match=f"run 'teacher' cannot teach 'student': {reason}"):
        drive(run)


def test_a_classifier_of_another_method_cannot_teach(train, start):
    train("teacher", "supertokens", epochs=1)
    with pytest.raises(Problem, match="it is no unclustered CoaT"):
        drive(start("student", "coat", teacher="teacher"))


def test_a_run_begins_with_the_weights_of_another_of_its_seed(train):
    first = train("first-s2", "coat", kind="unclustered", seed=2)
    then = train("then", "coat", kind="softmax", start="first-s{seed}", seed=2, lr=0.0, epochs=1)
    fresh = train("fresh", "coat", kind="softmax", seed=2, lr=0.0, epochs=1)
    assert all(np.array_equal(value, first.weights()[name]) for name, value in then.weights().items())
    assert not np.array_equal(fresh.weights()["norm4.weight"], first.weights()["norm4.weight"])


def test_a_file_with_timms_names_is_loaded_and_a_head_of_other_classes_stays(tmp_path, tiny):
    config = tiny("coat")
    models = [build_model(config, img_size=32, num_classes=number, seed=number) for number in (1000, 10)]
    path = tmp_path / "published.safetensors"
    tensors.save(path, {name: value.numpy() for name, value in models[0].state_dict().items()})
    head = models[1].head.weight.clone()
    load_start(models[1], str(path))
    assert torch.equal(models[1].head.weight, head)
    assert torch.equal(models[1].cls_token1, models[0].cls_token1)
    other = build_model(dataclasses.replace(config, embed_dims=(8, 8, 8, 16)), img_size=32, num_classes=10, seed=0)
    with pytest.raises(Problem, match=r"start=.*published.safetensors does not fit the network"):
        load_start(other, str(path))
    with pytest.raises(Problem, match=r"start=gone.safetensors is no file; give a run or a local .safetensors file"):
        load_start(other, "gone.safetensors")


# Clustering without training


@pytest.fixture(scope="module")
def calibrated():
    """A CoaT with strong attention, 64 digits, and its calibration from singletons to coarse groups."""
    config = from_plain(CoatConfig, {"patch_size": 2, "embed_dims": [8, 8, 16, 16], "num_heads": 2})
    model = loud(build_model(config, img_size=32, num_classes=10, seed=0))
    images = pixels_of(open_image_set("digits", img_size=32, limit=64).images)
    return model, images, calibrate_r(model, images, ladder=(1e-4, 1.0, 4.0, 64.0))


def test_singletons_agree_and_more_r_means_fewer_prototypes(calibrated):
    _, images, found = calibrated
    assert len(images) == 64 and [step.r_rel for step in found.steps] == [1e-4, 1.0, 4.0, 64.0]
    assert found.steps[0].agreement == 1 and found.steps[0].divergence < 1e-6
    assert all(later.prototype_share < earlier.prototype_share for earlier, later in pairwise(found.steps))
    assert found.steps[-1].divergence > 100 * found.steps[0].divergence


def test_the_r_found_is_the_largest_up_to_which_classes_agree(calibrated):
    model, images, found = calibrated
    bound = 1 - 1e-9
    exact = calibrate_r(model, images, min_agreement=bound, ladder=(64.0, 1e-4))
    assert [step.r_rel for step in exact.steps] == [1e-4, 64.0]
    assert exact.steps[-1].agreement < 1, "else nothing is tested here"
    assert (exact.r_rel, exact.clustering) == (1e-4, with_r(Clustering(), 1e-4))
    assert calibrate_r(model, images, min_agreement=bound, ladder=(64.0,)).clustering == UNCLUSTERED
    with torch.no_grad():
        clustered, plain = (model(images, clustering=one).logits.argmax(1) for one in (exact.clustering, UNCLUSTERED))
    assert torch.equal(clustered, plain)
    assert found.r_rel in (1e-4, 1.0, 4.0, 64.0)


def test_what_cannot_be_calibrated_is_refused(calibrated):
    model, images, _ = calibrated
    with pytest.raises(Problem, match="this clustering clusters nothing"):
        calibrate_r(model, images, UNCLUSTERED)
    with pytest.raises(Problem, match="0 images and a model in eval mode cannot calibrate r"):
        calibrate_r(model, images[:0])
    only_mlp = dataclasses.replace(UNCLUSTERED, mlp_stages=(1,), mlp_grouping=Grouping(num_hashes=2))
    assert with_r(only_mlp, 5.0).mlp_grouping == Grouping(num_hashes=2, r_rel=5.0)


# Settings and presets


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"train_share": 0.0}, "train_share=0.0 must be more than 0 and at most 1"),
        ({"min_prototype_share": 1.5}, "min_prototype_share=1.5 must be more than 0"),
        ({"unclustered_share": 1.0}, "unclustered_share=1.0 must be at least 0 and less than 1"),
        ({"r_rel": 0.0}, "r_rel=0.0 must be 1e-6 to 1e6"),
        ({"temperature": 0.0}, "temperature=0.0 must be more than 0"),
        ({"clustered_stages": [0]}, r"clustered_stages=\(0,\) must be some of 1, 2, 3, 4"),
        ({"embed_dims": [8, 8, 9, 16]}, r"embed_dims=\(8, 8, 9, 16\) must be divisible by num_heads=2"),
        ({"serial_depths": [1, 1, 1]}, r"serial_depths=\(1, 1, 1\) must be four numbers greater than 0"),
        ({"kind": "linear"}, "kind=linear is not a choice"),
    ],
)
def test_settings_outside_their_range_are_refused(tiny, changes, rule):
    with pytest.raises(Problem, match=rule):
        tiny("coat", **changes)


def test_the_presets_are_four_kinds_by_three_shares_and_coat_lite_tiny():
    configs = {
        name: [from_plain(CoatConfig, row.settings) for row in preset_rows(PRESETS[name], name)]
        for name in PRESETS
        if PRESETS[name].method == "coat"
    }
    small, large = configs["coat-cifar10"], configs["coat-clothing"]
    kinds = {"unclustered", *CLUSTERED}
    assert {(one.kind, one.train_share, one.seed) for one in small} == {
        (kind, share, seed) for kind in kinds for share in (0.1, 0.3, 1.0) for seed in (0, 1, 2)
    }
    assert all(one.equal_steps and not one.start and not one.teacher for one in small)
    assert {one.kind for one in large} == kinds
    size = SIZES["tiny"]
    assert all((one.embed_dims, one.serial_depths, one.mlp_ratios) == (*vars(size).values(),) for one in large)


def test_a_taught_row_begins_with_and_learns_from_a_row_that_there_is():
    names = {row.name for row in preset_rows(PRESETS["coat-cifar10"], "coat-cifar10")}
    for row in preset_rows(PRESETS["coat-cifar10-taught"], "taught"):
        config = from_plain(CoatConfig, row.settings)
        for name in {config.start, config.teacher} - {""}:
            assert name.replace("{seed}", str(config.seed)) in names
