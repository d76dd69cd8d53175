"""Every test of a fault has folders of its own for runs, caches and data sets, and no run is shipped.

Faults of every kind are tested in a quick form always; in a long one, which prints what it measured, with ``pytest -m full``.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vitviz.runs.folder import Run, create_run, own_root
from vitviz.runs.records import Description, Projection, Round, Samples

NUM_IMAGES, DIM, NUM_CLUSTERS = 40, 6, 4
Mutate = Callable[[bytes, np.random.Generator], bytes]


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


@pytest.fixture
def tell(capsys) -> Callable[[str], None]:
    """``tell("a line")``: into the report of the long form, which pytest would otherwise keep to itself."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}", end="", flush=True)

    return write


@pytest.fixture(scope="session")
def mutants() -> Callable[..., Iterator[bytes]]:
    """``mutants(contents, 100, seed=0, near=60)``: as many contents with a few bytes changed, cut, doubled, moved or put in.

    ``near``: most changes fall into the first and last so many bytes, where formats say what they are.
    """

    def make(contents: list[bytes], number: int, *, seed: int, near: int = 64) -> Iterator[bytes]:
        for index in range(number):
            random = np.random.default_rng((seed, index))
            content = contents[index % len(contents)]
            for _ in range(random.integers(1, 4)):
                content = _CHANGES[random.integers(len(_CHANGES))](content, random, near)
            yield content

    return make


def _place(content: bytes, random: np.random.Generator, near: int) -> int:
    low, high = [(0, near), (len(content) - near, len(content)), (0, len(content))][random.integers(3)]
    return int(random.integers(max(low, 0), max(min(high, len(content)), 1)))


def _change_bytes(content: bytes, random: np.random.Generator, near: int) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(random.integers(1, 7)):
        changed[_place(bytes(changed), random, near)] = random.integers(256)
    return bytes(changed)


def _change_number(content: bytes, random: np.random.Generator, near: int) -> bytes:
    """An edge of what fits into one, two or four bytes, where a size may stand."""
    size = int(random.choice([1, 2, 4]))
    value = int(random.choice([0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1]))
    place = _place(content, random, near)
    return content[:place] + value.to_bytes(size, random.choice(["little", "big"])) + content[place + size :]


def _cut(content: bytes, random: np.random.Generator, near: int) -> bytes:
    return content[: _place(content, random, near)]


def _double(content: bytes, random: np.random.Generator, near: int) -> bytes:
    start, length = _place(content, random, near), int(random.integers(1, 200))
    return content[: start + length] + content[start:]


def _drop(content: bytes, random: np.random.Generator, near: int) -> bytes:
    start, length = _place(content, random, near), int(random.integers(1, 40))
    return content[:start] + content[start + length :]


def _put_in(content: bytes, random: np.random.Generator, near: int) -> bytes:
    place = _place(content, random, near)
    return content[:place] + random.bytes(int(random.integers(1, 40))) + content[place:]


_CHANGES = (_change_bytes, _change_bytes, _change_bytes, _change_number, _change_number, _cut, _double, _drop, _put_in)
