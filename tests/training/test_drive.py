"""Draining a method into its run: on any way out the state says what happened."""

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.runs.folder import find_run
from vitviz.training.drive import drive, make_projection
from vitviz.training.methods import METHODS


@contextlib.contextmanager
def ending_with(error: BaseException) -> Iterator[None]:
    """Within, deep clustering yields two records, then ends with the error."""
    method = METHODS["deep_clustering"]

    def train(config, run):
        yield from islice(method.train(config, run), 2)
        raise error

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(METHODS, "deep_clustering", dataclasses.replace(method, train=train))
        yield


def test_every_record_is_told_with_how_far_the_run_is(start):
    told = []
    run = start()
    drive(
        run, lambda progress, record: told.append((progress.done, progress.total, record["kind"], run.status().state))
    )
    kinds = ["epoch", "epoch", "round", "epoch", "round", "epoch", "round"]
    assert told == [(done, 7, kind, "running") for done, kind in enumerate(kinds, start=1)]
    assert (run.status().state, run.status().progress.note, run.status().error) == ("finished", "finished", "")


@pytest.mark.parametrize(
    ("error", "state", "sentence"),
    [
        (KeyboardInterrupt(), "cancelled", ""),
        (Problem("it broke", "for a reason", "do this"), "failed", "it broke: for a reason; do this"),
        (MemoryError("8 GB"), "failed", "MemoryError: 8 GB"),
        (ZeroDivisionError("by 0"), "failed", "ZeroDivisionError: by 0"),
    ],
    ids=["stopped", "problem", "memory", "fault"],
)
def test_the_state_says_how_it_ended_and_it_can_be_driven_again(start, content_of, finished, error, state, sentence):
    run = start()
    with ending_with(error), pytest.raises(type(error)):
        drive(run)
    assert (run.status().state, run.status().error) == (state, sentence)
    assert run.status().progress.done == 2
    drive(run)
    assert content_of(run) == content_of(finished)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_whose_exception_is_lost_on_the_way_is_still_a_stop(start, number):
    """numpy raises a TypeError of its own when an interrupt comes while it looks whether a file is one."""

    def stop(number, frame) -> None:
        raise KeyboardInterrupt

    def lose(progress, record) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise TypeError("expected str, bytes or os.PathLike object, not BufferedWriter") from None

    run, before = start(), signal.signal(number, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            drive(run, lose)
        assert run.status().state == "cancelled" and not run.status().error
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)


def test_between_two_records_a_heart_beats_and_says_what_was_said_last(start, monkeypatch):
    monkeypatch.setattr("vitviz.training.drive.BEAT_EVERY", 0.01)
    run, beats = start(), []

    def wait_for_beats(progress, record) -> None:
        told = run.status()
        deadline = time.monotonic() + 30
        while len(beats) < 2 * progress.done and time.monotonic() < deadline:
            if run.status().heartbeat > max([told.heartbeat, *beats]):
                beats.append(run.status().heartbeat)
        assert (run.status().state, run.status().progress) == (told.state, told.progress)

    threads = threading.active_count()
    drive(run, wait_for_beats)
    assert len(beats) == 14 and threading.active_count() == threads
    assert run.status().state == "finished"


def test_a_run_that_is_being_written_is_not_driven_by_another(start):
    run = start()
    with run.owned():
        with pytest.raises(Problem, match="run 'tiny' is being written by process"):
            drive(find_run("tiny"))
        assert run.metrics() == []


def test_the_run_is_free_again_afterwards(start):
    run = start()
    drive(run)
    with run.owned():
        pass


def test_maps_are_made_at_the_end_by_the_engine_of_the_settings(train):
    projection = train(projection="pca", seed=4).projection()
    assert projection.points.shape == (3, 200, 2) and (projection.engine, projection.seed) == ("pca", 4)


def test_maps_can_be_drawn_again(own_copy):
    assert own_copy.projection() is None
    made = make_projection(own_copy, "pca", seed=0)
    assert np.array_equal(own_copy.projection().points, made.points)
    assert len(made.points) == own_copy.num_rounds()


def test_a_run_without_rounds_has_no_maps(start):
    with pytest.raises(Problem, match="run 'tiny' has no round yet"):
        make_projection(start(), "pca", seed=0)
