"""The log: one rotating file for the app and the command line, where the number of an incident leads to what went wrong.

``vitviz.log`` lies among your runs, or in the folder that ``VITVIZ_LOGS`` names, 2 MiB and two older ones at the most. It
holds where in the code an error arose and the first words of its message; no arrays, no contents of files, no folder of
this machine. Several processes share it.
"""

import contextlib
import fcntl
import itertools
import logging
import os
import secrets
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from vitviz.runs.folder import own_root

MAX_BYTES = 2 * 2**20
NUM_FILES = 3
_PROJECT = Path(__file__).resolve().parents[1]
_MAX_MESSAGE = 200
_MAX_FRAMES = 40
_log = logging.getLogger("vitviz")


def log_path() -> Path:
    """Where the log is kept; it need not be there yet."""
    return Path(os.environ.get("VITVIZ_LOGS") or own_root()) / "vitviz.log"


def keep_log() -> Path:
    """From now on keep what vitviz logs in :func:`log_path`, and return that. Where it cannot be written, stderr is told."""
    path = log_path()
    for handler in [one for one in _log.handlers if isinstance(one, _SharedFile)]:
        _log.removeHandler(handler)
    _log.addHandler(_SharedFile(path))
    return path


def log_incident(error: BaseException) -> str:
    """Log an error that nobody can put right by themselves; returns the number by which it is found."""
    incident = secrets.token_hex(3)
    _log.error("incident %s", incident, exc_info=error)
    return incident


def tell_error(error: BaseException) -> str:
    """Where an error and those behind it arose, a line a frame, and the first words of each message; causes first."""
    return "\n".join(line for one in reversed(_chain(error)) for line in _tell_one(one))


class _SharedFile(logging.Handler):
    """Appends one record at a time to a file that other processes append to as well."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        text = _format(record)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _append(self.path, text.encode(errors="backslashreplace"))
        except OSError as error:
            print(f"vitviz: the log cannot be written ({error.strerror}):\n{text}", file=sys.stderr, end="")


def _format(record: logging.LogRecord) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
    text = f"{moment} {record.levelname} {record.process} {record.getMessage()}\n"
    return f"{text}{tell_error(record.exc_info[1])}\n" if record.exc_info and record.exc_info[1] else text


def _append(path: Path, content: bytes) -> None:
    """Add to the file, after it was put aside if it would grow past its size."""
    while True:
        with open(path, "ab") as file:
            with contextlib.suppress(OSError):  # some file systems know no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(path, file):
                continue  # another process put it aside meanwhile
            if file.tell() and file.tell() + len(content) > MAX_BYTES:
                _put_aside(path)
                continue
            file.write(content)
            return


def _is_at(path: Path, file: BinaryIO) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    return False


def _put_aside(path: Path) -> None:
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, NUM_FILES))]
    for newer, older in reversed(list(itertools.pairwise(names))):
        with contextlib.suppress(FileNotFoundError):
            os.replace(newer, older)


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def _tell_one(error: BaseException) -> Iterator[str]:
    frames = traceback.extract_tb(error.__traceback__)
    if len(frames) > _MAX_FRAMES:
        yield f"  ... {len(frames) - _MAX_FRAMES} frames"
    for frame in frames[-_MAX_FRAMES:]:
        yield f"  {_place(frame.filename)}:{frame.lineno} {frame.name}: {frame.line}"
    message = str(error).partition("\n")[0]
    yield f"{type(error).__name__}: {message[:_MAX_MESSAGE]}{'...' if len(message) > _MAX_MESSAGE else ''}"


def _place(filename: str) -> str:
    """A file of the code without the folders of this machine."""
    path = Path(filename)
    if "site-packages" in path.parts:
        return "/".join(path.parts[path.parts.index("site-packages") + 1 :])
    return str(path.relative_to(_PROJECT)) if path.is_relative_to(_PROJECT) else path.name
