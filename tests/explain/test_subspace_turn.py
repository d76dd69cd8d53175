"""An object as a ring: links, strangers and gaps against loops over all views, and a loop that is known to be open."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from vitviz.explain.subspace_turn import NEAR, objects_of, open_objects, taken_by, turn_length, turn_of

VIEWS, OBJECTS = 72, 3


def make_turntable(dataset: str = "coil20", classes: np.ndarray | None = None):
    """Three objects whose views come last first: only the index in the data set tells the angle."""
    classes = np.repeat(np.arange(OBJECTS), VIEWS) if classes is None else classes
    samples = SimpleNamespace(classes=classes, indices=np.arange(len(classes))[::-1])
    return SimpleNamespace(samples=lambda: samples, description=lambda: SimpleNamespace(dataset=dataset))


def ring_matrix(reach: int = 2) -> np.ndarray:
    """Each view takes of the ``reach`` on either side, less of the further."""
    size = VIEWS * OBJECTS
    matrix = np.zeros((size, size), np.float32)
    for row in range(size):
        first = row // VIEWS * VIEWS
        for step in range(1, reach + 1):
            for way in (-step, step):
                matrix[row, first + (row - first + way) % VIEWS] = 1 / step
    return matrix


@pytest.mark.parametrize("as_stored", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_a_ring_says_what_a_loop_over_its_views_says(make_snapshot, as_stored):
    run, rng = make_turntable(), np.random.default_rng(0)
    matrix = (rng.normal(size=(216, 216)) * (rng.random((216, 216)) < 0.05)).astype(np.float32)
    turn = turn_of(make_snapshot(as_stored(matrix)), run, 1, most=4)
    members = list(range(143, 71, -1))
    assert turn.members.tolist() == members and turn.degrees == 5
    links, strangers, inside, near, total = {}, {}, 0.0, 0.0, 0
    for place, row in enumerate(members):
        sizes = np.abs(matrix[row].astype(float))
        sizes[row] = 0
        shares = sizes / sizes.sum()
        for column in np.argsort(-shares, kind="stable")[:4]:
            if column in members:
                links[place, members.index(column)] = shares[column]
            else:
                strangers[place, int(column)] = shares[column]
        total += 1
        inside += sum(shares[column] for column in members)
        near += sum(
            shares[column]
            for other, column in enumerate(members)
            if min((other - place) % 72, (place - other) % 72) <= NEAR
        )
    assert {
        tuple(pair): weight for pair, weight in zip(turn.links.tolist(), turn.weights, strict=True)
    } == pytest.approx(links)
    assert {
        tuple(pair): weight for pair, weight in zip(turn.strangers.tolist(), turn.stranger_weights, strict=True)
    } == (pytest.approx(strangers))
    assert (turn.inside, turn.near) == (pytest.approx(inside / total), pytest.approx(near / total))
    assert turn.inside_random == pytest.approx(71 / 215) and turn.near_random == pytest.approx(12 / 215)


def test_a_loop_is_closed_until_no_neighbour_spans_a_gap(make_snapshot):
    run, matrix = make_turntable(), ring_matrix()
    assert len(turn_of(make_snapshot(matrix), run, 0, most=4).open_gaps) == 0
    for row in range(72):  # nothing reaches over the gap between row 9 and row 10, which are places 62 and 61
        for column in range(72):
            if (row <= 9) != (column <= 9) and abs(row - column) < 36:
                matrix[row, column] = 0
    turn = turn_of(make_snapshot(matrix), run, 0, most=4)
    assert turn.open_gaps.tolist() == [61]
    assert open_objects(make_snapshot(matrix), run, most=4) == {0: (1, 0)}


def test_a_link_across_the_ring_closes_no_gap(make_snapshot):
    matrix = np.zeros((216, 216), np.float32)
    for row in range(72):
        matrix[row, (row + 36) % 72] = 1
    turn = turn_of(make_snapshot(matrix), make_turntable(), 0)
    assert len(turn.links) == 72 and len(turn.open_gaps) == 72


def test_one_of_another_object_stands_out(make_snapshot):
    matrix = ring_matrix()
    matrix[5, 100] = -9
    shot, run = make_snapshot(matrix), make_turntable()
    turn = turn_of(shot, run, 0)
    assert turn.strangers.tolist() == [[66, 100]] and turn.stranger_weights[0] == pytest.approx(9 / 12)
    assert taken_by(turn, 66) == [100, 4, 6], "the strongest first, of whichever object"
    assert set(taken_by(turn, 0)[:2]) == {70, 0}, "the view at place 0 is row 71"
    assert open_objects(shot, run) == {0: (0, 1)}


def test_views_that_take_nothing_have_neither_links_nor_a_partner(make_snapshot):
    turn = turn_of(make_snapshot(np.eye(216)), make_turntable(), 2)
    assert len(turn.links) == len(turn.strangers) == 0 and len(turn.open_gaps) == 72
    assert turn.inside == turn.near == 0 and taken_by(turn, 3) == []


def test_only_whole_turns_of_a_turntable_are_objects(make_snapshot):
    assert turn_length(make_turntable("digits")) is None and objects_of(make_turntable("digits")) == []
    classes = np.repeat(np.arange(3), 72)
    classes[100] = -1
    assert objects_of(make_turntable(classes=classes)) == [0, 2]
    assert open_objects(replace(make_snapshot(ring_matrix())), make_turntable("digits")) == {}
