"""The leading eigenvectors of a symmetric matrix, dense or sparse: those of the algebraically largest eigenvalues."""

import numpy as np
from scipy import sparse

Matrix = np.ndarray | sparse.csr_array

DENSE_LIMIT = 1500
"""Up to this many rows a sparse matrix is solved in its dense form."""


def leading_eigenpairs(
    symmetric: Matrix, count: int, *, above: float, seed: int = 0, dense_limit: int = DENSE_LIMIT
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (count,), largest first, and their unit vectors (N, count).

    The parts of a sparse matrix that nothing joins are solved one by one, and a large part is inverted about ``above``, a number
    over the largest eigenvalue. Lanczos on the whole, or without that shift, misses copies of eigenvalues that (nearly) coincide,
    and with them whole clusters, when parts of a graph hardly touch.

    Args:
        seed: of the vector that Lanczos starts from; the same seed gives the same vectors.
    """
    size = symmetric.shape[0]
    if sparse.issparse(symmetric) and size > max(dense_limit, 3 * count):
        values, vectors = _leading_of_parts(sparse.csr_array(symmetric, copy=True), count, above, seed, dense_limit)
    else:
        values, vectors = _leading_dense(symmetric, count)
    order = np.argsort(-values, kind="stable")[:count]
    return values[order], vectors[:, order]


def _leading_of_parts(
    symmetric: sparse.csr_array, count: int, above: float, seed: int, dense_limit: int
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse.csgraph import connected_components

    symmetric.eliminate_zeros()
    num_parts, part_of = connected_components(symmetric, directed=False)
    members = np.split(np.argsort(part_of, kind="stable"), np.bincount(part_of).cumsum()[:-1])
    solved = []
    for rows in members:
        part = symmetric if num_parts == 1 else symmetric[rows][:, rows]
        if len(rows) > max(dense_limit, 3 * count):
            solved.append(_leading_sparse(part, count, above, seed))
        else:
            solved.append(_leading_dense(part, count))
    return _merge(members, solved, count)


def _merge(
    members: list[np.ndarray], solved: list[tuple[np.ndarray, np.ndarray]], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` largest of the pairs of all parts, each vector 0 outside the ``members`` of its part."""
    values = np.concatenate([found for found, _ in solved])
    part_of = np.repeat(np.arange(len(solved)), [len(found) for found, _ in solved])
    first = np.concatenate([[0], np.bincount(part_of).cumsum()])
    chosen = np.argsort(-values, kind="stable")[:count]
    vectors = np.zeros((sum(map(len, members)), len(chosen)))
    for column, pair in enumerate(chosen):
        part = part_of[pair]
        vectors[members[part], column] = solved[part][1][:, pair - first[part]]
    return values[chosen], vectors


def _leading_dense(symmetric: Matrix, count: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg import eigh

    dense = symmetric.toarray() if sparse.issparse(symmetric) else symmetric
    return eigh(dense, subset_by_index=(max(len(dense) - count, 0), len(dense) - 1))


def _leading_sparse(symmetric: Matrix, count: int, above: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse.linalg import LinearOperator, eigsh, splu

    size = symmetric.shape[0]
    shifted = (symmetric - above * sparse.eye_array(size)).tocsc()
    # negative definite, so it needs no pivots, and the ordering may keep to the symmetric pattern
    factor = splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    inverse = LinearOperator((size, size), matvec=factor.solve, dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(size)
    return eigsh(symmetric, k=count, sigma=above, OPinv=inverse, v0=start)
