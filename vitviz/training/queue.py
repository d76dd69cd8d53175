"""The queue of jobs: at most one is at work, at most five wait, in the order they were asked for.

It lies on the disk (``runs/jobs.py``), so it outlives the server. Whoever looks sends the first one to work when none is, and so
does a job that ends: under one lock, which the new process inherits and lets go once it has put itself down.
"""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from vitviz.errors import Problem
from vitviz.runs import jobs
from vitviz.runs.folder import NAME_PATTERN, Run, own_root
from vitviz.runs.records import Job

MOST_WAITING = 5

_PROJECT = Path(__file__).resolve().parents[2]
_STARTING = 30


def is_allowed() -> bool:
    """Whether this server may train: not with ``VITVIZ_ALLOW_TRAIN=0``."""
    return os.environ.get("VITVIZ_ALLOW_TRAIN", "1") != "0"


def check_allowed() -> None:
    """Raises Problem where training is switched off."""
    if not is_allowed():
        raise Problem(
            "training is switched off on this server",
            "it was started with VITVIZ_ALLOW_TRAIN=0",
            "train on a machine of your own, or ask whoever runs it",
        )


def at_work() -> tuple[Run, Job] | None:
    """The run that a job works at now, and the job; None when none does."""
    return next((pair for pair in jobs.list_jobs() if jobs.is_at_work(*pair)), None)


def waiting() -> list[tuple[Run, Job]]:
    """The jobs that nobody has begun with, the next one first."""
    return [pair for pair in jobs.list_jobs() if jobs.is_waiting(pair[1])]


def own_run(name: str) -> Run:
    """The own folder of that name, be there a run in it or not. Raises Problem for what cannot name one."""
    if not NAME_PATTERN.fullmatch(name):
        raise Problem(
            f"'{name[:64]}' cannot name a run", "a name is 1 to 64 of a-z 0-9 _ - and starts with a letter or digit"
        )
    return Run(own_root() / name)


def enqueue(name: str, arguments: tuple[str, ...]) -> None:
    """Put ``python -m vitviz ARGUMENTS``, which trains the run ``name``, at the end of the queue, and begin if none is at work.

    Raises: Problem where training is switched off, five are waiting, or that run is being trained or waits already.
    """
    check_allowed()
    run = own_run(name)
    with jobs.changing() as lock:
        if lock is None:
            raise Problem("the queue is busy", "another page is changing it", "try again")
        _check_free(run)
        if len(waiting()) >= MOST_WAITING:
            raise Problem(f"{MOST_WAITING} runs are waiting already", "", "remove one of them, or wait for the first")
        job = Job(arguments=arguments, asked=time.time())
        if (run.path / "status.json").exists():
            before = run.status()
            job = replace(job, before=before.state, before_error=before.error)
        jobs.write_job(run, job, state="queued")
    promote()


def remove(name: str) -> None:
    """Take a job that still waits out of the queue; its run is then what it was before, or is not there if it was new.

    Raises: Problem where training is switched off, or when it does not wait (any more).
    """
    check_allowed()
    if not took_out(own_run(name)):
        raise Problem(f"run '{name}' does not wait in the queue")


def took_out(run: Run) -> bool:
    """Take a job out of the queue as :func:`remove` does; whether it was still there."""
    with jobs.changing() as lock:
        job = jobs.read_job(run)
        if lock is None or job is None or not jobs.is_waiting(job):
            return False
        if job.before:
            run.set_status(job.before, error=job.before_error)
        jobs.forget(run)
        return True


def promote() -> None:
    """Begin with the first job of the queue, unless one is at work or somebody else is just seeing to that."""
    if not is_allowed() or not waiting():
        return
    with jobs.changing(wait=0) as lock:
        if lock is not None and at_work() is None and (first := waiting()):
            _begin(first[0][0], lock)


def job_environment() -> dict[str, str]:
    """This process's environment for ``python -m vitviz``, which is found wherever it is started."""
    paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _check_free(run: Run) -> None:
    job = jobs.read_job(run)
    if job is not None and jobs.is_waiting(job):
        raise Problem(f"run '{run.name}' waits in the queue already")
    if run.status().state == "running" or (job is not None and jobs.is_at_work(run, job)):
        raise Problem(f"run '{run.name}' is being trained", "", "wait for it, or cancel it first")


def _begin(run: Run, lock: int) -> None:
    """Start the process that watches over the job; it holds the lock until it has put itself down."""
    # the process forks and its first half ends at once: nobody here has to wait for the job, so none is left unburied
    command = [sys.executable, "-m", "vitviz.training.supervise", run.name, str(lock)]
    try:
        with open(run.path / jobs.LOG, "ab") as log:
            subprocess.run(
                command,
                env=job_environment(),
                pass_fds=(lock,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                timeout=_STARTING,
                check=True,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise Problem(
            f"the job of run '{run.name}' could not be started", str(error), "its job.log may say why"
        ) from error
