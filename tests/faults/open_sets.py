"""Opens the data sets named on its standard input, one a line, and says of each what became of it: a crash names its file.

Beside that it says whatever was written outside the folder of caches, started, or asked of a network meanwhile.
"""

import json
import os
import sys
import warnings

from vitviz.data.cache import cache_folder
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem

CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate"}
NEVER = {
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "socket.connect",
    "socket.getaddrinfo",
    "pickle.find_class",
}

misdeeds: list[str] = []
allowed = os.path.realpath(cache_folder()) + os.sep


def watch(event: str, arguments: tuple) -> None:
    if event in NEVER:
        misdeeds.append(f"{event} {arguments[:2]}")
    elif event in CHANGES or (event == "open" and _writes(arguments)):
        path = _whole_path(event, arguments)
        if path is not None and not _is_inside(path):
            misdeeds.append(f"{event} {path!r}")


def _whole_path(event: str, arguments: tuple) -> str | None:
    """None for an open descriptor, and for a name in an open folder where the system does not say which that is."""
    path, folder = arguments[0], arguments[-1]
    if not isinstance(path, (str, bytes)):
        return None
    if event in ("os.remove", "os.rmdir") and folder >= 0:
        place = f"/proc/self/fd/{folder}"
        return os.path.join(os.readlink(place), os.fsdecode(path)) if os.path.exists(place) else None
    return os.fsdecode(path)


def _writes(arguments: tuple) -> bool:
    _, mode, flags = arguments
    return bool(set(mode or "") & set("wax+")) or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _is_inside(path: str) -> bool:
    whole = os.path.realpath(path)
    return (whole + os.sep).startswith(allowed) or "__pycache__" in whole or whole == os.devnull


def outcome(path: str) -> str:
    try:
        images = open_image_set(path)
    except Problem as problem:
        return str(problem)
    assert len(images.images) == len(images.labels) == images.report.used > 0
    return f"{len(images)} images" + (f", skipped {images.report.skipped[0][1]}" if images.report.skipped else "")


if __name__ == "__main__":
    warnings.simplefilter("error")
    sys.addaudithook(watch)
    for line in sys.stdin:
        found = outcome(line.rstrip("\n"))
        print(json.dumps({"file": line.rstrip("\n"), "outcome": found, "misdeeds": misdeeds}), flush=True)
        misdeeds.clear()
