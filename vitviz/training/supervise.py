"""The process that watches over one job: ``python -m vitviz.training.supervise NAME LOCK``, started by ``training/queue.py``.

It stands in a session of its own, starts ``python -m vitviz train ...`` in the same process group, bounds its log, says how it
ended where it could not say so itself, and then sends the next job to work. When it is killed, the training goes on.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from vitviz.runs import jobs
from vitviz.runs.folder import Run, own_root
from vitviz.runs.processes import host_name, process_start
from vitviz.runs.records import Job, Progress
from vitviz.training.queue import promote
from vitviz.training.save_and_stop import STOPPED, STOPPED_FOR_LATER

NICE = 10
_LOOK_EVERY = 1.0


def main(name: str, lock: str) -> None:
    """Leave whoever started this, then see the job of that run through."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.nice(NICE)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    run = Run(own_root() / name)
    job = _put_down(run)
    os.close(int(lock))
    code = _train(run, job)
    _end_others(job)
    _tell_end(run, code, was_asked=bool(asked))
    jobs.write_job(run, replace(job, leader=0))
    promote()


def how_it_ended(run: Run, code: int, *, was_asked: bool) -> tuple[str, str] | None:
    """State and sentence of a run whose training returned ``code`` (negative: the signal); None where it told them itself."""
    state = run.status().state
    if code in (0, STOPPED_FOR_LATER) or state in ("failed", "cancelled", "finished"):
        return None
    if was_asked or code == STOPPED:
        return "cancelled", ""
    if code == -signal.SIGKILL:
        return "failed", "killed, probably out of memory (exit -9); resume it, or begin again with a smaller batch_size"
    if code < 0:
        return "failed", f"ended by signal {signal.Signals(-code).name}"
    said = [line for line in jobs.tail(run).splitlines() if line.strip()]
    return "failed", said[-1].removeprefix("vitviz: ")[:400] if said else f"ended with exit code {code}"


def _put_down(run: Run) -> Job:
    """Say on the disk who is at work here."""
    own = os.getpid()
    job = replace(
        jobs.read_job(run),
        started=time.time(),
        leader=own,
        leader_start=process_start(own),
        host=host_name(),
        done_before=len(run.metrics()),
    )
    jobs.write_job(run, job)
    run.set_status("running", progress=replace(run.status().progress, note="starting"))
    return job


def _train(run: Run, job: Job) -> int:
    """Train in a process of this group, to its end; what it says goes into the log."""
    with open(run.path / jobs.LOG, "ab") as log:
        line = shlex.join(["python", "-m", "vitviz", *job.arguments])
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode())
        log.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "vitviz", *job.arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    with contextlib.suppress(OSError):  # where memory runs out, let it be the training that goes, and not the server
        Path(f"/proc/{process.pid}/oom_score_adj").write_text("500")
    while True:
        try:
            return process.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            jobs.bound_log(run)


def _end_others(job: Job) -> None:
    """End what the training left behind in this group, as workers that load images."""
    for pid in set(jobs.processes_of(job)) - {os.getpid()}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _tell_end(run: Run, code: int, *, was_asked: bool) -> None:
    if (end := how_it_ended(run, code, was_asked=was_asked)) is not None:
        state, error = end
        run.set_status(state, progress=Progress(**vars(run.status().progress)), error=error)


if __name__ == "__main__":
    main(*sys.argv[1:])
