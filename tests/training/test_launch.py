"""Jobs in processes of their own: begun, watched over, stopped, gone on with; what is killed leaves nobody behind."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from vitviz.runs import jobs
from vitviz.runs.folder import Run, own_root
from vitviz.training import launch, queue
from vitviz.training.drive import drive
from vitviz.training.supervise import NICE, how_it_ended

CHANGES = {
    "limit": 200,
    "patch_size": 16,
    "embed_dim": 16,
    "depth": 1,
    "epochs": 2,
    "extra_epochs": 0,
    "max_rounds": 12,
    "epochs_per_round": 3,
    "num_restarts": 2,
    "stop_rule": "max_rounds",
    "projection": "none",
}


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    """Whatever a test does, it leaves no process behind."""
    yield
    for _, job in jobs.list_jobs():
        for pid in jobs.processes_of(job):
            os.kill(pid, signal.SIGKILL)


def begin(name: str) -> Run:
    """A tiny run of 51 records, begun by a job."""
    changes = [f"{key}={value}" for key, value in CHANGES.items()]
    launch.start(name, launch.train_arguments("deep_clustering", name, changes=changes))
    return Run(own_root() / name)


def wait_until(condition: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "\n".join(jobs.tail(run) for run, _ in jobs.list_jobs())
        time.sleep(0.01)


def test_a_run_is_trained_apart_from_whoever_asked_cancelled_and_resumed_to_the_same_bits(start, content_of):
    run = begin("apart")
    wait_until(lambda: len(run.metrics()) >= 3)
    job, trainer = jobs.read_job(run), psutil.Process(run.status().pid)
    assert queue.at_work()[0].name == "apart" and run.status().state == "running"
    assert os.getsid(trainer.pid) == os.getpgid(trainer.pid) == job.leader != os.getsid(0)
    assert trainer.nice() == psutil.Process(job.leader).nice() == NICE
    ours = {child.pid for child in psutil.Process().children(recursive=True)}
    assert psutil.Process(job.leader).ppid() != os.getpid() and not ours & {job.leader, trainer.pid}
    assert jobs.held_bytes(job) > 50e6
    score = Path(f"/proc/{trainer.pid}/oom_score_adj")
    assert not score.exists() or int(score.read_text()) >= 500

    launch.cancel("apart")
    assert run.status().state == "cancelled" and queue.at_work() is None
    wait_until(lambda: not jobs.processes_of(job))
    assert 3 <= len(run.metrics()) < 51 and "stopped; the same command with --resume goes on" in jobs.tail(run)

    launch.resume("apart")
    wait_until(lambda: run.status().state == "running" and run.status().pid != jobs.read_job(run).leader)
    os.kill(jobs.read_job(run).leader, signal.SIGKILL)  # who watches over it may go: the training does not
    assert queue.at_work()[0].name == "apart" or run.status().state == "finished"
    wait_until(lambda: run.status().state == "finished")
    wait_until(lambda: queue.at_work() is None)

    whole = start("whole", max_rounds=12, epochs_per_round=3)
    drive(whole)
    assert content_of(run) == content_of(whole)


def test_a_killed_training_says_so_and_the_next_job_begins():
    run = begin("killed")
    launch.start("next", ("data", "list"))
    assert [one.name for one, _ in queue.waiting()][-1] == "next"
    wait_until(lambda: len(jobs.processes_of(jobs.read_job(run))) == 2)
    job = jobs.read_job(run)
    for pid in set(jobs.processes_of(job)) - {job.leader}:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: run.status().state == "failed")
    assert run.status().error.startswith("killed, probably out of memory (exit -9)")
    wait_until(lambda: "digits" in jobs.tail(Run(own_root() / "next")))
    wait_until(lambda: queue.at_work() is None)
    assert queue.waiting() == []


def test_a_job_that_fails_before_there_is_a_run_says_why_and_may_begin_again():
    launch.start("mistaken", ("train", "deep_clustering", "--run", "mistaken", "--preset", "digit"))
    run = Run(own_root() / "mistaken")
    wait_until(lambda: run.status().state == "failed")
    assert run.status().error == "unknown preset 'digit': did you mean 'digits'?"
    wait_until(lambda: queue.at_work() is None)
    assert not (run.path / "run.json").exists()
    launch.dismiss("mistaken")
    assert not run.path.exists()


def test_whoever_looks_begins_with_a_queue_that_was_left_behind(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(queue, "_begin", lambda run, lock: None)  # the server died here
        launch.start("left", ("data", "list"))
    assert [run.name for run, _ in queue.waiting()] == ["left"]
    queue.promote()
    wait_until(lambda: "digits" in jobs.tail(Run(own_root() / "left")))
    wait_until(lambda: queue.at_work() is None)


def test_a_job_that_does_not_listen_is_ended_after_a_while(monkeypatch):
    run = begin("deaf")
    wait_until(lambda: len(jobs.processes_of(jobs.read_job(run))) == 2)
    job = jobs.read_job(run)
    for pid in jobs.processes_of(job):
        os.kill(pid, signal.SIGSTOP)
    launch.cancel("deaf", grace=0.2)
    assert jobs.processes_of(job) == [] and queue.at_work() is None
    assert run.status().state == "cancelled"


@pytest.mark.parametrize(
    ("code", "was_asked", "state", "sentence"),
    [
        (-9, False, "failed", "killed, probably out of memory"),
        (-11, False, "failed", "ended by signal SIGSEGV"),
        (-15, True, "cancelled", ""),
        (130, False, "cancelled", ""),
        (1, False, "failed", "the last thing it said"),
    ],
)
def test_how_a_training_ended_is_told_where_it_could_not_tell_it(start, code, was_asked, state, sentence):
    run = start()
    (run.path / jobs.LOG).write_text("first\nvitviz: the last thing it said\n\n")
    told = how_it_ended(run, code, was_asked=was_asked)
    assert told[0] == state and told[1].startswith(sentence)


@pytest.mark.parametrize(("state", "code"), [("failed", 1), ("cancelled", 130), ("finished", 0), ("interrupted", 75)])
def test_what_a_training_told_itself_is_kept(start, state, code):
    run = start()
    run.set_status(state, error="its own words")
    assert how_it_ended(run, code, was_asked=False) is None
