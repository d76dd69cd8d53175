"""Training a classifier: the records, the round at the end, resuming to the same bits, and what cannot be trained on."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vitviz.data.sets import open_image_set
from vitviz.errors import Problem
from vitviz.runs.folder import Run
from vitviz.training import feed
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS, config_of
from vitviz.training.photo_augment import PhotoAugment
from vitviz.training.setup import load_images
from vitviz.training.supertokens import build_model, embed_with, load_model


def test_every_epoch_is_a_record_and_the_embedding_is_one_round_at_the_end(finished_supertokens):
    records = finished_supertokens.metrics()
    assert [record["kind"] for record in records] == ["epoch", "epoch", "round"]
    assert [record["index"] for record in records[:2]] == [0, 1]
    for record in records[:2]:
        assert {"loss", "train_top1", "held_out_loss", "lr", "seconds", "images_per_second"} <= record.keys()
        assert 0 <= record["held_out_top1"] <= 1 and record["loss"] > 0 and record["seconds"] > 0
    assert records[0]["lr"] != records[1]["lr"]
    assert finished_supertokens.num_rounds() == 1 and finished_supertokens.status().state == "finished"


def test_the_last_epochs_accuracy_is_that_of_the_saved_network(finished_supertokens):
    run, samples = finished_supertokens, finished_supertokens.samples()
    with torch.no_grad():
        pixels = torch.from_numpy(load_images(run)[samples.held_out]).permute(0, 3, 1, 2) / 127.5 - 1
        predictions = load_model(run)(pixels).logits.argmax(dim=1).numpy()
    hits = (predictions == samples.classes[samples.held_out]).mean()
    assert run.metrics()[1]["held_out_top1"] == pytest.approx(hits)
    assert np.array_equal(run.round(0).predictions[samples.held_out], predictions)


def test_the_embeddings_of_the_round_are_those_of_the_saved_network(finished_supertokens):
    run = finished_supertokens
    again = embed_with(run, 0, load_images(run)[:20])
    assert np.allclose(again, run.round(0).embeddings[:20], atol=5e-3)
    assert not load_model(run).training


def test_training_lowers_the_loss_and_learns_the_digits(train):
    changes = {"epochs": 12, "rand_augment": 0.0, "random_erasing": 0.0, "mixup": 0.0, "cutmix": 0.0, "min_crop": 0.8}
    records = train("learns", "supertokens", lr=5e-3, embed_dim=32, **changes).metrics()
    assert records[11]["loss"] < 0.9 * records[0]["loss"]
    assert records[11]["held_out_top1"] > 0.3, "ten classes: chance is .1"


@pytest.mark.parametrize("embedding", ["patch", "conv", "supertoken"])
def test_stopped_after_any_record_a_run_comes_to_the_same_bits(train_and_stop, content_of, embedding):
    changes = {"embedding": embedding, "drop_path_rate": 0.1}
    whole, stopped = train_and_stop("supertokens", **changes)
    assert len(stopped) == 3
    for stop, run in enumerate(stopped, start=1):
        assert len(run.metrics()) == stop
        drive(run)
        assert content_of(Run(run.path)) == content_of(whole), f"stopped after record {stop}"


def test_pictures_loaded_by_other_processes_are_the_same(start):
    run = start("workers", "supertokens")
    images = load_images(run)
    config = config_of(run)
    transform = PhotoAugment(config, run.description().img_size)
    plan = feed.EpochPlan(rows=np.arange(40), batch_size=8, lr=lambda share: 0.0, seed=1, epoch=2, transform=transform)
    batches = [np.arange(8), np.arange(8, 16)]
    here = [pixels for _, pixels in feed.load_batches(images, batches, plan, torch.device("cpu"), torch.Generator())]
    others = DataLoader(
        feed._Pictures(images, plan), batch_sampler=batches, num_workers=1, multiprocessing_context="fork"
    )
    assert all(torch.equal(one, other) for one, other in zip(here, others, strict=True))


def test_a_run_that_still_trains_is_looked_at_with_the_weights_of_its_last_epoch(start):
    run = start("growing", "supertokens", drop_path_rate=0.0)
    with pytest.raises(Problem, match="run 'growing' has no weights yet: they come with its first epoch"):
        load_model(run)
    records = METHODS["supertokens"].train(config_of(run), run)
    next(records)
    records.close()
    known, samples = run.metrics()[0], run.samples()
    with torch.no_grad():
        pixels = torch.from_numpy(load_images(run)[samples.held_out]).permute(0, 3, 1, 2) / 127.5 - 1
        hits = load_model(run)(pixels).logits.argmax(dim=1).numpy() == samples.classes[samples.held_out]
    assert known["held_out_top1"] == pytest.approx(hits.mean())


def test_images_without_classes_cannot_train_a_classifier(start, monkeypatch):
    digits = open_image_set("digits", limit=200)
    bare = dataclasses.replace(digits, labels=np.full(200, -1, np.int32), class_names=())
    monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, **__: bare)
    run = start("bare", "supertokens")
    with pytest.raises(
        Problem, match=r"Handwritten digits cannot train a classifier: of 0 classes .* one subfolder a class"
    ):
        drive(run)
    assert run.status().state == "failed"


def test_images_without_a_class_among_others_are_left_out(start, monkeypatch):
    digits = open_image_set("digits", limit=200)
    labels = digits.labels.copy()
    labels[::4] = -1
    partly = dataclasses.replace(digits, labels=labels)
    monkeypatch.setattr("vitviz.training.setup.open_image_set", lambda *_, **__: partly)
    run = start("partly", "supertokens", epochs=1)
    drive(run)
    known = run.samples().held_out & (labels >= 0)
    hits = (run.round(0).predictions[known] == labels[known]).mean()
    assert run.metrics()[0]["held_out_top1"] == pytest.approx(hits)


def test_the_seed_draws_the_first_weights(tiny):
    first, same, other = (
        build_model(tiny("supertokens"), img_size=32, num_classes=10, seed=seed).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["patch_embed.proj.weight"], other["patch_embed.proj.weight"])


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"img_size": 36}, "img_size=36 must be a multiple of stride=8"),
        ({"embed_dim": 15}, "embed_dim=15 must be divisible by num_heads=2"),
        ({"min_crop": 0.0}, "min_crop=0.0 must be more than 0"),
        ({"rand_augment": 9.5}, "rand_augment=9.5 must be at most 9"),
        ({"random_erasing": 1.0}, "random_erasing=1.0 must be less than 1"),
        ({"held_out_fraction": 1.0}, "held_out_fraction=1.0 must lie between 0 and 1"),
        ({"mixup": -1.0}, "mixup=-1.0 must be at least 0"),
        ({"stride": 5}, "stride=5 is not a choice: choose one of 4, 8, 16"),
    ],
)
def test_settings_outside_their_range_are_refused(tiny, changes, rule):
    with pytest.raises(Problem, match=rule):
        tiny("supertokens", **changes)
