"""One image of a run: its row of C, its ring, what is decoded, its channels and their gate."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from vitviz.data.sets import open_image_set
from vitviz.explain.subspace import take_snapshot
from vitviz.explain.subspace_images import (
    VIRIDIS,
    Channels,
    channel_maps,
    channel_sheet,
    gates_of,
    rebuild,
    ring_of,
    row_of,
)
from vitviz.figures.theme import SEQUENTIAL_COLORS
from vitviz.nn.subspace import SubspaceAutoencoder, gate_spread, init_subspace
from vitviz.training.subspace_model import encode_all, load_model, to_pixels


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITVIZ_CACHE", str(tmp_path_factory.mktemp("cache")))
        return np.array(open_image_set("digits", limit=150).images)


@pytest.fixture(scope="module")
def steps(subspace_runs):
    return subspace_runs["steps"]


# The row


def test_a_row_is_what_its_image_takes_most_of(make_snapshot):
    matrix = np.zeros((6, 6))
    matrix[2] = [1, -4, 8, 0, 2, 3]
    matrix[:, 2] += 9  # the column is another matter
    matrix[2, 2] = 8
    for one in (matrix, sparse.csr_array(matrix)):
        row = row_of(make_snapshot(one), 2, most=3)
        assert (row.sample, row.others.tolist(), row.values.tolist()) == (2, [1, 5, 4], [-4, 3, 2])
        assert row.share.tolist() == [0.4, 0.3, 0.2] and row.rest == pytest.approx(0.1) and row.self_value == 8
        row = row_of(make_snapshot(one), 2)
        assert row.others.tolist() == [1, 5, 4, 0] and row.rest == 0, "zeros are left out"


def test_an_image_that_takes_nothing_has_an_empty_row(make_snapshot):
    row = row_of(make_snapshot(np.eye(4)), 0)
    assert len(row.others) == len(row.values) == len(row.share) == 0
    assert (row.rest, row.self_value) == (0, 1)


def test_the_shares_of_a_run_add_up(steps):
    shot = take_snapshot(steps, 2)
    row = row_of(shot, 7)
    assert len(row.others) == 12 and 7 not in row.others
    assert row.share.sum() + row.rest == pytest.approx(1)
    assert np.array_equal(row.values, shot.coefficients[7, row.others])


# The ring


def test_a_ring_is_the_class_with_what_the_image_takes_of_it(steps, make_snapshot):
    classes = steps.samples().classes
    members = np.flatnonzero(classes == classes[20])
    matrix, outside = np.zeros((150, 150)), int(np.flatnonzero(classes != classes[20])[0])
    matrix[20, members[[1, 4]]] = [-1, 4]
    matrix[20, outside] = 3
    matrix[20, 20] = 50
    ring = ring_of(make_snapshot(matrix, labels=classes.tolist()), steps, 20)
    assert np.array_equal(ring.members, members) and members[ring.place] == 20
    assert ring.partners.tolist() == [4, 1] and ring.weights.tolist() == [1, 0.25]
    assert ring.outside == pytest.approx(3 / 8) and ring.angle_step is None


def test_a_ring_of_an_image_that_takes_nothing_has_no_partners(steps, make_snapshot):
    ring = ring_of(make_snapshot(np.zeros((150, 150))), steps, 3)
    assert len(ring.partners) == len(ring.weights) == ring.outside == 0


def test_a_ring_keeps_the_order_of_the_data_and_knows_a_full_turn(make_run, make_snapshot):
    classes = [0] * 72 + [1] * 71 + [-1]
    run = make_run(classes=classes, matched=[[0] * 144], dataset="coil20")
    shot = make_snapshot(np.ones((144, 144)), labels=[0] * 144)
    assert ring_of(shot, run, 5).angle_step == 5 and ring_of(shot, run, 5).place == 5
    assert ring_of(shot, run, 80).angle_step is None, "71 of 72 are no full turn"
    assert ring_of(shot, run, 143) is None, "no class"
    run.samples().indices[:72] = np.arange(72)[::-1]
    assert ring_of(shot, run, 5).members.tolist() == list(range(72))[::-1] and ring_of(shot, run, 5).place == 66
    other = make_run("other", classes=classes, matched=[[0] * 144])
    assert ring_of(shot, other, 5).angle_step is None


# Decoded


def test_what_the_others_make_of_an_image_is_decoded_from_their_mix(steps, digits):
    shot, latent, model = take_snapshot(steps, 2), steps.round(2).embeddings, load_model(steps, 2)
    rebuilt = rebuild(model, shot, latent, digits[11], 11)
    z = torch.from_numpy(np.asarray(latent, np.float32))
    with torch.no_grad():
        own, others = model.decode(z)[11, 0], model.decode(torch.from_numpy(shot.coefficients) @ z)[11, 0]
    pixels = to_pixels(digits[11:12])[0, 0]
    assert rebuilt.original.shape == (32, 32) and np.array_equal(rebuilt.original, digits[11, :, :, 0])
    for image, error, decoded in (
        (rebuilt.from_latent, rebuilt.error_latent, own),
        (rebuilt.from_others, rebuilt.error_others, others),
    ):
        assert np.abs(image - np.clip(decoded.numpy(), 0, 1) * 255).max() <= 0.51 and image.dtype == np.uint8
        assert error == pytest.approx((decoded - pixels).square().mean().item(), rel=1e-4)
    assert rebuilt.error_latent < rebuilt.error_others


@pytest.mark.parametrize("as_stored", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_an_image_made_of_itself_is_decoded_from_its_own_latent(steps, digits, make_snapshot, as_stored):
    shot = make_snapshot(as_stored(np.eye(150)))
    rebuilt = rebuild(load_model(steps, 2), shot, steps.round(2).embeddings, digits[3], 3)
    assert np.array_equal(rebuilt.from_others, rebuilt.from_latent)
    assert rebuilt.error_others == rebuilt.error_latent > 0


def test_a_colour_model_gives_colour(make_snapshot):
    model = init_subspace(SubspaceAutoencoder(img_size=8, in_chans=3, channels=2), torch.Generator().manual_seed(0))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    latent = encode_all(model, to_pixels(pixels))[0].numpy()
    rebuilt = rebuild(model, make_snapshot(np.zeros((5, 5))), latent, pixels[2], 2)
    assert np.array_equal(rebuilt.original, pixels[2])
    assert rebuilt.from_latent.shape == rebuilt.from_others.shape == (8, 8, 3)


# Channels


def test_channel_maps_are_the_features_before_the_gate_of_the_latent(steps, digits):
    model = load_model(steps, 2)
    channels = channel_maps(model, digits[5])
    assert channels.maps.shape == (3, 16, 16) and channels.maps.dtype == np.float32 and channels.gate.shape == (3,)
    assert channels.ceiling == channels.maps.max() > 0
    gated = (channels.maps * channels.gate[:, None, None]).ravel()
    np.testing.assert_allclose(gated, steps.round(2).embeddings[5].astype(np.float32), atol=2e-3)


def test_a_model_without_a_gate_has_maps_and_no_gate(subspace_runs, digits):
    channels = channel_maps(load_model(subspace_runs["ridge"], 0), digits[5])
    assert channels.gate is None
    assert np.array_equal(channel_sheet(channels), channel_sheet(channels, gated=True))


def test_the_colours_of_a_sheet_are_those_of_the_figures():
    assert VIRIDIS == SEQUENTIAL_COLORS


def test_a_sheet_shows_all_maps_on_one_scale():
    maps = np.stack([np.full((2, 2), 1.0), np.full((2, 2), 0.5), np.zeros((2, 2))]).astype(np.float32)
    channels = Channels(maps, np.array([0.5, 1.0, 1.0]), 1.0)
    first, half, last = ((253, 231, 37), (33, 145, 140), (68, 1, 84))
    sheet = channel_sheet(channels, cell=8)
    assert sheet.shape == (8, 3 * 8 + 2 * 4, 3) and sheet.dtype == np.uint8
    assert [tuple(sheet[3, column]) for column in (3, 15, 27)] == [first, half, last]
    assert tuple(sheet[3, 9]) == (128, 128, 128), "a gap between two maps"
    gated = channel_sheet(channels, cell=8, gated=True)
    assert [tuple(gated[3, column]) for column in (3, 15, 27)] == [half, half, last]
    assert channel_sheet(channels, cell=8, columns=2).shape == (2 * 8 + 4, 2 * 8 + 4, 3)
    assert tuple(channel_sheet(channels, cell=8, columns=2)[15, 3]) == last
    black = channel_sheet(Channels(np.zeros((1, 2, 2), np.float32), None, 0.0), cell=1, colors=("#010203", "#ffffff"))
    assert black.tolist() == [[[1, 2, 3]] * 2] * 2


# The gate


def test_the_gate_is_averaged_over_images_and_over_each_class(steps):
    shot, record = take_snapshot(steps, 2), steps.round_metrics()[2]
    gates = gates_of(shot)
    np.testing.assert_allclose(gates.mean, record["gate_mean"], atol=1e-3)
    np.testing.assert_allclose(gates.spread, record["gate_spread"], atol=1e-3)
    np.testing.assert_allclose(gates.spread, gate_spread(torch.from_numpy(shot.gate).double()))
    assert gates.by_class.shape == (10, 3)
    np.testing.assert_allclose(gates.by_class[4], shot.gate[shot.classes == 4].mean(axis=0), rtol=1e-5)


def test_a_gate_that_says_the_same_of_every_image_is_dead(make_snapshot):
    gate = np.full((6, 2), 0.5, np.float32)
    shot = make_snapshot(np.eye(6), gate=gate, classes=np.array([0, 0, 2, 2, -1, -1]))
    gates = gates_of(shot)
    assert gates.is_dead and gates.spread.tolist() == [0, 0]
    assert np.isnan(gates.by_class[1]).all() and np.isfinite(gates.by_class[[0, 2]]).all()
    gate[::2, 1] += 0.01
    assert not gates_of(replace(shot, gate=gate)).is_dead
    assert gates_of(replace(shot, classes=np.full(6, -1))).by_class is None
    assert gates_of(replace(shot, gate=None)) is None
