"""Several processes that train one run: they come to what one comes to, one of them writes, and a lost one ends the launch."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from vitviz.ranks import SOLO, Ranks
from vitviz.runs.folder import Run

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "limit": 240,
    "epochs": 2,
    "max_rounds": 1,
    "epochs_per_round": 1,
    "stop_rule": "max_rounds",
    "gate": False,
    "augment": "shift_flip",
    "batch_size": 31,
    "num_restarts": 2,
    "projection": "none",
}
LONG = 120


SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
"""What the recipes of docs/cluster.md let torchrun pass on."""


def _command(name: str, num_processes: int, *words: str, method: str = "deep_clustering", **changes) -> list[str]:
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    launch += [f"--signals-to-handle={SIGNALS}", "--shutdown-timeout=60", "-m"]
    sets = [f"--set={key}={value}" for key, value in changes.items()]
    alone = [sys.executable, "-m", "vitviz", "train"]
    launched = [sys.executable, *launch, "vitviz", "train"]
    return [*(launched if num_processes > 1 else alone), method, "--name", name, "--no-control", *sets, *words]


def _environment(root: Path) -> dict[str, str]:
    places = {f"VITVIZ_{part}": str(root / part.lower()) for part in ("RUNS", "CACHE")}
    return os.environ | places | {"OMP_NUM_THREADS": "1"}


def _train(root: Path, *arguments, **settings) -> Run:
    command = _command(*arguments, **settings)
    done = subprocess.run(command, cwd=ROOT, env=_environment(root), capture_output=True, text=True, timeout=LONG)
    assert done.returncode == 0, done.stderr[-2000:]
    return Run(root / "runs" / arguments[0])


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def alone(root) -> Run:
    """The run as one process trains it."""
    return _train(root, "alone", 1, **SETTINGS)


def _assert_same(run: Run, other: Run) -> None:
    assert run.num_rounds() == other.num_rounds() == 2
    for index in range(2):
        for part in ("labels", "matched_labels"):
            assert np.array_equal(getattr(run.round(index), part), getattr(other.round(index), part))
    ours, theirs = run.weights(), other.weights()
    assert max(np.abs(ours[name] - theirs[name]).max() for name in ours) < 1e-3
    for record, wanted in zip(run.metrics(), other.metrics(), strict=True):
        assert record["kind"] == wanted["kind"]
        assert record["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
        assert record.get("held_out_nmi") == wanted.get("held_out_nmi")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("number", [0, 1, 2, 6, 31, 100])
def test_the_parts_are_all_in_order_and_alike_in_size(number, size):
    parts = [range(number)[Ranks(rank, size).part(number)] for rank in range(size)]
    assert [place for part in parts for place in part] == list(range(number))
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1 and (lengths[0] > 0) == (number > 0)


def test_alone_nothing_is_sent_and_everything_is_one_s_own():
    import torch

    values = torch.arange(6.0)
    assert SOLO.add(values) is values and SOLO.gather(values, 6) is values and SOLO.first_of(values) is values
    assert SOLO.on_first(lambda: 3) == 3 and SOLO.gather_values("a") == ["a"] and SOLO.is_first


def test_two_processes_come_to_the_labels_losses_and_weights_of_one(root, alone):
    pair = _train(root, "pair", 2, **SETTINGS)
    assert pair.status().state == "finished"
    _assert_same(pair, alone)


def test_a_lost_process_ends_the_launch_and_going_on_comes_to_the_same(root, alone):
    launch = subprocess.Popen(
        _command("lost", 2, **SETTINGS),
        cwd=ROOT,
        env=_environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        run, deadline = Run(root / "runs" / "lost"), time.monotonic() + LONG
        while not run.metrics() and time.monotonic() < deadline:
            assert launch.poll() is None
            time.sleep(0.02)
        ranks = [one for one in psutil.Process(launch.pid).children() if one.environ().get("RANK") == "1"]
        assert len(ranks) == 1
        ranks[0].send_signal(signal.SIGKILL)
        assert launch.wait(60) != 0
    finally:
        launch.kill()
        launch.communicate()
    assert run.status().state in ("failed", "cancelled", "interrupted")
    _assert_same(_train(root, "lost", 2, "--resume"), alone)


def _stopped_by(root: Path, number: signal.Signals, num_records: int, *arguments, **settings) -> Run:
    """The run of a launch of two that gets a signal as soon as so many records are there, and must end by it."""
    command, environment = _command(*arguments, **settings), _environment(root)
    launch = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    run, deadline = Run(root / "runs" / arguments[0]), time.monotonic() + LONG
    try:
        while len(run.metrics()) < num_records and time.monotonic() < deadline:
            assert launch.poll() is None
            time.sleep(0.02)
        launch.send_signal(number)
        assert launch.wait(60) != 0
    finally:
        launch.kill()
        launch.communicate()
    return run


@pytest.fixture(scope="module")
def undisturbed(root) -> Run:
    """A run of more epochs by two processes that nobody stops."""
    return _train(root, "undisturbed", 2, **SETTINGS | {"epochs": 20, "limit": 120})


@pytest.mark.parametrize(
    ("number", "state"),
    [(signal.SIGUSR1, "interrupted"), pytest.param(signal.SIGTERM, "cancelled", marks=pytest.mark.full)],
)
def test_a_signal_that_the_launcher_passes_on_stops_all_and_going_on_comes_to_the_same_bits(
    root, undisturbed, number, state
):
    name = f"got-{number.name.lower()}"
    run = _stopped_by(root, number, 1, name, 2, **SETTINGS | {"epochs": 20, "limit": 120})
    assert run.status().state == state
    records, place = run.metrics(), run.resume_point()[1]
    assert 1 <= place["num_records"] <= len(records) < 20
    if number == signal.SIGUSR1:
        # what was written last is what it goes on from: no rank had begun with another record
        assert place["num_records"] == place["epoch"] == len(records)
    run = _train(root, name, 2, "--resume")
    ours, theirs = run.weights(), undisturbed.weights()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert [record["loss"] for record in run.metrics()] == [record["loss"] for record in undisturbed.metrics()]
    assert all(np.array_equal(run.round(index).labels, undisturbed.round(index).labels) for index in range(2))


def test_what_cannot_be_shared_is_refused_in_one_sentence_told_once(root):
    command = _command("apart", 2, method="subspace", limit=60)
    done = subprocess.run(command, cwd=ROOT, env=_environment(root), capture_output=True, text=True, timeout=LONG)
    told = re.findall(r"vitviz: subspace trains in one process: .* start it without torchrun", done.stderr)
    assert done.returncode != 0 and len(told) == 1
    assert not (root / "runs" / "apart").exists()
