"""Write a file so that a reader sees all of it or none: temporary name in the same folder, fsync, rename, fsync the folder.

The temporary name tells who writes under it, ``.tmp-HOST-PID-RANDOM``, so that what a killed writer left can be swept away
while nothing is taken from one that lives.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from vitviz.data.cache import sync_folder
from vitviz.runs.processes import host_word, process_start

TEMPORARY_PREFIX = ".tmp-"
PROBE_BYTES = 2**20
_NAME = re.compile(r"\.tmp-(?P<host>[^-]+)-(?P<pid>\d{1,10})-[0-9a-f]{8}")
_STALE_SECONDS = 24 * 3600
_CLOCKS_DIFFER = 600  # seconds between this machine and the one that holds its disk


def write_file(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Create or replace ``path`` with what ``write(binary_file)`` writes. Raises OSError and leaves the old file as it was."""
    temporary = temporary_path(path.parent)
    try:
        write_new(temporary, write)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def write_new(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file that is not there yet and wait until it is on the disk; its permissions are those of the umask."""
    with open(path, "xb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON. NaN and infinity are refused (ValueError): they are no JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(path, lambda file: file.write(text.encode() + b"\n"))


def probe(folder: Path) -> None:
    """Write a mebibyte into ``folder`` and remove it. Raises OSError where the disk is full, read-only or somebody else's."""
    path = temporary_path(folder)
    try:
        write_new(path, lambda file: file.write(os.urandom(PROBE_BYTES)))  # zeros may take no room
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def temporary_path(folder: Path) -> Path:
    """A name in ``folder`` that nobody has, for a file or folder that this process is about to write."""
    return folder / f"{TEMPORARY_PREFIX}{host_word()}-{os.getpid()}-{secrets.token_hex(4)}"


def sweep(folder: Path) -> None:
    """Remove what writers that are gone left half written in ``folder``."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # a writer that lives has just given it its name
            if is_left_behind(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_left_behind(path: Path) -> bool:
    """Whether nobody writes under this temporary name any more.

    The process that the name tells has ended, or its number belongs to a younger one; on another machine, only once a day has
    passed; at once when the name tells no process.
    """
    changed, named = path.stat().st_mtime, _NAME.fullmatch(path.name)
    if named is None or time.time() - changed > _STALE_SECONDS:
        return True
    if named["host"] != host_word():
        return False
    started = process_start(int(named["pid"]))
    return started < 0 or started > changed + _CLOCKS_DIFFER
