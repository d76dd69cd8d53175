"""Who is writing a run, and how far it is."""

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from vitviz.errors import Problem
from vitviz.runs import atomic
from vitviz.runs.records import Progress, Status


def read(path: Path) -> Status:
    """The status at ``path``; a missing or damaged file reads as ``interrupted`` (nobody is known to be writing)."""
    try:
        record = json.loads(path.read_text())
        status = Status(**{**record, "progress": Progress(**record["progress"])})
        is_left = status.state == "running" and not _is_alive(status)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return Status(state="interrupted")
    return dataclasses.replace(status, state="interrupted") if is_left else status


def write(path: Path, state: str, progress: Progress, error: str) -> None:
    """Write the state with this process as its owner and now as its heartbeat."""
    record = Status(
        state=state,
        pid=os.getpid(),
        process_start=process_start(os.getpid()),
        host=socket.gethostname(),
        heartbeat=time.time(),
        progress=progress,
        error=error,
    )
    atomic.write_json(path, dataclasses.asdict(record))


@contextlib.contextmanager
def lock(path: Path, name: str) -> Iterator[None]:
    """Hold an exclusive lock that ends with the process, however it ends. Raises Problem when somebody else holds it."""
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read(200).strip() or "another process"
            raise Problem(f"run '{name}' is being written by {owner}", "", "wait for it, or stop it first") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def process_start(pid: int) -> float:
    """When that process began, in seconds since 1970; -1 when there is none."""
    import psutil

    try:
        process = psutil.Process(pid)
        # a killed child that nobody has waited for still has its number, but writes no more
        return -1.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return -1.0


def _is_alive(status: Status) -> bool:
    if status.host != socket.gethostname():
        return time.time() - status.heartbeat < 120
    return abs(process_start(status.pid) - status.process_start) < 1.0
