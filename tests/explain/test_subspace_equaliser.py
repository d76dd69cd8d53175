"""Channels louder and muted: as trained is the run's own way, a factor is a factor on Z, and controls are controls."""

from dataclasses import replace

import numpy as np
import pytest

from vitviz.clustering.metrics import clustering_accuracy
from vitviz.config import from_plain
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem
from vitviz.explain.subspace import take_snapshot
from vitviz.explain.subspace_equaliser import (
    NUM_RANDOM,
    channel_energy,
    equalise,
    equalise_controls,
    equalise_told,
    num_channels,
    random_gates,
    scale_channels,
    scaled_energy,
)
from vitviz.explain.subspace_regroup import regroup, regrouping_of
from vitviz.runs.folder import Run
from vitviz.training.drive import drive
from vitviz.training.setup import start_run
from vitviz.training.subspace_config import SubspaceConfig
from vitviz.training.subspace_model import load_model, to_pixels


@pytest.fixture(scope="module")
def lively(tmp_path_factory) -> Run:
    """A gated run of four channels of which two are loud; of the shared runs most channels are dead."""
    settings = {"limit": 150, "channels": 4, "attention": True, "min_hidden": 2, "epochs": 2, "solver": "neighbors"}
    settings |= {"num_steps": 2, "num_restarts": 3, "seed": 1}
    with pytest.MonkeyPatch.context() as patched:
        for name in ("runs", "cache", "data"):
            patched.setenv(f"VITVIZ_{name.upper()}", str(tmp_path_factory.mktemp(name)))
        run = start_run("lively", "subspace", from_plain(SubspaceConfig, settings))
        drive(run)
    return run


def maps_of(run: Run, folder) -> tuple[np.ndarray, np.ndarray]:
    """The features before the gate and the gate, by the network itself."""
    model = load_model(run, 0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITVIZ_CACHE", str(folder / "cache"))
        pixels = to_pixels(np.array(open_image_set("digits", img_size=32, limit=150).images), in_chans=1)
    output = model(pixels, keep=("features", "gate"))
    return output.features.detach().numpy(), output.gate.detach().numpy()


def test_a_factor_on_a_channel_of_z_is_that_factor_on_the_map_of_the_network(lively, tmp_path):
    """What the stored Z gives is what the encoder with its gate would give behind an equaliser, image by image."""
    features, gate = maps_of(lively, tmp_path)
    gains = np.array([0.0, 1.5, 0.25, 2.0])
    slow = np.stack(
        [
            np.concatenate(
                [gain * factor * one.ravel() for gain, factor, one in zip(gains, factors, maps, strict=True)]
            )
            for maps, factors in zip(features, gate, strict=True)
        ]
    )
    np.testing.assert_allclose(scale_channels(lively.round(0).embeddings, gains), slow, atol=2e-3 * slow.max())


def test_another_gate_takes_the_place_of_the_trained_one(lively, tmp_path):
    features, _ = maps_of(lively, tmp_path)
    gate, shot = np.array([0.2, 0.9, 0.4, 0.7]), take_snapshot(lively, 0)
    found = scale_channels(lively.round(0).embeddings, [1, 1, 1, 1], old_gate=shot.gate, new_gate=gate)
    slow = (features * gate[None, :, None, None]).reshape(len(features), -1)
    np.testing.assert_allclose(found, slow, atol=5e-3 * slow.max())


@pytest.mark.parametrize("name", ["ridge", "neighbors"])
def test_as_trained_is_the_runs_own_way_again(subspace_runs, name):
    run = subspace_runs[name]
    found, shot = equalise(run, 0, [1, 1, 1]), take_snapshot(run, 0)
    again, told = regroup(run, 0, replace(regrouping_of(run, shot), solver=shot.solver))
    assert np.array_equal(found.labels, again.labels)
    assert (found.acc, found.unchanged) == (told["acc"], told["unchanged"])
    assert found.acc == pytest.approx(clustering_accuracy(shot.classes, found.labels))
    assert found.energy.sum() == pytest.approx(1)


def test_a_muted_channel_is_as_if_it_were_not_there(lively):
    muted = equalise(lively, 0, [0, 1, 1, 1])
    latent = np.asarray(lively.round(0).embeddings, np.float32).reshape(150, 4, -1)[:, 1:].reshape(150, -1)
    settings = replace(regrouping_of(lively, take_snapshot(lively, 0)), solver="neighbors")
    without, told = regroup(lively, 0, settings, latent=latent)
    assert np.array_equal(muted.labels, without.labels) and muted.acc == told["acc"]
    assert muted.energy[0] == 0
    assert muted.unchanged < 1, "the channel said something"


def test_the_energy_of_a_channel_grows_with_the_square_of_its_factor():
    latent = np.random.default_rng(0).random((5, 12)).astype(np.float32)
    before, after = channel_energy(latent, 3), channel_energy(scale_channels(latent, [1, 2, 1]), 3)
    np.testing.assert_allclose(scaled_energy(before, np.array([1, 2, 1])), after, rtol=1e-6)
    assert scaled_energy(before, np.zeros(3)).tolist() == [0, 0, 0]
    assert after[1] / after[0] == pytest.approx(4 * before[1] / before[0])
    assert channel_energy(np.zeros((5, 12)), 3).tolist() == [0, 0, 0]


def test_random_gates_have_the_mean_of_the_trained_one_and_know_nothing(make_snapshot):
    gate = np.random.default_rng(1).random((6, 4)).astype(np.float32)
    gates = random_gates(make_snapshot(np.eye(6), gate=gate), 4, count=7)
    assert gates.shape == (7, 4) and np.allclose(gates.mean(axis=1), gate.mean())
    assert len(np.unique(gates.round(6))) == 28
    assert np.array_equal(gates, random_gates(make_snapshot(np.eye(6), gate=gate), 4, count=7)), "the same seed"
    assert np.allclose(random_gates(make_snapshot(np.eye(6)), 2).mean(axis=1), 1)


def test_the_controls_are_told_of_stage_by_stage_and_can_be_stopped(subspace_runs):
    told = []
    control, random = equalise_controls(subspace_runs["neighbors"], 0, lambda *at: told.append(at) or True)
    assert len(random) == NUM_RANDOM and control.gains.tolist() == [1, 1, 1]
    assert told == [(done, 3 * (NUM_RANDOM + 1)) for done in range(3 * (NUM_RANDOM + 1))]
    with pytest.raises(InterruptedError):
        equalise_told(subspace_runs["neighbors"], 0, [1, 1, 1], lambda done, total: done < 2)


def test_factors_that_make_no_sense_are_refused(subspace_runs):
    latent = np.ones((4, 6), np.float32)
    for gains, said in (([0, 0, 0], "no channel says anything"), ([1, 1, 3], "0 to 2"), ([1] * 4, "do not fit")):
        with pytest.raises(Problem, match=said):
            scale_channels(latent, gains)
    assert latent.all(), "no argument is changed"
    assert num_channels(subspace_runs["narrow"]) == 2


def test_the_original_z_is_left_as_it_is():
    latent = np.ones((2, 4), np.float32)
    assert scale_channels(latent, [0.5, 2]).tolist() == [[0.5, 0.5, 2, 2]] * 2
    assert latent.tolist() == [[1] * 4] * 2
