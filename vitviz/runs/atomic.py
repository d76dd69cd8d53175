"""Write a file so that a reader sees all of it or none: temporary name in the same folder, fsync, rename, fsync the folder."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitviz.data.cache import sync_folder

TEMPORARY_PREFIX = ".tmp-"


def write_file(path: Path, write: Callable[[Any], None]) -> None:
    """Create or replace ``path`` with what ``write(binary_file)`` writes. Raises OSError and leaves the old file as it was."""
    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON. NaN and infinity are refused (ValueError): they are no JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_file(path, lambda file: file.write(text.encode() + b"\n"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
