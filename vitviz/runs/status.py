"""Who is writing a run, and how far it is."""

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from vitviz.errors import Problem
from vitviz.runs import atomic
from vitviz.runs.processes import host_name, process_start
from vitviz.runs.records import Progress, Status

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


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
        host=host_name(),
        heartbeat=time.time(),
        progress=progress,
        error=error,
    )
    atomic.write_json(path, dataclasses.asdict(record))


@contextlib.contextmanager
def lock(path: Path, name: str) -> Iterator[None]:
    """Hold an exclusive lock that ends with the process, however it ends; its file names the owner: number, machine, start.

    Where the file system knows no locks, the file beside it that names the owner is the lock, and is there while it is held.

    Raises: Problem when somebody else holds it; OSError when the file cannot be written.
    """
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _held(name, file.read(200).strip()) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            with _lock_by_file(path.with_name("owner.json"), name):
                yield
            return
        file.truncate(0)
        file.write(_owner())
        file.flush()
        yield


@contextlib.contextmanager
def _lock_by_file(path: Path, name: str) -> Iterator[None]:
    """A file that only one process can make; one whose maker ended on this machine is taken over."""
    for _ in range(2):
        try:
            atomic.write_new(path, lambda file: file.write(json.dumps(_owner_numbers()).encode()))
            break
        except FileExistsError:
            _take_over(path, name)
    else:
        raise _held(name, "")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take_over(path: Path, name: str) -> None:
    """Remove the file of an owner that is gone. Raises Problem when it lives, or may, on another machine."""
    try:
        host, pid, start = json.loads(path.read_text())
    except (OSError, ValueError):
        raise _held(name, "") from None
    if host != host_name() or abs(process_start(pid) - start) < 1.0:
        raise _held(name, f"process {pid} on {host}", f"stop it first, or remove {path.name} if it is gone")
    path.unlink(missing_ok=True)


def _held(name: str, owner: str, hint: str = "wait for it, or stop it first") -> Problem:
    return Problem(f"run '{name}' is being written by {owner or 'another process'}", "", hint)


def _owner() -> str:
    host, pid, start = _owner_numbers()
    since = datetime.datetime.fromtimestamp(start, datetime.UTC)
    return f"process {pid} on {host}, started {since:%Y-%m-%d %H:%M:%S} UTC"


def _owner_numbers() -> tuple[str, int, float]:
    return host_name(), os.getpid(), process_start(os.getpid())


def _is_alive(status: Status) -> bool:
    if status.host != host_name():
        return time.time() - status.heartbeat < 120
    return abs(process_start(status.pid) - status.process_start) < 1.0
