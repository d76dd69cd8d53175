"""Fetch a named data set into the data folder."""

import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from vitviz.config import unknown_name
from vitviz.data.cifar_batches import FILES
from vitviz.data.sets import SETS, data_folder
from vitviz.errors import Problem

CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
"""Of cifar-10-python.tar.gz. Source: the file_hash that Keras compares in its loader of CIFAR-10."""


OnBytes = Callable[[int, int], bool]
"""Told (bytes here, bytes in all, 0 where unknown); False stops the download."""

_AT_ONCE = 2**20
_SILENCE = 60  # seconds without a byte: the network has gone


def can_download(name: str) -> bool:
    """Whether :func:`download` knows where that data set is."""
    return name in _FETCH


def download(name: str, progress: OnBytes = lambda done, total: True) -> Path:
    """Fetch the data set ``name`` and return its folder; nothing half-written is left behind.

    A set that is there already is not fetched again.

    Raises: Problem when the name is unknown, the set has no download (saying where to put it), it is stopped, or the network
    fails.
    """
    if name not in SETS:
        raise unknown_name("data set", name, list(SETS))
    source = SETS[name].find()
    if source is not None:
        return source.files[0].parent if source.files else data_folder()
    if not can_download(name):
        raise Problem(f"the data set '{name}' has no download", SETS[name].how_to_get)
    return _fetch_whole(name, _FETCH[name], progress)


def fetch_file(url: str, path: Path, progress: OnBytes) -> None:
    """What lies at ``url`` as the new file ``path``. Raises OSError when the network fails, or it is stopped."""
    with urllib.request.urlopen(url, timeout=_SILENCE) as answer, path.open("xb") as file:
        done, total = 0, int(answer.headers.get("Content-Length") or 0)
        while part := answer.read(_AT_ONCE):
            done += file.write(part)
            if not progress(done, total):
                raise OSError("it was stopped")
    if total and done != total:
        raise OSError(f"it broke off after {done:,} of {total:,} bytes")


def _fetch_whole(name: str, fetch: Callable[[Path, OnBytes], Path], progress: OnBytes) -> Path:
    """Fetch into a temporary folder of the data folder and rename what ``fetch`` returns to its place."""
    place = data_folder() / name
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=data_folder()) as temporary:
            fetched = fetch(Path(temporary), progress)
            target = place / fetched.name
            shutil.rmtree(target, ignore_errors=True)
            os.replace(fetched, target)
            return target
    except (OSError, RuntimeError) as error:
        why = str(error) or type(error).__name__
        raise Problem(
            f"the data set '{name}' could not be fetched", why, "check the network and the folder named by VITVIZ_DATA"
        ) from error
    finally:
        _remove_if_empty(place)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _fetch_cifar10(folder: Path, progress: OnBytes) -> Path:
    """CIFAR-10 from where torchvision knows it to be; nothing of the archive is looked at before its sha256 is the known one."""
    from vitviz.nn.torchvision_import import import_torchvision

    import_torchvision()
    from torchvision.datasets import CIFAR10

    archive, unpacked = folder / CIFAR10.filename, folder / CIFAR10.base_folder
    fetch_file(CIFAR10.url, archive, progress)
    with archive.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != CIFAR10_SHA256:
            raise OSError("the archive's sha256 is not that of CIFAR-10")
    unpacked.mkdir()
    _unpack_batches(archive, unpacked)
    return unpacked


def _unpack_batches(archive: Path, folder: Path) -> None:
    """Write the seven files of CIFAR-10 into ``folder``, each under its own known name; a member's name makes no path."""
    with tarfile.open(archive) as opened:
        for member in opened:
            name = PurePosixPath(member.name).name
            if member.isfile() and name in FILES:
                with opened.extractfile(member) as content, (folder / name).open("xb") as file:
                    shutil.copyfileobj(content, file)


_FETCH: dict[str, Callable[[Path, OnBytes], Path]] = {"cifar10": _fetch_cifar10}
