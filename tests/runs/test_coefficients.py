"""``coefficients.npz``: dense and sparse C come back as float16 kept them, and never more of them than there are rounds."""

import numpy as np
import pytest
from scipy import sparse

from vitviz.errors import Problem
from vitviz.runs.export import export_folder
from vitviz.runs.folder import Run
from vitviz.runs.records import Coefficients

SIZE, NUM_CLUSTERS, CHANNELS = 20, 3, 2


def made(num_rounds: int, *, is_sparse: bool = False, gates: bool = True) -> Coefficients:
    rng = np.random.default_rng(num_rounds)
    dense = [rng.random((SIZE, SIZE)) * (rng.random((SIZE, SIZE)) < 0.2) for _ in range(num_rounds)]
    return Coefficients(
        matrices=tuple(sparse.csr_array(matrix) if is_sparse else matrix for matrix in dense),
        steps=5 * np.arange(num_rounds, dtype=np.int32),
        orders=np.stack([rng.permutation(SIZE).astype(np.int32) for _ in range(num_rounds)]),
        embeddings=rng.normal(size=(num_rounds, SIZE, NUM_CLUSTERS)).astype(np.float16),
        eigenvalues=rng.random((num_rounds, NUM_CLUSTERS + 10)),
        scores=np.array([[0.5, np.nan, 0.1]] * num_rounds),
        gates=rng.random((num_rounds, SIZE, CHANNELS)).astype(np.float16) if gates else None,
        made_by={"solver": "adam", "threshold": None, "seed": 3},
    )


@pytest.fixture
def run(new_run, new_round) -> Run:
    """A run of two rounds."""
    run = new_run()
    for index in range(2):
        run.save_round(index, new_round(index))
    return run


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else matrix


@pytest.mark.parametrize("gates", [True, False])
@pytest.mark.parametrize("is_sparse", [True, False])
def test_what_is_saved_comes_back(run, is_sparse, gates):
    kept = made(2, is_sparse=is_sparse, gates=gates)
    run.save_coefficients(kept)
    found = run.coefficients()
    assert len(found.matrices) == 2 and found.made_by == kept.made_by
    for one, other in zip(found.matrices, kept.matrices, strict=True):
        assert sparse.issparse(one) == is_sparse
        assert np.array_equal(dense(one), dense(other).astype(np.float16))
    for name in ("steps", "orders", "embeddings", "eigenvalues", "scores", "gates"):
        one, other = getattr(found, name), getattr(kept, name)
        assert (one is None and other is None) or np.array_equal(one, other, equal_nan=True)


def test_a_run_without_them_has_none(run):
    assert run.coefficients() is None


def test_a_reader_sees_no_more_of_them_than_there_are_rounds(run):
    run.save_coefficients(made(3))
    found = run.coefficients()
    assert len(found.matrices) == len(found.steps) == len(found.gates) == len(found.orders) == 2
    run.rewind(num_records=0, num_rounds=1)
    assert len(run.coefficients().matrices) == 1


def test_a_killed_writer_leaves_the_file_as_it_was(run, monkeypatch):
    run.save_coefficients(made(1))
    monkeypatch.setattr("numpy.savez", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.save_coefficients(made(2))
    monkeypatch.undo()
    assert len(Run(run.path).coefficients().matrices) == 1 and not list(run.path.glob(".tmp-*"))


def test_rows_that_point_outside_are_refused(run):
    run.save_coefficients(made(1, is_sparse=True))
    with np.load(run.path / "coefficients.npz") as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["matrix_000.indices"][0] = SIZE + 7
    np.savez(run.path / "coefficients.npz", **changed)
    with pytest.raises(Problem, match=r"^coefficients\.npz of run 'first' cannot be read: "):
        run.coefficients()


@pytest.mark.parametrize("content", [b"nothing", b"", b"PK\x03\x04nothing"])
def test_a_file_of_anything_else_is_refused_without_advice_to_run_it(run, content):
    run.save_coefficients(made(1))
    (run.path / "coefficients.npz").write_bytes(content)
    with pytest.raises(Problem, match=r"^coefficients\.npz of run 'first' cannot be read: ") as refused:
        run.coefficients()
    assert "pickle" not in str(refused.value)


def test_they_go_with_an_exported_run(run, tmp_path):
    run.save_coefficients(made(2))
    export_folder(run, tmp_path / "out")
    assert np.array_equal(Run(tmp_path / "out").coefficients().matrices[1], run.coefficients().matrices[1])
