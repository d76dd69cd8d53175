"""Every test here has a folder of its own runs and one of shipped ones, both empty, and a way to fill them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vitviz.runs.folder import Run, create_run
from vitviz.runs.records import Description, Round, Samples

NUM_IMAGES, DIM, NUM_CLUSTERS = 20, 6, 3


@pytest.fixture(autouse=True)
def roots(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """The folders of own and of shipped runs."""
    own, shipped = tmp_path / "runs", tmp_path / "shipped"
    monkeypatch.setenv("VITVIZ_RUNS", str(own))
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: shipped)
    return own, shipped


@pytest.fixture
def description() -> Description:
    return Description(
        method="deep_clustering",
        settings={"epochs": 2, "lr": 0.001, "hidden": [4, 4], "limit": None},
        dataset="digits",
        dataset_fingerprint="0123456789abcdef",
        img_size=32,
        num_images=NUM_IMAGES,
        class_names=("null", "eins", "zwei"),
        num_clusters=NUM_CLUSTERS,
        seed=0,
        notes=("a note",),
        created="2026-01-01T00:00:00+00:00",
    )


@pytest.fixture
def samples() -> Samples:
    return Samples(
        np.arange(NUM_IMAGES, dtype=np.int32),
        (np.arange(NUM_IMAGES) % NUM_CLUSTERS).astype(np.int32),
        np.arange(NUM_IMAGES) % 2 == 0,
    )


@pytest.fixture
def new_run(description, samples) -> Callable[..., Run]:
    """``new_run(name)``: an own run without rounds."""
    return lambda name="first": create_run(name, description, samples)


@pytest.fixture
def new_round() -> Callable[..., Round]:
    """``new_round(seed)``: the arrays of a round, all of them from ``seed``."""

    def make(seed: int = 0, *, decoder: bool = True) -> Round:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, NUM_CLUSTERS, NUM_IMAGES).astype(np.int32)
        return Round(
            embeddings=rng.normal(size=(NUM_IMAGES, DIM)).astype(np.float16),
            labels=labels,
            matched_labels=((labels + 1) % NUM_CLUSTERS).astype(np.int32),
            centers=rng.normal(size=(NUM_CLUSTERS, DIM)).astype(np.float32),
            distances=rng.random(NUM_IMAGES).astype(np.float32),
            runner_up_distances=(1 + rng.random(NUM_IMAGES)).astype(np.float32),
            predictions=labels,
            decoder=rng.normal(size=(DIM + 1, 9)).astype(np.float16) if decoder else None,
        )

    return make
