"""A run that was stopped anywhere and goes on is the run that was never stopped, to the last bit."""

import os
import random
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.runs import atomic
from vitviz.runs.folder import Run, find_run, own_root
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS, config_of

ROOT = Path(__file__).resolve().parents[2]
NUM_RECORDS = 7
VARIANTS = {
    "plain": {},
    "rich": {"stem": "conv", "augment": "shift_flip", "drop_rate": 0.1, "drop_path_rate": 0.1, "epochs_per_round": 2},
    "anew": {"start": "reinitialise", "targets": "pseudo_labels"},
    "gated": {"gate_accuracy": 1.0, "extra_epochs": 2, "stop_rule": "absolute", "epsilon": 1e9},
}


def take(run: Run, number: int) -> None:
    """Train ``run`` until it has yielded that many records, then leave it."""
    records = METHODS["deep_clustering"].train(config_of(run), run)
    assert len(list(islice(records, number))) == number
    records.close()


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_stopped_after_any_record_a_run_comes_to_the_same_bits(train_and_stop, content_of, changes):
    whole, stopped = train_and_stop(**changes)
    expected = content_of(whole)
    for stop, run in enumerate(stopped, start=1):
        assert len(run.metrics()) == stop
        drive(run)
        assert content_of(Run(run.path)) == expected, f"stopped after record {stop}"


def test_stopped_again_and_again_a_run_comes_to_the_same_bits(start, content_of, finished):
    start("often")
    for _ in range(NUM_RECORDS):
        take(find_run("often"), 1)
    drive(find_run("often"))
    assert content_of(find_run("often")) == content_of(finished)


class Killed(BaseException):
    """Stands for a kill: nothing in the house catches it on purpose."""


def test_killed_after_any_write_a_run_comes_to_the_same_bits(start, content_of, finished, monkeypatch):
    write, expected, kills = atomic.write_file, content_of(finished), 0
    for point in range(1, 100):
        run, left = start(f"killed-{point}"), iter(range(point))

        def write_or_die(path, content, left=left):
            write(path, content)
            if next(left, None) is None:
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(atomic, "write_file", write_or_die)
            try:
                list(METHODS["deep_clustering"].train(config_of(run), run))
            except Killed:
                kills += 1
            else:
                break
        drive(Run(run.path))
        assert content_of(Run(run.path)) == expected, f"killed after write {point}"
    assert kills > 2 * NUM_RECORDS


def test_a_finished_run_driven_again_stays_as_it_is(own_copy, content_of, finished):
    drive(own_copy)
    assert content_of(own_copy) == content_of(finished)
    assert own_copy.status().state == "finished"


def test_a_finished_run_driven_again_has_the_same_maps(train):
    run = train(projection="pca")
    points = run.projection().points
    drive(run)
    assert np.array_equal(run.projection().points, points)


def test_a_resume_point_of_other_settings_is_refused(start, own_copy):
    other = start("other", embed_dim=32)
    (other.path / "resume.safetensors").write_bytes((own_copy.path / "resume.safetensors").read_bytes())
    with pytest.raises(Problem, match="the weights do not fit the model of these settings"):
        drive(other)
    assert other.status().state == "failed"


def train_in_a_process(*arguments: str) -> subprocess.Popen:
    settings = {"limit": 200, "patch-size": 16, "embed-dim": 16, "depth": 1, "epochs": 2, "extra-epochs": 0}
    settings |= {
        "max-rounds": 10,
        "epochs-per-round": 3,
        "num-restarts": 2,
        "stop-rule": "max_rounds",
        "projection": "none",
    }
    words = (
        []
        if "--resume" in arguments
        else [word for pair in settings.items() for word in ("--set", "{}={}".format(*pair))]
    )
    command = [sys.executable, "-m", "vitviz", "train", "deep_clustering", "--no-control", *words, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_records(process: subprocess.Popen, run: Run, number: int) -> None:
    """Wait until the process has written that many records of the run."""
    while len(run.metrics()) < number:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.002)


def test_killed_at_random_moments_a_process_comes_to_the_ids_of_one_that_was_not(start, content_of):
    draw, killed = random.Random(0), Run(own_root() / "killed")
    for number in (1, 9, 21):
        with train_in_a_process("--run", "killed", *(["--resume"] if killed.metrics() else [])) as process:
            wait_for_records(process, killed, number)
            time.sleep(draw.uniform(0, 0.05))
            process.kill()
        assert killed.status().state == "interrupted"
        assert len(killed.metrics()) >= number and killed.damaged_files() == []
    with train_in_a_process("--run", "killed", "--resume") as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert killed.status().state == "finished"

    whole = start("whole", max_rounds=10, epochs_per_round=3)
    drive(whole)
    assert killed.num_rounds() == whole.num_rounds() == 11
    for index in range(11):
        assert np.array_equal(killed.round(index).labels, whole.round(index).labels)
        assert np.array_equal(killed.round(index).matched_labels, whole.round(index).matched_labels)
    assert [record["index"] for record in killed.metrics()] == [record["index"] for record in whole.metrics()]
    if os.environ.get("OMP_NUM_THREADS") == "1":
        assert content_of(killed) == content_of(whole)


def test_asked_to_stop_a_process_says_so_and_can_go_on(start):
    run = start("asked", max_rounds=50, epochs_per_round=3)
    with train_in_a_process("--run", "asked", "--resume") as process:
        wait_for_records(process, run, 3)
        process.terminate()
        output, _ = process.communicate()
    assert process.returncode == 130 and "--resume goes on" in output
    assert run.status().state == "cancelled"
    assert run.damaged_files() == []
