"""One-to-one names: cluster ids from round to round, and the class that each cluster stands for."""

from itertools import permutations

import numpy as np
import pytest

from vitviz.clustering.matching import cluster_classes, match_labels
from vitviz.clustering.metrics import clustering_accuracy


def random_rounds(seed: int, *, num_before: int = 5, num_after: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    previous = rng.integers(0, num_before, 80)
    return previous, np.where(rng.random(80) < 0.5, previous % num_after, rng.integers(0, num_after, 80))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("num_before", "num_after"), [(5, 5), (3, 6), (6, 3), (1, 4)])
def test_names_are_a_permutation_that_keeps_as_many_ids_as_any(seed, num_before, num_after):
    previous, labels = random_rounds(seed, num_before=num_before, num_after=num_after)
    names = match_labels(previous, labels)
    size = max(previous.max(), labels.max()) + 1
    assert sorted(names) == list(range(size))
    best = max((np.array(other)[labels] == previous).sum() for other in permutations(range(size)))
    assert (names[labels] == previous).sum() == best


@pytest.mark.parametrize("seed", range(10))
def test_a_renaming_is_undone(seed):
    rng = np.random.default_rng(seed)
    previous = np.concatenate([np.arange(8), rng.integers(0, 8, 50)])
    renamed = rng.permutation(8)[previous]
    assert np.array_equal(match_labels(previous, renamed)[renamed], previous)


def test_equal_ids_keep_their_names_even_where_some_occur_in_neither():
    labels = np.array([0, 0, 3, 3, 7])
    assert match_labels(labels, labels)[labels].tolist() == labels.tolist()


def test_images_that_were_unknown_before_have_no_say_but_get_a_name():
    previous = np.array([1, 1, 0, 0, -1, -1, -1])
    labels = np.array([0, 0, 1, 1, 6, 6, 0])
    names = match_labels(previous, labels)
    assert sorted(names) == list(range(7))
    assert names[[0, 1]].tolist() == [1, 0]


def test_without_anything_known_before_names_stay():
    labels = np.array([2, 0, 1, 2])
    assert match_labels(np.full(4, -1), labels).tolist() == [0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_the_classes_of_clusters_are_those_that_the_accuracy_counts(seed):
    classes, labels = random_rounds(seed)
    names = cluster_classes(classes, labels, num_clusters=5)
    assert (names[labels] == classes).mean() == pytest.approx(clustering_accuracy(classes, labels))
    assert sorted(names) == list(range(5))


def test_a_cluster_left_over_stands_for_no_class():
    names = cluster_classes(np.array([0, 0, 0, 1, 1, -1]), np.array([0, 0, 2, 1, 1, 3]), num_clusters=5)
    assert names.tolist() == [0, 1, -1, -1, -1]


def test_without_labels_no_cluster_stands_for_a_class():
    assert cluster_classes(np.full(4, -1), np.array([0, 1, 0, 1]), num_clusters=2).tolist() == [-1, -1]
