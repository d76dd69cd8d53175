"""Scores: laws over all of them, scikit-learn and brute force as oracles, and where a score is not defined."""

from itertools import permutations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from vitviz.clustering.metrics import ami, ari, clustering_accuracy, contingency, nmi, scores, within_share

MEASURES = {"nmi": nmi, "acc": clustering_accuracy, "ari": ari, "ami": ami}
NEVER_NEGATIVE = ("nmi", "acc")


def random_ids(seed: int, *, num: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Two id arrays that agree in part: 1 to 6 ids each, 2 to 200 images."""
    rng = np.random.default_rng(seed)
    num = num or int(rng.integers(2, 200))
    first = rng.integers(0, rng.integers(1, 7), num)
    second = np.where(rng.random(num) < rng.random(), first, rng.integers(0, rng.integers(1, 7), num))
    return first, second


def brute_force_accuracy(classes: np.ndarray, labels: np.ndarray) -> float:
    """The best share over every one-to-one naming of clusters by classes, the shorter side filled up with strangers."""
    size = max(classes.max(), labels.max()) + 1
    return max(float((np.array(names)[labels] == classes).mean()) for names in permutations(range(size)))


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize("seed", range(10))
def test_a_score_is_symmetric_bounded_and_blind_to_names_and_order(measure, seed):
    first, second = random_ids(seed)
    value = measure(first, second)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(first))
    assert measure(second, first) == pytest.approx(value, abs=1e-12)
    assert measure(rng.permutation(9)[first], rng.permutation(7)[second]) == pytest.approx(value, abs=1e-12)
    assert measure(first[order], second[order]) == pytest.approx(value, abs=1e-12)
    assert -1 <= value <= 1 + 1e-12


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_ids_agree_with_themselves_perfectly(measure):
    first, _ = random_ids(0, num=50)
    assert measure(first, (first + 3) % 7) == pytest.approx(1)


@pytest.mark.parametrize("name", NEVER_NEGATIVE)
@pytest.mark.parametrize("seed", range(10))
def test_some_scores_are_never_negative(name, seed):
    first, second = random_ids(seed)
    assert 0 <= MEASURES[name](first, np.random.default_rng(seed).permutation(second)) <= 1


@pytest.mark.parametrize("name", ["ari", "ami"])
def test_scores_adjusted_for_chance_are_about_zero_for_random_ids(name):
    rng = np.random.default_rng(0)
    values = [MEASURES[name](rng.integers(0, 5, 300), rng.integers(0, 5, 300)) for _ in range(20)]
    assert abs(np.mean(values)) < 0.01
    assert min(values) < 0 < max(values)


@pytest.mark.parametrize("seed", range(40))
def test_nmi_ari_and_ami_are_those_of_scikit_learn(seed):
    first, second = random_ids(seed)
    assert ari(first, second) == pytest.approx(sklearn_metrics.adjusted_rand_score(first, second), abs=1e-9)
    assert ami(first, second) == pytest.approx(sklearn_metrics.adjusted_mutual_info_score(first, second), abs=1e-9)
    if len(np.unique(first)) > 1 and len(np.unique(second)) > 1:
        assert nmi(first, second) == pytest.approx(
            sklearn_metrics.normalized_mutual_info_score(first, second), abs=1e-9
        )


def test_ari_holds_for_a_hundred_thousand_images():
    first, second = random_ids(3, num=100_000)
    assert ari(first, second) == pytest.approx(sklearn_metrics.adjusted_rand_score(first, second), abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_accuracy_is_the_best_over_all_one_to_one_namings(seed):
    rng = np.random.default_rng(seed)
    classes, labels = rng.integers(0, rng.integers(1, 6), 30), rng.integers(0, rng.integers(1, 6), 30)
    assert clustering_accuracy(classes, labels) == pytest.approx(brute_force_accuracy(classes, labels), abs=1e-12)


def test_a_class_split_over_two_clusters_counts_the_larger_half():
    assert clustering_accuracy(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 2, 1, 1])) == pytest.approx(4 / 5)
    assert clustering_accuracy(np.array([0, 0, 1, 1, 2]), np.zeros(5, int)) == pytest.approx(2 / 5)


def test_contingency_counts_every_meeting_once():
    first, second = random_ids(1, num=100)
    table = contingency(first, second)
    counted = [[np.sum((first == a) & (second == b)) for b in range(second.max() + 1)] for a in range(first.max() + 1)]
    assert table.tolist() == np.array(counted).tolist()
    assert contingency(first[:0], second[:0]).shape == (0, 0)


def test_images_without_a_label_are_left_out():
    classes, labels = random_ids(2, num=80)
    hidden = np.random.default_rng(0).random(80) < 0.3
    found = scores(np.where(hidden, -1, classes), labels, prefix="train_")
    assert found == {f"train_{name}": measure(classes[~hidden], labels[~hidden]) for name, measure in MEASURES.items()}


@pytest.mark.parametrize(
    "classes", [[], [0], [-1, -1, -1], [2, 2, 2], [-1, 4, 4]], ids=["none", "one", "unlabelled", "one class", "mixed"]
)
def test_a_score_that_is_not_defined_is_none(classes):
    found = scores(np.array(classes, int), np.arange(len(classes)))
    assert found == dict.fromkeys(MEASURES)


def test_ids_that_carry_no_information_share_none():
    constant, varied = np.zeros(6, int), np.array([0, 0, 1, 1, 2, 2])
    assert nmi(constant, varied) == nmi(varied, constant) == nmi(constant, constant) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_within_share_is_one_minus_the_explained_variance(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 60)
    points = rng.normal(size=(60, 5)) + 2 * rng.normal(size=(4, 5))[labels] + 100
    means = np.stack([points[labels == label].mean(axis=0) for label in labels])
    explained = means.var(axis=0).sum() / points.var(axis=0).sum()
    assert within_share(points, labels) == pytest.approx(1 - explained, abs=1e-10)


def test_the_within_share_is_0_for_points_in_their_centers_and_1_for_one_cluster():
    labels = np.repeat([0, 1, 4], 5)
    assert within_share(np.eye(3)[[0, 1, 2]].repeat(5, axis=0), labels) == 0
    assert within_share(np.random.default_rng(0).normal(size=(15, 2)), np.zeros(15, int)) == pytest.approx(1)
    assert within_share(np.full((15, 2), 3.0), labels) == 0


def test_the_within_share_is_blind_to_names_place_and_scale():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(60, 5)), rng.integers(0, 4, 60)
    share = within_share(points, labels)
    assert within_share(points * 7 - 30, rng.permutation(4)[labels]) == pytest.approx(share)
