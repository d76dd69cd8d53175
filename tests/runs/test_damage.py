"""A damaged file of a run is named in one sentence; nothing else of the run is lost."""

import contextlib
import random
import re

import numpy as np
import pytest
from scipy import sparse

from vitviz.errors import Problem
from vitviz.runs.folder import Run
from vitviz.runs.records import Coefficients, Projection

READERS = {
    "samples.npz": lambda run: run.samples(),
    "projection.npz": lambda run: run.projection(),
    "coefficients.npz": lambda run: run.coefficients(),
    "weights.safetensors": lambda run: run.weights(),
    "resume.safetensors": lambda run: run.resume_point(),
    "start.safetensors": lambda run: run.start(),
    "rounds/000/weights.safetensors": lambda run: run.weights(0),
    "rounds/000/embeddings.npy": lambda run: run.round(0),
    "rounds/000/labels.npy": lambda run: run.round(0),
}


@pytest.fixture
def run(new_run, new_round):
    """A run with a file of every kind."""
    run = new_run()
    run.save_round(0, new_round(), {"a": np.ones(3, np.float32)})
    run.save_projection(Projection(points=np.zeros((1, 20, 2)), engine="pca", seed=0, settings={"a": 1}))
    run.save_coefficients(
        Coefficients(
            matrices=(sparse.eye_array(20, format="csr"),),
            steps=np.zeros(1, np.int32),
            orders=np.arange(20, dtype=np.int32)[None],
            embeddings=np.zeros((1, 20, 3), np.float16),
            eigenvalues=np.zeros((1, 13)),
            scores=np.zeros((1, 3)),
            made_by={"solver": "neighbors"},
        )
    )
    run.save_weights({"a": np.ones(3, np.float32)})
    run.save_resume_point({"a": np.ones(3), "b": np.array(2)}, {"round": 1, "epoch": 0, "num_rounds": 1})
    run.save_start({"a": np.ones(3, np.float32)})
    return run


def read_all_but(run: Run, name: str) -> None:
    for other, read in READERS.items():
        if other.partition("/")[0] != name.partition("/")[0]:
            assert read(run) is not None
    assert run.description().num_images == 20


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", ["", "x", "half", "zeros", "pickle"])
def test_a_file_that_is_none_is_named(run, name, content):
    path = run.path / name
    whole = path.read_bytes()
    contents = {"half": whole[: len(whole) // 2], "zeros": bytes(len(whole)), "pickle": b"\x80\x04N."}
    path.write_bytes(contents.get(content, content.encode()))
    folder = re.escape(name.rpartition("/")[0] if name.endswith(".npy") else name)
    with pytest.raises(Problem, match=f"^{folder} of run 'first' cannot be read: "):
        READERS[name](Run(run.path))
    read_all_but(Run(run.path), name)


@pytest.mark.parametrize("name", READERS)
def test_a_flipped_bit_is_told_or_harmless_but_never_a_fault(run, name):
    path, draw = run.path / name, random.Random(0)
    content = path.read_bytes()
    for _ in range(150):
        flipped = bytearray(content)
        flipped[draw.randrange(min(len(content), 400))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        with contextlib.suppress(Problem):
            READERS[name](Run(run.path))
    path.write_bytes(content)
    assert READERS[name](Run(run.path)) is not None


def test_samples_that_are_gone_are_named(run):
    (run.path / "samples.npz").unlink()
    with pytest.raises(Problem, match=r"^samples\.npz of run 'first' cannot be read: "):
        Run(run.path).samples()
