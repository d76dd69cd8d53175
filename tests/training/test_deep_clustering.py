"""Deep clustering: its equations, its control, what it may not look at, and every setting once to the end."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch.nn import functional as F

from vitviz.clustering.kmeans import kmeans
from vitviz.data.image_set import ImageSet, LoadReport
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem
from vitviz.nn.embed import SuperTokenEmbed
from vitviz.nn.vit import ViTOutput
from vitviz.training.deep_clustering import build_model, embed_with
from vitviz.training.deep_clustering_config import DeepClusteringConfig, control_of
from vitviz.training.deep_clustering_loss import cluster_distance, deep_clustering_loss, take_embedding
from vitviz.training.drive import drive
from vitviz.training.feed import EpochPlan
from vitviz.training.loop import embed_images, train_epoch
from vitviz.training.setup import start_run
from vitviz.training.state import make_optimizer

SCORES = ("nmi", "acc", "ari", "ami", "top1")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(*, num: int = 40, dim: int = 6, num_classes: int = 4):
    """A network's output, classes (-1 for the first five), and the centers of the images."""
    embedding = torch.randn(num, dim, generator=seeded(), requires_grad=True)
    logits = torch.randn(num, num_classes, generator=seeded(1), requires_grad=True)
    classes = torch.arange(num) % num_classes
    classes[:5] = -1
    return ViTOutput(logits, embedding), classes, torch.randn(num, dim, generator=seeded(2))


def changed(**settings) -> DeepClusteringConfig:
    return DeepClusteringConfig(**settings)


# Equations 5 to 8


def test_equation_6_equals_equation_7_equals_the_inertia_of_kmeans():
    points = torch.randn(300, 12, generator=seeded())
    theirs = KMeans(7, n_init=1, random_state=0).fit(points.numpy())
    labels, centers = torch.from_numpy(theirs.labels_).long(), torch.from_numpy(theirs.cluster_centers_)
    by_image = cluster_distance(points, centers[labels]).item()
    by_cluster = sum((points[labels == k] - centers[k]).square().sum().item() for k in range(7)) / 300
    ours = kmeans(points, 7, centers=centers)
    assert by_image == pytest.approx(by_cluster, rel=1e-5)
    assert by_image == pytest.approx(theirs.inertia_ / 300, rel=1e-5)
    assert by_image == pytest.approx(ours.inertia / 300, rel=1e-5)


def test_the_options_of_the_distance_are_what_they_say():
    output, _, centers = batch()
    lengths = (output.embedding - centers).norm(dim=1)
    expected = {
        ("squared", "mean"): lengths.square().mean(),
        ("squared", "sum"): lengths.square().sum(),
        ("plain", "mean"): lengths.mean(),
        ("plain", "sum"): lengths.sum(),
    }
    for (distance, reduction), value in expected.items():
        found = cluster_distance(output.embedding, centers, distance=distance, reduction=reduction)
        assert found.item() == pytest.approx(value.item(), rel=1e-6)


def test_the_plain_distance_has_a_gradient_on_the_center_itself():
    embeddings = torch.ones(2, 3, requires_grad=True)
    cluster_distance(embeddings, torch.ones(2, 3), distance="plain").backward()
    assert torch.equal(embeddings.grad, torch.zeros(2, 3))


@pytest.mark.parametrize("distance", ["squared", "plain"])
def test_no_gradient_reaches_the_centers(distance):
    output, classes, centers = batch()
    centers.requires_grad_()
    parts = deep_clustering_loss(output, classes, centers, changed(distance=distance))
    parts["loss"].backward()
    assert centers.grad is None
    assert output.embedding.grad.abs().sum() > 0


def test_the_pull_on_an_embedding_is_towards_its_center():
    output, _, centers = batch()
    cluster_distance(output.embedding, centers).backward()
    assert torch.allclose(output.embedding.grad, 2 * (output.embedding.detach() - centers) / 40, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.01, 1.0])
def test_the_loss_is_the_cross_entropy_plus_alpha_times_the_distance(alpha):
    output, classes, centers = batch()
    parts = deep_clustering_loss(output, classes, centers, changed(cluster_weight=alpha))
    cross_entropy = F.cross_entropy(output.logits[5:], classes[5:]).item()
    assert parts["cross_entropy"].item() == pytest.approx(cross_entropy, rel=1e-6)
    distance = cluster_distance(output.embedding, centers).item()
    assert parts["cluster_loss"].item() == pytest.approx(distance, rel=1e-6)
    assert parts["loss"].item() == pytest.approx(cross_entropy + alpha * distance, rel=1e-6)
    right = (output.logits[5:].argmax(dim=1) == classes[5:]).float().mean().item()
    assert parts["train_top1"].item() == pytest.approx(right)


def test_with_alpha_0_the_loss_is_the_cross_entropy_even_where_a_center_is_infinitely_far():
    output, classes, centers = batch()
    parts = deep_clustering_loss(output, classes, centers * float("inf"), changed(cluster_weight=0.0))
    assert torch.isfinite(parts["loss"]) and torch.equal(parts["loss"], parts["cross_entropy"])


def test_without_any_label_the_cross_entropy_is_zero_and_has_a_gradient_of_zero():
    output, classes, _ = batch()
    parts = deep_clustering_loss(output, torch.full_like(classes, -1), None, changed())
    parts["loss"].backward()
    assert parts["loss"].item() == 0 and not output.logits.grad.any()


@pytest.mark.parametrize("embedding", ["cls_normalised", "mean_normalised"])
def test_a_normalised_embedding_has_unit_length(embedding):
    output, _, _ = batch()
    assert torch.allclose(take_embedding(output, changed(embedding=embedding)).norm(dim=1), torch.ones(40), atol=1e-6)
    assert torch.equal(take_embedding(output, changed(embedding=embedding[:-11])), output.embedding)


def test_alpha_0_is_plain_training_to_the_last_bit(digits, tiny):
    config, rows, classes = tiny(cluster_weight=0.0), np.arange(100), torch.arange(100) % 10
    centers = torch.randn(100, 16, generator=seeded())
    models = [build_model(config, img_size=32, num_classes=10, seed=3) for _ in range(2)]

    def with_centers(model, pixels, rows):
        return deep_clustering_loss(model(pixels), classes[rows], centers[rows], config)

    def plain(model, pixels, rows):
        return {"loss": F.cross_entropy(model(pixels).logits, classes[rows], reduction="sum") / len(rows)}

    for model, loss in zip(models, (with_centers, plain), strict=True):
        optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.05)
        for epoch in range(2):
            plan = EpochPlan(rows=rows, batch_size=16, lr=lambda share: 1e-3, seed=0, epoch=epoch)
            train_epoch(model, optimizer, digits, loss, plan)
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)


# A run


def test_a_run_yields_phase_1_then_its_rounds(finished):
    kinds = [(record["kind"], record.get("round", record["index"])) for record in finished.metrics()]
    assert kinds == [
        *[("epoch", 0), ("epoch", 0), ("round", 0)],
        *[("epoch", 1), ("round", 1), ("epoch", 2), ("round", 2)],
    ]
    assert finished.status().state == "finished" and finished.status().progress.done == 7
    assert finished.num_rounds() == 3 and finished.damaged_files() == []


def test_a_round_holds_every_image_once_with_ids_and_distances_that_agree(finished):
    for index in range(finished.num_rounds()):
        arrays = finished.round(index)
        assert {len(getattr(arrays, name)) for name in ("embeddings", "labels", "matched_labels", "distances")} == {200}
        assert (arrays.embeddings.dtype, arrays.labels.dtype, arrays.centers.dtype) == ("float16", "int32", "float32")
        renaming = {(int(raw), int(matched)) for raw, matched in zip(arrays.labels, arrays.matched_labels, strict=True)}
        assert len(renaming) == len({raw for raw, _ in renaming}) == len({matched for _, matched in renaming})
        exact = np.linalg.norm(arrays.embeddings.astype(float)[:, None] - arrays.centers.astype(float), axis=2)
        assert np.allclose(exact[np.arange(200), arrays.labels], arrays.distances, atol=1e-2)
        assert (arrays.distances <= arrays.runner_up_distances + 1e-4)[finished.samples().held_out].all()


def test_centers_are_the_means_of_the_training_images_alone(finished):
    train = ~finished.samples().held_out
    for index in range(finished.num_rounds()):
        arrays = finished.round(index)
        for label, center in enumerate(arrays.centers):
            members = np.asarray(arrays.embeddings, dtype=float)[train & (arrays.labels == label)]
            assert np.allclose(members.mean(axis=0), center, atol=5e-3)


def test_every_logged_loss_is_the_sum_of_its_parts(finished):
    alpha, seen = finished.description().settings["cluster_weight"], 0
    for record in finished.metrics():
        if "cluster_loss" in record:
            assert record["loss"] == pytest.approx(record["cross_entropy"] + alpha * record["cluster_loss"], abs=1e-6)
            seen += 1
    assert alpha > 0 and seen == 5


def test_the_loss_of_a_round_is_that_of_its_network_against_the_centers_it_was_trained_with(finished, digits, tiny):
    rows = np.flatnonzero(~finished.samples().held_out)
    model = build_model(tiny(), img_size=32, num_classes=10, seed=0)
    model.load_state_dict({name: torch.tensor(value) for name, value in finished.weights().items()})
    embeddings, logits = embed_images(model, digits, rows)
    before, record = finished.round(1), finished.round_metrics()[2]
    classes = torch.from_numpy(finished.samples().classes[rows]).long()
    own = torch.from_numpy(before.centers[before.labels][rows])
    assert record["cross_entropy"] == pytest.approx(F.cross_entropy(logits, classes).item(), abs=1e-5)
    distance = (embeddings - own).square().sum(dim=1).mean().item()
    assert record["cluster_loss"] == pytest.approx(distance, rel=1e-5)


def test_scores_are_there_for_both_parts_and_within_their_range(finished):
    for record in finished.round_metrics():
        for name in SCORES:
            for part in ("train", "held_out"):
                assert -1 <= record[f"{part}_{name}"] <= 1
        assert 0 <= record["within_share"] <= 1 and 0 <= record["random_nmi"] <= 1
        assert record["reconstruction_error"] > 0
    assert [record["nmi_previous"] is None for record in finished.round_metrics()] == [True, False, False]


def test_an_image_is_embedded_by_the_network_of_its_round(finished, digits):
    for index in range(3):
        found = embed_with(finished, index, digits)
        assert np.allclose(found, finished.round(index).embeddings, atol=5e-3)
    assert not np.allclose(embed_with(finished, 0, digits[:5]), embed_with(finished, 2, digits[:5]), atol=5e-3)


def test_the_last_weights_are_those_of_the_last_round_which_keeps_them_in_half_precision(finished):
    last, kept = finished.weights(), finished.weights(2)
    assert last.keys() == kept.keys()
    assert all(np.array_equal(last[name].astype(np.float16), kept[name].astype(np.float16)) for name in last)
    assert any(not np.array_equal(last[name], finished.weights(1)[name]) for name in last)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(train, content_of):
    first, second, other = train("a"), train("b"), train("c", seed=1)
    assert content_of(first) == content_of(second)
    assert content_of(other)["weights: cls_token"] != content_of(first)["weights: cls_token"]


# The control


def test_the_control_differs_in_alpha_alone_and_has_none_itself(tiny):
    config = tiny(cluster_weight=0.3)
    control = dataclasses.replace(config, **control_of(config))
    assert control == dataclasses.replace(config, cluster_weight=0.0)
    assert control_of(control) is None


def test_a_run_and_its_control_share_round_0_to_the_last_bit(train, content_of):
    run, control = (content_of(train(name, cluster_weight=alpha)) for name, alpha in (("run", 0.5), ("control", 0.0)))
    files = [name for name in run if name.startswith("rounds/000/")]
    assert {name: run[name] for name in files} == {name: control[name] for name in files} and len(files) == 10
    assert run["rounds/001/embeddings.npy"] != control["rounds/001/embeddings.npy"]


def test_the_pull_tightens_clusters(train):
    shares = [
        train(name, cluster_weight=alpha, round_lr=2e-3, epochs_per_round=5).round_metrics()[-1]["within_share"]
        for name, alpha in (("pulled", 1.0), ("control", 0.0))
    ]
    assert shares[0] < 0.7 * shares[1]


# What it may not look at


def faked(images: ImageSet, *, held_out: np.ndarray, labels: np.ndarray) -> ImageSet:
    return dataclasses.replace(images, held_out=held_out, labels=labels.astype(np.int32))


@pytest.mark.parametrize("targets", ["classes", "pseudo_labels"])
def test_held_out_images_get_the_same_ids_whatever_their_labels(start, monkeypatch, targets):
    images, held_out = open_image_set("digits", limit=200), np.arange(200) % 2 == 1
    hidden = images.labels.copy()
    hidden[held_out] = np.random.default_rng(0).permutation(hidden[held_out])
    runs = []
    for name, labels in (
        ("true", images.labels),
        ("shuffled", hidden),
        ("none", np.where(held_out, -1, images.labels)),
    ):
        fake = faked(images, held_out=held_out, labels=labels)
        monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, fake=fake, **__: fake)
        runs.append(start(name, targets=targets))
        drive(runs[-1])
    for index in range(3):
        expected = runs[0].round(index)
        for other in runs[1:]:
            for part in ("labels", "matched_labels", "embeddings", "centers", "predictions"):
                assert np.array_equal(getattr(other.round(index), part), getattr(expected, part)), part
    scores = [run.round_metrics()[-1]["held_out_nmi"] for run in runs]
    assert scores[1] < scores[0] and scores[2] is None
    assert len({run.round_metrics()[-1]["train_nmi"] for run in runs}) == 1


def test_pseudo_labels_never_look_at_a_label(start, monkeypatch):
    images, held_out = open_image_set("digits", limit=200), np.arange(200) % 2 == 1
    runs = []
    for name, labels in (("labelled", images.labels), ("unlabelled", np.full(200, -1))):
        fake = faked(images, held_out=held_out, labels=labels)
        monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, fake=fake, **__: fake)
        runs.append(start(name, targets="pseudo_labels"))
        drive(runs[-1])
    assert np.array_equal(runs[0].round(0).embeddings, runs[1].round(0).embeddings)
    first, second = ([record["loss"] for record in run.metrics()] for run in runs)
    assert first[:3] == second[:3]


def test_unlabelled_images_take_part_and_are_left_out_of_every_score(start, monkeypatch):
    images = open_image_set("digits", limit=200)
    labels = np.where((np.arange(200) % 3 == 0) | (images.labels >= 4), -1, images.labels)
    fake = faked(images, held_out=np.arange(200) % 2 == 1, labels=labels)
    monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, **__: fake)
    run = start()
    drive(run)
    assert all(0 <= record["held_out_nmi"] <= 1 for record in run.round_metrics())
    assert run.round(2).matched_labels.max() == 9


@pytest.mark.parametrize(
    ("method", "changes"), [("deep_clustering", {}), ("deep_clustering", {"targets": "pseudo_labels"}), ("idec", {})]
)
def test_a_data_set_without_any_label_takes_a_run_to_its_end_without_scores(start, monkeypatch, method, changes):
    images = open_image_set("digits", limit=200)
    fake = dataclasses.replace(images, labels=np.full(200, -1, np.int32), class_names=())
    monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, **__: fake)
    run = start("bare", method, **changes)
    drive(run)
    assert run.status().state == "finished"
    for record in run.round_metrics():
        assert {record[f"{part}_{name}"] for name in SCORES for part in ("train", "held_out")} == {None}
        assert record["random_nmi"] is None and 0 <= record["within_share"] <= 1


# Faults


def broken_after(monkeypatch, *, batches: int, value: float) -> None:
    """From the given batch on, one pixel of every training batch is ``value``."""
    seen = []

    def spoil(images, draws):
        seen.append(1)
        if len(seen) > batches:
            images[0, 0, 0, 0] = value
        return images

    monkeypatch.setattr("vitviz.training.feed.apply_draws", spoil)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_pixel_that_is_no_number_stops_the_run_and_keeps_the_last_good_round(start, monkeypatch, value):
    run = start()
    broken_after(monkeypatch, batches=2 * 4, value=value)  # two epochs of phase 1, four batches each
    with pytest.raises(Problem, match="training stopped at step 1 of epoch 1000"):
        drive(run)
    status = run.status()
    assert status.state == "failed" and "training stopped at step 1" in status.error
    assert run.num_rounds() == 1 and run.damaged_files() == []
    assert np.isfinite(run.round(0).embeddings).all()
    assert all(np.isfinite(value).all() for value in run.resume_point()[0].values())


def test_a_learning_rate_that_explodes_stops_the_run_and_keeps_the_last_good_round(start):
    run = start(round_lr=1e30)
    with pytest.raises(Problem, match=r"the loss is not finite .learning rate .*lower the learning rate"):
        drive(run)
    assert run.status().state == "failed" and run.num_rounds() == 1


def test_more_clusters_than_images_are_refused_in_words(start):
    run = start(num_clusters=101)
    with pytest.raises(Problem, match=r"num_clusters=101 must be at most the number of points \(100\)"):
        drive(run)
    assert run.status().error.startswith("num_clusters=101")


def test_patches_that_do_not_fit_the_images_are_refused_in_words(start):
    run = start(patch_size=5)
    with pytest.raises(Problem, match="img_size=32 must be a multiple of patch_size=5"):
        drive(run)
    assert run.status().state == "failed"


def test_super_tokens_are_seen_in_cells_of_a_power_of_two_and_other_sizes_are_refused_in_words(start, tiny):
    model = build_model(tiny(stem="supertoken", patch_size=8), img_size=32, num_classes=10, seed=0)
    assert isinstance(model.patch_embed, SuperTokenEmbed) and model.grid == (4, 4)
    with pytest.raises(Problem, match="patch_size=32 must be 1, 2, 4, 8 or 16 for stem='supertoken'"):
        tiny(stem="supertoken", patch_size=32)


# Every setting once


@pytest.mark.filterwarnings("ignore:Graph is not fully connected:UserWarning")
@pytest.mark.parametrize(
    "changes",
    [
        *({"embedding": name} for name in ("cls", "mean", "cls_normalised", "mean_normalised")),
        {"distance": "plain"},
        {"reduction": "sum"},
        {"start": "reinitialise"},
        {"evaluation": "transductive"},
        *({"algorithm": n} for n in ("mini_batch_kmeans", "gaussian_mixture", "spectral", "agglomerative")),
        {"targets": "pseudo_labels"},
        {"targets": "pseudo_labels", "num_clusters": 15},
        {"stop_rule": "absolute", "epsilon": 1e-9},
        {"stop_rule": "relative", "epsilon": 1e-9},
        *({"augment": name} for name in ("shift", "shift_flip")),
        {"stem": "conv"},
        {"stem": "supertoken", "patch_size": 8},
        {"drop_rate": 0.2, "drop_path_rate": 0.2},
        {"num_clusters": 3},
        {"num_clusters": 17},
        {"num_clusters": 1},
        {"keep_round_weights": False},
        {"projection": "pca"},
        {"bfloat16": "on"},
        {"img_size": 16, "patch_size": 4},
        {"max_rounds": 0},
        {"gate": False},
        {"batch_size": 7},
        {"held_out_fraction": 0.1},
    ],
    ids=lambda changes: ",".join(f"{key}={value}" for key, value in changes.items()),
)
def test_every_setting_takes_a_run_to_its_end(train, tiny, changes):
    run = train(**changes)
    records, config = run.round_metrics(), tiny(**changes)
    assert run.status().state == "finished"
    assert run.num_rounds() == len(records) == config.max_rounds + 1
    assert run.round(0).embeddings.shape == (200, 16)
    assert all(np.isfinite(run.round(record["index"]).embeddings).all() for record in records)
    assert len(run.round(0).centers) == config.num_clusters
    assert run.has_weights(0) == config.keep_round_weights
    assert (run.projection() is not None) == (config.projection != "none")
    assert "weights.safetensors" in {path.name for path in run.path.iterdir()}


def test_normalised_embeddings_are_stored_normalised(train):
    run = train(embedding="cls_normalised")
    lengths = np.linalg.norm(run.round(2).embeddings.astype(np.float32), axis=1)
    assert np.allclose(lengths, 1, atol=2e-3)
    assert np.allclose(embed_with(run, 2, open_image_set("digits", limit=5).images)[:, None].shape, (5, 1, 16))


def test_transductive_clustering_sees_the_held_out_images_too(train):
    run = train(evaluation="transductive")
    arrays = run.round(1)
    for label, center in enumerate(arrays.centers):
        assert np.allclose(np.asarray(arrays.embeddings, float)[arrays.labels == label].mean(axis=0), center, atol=5e-3)


def test_starting_anew_takes_the_epochs_of_phase_1_and_weights_of_its_own(train):
    run = train(start="reinitialise", lr=0.0)
    assert [record["round"] for record in run.metrics() if record["kind"] == "epoch"] == [0, 0, 1, 1, 2, 2]
    kept = [run.weights(index)["blocks.0.mlp.fc1.weight"] for index in range(3)]
    assert all(abs(np.corrcoef(kept[a].ravel(), kept[b].ravel())[0, 1]) < 0.2 for a, b in ((0, 1), (1, 2), (0, 2)))


def test_a_stop_rule_ends_the_run_says_why_and_is_remembered(train):
    run = train(stop_rule="absolute", epsilon=1e9, max_rounds=5)
    assert run.num_rounds() == 2
    assert [record["stop"] is None for record in run.round_metrics()] == [True, False]
    assert "the loss changed by" in run.round_metrics()[1]["stop"]
    assert run.status().progress.done == run.status().progress.total == len(run.metrics())
    drive(run)
    assert run.num_rounds() == 2


# The gate


def test_phase_2_waits_for_the_training_accuracy_as_long_as_it_may(train):
    run = train(gate_accuracy=1.0, extra_epochs=3)
    epochs = [record for record in run.metrics() if record["kind"] == "epoch" and record["round"] == 0]
    assert len(epochs) == 2 + 3
    assert any(
        "phase 2 starts at a training accuracy of" in sentence for sentence in run.round_metrics()[0]["warnings"]
    )


def test_phase_2_begins_as_soon_as_the_gate_is_passed(train):
    run = train(gate_accuracy=0.0, extra_epochs=3)
    assert sum(record["kind"] == "epoch" and record["round"] == 0 for record in run.metrics()) == 2
    assert run.round_metrics()[0]["warnings"] == []


def test_without_a_gate_phase_2_waits_for_nothing_and_warns_of_nothing(train):
    run = train(gate=False, gate_accuracy=1.0, extra_epochs=3)
    assert sum(record["kind"] == "epoch" and record["round"] == 0 for record in run.metrics()) == 2
    assert run.round_metrics()[0]["warnings"] == []


def test_a_plateau_passes_the_gate_too(train):
    run = train(gate_accuracy=1.0, lr=0.0, epochs=2, extra_epochs=30, max_rounds=0)
    assert sum(record["kind"] == "epoch" for record in run.metrics()) == 11
    assert run.round_metrics()[0]["warnings"] == []


def test_a_data_set_that_changed_since_is_refused(start, tiny, monkeypatch):
    run = start()
    images = open_image_set("digits", limit=200)
    other = dataclasses.replace(images, fingerprint="another", report=LoadReport(200, 200))
    monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, **__: other)
    with pytest.raises(Problem, match="the data set of run 'tiny' changed since it began"):
        drive(run)
    assert start_run("new", "deep_clustering", tiny()).description().dataset_fingerprint == "another"
