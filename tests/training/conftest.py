"""Every test here has folders of its own; a tiny run on 200 digits takes a fifth of a second."""

import copy
import dataclasses
import hashlib
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from vitviz.config import from_plain
from vitviz.runs.folder import Run, own_root
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS, config_of
from vitviz.training.setup import start_run

TINY = {
    "deep_clustering": {
        "limit": 200,
        "patch_size": 16,
        "embed_dim": 16,
        "depth": 1,
        "epochs": 2,
        "extra_epochs": 0,
        "max_rounds": 2,
        "epochs_per_round": 1,
        "num_restarts": 2,
        "stop_rule": "max_rounds",
        "projection": "none",
    },
    "idec": {
        "limit": 200,
        "embed_dim": 5,
        "hidden": [32],
        "epochs": 3,
        "max_rounds": 3,
        "epochs_per_round": 1,
        "num_restarts": 2,
        "projection": "none",
    },
    "spectral": {"limit": 200, "first_neighbors": 5, "max_rounds": 2, "num_restarts": 2, "projection": "none"},
    "supertokens": {
        "dataset": "digits",
        "img_size": 32,
        "limit": 200,
        "held_out_fraction": 0.5,
        "stride": 8,
        "embed_dim": 16,
        "depth": 1,
        "num_heads": 2,
        "epochs": 2,
        "batch_size": 32,
        "bfloat16": "off",
        "num_restarts": 2,
        "projection": "none",
    },
    "subspace": {
        "limit": 200,
        "channels": 3,
        "attention": True,
        "epochs": 3,
        "num_steps": 4,
        "fixed_step": 3,
        "score_every": 1,
        "round_every": 2,
        "subspace_dim": 4,
        "num_restarts": 2,
    },
    "coat": {
        "dataset": "digits",
        "img_size": 32,
        "limit": 200,
        "held_out_fraction": 0.5,
        "patch_size": 4,
        "embed_dims": [8, 8, 16, 16],
        "serial_depths": [1, 1, 1, 1],
        "mlp_ratios": [2, 2, 2, 2],
        "num_heads": 2,
        "epochs": 2,
        "batch_size": 32,
        "bfloat16": "off",
        "num_restarts": 2,
        "projection": "none",
    },
}


TINY_ANYWHERE = {
    "limit": 200,
    "epochs": 2,
    "max_rounds": 2,
    "epochs_per_round": 1,
    "num_restarts": 2,
    "projection": "none",
}
"""What makes a method small that has no entry above: those of these settings that it has."""

TIMES = ("seconds", "images_per_second")


@pytest.fixture(autouse=True)
def digits_are_parsed_once(_parsed_digits, monkeypatch) -> None:
    """scikit-learn reads its digits from text, which takes a third of a tiny run; here it hands out copies of what it read."""
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: copy.deepcopy(_parsed_digits))


@pytest.fixture(scope="session")
def _parsed_digits():
    from sklearn.datasets import load_digits

    return load_digits()


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch) -> None:
    """Runs, caches and data sets are looked for in the folder of the test, where there are none that are shipped."""
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: tmp_path / "shipped")
    for name in ("runs", "cache", "data"):
        monkeypatch.setenv(f"VITVIZ_{name.upper()}", str(tmp_path / name))


@pytest.fixture
def same_signals() -> Iterator[None]:
    """The command line answers SIGTERM in its own way; the tests' process must not keep that."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Any]:
    """``tiny("idec", lr=0.1)``: a config of the method that is soon done."""

    def make(method: str = "deep_clustering", **changes) -> Any:
        config = METHODS[method].config
        known = {field.name for field in dataclasses.fields(config)}
        small = {name: value for name, value in TINY_ANYWHERE.items() if name in known}
        return from_plain(config, {**TINY.get(method, small), **changes})

    return make


@pytest.fixture
def start(tiny) -> Callable[..., Run]:
    """``start("name", "idec", lr=0.1)``: a new tiny run that is not trained yet."""
    return lambda name="tiny", method="deep_clustering", **changes: start_run(name, method, tiny(method, **changes))


@pytest.fixture
def train(start) -> Callable[..., Run]:
    """``train("name", "idec", lr=0.1)``: a tiny run trained to its end."""

    def to_the_end(*arguments, **changes) -> Run:
        run = start(*arguments, **changes)
        drive(run)
        return run

    return to_the_end


@pytest.fixture
def train_and_stop(start) -> Callable[..., tuple[Run, list[Run]]]:
    """``train_and_stop("idec", lr=0.1)``: a tiny run trained to its end, and copies of it as it stood after each record.

    A copy is what a stop there leaves behind: training has just handed out the record and does nothing more.
    """

    def train(method: str = "deep_clustering", **changes) -> tuple[Run, list[Run]]:
        whole, stopped = start("whole", method, **changes), []
        for _ in METHODS[method].train(config_of(whole), whole):
            stopped.append(Run(shutil.copytree(whole.path, own_root() / f"stop-{len(stopped) + 1}")))
        drive(whole)
        assert len(stopped) == len(whole.metrics())
        return whole, stopped

    return train


@pytest.fixture(scope="session")
def _finished(tmp_path_factory, tiny) -> Iterator[dict[str, Run]]:
    runs = {}
    with pytest.MonkeyPatch.context() as patched:
        for method in TINY:
            patched.setenv("VITVIZ_RUNS", str(tmp_path_factory.mktemp(method)))
            runs[method] = start_run("tiny", method, tiny(method))
            drive(runs[method])
    return runs


@pytest.fixture
def finished(_finished) -> Run:
    """A tiny run of deep clustering, trained to its end; it is shared, so only to be read."""
    return _finished["deep_clustering"]


@pytest.fixture
def finished_idec(_finished) -> Run:
    """A tiny run of IDEC, trained to its end; it is shared, so only to be read."""
    return _finished["idec"]


@pytest.fixture
def finished_supertokens(_finished) -> Run:
    """A tiny super-token classifier, trained to its end; it is shared, so only to be read."""
    return _finished["supertokens"]


@pytest.fixture
def finished_subspace(_finished) -> Run:
    """A tiny run of subspace clustering, trained to its end; it is shared, so only to be read."""
    return _finished["subspace"]


@pytest.fixture
def finished_coat(_finished) -> Run:
    """A tiny CoaT with clustered queries, trained to its end; it is shared, so only to be read."""
    return _finished["coat"]


@pytest.fixture
def own_copy(finished) -> Run:
    """A copy of the tiny run of deep clustering among the test's own runs."""
    shutil.copytree(finished.path, own_root() / "tiny")
    return Run(own_root() / "tiny")


@pytest.fixture(scope="session")
def content_of() -> Callable[[Run], dict[str, Any]]:
    """``content_of(run)``: all that a run came to, to the last bit (files by their sums), but for how long it took."""

    def read(run: Run) -> dict[str, Any]:
        content = {"records": len(run.metrics())}
        for path in sorted((run.path / "rounds").rglob("*.*")):
            content[f"rounds/{path.parent.name}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
        for index, record in enumerate(run.metrics()):
            content |= {f"record {index}: {key}": value for key, value in record.items() if key not in TIMES}
        for name, value in run.weights().items():
            content[f"weights: {name}"] = (value.shape, hashlib.sha256(value.tobytes()).hexdigest())
        return content

    return read


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """Images (200, 32, 32, 3) uint8 of the tiny runs."""
    from vitviz.data.sets import open_image_set

    return open_image_set("digits", limit=200).images
