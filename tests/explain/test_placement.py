"""A picture placed in the rounds of a shipped run: an image it was trained on must fall where the run keeps it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.explain.placement import place_image
from vitviz.explain.restoration import restore_samples
from vitviz.runs.compact import export_compact
from vitviz.runs.folder import Run, own_root

DIGITS = Path(__file__).resolve().parents[2] / "checkpoints" / "digits"
IMAGES = (0, 5, 130, 700, 1500)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> np.ndarray:
    from vitviz.data.sets import open_image_set

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITVIZ_CACHE", str(tmp_path_factory.mktemp("cache")))
        return open_image_set("digits").images


@pytest.fixture(scope="module")
def placements(images) -> dict:
    """Sample to its placement in the shipped run."""
    run = Run(DIGITS)
    return {sample: place_image(run, images[run.samples().indices[sample]]) for sample in IMAGES}


@pytest.fixture
def own_copy() -> Run:
    """A copy of the shipped run, to be damaged."""
    return Run(Path(shutil.copytree(DIGITS, own_root() / "copied")))


@pytest.mark.parametrize("sample", IMAGES)
def test_an_image_of_the_run_lands_in_its_stored_cluster_in_every_round(placements, sample):
    run = Run(DIGITS)
    stored = [run.round(index).matched_labels[sample] for index in range(run.num_rounds())]
    assert placements[sample].clusters.tolist() == stored
    assert len(stored) > 2


@pytest.mark.parametrize("sample", IMAGES)
def test_an_image_of_the_run_is_its_own_nearest_neighbour_as_far_from_its_center_as_stored(placements, sample):
    run, placement = Run(DIGITS), placements[sample]
    assert placement.distances.shape == (run.num_rounds(), 10)
    for index in range(run.num_rounds()):
        assert placement.neighbors[index][0] == sample
        assert placement.distances[index].min() == pytest.approx(run.round(index).distances[sample], rel=0.02)
        assert np.sort(placement.distances[index])[1] == pytest.approx(
            run.round(index).runner_up_distances[sample], rel=0.02
        )


@pytest.mark.parametrize("sample", IMAGES)
def test_an_image_of_the_run_lies_near_its_place_on_every_map(placements, sample):
    maps = Run(DIGITS).projection().points
    width = np.ptp(maps.reshape(-1, 2), axis=0).max()
    off = np.linalg.norm(placements[sample].points - maps[:, sample], axis=1)
    assert placements[sample].points.shape == (len(maps), 2)
    assert off.max() < 0.05 * width


def test_an_image_of_the_run_is_restored_as_from_its_stored_embedding(placements):
    run, placement = Run(DIGITS), placements[5]
    for index in range(run.num_rounds()):
        stored = restore_samples(run, index, np.array([5]))[0]
        assert np.abs(placement.restored[index].astype(int) - stored).mean() < 2


def test_a_picture_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(Problem, match=r"the picture is 16 x 24.*32 px squares"):
        place_image(Run(DIGITS), np.zeros((24, 16, 3), np.uint8))


def test_a_picture_is_placed_in_the_rounds_whose_weights_were_kept(own_copy, images, placements):
    for index in (1, 2):
        (own_copy.path / "rounds" / f"{index:03d}" / "weights.safetensors").unlink()
    placement, whole = place_image(own_copy, images[own_copy.samples().indices[5]]), placements[5]
    kept = [0, *range(3, own_copy.num_rounds())]
    assert placement.rounds.tolist() == kept and len(whole.rounds) == own_copy.num_rounds()
    for name in ("clusters", "distances", "points", "neighbors", "restored"):
        assert np.array_equal(getattr(placement, name), getattr(whole, name)[kept])


def test_a_run_without_weights_is_refused_with_the_setting_that_keeps_them(own_copy, images):
    for path in own_copy.path.glob("rounds/*/weights.safetensors"):
        path.unlink()
    with pytest.raises(Problem, match="keep-round-weights=true"):
        place_image(own_copy, images[0])


def test_in_a_small_copy_an_image_is_as_far_from_its_center_as_stored(images, tmp_path, placements):
    run = Run(DIGITS)
    export_compact(run, tmp_path / "small", num_components=12)
    placement, last = place_image(Run(tmp_path / "small"), images[run.samples().indices[5]]), run.num_rounds() - 1
    assert placement.rounds.tolist() == [0, last]
    assert placement.clusters.tolist() == placements[5].clusters[[0, last]].tolist()
    assert np.allclose(placement.distances, placements[5].distances[[0, last]], rtol=0.02)


def test_a_run_without_maps_and_decoders_still_names_the_cluster(own_copy, images, placements):
    (own_copy.path / "projection.npz").unlink()
    for decoder in own_copy.path.glob("rounds/*/decoder.npy"):
        decoder.unlink()
    placement = place_image(own_copy, images[own_copy.samples().indices[0]])
    assert (placement.points, placement.restored) == (None, None)
    assert placement.clusters.tolist() == placements[0].clusters.tolist()
