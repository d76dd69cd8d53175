"""Runs made by hand: three rounds of thirteen images whose every label, class and distance is written here."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from vitviz.clustering.affinity import AffinitySettings
from vitviz.config import from_plain
from vitviz.explain.subspace import Snapshot
from vitviz.runs.folder import Run, create_run
from vitviz.runs.records import Description, Round, Samples

CLASSES = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, -1]
MATCHED = [
    [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0],
    [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 1, 0, 1],
    [0, 0, 0, 0, 1, 1, 2, 0, 2, 2, 1, 2, 2],
]
RAW_OF_MATCHED = [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
"""What k-means had called each matched cluster, round by round."""
LOSSES = [1.0, 0.9, 0.89]


@pytest.fixture(autouse=True)
def roots(tmp_path, monkeypatch) -> None:
    """The folders of own and of shipped runs are the test's own."""
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: tmp_path / "shipped")


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """``make_run("name", seed=1, settings={...}, matched=[...])``: a run of given labels, with records of its rounds."""

    def make(
        name: str = "hand",
        *,
        matched: Sequence[Sequence[int]] = MATCHED,
        classes: Sequence[int] = CLASSES,
        settings: dict | None = None,
        **about,
    ) -> Run:
        samples = Samples(
            np.arange(len(classes), dtype=np.int32) * 2,
            np.array(classes, np.int32),
            np.arange(len(classes)) % 2 == 1,
        )
        run = create_run(
            name, _description(samples, {"cluster_weight": 0.5, "seed": 0, **(settings or {})}, about), samples
        )
        for index, labels in enumerate(matched):
            run.save_round(index, make_round(np.array(labels, np.int32), index))
            run.append_metrics(_record(index))
        return run

    return make


SUBSPACE = {
    "limit": 150,
    "channels": 3,
    "attention": True,
    "epochs": 8,
    "lr": 1e-2,
    "num_steps": 6,
    "fixed_step": 4,
    "score_every": 1,
    "round_every": 2,
    "subspace_dim": 4,
    "num_restarts": 3,
}
SUBSPACE_RUNS = {
    "steps": {},
    "steps-s1": {"seed": 1},
    "steps-s2": {"seed": 2, "score_every": 2, "projection": "none"},
    "narrow": {"seed": 1, "channels": 2},
    "ridge": {"solver": "ridge", "attention": False, "count_diagonal": True, "threshold": 0.5},
    "neighbors": {"solver": "neighbors", "attention": False},
}


@pytest.fixture(scope="session")
def subspace_runs(tmp_path_factory) -> dict[str, Run]:
    """Subspace runs on 150 digits, trained to their end, by name; they are shared, so only to be read."""
    from vitviz.training.drive import drive
    from vitviz.training.setup import start_run
    from vitviz.training.subspace_config import SubspaceConfig

    runs = {}
    with pytest.MonkeyPatch.context() as patched:
        for name in ("runs", "cache", "data"):
            patched.setenv(f"VITVIZ_{name.upper()}", str(tmp_path_factory.mktemp(name)))
        for name, changes in SUBSPACE_RUNS.items():
            runs[name] = start_run(name, "subspace", from_plain(SubspaceConfig, {**SUBSPACE, **changes}))
            drive(runs[name])
    return runs


@pytest.fixture
def make_snapshot() -> Callable[..., Snapshot]:
    """``make_snapshot(C, labels=[...])``: a C (N, N), dense or sparse, and what else a test wants of its snapshot."""

    def make(coefficients, labels: Sequence[int] = (), **changes: Any) -> Snapshot:
        number = coefficients.shape[0]
        labels = np.array(labels or np.arange(number) % 3, np.int32)
        given = {
            "run": "hand",
            "round": 0,
            "step": 30,
            "solver": "neighbors" if sparse.issparse(coefficients) else "adam",
            "affinity": "ji",
            "settings": AffinitySettings(dim=2),
            "num_clusters": 3,
            "seed": 0,
            "labels": labels,
            "classes": labels,
            "cluster_order": np.lexsort((np.arange(number), labels)).astype(np.int32),
            "embedding": np.eye(3, dtype=np.float32)[labels % 3],
            "eigenvalues": np.arange(6) / 6,
            "gate": None,
        }
        return Snapshot(coefficients=coefficients.astype(np.float32), **{**given, **changes})

    return make


@pytest.fixture
def scattered() -> np.ndarray:
    """A C (40, 40) float32 of either sign with a diagonal, four in five entries 0, a column of zeros, and equal magnitudes."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 40)) * (rng.random((40, 40)) < 0.2)
    matrix[:, 7] = 0
    matrix[:, 9] = np.where(np.arange(40) % 2, 0.5, -0.5)
    return matrix.astype(np.float16).astype(np.float32)


def make_round(matched: np.ndarray, index: int) -> Round:
    """Embeddings on a line, distances that grow with the row, so that every order is known beforehand."""
    num_clusters = int(matched.max()) + 1
    raw_of = np.array((RAW_OF_MATCHED[index % 3] if num_clusters == 3 else np.arange(num_clusters)), np.int32)
    rows = np.arange(len(matched))
    return Round(
        embeddings=np.stack([rows, matched], axis=1).astype(np.float16),
        labels=raw_of[matched],
        matched_labels=matched,
        centers=np.zeros((num_clusters, 2), np.float32),
        distances=(20 - rows).astype(np.float32),
        runner_up_distances=np.full(len(matched), 40, np.float32),
        predictions=matched,
    )


def _description(samples: Samples, settings: dict, about: dict) -> Description:
    given = {
        "method": "deep_clustering",
        "dataset": "by hand",
        "dataset_fingerprint": "0123456789abcdef",
        "img_size": 8,
        "num_images": len(samples.indices),
        "class_names": ("null", "eins", "zwei"),
        "num_clusters": 3,
        "seed": settings["seed"],
    }
    return Description(settings=settings, **{**given, **about})


def _record(index: int) -> dict:
    held_out_nmi = None if index == 1 else 0.5 + index / 10
    return {
        "kind": "round",
        "index": index,
        "loss": LOSSES[index % 3],
        "changed_share": 0.1,
        "held_out_nmi": held_out_nmi,
        "train_nmi": 0.9,
        "random_nmi": 0.01,
        "within_share": 0.3 - index / 10,
    }
