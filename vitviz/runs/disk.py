"""What a disk that refuses to be written says, in words that a person can act on."""

import errno
from pathlib import Path

from vitviz.errors import Problem

_FULL = (errno.ENOSPC, errno.EDQUOT)
_WHY = {
    **dict.fromkeys(_FULL, ("the disk is full", "free some space")),
    errno.EFBIG: ("the file is larger than this process may write", "raise its limit (ulimit -f)"),
    errno.EROFS: ("the disk is read-only", "choose another folder with VITVIZ_RUNS"),
    errno.EACCES: ("this user may not write there", "choose another folder with VITVIZ_RUNS"),
    errno.EPERM: ("this user may not write there", "choose another folder with VITVIZ_RUNS"),
    errno.EIO: ("the disk reports an error", "copy what is there to another disk"),
}


def disk_problem(what: str, error: OSError, *, intact: str = "", then: str = "") -> Problem:
    """``what`` with the reason of ``error``, what of a run is still whole, what to do, and what ``then`` (all may be empty)."""
    why, hint = _WHY.get(_number_of(error), (_other_reason(error), ""))
    steps = ", then ".join(part for part in (hint, then) if part)
    return Problem(what, f"{why}; {intact}" if intact else why, steps)


def _other_reason(error: OSError) -> str:
    named = f" ({Path(error.filename).name})" if isinstance(error.filename, str) else ""
    return f"{error.strerror or error}{named}"


def _number_of(error: OSError) -> int | None:
    # numpy gives no number when fewer bytes were taken than it wrote
    short = error.errno is None and "requested and" in str(error)
    return errno.ENOSPC if short else error.errno
