"""The leading eigenvectors of sparse matrices against numpy's of the dense ones, above all where eigenvalues coincide."""

import numpy as np
import pytest
from scipy import sparse

from vitviz.clustering.eigenpairs import leading_eigenpairs


def rings(*, num_rings: int, size: int, leak: float = 0.0, seed: int = 0) -> np.ndarray:
    """Equal rings side by side, so that every eigenvalue comes ``num_rings`` times but for the few leaks between them."""
    ring = np.roll(np.eye(size), 1, axis=0) + np.roll(np.eye(size), 2, axis=0) / 2
    whole = np.kron(np.eye(num_rings), ring)
    first, second = np.random.default_rng(seed).integers(0, len(whole), (2, 3 * num_rings))
    whole[first, second] += leak
    return whole + whole.T


@pytest.mark.parametrize("leak", [0.0, 1e-6, 1e-2])
@pytest.mark.parametrize(("num_rings", "size", "count"), [(20, 40, 61), (40, 20, 41), (10, 60, 25), (5, 30, 5)])
def test_copies_of_an_eigenvalue_are_all_found(num_rings, size, count, leak):
    matrix = rings(num_rings=num_rings, size=size, leak=leak)
    above = np.abs(matrix).sum(axis=1).max() * 1.0001
    values, vectors = leading_eigenpairs(sparse.csr_array(matrix), count, above=above, dense_limit=0)
    assert np.allclose(values, np.linalg.eigvalsh(matrix)[::-1][:count], atol=1e-9)
    assert np.allclose(matrix @ vectors, vectors * values, atol=1e-7)
    assert np.allclose(vectors.T @ vectors, np.eye(count), atol=1e-8)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_dense_and_small_matrices_are_solved_exactly(kind):
    matrix = rings(num_rings=3, size=8)
    values, vectors = leading_eigenpairs(kind(matrix), 7, above=9.0)
    assert np.allclose(values, np.linalg.eigvalsh(matrix)[::-1][:7], atol=1e-12)
    assert np.allclose(matrix @ vectors, vectors * values, atol=1e-12)
    assert len(leading_eigenpairs(kind(matrix), 99, above=9.0)[0]) == 24


def test_the_same_seed_gives_the_same_vectors():
    matrix = sparse.csr_array(rings(num_rings=6, size=20, leak=0.1))
    first, second = (leading_eigenpairs(matrix, 8, above=4.0, seed=3, dense_limit=0) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
