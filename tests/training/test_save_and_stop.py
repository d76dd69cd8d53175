"""SIGUSR1 asks training to save and stop: the record under way is finished, and the run goes on to the same bits."""

import dataclasses
import os
import signal
import time

import pytest

from vitviz.__main__ import main
from vitviz.training import save_and_stop
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS
from vitviz.training.save_and_stop import SavedAndStopped, asked_to_save_and_stop


def test_the_record_under_way_is_finished_and_the_run_goes_on_to_the_same_bits(start, content_of, finished):
    run = start()

    def ask(progress, record) -> None:
        if progress.done == 2:
            os.kill(os.getpid(), signal.SIGUSR1)

    with pytest.raises(SavedAndStopped):
        drive(run, ask)
    assert run.status().state == "interrupted" and 2 <= len(run.metrics()) <= 3
    drive(run)
    assert run.status().state == "finished" and content_of(run) == content_of(finished)


def test_a_record_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(save_and_stop, "SAVE_WITHIN", 0.01)

    def take_long() -> None:
        with asked_to_save_and_stop() as is_asked:
            os.kill(os.getpid(), signal.SIGUSR1)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                assert is_asked()

    with pytest.raises(SavedAndStopped):
        take_long()


def test_afterwards_signals_do_what_they_did():
    numbers = (signal.SIGUSR1, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    with asked_to_save_and_stop() as is_asked:
        assert not is_asked()
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before


def test_the_command_line_answers_that_it_wants_to_be_tried_again(start, monkeypatch, same_signals, capsys):
    def train(config, run):
        raise SavedAndStopped
        yield

    start()
    monkeypatch.setitem(METHODS, "deep_clustering", dataclasses.replace(METHODS["deep_clustering"], train=train))
    assert main(["train", "deep_clustering", "--run", "tiny", "--resume", "--no-control"]) == 75
    assert "the same command with --resume goes on" in capsys.readouterr().err
