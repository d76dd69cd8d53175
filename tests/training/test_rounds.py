"""From a clustering to a saved, scored round: what is named, measured and restored."""

import numpy as np
import pytest
import torch

from vitviz.clustering.algorithms import Clustering
from vitviz.clustering.metrics import nmi, scores, within_share
from vitviz.nn.ridge_decoder import decode, fit_ridge_decoder
from vitviz.runs.folder import create_run
from vitviz.runs.records import Description, Samples
from vitviz.training.rounds import RESTORED_SIZE, RoundInputs, save_and_score, small_pixels

NUM = 60


@pytest.fixture
def samples() -> Samples:
    held_out = np.arange(NUM) % 3 == 0
    classes = np.arange(NUM, dtype=np.int32) // 3 % 4
    classes[5] = -1
    return Samples(np.arange(NUM, dtype=np.int32), classes, held_out)


@pytest.fixture
def run(samples):
    """A run without rounds."""
    about = {"method": "any", "settings": {}, "dataset": "digits", "dataset_fingerprint": "", "seed": 0, "img_size": 8}
    counts = {"num_images": NUM, "num_clusters": 4, "class_names": ("a", "b", "c", "d")}
    return create_run("tiny", Description(**about, **counts), samples)


def inputs(samples, labels: np.ndarray, **changes) -> RoundInputs:
    """A round whose embeddings lie around one place a label."""
    rng = np.random.default_rng(0)
    centers = np.eye(4, 6, dtype=np.float32) * 5
    embeddings = centers[labels] + rng.normal(size=(NUM, 6)).astype(np.float32)
    distances = np.linalg.norm(embeddings - centers[labels], axis=1).astype(np.float32)
    parts = {
        "embeddings": torch.from_numpy(embeddings),
        "clustering": Clustering(labels.astype(np.int32), centers, distances, distances + 1),
        "logits": torch.from_numpy(rng.normal(size=(NUM, 4)).astype(np.float32)),
        "images": rng.integers(0, 256, (NUM, 8, 8, 3)).astype(np.uint8),
        "samples": samples,
        "fitted": ~samples.held_out,
        "weights": None,
    }
    return RoundInputs(**{**parts, **changes})


def ids(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(NUM) < 0.6, (np.arange(NUM) // 3 + 1) % 4, rng.integers(0, 4, NUM))


def test_round_0_is_named_after_the_classes_of_training_images(run, samples):
    renamed = (np.clip(samples.classes, 0, 3) + 1) % 4
    save_and_score(run, 0, inputs(samples, renamed), seed=0)
    matched = run.round(0).matched_labels
    known = samples.classes >= 0
    assert np.array_equal(matched[known], samples.classes[known])
    assert np.array_equal(run.round(0).labels, renamed)


def test_the_names_of_round_0_do_not_hang_on_held_out_classes(run, samples):
    labels = ids()
    save_and_score(run, 0, inputs(samples, labels), seed=0)
    first = np.array(run.round(0).matched_labels)
    shuffled = samples.classes.copy()
    shuffled[samples.held_out] = np.random.default_rng(1).integers(0, 4, samples.held_out.sum())
    run.rewind(num_records=0, num_rounds=0)
    save_and_score(run, 0, inputs(Samples(samples.indices, shuffled, samples.held_out), labels), seed=0)
    assert np.array_equal(run.round(0).matched_labels, first)


def test_later_rounds_are_named_after_the_round_before(run, samples):
    labels = ids()
    save_and_score(run, 0, inputs(samples, labels), seed=0)
    record = save_and_score(run, 1, inputs(samples, np.array([2, 3, 1, 0])[labels]), seed=0)
    assert np.array_equal(run.round(1).matched_labels, run.round(0).matched_labels)
    assert (record["nmi_previous"], record["changed_share"]) == (pytest.approx(1), 0)


def test_the_agreement_with_the_round_before_is_over_all_images(run, samples):
    first = save_and_score(run, 0, inputs(samples, ids(0)), seed=0)
    second = save_and_score(run, 1, inputs(samples, ids(1)), seed=0)
    before, after = run.round(0).matched_labels, run.round(1).matched_labels
    assert (first["nmi_previous"], first["changed_share"]) == (None, None)
    assert second["nmi_previous"] == pytest.approx(nmi(before, after))
    assert second["changed_share"] == pytest.approx((before != after).mean()) != 0


def test_scores_are_counted_apart_for_training_and_held_out_images(run, samples):
    labels = ids()
    record = save_and_score(run, 0, inputs(samples, labels), seed=0)
    for prefix, part in (("train_", ~samples.held_out), ("held_out_", samples.held_out)):
        expected = scores(samples.classes[part], labels[part], prefix=prefix)
        assert {name: record[name] for name in expected} == pytest.approx(expected)
        predictions = run.round(0).predictions
        known = part & (samples.classes >= 0)
        assert record[f"{prefix}top1"] == pytest.approx((predictions == samples.classes)[known].mean())
    assert 0 <= record["random_nmi"] < 0.5


def test_shapes_are_measured_on_the_images_that_were_fitted(run, samples):
    labels = ids()
    given = inputs(samples, labels)
    record = save_and_score(run, 0, given, seed=0)
    fitted = given.embeddings.numpy()[given.fitted]
    sizes = np.bincount(labels[given.fitted], minlength=4)
    assert record["within_share"] == pytest.approx(within_share(fitted, labels[given.fitted]))
    assert record["cluster_size_ratio"] == pytest.approx(sizes.max() / sizes.min())
    radius = np.sqrt(((fitted - fitted.mean(axis=0)) ** 2).sum(axis=1).mean())
    assert record["nearest_centers"] == pytest.approx(np.sqrt(50) / radius, rel=1e-5)
    assert record["num_empty_clusters"] == 0


def test_empty_clusters_are_counted_and_do_not_divide_by_zero(run, samples):
    record = save_and_score(run, 0, inputs(samples, np.arange(NUM) % 2), seed=0)
    assert record["num_empty_clusters"] == 2
    assert record["cluster_size_ratio"] == np.bincount((np.arange(NUM) % 2)[~samples.held_out]).max()


def test_without_a_classifier_there_are_no_predictions(run, samples):
    record = save_and_score(run, 0, inputs(samples, ids(), logits=None), seed=0)
    assert (run.round(0).predictions == -1).all()
    assert (record["train_top1"], record["held_out_top1"]) == (None, None)


def test_images_that_are_linear_in_their_embedding_are_restored(run, samples):
    given = inputs(samples, ids())
    plane = np.random.default_rng(1).normal(size=(6, 64)) * 4
    grey = np.clip(given.embeddings.numpy() @ plane + 128, 0, 255).astype(np.uint8).reshape(NUM, 8, 8, 1)
    exact = save_and_score(run, 0, inputs(samples, ids(), images=grey.repeat(3, axis=3)), seed=0)
    noise = save_and_score(run, 1, given, seed=0)
    assert exact["reconstruction_error"] < 1e-3 < 0.05 < noise["reconstruction_error"]
    assert run.round(0).decoder.shape == (7, 64) and run.round(1).decoder.shape == (7, 192)


def test_the_decoder_is_fitted_on_training_images_and_judged_on_the_held_out_ones(run, samples):
    given, train = inputs(samples, ids()), torch.from_numpy(~samples.held_out)
    record = save_and_score(run, 0, given, seed=0)
    pixels = small_pixels(given.images)
    decoder = fit_ridge_decoder(given.embeddings[train], pixels[train])
    assert np.allclose(run.round(0).decoder, decoder, atol=1e-3)
    expected = (decode(given.embeddings[~train], decoder) - pixels[~train]).square().mean().item()
    assert record["reconstruction_error"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("size", "expected"), [(8, 8), (32, 32), (64, RESTORED_SIZE), (48, RESTORED_SIZE)])
def test_images_are_restored_at_32_pixels_at_most(size, expected):
    images = np.random.default_rng(0).integers(0, 256, (3, size, size, 3)).astype(np.uint8)
    pixels = small_pixels(images)
    assert pixels.shape == (3, 3 * expected**2)
    assert pixels.min() >= 0 and pixels.max() <= 1
    assert pixels.mean().item() == pytest.approx(images.mean() / 255, abs=2e-2)


def test_grey_images_are_restored_in_one_channel():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8).repeat(3, axis=3)
    images.flags.writeable = False
    assert torch.equal(small_pixels(images), torch.tensor(images[..., 0].reshape(3, 64)) / 255)
