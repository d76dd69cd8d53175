"""Every test of a fault has folders of its own for runs, caches and data sets, and no run is shipped."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vitviz.runs.folder import Run, create_run, own_root
from vitviz.runs.records import Description, Projection, Round, Samples

NUM_IMAGES, DIM, NUM_CLUSTERS = 40, 6, 4


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch) -> Path:
    """The folder of the test's own runs."""
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: tmp_path / "shipped")
    for name in ("runs", "cache", "data"):
        monkeypatch.setenv(f"VITVIZ_{name.upper()}", str(tmp_path / name))
    return own_root()


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    """The command line answers SIGTERM in its own way; the tests' process must not keep that."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def new_run() -> Callable[..., Run]:
    """``new_run(name)``: an own run of deep clustering without rounds."""

    def make(name: str = "first", **changes) -> Run:
        about = {
            "method": "deep_clustering",
            "settings": {"max_rounds": 2},
            "dataset": "digits",
            "dataset_fingerprint": "0123456789abcdef",
            "img_size": 32,
            "num_images": NUM_IMAGES,
            "class_names": ("a", "b", "c", "d"),
            "num_clusters": NUM_CLUSTERS,
            "seed": 0,
        }
        ids = np.arange(NUM_IMAGES, dtype=np.int32)
        return create_run(name, Description(**{**about, **changes}), Samples(ids, ids % NUM_CLUSTERS, ids % 2 == 0))

    return make


@pytest.fixture
def new_round() -> Callable[[int], Round]:
    """``new_round(seed)``: the arrays of a round, all of them from ``seed``."""

    def make(seed: int = 0) -> Round:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, NUM_CLUSTERS, NUM_IMAGES).astype(np.int32)
        return Round(
            embeddings=rng.normal(size=(NUM_IMAGES, DIM)).astype(np.float16),
            labels=labels,
            matched_labels=labels,
            centers=rng.normal(size=(NUM_CLUSTERS, DIM)).astype(np.float32),
            distances=rng.random(NUM_IMAGES).astype(np.float32),
            runner_up_distances=(1 + rng.random(NUM_IMAGES)).astype(np.float32),
            predictions=labels,
        )

    return make


@pytest.fixture
def fill(new_round) -> Callable[..., Run]:
    """``fill(run, 2)``: the run with a file of every kind, and that many rounds."""

    def write(run: Run, num_rounds: int = 1) -> Run:
        parameters = {"head.weight": np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)}
        for index in range(num_rounds):
            run.save_round(index, new_round(index), parameters)
            run.append_metrics({"kind": "round", "index": index, "loss": 1.0})
        run.save_projection(Projection(points=np.zeros((num_rounds, NUM_IMAGES, 2)), engine="pca", seed=0, settings={}))
        run.save_weights(parameters)
        run.save_resume_point(parameters, {"round": num_rounds, "epoch": 0, "num_rounds": num_rounds})
        run.set_status("cancelled")
        return run

    return write
