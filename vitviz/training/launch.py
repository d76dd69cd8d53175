"""What a page may ask for: begin a run, go on with one, give a finished one a further round, stop one.

Each is a line of ``python -m vitviz`` that is put into the queue (``training/queue.py``) and run there by a process of its own.
"""

import os
import shlex
import signal
import time
from collections.abc import Sequence
from dataclasses import replace

from vitviz.errors import Problem
from vitviz.runs import jobs
from vitviz.runs.export import export_folder
from vitviz.runs.folder import Run, find_run, own_root
from vitviz.runs.records import Job
from vitviz.training.further_rounds import check_can_go_further
from vitviz.training.queue import check_allowed, enqueue, own_run, promote, took_out

GRACE = 3.0
"""Seconds between asking a job to stop and ending it: drawing maps may not hear for longer, and has nothing to save."""


def train_arguments(
    method: str, name: str, *, preset: str = "", variant: str = "", seed: int = 0, changes: Sequence[str] = ()
) -> tuple[str, ...]:
    """The words after ``python -m vitviz`` that train a new run ``name``; ``changes`` are ``key=value``.

    ``variant`` is the row of a preset that has several, in which case ``name`` is that of all its rows.
    """
    words = ["train", method, "--run", name]
    words += ["--preset", preset] if preset else []
    words += ["--rows", variant, "--seeds", str(seed)] if variant else []
    for change in changes:
        words += ["--set", change]
    return tuple(words) if variant else (*words, "--no-control")


def resume_arguments(run: Run) -> tuple[str, ...]:
    """The words after ``python -m vitviz`` that go on with a run that was stopped."""
    return ("train", run.description().method, "--run", run.name, "--resume", "--no-control")


def further_arguments(run: Run, name: str) -> tuple[str, ...]:
    """The words after ``python -m vitviz`` that give a finished run, which lies under ``name``, one more round."""
    return ("train", run.description().method, "--run", name, "--more-rounds", "1", "--no-control")


def line_of(arguments: Sequence[str]) -> str:
    """The line to type for the same."""
    return shlex.join(["python", "-m", "vitviz", *arguments])


def start(name: str, arguments: tuple[str, ...]) -> None:
    """Queue the training of a new run. Raises Problem when there is a run of that name, or as ``queue.enqueue``."""
    check_allowed()
    run = own_run(name)
    if (run.path / "run.json").exists() and not run.may_begin_again():
        raise Problem(f"run '{name}' exists", "", "choose another name, or resume it")
    enqueue(name, arguments)


def resume(name: str) -> None:
    """Queue a run that was stopped, to go on after its last record; a job that never became a run begins again.

    Raises: Problem when it has nothing to go on with, or as ``queue.enqueue``.
    """
    check_allowed()
    run = own_run(name)
    if (run.path / "run.json").exists():
        enqueue(name, resume_arguments(run))
    elif job := jobs.read_job(run):
        enqueue(name, job.arguments)
    else:
        raise Problem(f"there is no run named '{name[:64]}'", "", "start it first")


def further_round(name: str, *, copy: str = "") -> str:
    """Queue one more round for a finished run; of a shipped one a copy, named ``copy``, is made first. Returns the run's name.

    Raises: Problem for a run that cannot go further, or as ``queue.enqueue``.
    """
    check_allowed()
    run = find_run(name)
    check_can_go_further(run)
    if run.is_shipped():
        own_run(copy)
        own_root().mkdir(parents=True, exist_ok=True)
        export_folder(run, own_root() / copy)
        name = copy
    enqueue(name, further_arguments(run, name))
    return name


def cancel(name: str, *, grace: float = GRACE) -> None:
    """Stop a job with all its processes: asked first, ended after ``grace`` seconds; one that waits leaves the queue.

    What the run has recorded stays, and it can be resumed. Raises Problem where training is switched off, or nothing is at work.
    """
    check_allowed()
    run = own_run(name)
    if took_out(run):
        return
    job = jobs.read_job(run)
    if job is None or not jobs.is_at_work(run, job):
        raise Problem(f"run '{name}' is not being trained by a job", "", "stop it where it was started")
    if not jobs.is_here(job):
        raise Problem(f"run '{name}' is being trained on {job.host}", "", "cancel it there")
    if not _end_group(job, signal.SIGTERM, grace):
        _end_group(job, signal.SIGKILL, grace)
    _settle(run)
    promote()


def dismiss(name: str) -> None:
    """Forget a job that ended; a folder that never became a run goes with it. Raises Problem where training is switched off."""
    check_allowed()
    run = own_run(name)
    job = jobs.read_job(run)
    if job is not None and not jobs.is_waiting(job) and not jobs.is_at_work(run, job):
        jobs.forget(run)


def _end_group(job: Job, number: int, seconds: float) -> bool:
    """Send the signal to the job's group, and wait until nobody is left in it, at most so long."""
    try:
        os.killpg(job.leader, number)
    except ProcessLookupError:
        return True
    deadline = time.monotonic() + seconds
    while jobs.processes_of(job):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _settle(run: Run) -> None:
    """Say that it was cancelled where nobody was left to say it."""
    if run.status().state == "interrupted":
        run.set_status("cancelled")
    job = jobs.read_job(run)
    if job is not None and job.leader:
        jobs.write_job(run, replace(job, leader=0))
