"""Images restored from embeddings, and the nearest training image beside them."""

import numpy as np
import pytest
import torch

from vitviz.errors import Problem
from vitviz.explain.restoration import nearest_training_images, restore, restore_samples
from vitviz.nn.ridge_decoder import fit_ridge_decoder
from vitviz.runs.folder import create_run
from vitviz.runs.records import Description, Round, Samples

NUM_IMAGES, DIM, SIDE = 40, 6, 4


@pytest.fixture(params=[1, 3], ids=["grey", "rgb"])
def linear(request):
    """A run whose images (N, SIDE, SIDE, 3) are a linear function of its embeddings, and those images."""
    rng = np.random.default_rng(0)
    embeddings = rng.random((NUM_IMAGES, DIM)).astype(np.float16)
    weights = rng.random((DIM, request.param * SIDE**2)) / DIM
    pixels = embeddings.astype(np.float64) @ weights
    decoder = fit_ridge_decoder(torch.tensor(embeddings, dtype=torch.float64), torch.tensor(pixels), ridge=1e-9)
    run = _run_of(embeddings, decoder.numpy().astype(np.float16))
    images = pixels.reshape(NUM_IMAGES, request.param, SIDE, SIDE).transpose(0, 2, 3, 1)
    return run, np.broadcast_to(images * 255, (NUM_IMAGES, SIDE, SIDE, 3))


def _run_of(embeddings: np.ndarray, decoder: np.ndarray | None):
    num_images = len(embeddings)
    labels = np.zeros(num_images, np.int32)
    samples = Samples(np.arange(num_images, dtype=np.int32), labels, np.arange(num_images) % 4 == 3)
    description = Description(
        method="deep_clustering",
        settings={},
        dataset="by hand",
        dataset_fingerprint="0123456789abcdef",
        img_size=SIDE,
        num_images=num_images,
        class_names=("one",),
        num_clusters=1,
        seed=0,
    )
    run = create_run("linear", description, samples)
    ones = np.ones(num_images, np.float32)
    arrays = Round(
        embeddings=embeddings.astype(np.float16),
        labels=labels,
        matched_labels=labels,
        centers=np.zeros((1, embeddings.shape[1]), np.float32),
        distances=ones,
        runner_up_distances=ones,
        predictions=labels,
        decoder=decoder,
    )
    run.save_round(0, arrays)
    return run


def test_images_that_depend_linearly_on_their_embeddings_are_restored_to_a_grey_level(linear):
    run, images = linear
    restored = restore_samples(run, 0, np.arange(NUM_IMAGES))
    assert restored.shape == (NUM_IMAGES, SIDE, SIDE, 3)
    assert restored.dtype == np.uint8
    assert np.abs(restored - images).max() <= 1
    assert images.std() > 10


def test_an_embedding_far_off_is_cut_to_black_and_white_rather_than_wrapped(linear):
    run, _ = linear
    assert (restore(run, 0, np.full((1, DIM), 900.0)) == 255).all()
    assert (restore(run, 0, np.full((1, DIM), -900.0)) == 0).all()


def test_no_embedding_gives_no_image(linear):
    run, _ = linear
    assert restore(run, 0, np.zeros((0, DIM))).shape == (0, SIDE, SIDE, 3)


def test_without_a_decoder_the_run_and_the_round_are_named():
    run = _run_of(np.zeros((4, 2)), None)
    with pytest.raises(Problem, match="run 'linear' kept no decoder for round 0"):
        restore(run, 0, np.zeros((1, 2)))


def test_the_nearest_training_image_is_another_one_and_agrees_with_a_slow_search():
    embeddings = np.random.default_rng(1).normal(size=(NUM_IMAGES, DIM)).astype(np.float16).astype(np.float64)
    run = _run_of(embeddings, None)
    held_out, asked = run.samples().held_out, np.arange(NUM_IMAGES)
    nearest = nearest_training_images(run, 0, asked)
    for sample, found, distance in zip(asked, nearest.samples, nearest.distances, strict=True):
        allowed = [one for one in range(NUM_IMAGES) if not held_out[one] and one != sample]
        far = {one: np.linalg.norm(embeddings[one] - embeddings[sample]) for one in allowed}
        assert found == min(far, key=far.get)
        assert distance == pytest.approx(far[found], rel=1e-3)


def test_a_training_image_with_a_twin_finds_the_twin_at_no_distance():
    embeddings = np.eye(4, 3)
    embeddings[2] = embeddings[0]
    nearest = nearest_training_images(_run_of(embeddings, None), 0, np.array([0, 2]))
    assert nearest.samples.tolist() == [2, 0]
    assert nearest.distances.tolist() == [0, 0]
