"""Jobs: what the app was asked to train, ``job.json`` and ``job.log`` in the folder of the run that it is about.

There is no index of jobs: the folders are the list, and ``.jobs.lock`` in their root is held by whoever changes it.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator

from vitviz.errors import Problem
from vitviz.runs import atomic
from vitviz.runs.folder import NAME_PATTERN, Run, own_root
from vitviz.runs.processes import host_name, process_start
from vitviz.runs.records import Job

LOG = "job.log"
_RECORD, _LOCK = "job.json", ".jobs.lock"
_MOST_BYTES, _KEPT_BYTES = 1_000_000, 200_000
_WAIT = 10.0


def list_jobs() -> list[tuple[Run, Job]]:
    """Every own folder that a job was ever about, in the order they were asked for; a damaged record is no job."""
    try:
        names = [entry.name for entry in os.scandir(own_root()) if NAME_PATTERN.fullmatch(entry.name)]
    except OSError:
        return []
    runs = (Run(own_root() / name) for name in names)
    jobs = [(run, job) for run in runs if (job := read_job(run)) is not None]
    return sorted(jobs, key=lambda pair: (pair[1].asked, pair[0].name))


def read_job(run: Run) -> Job | None:
    """The last job that was about ``run``, or None."""
    try:
        record = json.loads((run.path / _RECORD).read_text())
        return Job(**{**record, "arguments": tuple(record["arguments"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_job(run: Run, job: Job, *, state: str = "") -> None:
    """Put down what the job is now, and the run's state where one is given. Raises Problem when the folder cannot be written."""
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        atomic.write_json(run.path / _RECORD, dataclasses.asdict(job))
        if state:
            run.set_status(state)
    except OSError as error:
        why = error.strerror or str(error)
        raise Problem(f"run '{run.name}' cannot be written to {run.path.parent}", why) from error


def forget(run: Run) -> None:
    """Drop the job; a folder that never became a run goes with it."""
    if (run.path / "run.json").exists():
        (run.path / _RECORD).unlink(missing_ok=True)
    else:
        shutil.rmtree(run.path, ignore_errors=True)


def is_waiting(job: Job) -> bool:
    """Whether nobody has begun with it."""
    return not job.started


def is_at_work(run: Run, job: Job) -> bool:
    """Whether a process of the job lives: the one that watches over it, or the one that trains, should that be left alone.

    Of a job on another machine that shares the folder, the heartbeat of its run tells.
    """
    if not job.leader:
        return False
    if not is_here(job):
        return run.status().state == "running"
    if abs(process_start(job.leader) - job.leader_start) < 1.0:
        return True
    trainer = run.status()
    return trainer.state == "running" and _group_of(trainer.pid) == job.leader


def is_here(job: Job) -> bool:
    """Whether this machine is the one that the job was begun on."""
    return job.host == host_name()


def processes_of(job: Job) -> list[int]:
    """The living processes of the job's group on this machine, in no order."""
    import psutil

    members = [pid for pid in psutil.pids() if _group_of(pid) == job.leader] if job.leader and is_here(job) else []
    return [pid for pid in members if process_start(pid) > 0]


def held_bytes(job: Job) -> int:
    """Memory that the job's processes hold (resident set), in bytes; 0 when there are none."""
    import psutil

    total = 0
    for pid in processes_of(job):
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return total


@contextlib.contextmanager
def changing(*, wait: float = _WAIT) -> Iterator[int | None]:
    """Hold the lock of all jobs and give its file descriptor; None when somebody else kept it for ``wait`` seconds.

    A process that inherits the descriptor holds the lock too, until it closes it or ends. Raises Problem where your runs cannot
    be written.
    """
    try:
        own_root().mkdir(parents=True, exist_ok=True)
        descriptor = os.open(own_root() / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise Problem(f"nothing can be written to {own_root().name}/", error.strerror or str(error)) from error
    try:
        yield descriptor if _lock(descriptor, time.monotonic() + wait) else None
    finally:
        os.close(descriptor)


def tail(run: Run, num_bytes: int = 4_000) -> str:
    """The last lines of what the job said, at most about that long; "" when it said nothing."""
    try:
        with open(run.path / LOG, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - num_bytes, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text if size <= num_bytes else text.partition("\n")[2]


def bound_log(run: Run) -> None:
    """Keep the log's last part alone once it is longer than a megabyte; a line written meanwhile may be lost."""
    path = run.path / LOG
    with contextlib.suppress(FileNotFoundError):  # somebody threw the folder away
        if path.stat().st_size > _MOST_BYTES:
            kept = tail(run, _KEPT_BYTES)
            with open(path, "r+b") as file:
                file.truncate(0)
                file.write(kept.encode())


def _lock(descriptor: int, deadline: float) -> bool:
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except (OSError, OverflowError):
        return -1
