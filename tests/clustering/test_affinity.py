"""Affinities: laws over both rules and both kinds of C, the threshold by hand, and DSC-Net's steps in slow float64."""

import numpy as np
import pytest
from scipy import sparse

from vitviz.clustering.affinity import (
    AFFINITIES,
    AffinitySettings,
    in_block_mass,
    ji_affinity,
    make_affinity,
    simple_affinity,
    threshold_columns,
)
from vitviz.errors import Problem

KINDS = {"dense": np.asarray, "sparse": sparse.csr_array}


def planted(*, num_blocks: int = 3, size: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (N, N) within blocks only, some negative, about a third of them, and the block of each row."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num_blocks * size) % num_blocks
    values = rng.normal(0.3, 0.2, (len(labels),) * 2) * (rng.random((len(labels),) * 2) < 0.5)
    return np.where(labels[:, None] == labels, values, 0.0), labels


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else matrix


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture(params=AFFINITIES)
def affinity(request) -> str:
    return request.param


def test_an_affinity_is_symmetric_not_negative_and_nothing_of_an_image_with_itself(affinity, kind):
    coefficients = kind(planted()[0])
    found = make_affinity(coefficients, affinity, 3)
    assert sparse.issparse(found) == sparse.issparse(coefficients)
    found = dense(found)
    assert found.shape == (36, 36) and found.dtype == np.float64
    assert np.array_equal(found, found.T)
    assert found.min() >= 0 and found.any() and not found.diagonal().any()


def test_planted_blocks_share_nothing_with_one_another(affinity, kind):
    coefficients, labels = planted()
    found = make_affinity(kind(coefficients), affinity, 3, AffinitySettings(threshold=1.0, dim=3))
    assert in_block_mass(found, labels) == pytest.approx(1, abs=1e-9)


def test_the_order_of_the_images_does_not_matter(affinity, kind):
    coefficients, order = planted()[0], np.random.default_rng(2).permutation(36)
    settings = AffinitySettings(dim=4)
    before = dense(make_affinity(kind(coefficients), affinity, 3, settings))
    after = dense(make_affinity(kind(coefficients[order][:, order]), affinity, 3, settings))
    assert np.allclose(before[order][:, order], after, atol=1e-9)


def test_what_an_image_takes_of_itself_does_not_matter_and_nothing_given_is_changed(affinity, kind):
    coefficients = planted()[0]
    heavy = coefficients + np.diag(np.full(36, 50.0))
    given = kind(heavy.copy())
    found = make_affinity(given, affinity, 3)
    assert np.allclose(dense(found), dense(make_affinity(kind(coefficients), affinity, 3)), atol=1e-12)
    assert np.array_equal(dense(given), heavy)


def test_an_image_that_shares_nothing_gets_a_row_of_zeros(affinity, kind):
    coefficients = planted()[0]
    coefficients[5], coefficients[:, 5] = 0, 0
    found = dense(make_affinity(kind(coefficients), affinity, 3))
    assert np.isfinite(found).all() and not found[5].any() and not found[:, 5].any()


def test_no_coefficients_at_all_give_no_affinity(affinity, kind):
    assert not dense(make_affinity(kind(np.zeros((6, 6))), affinity, 2)).any()


def test_the_simple_rule_is_the_sum_of_the_magnitudes_both_ways(kind):
    coefficients = np.array([[9.0, -1, 0], [2, 9, 0], [0, -3, 9]])
    assert np.array_equal(dense(simple_affinity(kind(coefficients))), [[0, 3, 0], [3, 0, 3], [0, 3, 0]])


def slow_ji(coefficients: np.ndarray, rank: int, power: float) -> np.ndarray:
    without = coefficients - np.diag(np.diag(coefficients))
    symmetric = (without + without.T) / 2 + np.eye(len(without))
    left, singular, _ = np.linalg.svd(symmetric)
    rows = left[:, :rank] * np.sqrt(singular[:rank])
    cosines = rows @ rows.T / np.outer(*2 * [np.linalg.norm(rows, axis=1)])
    return np.where(cosines > 0, np.abs(cosines), 0) ** power * (1 - np.eye(len(without)))


def test_the_rule_of_dsc_net_is_its_steps_one_by_one():
    coefficients = planted()[0] / 8  # so small that I + S has no negative eigenvalue, and the SVD is its eigenvectors
    settings = AffinitySettings(threshold=1.0, dim=3, power=4.0)
    expected = slow_ji(coefficients, 3 * 3 + 1, 4.0)
    assert np.allclose(ji_affinity(coefficients, 3, settings), expected, atol=1e-9)
    thresholded = slow_ji(threshold_columns(coefficients - np.diag(np.diag(coefficients)), 0.3), 10, 4.0)
    settings = AffinitySettings(threshold=0.3, dim=3, power=4.0)
    assert np.allclose(ji_affinity(coefficients, 3, settings), thresholded, atol=1e-9)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_diagonal_that_counts_is_thresholded_with_the_rest_and_then_dropped(share, kind):
    coefficients = planted()[0] / 8 + np.diag(np.random.default_rng(3).random(36) / 20)
    given = kind(coefficients.copy())
    found = ji_affinity(given, 3, AffinitySettings(threshold=share, count_diagonal=True, dim=3, power=4.0))
    kept = threshold_columns(coefficients, share)
    expected = slow_ji(kept, 3 * 3 + 1, 4.0)
    # of a sparse C only the pairs that express each other have an affinity
    linked = (kept != 0) | (kept != 0).T if sparse.issparse(found) else True
    assert np.allclose(dense(found), np.where(linked, expected, 0), atol=1e-9)
    assert np.array_equal(dense(given), coefficients)


def test_whether_the_diagonal_counts_matters_only_where_there_is_one_and_a_threshold(kind):
    coefficients = planted()[0]
    np.fill_diagonal(coefficients, 0)
    heavy = coefficients + np.diag(np.full(36, 0.5))
    for matrix, share, is_same in ((coefficients, 0.5, True), (heavy, 1.0, True), (heavy, 0.5, False)):
        first, second = (
            dense(ji_affinity(kind(matrix), 3, AffinitySettings(threshold=share, count_diagonal=counts, dim=3)))
            for counts in (False, True)
        )
        assert np.array_equal(first, second) == is_same


def test_a_diagonal_that_counts_and_exceeds_the_share_leaves_an_image_alone(kind):
    coefficients = planted()[0]
    coefficients[5] = 0
    coefficients[5, 5] = 1e3
    alone, joined = (
        dense(ji_affinity(kind(coefficients), 3, AffinitySettings(threshold=0.5, count_diagonal=counts, dim=3)))
        for counts in (True, False)
    )
    assert np.isfinite(alone).all() and not alone[5].any() and joined[5].any()


def test_of_a_sparse_c_the_cosines_are_those_of_the_dense_one_where_images_express_each_other():
    coefficients = planted()[0]
    settings = AffinitySettings(threshold=1.0, dim=3)
    whole, part = ji_affinity(coefficients, 3, settings), ji_affinity(sparse.csr_array(coefficients), 3, settings)
    linked = (coefficients != 0) | (coefficients != 0).T
    assert np.allclose(part.toarray(), np.where(linked, whole, 0), atol=1e-9)


def test_a_dense_c_is_thresholded_unless_told_otherwise_and_a_sparse_one_is_not():
    coefficients = planted()[0]
    for kind, threshold in (("dense", 0.04), ("sparse", 1.0)):
        given = KINDS[kind](coefficients)
        told = ji_affinity(given, 3, AffinitySettings(threshold=threshold))
        assert np.array_equal(dense(ji_affinity(given, 3)), dense(told))


@pytest.mark.parametrize("share", [0.04, 0.3, 0.9, 1.0])
def test_the_threshold_keeps_the_fewest_largest_entries_that_exceed_the_share_of_each_column(share, kind):
    coefficients = np.random.default_rng(1).normal(size=(20, 20)) ** 3
    kept = dense(threshold_columns(kind(coefficients), share))
    assert set(kept[kept != 0]) <= set(coefficients.ravel())
    for own, column in zip(kept.T, coefficients.T, strict=True):
        sizes, total = np.abs(own[own != 0]), np.abs(column).sum()
        if share < 1:
            assert sizes.sum() > share * total >= sizes.sum() - sizes.min()
        else:
            assert np.array_equal(own, column)
        assert sizes.min() >= np.abs(column[own == 0]).max(initial=0)


def test_the_threshold_by_hand_works_on_columns_and_not_on_rows(kind):
    coefficients = np.array([[0.0, 5, 0], [-6, 0, 0], [4, 5, 0]])
    assert np.array_equal(dense(threshold_columns(kind(coefficients), 0.5)), [[0, 5, 0], [-6, 0, 0], [0, 5, 0]])
    assert np.array_equal(dense(threshold_columns(kind(coefficients), 0.6)), [[0, 5, 0], [-6, 0, 0], [4, 5, 0]][:3])


def test_the_mass_in_blocks_is_the_share_of_pairs_of_one_label(kind):
    affinity = np.array([[7.0, 1, 2], [1, 7, 0], [2, 0, 7]])
    assert in_block_mass(kind(affinity), np.array([0, 0, 1])) == pytest.approx(1 / 3)
    assert in_block_mass(kind(np.eye(3)), np.array([0, 0, 1])) == 0


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: make_affinity(np.zeros((2, 3)), "ji", 2), r"\(2, 3\) must be square"),
        (lambda: make_affinity(np.full((2, 2), np.nan), "ji", 2), "not finite"),
        (lambda: make_affinity(np.eye(2), "cosine", 2), "affinity='cosine' must be one of simple, ji"),
        (lambda: make_affinity(np.eye(2), "ji", 0), "num_clusters=0"),
        (lambda: AffinitySettings(threshold=0.0), "threshold=0.0 must be over 0"),
        (lambda: AffinitySettings(dim=0), "dim=0"),
        (lambda: AffinitySettings(power=-1.0), "power=-1.0 must be positive"),
    ],
)
def test_what_does_not_fit_is_refused(make, rule):
    with pytest.raises(Problem, match=rule):
        make()
