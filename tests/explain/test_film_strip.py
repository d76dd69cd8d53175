"""One image through the rounds, beside what the rounds say and a plain look-up of all distances."""

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.explain import film_strip
from vitviz.explain.film_strip import film_of, heat_over, looks_of, nearest_rows, rounds_with_attention
from vitviz.explain.restoration import restore_samples
from vitviz.runs.folder import Run, shipped_root

DIGITS = shipped_root() / "digits"


@pytest.fixture
def digits() -> Run:
    return Run(DIGITS)


def test_a_film_reads_cluster_margin_and_restored_self_off_every_round(digits):
    film = film_of(digits, 40)
    assert film.rounds.tolist() == list(range(7))
    for index in range(7):
        arrays = digits.round(index)
        other = float(arrays.runner_up_distances[40])
        assert film.clusters[index] == arrays.matched_labels[40]
        assert film.margins[index] == pytest.approx((other - float(arrays.distances[40])) / other, abs=1e-5)
        assert film.restored[index].tolist() == restore_samples(digits, index, np.array([40]))[0].tolist()


def test_the_neighbours_are_the_nearest_of_all_other_images(digits):
    film = film_of(digits, 40)
    known = np.asarray(digits.round(5).embeddings, np.float64)
    distances = np.linalg.norm(known - known[40], axis=1)
    distances[40] = np.inf
    assert film.neighbors[5].tolist() == np.argsort(distances)[:6].tolist()
    classes = digits.samples().classes
    assert film.kin[5] == pytest.approx((classes[film.neighbors[5]] == classes[40]).mean())


def test_among_few_images_all_others_are_near():
    assert nearest_rows(np.array([[0.0], [3.0], [1.0]]), 0, 6).tolist() == [2, 1]
    assert nearest_rows(np.zeros((1, 2)), 0, 6).tolist() == []


def test_of_very_many_rounds_some_are_spread_from_the_first_to_the_last(digits, monkeypatch):
    monkeypatch.setattr(film_strip, "MOST_ROUNDS", 3)
    assert film_of(digits, 0).rounds.tolist() == [0, 3, 6]


def test_an_image_without_a_class_has_no_kin_and_a_run_without_decoders_restores_nothing(make_run):
    film = film_of(make_run(), 12)
    assert np.isnan(film.kin).all()
    assert film.restored is None


def test_attention_of_the_rounds_is_that_of_cls_in_the_last_layer(digits):
    from vitviz.explain.attention import attend, layers_of
    from vitviz.explain.opened_models import load_run_model
    from vitviz.explain.preprocessing import prepare

    rounds, pixels = np.array([0, 6]), np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert rounds_with_attention(digits, rounds).tolist() == rounds.tolist()
    looks = looks_of(digits, rounds, pixels)
    maps = looks.attention
    assert looks.supertokens is None, "a network of patches gathers none"
    opened = load_run_model(digits, 6)
    fed = prepare(opened.model, pixels, opened.preprocessing)[0][0]
    row = attend(opened.model, fed, len(layers_of(opened.model, fed)) - 1)
    assert row.query == "CLS"
    assert maps[1] == pytest.approx(row.maps.mean(axis=0), abs=1e-6)
    assert np.abs(maps[0] - maps[1]).max() > 1e-4


def test_super_tokens_of_the_rounds_are_those_that_the_network_clusters_by_itself():
    import torch

    from vitviz.data.batches import to_tensor
    from vitviz.explain.opened_models import load_run_model
    from vitviz.nn.supertokens import hard_labels

    run, pixels = Run(shipped_root() / "digits-supertoken"), np.zeros((32, 32, 3), np.uint8)
    pixels[8:24, 12:18] = 255
    looks = looks_of(run, np.array([0, 6]), pixels)
    embed = load_run_model(run, 6).model.patch_embed
    with torch.inference_mode():
        own = embed.embed(to_tensor(pixels[None], torch.device("cpu")), keep=("association",))
    assert own.grid == (8, 8)
    assert looks.supertokens[1].tolist() == hard_labels(own.association, embed.tier.cell_size)[0].tolist()
    assert looks.attention.shape == (2, 8, 8)
    assert (looks.supertokens[0] != looks.supertokens[1]).any(), "rounds change what is gathered"


def test_attention_stops_when_it_is_told_to(digits):
    with pytest.raises(Problem, match="stopped"):
        looks_of(digits, np.arange(7), np.zeros((32, 32, 3), np.uint8), lambda done, total: done < 1)


def test_an_autoencoder_and_a_run_without_weights_have_no_attention(make_run):
    assert not len(rounds_with_attention(Run(shipped_root() / "digits-unsupervised"), np.array([0])))
    assert not len(rounds_with_attention(make_run(), np.array([0])))


def test_of_a_run_handed_on_small_the_first_and_the_last_round_have_attention():
    assert rounds_with_attention(Run(shipped_root() / "cifar10-laptop"), np.arange(6)).tolist() == [0, 5]


def test_heat_lies_half_over_the_picture_and_every_map_reaches_its_own_maximum():
    maps = np.array([[[0.0, 0.1], [0.2, 0.4]], [[0.0, 0.01], [0.02, 0.04]]])
    black = heat_over(np.zeros((8, 8, 3), np.uint8), maps, ("#000000", "#ffffff"), side=4)
    assert black[0].tolist() == black[1].tolist()
    assert black[0, 0, 0].tolist() == [0, 0, 0]
    assert black[0, 3, 3].tolist() == [128, 128, 128]
    white = heat_over(np.full((8, 8, 3), 255, np.uint8), maps, ("#000000", "#ffffff"), side=4)
    assert white[0, 0, 0].tolist() == [128, 128, 128]
    assert white[0, 3, 3].tolist() == [255, 255, 255]
