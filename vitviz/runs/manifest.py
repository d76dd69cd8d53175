"""A manifest of a folder: name, size and sha256 of each file, written last, so that its presence says "complete"."""

import hashlib
import json
import os
from pathlib import Path

from vitviz.runs import atomic

NAME = "manifest.json"


def write(folder: Path) -> None:
    """Sync every file of ``folder`` to the disk, then write the manifest."""
    entries = {path.name: _entry(path) for path in sorted(folder.iterdir()) if path.name != NAME}
    for name in entries:
        _sync_file(folder / name)
    atomic.write_json(folder / NAME, entries)


def differing_files(folder: Path) -> list[str]:
    """Names of files whose size or sha256 is not the manifest's, or that are missing; the manifest's own when it is damaged."""
    try:
        entries = dict(json.loads((folder / NAME).read_text()))
    except (ValueError, TypeError):
        return [NAME]
    return [name for name, entry in entries.items() if not (folder / name).exists() or _entry(folder / name) != entry]


def _entry(path: Path) -> dict[str, int | str]:
    with open(path, "rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
