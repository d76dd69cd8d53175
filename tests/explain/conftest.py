"""Runs made by hand: three rounds of thirteen images whose every label, class and distance is written here."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

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
