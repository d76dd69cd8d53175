"""Decode once: the uint8 images of a data set in one file, opened as a memory map ever after.

``<cache>/vitviz/decoded/<key>/`` holds ``images.npy``, ``labels.npy``, ``held_out.npy`` (where there is a test part) and
``meta.json``. ``key`` stands for the files' paths, sizes and times, the size and the limit. A folder appears by one
rename, whole or not at all, so any number of processes may build it at once; it may be deleted at any time.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vitviz.data.decoding import Request, decode_in_memory, decode_source
from vitviz.data.image_set import ImageFacts, ImageSet, LoadReport, join_facts
from vitviz.data.listing import Source

_VERSION = 1
_TEMPORARY = ".tmp-"
_STALE_SECONDS = 24 * 3600


def cache_folder() -> Path:
    """Where caches go: ``VITVIZ_CACHE``, else ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("VITVIZ_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def open_decoded(source: Source, request: Request) -> ImageSet:
    """The images of ``source`` as requested: from the cache, or decoded now and kept there.

    A damaged cache is built again. Where nothing can be written, the images stay in memory and the report says so.

    Raises: Problem when the source cannot be used (see ``decode_source``).
    """
    if not source.files:
        return decode_in_memory(source, request)
    folder = cache_folder() / "vitviz" / "decoded" / _key(source, request)
    try:
        return _read(folder, source.name) or _build(folder, source, request)
    except OSError as error:
        note = f"the decoded images could not be kept in the cache folder ({error.strerror}) and are in memory"
        return _add_note(decode_in_memory(source, request), note)


def _add_note(images: ImageSet, note: str) -> ImageSet:
    report = dataclasses.replace(images.report, notes=(*images.report.notes, note))
    return dataclasses.replace(images, report=report)


def _key(source: Source, request: Request) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, source.name, request.img_size, request.limit]).encode())
    for path in source.files:
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            digest.update(json.dumps([str(path.absolute()), status.st_size, status.st_mtime_ns]).encode())
    return digest.hexdigest()[:32]


def _read(folder: Path, name: str) -> ImageSet | None:
    """The image set in ``folder``, or None when there is none or any part of it is missing or of a wrong size."""
    with contextlib.suppress(OSError, EOFError, ValueError, KeyError, TypeError):
        images = np.load(folder / "images.npy", mmap_mode="r")
        facts = _read_facts(folder)
        if images.dtype == np.uint8 and images.ndim == 4 and len(images) == len(facts.labels) == facts.report.used:
            return join_facts(name, images, facts)
    return None


def _read_facts(folder: Path) -> ImageFacts:
    meta = json.loads((folder / "meta.json").read_text())
    skipped = tuple((name, reason) for name, reason in meta["skipped"])
    report = LoadReport(meta["found"], meta["used"], skipped, tuple(meta["notes"]))
    held_out = np.load(folder / "held_out.npy") if meta["held_out"] else None
    labels = np.load(folder / "labels.npy")
    return ImageFacts(labels, held_out, tuple(meta["class_names"]), meta["fingerprint"], report)


def _build(folder: Path, source: Source, request: Request) -> ImageSet:
    """Decode into a temporary folder beside ``folder``, then put it in place. Raises OSError when that is impossible."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    with _temporary_folder(folder.parent) as temporary:
        made = temporary / folder.name  # made with the user's own permissions, unlike the temporary folder
        made.mkdir()
        with _synced_file(made / "images.npy") as file:
            _write_header(file, 0, request.img_size)
            facts = decode_source(source, request, file.write)
            file.seek(0)
            _write_header(file, facts.report.used, request.img_size)
        _write_facts(made, facts)
        return _put_in_place(made, folder, source.name)


def _write_header(file: BinaryIO, count: int, img_size: int) -> None:
    """A .npy header for ``count`` images; numpy pads it so that its length does not depend on the first axis."""
    shape = (count, img_size, img_size, 3)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _write_facts(folder: Path, facts: ImageFacts) -> None:
    _save_array(folder / "labels.npy", facts.labels)
    if facts.held_out is not None:
        _save_array(folder / "held_out.npy", facts.held_out)
    meta: dict[str, Any] = dataclasses.asdict(facts.report)
    meta |= {"fingerprint": facts.fingerprint, "class_names": facts.class_names}
    meta["held_out"] = facts.held_out is not None
    with _synced_file(folder / "meta.json") as file:
        file.write(json.dumps(meta, indent=1).encode())


def _put_in_place(made: Path, folder: Path, name: str) -> ImageSet:
    """Rename ``made`` to ``folder``; where another process was first its result is taken, unless it is damaged."""
    for _ in range(3):
        with contextlib.suppress(OSError):
            os.rename(made, folder)
            sync_folder(folder.parent)
        if images := _read(folder, name):
            return images
        _remove(folder)
    raise OSError(None, "it cannot be put in place")


def _remove(folder: Path) -> None:
    """Move a damaged cache out of the way in one step, then delete it."""
    with contextlib.suppress(OSError), _temporary_folder(folder.parent) as grave:
        os.rename(folder, grave / "damaged")


def _sweep(folder: Path) -> None:
    """Delete what builds that were killed more than a day ago left behind."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path)


@contextlib.contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _synced_file(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _save_array(path: Path, values: np.ndarray) -> None:
    with _synced_file(path) as file:
        np.save(file, values)


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` survive a power cut (where the platform can). Raises OSError when the disk fails."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno == errno.EIO:
            raise
    finally:
        os.close(descriptor)
