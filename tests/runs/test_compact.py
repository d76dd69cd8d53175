"""A run handed on small: what its numbers still say, and what they no longer can."""

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.runs.compact import KEPT_WEIGHTS, compact_round, coordinates, export_compact, kept_embeddings, whole_centers
from vitviz.runs.folder import Run
from vitviz.runs.records import Projection, Round

NUM, DIM, CLUSTERS, PIXELS = 300, 24, 4, 16


def make_round(seed: int = 0, *, rank: int = 5) -> Round:
    """Embeddings that fill ``rank`` directions and a thousandth of the others."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
    spread = np.where(np.arange(DIM) < rank, np.linspace(8, 3, DIM), 1e-3)
    embeddings = (rng.normal(size=(NUM, DIM)) * spread) @ directions.T + rng.normal(size=DIM)
    labels = rng.integers(0, CLUSTERS, NUM).astype(np.int32)
    centers = np.stack([embeddings[labels == one].mean(axis=0) for one in range(CLUSTERS)]).astype(np.float32)
    distances = np.linalg.norm(embeddings[:, None] - centers, axis=2).astype(np.float32)
    return Round(
        embeddings=embeddings.astype(np.float16),
        labels=labels,
        matched_labels=(labels + 1) % CLUSTERS,
        centers=centers,
        distances=distances[np.arange(NUM), labels],
        runner_up_distances=np.sort(distances, axis=1)[:, 1],
        predictions=np.full(NUM, -1, np.int32),
        decoder=rng.normal(size=(DIM + 1, PIXELS)).astype(np.float16),
    )


@pytest.fixture
def run(new_run):
    run = new_run()
    with run.owned():
        for index in range(3):
            run.save_round(index, make_round(index), {"a": np.full(3, index)})
        points = np.random.default_rng(0).normal(size=(3, NUM, 2))
        run.save_projection(Projection(points=points, engine="pca", seed=0, settings={}))
        run.save_weights({"a": np.full(3, 2.0)})
        run.append_metrics({"kind": "round", "index": 0, "held_out_nmi": 0.5})
        run.set_status("finished")
    return run


def test_distances_within_the_kept_components_are_those_of_the_embeddings():
    whole = make_round()
    small, share = compact_round(whole, 5)
    assert small.embeddings.shape == (NUM, 5) and share > 0.999
    pairs = np.random.default_rng(1).integers(0, NUM, (2, 200))
    before, after = (
        np.linalg.norm(
            one.embeddings.astype(np.float64)[pairs[0]] - one.embeddings.astype(np.float64)[pairs[1]], axis=1
        )
        for one in (whole, small)
    )
    assert np.allclose(after, before, rtol=2e-3, atol=2e-2)


def test_centers_decoder_and_a_new_embedding_meet_in_the_same_space():
    whole = make_round()
    small, _ = compact_round(whole, 5)
    new = whole.embeddings[:7].astype(np.float32)
    inside = coordinates(small, new)
    assert np.allclose(inside, small.embeddings[:7], atol=2e-2)
    assert np.allclose(whole_centers(small), whole.centers, atol=1e-2)
    restored = [z @ np.asarray(d[:-1], np.float32) + d[-1] for z, d in ((new, whole.decoder), (inside, small.decoder))]
    assert np.allclose(*restored, atol=0.1)


def test_an_embedding_of_a_whole_round_stays_as_it_is():
    whole = make_round()
    new = np.ones((2, DIM), np.float32)
    assert coordinates(whole, new) is new and np.array_equal(whole_centers(whole), whole.centers)


def test_a_small_copy_reads_as_the_run_with_ids_distances_and_maps(run, tmp_path):
    share = export_compact(run, tmp_path / "small", num_components=5)
    small = Run(tmp_path / "small")
    assert share > 0.999 and small.num_rounds() == 3 and small.metrics() == run.metrics()
    assert small.status().state == "finished" and small.damaged_files() == []
    for index in range(3):
        old, new = run.round(index), small.round(index)
        for name in ("labels", "matched_labels", "predictions"):
            assert np.array_equal(getattr(old, name), getattr(new, name)) and getattr(new, name).dtype == np.int32
        assert np.allclose(old.distances, new.distances, rtol=1e-3) and new.distances.dtype == np.float32
    assert np.allclose(small.projection().points, run.projection().points, rtol=1e-3, atol=1e-3)
    assert small.projection().points.dtype == np.float32
    assert "5 of 24 principal components" in small.description().notes[-1]
    assert sum(path.stat().st_size for path in small.path.rglob("*.npy")) < sum(
        path.stat().st_size for path in run.path.rglob("*.npy")
    )


def test_the_weights_of_the_first_and_the_last_round_are_kept_and_the_last_are_those_of_the_run(run, tmp_path):
    export_compact(run, tmp_path / "small", num_components=2)
    small = Run(tmp_path / "small")
    assert [small.has_weights(index) for index in range(3)] == [True, False, True]
    assert small.has_weights() and small.weights()["a"].tolist() == [2, 2, 2]
    assert not (small.path / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("weights", "kept"), [("all", [True] * 3), ("last", [False, False, True]), ("none", [False] * 3)]
)
def test_as_many_weights_are_kept_as_asked_and_the_run_says_which(run, tmp_path, weights, kept):
    export_compact(run, tmp_path / "small", num_components=0, weights=weights)
    small = Run(tmp_path / "small")
    assert [small.has_weights(index) for index in range(3)] == kept and small.has_weights() is any(kept)
    assert small.description().notes[-1].endswith(KEPT_WEIGHTS[weights])


def test_without_components_there_are_ids_and_a_map_and_neighbours_are_refused_in_words(run, tmp_path):
    export_compact(run, tmp_path / "small", num_components=0)
    small = Run(tmp_path / "small")
    assert small.round(1).decoder is None and np.array_equal(small.round(1).labels, run.round(1).labels)
    with pytest.raises(Problem, match="handed on without its embeddings"):
        kept_embeddings(small, 0)
    assert kept_embeddings(run, 0).dtype == np.float32


def test_a_run_without_rounds_or_a_folder_that_exists_is_refused(new_run, run, tmp_path):
    with pytest.raises(Problem, match="has no round yet"):
        export_compact(new_run("empty"), tmp_path / "out", num_components=2)
    with pytest.raises(Problem, match="exists"):
        export_compact(run, tmp_path, num_components=2)
